#!/bin/sh
# Runs a program of an ifupdown2 that is unpacked and not installed, in the mount and network
# namespaces that it is started in, with DIRECTORY laid over /etc:
#
#   unshare --mount --net --propagation private run-ifupdown2.sh ROOT DIRECTORY ifreload -a -s
#
# It changes nothing outside of its namespaces.
set -eu
root=$1
directory=$2
program=$3
shift 3
mount -t overlay overlay -o "lowerdir=$root/usr/share:/usr/share" /usr/share
mount -t overlay overlay -o "lowerdir=$directory:$root/etc:/etc" /etc
for own in /run /var/lib /var/tmp; do
	mount -t tmpfs tmpfs "$own"
done
mkdir -p /run/network
# It finds out by its name what it is asked for.
ln -s /usr/share/ifupdown2/__main__.py "/run/$program"
PATH=/usr/sbin:/usr/bin:/sbin:/bin exec /usr/bin/python3 "/run/$program" "$@"
