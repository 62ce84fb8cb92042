#!/bin/sh
# A host whose network is systemd-networkd's, with D-Bus, in the namespaces it is started
# in (network and mount); runs the lines of its standard input, each with a last line
# "ended STATUS". Usage: networkd-host.sh DIRECTORY, which becomes /etc/systemd/network.
mount --make-rprivate /
# A /sys that cannot be written tells networkd that there is no udev to wait for.
mount -o remount,ro,bind /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /etc/sysctl.d
mount -t tmpfs tmpfs /etc/modprobe.d
mount -t tmpfs tmpfs /etc/systemd/system
mkdir -p /run/dbus /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network:systemd-network /run/systemd/netif
mount --bind "$1" /etc/systemd/network
dbus-daemon --system --nofork --nopidfile >/dev/null 2>&1 &
bus=$!
until [ -S /run/dbus/system_bus_socket ]; do sleep 0.1; done
/lib/systemd/systemd-networkd >&2 &
networkd=$!
trap 'kill $bus $networkd' EXIT
while read -r line; do
    sh -c "$line" </dev/null 2>&1
    echo "ended $?"
done
