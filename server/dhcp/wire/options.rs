//! The options of a packet: one walk over the three fields that may hold them. Pure.

use std::borrow::Cow;
use std::net::Ipv4Addr;

#[cfg(any(test, fuzzing))]
use dhcproto::v4::{DhcpOption, OptionCode};
#[cfg(any(test, fuzzing))]
use dhcproto::{Decodable, Decoder};

use super::Packet;
#[cfg(any(test, fuzzing))]
use super::write_option;
use crate::options::code;

impl<'a> Packet<'a> {
    /// Walks over the option field, then over `file` and `sname` where option 52
    /// says that they hold options too, and joins what has the same code
    /// wherever it stands (RFC 2132 section 9.3, RFC 3396 sections 5 and 7).
    pub(super) fn read_options(&mut self, options: &'a [u8], server_name: &'a [u8]) {
        self.walk(options);
        let overload = self.option(code::OVERLOAD).and_then(|data| data.first().copied());
        if overload.is_some_and(|fields| fields & 1 != 0) {
            self.walk(self.boot_file);
        }
        if overload.is_some_and(|fields| fields & 2 != 0) {
            self.walk(server_name);
        }
    }

    fn walk(&mut self, mut field: &'a [u8]) {
        while let Some((&option, rest)) = field.split_first() {
            if option == code::PAD {
                field = rest;
                continue;
            }
            let Some((&length, rest)) = rest.split_first().filter(|_| option != code::END) else {
                return;
            };
            let Some((data, rest)) = rest.split_at_checked(usize::from(length)) else { return };
            self.add(option, data);
            field = rest;
        }
    }

    fn add(&mut self, code: u8, data: &'a [u8]) {
        let place = &mut self.places[usize::from(code)];
        if let Some(index) = place.checked_sub(1) {
            self.options[usize::from(index)].1.to_mut().extend_from_slice(data);
            return;
        }
        self.options.push((code, Cow::Borrowed(data)));
        *place = self.options.len() as u8;
    }

    /// The bytes of an option.
    pub(crate) fn option(&self, code: u8) -> Option<&[u8]> {
        let index = self.places[usize::from(code)].checked_sub(1)?;
        Some(&self.options[usize::from(index)].1)
    }

    /// The bytes of an option, unless it is there without any.
    pub(crate) fn filled_option(&self, code: u8) -> Option<&[u8]> {
        self.option(code).filter(|data| !data.is_empty())
    }

    /// An option as dhcproto reads it; none if the packet lacks it or it makes no sense.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn typed_option(&self, code: OptionCode) -> Option<DhcpOption> {
        decode_option(code.into(), self.option(code.into())?)
    }

    /// An option that is one address other than 0.0.0.0.
    pub(crate) fn address_option(&self, code: u8) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = self.option(code)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes)).filter(|address| !address.is_unspecified())
    }

    /// Every option in order.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn options(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.options.iter().map(|(code, data)| (*code, &**data))
    }
}

/// Decodes one option with dhcproto. None where its bytes make no sense.
#[cfg(any(test, fuzzing))]
pub(crate) fn decode_option(option: u8, data: &[u8]) -> Option<DhcpOption> {
    // dhcproto asserts these lengths instead of checking them.
    let sound = match option {
        code::RAPID_COMMIT => data.is_empty(),
        code::CLIENT_FQDN => data.len() >= 3,
        code::CLIENT_NDI => data.len() == 3,
        code::STATUS_CODE => !data.is_empty(),
        code::BASE_TIME..=code::QUERY_END_TIME => data.len() == 4,
        _ => true,
    };
    if !sound || matches!(option, code::PAD | code::END) {
        return None;
    }
    let mut bytes = Vec::with_capacity(data.len() + 2);
    write_option(&mut bytes, option, data);
    DhcpOption::decode(&mut Decoder::new(&bytes)).ok()
}
