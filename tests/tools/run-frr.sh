#!/bin/sh
# Runs one of FRR's daemons, which is unpacked and not installed, in the mount and network
# namespaces that it is started in, with the frr.conf of DIRECTORY:
#
#   ip netns exec NAMESPACE unshare --mount --propagation private run-frr.sh ROOT DIRECTORY bgpd
#
# It ends as the daemon, and changes nothing outside of its namespaces: the daemons of one
# DIRECTORY find each other by their sockets there.
set -eu
root=$1 directory=$2 daemon=$3
export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/frr
# It wants a group of its own for its terminals.
{ cat /etc/group; echo frrvty:x:990:root; } >"$directory/$daemon.group"
mount --bind "$directory/$daemon.group" /etc/group
mount -t tmpfs tmpfs /var/tmp
mkdir -p "$directory/run"
if [ "$daemon" != zebra ]; then
	while [ ! -S "$directory/run/zserv" ]; do sleep 0.05; done
fi
exec "$root/usr/lib/frr/$daemon" --user root --group root --vty_socket "$directory/run" \
	-z "$directory/run/zserv" -i "$directory/run/$daemon.pid" -f "$directory/frr.conf" -A 127.0.0.1
