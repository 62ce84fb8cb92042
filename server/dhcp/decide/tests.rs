use super::*;
use crate::dhcp::test_packets::message;
use Decision::{Ack, Ignore, Inform, Nak, Offer};
use NakReason::{NotAvailable, NotYours};

/// Whom a message names as its server.
const NOBODY: Option<bool> = None;
const US: Option<bool> = Some(true);
const OTHER: Option<bool> = Some(false);

const RESERVED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);
const LEASED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 101);
const OFFERED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 102);
const PREVIOUS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 103);
const WANTED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 104);
const FREE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 105);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 7);

/// A client that nothing is known of, in a subnet with free addresses.
fn stranger() -> LeaseFacts {
    LeaseFacts { free: Some(FREE), may_lease: true, ..LeaseFacts::default() }
}

fn leasing() -> LeaseFacts {
    LeaseFacts { leased: Some(LEASED), known: true, ..stranger() }
}

fn owning() -> LeaseFacts {
    LeaseFacts { reserved: Some(RESERVED), known: true, ..stranger() }
}

/// A client's message, as far as its answer depends on it.
#[derive(Clone, Copy)]
struct TestMessage {
    /// None for BOOTP.
    message_type: Option<MessageType>,
    requested: Option<Ipv4Addr>,
    client_address: Option<Ipv4Addr>,
    names_us: Option<bool>,
    unicast: bool,
    /// Whether it comes from the address that the client says it uses.
    source_agrees: bool,
    rapid_commit: bool,
}

/// The decision about a message in a subnet that allows BOOTP or not.
fn decide_in(sent: &TestMessage, facts: &LeaseFacts, subnet: &Subnet) -> Decision {
    let TestMessage { message_type, requested, client_address, names_us, .. } = *sent;
    let requested = requested.map(|address| [&[50, 4][..], &address.octets()].concat());
    let mut options: Vec<&[u8]> = requested.iter().map(Vec::as_slice).collect();
    if sent.rapid_commit {
        options.push(&[80, 0]);
    }
    let mut bytes = message(message_type.map_or(1, u8::from), &options);
    if message_type.is_none() {
        bytes[240..243].fill(0);
    }
    let uses = client_address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    bytes[12..16].copy_from_slice(&uses.octets());
    let local = Ipv4Addr::new(10, 0, 0, 1);
    let source = if sent.source_agrees { uses } else { Ipv4Addr::new(10, 0, 0, 66) };
    let arrival = Arrival {
        source: std::net::SocketAddrV4::new(source, 68),
        destination: if sent.unicast { local } else { Ipv4Addr::BROADCAST },
        local,
        port: 67,
    };
    let facts = LeaseFacts { names_us, ..*facts };
    decide(&Packet::parse(&bytes).unwrap(), &arrival, subnet, &facts)
}

fn decide_sent(sent: &TestMessage, facts: &LeaseFacts) -> Decision {
    let subnet =
        Subnet { rapid_commit: true, ..crate::dhcp::test_packets::subnet("10.0.0.0/24", &[]) };
    decide_in(sent, facts, &subnet)
}

fn discover(requested: Option<Ipv4Addr>) -> TestMessage {
    TestMessage {
        message_type: Some(MessageType::Discover),
        requested,
        client_address: None,
        names_us: NOBODY,
        unicast: false,
        source_agrees: true,
        rapid_commit: false,
    }
}

fn selecting(names_us: Option<bool>, requested: Ipv4Addr) -> TestMessage {
    TestMessage { message_type: Some(MessageType::Request), names_us, ..discover(Some(requested)) }
}

fn rebooting(requested: Ipv4Addr) -> TestMessage {
    selecting(NOBODY, requested)
}

fn rebinding(address: Ipv4Addr) -> TestMessage {
    let client_address = Some(address);
    TestMessage { message_type: Some(MessageType::Request), client_address, ..discover(None) }
}

fn renewing(address: Ipv4Addr) -> TestMessage {
    TestMessage { unicast: true, ..rebinding(address) }
}

