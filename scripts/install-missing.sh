#!/bin/bash
# usage: install-missing.sh [--refresh] PACKAGE...
#
# Installs those of the Debian packages that are not installed yet, and says which. When none is missing, apt is
# not touched and nothing is printed. --refresh brings apt's package lists up to date even then, for whoever is
# about to download a package without installing it.
set -euo pipefail

refresh=no
if [ "${1-}" = --refresh ]; then refresh=yes; shift; fi

missing=()
for package in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || [ $refresh = yes ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "install-missing: needs root or sudo to install: ${missing[*]-(package lists)}" >&2; exit 1; }
    as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --option Dpkg::Use-Pty=0)

# Lists that are absent or old name files which the mirror no longer has.
echo "Updating apt's package lists" >&2
"${apt[@]}" update >/dev/null
if [ ${#missing[@]} -gt 0 ]; then
    echo "Installing: ${missing[*]}" >&2
    "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi
