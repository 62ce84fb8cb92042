#!/bin/sh
# Runs this machine's systemd-networkd on the files of DIRECTORY, inside the network
# namespace that it is started in and a mount namespace of its own:
#
#   ip netns exec NAMESPACE unshare --mount --propagation private run-networkd.sh DIRECTORY
#
# It ends as networkd, with the process id that it was started with, and touches nothing
# outside its namespaces. /sys is made read-only, which tells networkd that there is no
# udev to wait for; no message bus is needed.
set -eu
directory=$1
mount -o remount,ro,bind /sys
mount -t tmpfs -o mode=755 tmpfs /run/systemd
mkdir /run/systemd/network
mount -t tmpfs -o mode=755 tmpfs /etc/systemd/network
# What the distribution ships would match the NICs of the test.
for shipped in /usr/lib/systemd/network /lib/systemd/network; do
	[ -L "${shipped%%/systemd*}" ] || mount -t tmpfs tmpfs "$shipped"
done
cp "$directory"/* /etc/systemd/network/
chmod -R a+rX /etc/systemd/network
export SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_COLOR=0
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent
exec /lib/systemd/systemd-networkd
