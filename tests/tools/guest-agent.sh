#!/bin/sh
# Runs inside a guest: executes the lines that come over its second serial port, each with
# a last line "ended STATUS".
exec </dev/ttyS1 >/dev/ttyS1 2>&1
busybox stty raw -echo
echo ready
while read -r line; do
    sh -c "$line" </dev/null 2>&1
    echo "ended $?"
done
