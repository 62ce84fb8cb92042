//! One update as a message (RFC 2136), signed by TSIG, and what the answer means. Pure but for the
//! clock that signatures need.

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::{AuthorityBuilder, PushError};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::tsig::Time48;
use domain::rdata::{A, Aaaa, Ptr};
use domain::tsig::{ClientTransaction, Key};

use crate::model::{HostRecord, RecordType, Zone};

/// The most changes of one message: each takes far less than the 65,535 bytes of a message divided by
/// this number.
pub(super) const MOST_CHANGES: usize = 100;

type DomainName = Name<Vec<u8>>;

/// Records to be put into a zone, and to be taken out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub add: Vec<HostRecord>,
    pub remove: Vec<HostRecord>,
}

/// Why an update cannot be made, or was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UpdateError {
    #[error("\"{0}\" cannot be a record of a zone")]
    Record(String),
    #[error("the name server is unreachable: {0}")]
    Unreachable(String),
    #[error("the name server's answer cannot be read: {0}")]
    Unreadable(&'static str),
    #[error("the name server rejected the key: {0}")]
    Key(String),
    #[error("the name server refuses the update: {0}{hint}", hint = hint(.0))]
    Refused(Rcode),
}

fn hint(code: &Rcode) -> &'static str {
    match *code {
        Rcode::REFUSED => " (does the zone allow updates with this key?)",
        Rcode::NOTAUTH => " (does the server have this zone and this key?)",
        Rcode::SERVFAIL => " (can it write the zone's journal?)",
        _ => "",
    }
}

/// A signed message, and what checks its answer.
pub(super) struct SignedUpdate {
    pub bytes: Vec<u8>,
    id: u16,
    transaction: ClientTransaction<Key>,
}

impl SignedUpdate {
    pub(super) fn new(
        zone: &Zone,
        ttl: u32,
        changes: &Changes,
        key: &Key,
        id: u16,
    ) -> Result<Self, UpdateError> {
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_opcode(Opcode::UPDATE);
        message.header_mut().set_id(id);
        let zone_name = parse(zone.name())?;
        let too_long = |_: PushError| UpdateError::Record(zone.name().to_owned());
        let mut message = message.question();
        message.push((&zone_name, Rtype::SOA, Class::IN)).map_err(too_long)?;
        // The update section is where other messages have the authority section (RFC 2136 section 2).
        let mut message = message.answer().authority();
        for record in &changes.remove {
            // Exactly this record (RFC 2136 section 2.5.4): others of the name stay.
            push(&mut message, zone, record, Class::NONE, 0)?;
        }
        for record in &changes.add {
            push(&mut message, zone, record, Class::IN, ttl)?;
        }
        let mut message = message.additional();
        let transaction = ClientTransaction::request(key.clone(), &mut message, Time48::now())
            .map_err(too_long)?;
        Ok(Self { bytes: message.finish(), id, transaction })
    }

    /// Whether an answer says that the update was carried out.
    pub(super) fn check(&self, answer: Vec<u8>) -> Result<(), UpdateError> {
        let mut answer =
            Message::from_octets(answer).map_err(|_| UpdateError::Unreadable("it is too short"))?;
        if answer.header().id() != self.id || !answer.header().qr() {
            return Err(UpdateError::Unreadable("it answers another message"));
        }
        let code = answer.header().rcode();
        match self.transaction.answer(&mut answer, Time48::now()) {
            Ok(()) if code == Rcode::NOERROR => Ok(()),
            Ok(()) => Err(UpdateError::Refused(code)),
            // Who does not know the key cannot sign.
            Err(_) if code != Rcode::NOERROR && code != Rcode::NOTAUTH => {
                Err(UpdateError::Refused(code))
            }
            Err(error) => Err(UpdateError::Key(error.to_string())),
        }
    }
}

fn push(
    message: &mut AuthorityBuilder<Vec<u8>>,
    zone: &Zone,
    record: &HostRecord,
    class: Class,
    ttl: u32,
) -> Result<(), UpdateError> {
    let refused = || UpdateError::Record(record.to_string());
    let owner = parse(&format!("{}.{}", record.owner, zone.name()))?;
    let pushed = match record.kind {
        RecordType::A => {
            let address = record.data.parse().map_err(|_| refused())?;
            message.push((owner, class, ttl, A::new(address)))
        }
        RecordType::Aaaa => {
            let address = record.data.parse().map_err(|_| refused())?;
            message.push((owner, class, ttl, Aaaa::new(address)))
        }
        RecordType::Ptr => message.push((owner, class, ttl, Ptr::new(parse(&record.data)?))),
    };
    pushed.map_err(|_| refused())
}

