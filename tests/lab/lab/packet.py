"""Packets, byte by byte: built to be sent exactly so, and read as they came."""

import ipaddress
import struct
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
FRAGMENT6 = 44
MORE_FRAGMENTS = 0x2000
FLAG_NAMES = {FIN: "F", SYN: "S", RST: "R", PSH: "P", ACK: "A"}


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _pseudo(source, target, protocol, length):
    if ":" in source:
        return _packed(source) + _packed(target) + struct.pack("!IHBB", length, 0, 0, protocol)
    return _packed(source) + _packed(target) + struct.pack("!BBH", 0, protocol, length)


def _packed(address):
    return ipaddress.ip_address(address).packed


def _summed(source, target, protocol, data, at):
    """The data with the checksum of its transport header put in."""
    value = checksum(_pseudo(source, target, protocol, len(data)) + data)
    return data[:at] + struct.pack("!H", value) + data[at + 2:]


def ip(source, target, protocol, data, identity=0, fragment=0, ttl=64):
    """An IP packet; `fragment` is the offset in bytes, with MORE_FRAGMENTS for the flag."""
    offset, more = fragment & ~MORE_FRAGMENTS, bool(fragment & MORE_FRAGMENTS)
    if ":" in source:
        if fragment:
            data = struct.pack("!BBHI", protocol, 0, offset | more, identity) + data
            protocol = FRAGMENT6
        return struct.pack("!IHBB", 6 << 28, len(data), protocol, ttl) + _packed(source) + \
            _packed(target) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), identity,
                       offset // 8 | (MORE_FRAGMENTS if more else 0), ttl, protocol, 0) + \
        _packed(source) + _packed(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + data


def tcp(source, target, sport, dport, flags, seq=0, ack=0, data=b"", window=65535, options=b""):
    options += b"\1" * (-len(options) % 4)
    segment = struct.pack("!HHIIBBHHH", sport, dport, seq % 2**32, ack % 2**32,
                          (20 + len(options)) << 2, flags, window, 0, 0) + options + data
    return ip(source, target, TCP, _summed(source, target, TCP, segment, 16))


def udp_datagram(source, target, sport, dport, data):
    """The datagram alone, for fragments to be made of it."""
    head = struct.pack("!HHHH", sport, dport, 8 + len(data), 0)
    return _summed(source, target, UDP, head + data, 6)


def udp(source, target, sport, dport, data):
    return ip(source, target, UDP, udp_datagram(source, target, sport, dport, data))


def fragments(source, target, protocol, data, size, identity):
    """`data` in IP packets of `size` bytes of it each; a multiple of 8."""
    return [ip(source, target, protocol, data[at:at + size], identity,
               at | (MORE_FRAGMENTS if at + size < len(data) else 0))
            for at in range(0, len(data), size)]


def icmp(source, target, kind, code, rest, data):
    """ICMP or ICMPv6; `rest` are the four bytes after the checksum."""
    protocol = ICMP6 if ":" in source else ICMP
    message = struct.pack("!BBHI", kind, code, 0, rest) + data
    if protocol == ICMP:
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    else:
        message = _summed(source, target, protocol, message, 2)
    return ip(source, target, protocol, message)


def echo_request(source, target, identity, number=1):
    return icmp(source, target, 128 if ":" in source else 8, 0, identity << 16 | number, b"echo")


def too_big(router, about, mtu):
    """What a router says about a packet that does not fit: to who sent it."""
    if about[0] >> 4 == 6:
        return icmp(router, str(ipaddress.ip_address(about[8:24])), 2, 0, mtu, about[:1000])
    return icmp(router, str(ipaddress.ip_address(about[12:16])), 3, 4, mtu, about[:548])


class Packet(NamedTuple):
    """A packet that came, and who sent the frame: a node's own MAC."""
    when: float
    mac: str
    source: str
    target: str
    protocol: int
    raw: bytes        # the IP packet
    sport: int = 0
    dport: int = 0
    flags: int = 0
    seq: int = 0
    ack: int = 0
    kind: int = -1    # of ICMP
    code: int = -1
    data: bytes = b""

    def __str__(self):
        flags = "".join(name for bit, name in FLAG_NAMES.items() if self.flags & bit)
        return (f"{self.when:.3f} {self.mac} {self.source}.{self.sport} > "
                f"{self.target}.{self.dport} {self.protocol} {flags} seq {self.seq} "
                f"ack {self.ack} icmp {self.kind} {self.code} {self.data[:40]!r}")


def _transport(protocol, body):
    if protocol == TCP and len(body) >= 20:
        sport, dport, seq, ack, offset, flags = struct.unpack("!HHIIBB", body[:14])
        return {"sport": sport, "dport": dport, "seq": seq, "ack": ack, "flags": flags & 0x1f,
                "data": body[(offset >> 4) * 4:]}
    if protocol == UDP and len(body) >= 8:
        sport, dport = struct.unpack("!HH", body[:4])
        return {"sport": sport, "dport": dport, "data": body[8:]}
    if protocol in (ICMP, ICMP6) and len(body) >= 8:
        return {"kind": body[0], "code": body[1], "data": body[4:]}
    return {"data": body}


def parse(when, frame):
    """A frame as a Packet; None if it is not IP."""
    mac = ":".join(f"{b:02x}" for b in frame[6:12])
    kind, raw = int.from_bytes(frame[12:14], "big"), frame[14:]
    if kind == 0x0800 and len(raw) >= 20:
        raw = raw[:int.from_bytes(raw[2:4], "big")]
        length, protocol, addresses = (raw[0] & 15) * 4, raw[9], (raw[12:16], raw[16:20])
        later = int.from_bytes(raw[6:8], "big") & 0x1fff
    elif kind == 0x86dd and len(raw) >= 40:
        raw = raw[:40 + int.from_bytes(raw[4:6], "big")]
        length, protocol, addresses = 40, raw[6], (raw[8:24], raw[24:40])
        later = 0
        if protocol == FRAGMENT6:
            protocol, later, length = raw[40], int.from_bytes(raw[42:44], "big") & 0xfff8, 48
    else:
        return None
    source, target = (str(ipaddress.ip_address(a)) for a in addresses)
    fields = {} if later else _transport(protocol, raw[length:])
    return Packet(when, mac, source, target, protocol, raw, **fields)
