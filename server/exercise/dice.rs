//! Bytes to decide by: the fuzzer's, or a test's. Pure.

/// Gives out bytes one after another. Where they have run out it throws zeros.
pub(crate) struct Dice<'a> {
    bytes: &'a [u8],
}

impl<'a> Dice<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next byte; none when they have run out.
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// The next four bytes as a number.
    pub(crate) fn number(&mut self) -> u32 {
        (0..4).fold(0, |number, _| number << 8 | u32::from(self.byte()))
    }

    /// One of several, the first where the bytes have run out.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    /// Some of the bytes that come next: `limit` at most.
    pub(crate) fn take(&mut self, limit: usize) -> &'a [u8] {
        let wanted = usize::from(self.byte()) * limit / 255;
        let (taken, rest) = self.bytes.split_at(wanted.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}
