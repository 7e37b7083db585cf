#!/bin/bash
# usage: ironic.sh FOLDER none|http_basic|keystone
#
# Runs an Ironic of its own on 127.0.0.1:6385, API and conductor in one, with an empty database in FOLDER. It adds a port for
# each interface that inspection finds. http_basic: user admin, password secret. keystone: that of keystone.sh, where users
# with the role `service` in the project `service` see all nodes.
#
# environment: OPENSTACK, what install.sh printed
set -euo pipefail
# shellcheck source=tests/openstack/configure.sh
. "$(dirname "${BASH_SOURCE[0]}")/configure.sh"

mkdir -p "$1/state"
# Whoever starts it again finds what was there.
[ -e "$1/ironic.sqlite" ] || cp "$OPENSTACK/ironic.sqlite" "$1"
configure_ironic "$1" "$2" >"$1/ironic.conf"
if [ "$2" = http_basic ]; then
    "$OPENSTACK/venv/bin/python" -c '
import bcrypt
print("admin:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode())' >"$1/htpasswd"
fi
exec "$OPENSTACK/venv/bin/ironic" --config-file "$1/ironic.conf"
