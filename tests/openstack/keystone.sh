#!/bin/bash
# usage: keystone.sh FOLDER
#
# Runs a Keystone of its own on 127.0.0.1:5000: user admin, password secret, from a copy in FOLDER of what install.sh made.
#
# environment: OPENSTACK, what install.sh printed
set -euo pipefail
# shellcheck source=tests/openstack/configure.sh
. "$(dirname "${BASH_SOURCE[0]}")/configure.sh"

mkdir -p "$1"
cp -a "$OPENSTACK/keystone/." "$1"
configure_keystone "$1" >"$1/keystone.conf"
export OS_KEYSTONE_CONFIG_DIR=$1 OS_KEYSTONE_CONFIG_FILES=keystone.conf
exec "$OPENSTACK/venv/bin/python" -c '
from keystone.server.wsgi import initialize_public_application
from werkzeug.serving import run_simple
run_simple("127.0.0.1", 5000, initialize_public_application(), threaded=True)'
