//! One download as a client sees it (RFC 1350, 2347, 2348, 7440), every byte compared. Pure.

/// What is downloaded and how.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The file's name.
    pub name: &'a str,
    /// What must arrive.
    pub content: &'a [u8],
    /// The block size asked for, in bytes.
    pub block_size: usize,
    /// The window size asked for, in blocks; 1 leaves the option out.
    pub window: u16,
}

impl Request<'_> {
    /// The read request.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut words = vec![self.name.to_owned(), "octet".to_owned()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        if self.block_size != 512 {
            option("blksize", self.block_size.to_string());
        }
        option("tsize", "0".to_owned());
        if self.window > 1 {
            option("windowsize", self.window.to_string());
        }
        let mut packet = vec![0, 1];
        for word in words {
            packet.extend(word.as_bytes());
            packet.push(0);
        }
        packet
    }
}

/// What the client does after a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet.
    Wait,
    /// Acknowledges this block.
    Acknowledge(u16),
    /// Acknowledges this block, and has the whole file.
    Finish(u16),
    /// Gives up: what is wrong.
    Fail(String),
}

/// A download under way.
pub(crate) struct Transfer {
    /// Blocks received in order.
    pub blocks: usize,
    block_size: usize,
    window: usize,
    /// Blocks of the current window that arrived in order.
    in_window: usize,
    /// Whether the server was already told of the gap it left.
    told_of_gap: bool,
}

impl Transfer {
    /// A download of which nothing has arrived: without options, until an OACK says otherwise.
    pub(crate) fn new() -> Self {
        Self { blocks: 0, block_size: 512, window: 1, in_window: 0, told_of_gap: false }
    }

    /// Bytes received.
    pub(crate) fn bytes(&self, request: &Request<'_>) -> usize {
        (self.blocks * self.block_size).min(request.content.len())
    }

    /// What to send again after silence: the last acknowledgement.
    pub(crate) fn last(&self) -> u16 {
        self.blocks as u16
    }

    /// Takes a packet of the server.
    pub(crate) fn handle(&mut self, request: &Request<'_>, packet: &[u8]) -> Step {
        match packet {
            [0, 3, high, low, data @ ..] => {
                self.data(request, u16::from_be_bytes([*high, *low]), data)
            }
            [0, 6, options @ ..] => self.options(request, options),
            [0, 5, _, code, text @ ..] => {
                Step::Fail(format!("error {code}: {}", String::from_utf8_lossy(text)))
            }
            _ => Step::Fail("a packet that is neither DATA, OACK nor ERROR".to_owned()),
        }
    }

    fn options(&mut self, request: &Request<'_>, text: &[u8]) -> Step {
        if self.blocks > 0 {
            return Step::Wait;
        }
        let mut words = text.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            let value: usize = value.parse().unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "blksize" if (8..=request.block_size).contains(&value) => self.block_size = value,
                "windowsize" if (1..=usize::from(request.window)).contains(&value) => {
                    self.window = value;
                }
                "tsize" if value == request.content.len() => {}
                "" => break,
                other => return Step::Fail(format!("option {other} came back as {value}")),
            }
        }
        Step::Acknowledge(0)
    }

    fn data(&mut self, request: &Request<'_>, number: u16, data: &[u8]) -> Step {
        if number != (self.blocks + 1) as u16 {
            return self.out_of_order(number);
        }
        let from = (self.blocks * self.block_size).min(request.content.len());
        let to = (from + self.block_size).min(request.content.len());
        if data != &request.content[from..to] {
            return Step::Fail(format!("block {} differs from the file", self.blocks + 1));
        }
        self.blocks += 1;
        self.in_window += 1;
        self.told_of_gap = false;
        if data.len() < self.block_size {
            return Step::Finish(number);
        }
        if self.in_window < self.window {
            return Step::Wait;
        }
        self.in_window = 0;
        Step::Acknowledge(number)
    }

    /// Says where to go on after a gap (RFC 7440 section 4), once; and again to a repeated block.
    fn out_of_order(&mut self, number: u16) -> Step {
        let ahead = number.wrapping_sub(self.blocks as u16) < 0x8000;
        if ahead && self.told_of_gap {
            return Step::Wait;
        }
        self.told_of_gap = ahead;
        self.in_window = 0;
        Step::Acknowledge(self.blocks as u16)
    }
}
