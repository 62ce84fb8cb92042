#!/bin/sh
# Runs systemd-networkd on the files of DIRECTORY, inside the network namespace that it is
# started in and a mount namespace of its own: this machine's, or that of the tree ROOT.
#
#   ip netns exec NAMESPACE unshare --mount --propagation private run-networkd.sh DIRECTORY [ROOT]
#
# It ends as networkd, with the process id that it was started with, and touches nothing
# outside its namespaces. /sys is made read-only, which tells networkd that there is no
# udev to wait for; no message bus is needed.
set -eu
directory=$1 root=${2:-}
if [ -n "$root" ]; then
	mount --bind "$root" "$root"
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	mkdir "$root/run/systemd"
fi
mount -o remount,ro,bind "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run/systemd"
mkdir "$root/run/systemd/network"
mount -t tmpfs -o mode=755 tmpfs "$root/etc/systemd/network"
# What the distribution ships would match the NICs of the test.
for shipped in /usr/lib/systemd/network /lib/systemd/network; do
	[ -L "$root${shipped%%/systemd*}" ] || mount -t tmpfs tmpfs "$root$shipped"
done
cp "$directory"/* "$root/etc/systemd/network/"
if [ -d "$directory.conf" ]; then
	cp -r "$directory.conf" "$root/run/systemd/networkd.conf.d"
	chmod -R a+rX "$root/run/systemd/networkd.conf.d"
fi
chmod -R a+rX "$root/etc/systemd/network"
export SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_COLOR=0
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent
if [ -n "$root" ]; then
	exec chroot "$root" /lib/systemd/systemd-networkd
fi
exec /lib/systemd/systemd-networkd
