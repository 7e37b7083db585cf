//! What the help says behind the options.

pub(super) const AFTER_HELP: &str = "\
Environment (stronger than the file, weaker than flags; the variables of PVE-Leazzard do what they did there):
  PROXMOX_HOST              https://pve1.example.com:8006; several hosts are separated by commas
  API_TOKEN_ID              root@pam!leazzard
  API_TOKEN_SECRET          the token's secret; or API_TOKEN_SECRET_FILE, a file that holds it
  DNS_DOMAIN                lab
  NETWORK_CIDR              10.0.0.0/23; several prefixes are separated by commas
  DHCP_RANGE                10.0.1.1,10.0.1.254,255.255.254.0,12h; several are separated by semicolons
  DHCP_OPTION               option:router,10.0.0.1; several are separated by semicolons
  VERIFY_SSL                true or false, for --verify
  SYNC_INTERVAL             300, for --sync-interval
  ARP_CHECK_INTERVAL        30, for --sweep-interval; so is ARP_SCAN_INTERVAL
  LOG_LEVEL                 ERROR, for --log-level
  INSTANCES_PROXMOX_LISTEN  what --listen says; likewise for every option, and stronger than the names above
  CREDENTIALS_DIRECTORY     its file token holds the token's secret (systemd: LoadCredential=token:FILE)
  STATE_DIRECTORY           a folder in place of /var/lib/instances-proxmox (systemd)
  RUNTIME_DIRECTORY         a folder in place of /run/instances-proxmox (systemd)
  NOTIFY_SOCKET             told when the service is ready, and that it still runs (systemd)

Files:
  /etc/instances/proxmox.toml               read unless --config names another
  /var/lib/instances-proxmox/hosts/*        written: names, for dnsmasq's hostsdir
  /var/lib/instances-proxmox/reservations   written: MAC,name for dnsmasq's dhcp-hostsfile
  /var/lib/instances-proxmox/state.json     written: what was known last
  /run/instances-proxmox/dnsmasq.conf       written: the configuration of a dnsmasq of our own
  /var/lib/misc/dnsmasq.leases              read: dnsmasq's leases

Configuration (TOML; each option is there under the name in its brackets above, proxmox.hosts is hosts in [proxmox]):
  poll_interval = 10                   what is in no section comes first
  [proxmox]                            heading of a section
  hosts = [\"pve1\", \"pve2\"]             a list
  [[network]]                          one for each network; an address has a name only if it is in one
  bridge = \"vmbr0\"                     a bridge or vnet; without it any
  tag = 20                             a VLAN, \"untagged\" or \"any\"
  prefixes = [\"10.0.20.0/24\"]          IPv4 and IPv6
  domain = \"dmz.lab\"                   without it that of [names]
  [[record]]                           a record of one's own
  name = \"nas.lab\"                     the name
  address = [\"10.0.0.9\"]               its addresses

Companion (--dnsmasq companion: a dnsmasq that is there needs these lines in its configuration):
  hostsdir=/var/lib/instances-proxmox/hosts
  dhcp-hostsfile=/var/lib/instances-proxmox/reservations

Signals:
  SIGHUP                               look at everything now
  SIGTERM, SIGINT                      end, and dnsmasq with us if it is our own; within 10 seconds

Exit status: 0 done, 1 failed, or the configuration is wrong, 2 usage

Examples:
  instances-proxmox --check-config                              what is wrong, and what would it do?
  instances-proxmox --dry-run                                   which names, and why?
  instances-proxmox --print-config >/etc/instances/proxmox.toml from variables to a file
  instances-proxmox --config proxmox.toml --log-level INFO      keep dnsmasq in step
  PROXMOX_HOST=pve1 API_TOKEN_ID='root@pam!leazzard' API_TOKEN_SECRET=... DNS_DOMAIN=lab NETWORK_CIDR=10.0.0.0/23 \\
    DHCP_RANGE=10.0.1.1,10.0.1.254,255.255.254.0,12h DHCP_OPTION=option:router,10.0.0.1 instances-proxmox
";
