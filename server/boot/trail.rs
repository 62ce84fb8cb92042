//! The latest boot instructions of each client, to break boot loops. Pure.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::UrlName;
use super::arch::Client;
use super::next::{Next, script_url};
pub(crate) use crate::lifecycle::reason::Detour;

/// A program sent this often within `LOOP_SECONDS` is a loop.
const LOOP_TIMES: u32 = 3;
const LOOP_SECONDS: i64 = 60;
/// How long it is remembered that an iPXE without HTTP was sent to ours, in seconds.
const CHAINED_SECONDS: i64 = 300;
/// More clients than this are not remembered at once.
const MAX_CLIENTS: usize = 16_384;

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

/// One message by which a client asks what to boot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootRequest<'a> {
    /// Who boots.
    pub url_name: &'a UrlName,
    /// What it is.
    pub client: Client,
    /// Its transaction.
    pub transaction_id: u32,
    /// Unix seconds.
    pub now: i64,
    /// Where it fetches from, such as `http://10.77.0.1`.
    pub base_url: &'a str,
}

impl BootTrails {
    /// What the client boots: `next`, unless that is a loop.
    pub(crate) fn choose(&self, request: &BootRequest<'_>, next: Next) -> (Next, Option<Detour>) {
        let Some(trail) = self.of.get(request.url_name).filter(|_| is_program(&next)) else {
            return (next, None);
        };
        if trail.last.0 == request.transaction_id {
            return (trail.last.1.clone(), None);
        }
        let script = || Next::Script(script_url(request.base_url, request.url_name));
        let chained = trail.chained_at.is_some_and(|at| request.now - at < CHAINED_SECONDS);
        if chained && matches!(request.client, Client::IpxeWithoutHttp(_)) {
            return (script(), Some(Detour::Chained));
        }
        if trail.times >= LOOP_TIMES && request.now - trail.since < LOOP_SECONDS {
            return (script(), Some(Detour::Loop));
        }
        (next, None)
    }

    /// Remembers `next` as sent in an ACK.
    pub(crate) fn record(&mut self, request: &BootRequest<'_>, next: &Next) {
        // Not for every packet of a crowd: it looks at all of them.
        if self.of.len() >= MAX_CLIENTS && self.swept_at != request.now {
            self.swept_at = request.now;
            self.of.retain(|_, trail| request.now - trail.seen_at < LOOP_SECONDS);
        }
        let known = self.of.get(request.url_name);
        if known.is_some_and(|trail| trail.last.0 == request.transaction_id)
            || (known.is_none() && self.of.len() >= MAX_CLIENTS)
        {
            return;
        }
        let trail = self.of.entry(request.url_name.clone()).or_insert_with(|| Trail {
            last: (request.transaction_id, next.clone()),
            since: request.now,
            times: 0,
            chained_at: None,
            seen_at: request.now,
        });
        trail.last = (request.transaction_id, next.clone());
        trail.seen_at = request.now;
        if !is_program(next) {
            // The circle is broken: a program may be tried again.
            (trail.times, trail.chained_at) = (0, None);
            return;
        }
        if request.now - trail.since >= LOOP_SECONDS || trail.times == 0 {
            (trail.since, trail.times) = (request.now, 0);
        }
        trail.times += 1;
        if matches!(request.client, Client::IpxeWithoutHttp(_)) {
            trail.chained_at = Some(request.now);
        }
    }
}

fn is_program(next: &Next) -> bool {
    matches!(next, Next::NbpByTftp(_) | Next::NbpByUrl(_))
}

#[cfg(test)]
mod tests {
    use super::super::arch::Arch;
    use super::*;
    use crate::model::{Mac, NicAddress};

    const BASE_URL: &str = "http://10.0.0.1";
    const SCRIPT: &str = "http://10.0.0.1/boot/52:54:00:00:00:01.ipxe";

    static URL_NAME: UrlName = UrlName::Nic(NicAddress::Mac(Mac([0x52, 0x54, 0, 0, 0, 1])));

    fn request(client: Client, transaction_id: u32, now: i64) -> BootRequest<'static> {
        BootRequest { url_name: &URL_NAME, client, transaction_id, now, base_url: BASE_URL }
    }

    /// One boot: the choice of the OFFER is the choice of the ACK, also asked twice.
    fn boot(
        trails: &mut BootTrails,
        request: BootRequest<'_>,
        next: &Next,
    ) -> (Next, Option<Detour>) {
        let offered = trails.choose(&request, next.clone());
        trails.record(&request, &offered.0);
        let (again, _) = trails.choose(&request, next.clone());
        assert_eq!(again, offered.0);
        trails.record(&request, &again);
        offered
    }

    #[test]
    fn a_program_that_comes_round_again_and_again_gives_way_to_the_script_once() {
        let mut trails = BootTrails::default();
        let nbp = Next::NbpByTftp("undionly.kpxe".into());
        let bios = Client::Pxe(Arch::Bios);
        let detours: Vec<Option<Detour>> = (0..8)
            .map(|number| boot(&mut trails, request(bios, number, i64::from(number) * 5), &nbp).1)
            .collect();
        let looped = Some(Detour::Loop);
        assert_eq!(detours, [None, None, None, looped, None, None, None, looped]);
    }

    #[test]
    fn boots_that_take_their_time_are_no_loop() {
        let mut trails = BootTrails::default();
        let nbp = Next::NbpByTftp("snponly.efi".into());
        for number in 0..10 {
            let request = request(Client::Pxe(Arch::X64Efi), number, i64::from(number) * 40);
            assert_eq!(boot(&mut trails, request, &nbp), (nbp.clone(), None), "{number}");
        }
    }

    #[test]
    fn an_old_ipxe_is_sent_to_ours_once() {
        let mut trails = BootTrails::default();
        let url = Next::NbpByUrl("tftp://10.0.0.1/undionly.kpxe".into());
        let old = Client::IpxeWithoutHttp(Arch::Bios);
        assert_eq!(boot(&mut trails, request(old, 1, 0), &url).1, None);
        let (next, detour) = boot(&mut trails, request(old, 2, 10), &url);
        assert_eq!((next, detour), (Next::Script(SCRIPT.into()), Some(Detour::Chained)));
        assert_eq!(boot(&mut trails, request(old, 3, 400), &url).1, None, "the next boot");
    }

    #[test]
    fn scripts_and_local_boots_are_left_alone() {
        let mut trails = BootTrails::default();
        let script = Next::Script(SCRIPT.into());
        for number in 0..20 {
            let request = request(Client::Ipxe(Arch::Bios), number, 0);
            assert_eq!(boot(&mut trails, request, &script), (script.clone(), None));
        }
    }
}
