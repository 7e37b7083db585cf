//! What the help says behind the options.

pub(super) const AFTER_HELP: &str = "\
Environment:
  INSTANCES_PXE_FILTER_SYNC_PERIOD  what --sync-period says; likewise for every option in a section; a flag is stronger
  OS_PXE_FILTER__SYNC_PERIOD        what sync_period in [pxe_filter] says, as all of OpenStack's services have it; stronger than files
  OS_CLOUD                          what --os-cloud says
  OS_AUTH_URL, OS_USERNAME, ...     as openrc files set them; with OS_AUTH_URL or OS_AUTH_TYPE, [ironic] in files is not used
  NOTIFY_SOCKET                     told when the service is ready, and that it still runs (systemd)

Files (configuration is in oslo.config's format, and inspector.conf and ironic.conf are read as they are):
  /etc/instances/pxe-filter.conf    read unless --config-file or --config-dir names others
  clouds.yaml, secure.yaml          read with --os-cloud: where OS_CLIENT_CONFIG_FILE says, here, in ~/.config/openstack, in /etc/openstack
  FOLDER/52:54:00:12:34:56          written: what dnsmasq is to make of a MAC address; FOLDER is --dhcp-hostsdir
  FOLDER/unknown_hosts_filter       written: what of all others

Configuration (sections and names are those of ironic-inspector and ironic):
  [pxe_filter]                      heading of a section; it stands in brackets before each option above
  sync_period = 15                  what --sync-period 15 says, under its heading; --auto-discovery-enabled is enabled in [auto_discovery]
  # comment                         on a line of its own

Signals:
  SIGHUP                            compare everything now
  SIGTERM, SIGINT                   run the stop command, or else deny everybody; then leave, within 5 seconds

Exit status: 0 done, 1 failed, or the configuration is wrong, 2 usage

Examples:
  instances-pxe-filter --config-file /etc/ironic-inspector/inspector.conf --check-config     what would it do?
  instances-pxe-filter --config-file /etc/ironic-inspector/inspector.conf --dry-run          what would it change?
  instances-pxe-filter --config-file /etc/ironic-inspector/inspector.conf                    take over from ironic-inspector
  instances-pxe-filter --dhcp-hostsdir /run/hosts --auth-type none --endpoint-override http://127.0.0.1:6385
  instances-pxe-filter --status                                                              how is it, and who may boot?
";
