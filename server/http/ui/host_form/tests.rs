use super::*;
use crate::model::{Host, Location, ProfileTree};

fn form() -> HostForm {
    HostForm {
        name: "r1-n01".into(),
        unit: "7".into(),
        height: "2".into(),
        nics: vec![("eth0".into(), "5254.00AA.0001".into())],
        addresses: vec![("virbr0".into(), "172.16.160.12".into())],
        index: "12".into(),
        local_boot: "no-file".into(),
        labels: "database, db ,database,".into(),
        protected: true,
        parameters: vec![("rails".into(), "8".into()), ("note".into(), String::new())],
        ..HostForm::default()
    }
}

#[test]
fn a_host_and_its_form_say_the_same() {
    let (name, host) = form().host().unwrap();
    let again = HostForm::of(&name, &host);
    assert_eq!(again.nics, [("eth0".to_owned(), "52:54:00:aa:00:01".to_owned())]);
    assert_eq!(
        again.parameters,
        [("rails".to_owned(), "8".to_owned())],
        "what is empty is not given"
    );
    assert_eq!((again.labels.as_str(), host.labels.len()), ("database, db", 2));
    assert_eq!((again.local_boot.as_str(), again.protected), ("no-file", true));
    assert_eq!((again.height.as_str(), host.height), ("2", Some(2)));
    assert_eq!((again.index.as_str(), host.index), ("12", Some(12)));
    assert_eq!(again.host().unwrap(), (name, host));
}

#[test]
fn every_refused_value_is_named_at_its_field() {
    type Change = fn(&mut HostForm);
    let cases: [(Change, &str, &str); 14] = [
        (|f| f.local_boot = "disk".into(), "local-boot", "expected one of menu, sanboot, exit"),
        (|f| f.labels = "db, a b".into(), "labels", "\"a b\""),
        (|f| f.index = "-1".into(), "index", "\"-1\" is not a number of 0 or more"),
        (|f| f.name = "a_b".into(), "name", "\"a_b\""),
        (|f| f.rack = "a b".into(), "rack", "\"a b\""),
        (|f| f.unit = "0".into(), "unit", "1 to 100"),
        (|f| f.height = "0".into(), "height", "1 to 100"),
        (|f| f.rented_until = "soon".into(), "rented-until", "\"soon\" is not a day"),
        (|f| f.nics[0].1 = "52:54".into(), "nics.eth0", "\"52:54\""),
        (|f| f.nics[0].0 = String::new(), "nics.", "1 to 15"),
        (|f| f.nics.push(f.nics[0].clone()), "nics.eth0", "duplicate NIC"),
        (|f| f.addresses[0].1 = "172.16.160.300".into(), "addresses.virbr0", "\"172.16.160.300\""),
        (
            |f| f.addresses[0].1 = "172.16.160.12/24".into(),
            "addresses.virbr0",
            "leave out the prefix",
        ),
        (
            |f| f.reservations.push((String::new(), "10.0.0.1".into())),
            "reservations.",
            "select the subnet",
        ),
    ];
    for (change, place, text) in cases {
        let mut form = form();
        change(&mut form);
        let form_errors = form.host().unwrap_err();
        let said =
            form_errors.at(place).unwrap_or_else(|| panic!("nothing at {place}: {form_errors:?}"));
        assert!(said.contains(text), "{place}: {said}");
    }
}

#[test]
fn a_finding_stands_at_the_field_that_it_is_about() {
    let host = |name: &str, keys: &[&str]| Location::of::<Host>(name).within(keys.iter().copied());
    let own = |keys: &[&str]| host("r1-n01", keys);
    let cases = [
        (vec![own(&["addresses", "virbr0"])], "addresses.virbr0"),
        (vec![own(&["profile"])], "profile"),
        (vec![own(&["parameters", "rails"])], "parameters.rails"),
        (vec![own(&["index"])], "index"),
        (vec![own(&[])], "name"),
        (vec![own(&["nics", "eth0", "port"])], "nics.eth0"),
        (vec![own(&["addresses", "other"])], ""),
        (vec![own(&["network", "bonds", "bond0"])], ""),
        // One address on two hosts: the form is that of the second subject.
        (
            vec![host("r1-n02", &["addresses", "virbr0"]), own(&["addresses", "virbr0"])],
            "addresses.virbr0",
        ),
        (vec![host("r1-n02", &["nics", "eth0"]), own(&["nics", "eth0"])], "nics.eth0"),
        (vec![host("r1-n010", &["nics", "eth0"])], ""),
        (vec![Location::of::<ProfileTree>("x")], ""),
    ];
    for (subjects, place) in cases {
        assert_eq!(form().place(subjects.iter()), place, "{subjects:?}");
    }
}

#[test]
fn macs_alone_make_nics() {
    let read = |text: &str| {
        let form = HostForm::read(&Fields::parse(text.as_bytes()).unwrap(), "");
        let nic = |(label, mac): &(String, String)| format!("{label}={mac}");
        let rows: Vec<String> = form.nics.iter().chain(&form.cables).map(nic).collect();
        rows.join(" ")
    };
    let cases = [
        ("nic.label=&nic.mac=m1&nic.cable=&nic.label=&nic.mac=m2&nic.cable=", "eth0=m1 eth1=m2"),
        ("nic.label=eth0&nic.mac=&nic.cable=&nic.label=eth1&nic.mac=m2&nic.cable=", "eth1=m2"),
        (
            "nic.label=eth0&nic.mac=m1&nic.cable=&nic.label=&nic.mac=m2&nic.cable=s+p",
            "eth0=m1 eth1=m2 eth1=s p",
        ),
        (
            "nic.label=&nic.mac=m1&nic.cable=&nic.label=eth0&nic.mac=m2&nic.cable=",
            "eth1=m1 eth0=m2",
        ),
        ("nic.label=&nic.mac=&nic.cable=s+p", "eth0= eth0=s p"),
        ("nic.label=&nic.mac=", ""),
    ];
    for (fields, nics) in cases {
        assert_eq!(read(fields), nics, "{fields}");
    }
    let mut form = HostForm::default();
    form.offer_rows(&ResolvedSite::default());
    let labels: Vec<&str> = form.nics.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["eth0", "eth1"]);
}
