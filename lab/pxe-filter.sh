#!/bin/bash
# The PXE filter's lab: an inspection network with a real dnsmasq, machines that boot from it by DHCP, and
# instances-pxe-filter, which lets only those that Ironic has under inspection.
#
# environment: as for demo.sh; BIN is the folder of instances-pxe-filter; OPENSTACK and IRONIC as for ironic.sh
# shellcheck disable=SC2016,SC2154
set -u -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lab/spaces.sh
. "$here/spaces.sh"
inside_or_again "${1-}" root instances-pxe-filter
# shellcheck source=lab/checks.sh
. "$here/checks.sh"
# shellcheck source=lab/network.sh
. "$here/network.sh"
# shellcheck source=lab/ironic.sh
. "$here/ironic.sh"

found_mac=02:1a:b0:00:00:1a # alice's second interface
mac+=([alice-eth1]=$found_mac)
hostsdir=$lab/dhcp-hostsdir
filter=("$BIN/instances-pxe-filter" --config-file "$lab/inspector.conf")

build_inspection_network() {
    local name tap
    ip link set lo up
    ip link add br0 address $host_mac type bridge
    ip link set br0 up
    ip address add "$prefix4.1/24" dev br0
    for name in alice alice-eth1 bob mallory; do
        add_guest "$name"
        in_guest "$name" ip link set eth0 up
    done
    printf '%s\n' '#!/bin/sh' '[ "$1" != bound ] || echo "$ip is to boot ${boot_file:-$bootfile}"' >"$lab/told"
    chmod 755 "$lab/told"
}

configure() {
    mkdir "$hostsdir"
    cat >"$lab/dnsmasq.conf" <<CONF
interface=br0
except-interface=lo
bind-interfaces
port=0
user=nobody
no-ping
dhcp-range=$prefix4.100,$prefix4.199,255.255.255.0,1h
dhcp-boot=inspector.ipxe
dhcp-hostsdir=$hostsdir
dhcp-leasefile=$lab/dnsmasq.leases
pid-file=$lab/dnsmasq.pid
log-facility=$lab/dnsmasq.log
CONF
    cat >"$lab/inspector.conf" <<CONF
[pxe_filter]
driver = dnsmasq
metrics_listen = 127.0.0.1:9548
[dnsmasq_pxe_filter]
dhcp_hostsdir = $hostsdir
dnsmasq_start_command = dnsmasq --conf-file=$lab/dnsmasq.conf
dnsmasq_stop_command = kill \$(cat $lab/dnsmasq.pid)
[ironic]
auth_type = none
endpoint_override = $ironic_url
CONF
}

start_filter() {
    "${filter[@]}" 2>>"$lab/filter.log" &
    filter_pid=$!
}
dnsmasq_runs() { grep --quiet ':0043 ' /proc/net/udp || { tail -n 5 "$lab/filter.log"; return 1; }; }
dnsmasq_is_gone() { ! grep --quiet ':0043 ' /proc/net/udp; }
has_logged() { grep --quiet -- "$1" "$lab/filter.log" || { tail -n 5 "$lab/filter.log"; return 1; }; } # PATTERN

# Switches a machine on: its firmware asks twice, a second apart.
boot() { in_guest "$1" udhcpc -n -q -f -t 2 -T 1 -i eth0 -s "$lab/told" 2>/dev/null; } # NAME
boots() { boot "$1" | grep ' is to boot inspector.ipxe$'; }                            # NAME
meets_silence() { ! boots "$1"; }                                                     # NAME
all_meet_silence() { # NAME...
    local name jobs=() failed=0
    for name in "$@"; do
        meets_silence "$name" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    return $failed
}
is_told() { [ "$(cat "$hostsdir/${mac[$1]}")" = "${mac[$1]}$2" ] || { cat "$hostsdir/${mac[$1]}"; return 1; }; } # NAME ''|,ignore
is_allowed() { is_told "$1" ''; }
is_denied() { is_told "$1" ,ignore; }
has_no_file() { [ ! -e "$hostsdir/${mac[$1]}" ]; } # NAME
files() { # each with its text
    local file
    for file in "$hostsdir"/*; do printf '%-21s %s\n' "${file##*/}" "$(cat "$file")"; done
}

