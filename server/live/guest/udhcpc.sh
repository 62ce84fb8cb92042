#!/bin/sh
# What udhcpc does with a lease: takes the address and nothing else.
[ "$1" = bound ] && ip address replace "$ip/${mask:-24}" dev "$interface"
exit 0
