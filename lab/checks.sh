# shellcheck shell=bash disable=SC2154
# Output for a person, and checks that count. Sourced by the demos.

if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' dim='' green='' red='' plain=''
fi

passed=0
failures=()

section() { printf '\n%s== %s%s\n' "$bold" "$1" "$plain"; }
remark() { printf '%s\n' "$@" | sed 's/^/     /'; }

# Shows a command and what it prints; what is run may differ from what a person would type, hence two arguments.
show() { # TEXT COMMAND...
    printf '%s   $ %s%s\n' "$dim" "$1" "$plain"
    "${@:2}" 2>&1 | sed 's/^/     /'
}

# While it is looked at, on a terminal: what, on one line.
being_checked() { # CLAIM
    local width
    width=$(stty size 2>/dev/null <&1) && width=${width#* } && [ "$width" -gt 10 ] || width=80
    printf '%s  ..%s %.*s\r' "$dim" "$plain" $((width - 6)) "$1"
}

check() { # CLAIM COMMAND...
    local said
    [ ! -t 1 ] || being_checked "$1"
    if said=$("${@:2}" 2>&1); then
        passed=$((passed + 1))
        printf '%s  ok%s %s\n' "$green" "$plain" "$1"
    else
        failures+=("$1")
        printf '%sFAIL%s %s\n' "$red" "$plain" "$1"
        printf '%s\n' "${said:-(${*:2})}" | sed 's/^/     /'
        return 1
    fi
}
# For a check without which the rest makes no sense.
must() { # CLAIM COMMAND...
    check "$@" || { verdict ''; exit 1; }
}

# Waits until COMMAND succeeds, at most patience seconds; its last words on stderr when it never does.
within_reason() { # COMMAND...
    local said='' deadline=$((SECONDS + patience))
    until said=$("$@" 2>&1); do
        if [ $SECONDS -ge $deadline ]; then
            printf 'not within %s s: %s\n%s\n' "$patience" "$*" "$said" >&2
            return 1
        fi
        sleep 0.1
    done
}

verdict() { # WHAT WAS SHOWN
    local count=${#failures[@]}
    if [ "$count" = 0 ]; then
        printf '\n%sdemo: %d checks passed: %s%s\n' "$green" $passed "$1" "$plain"
    else
        printf '\n%sdemo: %d of %d checks FAILED:%s\n' "$red" "$count" $((passed + count)) "$plain"
        printf '  - %s\n' "${failures[@]}"
        return 1
    fi
}
