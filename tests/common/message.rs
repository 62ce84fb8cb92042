//! DHCP messages byte by byte: what a client sends, and what it is answered.

use std::net::Ipv4Addr;

/// A client's message, built field by field.
#[derive(Clone)]
pub(crate) struct Message(pub Vec<u8>);

impl Message {
    /// A message of a type (option 53) from a MAC, asking for broadcast answers.
    pub(crate) fn new(kind: u8, mac: [u8; 6]) -> Self {
        let mut bytes = vec![0; 240];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&mac[2..]);
        bytes[10] = 0x80;
        bytes[28..34].copy_from_slice(&mac);
        bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
        bytes.extend([53, 1, kind]);
        Self(bytes)
    }

    /// Adds an option.
    pub(crate) fn option(mut self, code: u8, data: &[u8]) -> Self {
        self.0.extend([code, data.len() as u8]);
        self.0.extend(data);
        self
    }

    /// Sets one of the header's addresses: 12 `ciaddr`, 24 `giaddr`.
    pub(crate) fn address(mut self, offset: usize, address: Ipv4Addr) -> Self {
        self.0[offset..offset + 4].copy_from_slice(&address.octets());
        self
    }

    /// The packet.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        bytes.push(255);
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }
}

/// What a server answered.
pub(crate) struct Reply(pub Vec<u8>);

impl Reply {
    /// Whether it is for a message: an OFFER that comes late is not for the REQUEST after it.
    pub(crate) fn answers(&self, message: &Message) -> bool {
        let (request, offer) = (3, 2);
        let same = self.0.len() > 240 && self.0[0] == 2 && self.0[4..8] == message.0[4..8];
        same && (message.0.get(242) != Some(&request) || self.kind() != offer)
    }

    /// The boot file field, up to its NUL.
    pub(crate) fn boot_file(&self) -> String {
        let field = self.0[108..236].split(|byte| *byte == 0).next().unwrap();
        String::from_utf8_lossy(field).into_owned()
    }

    /// The address that it gives.
    pub(crate) fn your_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[16], self.0[17], self.0[18], self.0[19])
    }

    /// An option's bytes.
    pub(crate) fn option(&self, wanted: u8) -> Option<Vec<u8>> {
        let mut all = options(&self.0).into_iter();
        all.find(|(code, _)| *code == wanted).map(|(_, data)| data.to_vec())
    }

    /// Its type: 2 OFFER, 5 ACK, 6 NAK.
    pub(crate) fn kind(&self) -> u8 {
        self.option(53).unwrap()[0]
    }
}

/// The options of a packet, in its order.
pub(crate) fn options(packet: &[u8]) -> Vec<(u8, &[u8])> {
    let mut all = Vec::new();
    let mut rest = &packet[240..];
    while let [code, tail @ ..] = rest {
        match (code, tail) {
            (0, _) => rest = tail,
            (1..=254, [length, data @ ..]) => {
                let (data, after) = data.split_at(usize::from(*length));
                all.push((*code, data));
                rest = after;
            }
            _ => break,
        }
    }
    all
}
