#!/bin/sh
# Runs dhcpcd with its leases in DIRECTORY, inside the network namespace that it is started
# in and a mount namespace of its own; ends as dhcpcd, with the same process id:
#
#   ip netns exec NAMESPACE unshare --mount --propagation private run-dhcpcd.sh DIRECTORY WORDS
set -eu
mkdir -p /var/lib/dhcpcd
mount --bind "$1" /var/lib/dhcpcd
shift
mount -t tmpfs tmpfs /run
mkdir -p /run/dhcpcd
exec dhcpcd --ipv4only --nobackground --debug --noipv4ll --config /dev/null --env "HOOK_LOG=$HOOK_LOG" "$@"
