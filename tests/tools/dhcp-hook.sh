#!/bin/sh
# What dhclient and udhcpc call when something happened: takes the address on and writes
# a line "REASON ADDRESS BOOT_FILE MASK ROUTER DNS" to $HOOK_LOG.
case ${reason:-$1} in
BOUND | RENEW | REBIND | REBOOT | bound | renew)
	address=${new_ip_address:-$ip}
	ip address replace "$address/24" dev "$interface"
	;;
EXPIRE | FAIL | RELEASE | STOP | deconfig)
	address=${old_ip_address:-}
	ip address flush dev "$interface" scope global
	;;
PREINIT) ip link set "$interface" up ;;
esac
echo "${reason:-$1} ${address:-none} ${boot_file:-${new_filename:-none}} ${subnet:-none} ${router:-none} ${dns:-none}" >>"$HOOK_LOG"
