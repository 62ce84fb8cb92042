//! What becomes of TFTP transfers when the server, its files or its interfaces come and go.

use std::time::{Duration, Instant};

use crate::common::tftp::{
    A_WHILE, Rack, Raw, block_of, error_of, read_all, read_request, wait_until,
};

#[test]
fn an_interface_is_served_when_it_appears_and_when_it_comes_back() {
    let rack = Rack::start_with("appears", |config| config.interfaces.push("late0".into()));
    rack.put("file", 10);
    for round in 0..2 {
        rack.server.join("late0", &rack.client, "late1");
        rack.server.ip("address add 10.78.0.1/24 dev late0");
        rack.client.ip("address add 10.78.0.100/24 dev late1");
        let client = Raw::bind(&rack.client, "10.78.0.100:0".parse().unwrap());
        wait_until(&format!("an answer in round {round}"), || {
            client.socket.send_to(&read_request("file", &[]), ("10.78.0.1", 69)).unwrap();
            client.receive_within(Duration::from_millis(100))
        });
        rack.server.ip("link del late0");
    }
    assert_eq!(read_all(&rack.socket(), "file").0.len(), 10);
}

#[test]
fn a_truncated_file_ends_its_transfer_and_nothing_else() {
    let mut rack = Rack::start("truncated");
    rack.put("large", 300_000);
    rack.put("other", 1000);
    let client = rack.socket();
    client.read("large", &[]);
    let (_, from) = client.receive();
    std::fs::write(rack.files().join("large"), "").unwrap();
    client.ack(1, from);
    let mut ending = client.receive().0;
    while ending[1] == 3 {
        client.ack(block_of(&ending), from);
        ending = client.receive().0;
    }
    assert_eq!(error_of(&ending), (0, "the file was truncated".into()));
    rack.wait_for_event("the file was truncated meanwhile");
    assert_eq!(read_all(&client, "other").0.len(), 1000);
}

#[test]
fn a_server_that_stops_finishes_what_runs_and_begins_nothing() {
    let mut rack = Rack::start("drain");
    let content = rack.put("file", 5000);
    let (client, late) = (rack.socket(), rack.socket());
    client.read("file", &[]);
    let (packet, from) = client.receive();
    rack.begin_stop();
    let mut got = packet[4..].to_vec();
    let mut block = block_of(&packet);
    while got.len() < content.len() {
        std::thread::sleep(Duration::from_millis(20));
        client.ack(block, from);
        let (packet, _) = client.receive();
        block = block_of(&packet);
        got.extend_from_slice(&packet[4..]);
    }
    late.read("file", &[]);
    assert!(late.receive_within(A_WHILE).is_none());
    client.ack(block, from);
    assert_eq!(got, content);
    let waited = Instant::now();
    rack.stop().unwrap();
    assert!(waited.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_transfer_that_cannot_be_finished_is_told_so() {
    let mut rack = Rack::start("cutoff");
    rack.put("file", 5000);
    let client = rack.socket();
    client.read("file", &[]);
    client.receive();
    rack.stop().unwrap();
    let mut last = client.receive().0;
    while last[1] == 3 {
        last = client.receive().0;
    }
    assert_eq!(error_of(&last), (0, "the server stops".into()));
}
