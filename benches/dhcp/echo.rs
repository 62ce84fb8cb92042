//! The least that could answer DHCP: one thread that turns each packet round, looks nothing up
//! and waits for no other thread. Its delay is the machine's own.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};

use super::packet;
use crate::burst::{self, Inbox};
use crate::lab::{Lab, SERVER};
use crate::process::wait_for_nobody;

/// Where it listens: the server that it is compared with has port 67.
pub(super) const PORT: u16 = 6767;

/// Runs `work` while it answers in the server namespace.
pub(super) fn beside<T>(lab: &Lab, work: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| lab.in_server(|| answer(&stop)));
        // Until it listens.
        thread::sleep(Duration::from_millis(100));
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn answer(stop: &AtomicBool) {
    let socket = UdpSocket::bind((SERVER, PORT)).expect("the port is free here");
    burst::widen(&socket, 8 << 20);
    wait_for_nobody();
    let mut inbox = Inbox::new(1500);
    while !stop.load(Ordering::Relaxed) {
        let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut waiting, 20_u8);
        for number in 0..inbox.receive(&socket) {
            let (bytes, from) = inbox.datagram(number);
            let reply = packet::turned_round(bytes, SERVER);
            if let (Some(reply), Some(from)) = (reply, from) {
                let _ = socket.send_to(&reply, from);
            }
        }
    }
}
