//! Bytes received by each host, from the counters of its taps.

use std::collections::HashMap;
use std::io;

use super::fabric::{PORTS, host_tap};
use super::inside::Inside;

/// Bytes by host, the first one first, as the namespace of the cables counts them.
pub(super) async fn bytes_into_hosts(cables: &Inside, hosts: usize) -> io::Result<Vec<u64>> {
    // The thread's own view: the process's would be of the operator's namespace.
    let table = cables.call(|| std::fs::read_to_string("/proc/thread-self/net/dev")).await?;
    let sent = sent_bytes(&table);
    let host = |host| {
        let port = |port| sent.get(host_tap(host, port).as_str()).copied().unwrap_or_default();
        (0..PORTS).map(port).sum()
    };
    Ok((1..=hosts).map(host).collect())
}

/// Sent bytes by interface, out of `/proc/net/dev` (proc_net(5)): what a tap sends, its guest gets.
fn sent_bytes(table: &str) -> HashMap<&str, u64> {
    let line = |line| -> Option<(&str, u64)> {
        let (name, numbers) = str::split_once(line, ':')?;
        Some((name.trim(), numbers.split_whitespace().nth(8)?.parse().ok()?))
    };
    table.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ninth_number_of_a_line_is_what_was_sent() {
        let table = "Inter-|   Receive                    |  Transmit\n\
                     \x20face |bytes    packets errs drop fifo frame compressed multicast|bytes\n\
                     host1-0: 1 2 0 0 0 0 0 0 31000000 4 0 0 0 0 0 0\n\
                     \x20   lo:       5       6    0    0    0     0          0         0 7 8 0 0 0 0 0 0\n";
        assert_eq!(sent_bytes(table), HashMap::from([("host1-0", 31_000_000), ("lo", 7)]));
    }
}
