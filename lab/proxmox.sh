#!/bin/bash
# The Proxmox lab: a bridge with twelve guests, an API that says of them what Proxmox VE would, and instances-proxmox with a real dnsmasq
# of its own, which answers for all of them.
#
# environment: as for demo.sh; BIN is the folder of instances-proxmox, with examples/proxmox_simulator; SCREENSHOT is a file for a picture
# (PNG) of the page, taken with chromium
# shellcheck disable=SC2016,SC2154
set -u -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lab/spaces.sh
. "$here/spaces.sh"
inside_or_again "${1-}" root instances-proxmox examples/proxmox_simulator
# shellcheck source=lab/checks.sh
. "$here/checks.sh"
# shellcheck source=lab/network.sh
. "$here/network.sh"
# shellcheck source=lab/cluster.sh
. "$here/cluster.sh"

page=127.0.0.1:9549
companion=("$BIN/instances-proxmox" --config "$lab/proxmox.toml")
# Where a unit would have them (StateDirectory, RuntimeDirectory).
export STATE_DIRECTORY=$lab/state RUNTIME_DIRECTORY=$lab/run

build_guests_bridge() {
    ip link set lo up
    ip link add vmbr0 address $host_mac type bridge
    ip link set vmbr0 addrgenmode eui64 up
    ip address add "$prefix4.1/24" dev vmbr0
    ip address add "$prefix6::1/64" dev vmbr0 nodad
    copy_dhclient
}

configure() {
    (umask 077 && echo "$secret" >"$lab/token")
    cat >"$lab/proxmox.toml" <<CONF
poll_interval = 3                       # 10 is the default; a lab has less time
listen = "$page"
log_level = "INFO"
[proxmox]
hosts = ["$api_url"]
token_id = "$token_id"
token_file = "$lab/token"
ca_file = "$api_ca"
[names]
domain = "lab"
[dnsmasq]
ranges = ["$prefix4.100,$prefix4.199,255.255.255.0,1h"]
options = ["option:router,$prefix4.1"]
ping = false                            # a lab's addresses are free
[neighbors]
sweep_interval = 5
[[network]]
prefixes = ["$prefix4.0/24", "$prefix6::/64"]
CONF
}

start_companion() {
    "${companion[@]}" 2>>"$lab/proxmox.log" &
    companion_pid=$!
}
dnsmasq_pid() { cat "$RUNTIME_DIRECTORY/dnsmasq.pid"; }
same_dnsmasq() { [ "$(dnsmasq_pid)" = "$1" ] && kill -0 "$1"; } # PID
with_log() { "$@" || { tail -n 5 "$lab/proxmox.log"; return 1; }; }

ask_dns() { dig +short +time=1 +tries=1 @127.0.0.1 "$@"; } # WHAT...
has_address() { # NAME ADDRESS [TYPE]: this one and no other, and the other way round
    local seen
    seen=$(ask_dns "$1.lab" "${3:-A}") && [ "$seen" = "$2" ] || { echo "$1.lab is ${seen:-nothing}, not $2"; return 1; }
    seen=$(ask_dns -x "$2") && [ "$seen" = "$1.lab." ] || { echo "$2 is ${seen:-nobody}, not $1.lab"; return 1; }
}
has_its_address() { has_address "$1" "${address[$1]}"; } # NAME
have_their_addresses() { # NAME...
    local name failed=0
    for name in "$@"; do has_its_address "$name" || failed=1; done
    return $failed
}
is_nobody() { [ -z "$(ask_dns -x "$1")" ]; } # ADDRESS
has_no_name() { [ -z "$(ask_dns "$1.lab")" ]; } # NAME
all_answer() { # NAME...: their names lead to them
    local name to jobs=() failed=0
    for name in "$@"; do
        to=$(ask_dns "$name.lab") && [ -n "$to" ] && { ping -c 1 -W 2 -q "$to" & jobs+=($!); } || failed=1
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    return $failed
}
get_leases() { # NAME...
    local guests=("$@")
    request_leases 4
}
all_names() { ask_page /metrics | sed -n 's/^instances_proxmox_domain_info{\(.*\)} 1$/\1/p' | sed 's/,network=.*//; s/,nic=.*//' | sort; }
metric_is() { # LINE: as it is
    ask_page /metrics >"$lab/metrics" && grep --quiet --line-regexp --fixed-strings -- "$1" "$lab/metrics" || { grep "^${1%%[\{ ]*}" "$lab/metrics"; return 1; }
}
is_stale() { ask_page /metrics | grep --quiet "^instances_proxmox_guest_stale_seconds{vmid=\"$1\",.*} [0-9.]*[1-9]"; } # VMID
ask_page() { # PATH
    exec 3<>"/dev/tcp/${page/:/\/}" || return
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$page" >&3
    tr -d '\r' <&3
    exec 3>&-
}
take_screenshot() { # FILE
    local browser
    browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "there is no chromium"; return 1; }
    HOME=$lab timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
        --virtual-time-budget=3000 --window-size=1280,1000 --screenshot="$1" "http://$page/" && [ -s "$1" ]
}

