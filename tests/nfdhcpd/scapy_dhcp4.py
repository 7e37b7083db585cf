#!/usr/bin/env python3
"""Makes scapy_dhcp4.hex: IPv4 packets with DHCP messages, made and read by scapy (2.6.1), for tests/dhcp4_witnesses.rs.

Each is a line `# NAME | FIELDS | OPTIONS` with what scapy reads, then a line with the packet in hexadecimal. Options are
joined as RFC 3396 has it, in order; lines `# bad NAME | REASON` precede packets that must be refused.

    scapy_dhcp4.py > scapy_dhcp4.hex
"""
from scapy.all import BOOTP, DHCP, IP, UDP, raw

MAC = bytes.fromhex("aa0000000001")


def packet(listed, source="0.0.0.0", destination="255.255.255.255", ip=None, udp=None, **bootp):
    fields = {"op": 1, "xid": 0x1234567, "chaddr": MAC, **bootp}
    return (IP(src=source, dst=destination, **(ip or {})) / UDP(sport=68, dport=67, **(udp or {}))
            / BOOTP(**fields) / DHCP(options=listed))


def octets(code, value):
    """An option's content, from what scapy itself builds of it."""
    from scapy.layers.dhcp import DHCPOptionsField
    built = DHCPOptionsField("o", b"").i2m(None, [(code, value)] if not isinstance(value, tuple) else [(code, *value)])
    return built[0], built[2:2 + built[1]]


def said(made):
    read = IP(raw(made))
    b = read[BOOTP]
    fields = " ".join(str(f) for f in (
        read.src, read.dst, read[UDP].sport, read[UDP].dport, b.op, b.hops, "%08x" % b.xid, b.secs, "%04x" % int(b.flags),
        b.ciaddr, b.yiaddr, b.siaddr, b.giaddr, b.chaddr[:6].hex(), b.sname.rstrip(b"\0").hex() or "-",
        b.file.rstrip(b"\0").hex() or "-"))
    joined = {}
    for option in read[DHCP].options:
        if isinstance(option, tuple):
            code, content = octets(option[0], option[1:] if len(option) > 2 else option[1])
            joined[code] = joined.get(code, b"") + content
    return fields + " | " + " ".join(f"{code}={content.hex()}" for code, content in joined.items())


GOOD = {
    "discover": packet([("message-type", "discover"), ("param_req_list", [1, 3, 6, 15, 119, 121]), "end"], flags=0x8000),
    "discover with client id and sizes": packet(
        [("message-type", 1), ("client_id", b"\x01" + MAC), ("max_dhcp_size", 1500), ("vendor_class_id", b"MSFT 5.0"),
         ("hostname", b"vm-1"), "end"], secs=5, sname=b"srv", file=b"bootf"),
    "request of an offer": packet(
        [("message-type", "request"), ("server_id", "192.0.2.1"), ("requested_addr", "192.0.2.100"), "end"]),
    "renewal": packet([("message-type", "request"), "end"], source="192.0.2.100", destination="192.0.2.1", ciaddr="192.0.2.100"),
    "by a relay": packet(
        [("message-type", "discover"), ("relay_agent_information", b"\x01\x04port"), "end"],
        source="192.0.2.77", destination="192.0.2.1", giaddr="192.0.2.77", hops=1),
    "inform with odd host name": packet([("message-type", "inform"), ("hostname", b"\xff\n\0x"), "end"], ciaddr="192.0.2.9"),
    "hostname of 255": packet([("message-type", "discover"), ("hostname", b"h" * 255), "end"]),
    "pads between": packet(["pad", ("message-type", "discover"), "pad", "pad", ("hostname", b"a"), "end"]),
    "a long option in pieces": packet(
        [("message-type", "discover"), ("user_class", b"a" * 255), ("hostname", b"x"), ("user_class", b"b" * 45), "end"]),
    "router alert in the IP header": packet([("message-type", "discover"), "end"], ip={"options": b"\x94\x04\0\0"}),
    "UDP without checksum": packet([("message-type", "discover"), "end"], udp={"chksum": 0}),
    "decline": packet(
        [("message-type", "decline"), ("server_id", "192.0.2.1"), ("requested_addr", "192.0.2.100"), ("error_message", b"in use"), "end"]),
    "release": packet([("message-type", "release"), ("server_id", "192.0.2.1"), "end"], ciaddr="192.0.2.100"),
    "no message type": packet([("hostname", b"old"), "end"]),
    "a reply": packet([("message-type", "offer"), ("lease_time", 3600), ("router", "192.0.2.1", "192.0.2.2"), "end"],
                      op=2, yiaddr="192.0.2.100", siaddr="192.0.2.1"),
    "no end": packet([("message-type", "discover")]),
    "length swallows the end": packet([b"\x0c\x04", ("message-type", "discover"), "end"]),
}

