# shellcheck shell=bash disable=SC2034,SC2154
# A Proxmox VE cluster for a lab: the tests' simulator of its API, and guests, each of which is both in the API and on the bridge vmbr0.
# Sourced by the Proxmox demo, after network.sh.

prefix6=2001:db8:0:6

# Which guest is what: name, number, node.
declare -A vmid=([web]=101 [db]=102 [build]=103 [legacy]=104 [mail]=201 [mon]=202 [desk]=203 [nas]=204 [git]=301 [ci]=302 [dev]=303 [shop]=304)
declare -A address=([web]=$prefix4.11 [mail]=$prefix4.21 [git]=$prefix4.31 [db]=$prefix4.12 [mon]=$prefix4.22 [ci]=$prefix4.32
    [legacy]=$prefix4.14 [nas]=$prefix4.24)
declare -A address6=([shop]=$prefix6::3:4)
containers=(web mail git)   # static, by the container's configuration
machines=(db mon ci)        # static, by cloud-init
clients=(build desk dev)    # DHCP
silent=(legacy nas)         # static, and only ARP tells
everybody=("${containers[@]}" "${machines[@]}" "${clients[@]}" "${silent[@]}" shop)
declare -A port
for name in "${everybody[@]}"; do
    # As the simulator makes them.
    mac[$name]=$(printf 'bc:24:11:00:%02x:%02x' $((vmid[$name] / 256)) $((vmid[$name] % 256)))
    # As Proxmox calls them.
    port[$name]=tap${vmid[$name]}i0
done
for name in "${containers[@]}" "${clients[@]}"; do port[$name]=veth${vmid[$name]}i0; done

vmid_of() { echo "${vmid[$1]}"; } # NAME
node_of() { echo "pve$((vmid[$1] / 100))"; } # NAME

start_cluster() {
    # Its CA's file goes when the lab does.
    coproc cluster { TMPDIR=$lab exec "$BIN/examples/proxmox_simulator"; }
    for said in api_url api_ca token_id secret; do read -r -t "$patience" "$said" <&"${cluster[0]}"; done
}
cluster_is_there() { [ -n "$secret" ] && [ -s "$api_ca" ]; }
tell() { # WORD...: has the simulator do something
    local done
    echo "$*" >&"${cluster[1]}" && read -r -t "$patience" done <&"${cluster[0]}" && [ "$done" = "$*" ]
}

# On the bridge: a namespace with an interface.
plug() { add_guest_behind "$1" "${port[$1]}" && in_guest "$1" ip link set eth0 up && ip link set "${port[$1]}" master vmbr0; } # NAME
give() { in_guest "$1" ip address replace "$2" dev eth0 nodad; } # NAME ADDRESS/LENGTH

create_container() { # NAME
    plug "$1" && give "$1" "${address[$1]}/24" && tell add "${vmid[$1]}" lxc "$(node_of "$1")" "$1" &&
        tell set "${vmid[$1]}" net0 "name=eth0,bridge=vmbr0,hwaddr=${mac[$1]^^},ip=${address[$1]}/24,gw=$prefix4.1,type=veth"
}
create_machine() { # NAME
    plug "$1" && give "$1" "${address[$1]}/24" && tell add "${vmid[$1]}" qemu "$(node_of "$1")" "$1" &&
        tell set "${vmid[$1]}" ipconfig0 "ip=${address[$1]}/24,gw=$prefix4.1"
}
create_client() { # NAME
    plug "$1" && sed -i 's/send host-name ".*"/send host-name "web"/' "$lab/$1/dhclient.conf" &&
        tell add "${vmid[$1]}" lxc "$(node_of "$1")" "$1"
}
create_silent() { # NAME
    plug "$1" && give "$1" "${address[$1]}/24" && tell add "${vmid[$1]}" qemu "$(node_of "$1")" "$1" && tell set "${vmid[$1]}" agent 0
}
create_agent() { # NAME
    plug "$1" && give "$1" "${address6[$1]}/64" && tell add "${vmid[$1]}" qemu "$(node_of "$1")" "$1" &&
        tell tell "${vmid[$1]}" "${mac[$1]}" "${address6[$1]}"
}

release_lease() { # NAME
    in_guest "$1" timeout "$patience" "$lab/dhclient" -4 -r -cf "$lab/$1/dhclient.conf" -sf "$here/dhclient-script" \
        -lf "$lab/$1/leases4" -pf "$lab/$1/pid4" eth0
}
# What an admin does who gives a container a fixed address, and what the container does then.
make_static() { # NAME ADDRESS
    release_lease "$1" && in_guest "$1" ip -4 address flush dev eth0 && give "$1" "$2/24" &&
        tell set "${vmid[$1]}" net0 "name=eth0,bridge=vmbr0,hwaddr=${mac[$1]^^},ip=$2/24,gw=$prefix4.1,type=veth"
}
rename() { tell rename "${vmid[$1]}" "$2"; } # NAME NAME

# A node's guests are gone from the bridge as it is from the cluster.
ports_of() { # NODE up|down
    local name
    for name in "${!port[@]}"; do [ "$(node_of "$name")" != "$1" ] || ip link set "${port[$name]}" "$2"; done
}
lose_node() { ports_of "$1" down; tell node "$1" offline; } # NODE
find_node() { ports_of "$1" up; tell node "$1" online; }    # NODE