section "A cluster of three nodes, and its guests' bridge"
build_guests_bridge
start_cluster
must "the cluster's API answers: $api_url" cluster_is_there
configure
show "cat proxmox.toml" cat "$lab/proxmox.toml"
check "the configuration is right, and dnsmasq takes its own" "${companion[@]}" --check-config
start_companion
must "dnsmasq answers" within_reason with_log ask_dns chaos txt version.bind
first_dnsmasq=$(dnsmasq_pid)

section "Twelve guests come up"
for name in "${containers[@]}"; do must "$name: a container with a static address, ${address[$name]}" create_container "$name"; done
for name in "${machines[@]}"; do must "$name: a virtual machine, ${address[$name]} from cloud-init" create_machine "$name"; done
for name in "${clients[@]}"; do must "$name: DHCP" create_client "$name"; done
for name in "${silent[@]}"; do must "$name: its address is its own affair, no agent" create_silent "$name"; done
must "shop: DHCP, an agent, and an IPv6 address of its own" create_agent shop
check "names with configured addresses, forward and reverse" within_reason have_their_addresses "${containers[@]}" "${machines[@]}"
must "real DHCP clients get leases: ${clients[*]} shop" within_reason get_leases "${clients[@]}" shop
for name in "${clients[@]}" shop; do address[$name]=$(address_of "$name" 4); done
check "they have names, too" within_reason have_their_addresses "${clients[@]}" shop
remark "${clients[*]} say by DHCP that they are called web; nobody believes them"
check "who tells nobody is heard on the bridge: ${silent[*]}" within_reason have_their_addresses "${silent[@]}"
check "shop's IPv6 address is what its agent says" within_reason has_address shop "${address6[shop]}" AAAA
check "each name leads to its guest: ping" all_answer "${everybody[@]}"
show "which names there are, and who says so" all_names

section "From DHCP to static: dev keeps its name"
before=${address[dev]}
check "dev's lease ends, its configuration says $prefix4.33 now" make_static dev "$prefix4.33"
address[dev]=$prefix4.33
check "it is heard with its new address" reaches dev "$prefix4.1"
started=$(date +%s%N)
check "dev.lab is $prefix4.33" within_reason has_address dev "$prefix4.33"
remark "$((($(date +%s%N) - started) / 1000000)) ms after it was heard, and $before has no name"
check "the old address has none" within_reason is_nobody "$before"
check "and it is its configuration that says so" within_reason eval 'all_names | grep --quiet "\"dev.lab\".*kind=\"static\""'

section "A node dies"
check "pve3 is gone, and its guests with it" lose_node pve3
check "pve3 is offline in the metrics" within_reason metric_is 'instances_proxmox_node_online{node="pve3"} 0'
check "what is known of its guests is marked as stale" within_reason is_stale "$(vmid_of git)"
check "all names stay" have_their_addresses "${everybody[@]}"
show "curl http://$page/metrics | grep stale" eval 'ask_page /metrics | grep ^instances_proxmox_guest_stale_seconds'

section "Killed, and started again, while that node is away"
{ kill -KILL $companion_pid && wait $companion_pid; } 2>/dev/null
check "kill -9 ends the companion" process_is_gone $companion_pid
check "dnsmasq goes on: all names" have_their_addresses "${everybody[@]}"
check "meanwhile db is renamed to database" rename db database
start_companion
check "started again, it knows of the new name" within_reason has_address database "${address[db]}"
everybody=("${everybody[@]/#db/database}") address[database]=${address[db]}
check "the old one is gone" within_reason has_no_name db
check "and no other: not of those on the node that is away" have_their_addresses "${everybody[@]}"
check "with the same dnsmasq, never restarted" same_dnsmasq "$first_dnsmasq"
check "pve3 comes back" find_node pve3
check "nothing is stale" within_reason eval '! is_stale "$(vmid_of git)"'

section "For people"
remark "a page: http://$page/ (in the lab's own network; with SCREENSHOT=FILE a picture of it)"
check "it is well: /healthz" within_reason eval 'ask_page /healthz | grep --quiet "^ok"'
[ -z "${SCREENSHOT-}" ] || check "its picture: $SCREENSHOT" take_screenshot "$SCREENSHOT"
show "tail the companion's log" tail -n 6 "$lab/proxmox.log"

section "The end"
kill $companion_pid && wait $companion_pid
check "it ends on SIGTERM, with 0" [ $? = 0 ]
check "and dnsmasq with it" process_is_gone "$first_dnsmasq"

verdict "twelve names, through a change, an outage and a kill"
