//! Blocks of shared content in a row, as DATA packets. Pure.

use bytes::Bytes;

use super::negotiate::Agreed;
use super::packet::{DATA_HEAD_BYTES, data_head};
use super::transfer::block_range;

/// Some blocks of a content, none of them copied.
#[derive(Clone)]
pub struct Blocks {
    content: Bytes,
    agreed: Agreed,
    first: u64,
    count: u16,
}

impl Blocks {
    /// `count` blocks of `content` from `first` on, counted from 1 without end.
    pub fn new(content: Bytes, agreed: Agreed, first: u64, count: u16) -> Self {
        Self { content, agreed, first, count }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.into()
    }

    /// The length of the longest packet.
    pub fn packet_bytes(&self) -> usize {
        DATA_HEAD_BYTES + usize::from(self.agreed.block_size())
    }

    /// The packets, each as its head and its part of the content.
    pub fn packets(&self) -> impl Iterator<Item = ([u8; DATA_HEAD_BYTES], &[u8])> {
        let total = self.content.len() as u64;
        (self.first..self.first + u64::from(self.count)).map(move |block| {
            let head = data_head(self.agreed.rollover().on_wire(block));
            (head, &self.content[block_range(block, self.agreed.block_size(), total)])
        })
    }

    /// Leaves out the first `sent` blocks.
    pub fn advance(&mut self, sent: usize) {
        self.first += sent as u64;
        self.count -= (sent as u16).min(self.count);
    }
}
