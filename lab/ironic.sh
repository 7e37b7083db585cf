# shellcheck shell=bash disable=SC2034,SC2154
# An Ironic for a lab, and what is done with it: a real one, if tests/openstack/install.sh has put one there, otherwise the tests'
# simulator. Sourced by the demos.
#
# environment: OPENSTACK, where a real one may be (target/openstack); IRONIC=simulator, to have that even so

openstack=${OPENSTACK:-$here/../target/openstack}
ironic_url=http://127.0.0.1:6385
ironic_kind="the tests' simulator"
[ "${IRONIC-}" = simulator ] || [ ! -e "$openstack/ready" ] || ironic_kind="a real one, from PyPI"
[[ $ironic_kind != "a real"* ]] || ironic_is_real=yes

start_ironic() {
    if [ "${ironic_is_real-}" ]; then
        OPENSTACK=$(realpath "$openstack") PYTHONWARNINGS=ignore \
            "$here/../tests/openstack/ironic.sh" "$lab/ironic" none >"$lab/ironic.log" 2>&1 &
        ironic_pid=$!
    else
        coproc simulator { exec "$BIN/examples/ironic_simulator"; }
        ironic_pid=$simulator_PID
        read -r ironic_url <&"${simulator[0]}"
    fi
}
ironic_answers() { [ -z "${ironic_is_real-}" ] || ask GET / "" >/dev/null; }
# It takes seconds to start, and on a busy machine many.
wait_for_ironic() { local patience=$((8 * patience)) && within_reason ironic_answers; }

ask() { # METHOD PATH BODY: asks the real one, and prints what it answers
    local answer
    exec 3<>/dev/tcp/127.0.0.1/6385 || return
    # HTTP/1.0: an answer in one piece.
    printf '%s %s HTTP/1.0\r\nHost: ironic\r\nX-OpenStack-Ironic-API-Version: 1.95\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        "$1" "$2" "${#3}" "$3" >&3
    answer=$(tr -d '\r' <&3)
    exec 3>&-
    echo "${answer##*$'\n'}"
    [[ $answer == "HTTP/1."?" 2"* ]]
}
tell() { # WORD...: has the simulator do something
    local done
    echo "$*" >&"${simulator[1]}" && read -r -t "$patience" done <&"${simulator[0]}" && [ "$done" = "$*" ]
}
order() { ask PUT "/v1/nodes/$1/states/provision" "{\"target\": \"$2\"}"; } # NODE TARGET
has_state() { ask GET "/v1/nodes/$1?fields=provision_state" "" | grep --quiet "\"provision_state\": \"$2\""; } # NODE STATE

enroll() { # NODE MAC
    [ "${ironic_is_real-}" ] || { tell enroll "$@"; return; }
    ask POST /v1/nodes "{\"name\": \"$1\", \"driver\": \"fake-hardware\"}" &&
        ask POST /v1/ports "{\"node_ident\": \"$1\", \"address\": \"$2\"}" &&
        order "$1" manage && within_reason has_state "$1" manageable
}
inspect() { # NODE
    [ "${ironic_is_real-}" ] || { tell state "$1" inspect wait; return; }
    order "$1" inspect && within_reason has_state "$1" "inspect wait"
}
# What a machine's agent tells Ironic: it booted from the first interface, and has the second, too.
tell_what_was_found() { # NODE MAC MAC
    [ "${ironic_is_real-}" ] || { tell find "$1" "$3" && tell state "$1" manageable; return; }
    local interface='"has_carrier": true, "ipv4_address": null, "ipv6_address": null, "lldp": null, "vendor": null, "product": null, "client_id": null, "biosdevname": null'
    ask POST /v1/continue_inspection "{\"inventory\": {
        \"interfaces\": [{\"name\": \"eth0\", \"mac_address\": \"$2\", $interface}, {\"name\": \"eth1\", \"mac_address\": \"$3\", $interface}],
        \"cpu\": {\"count\": 1, \"architecture\": \"x86_64\"}, \"memory\": {\"physical_mb\": 1024}, \"disks\": [],
        \"bmc_address\": null, \"bmc_v6address\": null, \"boot\": {\"current_boot_mode\": \"bios\", \"pxe_interface\": \"$2\"},
        \"system_vendor\": {}, \"hostname\": \"h\"}}" && within_reason has_state "$1" manageable
}
abort_inspection() { # NODE
    [ "${ironic_is_real-}" ] || { tell state "$1" inspect failed; return; }
    order "$1" abort && within_reason has_state "$1" "inspect failed"
}
delete_node() { # NODE
    [ "${ironic_is_real-}" ] || { tell delete "$1"; return; }
    ask DELETE "/v1/nodes/$1" ""
}
