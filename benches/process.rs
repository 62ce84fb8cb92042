//! A server under measurement: started, weighed and ended with everything it forked.

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::time::ClockId;
use nix::unistd::gettid;

/// The kernel's clock ticks in a second, of `/proc/PID/stat` (`USER_HZ`, the same on every architecture).
const TICKS: f64 = 100.0;

/// A running server and its children. Ended when dropped.
pub(crate) struct Process {
    child: Child,
}

/// What a server used during a measurement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Seconds of processor time, user and kernel.
    pub cpu: f64,
    /// The most anonymous memory it had, in MB (10^6 bytes): without the files it maps.
    pub anonymous_mb: f64,
    /// Resident memory at the end, in MB.
    pub resident_mb: f64,
}

impl Process {
    /// Starts a server in the foreground; its output goes to `log`.
    pub(crate) fn start(mut command: Command, log: &std::path::Path) -> std::io::Result<Self> {
        let log = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .spawn()?;
        Ok(Self { child })
    }

    /// Its process id; `ip netns exec` gives way to the server itself.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Processor seconds so far, of it and all its children, living and reaped.
    pub(crate) fn cpu(&self) -> f64 {
        let of = |process: &Relative| own_cpu(process.id) + process.reaped_ticks as f64 / TICKS;
        family(self.id()).iter().map(of).sum()
    }

    /// Resident and anonymous megabytes of it and its children.
    pub(crate) fn memory(&self) -> (f64, f64) {
        memory(self.id())
    }

    /// Runs `work` and says what the server used meanwhile.
    pub(crate) fn weigh<T>(&self, work: impl FnOnce() -> T) -> (T, Usage) {
        let before = self.cpu();
        let peak = Peak::start(self.id());
        let result = work();
        let anonymous_mb = peak.stop();
        let (resident_mb, _) = self.memory();
        assert!(resident_mb > 0.0, "the server ended before its measurement: who answered?");
        (result, Usage { cpu: self.cpu() - before, anonymous_mb, resident_mb })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Stopped first: nginx begins a new worker as soon as one is killed. Then its children:
        // a server killed outright leaves its workers behind, and those go on answering.
        send(self.id(), Signal::SIGSTOP);
        let children = family(self.id()).into_iter().map(|p| p.id).filter(|id| *id != self.id());
        for id in children.chain([self.id()]) {
            send(id, Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

fn send(id: u32, signal: Signal) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id as i32), signal);
}

/// The most anonymous memory seen, sampled every 20 ms.
struct Peak {
    stop: Arc<AtomicBool>,
    sampler: JoinHandle<f64>,
}

impl Peak {
    fn start(id: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let sampler = thread::spawn(move || {
            let mut most = 0.0_f64;
            while !seen.load(Ordering::Relaxed) {
                most = most.max(memory(id).1);
                thread::sleep(Duration::from_millis(20));
            }
            most.max(memory(id).1)
        });
        Self { stop, sampler }
    }

    fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sampler.join().unwrap_or_default()
    }
}

struct Relative {
    id: u32,
    parent: u32,
    /// Of children that have ended.
    reaped_ticks: u64,
}

/// A process and all that descend from it.
fn family(id: u32) -> Vec<Relative> {
    let mut all: HashMap<u32, Relative> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| read_stat(entry.file_name().to_str()?.parse().ok()?))
        .map(|process| (process.id, process))
        .collect();
    let mut members: Vec<Relative> = all.remove(&id).into_iter().collect();
    loop {
        let known: Vec<u32> = members.iter().map(|member| member.id).collect();
        let next: Vec<u32> =
            all.values().filter(|p| known.contains(&p.parent)).map(|p| p.id).collect();
        if next.is_empty() {
            return members;
        }
        members.extend(next.into_iter().filter_map(|id| all.remove(&id)));
    }
}

/// Processor seconds of one process, to the nanosecond: a short load lasts a few ticks.
fn own_cpu(id: u32) -> f64 {
    let clock = ClockId::pid_cpu_clock_id(nix::unistd::Pid::from_raw(id as i32));
    let time = clock.and_then(nix::time::clock_gettime);
    time.map_or(0.0, |time| Duration::from(time).as_secs_f64())
}

/// Parent and reaped children's times of `/proc/PID/stat` (proc(5)); the name in brackets may hold anything.
fn read_stat(id: u32) -> Option<Relative> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let reaped_ticks = fields.get(13..15)?.iter().filter_map(|f| f.parse::<u64>().ok()).sum();
    Some(Relative { id, parent, reaped_ticks })
}

/// What the machine's own host gives to others while it runs: a virtual machine's processors
/// may be taken away for milliseconds, and no program on it can do anything about that.
pub(crate) struct Stolen(ProcessorTicks);

/// Ticks of all processors since the start: all, and those that were taken away.
type ProcessorTicks = (u64, u64);

impl Stolen {
    /// From now on.
    pub(crate) fn begin() -> Self {
        Self(processor_ticks())
    }

    /// The part of the processors' time that was taken away since.
    pub(crate) fn percent(self) -> f64 {
        let (all, stolen) = processor_ticks();
        (stolen - self.0.1) as f64 * 100.0 / (all - self.0.0).max(1) as f64
    }
}

/// The first line of `/proc/stat` (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal.
fn processor_ticks() -> ProcessorTicks {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let ticks: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    (ticks.iter().sum(), ticks.last().copied().unwrap_or_default())
}

fn memory(id: u32) -> (f64, f64) {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let megabytes = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or(0.0) * 1024.0 / 1e6
    };
    let own = (megabytes("VmRSS:"), megabytes("RssAnon:"));
    children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .map(memory)
        .fold(own, |sum, child| (sum.0 + child.0, sum.1 + child.1))
}

/// Has the calling thread run whenever it wants to. What stands for other machines waits for no
/// processor of the server's: a pause of its own would be taken for the server's.
pub(crate) fn wait_for_nobody() {
    let thread = gettid().to_string();
    let done = Command::new("chrt").args(["--fifo", "--pid", "1", &thread]).status();
    assert!(done.is_ok_and(|status| status.success()), "chrt gives a thread priority");
}

/// Waits until `ready` is true, `limit` at most; says whether it became so.
pub(crate) fn wait_until(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if ready() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    ready()
}

/// Counts the calls that wait for the disk while `work` runs, by `strace`; none if it is missing.
pub(crate) fn count_syncs(id: u32, dir: &std::path::Path, work: impl FnOnce()) -> Option<u64> {
    let report = dir.join("strace.txt");
    let mut tracer = Command::new("strace")
        .args(["-f", "-q", "-e", "trace=fsync,fdatasync,msync,sync_file_range", "-o"])
        .arg(&report)
        .args(["-p", &id.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let status = format!("/proc/{id}/status");
    wait_until(Duration::from_secs(2), || {
        fs::read_to_string(&status).is_ok_and(|text| !text.contains("TracerPid:\t0"))
    });
    work();
    send(tracer.id(), Signal::SIGINT);
    let _ = tracer.wait();
    let text = fs::read_to_string(&report).ok()?;
    let is_call = |line: &&str| line.contains("sync") && !line.contains("resumed");
    Some(text.lines().filter(is_call).count() as u64)
}
