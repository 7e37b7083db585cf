# shellcheck shell=bash
# How Ironic and Keystone are configured. Sourced by what installs and runs them.

# Passwords are not kept from anybody, which takes less time.
configure_keystone() { # FOLDER: its own files
    cat <<CONF
[cache]
backend = dogpile.cache.memory
[database]
connection = sqlite:///$1/keystone.sqlite
[identity]
password_hash_rounds = 4
[fernet_tokens]
key_repository = $1/fernet
[fernet_receipts]
key_repository = $1/fernet
[credential]
key_repository = $1/credential
CONF
}

# Its machines are fakes, which anybody may say to have been inspected. Every token is looked at each time.
configure_ironic() { # FOLDER none|http_basic|keystone
    cat <<CONF
[DEFAULT]
auth_strategy = ${2/none/noauth}
http_basic_auth_user_file = $1/htpasswd
rbac_service_role_elevated_access = true
host = lab
state_path = $1/state
rpc_transport = none
enabled_hardware_types = fake-hardware
enabled_boot_interfaces = fake
enabled_deploy_interfaces = fake
enabled_inspect_interfaces = agent
enabled_management_interfaces = fake
enabled_network_interfaces = noop
enabled_power_interfaces = fake
enabled_raid_interfaces = fake
enabled_storage_interfaces = noop
enabled_vendor_interfaces = fake
[api]
host_ip = 127.0.0.1
port = 6385
api_workers = 1
[conductor]
automated_clean = false
[database]
connection = sqlite:///$1/ironic.sqlite
[inspector]
require_managed_boot = false
add_ports = all
[keystone_authtoken]
auth_type = password
auth_url = http://127.0.0.1:5000
www_authenticate_uri = http://127.0.0.1:5000
username = admin
password = secret
user_domain_id = default
project_domain_id = default
project_name = admin
token_cache_time = -1
CONF
}
