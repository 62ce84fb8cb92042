//! Relay agents and what they say in option 82 (RFC 3046). Pure.

use std::net::Ipv4Addr;

/// Sub-options of option 82 (RFC 3046 unless said otherwise).
mod sub_code {
    pub(super) const CIRCUIT_ID: u8 = 1;
    pub(super) const REMOTE_ID: u8 = 2;
    /// RFC 3527.
    pub(super) const LINK_SELECTION: u8 = 5;
    /// RFC 5107.
    pub(super) const SERVER_ID_OVERRIDE: u8 = 11;
    /// RFC 8357.
    pub(super) const SOURCE_PORT: u8 = 19;
}

/// Option 82: kept as it came, for it goes back byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RelayInfo<'a> {
    /// All its bytes.
    pub bytes: &'a [u8],
    /// The port the client is plugged into, in the relay's words (sub-option 1).
    pub circuit_id: Option<&'a [u8]>,
    /// The relay or the port's far end (sub-option 2).
    pub remote_id: Option<&'a [u8]>,
    /// An address of the link that the client is on (sub-option 5, RFC 3527).
    pub link_selection: Option<Ipv4Addr>,
    /// The address that the client must take for the server (sub-option 11, RFC 5107).
    pub server_id_override: Option<Ipv4Addr>,
    /// Whether the relay wants its answers at the port it sent from (sub-option 19, RFC 8357).
    pub source_port: bool,
}

impl<'a> RelayInfo<'a> {
    /// Reads the sub-options; what is cut short ends the list.
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let mut info = Self {
            bytes,
            circuit_id: None,
            remote_id: None,
            link_selection: None,
            server_id_override: None,
            source_port: false,
        };
        let mut rest = bytes;
        while let [code, length, behind @ ..] = rest
            && let Some((data, behind)) = behind.split_at_checked(usize::from(*length))
        {
            rest = behind;
            match *code {
                sub_code::CIRCUIT_ID => info.circuit_id = info.circuit_id.or(Some(data)),
                sub_code::REMOTE_ID => info.remote_id = info.remote_id.or(Some(data)),
                sub_code::LINK_SELECTION => {
                    info.link_selection = info.link_selection.or_else(|| address(data));
                }
                sub_code::SERVER_ID_OVERRIDE => {
                    info.server_id_override = info.server_id_override.or_else(|| address(data));
                }
                sub_code::SOURCE_PORT => info.source_port = true,
                _ => {}
            }
        }
        info
    }
}

fn address(data: &[u8]) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = data.try_into().ok()?;
    Some(Ipv4Addr::from(bytes)).filter(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_options_are_read_and_a_cut_one_ends_the_list() {
        let bytes = [1, 2, b'g', b'1', 5, 4, 10, 1, 0, 1, 11, 4, 10, 1, 0, 254, 19, 0, 2, 9, 1];
        let info = RelayInfo::read(&bytes);
        assert_eq!(info.circuit_id, Some(&b"g1"[..]));
        assert_eq!(info.remote_id, None);
        assert_eq!(info.link_selection, Some(Ipv4Addr::new(10, 1, 0, 1)));
        assert_eq!(info.server_id_override, Some(Ipv4Addr::new(10, 1, 0, 254)));
        assert!(info.source_port);
        assert_eq!(RelayInfo::read(&[5, 3, 1, 2, 3]).link_selection, None);
    }
}
