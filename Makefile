# make run    a virtual rack on this machine, netbooted by the real server; INSTALL=1: onto its disks
# make test   every test, on the real components
# make test-full  the same, and the proofs that take minutes: whole guests, layout after layout
# make fuzz   every fuzz target for TIME seconds (default 60): TIME=600, TARGETS="url mac"
# make bench  rackstrap beside its peers, measured on this machine: BENCH=dhcp|servers|tftp|http|deploy|render|storm|viewers|quick
# make package  .deb, .rpm, static tarball, container image, checksums; ARCH=arm64, SIGN_KEY=...: see packaging/README.md
# All install the Debian packages that are missing, and list them first.

SHELL := /bin/bash
# The lab makes network namespaces, which needs root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=FIRMWARE,INSTALL,LAYOUT,HOSTS,ONCE,BENCH,ROUNDS)

# The virtual rack: emulator, firmware, network boot programs, and what unpacks an image.
RUN_PACKAGES  := build-essential ca-certificates cpio curl dosfstools dpkg-dev e2fsprogs fdisk ipxe iproute2 kmod libcap2-bin mmdebstrap mtools ovmf \
                 qemu-system-x86 seabios zstd
# The clients, databases and browser that the tests drive.
TEST_PACKAGES := $(RUN_PACKAGES) atftp btrfs-progs busybox-static chromium chromium-driver dbus-daemon dhcpcd-base dnsmasq-base gpg gpg-agent ipxe-qemu iptables \
                 iputils-ping isc-dhcp-client libarchive-tools lintian minisign netplan.io nftables openssh-client openvswitch-switch postgresql-15 procps python3-jsonschema python3-venv qemu-utils rpm systemd tcpdump tftp-hpa udhcpc xfsprogs xz-utils

# Programs and schemas that read what we write for them, one of another Debian release. Unpacked for the tests, not installed: their
# services must not start.
TEST_TOOLS    := trixie/cloud-init wireguard-tools bind9 bind9-dnsutils bind9-libs bind9-utils frr ifupdown2 libarchive13 libboost-context1.74.0 libbrotli1 libc-ares2 \
                 hostapd libcpuid16 libcurl3-gnutls libfstrm0 libatomic1 libgc1 libhiredis0.14 libjemalloc2 libjson-c5 keepalived liblmdb0 liblzf1 libmaxminddb0 libnghttp2-14 libnl-3-200 libnl-genl-3-200 libnl-route-3-200 libnm0 libpci3 libpcsclite1 libprotobuf-c1 \
                 libseccomp2 libsnmp40 libsodium23 libuv1 libwrap0 libyang2 network-manager nix-bin prometheus python3-ironic redis-server redis-tools udev umoci wpasupplicant

# The servers that the benchmark compares with, and what it measures with. Never started as services.
BENCH_PACKAGES := ca-certificates dnsmasq-base iproute2 isc-dhcp-server kea-admin kea-dhcp4-server nftables nginx-light \
                  postgresql strace tftpd-hpa

# What the lab boots, and how. See `rackstrap lab --help`.
export FIRMWARE INSTALL LAYOUT HOSTS ONCE
# What the benchmark measures, and how often each server has its turn.
export BENCH ROUNDS

.PHONY: package run test test-full fuzz build check fmt bench packages-run packages-test packages-bench trees tools
run: packages-run build
	$(AS_ROOT) target/release/rackstrap lab

test: packages-test trees tools
	tests/tools/run-tests.sh

test-full: packages-test trees tools
	tests/tools/run-tests.sh --include-ignored

fuzz: TIME ?= 60
fuzz:
	@tests/tools/install-packages.sh build-essential
	@tests/tools/fuzz.sh $(TIME) $(TARGETS)

bench: packages-bench build
	@test -x target/bench-peers/bin/tftpd || cargo install --quiet --root target/bench-peers tftpd@1.0.0 || \
	    echo "the crate tftpd is not installed: its row says so"
	@CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$(or $(AS_ROOT),env)" cargo bench --locked --bench peers

# The packages, in target/package. PACKAGES chooses among them; the SBOM takes a minute to compile its tool.
PACKAGES ?= deb rpm tar oci sbom
package:
	@tests/tools/install-packages.sh binutils dpkg-dev python3 rpm
	packaging/package.sh $(PACKAGES) sums
	@ls -l target/package

build:
	cargo build --release --locked

check:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

fmt:
	cargo fmt

# The systemd of other Debian releases; tests without them are reported as skipped.
trees:
	@tests/tools/get-trees.sh || echo "The systemd of other releases could not be unpacked."

packages-run:
	@tests/tools/install-packages.sh $(RUN_PACKAGES)

packages-test:
	@tests/tools/install-packages.sh $(TEST_PACKAGES)

# After the trees: one of the tools comes by the apt that they have.
tools: trees
	@tests/tools/fetch-tools.sh target/tools $(TEST_TOOLS)

packages-bench:
	@benches/tools/install-peers.sh $(BENCH_PACKAGES)
