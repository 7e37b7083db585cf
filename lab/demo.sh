#!/bin/bash
# The lab: a bridge with four guests, a real dnsmasq, real DHCP clients, and the Instances programs between them.
#
# environment:
#   BIN            folder of instances-update and instances-process   (target/release)
#   LAB_PATIENCE   seconds to wait for any one thing before giving up (15)
#   NO_COLOR       no colour even at a terminal
#
# Everything happens in network, mount and process namespaces of its own; when their first process ends, by itself, by
# ^C or by kill -9, the kernel takes the rest away.
# shellcheck disable=SC2016,SC2154
set -u -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lab/spaces.sh
. "$here/spaces.sh"
inside_or_again "${1-}" user instances-update instances-process
hosts_folder=$lab/hosts
export INSTANCES_BASE_PATH=$lab/instances
# shellcheck source=lab/checks.sh
. "$here/checks.sh"
# shellcheck source=lab/network.sh
. "$here/network.sh"

listed() { "$BIN/instances-update" --list; }
registered() { grep --quiet --fixed-strings -- "$1" "$INSTANCES_BASE_PATH.json"; } # TEXT
all_registered() { # every address that a guest has is in the registry
    local name kind address
    for name in "${guests[@]}"; do
        for kind in 4 gua ula; do
            address=$(address_of "$name" $kind)
            [ -n "$address" ] || { echo "$name has no address of kind $kind"; return 1; }
            registered "\"$address\"" || { echo "$address of $name is not registered"; return 1; }
        done
    done
}
answers() { # NAME TYPE WANTED: what dnsmasq tells a guest
    local got
    got=$(in_guest bob dig +short +time=1 +tries=1 @"$prefix4.1" "$1" "$2" | sort | xargs)
    [ "$got" = "$3" ] || { echo "$1 $2: got '$got', wanted '$3'"; return 1; }
}
believes() { # GUEST ADDRESS OWNER
    local got
    got=$(neighbour_mac "$1" "$2")
    [ "$got" = "${mac[$3]}" ] || { echo "$1 sends frames for $2 to '$got', $3 is ${mac[$3]}"; return 1; }
}
dropped() { # PROTECTION
    nft list chain bridge instances "instances_block_$1" | sed -n 's/.*counter packets \([0-9]*\) bytes [0-9]* comment.*/\1/p'
}
dropped_more_than() { [ "$(dropped "$1")" -gt "$2" ]; } # PROTECTION COUNT
offends() { # PROTECTION NAME ADDRESS: whether the guard has recorded who claimed what
    local recorded
    recorded=$(nft list set bridge instances "instances_offenders_$1")
    grep --quiet --ignore-case "${mac[$2]} . \"[^\"]*\" . $3 " <<<"$recorded" || { echo "$recorded"; return 1; }
}
exits_with() { # STATUS COMMAND...
    local status=0
    "${@:2}" || status=$?
    [ $status = "$1" ] || { echo "exit $status, wanted $1"; return 1; }
}
renew_under_name() { # GUEST NAME
    sed -i "s/\"$1\"/\"$2\"/" "$lab/$1/dhclient.conf" && request_lease "$1" 4
}
has_read_hosts() { answers host.instance.internal A "$prefix4.1"; }

guard_of_alice() {
    nft list set bridge instances instances_arp | grep alice
    nft list chain bridge instances instances_prerouting
    nft list chain bridge instances instances_guard
}
status() { "$BIN/instances-process" --status; }
lists_offender() { # NAME ADDRESS PROTECTION: whether the status has a row of who claimed what by which port
    local said
    said=$(status)
    grep --quiet --extended-regexp "^${mac[$1]} +$1 +port-$1 +$2 +$3 " <<<"$said" || { echo "$said"; return 1; }
}
has_said() { grep --quiet -- "$1" "$lab/watch.log" || { cat "$lab/watch.log"; return 1; }; } # PATTERN
offenders() { nft list table bridge instances | grep --before-context=5 "${mac[mallory]}" | grep -E 'set instances_offenders|elements'; }

