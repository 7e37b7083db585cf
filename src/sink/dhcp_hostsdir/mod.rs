//! dnsmasq's `dhcp-hostsdir`: a file for each MAC address, named after it, `MAC` to answer its DHCP and `MAC,ignore` not to.
