#!/usr/bin/env python3
"""Runs a command as a kernel without IPv6 would: without-ipv6.py COMMAND [ARGUMENT...].

A seccomp filter answers socket(AF_INET6, ...) with EAFNOSUPPORT, which is what a kernel says
that was built without the family or started with ipv6.disable=1. (The setting
net.ipv6.conf.all.disable_ipv6=1 is milder: sockets of the family are still made.)
"""
import ctypes
import errno
import os
import platform
import struct
import sys

# Of linux/prctl.h, linux/seccomp.h, linux/filter.h and linux/audit.h.
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
AF_INET6 = 10
# By architecture: its number for audits, and that of the system call socket.
SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if platform.machine() not in SOCKET:
        sys.exit(f"without-ipv6.py does not know the system calls of {platform.machine()}")
    arch, socket = SOCKET[platform.machine()]
    # struct seccomp_data: number at 0, architecture at 4, first argument at 16.
    program = [
        (LOAD, 0, 0, 4),
        (EQUAL, 0, 5, arch),
        (LOAD, 0, 0, 0),
        (EQUAL, 0, 3, socket),
        (LOAD, 0, 0, 16),
        (EQUAL, 0, 1, AF_INET6),
        (RETURN, 0, 0, FAIL | errno.EAFNOSUPPORT),
        (RETURN, 0, 0, ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the number of lines, and where they are.
    filter_program = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    for words in [
        (PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero),
        (PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), filter_program, zero, zero),
    ]:
        if libc.prctl(*words) != 0:
            sys.exit(f"without-ipv6.py: prctl: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
