# `make` says what there is. Written for Debian 12 and a Rust toolchain; demo and test install what else they need.

PREFIX ?= /usr/local
DESTDIR ?=
bin = $(DESTDIR)$(PREFIX)/bin
share = $(DESTDIR)$(PREFIX)/share
programs = $(notdir $(basename $(wildcard src/bin/*.rs)))

build_packages = libmnl-dev pkg-config $(shell command -v cc >/dev/null || echo gcc libc6-dev)
lab_packages = nftables iptables dnsmasq-base iproute2 isc-dhcp-client udhcpc bind9-dnsutils iputils-ping
# The witnesses (libnftnl, rustables by way of libclang, strace), systemd-analyze, what boots Debian's kernel, and a browser.
test_packages = chromium chromium-driver libnftnl-dev ndisc6 socat libclang-dev strace systemd man-db kmod xz-utils
# Whom the responder is compared with, and perfdhcp.
bench_packages = libnftnl-dev kea-dhcp4-server kea-admin
# What makes the virtual environment of tests/openstack, where there is none yet.
openstack_packages = $(shell python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv)

.PHONY: help build demo demo-nfdhcpd demo-pxe demo-proxmox test e2e-ironic bench bless lint man install clean packages-to-build packages-to-man packages-to-demo packages-to-test packages-to-bench openstack-if-possible

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name what; do \
	    printf '  make %-12s %s\n' "$$name" "$$what"; done

build: packages-to-build ## the programs, into target/release
	cargo build --release --locked

demo: packages-to-demo build ## a lab: bridge, guests, dnsmasq, DHCP clients; leases, names, spoofing stopped
	@lab/demo.sh

demo-nfdhcpd: packages-to-demo build ## the responder's lab: three taps, binding files that appear, change and go, real clients
	@lab/nfdhcpd.sh

demo-pxe: packages-to-demo packages-to-man build ## the PXE filter's lab: who is inspected boots, on a real dnsmasq; with a real Ironic after make e2e-ironic
	@[ -e target/openstack/ready ] || cargo build --release --locked --example ironic_simulator
	@lab/pxe-filter.sh

demo-proxmox: packages-to-demo packages-to-man build ## the lab of Proxmox VE: twelve guests get names; a change, a dead node, a kill; SCREENSHOT=FILE: the page
	@cargo build --release --locked --example proxmox_simulator
	@SCREENSHOT='$(SCREENSHOT)' lab/proxmox.sh

test: packages-to-test openstack-if-possible ## all tests, here and on Debian's own kernel in a virtual machine
	cargo test --workspace --locked --no-run
# Nobody's fsync is to wait for all that was built.
	sync
	cargo test --workspace --locked
	tests/stock-kernel/run.sh

e2e-ironic: packages-to-test ## the PXE filter with a real Ironic and Keystone from PyPI (0.3 GB into target/openstack), and a real dnsmasq
	@scripts/install-missing.sh $(openstack_packages)
	@tests/openstack/install.sh >/dev/null
	E2E_IRONIC=1 cargo test --locked --test e2e_ironic

bench: packages-to-bench openstack-if-possible ## measure against nft -f, Kea, dnsmasq and ironic-inspector: tables, and JSON in target; with PLOTS=docs plots too; PART=packets, say, for one part
	BENCH_PLOTS=$(abspath $(PLOTS)) cargo bench --locked --bench bench -- $(PART)

bless: packages-to-test ## rewrite the golden files (nft-fixtures, docs/attack-matrix.md) from what the programs do now
	BLESS=1 cargo test --locked --test golden --test kernel_equivalence each_
	BLESS=1 cargo test --locked --test kernel_attacks
	BLESS=1 tests/stock-kernel/run.sh kernel_attacks vlan_aware

lint: packages-to-test ## rustfmt and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo check --locked --no-default-features --all-targets

man: packages-to-man ## man pages and shell completions, into target/generated
	cargo run --locked --example man -- target/generated

install: ## what `make build man` made, to DESTDIR and PREFIX (/usr/local)
	@for made in $(programs:%=target/release/%) target/generated/man; do \
	    [ -e $$made ] || { echo "install: no $$made: run 'make build man' first" >&2; exit 1; }; done
	install -d $(bin) $(share)/man/man8 $(DESTDIR)$(PREFIX)/lib/systemd/system \
	    $(share)/bash-completion/completions $(share)/zsh/site-functions $(share)/fish/vendor_completions.d
	install -m 755 $(programs:%=target/release/%) $(bin)
	install -m 644 target/generated/man/*.8 $(share)/man/man8
	for name in $(programs); do \
	    install -m 644 target/generated/completions/$$name.bash $(share)/bash-completion/completions/$$name && \
	    install -m 644 target/generated/completions/_$$name $(share)/zsh/site-functions && \
	    install -m 644 target/generated/completions/$$name.fish $(share)/fish/vendor_completions.d || exit; done
	for unit in packaging/systemd/*; do \
	    sed 's,/usr/bin/instances,$(PREFIX)/bin/instances,' $$unit >$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit; done
	install -d $(DESTDIR)/etc/default $(DESTDIR)/etc/instances $(DESTDIR)/etc/nfdhcpd $(DESTDIR)/etc/logrotate.d \
	    $(DESTDIR)$(PREFIX)/lib/sysusers.d
	install -m 644 packaging/sysusers.d/* $(DESTDIR)$(PREFIX)/lib/sysusers.d
	[ -n "$(DESTDIR)" ] || ! command -v systemd-sysusers >/dev/null || systemd-sysusers
	[ -e $(DESTDIR)/etc/instances/pxe-filter.conf ] || \
	    install -m 640 packaging/pxe-filter/pxe-filter.conf $(DESTDIR)/etc/instances/pxe-filter.conf
	[ -n "$(DESTDIR)" ] || ! getent group instances-pxe-filter >/dev/null || \
	    chgrp instances-pxe-filter /etc/instances/pxe-filter.conf
	[ -e $(DESTDIR)/etc/instances/proxmox.toml ] || \
	    install -m 644 packaging/proxmox/proxmox.toml $(DESTDIR)/etc/instances/proxmox.toml
	[ -e $(DESTDIR)/etc/nfdhcpd/nfdhcpd.conf ] || \
	    install -m 644 packaging/nfdhcpd/nfdhcpd.conf $(DESTDIR)/etc/nfdhcpd/nfdhcpd.conf
	[ -e $(DESTDIR)/etc/logrotate.d/instances-nfdhcpd ] || \
	    install -m 644 packaging/logrotate/instances-nfdhcpd $(DESTDIR)/etc/logrotate.d
	[ -e $(DESTDIR)/etc/default/instances ] || \
	    install -m 644 packaging/default/instances $(DESTDIR)/etc/default/instances

clean: ## everything that was built or downloaded
	cargo clean

packages-to-build:
	@scripts/install-missing.sh $(build_packages)
packages-to-man:
	@scripts/install-missing.sh $(build_packages) libnftnl-dev
packages-to-demo:
	@scripts/install-missing.sh $(build_packages) $(lab_packages)
packages-to-test:
	@scripts/install-missing.sh $(build_packages) $(lab_packages) $(test_packages)
packages-to-bench:
	@scripts/install-missing.sh $(build_packages) $(lab_packages) $(bench_packages)
# Where it is not, who needs it says SKIPPED, and why.
openstack-if-possible:
	-@scripts/install-missing.sh $(openstack_packages) && tests/openstack/install.sh >/dev/null
