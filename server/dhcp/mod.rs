//! DHCPv4: wire format, decisions and replies are pure; `service` and `socket` do the I/O.