metrics() {
    exec 3<>/dev/tcp/127.0.0.1/9548 || return
    printf 'GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n' >&3
    tr -d '\r' <&3 | grep -E '^[a-z_]*(ports|nodes|written|errors)' | sort
    exec 3>&-
}

section "An inspection network, and an Ironic that knows two of its machines"
build_inspection_network
start_ironic
must "Ironic answers: $ironic_kind" wait_for_ironic
configure
for name in alice bob; do must "$name is enrolled, with the MAC ${mac[$name]}" enroll "$name" "${mac[$name]}"; done
remark "mallory is on the same network; Ironic has never heard of it"
check "dnsmasq does not run yet" dnsmasq_is_gone

section "The filter: the folder first, then dnsmasq"
show "cat inspector.conf" cat "$lab/inspector.conf"
show "instances-pxe-filter --dry-run 2>/dev/null" eval '"${filter[@]}" --dry-run 2>/dev/null'
start_filter
must "dnsmasq is started once all ports are in the folder" within_reason dnsmasq_runs
show "ls dhcp-hostsdir, and what the files say" files
check "who asks dnsmasq meets silence: alice, bob and mallory" all_meet_silence alice bob mallory

section "alice is inspected"
check "Ironic waits for alice's agent" inspect alice
check "alice's file opens" within_reason is_allowed alice
check "alice gets a lease, and what to boot" within_reason boots alice
show "alice: switched on" boot alice
check "so does who is not known yet, for inspection may find it: mallory" within_reason boots mallory
check "but bob does not" meets_silence bob
show "instances-pxe-filter --status" "${filter[@]}" --status

section "It finds another interface of alice's, and ends"
check "alice's agent tells what it has found; alice is manageable" tell_what_was_found alice "${mac[alice]}" $found_mac
check "alice's file closes" within_reason is_denied alice
check "and so is that of the new one, $found_mac" within_reason is_denied alice-eth1
check "silence again: alice, by either interface, bob and mallory" all_meet_silence alice alice-eth1 bob mallory
show "ls dhcp-hostsdir, and what the files say" files

section "An inspection of bob that is given up, and the end of alice"
check "Ironic waits for bob's agent" inspect bob
check "bob gets a lease, and what to boot" within_reason boots bob
check "alice leaves: her node is deleted" delete_node alice
check "bob still boots" boots bob
check "alice, who is known no more, does not come in by that" meets_silence alice
check "bob's inspection is aborted" abort_inspection bob
check "bob's file closes" within_reason is_denied bob
check "silence: bob, alice and mallory" all_meet_silence bob alice mallory
show "curl http://127.0.0.1:9548/metrics" metrics

section "Killed while bob may boot, and started again"
check "Ironic waits for bob's agent" inspect bob
check "bob's file opens" within_reason is_allowed bob
{ kill -KILL $filter_pid && wait $filter_pid; } 2>/dev/null
check "kill -9 ends the filter" process_is_gone $filter_pid
check "meanwhile bob's inspection ends" abort_inspection bob
kill "$(cat "$lab/dnsmasq.pid")" && within_reason dnsmasq_is_gone
start_filter
check "it starts dnsmasq again" within_reason dnsmasq_runs
check "with bob's file closed" is_denied bob
check "bob meets silence" meets_silence bob
show "tail the filter's log" tail -n 12 "$lab/filter.log"

section "The end: nobody keeps the folder in step, so nobody may boot"
kill $filter_pid && wait $filter_pid
check "it ends on SIGTERM, with 0" [ $? = 0 ]
check "and has stopped dnsmasq" within_reason dnsmasq_is_gone

verdict "in, and out again: by an end, by an abort, by a deletion, by a restart"
