#!/bin/sh
# Runs inside a guest: takes away all that networkd made of a host's files, and the files.
systemctl stop systemd-networkd.socket systemd-networkd.service
for kind in wireguard gre ipip sit geneve macsec vxlan vlan macvlan ipvlan bridge bond vrf dummy veth; do
    ip -o link show type "$kind" | while read -r _ name _; do
        name=${name%%:*}
        ip link del "${name%%@*}" 2>/dev/null
    done
done
for nic in /sys/class/net/*; do
    [ -e "$nic/device" ] || continue
    name=${nic##*/}
    permanent=$(ip -o link show "$name" | sed -n 's/.*permaddr \([^ ]*\).*/\1/p')
    ip link set "$name" down
    ip link set "$name" nomaster ${permanent:+address "$permanent"} mtu 1500
    ip address flush dev "$name"
done
ip address flush dev lo scope global
for family in -4 -6; do
    # The kernel's own rules stay: networkd removes those that anybody else puts back.
    ip "$family" rule flush protocol static
    ip "$family" route flush table all protocol static
done 2>/dev/null
nft flush ruleset
busybox rm -rf /run/systemd/netif /etc/systemd/network /etc/sysctl.d
busybox rm -rf /etc/systemd/system/systemd-networkd.service.d
busybox mkdir -p /etc/systemd/network
