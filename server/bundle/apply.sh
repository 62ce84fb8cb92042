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
settings={% if has_settings %}yes{% endif %}
rules={% if has_rules %}yes{% endif %}
modules={% if has_modules %}yes{% endif %}

unpack() {
{%- for file in files %}
    {{ file.put }} '{{ file.name }}' <<'{{ file.end }}'
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

put_setting() {
    cat >"$sysctl_staging/$1" || fail "$sysctl_staging/$1 cannot be written"
}

put_rules() {
    cat >"$rules_staging/$1" || fail "$rules_staging/$1 cannot be written"
}

# The kernel reads them when it loads a module: those that are loaded stay as they are.
put_modules() {
    cat >"$modules_staging/$1" || fail "$modules_staging/$1 cannot be written"
}

# Does a thing with networkd's files and, where there are any, with the kernel's settings, the rules
# of nftables and the settings of modules: a directory, the new files beside it, and the name under which $state knows them.
each() {
    "$@" "$directory" "$staging" files || return 1
    [ -z "$settings" ] || "$@" "$sysctl_directory" "$sysctl_staging" settings || return 1
    [ -z "$rules" ] || "$@" "$rules_directory" "$rules_staging" rules || return 1
    [ -z "$modules" ] || "$@" "$modules_directory" "$modules_staging" modules
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

list() {
    ls "$2" >"$state/$3.new"
}

keep_copy() {
    rm -rf "$state/before.$3"
    mkdir "$state/before.$3" && cp -a "$1/." "$state/before.$3/" || return 1
    rm -rf "$state/before.$3"/.rackstrap.*
}

# Each file appears whole or not at all; what an earlier generation left over goes.
place() {
    for file in "$2"/*; do
        [ -e "$file" ] || continue
        mv -f "$file" "$1/" || return 1
    done
}

remove_stale() {
    [ -f "$state/$3" ] || return 0
    while read -r name; do
        grep -qxF "$name" "$state/$3.new" || rm -f "$1/$name"
    done <"$state/$3"
}

unchanged() {
    [ -f "$state/$3" ] && cmp -s "$state/$3" "$state/$3.new" || return 1
    while read -r name; do
        cmp -s "$2/$name" "$1/$name" || return 1
    done <"$state/$3.new"
}

keep() {
    mv -f "$state/$3.new" "$state/$3"
}

restore() {
    while read -r name; do
        rm -f "$1/$name"
    done <"$state/$3.new"
    cp -a "$state/before.$3/." "$1/"
    rm -f "$state/$3.new"
}

# Writes down what the kernel has now of all that the new files set. A setting that no file
# makes any more stays as it is until the host boots.
keep_values() {
    : >"$state/values"
    [ -n "$settings" ] || return 0
    sed 's/[ =].*//' "$sysctl_staging"/* 2>/dev/null | while read -r name; do
        value=$(sysctl -n "$name" 2>/dev/null) && echo "$name = $value" >>"$state/values"
    done
    return 0
}

set_values() {
    [ -n "$settings" ] || return 0
    while read -r name; do
        sysctl -q "$@" -p "$sysctl_directory/$name" >/dev/null 2>&1 || return 1
    done <"$state/settings.new"
}

# Loads the rules that are in place now, or takes away those that no file has any more.
load_rules() {
    [ -n "$rules" ] || return 0
    if [ -e "$rules_directory/90-rackstrap.nft" ]; then
        nft -f "$rules_directory/90-rackstrap.nft" >/dev/null 2>&1
    else
        nft delete table inet rackstrap >/dev/null 2>&1 || :
    fi
}

# Sets 'why' where the new files do not work.
attempt() {
    why='because the kernel refuses its settings'
    # A link that networkd is yet to make has no settings; udev sets them when it appears.
    set_values -e || return 1
    why='because the kernel refuses its rules for packets'
    load_rules || return 1
    $reload
    if ! wait_for_proof "${WAIT-60}"; then
        why="after ${WAIT-60} s without an answer from$silent"
        return 1
    fi
    why='because the kernel refuses its settings'
    set_values
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
        [ -e "$netdev" ] && [ ! -e "$state/before.files/$(basename "$netdev")" ] || continue
        sed -n 's/^Name=//p' "$netdev" | head -n 1
    done
}

put_back() {
    devices=$(new_devices)
    each restore
    sysctl -q -e -p "$state/values" >/dev/null 2>&1 || :
    load_rules || :
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
    sysctl_directory=${ROOT-}/etc/sysctl.d
    sysctl_staging=
    rules_directory=${ROOT-}/etc/systemd/system/systemd-networkd.service.d
    rules_staging=
    modules_directory=${ROOT-}/etc/modprobe.d
    modules_staging=
    state=${ROOT-}/var/lib/rackstrap
    mkdir -p "$directory" "$state" || fail "$directory and $state are needed"
    # On the same file system as the files, so that moving them is atomic.
    staging=$(mktemp -d "$directory/.rackstrap.XXXXXX") || fail "$directory is not writable"
    trap 'rm -rf "$staging" "$sysctl_staging" "$rules_staging" "$modules_staging"' EXIT
    # Also where only an earlier generation had settings, rules or modules: they are stale.
    [ ! -f "$state/settings" ] || settings=yes
    [ ! -f "$state/rules" ] || rules=yes
    [ ! -f "$state/modules" ] || modules=yes
    if [ -n "$settings" ]; then
        mkdir -p "$sysctl_directory" || fail "$sysctl_directory is needed"
        sysctl_staging=$(mktemp -d "$sysctl_directory/.rackstrap.XXXXXX") || fail "$sysctl_directory is not writable"
        [ -n "${ROOT-}" ] || command -v sysctl >/dev/null || fail 'the program sysctl is needed for the kernel settings'
    fi
    if [ -n "$rules" ]; then
        mkdir -p "$rules_directory" || fail "$rules_directory is needed"
        rules_staging=$(mktemp -d "$rules_directory/.rackstrap.XXXXXX") || fail "$rules_directory is not writable"
        [ -n "${ROOT-}" ] || command -v nft >/dev/null || fail 'the program nft is needed for the rules for packets'
    fi
    if [ -n "$modules" ]; then
        mkdir -p "$modules_directory" || fail "$modules_directory is needed"
        modules_staging=$(mktemp -d "$modules_directory/.rackstrap.XXXXXX") || fail "$modules_directory is not writable"
    fi
    unpack
    each list

    if each unchanged; then
        say "generation $generation is in place already"
        [ -n "${ROOT-}" ] || report up "generation $generation was in place already"
        exit 0
    fi
    [ -n "${ROOT-}" ] || find_reload
    each keep_copy || fail 'no room for a copy of the old files'
    [ -n "${ROOT-}" ] || keep_values

    # From here to the verdict nothing may stop the script half way.
    trap '' HUP INT TERM PIPE
    each place || fail "$directory cannot be written"
    each remove_stale
    if [ -n "${ROOT-}" ]; then
        each keep
        say "generation $generation is written below $ROOT"
        exit 0
    fi
    if attempt; then
        each keep
        say "applied generation $generation"
        report up "applied generation $generation"
        exit 0
    fi
    verdict="put generation $generation back $why"
    put_back
    say "$verdict"
    gateways=
    wait_for_proof 60 || say 'the server does not answer with the old files either'
    report failed "$verdict"
    exit 1
}

# Last, so that a script which came only in part does nothing at all.
main

