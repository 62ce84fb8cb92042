#!/usr/bin/env python3
"""A VLAN's end for kernels without 802.1Q: vlan-port.py TRUNK ID PORT makes two taps in the namespace that it runs in.

Frames with the tag ID that reach TRUNK come out of PORT without it, and the other way round. It runs until it is ended.
"""

import fcntl
import os
import select
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def tap(name: str) -> int:
    file = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return file


def main() -> None:
    trunk_name, number, port_name = sys.argv[1:]
    trunk, port = tap(trunk_name), tap(port_name)
    tag = struct.pack("!HH", 0x8100, int(number))
    print("ready", flush=True)
    while True:
        for file in select.select([trunk, port], [], [])[0]:
            frame = os.read(file, 65536)
            try:
                if file == port:
                    os.write(trunk, frame[:12] + tag + frame[12:])
                elif frame[12:14] == tag[:2] and struct.unpack("!H", frame[14:16])[0] & 0xFFF == int(number):
                    os.write(port, frame[:12] + frame[16:])
            except OSError:
                # The other end is down, as a port of a switch may be.
                pass


main()
