use super::*;
use EventKind::{Ack, Config, Discover, Initrd, Kernel, Nak, Nbp, Offer, Report, Request};
use EventKind::{Script, Tftp, Warning};

const BOOTS: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

/// Events a second apart.
fn boot(kinds: &[(EventKind, &str)]) -> Vec<Event> {
    let event = |(index, (kind, text)): (usize, &(EventKind, &str))| Event {
        at_ms: index as i64 * 1000,
        host: Some("n1".into()),
        mac: Some(BOOTS),
        kind: *kind,
        text: (*text).to_owned(),
    };
    kinds.iter().enumerate().map(event).collect()
}

/// The cause found `silent` seconds after the last event.
fn cause(kinds: &[(EventKind, &str)], facts: &Facts, silent: i64) -> Option<String> {
    let boot = boot(kinds);
    let last_ms = boot.last().map_or(0, |event| event.at_ms);
    find(&boot, facts, last_ms + silent * 1000).map(|stall| stall.cause)
}

#[test]
fn a_stopped_boot_is_told_by_its_likely_cause() {
    let live = Image { kernel: Some("k".into()), initrd: vec!["i".into()], ..Image::default() };
    let live = Facts { image: Some(live), ..Facts::default() };
    let bonded = Facts { lacp_macs: vec![BOOTS], vlans: vec![500], ..live.clone() };
    let d = (Discover, "asks for an address on eth0");
    let o = (Offer, "offered 10.0.0.5");
    let r = (Request, "asks for 10.0.0.5");
    let a = (Ack, "given 10.0.0.5");
    let sent = (Tftp, "sent snponly.efi (170 KiB) in 0.1 s");
    let script = (Script, "script to 10.0.0.5: boots live");
    let cases: &[(&str, &[_], &Facts, i64, &str)] = &[
        ("offers unheard", &[d, o, d, o, d, o, d, o], &live, 0, "4 offers, no request: another"),
        ("LACP", &[d, o, d, o, d, o], &bonded, 0, "LACP fallback"),
        ("one offer unheard", &[d, o], &live, 20, "did not take up the offer"),
        (
            "another server",
            &[d, o, (Request, "asks for 10.0.0.9; not answered: the client chose another server")],
            &live,
            0,
            "another DHCP server on this network answered it",
        ),
        (
            "pool empty",
            &[(Discover, "asks; not answered: no free address in the subnet's dhcp ranges")],
            &live,
            0,
            "does not answer it: no free address",
        ),
        ("NAK", &[r, (Nak, "x"), r, (Nak, "x"), r, (Nak, "may not")], &live, 0, "wrong address"),
        ("no fetch", &[d, o, r, a], &live, 45, "fetches nothing"),
        (
            "transfer ports",
            &[d, o, r, a, (Tftp, "snponly.efi stopped after 0 B of 170 KiB: the client stopped")],
            &live,
            0,
            "UDP from the transfer ports (1024 and up",
        ),
        ("program dead", &[d, o, r, a, sent], &live, 60, "Secure Boot"),
        ("HTTP Boot program dead", &[d, o, r, a, (Nbp, "x")], &live, 60, "Secure Boot"),
        ("no HTTP", &[d, o, r, a, sent, d, o, r, a], &live, 60, "TCP to the HTTP port"),
        ("loop", &[d, a, sent, d, a, sent, d, a, sent], &live, 0, "fetched 3 times"),
        (
            "unknown image",
            &[d, a, sent, (Script, "script to 10.0.0.5: waits, n1 has no image to boot")],
            &live,
            0,
            "the host waits for you: n1 has no image",
        ),
        ("no kernel", &[d, a, sent, script], &live, 60, "MTU"),
        ("no initrd", &[d, a, sent, script, (Kernel, "k")], &live, 60, "initrd does not"),
        ("no report", &[script, (Kernel, "k"), (Initrd, "i")], &live, 300, "does not report"),
        (
            "no report of a bond",
            &[script, (Kernel, "k"), (Initrd, "i"), (Config, "c")],
            &bonded,
            300,
            "LACP on both ports of the bond, VLAN 500 is not on the port",
        ),
        ("failed", &[(Config, "c"), (Report, "failed: no partner")], &live, 0, "no partner"),
    ];
    for (name, kinds, facts, silent, expected) in cases {
        let cause = cause(kinds, facts, *silent);
        assert!(cause.as_ref().is_some_and(|c| c.contains(expected)), "{name}: {cause:?}");
        if *silent > 0 {
            let sooner = self::cause(kinds, facts, silent - 1);
            assert_eq!(sooner, None, "{name} is told too soon");
        }
    }
}

#[test]
fn a_boot_that_goes_on_is_left_alone() {
    let disk = Image { local: true, ..Image::default() };
    let disk = Facts { image: Some(disk), ..Facts::default() };
    let none = Facts::default();
    let cases: &[(&str, &[_], &Facts, i64)] = &[
        ("nothing seen", &[], &none, 1000),
        ("only a warning", &[(Warning, "w")], &none, 1000),
        ("up", &[(Kernel, "k"), (Report, "up: all well")], &none, 100_000),
        ("just asked", &[(Discover, "d")], &none, 5),
        ("iPXE waits for IPv6", &[(Ack, "a"), (Tftp, "sent x")], &none, 20),
        ("an image is loading", &[(Script, "s"), (Kernel, "k"), (Initrd, "i")], &none, 200),
        ("its disk needs no server", &[(Discover, "d"), (Ack, "a")], &disk, 100_000),
    ];
    for (name, kinds, facts, silent) in cases {
        assert_eq!(cause(kinds, facts, *silent), None, "{name}");
    }
}
