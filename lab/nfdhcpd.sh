#!/bin/bash
# The responder's lab: three machines behind taps, two of them routed and one in a bridge, with real DHCP clients; and
# instances-nfdhcpd, which knows of them what stands in one small file for each.
#
# environment: as for demo.sh; BIN is the folder of instances-nfdhcpd
# shellcheck disable=SC2016,SC2154
set -u -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lab/spaces.sh
. "$here/spaces.sh"
# Not in a user namespace: who has no second user there cannot become one.
inside_or_again "${1-}" root instances-nfdhcpd
# shellcheck source=lab/checks.sh
. "$here/checks.sh"
# shellcheck source=lab/network.sh
. "$here/network.sh"

guests=(alice bob carol)
prefix4=192.0.2 prefix6=2d00:c0de:7:2
declare -A tap=([alice]=tap1 [bob]=tap2 [carol]=tap3) indev=([alice]=tap1 [bob]=tap2 [carol]=br0)
declare -A last=([alice]=11 [bob]=12 [carol]=13) # of the IPv4 address
bindings=$lab/nfdhcpd
responder=("$BIN/instances-nfdhcpd" -c "$lab/nfdhcpd.conf")

ip6_of() { echo "$prefix6:1a:b0ff:fe00:${mac[$1]##*:0}"; } # NAME: what it makes of the prefix and its MAC

build_taps() {
    local name
    ip link set lo up
    ip address add "$prefix4.1/32" dev lo
    ip address add "$prefix6::1/128" dev lo
    ip link add br0 address $host_mac type bridge
    ip link set br0 up
    for name in "${guests[@]}"; do
        add_guest_behind "$name" "${tap[$name]}"
        [ "${indev[$name]}" = "${tap[$name]}" ] || ip link set "${tap[$name]}" master "${indev[$name]}"
    done
    copy_dhclient
}

# What brings traffic to a tap. It is who runs the machine that does this, not the responder.
route_to_taps() {
    local name
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    for name in "${guests[@]}"; do
        ip -4 route replace "$prefix4.${last[$name]}/32" dev "${indev[$name]}"
        ip -6 route replace "$(ip6_of "$name")/128" dev "${indev[$name]}"
        echo 1 >"/proc/sys/net/ipv4/conf/${indev[$name]}/proxy_arp"
        echo 0 >"/proc/sys/net/ipv4/neigh/${indev[$name]}/proxy_delay"
    done
}

configure() {
    mkdir "$bindings"
    cat >"$lab/nfdhcpd.conf" <<CONF
[general]
datapath = $bindings
pidfile = $lab/nfdhcpd.pid
user = nobody
metrics_listen = 127.0.0.1:9547
[dhcp]
server_ip = $prefix4.1
nameservers = $prefix4.2, $prefix4.3
domain = example.com
[ipv6]
nameservers = $prefix6::53
CONF
}

bind() { # NAME: the file appears in one piece, though the responder would wait for the rest of it
    cat >"$bindings/.$1" <<BINDING && mv "$bindings/.$1" "$bindings/${tap[$1]}"
INDEV=${indev[$1]}
MAC=${mac[$1]}
HOSTNAME=$1
IP=$prefix4.${last[$1]}
SUBNET=$prefix4.0/24
GATEWAY=$prefix4.1
SUBNET6=$prefix6::/64
GATEWAY6=$prefix6::1
EUI64=$(ip6_of "$1")
MTU=1400
BINDING
}

start_responder() {
    "${responder[@]}" -f -d 2>>"$lab/responder.log" &
    responder_pid=$!
}
listens() { # to each of its four queues
    [ "$(awk '$1 >= 42 && $1 <= 45 && $2 > 0' /proc/net/netfilter/nfnetlink_queue | wc -l)" = 4 ] || { cat "$lab/responder.log"; return 1; }
}
has_logged() { grep --quiet -- "$1" "$lab/responder.log" || { tail -n 5 "$lab/responder.log"; return 1; }; } # PATTERN

metrics() {
    local line
    exec 3<>/dev/tcp/127.0.0.1/9547 || return
    printf 'GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n' >&3
    while IFS= read -r line <&3; do echo "${line%$'\r'}"; done
    exec 3>&-
}
some_metrics() { metrics | grep -E '^nfdhcpd_(packets_(answered|passed)_total|bindings|taps)' | sort; }
counts() { metrics | grep --quiet -- "^$1 [1-9]"; } # METRIC: whether it is not 0