/// RFC 2131 section 4.3.1.
#[test]
fn a_discover_is_offered_the_best_address_there_is() {
    let wanted_free = LeaseFacts { requested_is_free: true, ..stranger() };
    let before = LeaseFacts { previous: Some(PREVIOUS), ..wanted_free };
    let offered = LeaseFacts { offered: Some(OFFERED), ..before };
    let leased = LeaseFacts { leased: Some(LEASED), ..offered };
    let reserved = LeaseFacts { reserved: Some(RESERVED), ..leased };
    let full = LeaseFacts { free: None, ..stranger() };
    let refused = LeaseFacts { may_lease: false, ..stranger() };
    let refused_owner = LeaseFacts { may_lease: false, ..owning() };
    let wish = Some(WANTED);
    let cases = [
        ("a new client gets a free address", None, stranger(), Offer(FREE)),
        ("a wish that is not free is passed over", wish, stranger(), Offer(FREE)),
        ("a wish beats any free address", wish, wanted_free, Offer(WANTED)),
        ("the previous address beats a wish", wish, before, Offer(PREVIOUS)),
        ("a running offer beats the previous address", wish, offered, Offer(OFFERED)),
        ("a lease beats an offer", wish, leased, Offer(LEASED)),
        ("an own address beats a lease", wish, reserved, Offer(RESERVED)),
        ("an empty pool stays silent", None, full, Ignore(Reason::PoolExhausted)),
        ("a refused stranger stays unanswered", None, refused, Ignore(Reason::UnknownRefused)),
        ("an own address needs no pool", None, refused_owner, Offer(RESERVED)),
    ];
    for (name, requested, facts, expected) in cases {
        assert_eq!(decide_sent(&discover(requested), &facts), expected, "{name}");
    }
}

/// RFC 2131 section 4.3.2, SELECTING.
#[test]
fn a_selecting_client_gets_what_it_was_offered() {
    let offered = LeaseFacts { offered: Some(OFFERED), ..stranger() };
    let forgotten = LeaseFacts { requested_is_free: true, ..stranger() };
    let refused = LeaseFacts { may_lease: false, ..forgotten };
    let cases = [
        ("our offer", selecting(US, OFFERED), offered, Ack(OFFERED)),
        ("an offer of our own address", selecting(US, RESERVED), owning(), Ack(RESERVED)),
        ("a lease that runs", selecting(US, LEASED), leasing(), Ack(LEASED)),
        ("an offer that a restart forgot", selecting(US, WANTED), forgotten, Ack(WANTED)),
        ("a stolen address", selecting(US, WANTED), stranger(), Nak(NotAvailable)),
        ("an old offer of one who owns another", selecting(US, WANTED), owning(), Nak(NotYours)),
        ("a stranger that became refused", selecting(US, WANTED), refused, Nak(NotAvailable)),
        ("another server", selecting(OTHER, OFFERED), offered, Ignore(Reason::OtherServer)),
    ];
    for (name, sent, facts, expected) in cases {
        assert_eq!(decide_sent(&sent, &facts), expected, "{name}");
    }
    let odd = TestMessage { names_us: US, ..rebinding(OFFERED) };
    assert_eq!(decide_sent(&odd, &offered), Ack(OFFERED), "the address stands in ciaddr");
}

/// RFC 2131 section 4.3.2, INIT-REBOOT.
#[test]
fn a_rebooting_client_keeps_its_address_or_hears_no() {
    let before = LeaseFacts { previous: Some(PREVIOUS), known: true, ..stranger() };
    let alone = LeaseFacts { authoritative: true, ..stranger() };
    let free = LeaseFacts { requested_is_free: true, ..stranger() };
    let free_alone = LeaseFacts { authoritative: true, ..free };
    let owner_alone = LeaseFacts { requested_is_free: true, authoritative: true, ..owning() };
    let refused = LeaseFacts { may_lease: false, ..free_alone };
    let cases = [
        ("its lease runs", LEASED, leasing(), Ack(LEASED)),
        ("its lease ended and is free", PREVIOUS, before, Ack(PREVIOUS)),
        ("it owns the address", RESERVED, owning(), Ack(RESERVED)),
        ("it owns another", LEASED, LeaseFacts { leased: Some(LEASED), ..owning() }, Nak(NotYours)),
        ("a known client on the wrong network", ELSEWHERE, leasing(), Nak(NotYours)),
        ("a known client whose address is gone", WANTED, before, Nak(NotAvailable)),
        ("a stranger", WANTED, stranger(), Ignore(Reason::NoRecord)),
        ("a stranger on the wrong network", ELSEWHERE, stranger(), Ignore(Reason::NoRecord)),
        ("a stranger where nobody else serves", WANTED, alone, Nak(NotAvailable)),
        ("the same, and the address is free", WANTED, free_alone, Ack(WANTED)),
        ("a free address, and others may serve", WANTED, free, Ignore(Reason::NoRecord)),
        ("a free address of one who owns another", WANTED, owner_alone, Nak(NotYours)),
        ("a free address of one who is refused", WANTED, refused, Nak(NotAvailable)),
    ];
    for (name, requested, facts, expected) in cases {
        assert_eq!(decide_sent(&rebooting(requested), &facts), expected, "{name}");
    }
}

