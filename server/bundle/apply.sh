#!/bin/sh
# Applies the network configuration of {{ host }} (revision {{ revision }}) and verifies it: if the
# host no longer reaches its gateways and the server, it restores the previous configuration.
#
#   curl -fsS {{ base }}/config/{{ mac }}.sh | sudo sh
#
# WAIT=60   seconds until an unverified configuration is rolled back
# ROOT=/mnt only write the files below /mnt, to prepare an image

server='{{ base }}'
mac='{{ mac }}'
revision='{{ revision }}'
gateways='{% for gateway in gateways %}{% if !loop.first %} {% endif %}{{ gateway }}{% endfor %}'
settings={% if has_settings %}yes{% endif %}
rules={% if has_rules %}yes{% endif %}
nft={% if has_nft %}yes{% endif %}
modules={% if has_modules %}yes{% endif %}
units={% if has_units %}yes{% endif %}
hints={% if has_hints %}yes{% endif %}

unpack() {
{%- for file in files %}
    {{ file.put }} '{{ file.name }}' <<'{{ file.end }}'
{{ file.text }}{{ file.end }}
{%- endfor %}
}

say() {
    # The terminal may be gone: an SSH session may use the link that changes.
    echo "rackstrap: $*" >&2 || :
}

fail() {
    say "$*"
    exit 1
}

put() {
    cat >"$staging/$1" || fail "cannot write $staging/$1"
    case $1 in
    # The keys of links, which networkd reads as a user of its own.
    *.key)
        chmod 640 "$staging/$1" || fail "cannot protect $staging/$1"
        chgrp systemd-network "$staging/$1" 2>/dev/null || :
        ;;
    esac
}

put_setting() {
    cat >"$sysctl_staging/$1" || fail "cannot write $sysctl_staging/$1"
}

put_rules() {
    cat >"$rules_staging/$1" || fail "cannot write $rules_staging/$1"
}

# The kernel reads these when it loads a module; loaded modules do not change.
put_modules() {
    cat >"$modules_staging/$1" || fail "cannot write $modules_staging/$1"
}

put_unit() {
    cat >"$units_staging/$1" || fail "cannot write $units_staging/$1"
    case $1 in
    # How NICs are let in, with its passwords and keys.
    rackstrap-auth-*.conf | rackstrap-auth-*.pem)
        chmod 600 "$units_staging/$1" || fail "cannot protect $units_staging/$1"
        ;;
    esac
}

put_hint() {
    cat >"$hints_staging/$1" || fail "cannot write $hints_staging/$1"
}

# Calls a function for networkd's files and, if there are any, for the sysctl settings, the drop-ins
# with nftables rules, the module options, the units and the hints for programs. Its arguments: the directory, the staging directory, the name in $state.
each() {
    "$@" "$directory" "$staging" files || return 1
    [ -z "$settings" ] || "$@" "$sysctl_directory" "$sysctl_staging" settings || return 1
    [ -z "$rules" ] || "$@" "$rules_directory" "$rules_staging" rules || return 1
    [ -z "$modules" ] || "$@" "$modules_directory" "$modules_staging" modules || return 1
    [ -z "$units" ] || "$@" "$units_directory" "$units_staging" units || return 1
    [ -z "$hints" ] || "$@" "$hints_directory" "$hints_staging" hints
}

fetch() {
    if command -v curl >/dev/null; then
        curl -fsS -m 3 -o /dev/null "$@"
    else
        wget -q -T 3 -O /dev/null "$@"
    fi 2>/dev/null
}

# The SHA-256 of the files that are in place, by their paths: the server compares them with the
# inventory.
digests() {
    [ -f "$state/$3" ] || return 0
    while read -r name; do
        case $name in *[!A-Za-z0-9._@:-]*) continue ;; esac
        sum=$(sha256sum "$1/$name" 2>/dev/null) || continue
        config="$config${config:+,}\"$1/$name\":\"${sum%% *}\""
    done <"$state/$3"
}

# What the report says of a configuration that was rolled back.
returned=

report() {
    config=
    each digests
    body="{\"state\":\"$1\",\"revision\":$revision,$returned\"text\":\"$2\",\"config\":{$config}}"
    if command -v curl >/dev/null; then
        fetch --data-binary "$body" "$server/report/$mac"
    else
        fetch --post-data "$body" "$server/report/$mac"
    fi || say 'the server did not accept the report'
}