DISCOVER = [("message-type", "discover"), "end"]
BAD = {
    "hlen 0": (packet(DISCOVER, hlen=0), "DHCP: hardware address is not Ethernet's"),
    "hlen 7": (packet(DISCOVER, hlen=7), "DHCP: hardware address is not Ethernet's"),
    "hlen 16": (packet(DISCOVER, hlen=16), "DHCP: hardware address is not Ethernet's"),
    "hlen 255": (packet(DISCOVER, hlen=255), "DHCP: hardware address is not Ethernet's"),
    "token ring": (packet(DISCOVER, htype=6), "DHCP: hardware address is not Ethernet's"),
    "op 3": (packet(DISCOVER, op=3), "DHCP: neither a request nor a reply"),
    "magic": (packet(DISCOVER, options=b"c\x82Sd"), "DHCP: wrong magic cookie"),
    "option cut off": (packet([("message-type", "discover"), b"\x0c\x05abc"]), "DHCP: option longer than its field"),
    "option without length": (packet([("message-type", "discover"), b"\x0c"]), "DHCP: option without a length"),
    "two types": (packet([("message-type", "discover"), ("message-type", "request"), "end"]), "DHCP: option 53 is not one octet"),
    "type of no octets": (packet([b"\x35\0", "end"]), "DHCP: option 53 is not one octet"),
    "address of 5": (packet([("message-type", "request"), b"\x32\x05\1\2\3\4\5", "end"]), "DHCP: option 50 is no address"),
    "server of 3": (packet([("message-type", "request"), b"\x36\x03\1\2\3", "end"]), "DHCP: option 54 is no address"),
    "size of 1": (packet([("message-type", "request"), b"\x39\x01\1", "end"]), "DHCP: option 57 is not two octets"),
    "overload 0": (packet([b"\x34\x01\0", "end"]), "DHCP: option 52 is not 1, 2 or 3"),
    "overload 4": (packet([b"\x34\x01\4", "end"]), "DHCP: option 52 is not 1, 2 or 3"),
    "overload twice": (packet([b"\x34\x01\1\x34\x01\1", "end"]), "DHCP: option 52 is not one octet"),
    "overload loops": (packet([b"\x34\x01\3", "end"], file=b"\x34\x01\2\xff", sname=b"\xff"), "DHCP: option 52 in an overloaded field"),
    "overloaded name too long": (packet([b"\x34\x01\2", "end"], sname=b"\x0c\x40a"), "DHCP: option longer than its field"),
    "IP checksum": (packet(DISCOVER, ip={"chksum": 1}), "IPv4: wrong header checksum"),
    "IP version": (packet(DISCOVER, ip={"version": 5}), "IPv4: another version"),
    "IP length": (packet(DISCOVER, ip={"len": 999}), "IPv4: packet cut off"),
    "IHL": (packet(DISCOVER, ip={"ihl": 4}), "IPv4: header too short"),
    "more fragments": (packet(DISCOVER, ip={"flags": "MF"}), "IPv4: fragment"),
    "later fragment": (packet(DISCOVER, ip={"frag": 1}), "IPv4: fragment"),
    "UDP checksum": (packet(DISCOVER, udp={"chksum": 1}), "UDP: wrong checksum"),
    "UDP length": (packet(DISCOVER, udp={"len": 999}), "UDP: datagram cut off"),
    "UDP length 7": (packet(DISCOVER, udp={"len": 7}), "UDP: length too small"),
    "cut off": (IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / raw(BOOTP(chaddr=MAC))[:200], "DHCP: message cut off"),
}

print("# Made by scapy_dhcp4.py.")
for name, made in GOOD.items():
    print(f"# {name} | {said(made)}\n{raw(made).hex()}")
for name, (made, reason) in BAD.items():
    print(f"# bad {name} | {reason}\n{raw(made).hex()}")
