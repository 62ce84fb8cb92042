//! The latest boot instructions of each client, to break boot loops. Pure.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::UrlName;
use super::arch::Client;
use super::next::Next;
pub(crate) use crate::lifecycle::reason::Detour;

/// A program sent this often within `LOOP_SECONDS` is a loop.
const LOOP_TIMES: u32 = 3;
const LOOP_SECONDS: i64 = 60;
/// How long it is remembered that an iPXE without HTTP was sent to ours, in seconds.
const CHAINED_SECONDS: i64 = 300;
/// More clients than this are not remembered at once. A hash table of 16,384 places is full then.
const MAX_CLIENTS: usize = 14_336;

/// The trails of all clients of a link.
#[derive(Debug, Default)]
pub(crate) struct BootTrails {
    of: HashMap<UrlName, Trail, RandomState>,
    /// When room was last made, in Unix seconds.
    swept_at: i64,
}

#[derive(Debug)]
struct Trail {
    /// The transaction id of the last request and its answer: a retransmission gets the same one.
    last: (u32, Next),
    /// Since when programs are counted.
    since: i64,
    times: u32,
    chained_at: Option<i64>,
    seen_at: i64,
}

impl BootTrails {
    /// What the client of that name boots: `next`, unless that is a loop. A retransmission
    /// repeats the transaction id.
    pub(crate) fn choose(
        &self,
        name: &UrlName,
        client: Client,
        transaction_id: u32,
        next: Next,
        now: i64,
    ) -> (Next, Option<Detour>) {
        let Some(trail) = self.of.get(name).filter(|_| is_program(&next)) else {
            return (next, None);
        };
        if trail.last.0 == transaction_id {
            return (trail.last.1.clone(), None);
        }
        let chained = trail.chained_at.is_some_and(|at| now - at < CHAINED_SECONDS);
        if chained && matches!(client, Client::IpxeWithoutHttp(_)) {
            return (Next::Script, Some(Detour::Chained));
        }
        if trail.times >= LOOP_TIMES && now - trail.since < LOOP_SECONDS {
            return (Next::Script, Some(Detour::Loop));
        }
        (next, None)
    }

    /// Remembers `next` as sent in an ACK.
    pub(crate) fn record(
        &mut self,
        name: &UrlName,
        client: Client,
        transaction_id: u32,
        next: &Next,
        now: i64,
    ) {
        // Not for every packet of a crowd: it looks at all of them.
        if self.of.len() >= MAX_CLIENTS && self.swept_at != now {
            self.swept_at = now;
            self.of.retain(|_, trail| now - trail.seen_at < LOOP_SECONDS);
        }
        let known = self.of.get(name);
        if known.is_some_and(|trail| trail.last.0 == transaction_id)
            || (known.is_none() && self.of.len() >= MAX_CLIENTS)
        {
            return;
        }
        let trail = self.of.entry(name.clone()).or_insert_with(|| Trail {
            last: (transaction_id, next.clone()),
            since: now,
            times: 0,
            chained_at: None,
            seen_at: now,
        });
        trail.last = (transaction_id, next.clone());
        trail.seen_at = now;
        if !is_program(next) {
            // The circle is broken: a program may be tried again.
            (trail.times, trail.chained_at) = (0, None);
            return;
        }
        if now - trail.since >= LOOP_SECONDS || trail.times == 0 {
            (trail.since, trail.times) = (now, 0);
        }
        trail.times += 1;
        if matches!(client, Client::IpxeWithoutHttp(_)) {
            trail.chained_at = Some(now);
        }
    }
}

fn is_program(next: &Next) -> bool {
    matches!(next, Next::Nbp(_))
}

#[cfg(test)]
mod tests {
    use super::super::arch::Arch;
    use super::*;
    use crate::model::{Mac, NicAddress};

    static NAME: UrlName = UrlName::Nic(NicAddress::Mac(Mac([0x52, 0x54, 0, 0, 0, 1])));

    /// One boot: the choice of the OFFER is the choice of the ACK, also asked twice.
    fn boot(
        trails: &mut BootTrails,
        client: Client,
        transaction_id: u32,
        now: i64,
        next: &Next,
    ) -> (Next, Option<Detour>) {
        let offered = trails.choose(&NAME, client, transaction_id, next.clone(), now);
        trails.record(&NAME, client, transaction_id, &offered.0, now);
        let (again, _) = trails.choose(&NAME, client, transaction_id, next.clone(), now);
        assert_eq!(again, offered.0);
        trails.record(&NAME, client, transaction_id, &again, now);
        offered
    }

    #[test]
    fn a_program_that_comes_round_again_and_again_gives_way_to_the_script_once() {
        let mut trails = BootTrails::default();
        let nbp = Next::Nbp("undionly.kpxe".into());
        let bios = Client::Pxe(Arch::Bios);
        let detours: Vec<Option<Detour>> = (0..8)
            .map(|number| boot(&mut trails, bios, number, i64::from(number) * 5, &nbp).1)
            .collect();
        let looped = Some(Detour::Loop);
        assert_eq!(detours, [None, None, None, looped, None, None, None, looped]);
    }

    #[test]
    fn boots_that_take_their_time_are_no_loop() {
        let mut trails = BootTrails::default();
        let nbp = Next::Nbp("snponly.efi".into());
        for number in 0..10 {
            let (client, now) = (Client::Pxe(Arch::X64Efi), i64::from(number) * 40);
            let booted = boot(&mut trails, client, number, now, &nbp);
            assert_eq!(booted, (nbp.clone(), None), "{number}");
        }
    }

    #[test]
    fn an_old_ipxe_is_sent_to_ours_once() {
        let mut trails = BootTrails::default();
        let nbp = Next::Nbp("undionly.kpxe".into());
        let old = Client::IpxeWithoutHttp(Arch::Bios);
        assert_eq!(boot(&mut trails, old, 1, 0, &nbp).1, None);
        let (next, detour) = boot(&mut trails, old, 2, 10, &nbp);
        assert_eq!((next, detour), (Next::Script, Some(Detour::Chained)));
        assert_eq!(boot(&mut trails, old, 3, 400, &nbp).1, None, "the next boot");
    }

    #[test]
    fn scripts_and_local_boots_are_left_alone() {
        let mut trails = BootTrails::default();
        let ipxe = Client::Ipxe(Arch::Bios);
        for number in 0..20 {
            assert_eq!(boot(&mut trails, ipxe, number, 0, &Next::Script), (Next::Script, None));
        }
    }
}
