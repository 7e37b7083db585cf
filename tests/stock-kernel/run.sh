#!/bin/bash
# Runs the tests that need a kernel (tests/kernel_*.rs; of those of DHCP clients one), and two of the labs, once more: on Debian's own kernel, in a virtual
# machine which shares this machine's files. They are compiled here, before it boots; nothing is installed here.
#
# usage: run.sh                     all of them
#        run.sh PROGRAM [TEST]...   one test program's tests, or those whose name contains one of these; no lab
# With BLESS=1 what tests write into this folder stays (docs/attack-matrix.md).
#
# environment: as for on-stock-kernel.sh, and CI. Inside, STOCK_KERNEL=1 says where the tests are: a kernel that has
# everything Debian's has, on a processor that is emulated and 10 to 90 times slower.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
export STOCK_KERNEL=1 STOCK_KERNEL_TIMEOUT="${STOCK_KERNEL_TIMEOUT:-1620}"
export STOCK_KERNEL_CACHE="${STOCK_KERNEL_CACHE:-target/stock-kernel}"

# Its package is downloaded when the cache is empty, and the mirror keeps only the newest.
[ -e "$STOCK_KERNEL_CACHE/kernel" ] || scripts/install-missing.sh --refresh

# As make test builds them: for one package alone its dependencies would have fewer features, and be built once more.
messages=$(cargo test --workspace --no-run --locked --test "${1:-kernel_*}" --message-format=json)
mapfile -t programs < <(grep -o '"executable":"[^"]*/kernel_[^"]*"' <<<"$messages" | cut -d'"' -f4)
[ ${#programs[@]} -gt 0 ] || { echo "stock-kernel: no test programs in cargo's messages" >&2; exit 1; }
BIN=$(dirname "$(dirname "${programs[0]}")") # target/debug/deps/kernel_x: the programs are next to deps
export BIN LAB_PATIENCE=120 PROGRAM="${1:-}" TESTS="${*:2}"
options=(-e STOCK_KERNEL -e CI -e BIN -e LAB_PATIENCE -e PROGRAM -e TESTS)
[ -z "${BLESS:-}" ] || options+=(-e BLESS -w "$PWD")

# A loop in the guest rather than a virtual machine for each: booting takes longer than most of them.
# shellcheck disable=SC2016
inside='
    failed=()
    echo "stock-kernel: Linux $(uname -r)"
    # Taps are made by a device that nobody has made yet; bridges hand on to iptables only if they are told to.
    /sbin/modprobe -a tun br_netfilter && mkdir -p /dev/net && { [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200; }
    for program in "$@"; do
        echo "stock-kernel: ${program##*/}"
        only=$TESTS
        # Clients of DHCP are the same ones there, and ask for minutes; its taps are not.
        [[ -n "$PROGRAM" || "$program" != *kernel_nfdhcpd_clients* ]] || only=taps_of_the_tun_driver
        # shellcheck disable=SC2086
        "$program" --test-threads=2 $only || failed+=("${program##*/}")
    done
    if [ -z "$PROGRAM" ]; then
        for lab in lab/demo.sh lab/nfdhcpd.sh; do # those of the companions ask nothing of the kernel that is not asked here
            if $lab >/run/lab 2>&1; then tail -n 1 /run/lab; else cat /run/lab; failed+=($lab); fi
        done
        # Last, for it replaces the units of the guest.
        tests/stock-kernel/systemd.sh || failed+=(systemd.sh)
    fi
    [ ${#failed[@]} = 0 ] || { echo "stock-kernel: FAILED: ${failed[*]}"; exit 1; }
    echo "stock-kernel: all passed"
'
exec "$here/on-stock-kernel.sh" "${options[@]}" -- bash -c "$inside" stock-kernel "${programs[@]}"
