# shellcheck shell=bash disable=SC2034,SC2154
# The lab's machines: one bridge on the host, and guests with a network namespace each. Sourced by the demos.

# 2d00::/8 is allotted to nobody, so this "global" prefix is somebody's only in here. Both prefixes are longer than 64
# bits: no SLAAC, every address comes from DHCPv6.
prefix4=10.0.0 gua=2d00:c0de:7:1:1 ula=fdc1:5e2a:77d0:1:1 prefix6_length=80
host_mac=02:1a:b0:00:00:01

declare -A mac=([alice]=02:1a:b0:00:00:0a [bob]=02:1a:b0:00:00:0b [carol]=02:1a:b0:00:00:0c [mallory]=02:1a:b0:00:00:0d)
guests=(alice bob carol mallory)

# A copy, since AppArmor's profile for /sbin/dhclient would refuse our lease files and our script.
copy_dhclient() { cp "$(command -v dhclient)" "$lab/dhclient"; }

build_bridge() {
    ip link set lo up
    ip link add br0 address $host_mac type bridge
    ip link set br0 addrgenmode eui64 up
    ip address add "$prefix4.1/24" dev br0
    ip address add "$gua::1/$prefix6_length" dev br0 nodad
    ip address add "$ula::1/$prefix6_length" dev br0 nodad
    copy_dhclient
}

add_guest() { # NAME
    add_guest_behind "$1" "port-$1"
    ip link set "port-$1" master br0
}

# A namespace is a file here rather than an `ip netns`: those want to mount /sys, which not every container allows.
add_guest_behind() { # NAME TAP
    mkdir -p "$lab/$1"
    touch "$lab/$1/net"
    unshare --net="$lab/$1/net" true
    ip link add "$2" type veth peer name eth0 address "${mac[$1]}" netns "$lab/$1/net"
    ip link set "$2" up
    in_guest "$1" ip link set lo up
    in_guest "$1" ip link set eth0 addrgenmode eui64 up
    cat >"$lab/$1/dhclient.conf" <<CONF
timeout $patience;
send host-name "$1";
send fqdn.fqdn "$1";
also request interface-mtu;
CONF
}

in_guest() { nsenter --net="$lab/$1/net" "${@:2}"; } # NAME COMMAND...

has_link_local() { ip -6 -oneline address show scope link dev "$1" -tentative | grep -q fe80; } # INTERFACE
guest_has_link_local() { # NAME
    local seen
    seen=$(in_guest "$1" ip -6 -oneline address show dev eth0 scope link -tentative) && [ -n "$seen" ]
}

# With -1, dhclient returns when it is bound, or fails.
request_lease() { # NAME 4|6
    stop_client "$1" "$2"
    in_guest "$1" timeout --foreground "$((2 * patience))" "$lab/dhclient" "-$2" -1 \
        -cf "$lab/$1/dhclient.conf" -sf "$here/dhclient-script" -e "resolv_conf=$lab/$1/resolv.conf" -lf "$lab/$1/leases$2" -pf "$lab/$1/pid$2" eth0 >"$lab/$1/log$2" 2>&1 || {
        tail -n 5 "$lab/$1/log$2"
        return 1
    }
}

stop_client() { # NAME 4|6
    local pid
    pid=$(cat "$lab/$1/pid$2" 2>/dev/null) || return 0
    rm "$lab/$1/pid$2"
    kill "$pid"
    within_reason process_is_gone "$pid"
}
process_is_gone() { ! kill -0 "$1"; }

# Does it for all the guests at once, each with its own leases and log.
request_leases() { # 4|6
    local name jobs=() failed=0
    for name in "${guests[@]}"; do
        request_lease "$name" "$1" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    return $failed
}

start_dnsmasq() {
    mkdir -p "$hosts_folder"
    cat >"$lab/dnsmasq.conf" <<CONF
interface=br0
except-interface=lo
bind-interfaces
user=root
no-resolv
no-hosts
no-ping
local=/internal/
hostsdir=$hosts_folder
dhcp-leasefile=$lab/dnsmasq.leases
dhcp-authoritative
enable-ra
dhcp-range=$prefix4.100,$prefix4.199,255.255.255.0,1h
dhcp-range=$gua::100,$gua::1ff,$prefix6_length,1h
dhcp-range=$ula::100,$ula::1ff,$prefix6_length,1h
dhcp-script=$BIN/instances-update
script-on-renewal
CONF
    # The script's environment is dnsmasq's own and DNSMASQ_*. Without --no-daemon it would call setgroups, which a user
    # namespace forbids.
    env --ignore-environment INSTANCES_BASE_PATH="$INSTANCES_BASE_PATH" \
        "$(command -v dnsmasq)" --no-daemon --conf-file="$lab/dnsmasq.conf" >"$lab/dnsmasq.log" 2>&1 &
    dnsmasq_pid=$!
}
dnsmasq_answers() { # or its log says why not
    dig +short +time=1 +tries=1 @"$prefix4.1" chaos txt version.bind || { tail -n 5 "$lab/dnsmasq.log"; return 1; }
}

address_of() { # NAME 4|gua|ula
    local pattern=$prefix4
    case $2 in gua) pattern=$gua ;; ula) pattern=$ula ;; esac
    in_guest "$1" ip -oneline address show dev eth0 -tentative | awk -v p="$pattern" 'index($4, p) == 1 { sub("/.*", "", $4); print $4; exit }'
}
# Where frames for ADDRESS go, as far as this guest knows.
neighbour_mac() { # NAME ADDRESS
    in_guest "$1" ip neighbour show to "$2" dev eth0 | sed -n 's/.*lladdr \([0-9a-f:]*\).*/\1/p'
}
neighbours_of() { # NAME ADDRESS...
    local address
    for address in "${@:2}"; do in_guest "$1" ip neighbour show to "$address" dev eth0; done
}
forget_neighbours() { in_guest "$1" ip neighbour flush dev eth0; } # NAME
reaches() { in_guest "$1" ping -c 1 -W 2 -q "$2"; } # NAME ADDRESS