/// RFC 2131 section 4.3.2, RENEWING and REBINDING.
#[test]
fn a_client_that_extends_keeps_its_own_address_only() {
    let before = LeaseFacts { previous: Some(PREVIOUS), known: true, ..stranger() };
    let adopted = LeaseFacts { leased: Some(LEASED), ..owning() };
    let alone = LeaseFacts { authoritative: true, ..stranger() };
    let free = LeaseFacts { requested_is_free: true, ..stranger() };
    let free_alone = LeaseFacts { authoritative: true, ..free };
    let refused = LeaseFacts { may_lease: false, ..free_alone };
    let adopting = LeaseFacts { requested_is_free: true, ..owning() };
    let adopting_alone = LeaseFacts { authoritative: true, ..adopting };
    let keeping = LeaseFacts { leased: Some(LEASED), keeps_leased: true, ..owning() };
    let taken = LeaseFacts { requested_is_free: false, ..adopting_alone };
    let moved = LeaseFacts { requested_is_free: true, authoritative: true, ..leasing() };
    let cases = [
        ("renewing its lease", renewing(LEASED), leasing(), Ack(LEASED)),
        ("renewing its own address", renewing(RESERVED), owning(), Ack(RESERVED)),
        ("renewing a lease that ended", renewing(PREVIOUS), before, Ack(PREVIOUS)),
        ("adopted: on to its own address", renewing(LEASED), adopted, Nak(NotYours)),
        ("renewing what is another's", renewing(WANTED), leasing(), Nak(NotYours)),
        ("a stranger renews with us", renewing(WANTED), stranger(), Ignore(Reason::NoRecord)),
        ("a stranger renews a free address", renewing(WANTED), free, Ignore(Reason::NoRecord)),
        ("the same where nobody else serves", renewing(WANTED), free_alone, Ack(WANTED)),
        ("the same by broadcast", rebinding(WANTED), free_alone, Ack(WANTED)),
        ("a refused stranger renews", renewing(WANTED), refused, Nak(NotAvailable)),
        (
            "one that owns another renews a free one",
            renewing(WANTED),
            adopting,
            Ignore(Reason::NoRecord),
        ),
        ("the same where nobody else serves", renewing(WANTED), adopting_alone, Ack(WANTED)),
        ("the same by broadcast", rebinding(WANTED), adopting_alone, Ack(WANTED)),
        ("once more", renewing(LEASED), keeping, Ack(LEASED)),
        ("one that owns another renews a taken one", renewing(WANTED), taken, Nak(NotYours)),
        ("a free address by one that leases another", renewing(WANTED), moved, Nak(NotYours)),
        ("rebinding its lease", rebinding(LEASED), leasing(), Ack(LEASED)),
        ("rebinding on another network", rebinding(ELSEWHERE), leasing(), Nak(NotYours)),
        ("a stranger rebinds", rebinding(WANTED), stranger(), Ignore(Reason::NoRecord)),
        ("a stranger rebinds where we are alone", rebinding(WANTED), alone, Nak(NotAvailable)),
    ];
    for (name, sent, facts, expected) in cases {
        assert_eq!(decide_sent(&sent, &facts), expected, "{name}");
    }
    let empty = TestMessage { requested: None, ..rebooting(WANTED) };
    assert_eq!(decide_sent(&empty, &leasing()), Ignore(Reason::NoAddress), "no address at all");
}

