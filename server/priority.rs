//! How soon a thread runs after it wakes.
#![allow(unsafe_code)] // sched_setattr has a wrapper neither in nix nor in libc.

use std::io;
use std::mem::size_of;
use std::time::Duration;

use nix::libc;

/// How long a thread that answers packets may keep a core from others at a time. The
/// kernel's own default is some 3 ms, and whoever wakes waits for the end of another's.
const SLICE: Duration = Duration::from_micros(250);

/// `struct sched_attr` (linux/sched/types.h), its first version.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

impl Attributes {
    /// A thread as any other.
    const NONE: Self = Self {
        size: size_of::<Self>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime: 0,
        deadline: 0,
        period: 0,
    };
}

/// Has the calling thread run as soon as it wakes, before every thread that is not of real time.
/// Threads that it starts are as any other. Asks for short turns where that needs a privilege
/// (`CAP_SYS_NICE`, or `RLIMIT_RTPRIO`). The kernel keeps a twentieth of each second for others.
pub(crate) fn answer_at_once() {
    let attributes = Attributes {
        policy: libc::SCHED_RR as u32,
        flags: libc::SCHED_FLAG_RESET_ON_FORK as u64,
        priority: 1,
        ..Attributes::NONE
    };
    if set(&attributes).is_err() {
        answer_soon();
    }
}

/// Has the calling thread run soon after it wakes, in return for short turns (Linux 6.12;
/// older kernels do not heed it). Its share of the processors stays the same.
pub(crate) fn answer_soon() {
    // SAFETY: takes and gives numbers; 0 is the calling thread.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = Attributes { nice, runtime: SLICE.as_nanos() as u64, ..Attributes::NONE };
    if let Err(error) = set(&attributes) {
        tracing::debug!("the thread's turns stay as long as they are: {error}");
    }
}

/// Sets how the calling thread is scheduled.
fn set(attributes: &Attributes) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as the structure says that it has.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attributes, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_real_time_starts_others_that_are_not() {
        // SAFETY: takes and gives numbers; 0 is the calling thread.
        let policy = || unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
        std::thread::spawn(move || {
            answer_at_once();
            assert!([libc::SCHED_RR, libc::SCHED_OTHER].contains(&policy()));
            assert_eq!(std::thread::spawn(policy).join().unwrap(), libc::SCHED_OTHER);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_thread_asks_for_short_turns_and_stays_as_nice_as_it_is() {
        std::thread::spawn(|| {
            let stat = || std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The 19th field of proc_pid_stat(5), of those after the name the 17th.
            let nice =
                |stat: &str| stat.rsplit(')').next().unwrap().split(' ').nth(17).map(str::to_owned);
            let before = nice(&stat());
            answer_soon();
            assert_eq!(nice(&stat()), before);
        })
        .join()
        .unwrap();
    }
}