# A gateway that drops pings still answers ARP or neighbour solicitation.
hears_gateway() {
    ping -n -c 1 -W 1 "$1" >/dev/null 2>&1 && return 0
    ip neighbour show to "$1" 2>/dev/null | grep -q ' lladdr '
}

# Succeeds if all gateways and the server answer; sets `silent` to those that do not.
verify() {
    silent=
    for gateway in $gateways; do
        hears_gateway "$gateway" || silent="$silent gateway $gateway"
    done
    fetch "$server/healthz" || silent="$silent server $server"
    [ -z "$silent" ]
}

# Succeeds after five successful checks in a row, one second apart: networkd changes the links some
# time after the reload, so the first answers may still come over the old ones.
wait_until_verified() {
    end=$(($(date +%s) + $1))
    streak=0
    while [ "$streak" -lt 5 ]; do
        if verify; then
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
    mkdir "$state/before.$3" || return 1
    # Ours alone: these directories belong to others as well.
    cat "$state/$3" "$state/$3.new" 2>/dev/null | while read -r name; do
        [ ! -e "$1/$name" ] || cp -a "$1/$name" "$state/before.$3/" || exit 1
    done
}

# Moves each file into place atomically.
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

# Saves the current values of all settings in the new files. A setting that is no longer in a file
# keeps its value until the host reboots.
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

# Loads the current rules, or removes the table if there are none.
load_rules() {
    [ -n "$rules" ] || return 0
    if [ -e "$rules_directory/90-rackstrap.nft" ]; then
        # The rules name the cgroup of a slice, which is there when the slice is.
        for slice in $(sed -n 's/^Wants=\(.*\.slice\)$/\1/p' "$rules_directory/90-rackstrap-nft.conf" 2>/dev/null); do
            systemctl start "$slice" >/dev/null 2>&1 || :
        done
        nft -f "$rules_directory/90-rackstrap.nft" >/dev/null 2>&1
    else
        nft delete table inet rackstrap >/dev/null 2>&1 || :
    fi
}

# The services in a list of files.
services() {
    [ -f "$1" ] && grep '\.service$' "$1"
}

# Stops the services of a list of files, which undo what they did: a NIC comes back from its namespace.
# Those that are not in the other list are told that they go for good: a bridge of Open vSwitch goes then.
stop_units() {
    mkdir -p /run/rackstrap/gone
    for service in $(services "$1"); do
        services "$2" | grep -qxF "$service" || : >"/run/rackstrap/gone/$service"
        systemctl stop "$service" >/dev/null 2>&1 || :
        rm -f "/run/rackstrap/gone/$service"
    done
}

start_units() {
    [ -n "$units" ] || return 0
    systemctl daemon-reload || return 1
    for service in $(services "$1"); do
        systemctl restart "$service" >/dev/null 2>&1 || return 1
    done
}

# Applies the new files. On failure sets `why`.
attempt() {
    why='the kernel rejected its settings'
    # Settings of links that do not exist yet fail; udev applies them when the link appears.
    set_values -e || return 1
    why='the kernel rejected its nftables rules'
    load_rules || return 1
    $reload
    why='a unit failed'
    [ -n "$same_units" ] || start_units "$state/units.new" || return 1
    if ! wait_until_verified "${WAIT-60}"; then
        why="no answer from$silent after ${WAIT-60} s"
        return 1
    fi
    why='the kernel rejected its settings'
    set_values
}

# Finds the command that reloads networkd. If networkd is not running, a rollback could not be verified.
find_reload() {
    if networkctl reload 2>/dev/null; then
        reload='networkctl reload'
    elif systemctl is-active -q systemd-networkd; then
        # networkctl needs D-Bus; a restart keeps the links up.
        reload='systemctl restart systemd-networkd'
    else
        fail 'systemd-networkd is not running: start it, or set ROOT=/ to only write the files'
    fi
}

# The virtual devices in the new files that are not in the old ones.
new_devices() {
    while read -r name; do
        case $name in *.netdev) ;; *) continue ;; esac
        [ -e "$state/before.files/$name" ] || sed -n 's/^Name=//p' "$directory/$name" | head -n 1
    done <"$state/files.new"
}

roll_back() {
    devices=$(new_devices)
    [ -n "$same_units" ] || stop_units "$state/units.new" "$state/units"
    each restore
    sysctl -q -e -p "$state/values" >/dev/null 2>&1 || :
    load_rules || :
    # networkd never removes a device. It must read the old files first, or it would add the NICs
    # to the new devices again.
    $reload
    for device in $devices; do
        ip link delete "$device" 2>/dev/null || :
    done
    [ -n "$same_units" ] || start_units "$state/units" || :
}

