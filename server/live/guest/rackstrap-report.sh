#!/bin/sh
# Says to the server how this host's network is: waits until systemd-networkd
# calls it online, asks the gateway for an answer, and posts what it saw.
# A live system finds the server on the kernel's command line, an installed one
# in its environment.
set -u
word() { sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }
url=${RACKSTRAP_URL:-$(word rackstrap.url)}
# BOOTIF is 01- and the MAC: the one name of this host that enslaving does not change.
mac=${RACKSTRAP_MAC:-$(word BOOTIF | cut -c 4-)}

# Standard input as one JSON string.
json() {
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' |
        awk 'BEGIN { printf "\"" } NR > 1 { printf "\\n" } { printf "%s", $0 } END { printf "\"" }'
}

# The SHA-256 of each file of the network, by its path: the server compares them with the inventory.
config() {
    sha256sum /etc/systemd/network/* /etc/netplan/* /etc/NetworkManager/system-connections/* /etc/network/* \
        /etc/modprobe.d/*rackstrap* /etc/sysctl.d/*rackstrap* /etc/systemd/system/*rackstrap* \
        /etc/systemd/system/systemd-networkd.service.d/*rackstrap* 2>/dev/null |
        awk 'NF == 2 && length($1) == 64 && $2 ~ /^[A-Za-z0-9._@:\/-]+$/ && n < 500 {
            printf "%s\"%s\":\"%s\"", n++ ? "," : "", $2, $1 }'
}

# The way out: the gateway of IPv4, else that of IPv6, whose link a link-local address needs.
gateway() {
    via=$(ip -4 route show default 2>/dev/null | awk '$2 == "via" { print $3; exit }')
    [ -n "$via" ] || via=$(ip -6 route show default 2>/dev/null |
        awk '$2 == "via" { print ($3 ~ /^fe80:/) ? $3 "%" $5 : $3; exit }')
    echo "$via"
}

state=up
# The directory of networkd's state is there even where networkd is masked; the file is of one that runs.
networkd=
if [ -e /run/systemd/netif/state ]; then
    networkd=yes
    online=$(/usr/lib/systemd/systemd-networkd-wait-online --timeout=90 2>&1) || {
        state=failed
        text="systemd-networkd: ${online:-not online after 90 s}"
    }
fi
# Other network managers do not say when they are done: the way out is waited for.
gateway=$(gateway)
attempt=0
until [ -n "$gateway$networkd" ] || [ "$attempt" -ge "${WAIT:-90}" ]; do
    attempt=$((attempt + 1))
    sleep 1
    gateway=$(gateway)
done
# A port counts as soon as it is in the aggregator and carries frames only when both
# sides collect and distribute (0x30 of the state): what is sent before is lost.
attempt=0
while [ "$attempt" -lt 50 ]; do
    ports=$(sed -n 's/.*Number of ports: //p' /proc/net/bonding/* 2>/dev/null | sort -n | head -n 1)
    idle=$(sed -n 's/.*port state: //p' /proc/net/bonding/* 2>/dev/null | awk 'int($1 / 16) % 4 < 3')
    [ "${ports:-2}" -ge 2 ] && [ -z "$idle" ] && break
    attempt=$((attempt + 1))
    sleep 0.2
done
ping=
if [ -n "$gateway" ]; then
    # The switch may still be on its own way up.
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        ping=$(ping -n -c 3 -i 0.2 -W 1 "$gateway" 2>&1)
        case $ping in *" 0% packet loss"*) break ;; esac
        [ "$attempt" = 15 ] && state=failed text="the gateway $gateway does not answer"
    done
elif [ -z "$(ip -o address show scope global)" ]; then
    state=failed text="${text:-no link has an address}"
fi
uptime=$(cut -d ' ' -f 1 /proc/uptime)
if [ "$state" = up ]; then
    text="online after $uptime s, without a gateway"
    [ -z "$gateway" ] || text="online after $uptime s, gateway $gateway answers"
fi

{
    printf '{"state":"%s","text":%s' "$state" "$(printf %s "$text" | json)"
    printf ',"uptime_seconds":%s,"gateway":"%s"' "$uptime" "$gateway"
    printf ',"root":"%s"' "$(awk '$2 == "/" { root = $1 } END { print root }' /proc/mounts)"
    printf ',"hostname":"%s"' "$(cat /proc/sys/kernel/hostname)"
    printf ',"addresses":%s' "$(ip -br address | json)"
    printf ',"links":%s' "$(ip -d -o link | json)"
    printf ',"routes":%s' "$(ip route | json)"
    printf ',"ping":%s' "$(printf '%s\n' "$ping" | json)"
    printf ',"config":{%s}' "$(config)"
    printf ',"files":%s' "$(ls /etc/systemd/network 2>/dev/null | json)"
    printf ',"bonding":{'
    comma=
    for bond in /proc/net/bonding/*; do
        [ -e "$bond" ] || continue
        printf '%s"%s":%s' "$comma" "${bond##*/}" "$(json < "$bond")"
        comma=,
    done
    printf '}}\n'
} > /run/rackstrap-report.json
curl -sS --retry 30 --retry-delay 1 --retry-all-errors --max-time 10 \
    -H 'Content-Type: application/json' --data-binary @/run/rackstrap-report.json \
    "$url/report/$mac" && echo "rackstrap: reported $state: $text"