# Mallory takes alice's addresses and announces them: setting a MAC, even to what it is, makes the kernel send a
# gratuitous ARP and an unsolicited neighbour advertisement for each address.
claim_addresses() {
    in_guest mallory bash -c '
        echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify
        echo 1 >/proc/sys/net/ipv6/conf/eth0/ndisc_notify
        ip address add "$1/32" dev eth0 && ip address add "$2/128" dev eth0 nodad && ip link set eth0 address "$3"
    ' bash "$alice4" "$alice6" "${mac[mallory]}"
}
release_addresses() {
    in_guest mallory ip address del "$alice4/32" dev eth0
    in_guest mallory ip address del "$alice6/128" dev eth0
}

section "A bridge, four guests, one dnsmasq"
build_bridge
for name in "${guests[@]}"; do add_guest "$name"; done
for name in "${guests[@]}"; do within_reason guest_has_link_local "$name"; done
within_reason has_link_local br0
must "the host registers itself" "$BIN/instances-update" --initialize br0 host
start_dnsmasq
must "dnsmasq serves DHCPv4, DHCPv6 and DNS" within_reason dnsmasq_answers
must "four dhclients get IPv4 leases" request_leases 4
must "four dhclients get IPv6 leases, global and unique local" request_leases 6

section "The registry: who is who"
must "dnsmasq has registered every lease" within_reason all_registered
show "instances-update --list" listed
check "mallory renews and calls herself alice" renew_under_name mallory alice
check "an admin removes carol" "$BIN/instances-update" --remove "${mac[carol]}"
check "carol is gone" eval '! registered "${mac[carol]}"'
check "carol renews her IPv4 lease" request_lease carol 4
check "and is back, by the script's action 'old'" within_reason registered "\"$(address_of carol 4)\""
# dnsmasq runs one script at a time, in order: mallory's renewal is behind us.
check "the name alice still belongs to one instance" [ "$(grep -c '"name": "alice"' $INSTANCES_BASE_PATH.json)" = 1 ]
check "dnsmasq replays its leases on SIGHUP" kill -HUP $dnsmasq_pid
check "and her IPv6 addresses are back, too" within_reason all_registered

alice4=$(address_of alice 4) alice6=$(address_of alice gua) alice_ula=$(address_of alice ula)
section "Unguarded: mallory claims alice's $alice4 and $alice6"
check "bob reaches alice over IPv4" within_reason reaches bob "$alice4"
check "bob reaches alice over IPv6" within_reason reaches bob "$alice6"
check "mallory announces both addresses as hers" claim_addresses
check "bob believes it: IPv4 for alice goes to mallory" within_reason believes bob "$alice4" mallory
check "bob believes it: IPv6 for alice goes to mallory" within_reason believes bob "$alice6" mallory
show "bob: ip neighbour" neighbours_of bob "$alice4" "$alice6"
release_addresses
forget_neighbours bob

