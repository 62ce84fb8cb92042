#!/bin/sh
# The hook script for a client that leaves it to its script to find out whether somebody uses
# the address already: dhclient sends a DECLINE where this fails.
if [ "${reason:-}" = BOUND ]; then
	busybox arping -D -q -c 2 -w 2 -I "$interface" "$new_ip_address" || exit 1
fi
exec "$(dirname "$0")/dhcp-hook.sh"
