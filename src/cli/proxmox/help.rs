//! What the help says behind the options.

pub(super) const AFTER_HELP: &str = "\
Environment (stronger than the file, weaker than flags; those of PVE-Leazzard do what they did there):
  PROXMOX_HOST              https://pve1.example.com:8006; several hosts are separated by commas
  API_TOKEN_ID              root@pam!leazzard
  API_TOKEN_SECRET          the token's secret; or API_TOKEN_SECRET_FILE, a file that holds it
  DNS_DOMAIN                lab
  NETWORK_CIDR              10.0.0.0/23; several prefixes are separated by commas
  DHCP_RANGE, DHCP_OPTION   10.0.1.1,10.0.1.254,255.255.254.0,12h and option:router,10.0.0.1; several are separated by semicolons
  VERIFY_SSL, SYNC_INTERVAL, ARP_CHECK_INTERVAL, LOG_LEVEL
  INSTANCES_PROXMOX_LISTEN  what --listen says; likewise for every option, and stronger than the names above
  CREDENTIALS_DIRECTORY     its file `token` holds the token's secret (systemd: LoadCredential=token:FILE)
  STATE_DIRECTORY, RUNTIME_DIRECTORY   folders in place of /var/lib/instances-proxmox and /run/instances-proxmox
  NOTIFY_SOCKET             told when the service is ready, and that it still runs (systemd)

File (TOML; every option is there under the name in its brackets above, [proxmox] hosts for proxmox.hosts):
  poll_interval = 10                          what is in no section comes first
  [proxmox]
  hosts = [\"pve1.example.com\", \"pve2.example.com\"]
  [[network]]                                 one for each network; an address has a name only in one of these
  bridge = \"vmbr0\"                            a bridge or vnet; without it: any
  tag = 20                                    a VLAN, \"untagged\" or \"any\"
  prefixes = [\"10.0.20.0/24\", \"fd00:20::/64\"]
  domain = \"dmz.lab\"                          without it: that of [names]
  [[record]]                                  a record of one's own
  name = \"nas.lab\"
  address = [\"10.0.0.9\", \"fd00::9\"]

A dnsmasq that is there (--dnsmasq companion) needs these lines in its configuration:
  hostsdir=/var/lib/instances-proxmox/hosts
  dhcp-hostsfile=/var/lib/instances-proxmox/reservations

Exit status: 0 done, 1 failed, or the configuration is wrong, 2 usage

Examples:
  instances-proxmox --check-config                              what is wrong, and what would it do?
  instances-proxmox --dry-run                                   which names, and why?
  instances-proxmox --print-config >/etc/instances/proxmox.toml from variables to a file
  instances-proxmox --config proxmox.toml --log-level INFO      keep dnsmasq in step
  PROXMOX_HOST=pve1 API_TOKEN_ID='root@pam!leazzard' API_TOKEN_SECRET=... DNS_DOMAIN=lab NETWORK_CIDR=10.0.0.0/23 \\
    DHCP_RANGE=10.0.1.1,10.0.1.254,255.255.254.0,12h DHCP_OPTION=option:router,10.0.0.1 instances-proxmox
";