section "instances-process: from the registry to DNS and the kernel"
apply() { "$BIN/instances-process" --apply --hook "$1" --hosts-to $hosts_folder; } # BRIDGE
hook=br0
said=$(apply $hook 2>&1) || {
    remark "--hook br0 is refused by this kernel, so every bridge is guarded instead:"
    remark "$said"
    hook='*'
    said=$(apply "$hook" 2>&1)
}
applied=$?
show "instances-process --apply --hook '$hook' --hosts-to $hosts_folder" echo "$said"
must "the policy is in force" [ $applied = 0 ]
# Debian's kernel can tell bridges apart.
[ -z "${STOCK_KERNEL-}" ] || check "for br0 alone" [ "$hook" = br0 ]
check "the next run has nothing to do" exits_with 10 "$BIN/instances-process"
show "grep -h alice $hosts_folder/*" grep -h alice "$hosts_folder"/*
must "dnsmasq has read the hosts file" within_reason has_read_hosts

section "Names"
for question in "alice.instance.internal A" "alice.instance.internal AAAA" "-x $alice4"; do
    # shellcheck disable=SC2086 # a type, or a name and a type
    show "dig +short $question" in_guest bob dig +short @"$prefix4.1" $question
done
check "A of alice" answers alice.instance.internal A "$alice4"
check "AAAA of alice: global and unique local" answers alice.instance.internal AAAA "$alice6 $alice_ula"
check "v4" answers alice.v4.instance.internal A "$alice4"
check "v6" answers alice.v6.instance.internal AAAA "$alice6 $alice_ula"
check "g6" answers alice.g6.instance.internal AAAA "$alice6"
check "u6" answers alice.u6.instance.internal AAAA "$alice_ula"
check "l6" answers alice.l6.instance.internal AAAA fe80::1a:b0ff:fe00:a
check "no IPv4 under v6" answers alice.v6.instance.internal A ""
check "the host's own name" answers host.instance.internal A "$prefix4.1"

reverse_is() { in_guest bob dig +short +time=1 +tries=1 @"$prefix4.1" -x "$1" | grep --quiet --line-regexp "$2"; } # ADDRESS NAME
check "PTR of alice's IPv4" reverse_is "$alice4" alice.instance.internal.
check "PTR of alice's IPv6" reverse_is "$alice6" alice.instance.internal.

section "Guarded: mallory tries again"
arp_before=$(dropped arp) source_before=$(dropped source)
check "bob reaches alice over IPv4" within_reason reaches bob "$alice4"
check "bob reaches alice over IPv6" within_reason reaches bob "$alice6"
check "mallory announces both addresses as hers" claim_addresses
check "the bridge drops the ARP (counter)" within_reason dropped_more_than arp "$arp_before"
# Its source is what it advertises, so it does not even come to being looked at as an advertisement.
check "the bridge drops the advertisement (counter)" within_reason dropped_more_than source "$source_before"
check "and has recorded who it was (ARP)" within_reason offends arp mallory "$alice4"
check "and has recorded who it was (IPv6)" within_reason offends ip6 mallory "$alice6"
check "bob still sends IPv4 for alice to alice" believes bob "$alice4" alice
check "bob still sends IPv6 for alice to alice" believes bob "$alice6" alice
forget_neighbours bob
check "bob asks anew, both answer, alice is heard (IPv4)" eval 'within_reason reaches bob "$alice4" && believes bob "$alice4" alice'
check "bob asks anew, both answer, alice is heard (IPv6)" eval 'within_reason reaches bob "$alice6" && believes bob "$alice6" alice'
check "honest carol reaches the host" within_reason reaches carol "$prefix4.1"
check "honest carol reaches bob over IPv6" within_reason reaches carol "$(address_of bob ula)"
show "bob: ip neighbour" neighbours_of bob "$alice4" "$alice6"
show "nft list ... (who is alice, and where frames go)" guard_of_alice
show "nft list table bridge instances | grep -E 'set instances_offenders|elements'" offenders

section "Watched: somebody flushes the ruleset"
release_addresses
"$BIN/instances-process" --watch --apply --hook "$hook" --hosts-to $hosts_folder >"$lab/watch.log" 2>&1 &
watch_pid=$!
must "instances-process --watch has made files and policy" within_reason has_said '^Kernel: '
check "there is nothing to change in the policy that is in force" has_said '^Kernel: .*: held already'
flushed=${EPOCHREALTIME/[.,]/}
check "nft flush ruleset" nft flush ruleset
check "the watch puts it back" within_reason status &&
    remark "protected again after $(((${EPOCHREALTIME/[.,]/} - flushed) / 1000)) ms"
check "and says so" within_reason has_said 'table bridge instances was changed.*: restored'
check "mallory announces alice's addresses as hers" claim_addresses
check "she is an offender in instances-process --status (IPv4)" within_reason lists_offender mallory "$alice4" arp
check "she is an offender in instances-process --status (IPv6)" within_reason lists_offender mallory "$alice6" source
check "bob asks anew, and alice is heard" eval 'forget_neighbours bob; within_reason reaches bob "$alice4" && believes bob "$alice4" alice'
show "instances-process --status" status
check "the watch ends on SIGTERM" eval 'kill $watch_pid && within_reason process_is_gone $watch_pid'
check "and leaves everything in force" status

verdict "leases, registry, renewal, names, ARP and ND spoofing before and after, a flush undone"
