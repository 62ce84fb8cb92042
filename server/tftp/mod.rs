//! A read-only TFTP server: packet and transfer are pure; `service` does the I/O.
