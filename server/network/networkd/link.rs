//! `.link` files: what udev sets on a NIC before the network comes up (systemd.link(5)). Pure.

use super::begin;
use crate::model::{
    ChannelSpec, CoalesceSpec, MacPolicy, MatchBy, OffloadSpec, RingSpec, WakeOnLan,
};
use crate::network::links::{HostNetwork, Kind, Link, Role};
use crate::network::unit::Unit;

/// The `.link` of a NIC of which something is said that only udev can set, or of a link whose
/// MAC udev is to leave alone.
pub(super) fn render(host: &HostNetwork, link: &Link) -> Option<String> {
    match link.settings.mac_policy() {
        Some(MacPolicy::Kernel) => Some(left_alone(host, link)),
        _ => nic(host, link),
    }
}

/// Left to itself, udev gives a link that is made the MAC that networkd would have given it:
/// 99-default.link does so for all of them.
fn left_alone(host: &HostNetwork, link: &Link) -> String {
    let mut unit = begin(host);
    unit.section("Match");
    unit.set("OriginalName", &link.name);
    unit.section("Link");
    unit.set("MACAddressPolicy", MacPolicy::Kernel);
    unit.finish()
}

fn nic(host: &HostNetwork, link: &Link) -> Option<String> {
    let is_extended = !link.settings.extra.link.is_empty();
    let nic = link.nic.as_ref().filter(|nic| nic.needs_link_file() || is_extended)?;
    let Kind::Nic(mac) = link.kind else { return None };
    let mut unit = begin(host);
    unit.section("Match");
    // Never by name: this file may be what gives it.
    match (mac, host.match_by, nic.path.as_deref()) {
        (_, MatchBy::Path, Some(path)) | (None, _, Some(path)) => unit.set("Path", path),
        (mac, MatchBy::Mac, _) => unit.set_some("MACAddress", mac),
        (mac, ..) => unit.set_some("PermanentMACAddress", mac),
    }
    unit.section("Link");
    // Only one file applies to a NIC: this one takes the place of 99-default.link, and has to
    // say what that says.
    match &nic.set_name {
        // A policy would go before the name.
        Some(name) => unit.set("Name", name),
        None => unit.set("NamePolicy", "keep kernel database onboard slot path"),
    }
    unit.set("AlternativeNamesPolicy", "database onboard slot path");
    unit.set("MACAddressPolicy", "persistent");
    if let Some(events) = &nic.wake_on_lan {
        let words: Vec<&str> = events.iter().map(|event| WakeOnLan::label(*event)).collect();
        unit.set("WakeOnLan", if words.is_empty() { "off".to_owned() } else { words.join(" ") });
    }
    offload(&mut unit, &nic.offload);
    queues(&mut unit, &nic.ring, &nic.channels);
    coalesce(&mut unit, &nic.coalesce);
    let creates = nic.sriov.as_ref().filter(|_| link.role != Role::Unmanaged);
    unit.set_some("SR-IOVVirtualFunctions", creates.map(|sriov| sriov.count));
    Some(unit.finish())
}

fn offload(unit: &mut Unit, offload: &OffloadSpec) {
    unit.set_yes("ReceiveChecksumOffload", offload.rx_checksum);
    unit.set_yes("TransmitChecksumOffload", offload.tx_checksum);
    unit.set_yes("TCPSegmentationOffload", offload.tso);
    unit.set_yes("TCP6SegmentationOffload", offload.tso6);
    unit.set_yes("GenericSegmentationOffload", offload.gso);
    unit.set_yes("GenericReceiveOffload", offload.gro);
    unit.set_yes("LargeReceiveOffload", offload.lro);
}

fn coalesce(unit: &mut Unit, coalesce: &CoalesceSpec) {
    unit.set_yes("UseAdaptiveRxCoalesce", coalesce.adaptive_rx);
    unit.set_yes("UseAdaptiveTxCoalesce", coalesce.adaptive_tx);
    let time = |usecs: u32| format!("{usecs}us");
    unit.set_some("RxCoalesceSec", coalesce.rx_usecs.map(time));
    unit.set_some("RxMaxCoalescedFrames", coalesce.rx_frames);
    unit.set_some("TxCoalesceSec", coalesce.tx_usecs.map(time));
    unit.set_some("TxMaxCoalescedFrames", coalesce.tx_frames);
}

fn queues(unit: &mut Unit, ring: &RingSpec, channels: &ChannelSpec) {
    unit.set_some("RxChannels", channels.rx);
    unit.set_some("TxChannels", channels.tx);
    unit.set_some("OtherChannels", channels.other);
    unit.set_some("CombinedChannels", channels.combined);
    unit.set_some("RxBufferSize", ring.rx);
    unit.set_some("TxBufferSize", ring.tx);
}