main() {
    [ "$(id -u)" = 0 ] || fail 'run this as root'
    directory=${ROOT-}/etc/systemd/network
    sysctl_directory=${ROOT-}/etc/sysctl.d
    sysctl_staging=
    rules_directory=${ROOT-}/etc/systemd/system/systemd-networkd.service.d
    rules_staging=
    modules_directory=${ROOT-}/etc/modprobe.d
    modules_staging=
    units_directory=${ROOT-}/etc/systemd/system
    units_staging=
    hints_directory=${ROOT-}/etc
    hints_staging=
    state=${ROOT-}/var/lib/rackstrap
    mkdir -p "$directory" "$state" || fail "cannot create $directory and $state"
    # On the file system of the target, so that mv is atomic.
    staging=$(mktemp -d "$directory/.rackstrap.XXXXXX") || fail "$directory is not writable"
    trap 'rm -rf "$staging" "$sysctl_staging" "$rules_staging" "$modules_staging" "$units_staging" "$hints_staging"' EXIT
    # Also if only the previous revision had settings, rules or module options: they have to go.
    [ ! -f "$state/settings" ] || settings=yes
    [ ! -f "$state/rules" ] || rules=yes
    [ ! -f "$state/modules" ] || modules=yes
    [ ! -f "$state/units" ] || units=yes
    [ ! -f "$state/hints" ] || hints=yes
    if [ -n "$settings" ]; then
        mkdir -p "$sysctl_directory" || fail "cannot create $sysctl_directory"
        sysctl_staging=$(mktemp -d "$sysctl_directory/.rackstrap.XXXXXX") || fail "$sysctl_directory is not writable"
        [ -n "${ROOT-}" ] || command -v sysctl >/dev/null || fail 'sysctl not found: install procps to apply the kernel settings'
    fi
    if [ -n "$rules" ]; then
        mkdir -p "$rules_directory" || fail "cannot create $rules_directory"
        rules_staging=$(mktemp -d "$rules_directory/.rackstrap.XXXXXX") || fail "$rules_directory is not writable"
        [ -n "${ROOT-}" ] || [ -z "$nft" ] || command -v nft >/dev/null || fail 'nft not found: install nftables to apply the nftables rules'
    fi
    if [ -n "$modules" ]; then
        mkdir -p "$modules_directory" || fail "cannot create $modules_directory"
        modules_staging=$(mktemp -d "$modules_directory/.rackstrap.XXXXXX") || fail "$modules_directory is not writable"
    fi
    if [ -n "$units" ]; then
        mkdir -p "$units_directory" || fail "cannot create $units_directory"
        units_staging=$(mktemp -d "$units_directory/.rackstrap.XXXXXX") || fail "$units_directory is not writable"
    fi
    if [ -n "$hints" ]; then
        hints_staging=$(mktemp -d "$hints_directory/.rackstrap.XXXXXX") || fail "$hints_directory is not writable"
    fi
    unpack
    each list

    if each unchanged; then
        say "revision $revision is already applied"
        [ -n "${ROOT-}" ] || report up "revision $revision was already applied"
        exit 0
    fi
    [ -n "${ROOT-}" ] || find_reload
    each keep_copy || fail 'cannot copy the old files: disk full?'
    [ -n "${ROOT-}" ] || keep_values

    # What runs in a namespace is not disturbed by a change elsewhere.
    same_units=
    if [ -z "$units" ] || unchanged "$units_directory" "$units_staging" units; then
        same_units=yes
    fi

    # No signal may stop the script between here and the result.
    trap '' HUP INT TERM PIPE
    [ -n "$same_units" ] || [ -n "${ROOT-}" ] || stop_units "$state/units" "$state/units.new"
    each place || fail "cannot write $directory"
    each remove_stale
    if [ -n "${ROOT-}" ]; then
        each keep
        say "wrote revision $revision to $ROOT"
        exit 0
    fi
    if attempt; then
        each keep
        say "applied revision $revision"
        report up "applied revision $revision"
        exit 0
    fi
    verdict="rolled back revision $revision: $why"
    returned="\"rolled-back\":\"$why\","
    roll_back
    say "$verdict"
    gateways=
    wait_until_verified 60 || say 'no answer from the server after the rollback either'
    report failed "$verdict"
    exit 1
}

# Last, so that an incomplete download does nothing.
main