/// Whether a record can be in a zone: names of hosts and links may be longer than DNS allows.
pub(super) fn fits(zone: &Zone, record: &HostRecord) -> bool {
    let target = (record.kind == RecordType::Ptr).then(|| parse(&record.data));
    parse(&format!("{}.{}", record.owner, zone.name())).is_ok()
        && target.is_none_or(|name| name.is_ok())
}

fn parse(name: &str) -> Result<DomainName, UpdateError> {
    name.parse().map_err(|_| UpdateError::Record(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use domain::tsig::Algorithm;

    use super::*;

    fn key(secret: &[u8]) -> Key {
        Key::new(Algorithm::Sha256, secret, "rack".parse().unwrap(), None, None).unwrap()
    }

    fn record(owner: &str, kind: RecordType, data: &str) -> HostRecord {
        HostRecord { owner: owner.into(), kind, data: data.into() }
    }

    #[test]
    fn an_update_has_a_zone_and_its_changes_and_a_signature() {
        let changes = Changes {
            add: vec![record("n1", RecordType::A, "10.0.0.5")],
            remove: vec![record("n1", RecordType::Aaaa, "2001:db8::5")],
        };
        let zone = Zone::new("example.net");
        let update = SignedUpdate::new(&zone, 300, &changes, &key(b"a secret"), 7).unwrap();
        let message = Message::from_octets(update.bytes.clone()).unwrap();
        let counts = message.header_counts();
        assert_eq!(message.header().opcode(), Opcode::UPDATE);
        assert_eq!(
            (counts.zocount(), counts.prcount(), counts.upcount(), counts.adcount()),
            (1, 0, 2, 1)
        );
        let classes: Vec<Class> =
            message.authority().unwrap().map(|record| record.unwrap().class()).collect();
        assert_eq!(classes, [Class::NONE, Class::IN], "what goes first is removed first");
    }

    #[test]
    fn what_no_zone_can_have_is_named() {
        let zone = Zone::new("example.net");
        let long = "x".repeat(64);
        for wrong in [
            record("n1", RecordType::A, "2001:db8::5"),
            record("n1", RecordType::Ptr, "a..b."),
            record(&long, RecordType::A, "10.0.0.5"),
        ] {
            let changes = Changes { add: vec![wrong.clone()], ..Changes::default() };
            let error = SignedUpdate::new(&zone, 300, &changes, &key(b"x"), 7).err().unwrap();
            assert_eq!(fits(&zone, &wrong), wrong.data.contains(":"), "{wrong}");
            assert!(matches!(error, UpdateError::Record(_)), "{wrong}: {error}");
        }
        let many = Changes {
            add: vec![
                record(
                    &vec!["y".repeat(60); 3].join("."),
                    RecordType::Ptr,
                    &format!("{}.", vec!["z".repeat(60); 4].join("."))
                );
                MOST_CHANGES
            ],
            ..Changes::default()
        };
        let update = SignedUpdate::new(&zone, 300, &many, &key(b"x"), 7).unwrap();
        assert!(update.bytes.len() < 65_535, "{}", update.bytes.len());
    }

    #[test]
    fn answers_that_say_no_or_are_not_signed_count_for_nothing() {
        let zone = Zone::new("example.net");
        let update = SignedUpdate::new(&zone, 300, &Changes::default(), &key(b"x"), 7).unwrap();
        let answer = |id: u16, code: Rcode| {
            let mut message = MessageBuilder::new_vec();
            let header = message.header_mut();
            header.set_id(id);
            header.set_qr(true);
            header.set_opcode(Opcode::UPDATE);
            header.set_rcode(code);
            update.check(message.finish())
        };
        assert!(matches!(answer(7, Rcode::NOERROR), Err(UpdateError::Key(_))));
        assert!(matches!(answer(7, Rcode::NOTAUTH), Err(UpdateError::Key(_))));
        assert_eq!(answer(7, Rcode::REFUSED), Err(UpdateError::Refused(Rcode::REFUSED)));
        assert!(matches!(answer(8, Rcode::NOERROR), Err(UpdateError::Unreadable(_))));
        assert!(matches!(update.check(vec![0; 5]), Err(UpdateError::Unreadable(_))));
        assert!(matches!(update.check(update.bytes.clone()), Err(UpdateError::Unreadable(_))));
    }
}