has4() { in_guest "$1" ip -oneline -4 address show dev eth0 | grep --quiet " $2/24 "; }                   # NAME ADDRESS
has6() { in_guest "$1" ip -oneline -6 address show dev eth0 -tentative | grep --quiet " $(ip6_of "$1")/64 "; } # NAME
has_router6() { in_guest "$1" ip -6 route show default | grep --quiet '^default via fe80::'; }            # NAME
has_no_router6() { ! has_router6 "$1"; }
has_no_prefix6() { ! in_guest "$1" ip -6 route | grep --quiet "^$prefix6::/64"; }
has_mtu() { in_guest "$1" ip link show dev eth0 | grep --quiet "mtu $2 "; } # NAME OCTETS
configuration_of() { # NAME
    in_guest "$1" ip -brief address show dev eth0
    in_guest "$1" ip -4 route show default
    in_guest "$1" ip -6 route show default
    cat "$lab/$1/resolv.conf"
}

section "Three machines behind taps; nobody tells them who they are"
configure
build_taps
route_to_taps
for name in "${guests[@]}"; do within_reason guest_has_link_local "$name"; done
remark "alice and bob are behind tap1 and tap2, which the host routes to; carol is behind tap3, a port of br0"
show "ip -brief link" ip -brief link show type veth
check "alice has no router" has_no_router6 alice

section "The responder, and the rules that bring it the taps' questions"
show "cat nfdhcpd.conf" cat "$lab/nfdhcpd.conf"
must "its rules are put in" "${responder[@]}" --install-rules
show "instances-nfdhcpd --print-rules nft | grep -E '{\$|tap'" eval '"${responder[@]}" --print-rules nft | grep -E "^table.*{|tap"'
start_responder
must "it listens to its four queues" within_reason listens
check "as nobody" [ "$(stat --format=%U "/proc/$responder_pid")" = nobody ]

section "Binding files appear: one for each tap, named after it"
for name in "${guests[@]}"; do bind "$name"; done
show "cat $bindings/tap1" cat "$bindings/tap1"
for name in "${guests[@]}"; do
    check "$name is told its IPv6 prefix and router at once" within_reason has_router6 "$name"
    check "$name makes itself the address that the file expects: $(ip6_of "$name")" within_reason has6 "$name"
done
must "three dhclients get their IPv4 leases" request_leases 4
for name in "${guests[@]}"; do check "$name has the address of the file: $prefix4.${last[$name]}" has4 "$name" "$prefix4.${last[$name]}"; done
check "and the MTU" has_mtu alice 1400
show "alice: addresses, routers, resolv.conf" configuration_of alice
show "instances-nfdhcpd --dump" "${responder[@]}" --dump
check "alice reaches her gateway over IPv4" within_reason reaches alice "$prefix4.1"
check "and over IPv6: the responder answers who looks for it" within_reason reaches alice "$prefix6::1"
for other in bob carol; do
    check "alice reaches $other over IPv4" within_reason reaches alice "$prefix4.${last[$other]}"
    check "and over IPv6: the responder answers in the place of who is behind another tap" within_reason reaches alice "$(ip6_of $other)"
done

section "One binding changes: bob gets another address"
last[bob]=77
bind bob
route_to_taps
remark "bob's machine restarts; its client asks for what it had, $prefix4.12, is refused, and asks anew"
check "bob's client comes back" request_lease bob 4
check "it was refused" within_reason has_logged 'tap2: dhcp4: nak'
check "bob has the new address" has4 bob "$prefix4.77"
check "alice reaches bob there" within_reason reaches alice "$prefix4.77"
show "grep 'tap2: dhcp4' the responder's log" grep 'tap2: dhcp4' "$lab/responder.log"

section "One goes: rm $bindings/tap3"
rm "$bindings/tap3"
check "carol is told at once that her router is none any more" within_reason has_no_router6 carol
check "and that the prefix is not on her link" within_reason has_no_prefix6 carol
stop_client carol 4
in_guest carol "$lab/dhclient" -4 -nw -cf "$lab/carol/dhclient.conf" -sf /bin/true -lf "$lab/carol/leases" -pf "$lab/carol/pid4" eth0 >/dev/null 2>&1
check "what she asks goes its way, unanswered" within_reason counts 'nfdhcpd_packets_passed_total{kind="dhcp4",what="no binding"}'
stop_client carol 4
show "curl http://127.0.0.1:9547/metrics" some_metrics

section "Killed, and started again: there is no state to lose"
{ kill -KILL $responder_pid && wait $responder_pid; } 2>/dev/null
check "kill -9 ends it" process_is_gone $responder_pid
start_responder
must "it listens again" within_reason listens
check "bob's client asks for what it has" request_lease bob 4
check "and keeps it" has4 bob "$prefix4.77"
check "it ends on SIGTERM" eval 'kill $responder_pid && within_reason process_is_gone $responder_pid'
for name in "${guests[@]}"; do stop_client "$name" 4; done
check "its rules are taken out" "${responder[@]}" --remove-rules

verdict "leases, autoconfiguration, routed and bridged, a change, a goodbye, a restart"
