# make run    a virtual rack on this machine, netbooted by the real server
# make test   every test, on the real components
# Both install the Debian packages that are missing, and list them first.

SHELL := /bin/bash
# The lab makes network namespaces, which needs root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=FIRMWARE,LAYOUT,HOSTS,ONCE)

# The virtual rack: emulator, firmware, network boot programs, and what unpacks an image.
RUN_PACKAGES  := build-essential ca-certificates cpio curl dpkg-dev ipxe iproute2 kmod ovmf qemu-system-x86 seabios
# The clients, databases and browser that the tests drive.
TEST_PACKAGES := $(RUN_PACKAGES) atftp busybox-static chromium chromium-driver dhcpcd-base dnsmasq-base \
                 iputils-ping isc-dhcp-client nftables postgresql-15 systemd tftp-hpa udhcpc

# What the lab boots, and how. See `rackstrap lab --help`.
export FIRMWARE LAYOUT HOSTS ONCE

.PHONY: run test build check fmt bench packages-run packages-test
run: packages-run build
	$(AS_ROOT) target/release/rackstrap lab

test: packages-test
	tests/tools/run-tests.sh

build:
	cargo build --release --locked

check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

fmt:
	cargo fmt

packages-run:
	@tests/tools/install-packages.sh $(RUN_PACKAGES)

packages-test:
	@tests/tools/install-packages.sh $(TEST_PACKAGES)
