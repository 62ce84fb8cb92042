use EventKind::{Ack, Config, Discover, Initrd, Kernel, Nak, Nbp, Offer, Report, Request};
use EventKind::{Script, Tftp, Warning};

use super::*;
use crate::lifecycle::client::{Arch, Client};
use crate::lifecycle::event::{self, Ending, EventData, ScriptSays};
use crate::lifecycle::samples::{self, data, question, tftp_end};

const BOOTS: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

/// The cause found `silent` seconds after the last of these events, which are a second apart.
fn cause(events: &[EventData], context: &BootContext, silent: i64) -> Option<String> {
    let mut events = samples::events((0..).zip(events.iter().cloned()));
    for event in &mut events {
        event.mac = Some(BOOTS);
    }
    let last_ms = events.last().map_or(0, |event| event.at_ms);
    let boot = Boot::of(&events);
    let stall = find(&boot, context, Patience::default(), last_ms + silent * 1000)?;
    Some(stall.cause.to_string())
}

fn refused(kind: EventKind, reason: Reason) -> EventData {
    let question = question(Client::Pxe(Arch::X64Efi), Some(reason));
    match kind {
        Discover => EventData::Discover(question),
        _ => EventData::Request(question),
    }
}

fn waits(reason: WaitReason) -> EventData {
    let says = ScriptSays::WaitingFor(vec![reason]);
    EventData::Script(event::Script { to: samples::ADDRESS.into(), says })
}

#[test]
fn a_stopped_boot_has_its_likely_cause() {
    let live = Image { kernel: Some("k".into()), initrd: vec!["i".into()], ..Image::default() };
    let live = BootContext { image: Some(live), ..BootContext::default() };
    let bonded = BootContext { lacp_macs: vec![BOOTS], vlans: vec![500], ..live.clone() };
    let of = |kinds: &[EventKind]| kinds.iter().map(|kind| data(*kind)).collect::<Vec<_>>();
    let and = |kinds: &[EventKind], last: EventData| [of(kinds), vec![last]].concat();
    let cases: Vec<(&str, Vec<EventData>, &BootContext, i64, &str)> = vec![
        (
            "offers unheard",
            of(&[Discover, Offer, Discover, Offer, Discover, Offer, Discover, Offer]),
            &live,
            0,
            "4 offers, no request: another",
        ),
        (
            "LACP",
            of(&[Discover, Offer, Discover, Offer, Discover, Offer]),
            &bonded,
            0,
            "LACP fallback",
        ),
        ("asked once", of(&[Discover]), &live, 20, "asked once"),
        ("one offer unheard", of(&[Discover, Offer]), &live, 20, "did not take up the offer"),
        ("no answer", of(&[Discover, Offer, Request]), &live, 45, "was not answered"),
        (
            "another server",
            and(&[Discover, Offer], refused(Request, Reason::OtherServer)),
            &live,
            0,
            "another DHCP server on this network answered it",
        ),
        (
            "pool empty",
            vec![refused(Discover, Reason::PoolExhausted)],
            &live,
            0,
            "does not answer it: no free address",
        ),
        ("NAK", of(&[Request, Nak, Request, Nak, Request, Nak]), &live, 0, "wrong address"),
        ("one NAK", of(&[Request, Nak]), &live, 45, "did not ask again"),
        ("no fetch", of(&[Discover, Offer, Request, Ack]), &live, 45, "fetches nothing"),
        (
            "transfer ports",
            and(&[Discover, Offer, Request, Ack], tftp_end(Ending::Silent, 0)),
            &live,
            0,
            "UDP from the transfer ports (1024 and up",
        ),
        ("program dead", of(&[Discover, Offer, Request, Ack, Tftp]), &live, 60, "Secure Boot"),
        (
            "HTTP Boot program dead",
            of(&[Discover, Offer, Request, Ack, Nbp]),
            &live,
            60,
            "Secure Boot",
        ),
        (
            "no HTTP",
            of(&[Discover, Offer, Request, Ack, Tftp, Discover, Offer, Request, Ack]),
            &live,
            60,
            "TCP to the HTTP port",
        ),
        (
            "loop",
            of(&[Discover, Ack, Tftp, Discover, Ack, Tftp, Discover, Ack, Tftp]),
            &live,
            0,
            "fetched 3 times",
        ),
        (
            "no image",
            and(&[Discover, Ack, Tftp], waits(WaitReason::NoImage { host: "n1".into() })),
            &live,
            0,
            "the host waits for you: n1 has no image",
        ),
        ("no kernel", of(&[Discover, Ack, Tftp, Script]), &live, 60, "MTU"),
        ("no initrd", of(&[Discover, Ack, Tftp, Script, Kernel]), &live, 60, "initrd does not"),
        ("no report", of(&[Script, Kernel, Initrd]), &live, 300, "does not report"),
        (
            "no report of a bond",
            of(&[Script, Kernel, Initrd, Config]),
            &bonded,
            300,
            "LACP on both ports of the bond, VLAN 500 is not on the port",
        ),
        (
            "failed",
            and(&[Config], samples::report(ReportResult::Failed, "no partner")),
            &live,
            0,
            "failed: no partner",
        ),
    ];
    for (name, events, context, silent, expected) in cases {
        let cause = cause(&events, context, silent);
        assert!(cause.as_ref().is_some_and(|c| c.contains(expected)), "{name}: {cause:?}");
        if silent > 0 {
            let sooner = self::cause(&events, context, silent - 1);
            assert_eq!(sooner, None, "{name} is found too soon");
        }
    }
}

#[test]
fn a_boot_that_goes_on_is_left_alone() {
    let disk = Image { local: true, ..Image::default() };
    let disk = BootContext { image: Some(disk), ..BootContext::default() };
    let none = BootContext::default();
    let cases: &[(&str, &[EventKind], &BootContext, i64)] = &[
        ("nothing seen", &[], &none, 1000),
        ("only a warning", &[Warning], &none, 1000),
        ("up", &[Kernel, Report], &none, 100_000),
        ("just asked", &[Discover], &none, 5),
        ("iPXE waits for IPv6", &[Ack, Tftp], &none, 20),
        ("an image is loading", &[Script, Kernel, Initrd], &none, 200),
        ("its disk needs no server", &[Discover, Ack], &disk, 100_000),
    ];
    for (name, kinds, context, silent) in cases {
        let events: Vec<EventData> = kinds.iter().map(|kind| data(*kind)).collect();
        assert_eq!(cause(&events, context, *silent), None, "{name}");
    }
}

#[test]
fn a_transfer_that_goes_through_after_all_is_no_cause() {
    let events = [data(Ack), tftp_end(Ending::Silent, 0), data(Tftp)];
    assert_eq!(cause(&events, &BootContext::default(), 0), None);
}

#[test]
fn patience_can_be_short() {
    let events = samples::events([(0, data(Discover)), (1, data(Offer))]);
    let found = |now_ms| {
        let patience = Patience { percent: 5 };
        find(&Boot::of(&events), &BootContext::default(), patience, now_ms).map(|stall| stall.cause)
    };
    assert_eq!(found(1999), None);
    assert_eq!(found(2000), Some(Cause::OfferUnheard));
}
