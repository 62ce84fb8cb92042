//! The options of a packet: one walk over the three fields that may hold them. Pure.

use std::borrow::Cow;
use std::net::Ipv4Addr;

#[cfg(any(test, fuzzing))]
use dhcproto::v4::{DhcpOption, OptionCode};
#[cfg(any(test, fuzzing))]
use dhcproto::{Decodable, Decoder};

#[cfg(any(test, fuzzing))]
use super::reply::{OptionBytes, append_option};
use crate::options::code;

/// The options of one packet in the order in which each came first.
#[derive(Clone, Debug)]
pub(crate) struct Options<'a> {
    list: Vec<(u8, Cow<'a, [u8]>)>,
    /// By code, one more than the place in `list`; 0 where the packet has none.
    /// At most 254 codes exist, so a byte holds it.
    places: [u8; 256],
}

impl<'a> Options<'a> {
    /// Walks over the option field, then over `file` and `sname` where option 52
    /// says that they hold options too, and joins what has the same code
    /// wherever it stands (RFC 2132 section 9.3, RFC 3396 sections 5 and 7).
    pub(super) fn parse(options: &'a [u8], boot_file: &'a [u8], server_name: &'a [u8]) -> Self {
        let mut all = Self { list: Vec::with_capacity(24), places: [0; 256] };
        all.walk(options);
        let overload = all.get(code::OVERLOAD).and_then(|data| data.first().copied()).unwrap_or(0);
        if overload & 1 != 0 {
            all.walk(boot_file);
        }
        if overload & 2 != 0 {
            all.walk(server_name);
        }
        all
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
            self.list[usize::from(index)].1.to_mut().extend_from_slice(data);
            return;
        }
        self.list.push((code, Cow::Borrowed(data)));
        *place = self.list.len() as u8;
    }

    /// The bytes of an option.
    pub(crate) fn get(&self, code: u8) -> Option<&[u8]> {
        let index = self.places[usize::from(code)].checked_sub(1)?;
        Some(&self.list[usize::from(index)].1)
    }

    /// The bytes of an option, unless it is there without any.
    pub(crate) fn filled(&self, code: u8) -> Option<&[u8]> {
        self.get(code).filter(|data| !data.is_empty())
    }

    /// An option as dhcproto reads it; none if the packet lacks it or it makes no sense.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn typed(&self, code: OptionCode) -> Option<DhcpOption> {
        decode_option(code.into(), self.get(code.into())?)
    }

    /// An option that is one address other than 0.0.0.0.
    pub(crate) fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = self.get(code)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes)).filter(|address| !address.is_unspecified())
    }

    /// Every option in order.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.list.iter().map(|(code, data)| (*code, &**data))
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
    let mut bytes = OptionBytes::with_capacity(data.len() + 2);
    append_option(&mut bytes, option, data);
    DhcpOption::decode(&mut Decoder::new(&bytes)).ok()
}
