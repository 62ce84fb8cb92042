//! How soon a thread runs after it wakes.
#![allow(unsafe_code)] // sched_setattr has a wrapper neither in nix nor in libc.

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

/// Has the calling thread run soon after it wakes, in return for short turns (Linux 6.12;
/// older kernels do not heed it). Its share of the processors stays the same.
pub(crate) fn answer_soon() {
    // SAFETY: takes and gives numbers; 0 is the calling thread.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice,
        priority: 0,
        runtime: SLICE.as_nanos() as u64,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads as many bytes as the structure says that it has.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if done != 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!("the thread's turns stay as long as they are: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