/// RFC 2131 sections 4.3.3 and 4.3.4.
#[test]
fn only_the_holder_may_refuse_or_return_an_address() {
    let holding = LeaseFacts { holds_requested: true, ..leasing() };
    let decline =
        |whom| TestMessage { message_type: Some(MessageType::Decline), ..selecting(whom, LEASED) };
    let release = |names_us, source_agrees| {
        let message_type = Some(MessageType::Release);
        TestMessage { message_type, names_us, source_agrees, ..renewing(LEASED) }
    };
    let to_us = |sent| TestMessage { unicast: true, ..sent };
    let to_all = |sent| TestMessage { unicast: false, ..sent };
    let declined = Decision::Decline(LEASED);
    let released = Decision::Release(LEASED);
    let not_its = Ignore(Reason::NotItsLease);
    let cases = [
        ("the holder declines", decline(US), holding, declined),
        ("a stranger declines", decline(US), stranger(), not_its),
        ("a decline for nobody", decline(NOBODY), holding, not_its),
        ("a decline for another server", decline(OTHER), holding, Ignore(Reason::OtherServer)),
        ("the holder releases", release(US, true), holding, released),
        ("a stranger releases", release(US, true), stranger(), not_its),
        ("a release for nobody", to_all(release(NOBODY, true)), holding, not_its),
        ("networkd's release, to us alone", to_us(release(NOBODY, true)), holding, released),
        ("the same of a stranger", to_us(release(NOBODY, true)), stranger(), not_its),
        (
            "the same from elsewhere",
            to_us(release(NOBODY, false)),
            holding,
            Ignore(Reason::WrongSource),
        ),
        (
            "a release for another server",
            release(OTHER, true),
            holding,
            Ignore(Reason::OtherServer),
        ),
        ("a release from elsewhere", release(US, false), holding, Ignore(Reason::WrongSource)),
    ];
    for (name, sent, facts, expected) in cases {
        assert_eq!(decide_sent(&sent, &facts), expected, "{name}");
    }
    for kind in [MessageType::Decline, MessageType::Release] {
        let nothing = TestMessage { message_type: Some(kind), ..discover(None) };
        assert_eq!(
            decide_sent(&nothing, &holding),
            Ignore(Reason::NoAddress),
            "{kind:?} of nothing"
        );
    }
}

/// RFC 2131 section 4.3.5; RFC 4388 (LEASEQUERY) is not spoken.
#[test]
fn an_inform_is_answered_and_what_servers_say_is_not() {
    let inform = TestMessage { message_type: Some(MessageType::Inform), ..renewing(ELSEWHERE) };
    assert_eq!(decide_sent(&inform, &stranger()), Inform(ELSEWHERE));
    let nameless = TestMessage { client_address: None, ..inform };
    assert_eq!(decide_sent(&nameless, &stranger()), Ignore(Reason::NoAddress));
    for number in (0..=255).filter(|number| !matches!(number, 1 | 3 | 4 | 7 | 8)) {
        let sent =
            TestMessage { message_type: Some(MessageType::from(number)), ..renewing(LEASED) };
        assert_eq!(decide_sent(&sent, &leasing()), Ignore(Reason::NotForUs), "type {number}");
    }
}

/// RFC 4039.
#[test]
fn a_rapid_client_is_given_at_once_what_it_would_be_offered() {
    let rapid = TestMessage { rapid_commit: true, ..discover(Some(WANTED)) };
    let cases = [
        ("a new client", stranger(), Ack(FREE)),
        ("its wish", LeaseFacts { requested_is_free: true, ..stranger() }, Ack(WANTED)),
        ("its lease", leasing(), Ack(LEASED)),
        ("its own address", owning(), Ack(RESERVED)),
        ("nothing is free", LeaseFacts { free: None, ..stranger() }, Ignore(Reason::PoolExhausted)),
        ("refused", LeaseFacts { may_lease: false, ..stranger() }, Ignore(Reason::UnknownRefused)),
    ];
    for (name, facts, expected) in cases {
        assert_eq!(decide_sent(&rapid, &facts), expected, "{name}");
    }
}

#[test]
fn a_standby_server_waits_for_new_clients_only() {
    let subnet =
        Subnet { min_secs: Some(4), ..crate::dhcp::test_packets::subnet("10.0.0.0/24", &[]) };
    let cases = [
        ("a discover", discover(None), Ignore(Reason::TooEarly)),
        ("its own client selects", selecting(US, LEASED), Ack(LEASED)),
        ("its own client renews", renewing(LEASED), Ack(LEASED)),
        ("its own client rebinds", rebinding(LEASED), Ack(LEASED)),
    ];
    for (name, sent, expected) in cases {
        assert_eq!(decide_in(&sent, &leasing(), &subnet), expected, "{name}");
    }
}

/// RFC 1534.
#[test]
fn bootp_is_for_hosts_that_own_an_address_where_it_is_allowed() {
    let bootp = TestMessage { message_type: None, ..discover(None) };
    let cases = [
        ("an owner", true, owning(), Decision::Bootp(RESERVED)),
        ("an owner where it is off", false, owning(), Ignore(Reason::NoBootp)),
        ("a stranger", true, stranger(), Ignore(Reason::NoBootp)),
        ("one that leases", true, leasing(), Ignore(Reason::NoBootp)),
    ];
    for (name, allowed, facts, expected) in cases {
        let subnet =
            Subnet { bootp: allowed, ..crate::dhcp::test_packets::subnet("10.0.0.0/24", &[]) };
        assert_eq!(decide_in(&bootp, &facts, &subnet), expected, "{name}");
    }
}
