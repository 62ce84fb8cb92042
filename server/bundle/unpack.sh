#!/bin/sh
# Writes the network configuration of a host below $ROOT, and starts nothing.
set -e
{%- for file in files %}
mkdir -p "$ROOT"'{{ file.directory }}'
cat >"$ROOT"'{{ file.path }}' <<'{{ file.end }}'
{{ file.text }}{{ file.end }}
chmod {{ file.mode }} "$ROOT"'{{ file.path }}'
{%- endfor %}
