#!/bin/bash
# Runs the units under a real systemd: on-stock-kernel.sh tests/stock-kernel/systemd.sh. Only in there: it installs the
# programs of BIN (target/debug) into /usr/bin and puts other units out of the way, which is gone with the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
registry=/var/lib/misc/instances hosts=/var/lib/instances/hosts/instances.hosts

install_units() {
    # The machine's own services stay off, but for what a target of ours wants.
    rm -rf /etc/systemd/system/*.wants $registry.* /var/lib/instances
    install "${BIN:-target/debug}"/instances-{process,proxmox,pxe-filter,update} /usr/bin
    systemd-sysusers "$PWD"/packaging/sysusers.d/*
    install -D -m 640 -g instances-pxe-filter packaging/pxe-filter/pxe-filter.conf /etc/instances/pxe-filter.conf
    install -m 644 packaging/proxmox/proxmox.toml /etc/instances/proxmox.toml
    install -m 600 /dev/null /etc/instances/proxmox.token
    echo 00000000-0000-0000-0000-000000000000 >/etc/instances/proxmox.token
    install -m 644 packaging/systemd/* /etc/systemd/system
    install -m 644 packaging/default/instances /etc/default/instances
    # This machine's /tmp need not be tidied for a guest.
    ln -sf /dev/null /etc/systemd/system/systemd-tmpfiles-setup.service
    # There is no journal here.
    for unit in process watch pxe-filter proxmox; do
        mkdir -p /etc/systemd/system/instances-$unit.service.d
        printf '[Service]\nStandardOutput=append:/run/instances.log\nStandardError=inherit\n' \
            >/etc/systemd/system/instances-$unit.service.d/log.conf
    done
    cat >/etc/systemd/system/check.target <<UNIT
[Unit]
Wants=instances-process.path instances-process.service check.service
UNIT
    cat >/etc/systemd/system/check.service <<UNIT
[Unit]
DefaultDependencies=no
After=instances-process.path instances-process.service
[Service]
Type=oneshot
StandardOutput=file:/run/check.log
StandardError=inherit
ExecStart=$PWD/tests/stock-kernel/systemd.sh check
ExecStopPost=/bin/systemctl exit
UNIT
}

is() { [ "$(systemctl show --value --property="$2" "$1")" = "$3" ]; } # UNIT PROPERTY VALUE
is_done() { is instances-process.service ActiveState inactive && [ ! -e $registry.updated ]; }
within_reason() { # COMMAND...
    for _ in {1..300}; do
        if "$@"; then return; fi
        sleep 0.2
    done
    echo "after a minute still not: $*"
    return 1
}
holds() { within_reason is_done && grep -q " $1[.]" $hosts && nft list table bridge instances | grep -q "\"$1\""; } # NAME
add() { instances-update add "02:00:00:00:00:$1" "10.0.0.$1" "guest$1"; } # NUMBER

check() {
    trap 'echo "failed: line $LINENO"; systemctl status --no-pager --full "instances-process.*"' ERR
    # At boot there was no update, and all the same:
    nft list chain bridge instances instances_drop_arp >/dev/null
    [ -e $hosts ]
    within_reason is instances-process.path SubState waiting

    add 10
    holds guest10

    # Far more than the five starts in ten seconds which systemd allows a unit by default, as fast as they come.
    for number in {11..40}; do add "$number"; done 2>/dev/null
    holds guest40
    is instances-process.path SubState waiting

    # A registry that is broken for a while: tried again every ten seconds, not all the time; the old policy stays.
    mv $registry.json $registry.good
    echo '[' >$registry.json
    touch $registry.updated
    within_reason is instances-process.service SubState auto-restart
    sleep 15
    local restarts
    restarts=$(systemctl show --value --property=NRestarts instances-process.service)
    [ "$restarts" -ge 1 ] && [ "$restarts" -le 2 ]
    is instances-process.path ActiveState active
    nft list table bridge instances | grep -q '"guest40"'
    mv $registry.good $registry.json
    holds guest40

    # And it still listens.
    add 41
    holds guest41
    echo "systemd: started at boot, by an update and by thirty; survived a failure without spinning"
    check_watch
}

has() { nft list table bridge instances 2>/dev/null | grep -q "\"$1\""; } # NAME
is_watching() { is instances-watch.service ActiveState active; }

# The service that stays, in their place.
check_watch() {
    trap 'echo "failed: line $LINENO"; systemctl status --no-pager --full "instances-*" nftables' ERR
    systemctl start instances-watch.service # Type=notify: it has loaded the policy
    is instances-process.path ActiveState inactive
    has guest41
    add 42
    within_reason has guest42
    within_reason eval "[ ! -e $registry.updated ]"

    nft flush ruleset
    within_reason has guest42
    printf '#!/usr/sbin/nft -f\nflush ruleset\ntable inet theirs { }\n' >/etc/nftables.conf
    systemctl restart nftables.service
    nft list table inet theirs >/dev/null
    within_reason has guest42
    is_watching

    systemctl reload instances-watch.service
    within_reason is_watching
    systemctl kill --signal=KILL instances-watch.service
    has guest42
    add 43
    within_reason has guest43
    within_reason is_watching
    systemctl show --value --property=StatusText instances-watch.service | grep -q '^The policy of [0-9]* instances is '
    systemctl stop instances-watch.service
    is instances-watch.service Result success
    has guest43
    echo "systemd: the watch repaired a flush and a restart of nftables.service, came back when killed, left in peace"
    check_pxe_filter
}

folder=/run/instances-pxe-filter
filters() { is instances-pxe-filter.service SubState "$1"; } # STATE
denies() { [ "$(cat $folder/unknown_hosts_filter)" = '*:*:*:*:*:*,ignore' ]; }

# No Ironic is here, so everybody is denied.
check_pxe_filter() {
    trap 'echo "failed: line $LINENO"; systemctl status --no-pager --full "instances-pxe-filter*"; ls -la $folder' ERR
    systemctl start instances-pxe-filter.service # Type=notify: nobody can boot any more
    filters running
    denies
    [ "$(stat --format=%U:%a $folder $folder/unknown_hosts_filter | xargs)" = "instances-pxe-filter:755 instances-pxe-filter:644" ]
    instances-pxe-filter --config-file /etc/instances/pxe-filter.conf --status | grep -q '^a filter runs as process '
    systemctl reload instances-pxe-filter.service

    # Hung, and killed by its watchdog or somebody: the unit denies everybody for it.
    mkdir -p /run/systemd/system/instances-pxe-filter.service.d
    printf '[Service]\nRestartSec=1h\n' >/run/systemd/system/instances-pxe-filter.service.d/late.conf
    systemctl daemon-reload
    systemctl kill --signal=STOP instances-pxe-filter.service
    echo '*:*:*:*:*:*' >$folder/unknown_hosts_filter
    systemctl kill --signal=KILL instances-pxe-filter.service
    within_reason filters auto-restart
    denies

    systemctl restart instances-pxe-filter.service
    filters running
    systemctl stop instances-pxe-filter.service
    is instances-pxe-filter.service Result success
    denies
    echo "systemd: the PXE filter denied everybody as a user of its own, and when it was killed"
    check_proxmox
}

pid_file=/run/instances-proxmox/dnsmasq.pid
names() { is instances-proxmox.service SubState "$1"; } # STATE
answers() { dig +time=1 +tries=1 @127.0.0.1 version.bind chaos txt | grep -q dnsmasq; }

# No Proxmox VE is here, so there are no names, but a dnsmasq.
check_proxmox() {
    trap 'echo "failed: line $LINENO"; systemctl status --no-pager --full "instances-proxmox*"' ERR
    ip link set lo up
    systemctl start instances-proxmox.service # Type=notify: dnsmasq answers
    names running
    answers
    local dnsmasq
    dnsmasq=$(cat $pid_file)
    [ "$(ps -o user:32= -p "$dnsmasq" | tr -d ' ')" = instances-proxmox ]
    ! tr '\0' '\n' </proc/"$dnsmasq"/environ | grep -q 00000000-0000-0000
    systemctl reload instances-proxmox.service
    within_reason eval 'systemctl show --value --property=StatusText instances-proxmox.service | grep -q 127.0.0.1'

    # Killed, it leaves its dnsmasq alone, and the next one takes it over.
    systemctl kill --kill-whom=main --signal=KILL instances-proxmox.service
    answers
    within_reason names running
    [ "$(cat $pid_file)" = "$dnsmasq" ]
    answers

    systemctl stop instances-proxmox.service
    is instances-proxmox.service Result success
    [ ! -e /proc/"$dnsmasq" ]
    echo "systemd: the companion of Proxmox VE ran its dnsmasq without root, found it again when it was killed, ended it"
}

if [ "${1-}" = check ]; then
    check
else
    install_units
    # Shared, as at a real boot: else nobody sees the credentials that systemd mounts.
    unshare --pid --fork --mount --propagation shared --mount-proc --uts --kill-child \
        env container=lab /lib/systemd/systemd --system --unit=check.target --log-target=null --show-status=no </dev/null || true
    cat /run/check.log
    grep -q '^failed' /run/check.log && tail -n 20 /run/instances.log
    grep -q '^systemd: started' /run/check.log
    grep -q '^systemd: the watch' /run/check.log
    grep -q '^systemd: the PXE filter' /run/check.log
    grep -q '^systemd: the companion of Proxmox' /run/check.log
fi
