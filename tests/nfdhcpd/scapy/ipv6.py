#!/usr/bin/env python3
"""Makes ipv6.txt: packets as scapy has them, each behind its name. `pip install scapy`; then `python3 ipv6.py >ipv6.txt`."""

from scapy.layers.dhcp6 import *
from scapy.layers.inet import UDP
from scapy.layers.inet6 import *

GUEST = "aa:00:00:00:00:01"
guest, host = "fe80::a800:ff:fe00:1", "fe80::fc00:ff:fe00:1"
target, group = "2001:db8:a:b::99", "ff02::1:ff00:99"
mine = ICMPv6NDOptSrcLLAddr(lladdr=GUEST)
client = DHCP6OptClientId(duid=DUID_LL(lladdr=GUEST))
server = DHCP6OptServerId(duid=DUID_LLT(lladdr="fe:00:00:00:00:01", timeval=0x01020304))


def nd(source, destination):
    return IPv6(src=source, dst=destination, hlim=255)


def dhcp(message, source=546):
    return IPv6(src=guest, dst="ff02::1:2", hlim=1) / UDP(sport=source, dport=547) / message


address = DHCP6OptIAAddress(addr="2001:db8:a:b::5", preflft=1000, validlft=2000)
prefix = DHCP6OptIAPrefix(prefix="2001:db8:77::", plen=56, preflft=1000, validlft=2000)
solicit = DHCP6_Solicit(trid=0xABCDEF) / client / DHCP6OptElapsedTime(elapsedtime=7) / DHCP6OptRapidCommit() \
    / DHCP6OptOptReq(reqopts=[23, 24, 56]) / DHCP6OptIA_NA(iaid=1, T1=0, T2=0) / DHCP6OptIA_PD(iaid=2, T1=0, T2=0)
packets = {
    "rs": nd(guest, "ff02::2") / ICMPv6ND_RS() / mine,
    "rs-from-nobody": nd("::", "ff02::2") / ICMPv6ND_RS(),
    "ra": nd(host, "ff02::1") / ICMPv6ND_RA(chlim=64, M=1, O=1, prf=1, routerlifetime=1800, reachabletime=5, retranstimer=6)
    / ICMPv6NDOptSrcLLAddr(lladdr="fe:00:00:00:00:01")
    / ICMPv6NDOptPrefixInfo(prefix="2001:db8:a:b::", prefixlen=64, L=1, A=1, R=0, validlifetime=2000, preferredlifetime=1000)
    / ICMPv6NDOptMTU(mtu=1400)
    / ICMPv6NDOptRouteInfo(prefix="2001:db8:77::", plen=56, prf=1, rtlifetime=600, len=2)
    / ICMPv6NDOptRDNSS(lifetime=900, dns=["2001:db8:100::1", "2001:db8:200::2"])
    / ICMPv6NDOptDNSSL(lifetime=900, searchlist=["example.com.", "a.example."]),
    "ns": nd(guest, group) / ICMPv6ND_NS(tgt=target) / mine,
    "ns-from-nobody": nd("::", group) / ICMPv6ND_NS(tgt=target),
    "na": nd(host, guest) / ICMPv6ND_NA(tgt=target, R=1, S=1, O=0) / ICMPv6NDOptDstLLAddr(lladdr="fe:00:00:00:00:01"),
    "redirect": nd(host, guest) / ICMPv6ND_Redirect(tgt=host, dst=target),
    "rs-behind-options": nd(guest, "ff02::2") / IPv6ExtHdrDestOpt() / ICMPv6ND_RS(),
    "information-request": dhcp(DHCP6_InfoRequest(trid=0xABCDEF) / client / DHCP6OptOptReq(reqopts=[23, 24])),
    "solicit": dhcp(solicit),
    "request": dhcp(DHCP6_Request(trid=1) / client / server / DHCP6OptIA_NA(iaid=1, T1=0, T2=0, ianaopts=[address])),
    "renew": dhcp(DHCP6_Renew(trid=2) / client / server / DHCP6OptIA_PD(iaid=2, T1=500, T2=800, iapdopt=[prefix])),
    "reply": IPv6(src=host, dst=guest, tc=192) / UDP(sport=547, dport=546) / DHCP6_Reply(trid=3) / client / server
    / DHCP6OptIA_NA(iaid=1, T1=500, T2=800, ianaopts=[address, DHCP6OptStatusCode(statuscode=0, statusmsg=b"ok")])
    / DHCP6OptDNSServers(dnsservers=["2001:db8:100::1"]) / DHCP6OptDNSDomains(dnsdomains=["example.com."]),
    "relayed": dhcp(DHCP6_RelayForward(hopcount=1, linkaddr="2001:db8::9", peeraddr=guest)
                    / DHCP6OptIfaceId(ifaceid=b"eth7") / DHCP6OptRelayMsg(message=solicit), 547),
}
for name, packet in packets.items():
    print(f"# {name}\n{bytes(packet).hex()}")
