#!/bin/bash
# usage: install.sh
#
# Installs OpenStack's Ironic, ironic-inspector and Keystone from PyPI, exactly as requirements.txt pins them, into a virtual
# environment, makes empty databases for them, and prints the folder with all that. Nothing is asked of PyPI once it is
# there. When it cannot be done, the folder keeps why, for those who then have to skip something.
#
# environment: OPENSTACK (target/openstack)
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/openstack/configure.sh
. "$here/configure.sh"
folder=${OPENSTACK:-$here/../../target/openstack}
mkdir -p "$folder"
folder=$(realpath -e -- "$folder")
exec 9>"$folder/lock"; flock 9

# Of what it was made, and by whom: another Python would not find the packages.
recipe=$(python3 -c 'import sys; print(sys.version)' 2>&1; cat "$here"/{requirements.txt,install.sh})
[ "$recipe" != "$(cat "$folder/ready" 2>/dev/null)" ] || { echo "$folder"; exit 0; }

echo "install: Ironic and Keystone from PyPI, into $folder (0.3 GB, a minute or two)" >&2
rm -rf "$folder"/{ready,why,venv,ironic.sqlite,keystone}
log=$folder/install.log
run() { # WHAT COMMAND...
    timeout --kill-after=10 600 "${@:2}" >"$log" 2>&1 && return
    echo "no $1: $(grep -v '^ *$' "$log" | tail -n 1)" | tee "$folder/why" >&2
    exit 1
}

run "virtual environment" python3 -m venv "$folder/venv"
# All is pinned, so pip need not find out what else is needed.
run "Ironic and Keystone from PyPI" "$folder/venv/bin/pip" install --no-deps --disable-pip-version-check --no-input --retries 2 \
    --timeout 20 --requirement "$here/requirements.txt"

bin=$folder/venv/bin
configure_ironic "$folder" none >"$folder/ironic.conf"
run "database of Ironic's" "$bin/ironic-dbsync" --config-file "$folder/ironic.conf" create_schema

mkdir -p "$folder/keystone"
mkdir -m 700 "$folder/keystone"/{fernet,credential}
configure_keystone "$folder/keystone" >"$folder/keystone/keystone.conf"
manage() { run "Keystone" "$bin/keystone-manage" --config-file "$folder/keystone/keystone.conf" "$@"; }
manage db_sync
manage fernet_setup --keystone-user "$(id -un)" --keystone-group "$(id -gn)"
manage credential_setup --keystone-user "$(id -un)" --keystone-group "$(id -gn)"
manage bootstrap --bootstrap-password secret --bootstrap-region-id lab \
    --bootstrap-public-url http://127.0.0.1:5000/v3 --bootstrap-internal-url http://127.0.0.1:5000/v3

echo "$recipe" >"$folder/ready"
echo "$folder"
