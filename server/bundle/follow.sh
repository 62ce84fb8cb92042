#!/bin/sh
# Lets {{ host }} take part in roll-outs: installs a timer that asks the server every five minutes
# whether this host is to apply its network configuration now.
#
#   curl -fsS {{ base }}/config/{{ mac }}.follow.sh | sudo sh
#
# ROOT=/mnt installs it below /mnt, to prepare an image of this host
# To remove it: systemctl disable --now rackstrap-follow.timer

program=/usr/local/sbin/rackstrap-follow
units=/etc/systemd/system

fail() {
    echo "rackstrap: $*" >&2
    exit 1
}

main() {
    [ "$(id -u)" = 0 ] || fail 'run this as root'
    mkdir -p "${ROOT-}/usr/local/sbin" "${ROOT-}$units/timers.target.wants" ||
        fail "cannot create ${ROOT-}$units"
    cat >"${ROOT-}$program" <<'END' || fail "cannot write ${ROOT-}$program"
#!/bin/sh
# Asks whether to apply the network configuration now, and applies it. The script that the server
# answers with verifies the configuration, restores the previous one if the host no longer reaches its
# gateways and the server, and reports what it did. An empty answer: not now.
# For how long the host is up tells whether it was booted since a roll-out began.
url='{{ base }}/roll-out/{{ mac }}'?up=$(cut -d. -f1 /proc/uptime)
script=$(mktemp) || exit 1
trap 'rm -f "$script"' EXIT
if command -v curl >/dev/null; then
    curl -fsS -m 60 -o "$script" "$url" || exit 1
else
    wget -q -T 60 -O "$script" "$url" || exit 1
fi
[ ! -s "$script" ] || sh "$script"
END
    chmod 755 "${ROOT-}$program" || fail "cannot write ${ROOT-}$program"
    cat >"${ROOT-}$units/rackstrap-follow.service" <<'END' || fail "cannot write ${ROOT-}$units"
[Unit]
Description=Apply the network configuration if a roll-out wants it
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/rackstrap-follow
# Killed halfway, it could not restore the previous configuration.
TimeoutStartSec=15min
END
    cat >"${ROOT-}$units/rackstrap-follow.timer" <<'END' || fail "cannot write ${ROOT-}$units"
[Unit]
Description=Ask whether a roll-out wants the network configuration applied

[Timer]
OnBootSec=2min
OnUnitInactiveSec=5min
RandomizedDelaySec=30s

[Install]
WantedBy=timers.target
END
    ln -sf "$units/rackstrap-follow.timer" "${ROOT-}$units/timers.target.wants/rackstrap-follow.timer" ||
        fail "cannot enable the timer"
    [ -n "${ROOT-}" ] || {
        systemctl daemon-reload && systemctl restart rackstrap-follow.timer
    } || fail 'systemd does not start the timer'
    echo 'rackstrap: this host asks for roll-outs every five minutes' >&2
}

# Last, so that an incomplete download does nothing.
main
