#!/bin/sh
# Applies the network configuration of {{ host }} (generation {{ generation }}) and proves it:
# unless this host still reaches its gateways and the server, everything is put back.
#
#   curl -fsS {{ base }}/config/{{ mac }}.sh | sudo sh
#
# WAIT=60   how many seconds there are for the proof
# ROOT=/mnt writes the files below /mnt and does nothing else: for images

server='{{ base }}'
mac='{{ mac }}'
generation='{{ generation }}'
gateways='{% for gateway in gateways %}{% if !loop.first %} {% endif %}{{ gateway }}{% endfor %}'

unpack() {
{%- for file in files %}
    put '{{ file.name }}' <<'{{ file.end }}'
{{ file.text }}{{ file.end }}
{%- endfor %}
}

say() {
    # The terminal may be gone by now: it may have come by the very link that changes.
    echo "rackstrap: $*" >&2 || :
}

fail() {
    say "$*"
    exit 1
}

put() {
    cat >"$staging/$1" || fail "$staging/$1 cannot be written"
}

fetch() {
    if command -v curl >/dev/null; then
        curl -fsS -m 3 -o /dev/null "$@"
    else
        wget -q -T 3 -O /dev/null "$@"
    fi 2>/dev/null
}

report() {
    body="{\"state\":\"$1\",\"generation\":$generation,\"text\":\"$2\"}"
    if command -v curl >/dev/null; then
        fetch --data-binary "$body" "$server/report/$mac"
    else
        fetch --post-data "$body" "$server/report/$mac"
    fi || say "the server did not take the report"
}

# A gateway that drops pings still answers ARP or neighbour solicitation.
hears_gateway() {
    ping -n -c 1 -W 1 "$1" >/dev/null 2>&1 && return 0
    ip neighbour show to "$1" 2>/dev/null | grep -q ' lladdr '
}

# Sets `silent` to what does not answer; true when all do.
proven() {
    silent=
    for gateway in $gateways; do
        hears_gateway "$gateway" || silent="$silent gateway $gateway"
    done
    fetch "$server/healthz" || silent="$silent server $server"
    [ -z "$silent" ]
}

# Succeeds once all answered five times in a row, a second apart: networkd changes the links
# after it was told, so that the first answers may still come by the old ones.
wait_for_proof() {
    end=$(($(date +%s) + $1))
    streak=0
    while [ "$streak" -lt 5 ]; do
        if proven; then
            streak=$((streak + 1))
        else
            streak=0
            [ "$(date +%s)" -lt "$end" ] || return 1
        fi
        sleep 1
    done
}

# Each file appears whole or not at all; what an earlier generation left over goes.
place() {
    from=$1
    for file in "$from"/*; do
        [ -e "$file" ] || continue
        mv -f "$file" "$directory/" || return 1
    done
}

remove_stale() {
    [ -f "$state/files" ] || return 0
    while read -r name; do
        grep -qxF "$name" "$state/files.new" || rm -f "$directory/$name"
    done <"$state/files"
}

unchanged() {
    [ -f "$state/files" ] && cmp -s "$state/files" "$state/files.new" || return 1
    while read -r name; do
        cmp -s "$staging/$name" "$directory/$name" || return 1
    done <"$state/files.new"
}

# Finds how networkd is told of new files. Where it does not run nothing could be put back.
find_reload() {
    if networkctl reload 2>/dev/null; then
        reload='networkctl reload'
    elif systemctl is-active -q systemd-networkd; then
        # Without D-Bus networkctl reaches nobody; a restart keeps the links up.
        reload='systemctl restart systemd-networkd'
    else
        fail 'systemd-networkd does not run here: start it first, or set ROOT=/ to write the files only'
    fi
}

# The devices that the new files make and the old ones do not.
new_devices() {
    for netdev in "$directory"/*.netdev; do
        [ -e "$netdev" ] && [ ! -e "$state/before/$(basename "$netdev")" ] || continue
        sed -n 's/^Name=//p' "$netdev" | head -n 1
    done
}

put_back() {
    devices=$(new_devices)
    while read -r name; do
        rm -f "$directory/$name"
    done <"$state/files.new"
    cp -a "$state/before/." "$directory/"
    rm -f "$state/files.new"
    # networkd makes devices but never removes one; its old files must be read before, or it
    # would put the NICs to the new use again.
    $reload
    for device in $devices; do
        ip link delete "$device" 2>/dev/null || :
    done
}

main() {
    [ "$(id -u)" = 0 ] || fail 'this must run as root'
    directory=${ROOT-}/etc/systemd/network
    state=${ROOT-}/var/lib/rackstrap
    mkdir -p "$directory" "$state" || fail "$directory and $state are needed"
    # On the same file system as the files, so that moving them is atomic.
    staging=$(mktemp -d "$directory/.rackstrap.XXXXXX") || fail "$directory is not writable"
    trap 'rm -rf "$staging"' EXIT
    unpack
    ls "$staging" >"$state/files.new"

    if unchanged; then
        say "generation $generation is in place already"
        [ -n "${ROOT-}" ] || report up "generation $generation was in place already"
        exit 0
    fi
    [ -n "${ROOT-}" ] || find_reload
    rm -rf "$state/before"
    mkdir "$state/before" && cp -a "$directory/." "$state/before/" || fail 'no room for a copy of the old files'
    rm -rf "$state"/before/.rackstrap.*

    # From here to the verdict nothing may stop the script half way.
    trap '' HUP INT TERM PIPE
    place "$staging" || fail "$directory cannot be written"
    remove_stale
    if [ -n "${ROOT-}" ]; then
        mv -f "$state/files.new" "$state/files"
        say "generation $generation is written below $ROOT"
        exit 0
    fi
    $reload
    if wait_for_proof "${WAIT-60}"; then
        mv -f "$state/files.new" "$state/files"
        say "applied generation $generation"
        report up "applied generation $generation"
        exit 0
    fi
    verdict="put generation $generation back after ${WAIT-60} s without an answer from$silent"
    put_back
    say "$verdict"
    gateways=
    wait_for_proof 60 || say 'the server does not answer with the old files either'
    report failed "$verdict"
    exit 1
}

# Last, so that a script which came only in part does nothing at all.
main

