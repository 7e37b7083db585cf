# shellcheck shell=bash disable=SC2034,SC2154
# A lab's namespaces, and how to get into them. Sourced by the demos, which set `here`.

BIN=$(realpath --canonicalize-existing -- "${BIN:-$here/../target/release}") || exit 2
patience=${LAB_PATIENCE:-15}
PATH=$PATH:/usr/sbin:/sbin

# Returns inside; outside it runs the calling script again, inside, and exits as that does. `user`: a user namespace will do.
inside_or_again() { # --inside|'' user|root PROGRAM...
    if [ "$1" != --inside ]; then
        again_inside "${@:2}"
        exit
    fi
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    lab=/run # in our own mount namespace: a tmpfs which goes when we go
    mount -t tmpfs -o mode=755 lab $lab || exit 2
}

again_inside() { # user|root PROGRAM...
    local program who=$1
    for program in "${@:2}"; do
        [ -x "$BIN/$program" ] || { echo "demo: no $BIN/$program: cargo build --release" >&2; exit 2; }
    done
    local spaces=(unshare --net --mount --pid --fork --kill-child --mount-proc)
    # unshare blocks SIGTERM while it waits. So it stays a child, and dies, with all inside, when this shell does.
    local again=(env BIN="$BIN" LAB_PATIENCE="$patience" NO_COLOR="${NO_COLOR-}" OPENSTACK="${OPENSTACK-}" IRONIC="${IRONIC-}" SCREENSHOT="${SCREENSHOT:+$(realpath -m -- "$SCREENSHOT")}"
        setpriv --pdeathsig KILL "${spaces[@]}")
    if [ "$(id -u)" = 0 ]; then
        "${again[@]}" "$0" --inside
    elif [ "$who" = user ] && "${spaces[@]}" --map-root-user true 2>/dev/null; then
        echo "demo: not root: runs in a user namespace"
        "${again[@]}" --map-root-user "$0" --inside
    else
        echo "demo: not root, and that takes it: runs with sudo"
        sudo "${again[@]}" "$0" --inside
    fi
}
