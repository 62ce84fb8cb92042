//! A nearby client's acknowledgements clock its files out, not timers.
//!
//! A machine whose usual congestion control is BBR starts a timer for every few packets. To a
//! client in the next rack that only costs: five times the processor seconds per byte, measured
//! on a virtual machine. Far away it is what the operator chose it for, and stays.
#![allow(unsafe_code)] // nix has no TCP_INFO.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::libc;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// What waits for acknowledgements alone, the better first. Everyone may choose reno;
/// cubic whoever has CAP_NET_ADMIN or has it as the usual one (ip-sysctl).
const UNPACED: [&[u8]; 2] = [b"cubic", b"reno"];
/// A round trip below this stays within a datacenter.
const NEAR: Duration = Duration::from_millis(1);

/// The machine's usual congestion control, where nearby clients get another.
pub struct Usual(Option<Vec<u8>>);

impl Usual {
    /// Looks at what connections of `listener` would have, and takes the timers out of it.
    pub fn of(listener: &TcpListener) -> Self {
        let socket = SockRef::from(listener);
        let usual = socket.tcp_congestion().ok().filter(|name| paces(name));
        Self(usual.filter(|_| UNPACED.iter().any(|name| socket.set_tcp_congestion(name).is_ok())))
    }

    /// Gives a connection back what is usual, unless its client is nearby.
    pub fn suit(&self, stream: &TcpStream) -> io::Result<()> {
        let Some(usual) = &self.0 else { return Ok(()) };
        match is_near(round_trip(stream)?) {
            true => Ok(()),
            false => SockRef::from(stream).set_tcp_congestion(usual),
        }
    }
}

/// Whether a congestion control sends by timers. Its name may be padded with zeros.
fn paces(name: &[u8]) -> bool {
    name.starts_with(b"bbr")
}

/// A round trip of zero was not measured.
fn is_near(round_trip: Duration) -> bool {
    !round_trip.is_zero() && round_trip < NEAR
}

/// What the handshake took to the client and back, zero if that is unknown. tcp(7), `TCP_INFO`.
fn round_trip(stream: &impl AsFd) -> io::Result<Duration> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let socket = stream.as_fd().as_raw_fd();
    // SAFETY: the kernel writes `length` bytes at most; all of the structure are plain numbers,
    // valid as the zeros that it leaves.
    let info = unsafe {
        let (level, name) = (libc::IPPROTO_TCP, libc::TCP_INFO);
        let status =
            libc::getsockopt(socket, level, name, info.as_mut_ptr().cast(), &raw mut length);
        nix::errno::Errno::result(status)?;
        info.assume_init()
    };
    Ok(Duration::from_micros(info.tcpi_rtt.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_near() {
        for (micros, near) in [(0, false), (30, true), (999, true), (1_000, false)] {
            assert_eq!(is_near(Duration::from_micros(micros)), near, "{micros}");
        }
    }

    #[tokio::test]
    async fn a_nearby_client_waits_for_no_timer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Where the kernel has no BBR nothing is to be changed.
        let has_bbr = SockRef::from(&listener).set_tcp_congestion(b"bbr").is_ok();
        let usual = Usual::of(&listener);
        assert_eq!(usual.0.is_some(), has_bbr);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(round_trip(&stream).unwrap() > Duration::ZERO);
        assert!(!paces(&SockRef::from(&stream).tcp_congestion().unwrap()));
        usual.suit(&stream).unwrap();
    }
}
