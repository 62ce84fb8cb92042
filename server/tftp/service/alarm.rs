//! Wakes the loop when something is due, without setting a timer for each packet.
//!
//! `epoll_wait` with a timeout sets one whenever it sleeps and takes it back when it is woken: two
//! for each packet of a client that asks block by block. This one stays set until it rings; what
//! is due later by then has it set again. It also rings to the microsecond, where `epoll_wait`
//! counts whole milliseconds: a packet that was lost is sent again that much sooner.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

/// A timer (timerfd_create(2)) that rings in epoll.
pub(super) struct Alarm {
    timer: TimerFd,
    /// When it rings, on the clock of the service.
    rings_at: Option<Duration>,
}

impl Alarm {
    /// An alarm that epoll tells of by `mark`.
    pub(super) fn new(epoll: &Epoll, mark: u64) -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, mark))?;
        Ok(Self { timer, rings_at: None })
    }

    /// Sees to it that epoll wakes when `due` comes, and says how long it is to wait by itself.
    pub(super) fn set(&mut self, due: Duration, now: Duration) -> io::Result<EpollTimeout> {
        let wait = due.saturating_sub(now);
        if wait.is_zero() {
            return Ok(EpollTimeout::ZERO);
        }
        if self.rings_at.is_none_or(|at| due < at) {
            let once = Expiration::OneShot(wait.into());
            self.timer.set(once, TimerSetTimeFlags::empty())?;
            self.rings_at = Some(due);
        }
        Ok(EpollTimeout::NONE)
    }

    /// Takes in that it has rung.
    pub(super) fn take(&mut self) -> io::Result<()> {
        match self.timer.wait() {
            // It was set anew between its ringing and now.
            Err(Errno::EAGAIN) => Ok(()),
            rung => {
                self.rings_at = None;
                Ok(rung?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::epoll::EpollCreateFlags;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn it_is_set_for_the_earliest_and_rings_once() {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        let mut alarm = Alarm::new(&epoll, 7).unwrap();
        let now = Duration::from_secs(100);
        assert_eq!(alarm.set(now, now).unwrap(), EpollTimeout::ZERO, "it is due");
        assert_eq!(alarm.rings_at, None);
        let later = now + Duration::from_secs(60);
        for (due, rings_at) in
            [(later, later), (now + MILLISECOND, now + MILLISECOND), (later, now + MILLISECOND)]
        {
            assert_eq!(alarm.set(due, now).unwrap(), EpollTimeout::NONE);
            assert_eq!(alarm.rings_at, Some(rings_at));
        }
        let mut events = [EpollEvent::empty()];
        assert_eq!(epoll.wait(&mut events, 10_000_u16).unwrap(), 1);
        assert_eq!(events[0].data(), 7);
        alarm.take().unwrap();
        assert_eq!(alarm.rings_at, None);
        assert_eq!(epoll.wait(&mut events, EpollTimeout::ZERO).unwrap(), 0);
        alarm.take().unwrap();
    }
}
