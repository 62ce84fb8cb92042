//! Packets that wait until it is known whether somebody uses the address they are to be given.

use super::{InterfaceServer, now};
use crate::dhcp::link::Arrival;
use crate::dhcp::service::probe::{Found, Probe, Probed};
use crate::lifecycle::EventData;
use crate::lifecycle::event::Warning;
use crate::model::Mac;

impl InterfaceServer {
    /// Probes an address; the packet waits.
    pub(super) fn probe(&mut self, probe: Probe, arrival: Arrival, bytes: &[u8]) {
        let found = self.prober.probe(&self.link, probe.clone());
        let packet = bytes.to_vec();
        let probed = async move { Probed { probe, found: found.await, packet, arrival } };
        self.probing.push(Box::pin(probed));
    }

    /// Looks at a packet again whose address was probed; one that somebody uses is put aside
    /// first, so that the packet finds the next one.
    pub(super) fn end_probe(&mut self, probed: Probed) {
        let now = now();
        if let Found::Somebody(mac) = probed.found
            && self.believes_conflict(mac, now)
        {
            let decline_seconds = self.app.config.now().decline_seconds;
            let data = EventData::Warning(Warning::AddressInUse {
                address: probed.probe.address,
                by: mac,
            });
            self.app.inventory.events.record(None, mac, data);
            let lease = probed.quarantine(mac, now, decline_seconds);
            let stored = self.app.leases.commit(lease, now);
            self.probing.push(Box::pin(async move {
                // Not stored: the client asks again, and so does the probe.
                let _ = stored.await;
                Probed { found: Found::Noted, ..probed }
            }));
            return;
        }
        self.history.probes.end(probed.probe.address, probed.found != Found::Noted, now);
        let snapshot = self.app.inventory.snapshot();
        self.handle(&snapshot, probed.arrival, &probed.packet, now);
        self.commit_leases(now);
    }

    fn believes_conflict(&mut self, mac: Option<Mac>, now: i64) -> bool {
        let believed = self.history.probes.believes_conflict(now);
        if !believed && self.history.warns("probes", now) {
            let data = EventData::Warning(Warning::ProxyArp);
            self.app.inventory.events.record(None, mac, data);
        }
        believed
    }
}
