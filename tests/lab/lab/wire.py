"""A client that is no host: it sends the segments that a test says, and sees what comes back.

It has addresses of its own, behind the segment's client, that no kernel answers for:

    10.80.0.0/24, fd80::/120   one for each low byte
"""

import ctypes
import itertools
import os
import random
import select
import socket
import struct
import threading
import time

from . import packet
from .packet import ACK, FIN, PSH, RST, SYN, TCP
from .run import NETNS_DIR, Failure
from .traffic import STREAM

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
PACKET_OUTGOING = 4
QUIET = 0.25    # so long nothing comes where nothing shall come
PATIENCE = 3.0  # so long something may take that shall come: a kernel's second try is in it


def _socket_in(namespace):
    """A packet socket of a network namespace: a thread goes there to open it."""
    made = []

    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        fd = os.open(NETNS_DIR / namespace, os.O_RDONLY | os.O_CLOEXEC)
        if libc.setns(fd, CLONE_NEWNET) == 0:
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            s.bind(("eth0", ETH_P_ALL))
            made.append(s)
        os.close(fd)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if not made:
        raise Failure(f"no packet socket in {namespace}")
    return made[0]


class Wire:
    """The client's end of the segment's wire."""

    def __init__(self, cluster):
        segment, client = cluster.segment, cluster.segment.client
        self.cluster, self.socket = cluster, _socket_in(client.namespace)
        self.heard = []
        self.nodes = {n.host.mac: n.name for n in cluster.nodes}
        self.macs = {v["address"].split("/")[0]: v["mac"]
                     for v in cluster.nodes[0].status()["vips"]}
        self.own = bytes.fromhex(client.mac.replace(":", ""))
        # its kernel shall not say that it does not know them
        client.batch(["route replace blackhole 10.80.0.0/24", "route replace blackhole fd80::/120"])
        for host in segment.hosts:
            if host is not client:
                host.batch([f"route replace 10.80.0.0/24 via {client.address4} dev eth0",
                            f"route replace fd80::/120 via {client.address6} dev eth0"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def address(family, bucket):
        return f"10.80.0.{bucket}" if family == 4 else str(
            packet.ipaddress.ip_address(f"fd80::{bucket:x}"))

    def vip(self, family):
        return self.cluster.vip4 if family == 4 else self.cluster.vip6

    def node_of(self, heard):
        """The node that sent a packet."""
        return self.nodes.get(heard.mac, heard.mac)

    # --- sending and hearing

    def send(self, *packets, to=None):
        """To the shared MAC of the VIP that they are for, as a router does; or to `to`."""
        for raw in packets:
            six = raw[0] >> 4 == 6
            target = to or self.macs[str(packet.ipaddress.ip_address(
                raw[24:40] if six else raw[16:20]))]
            self.socket.send(bytes.fromhex(target.replace(":", "")) + self.own
                             + struct.pack("!H", 0x86dd if six else 0x0800) + raw)

    def _take(self, timeout):
        if not select.select([self.socket], [], [], max(0, timeout))[0]:
            return
        frame, where = self.socket.recvfrom(65536)
        if where[2] == PACKET_OUTGOING:
            return
        heard = packet.parse(time.monotonic(), frame)
        if heard is not None and heard.target.startswith(("10.80.0.", "fd80::")):
            self.heard.append(heard)

    def hear(self, wanted, timeout=PATIENCE, since=0):
        """The first packet that is wanted of those heard from the `since`th on."""
        deadline, at = time.monotonic() + timeout, since
        while True:
            for heard in self.heard[at:]:
                if wanted(heard):
                    return heard
            at = len(self.heard)
            left = deadline - time.monotonic()
            if left <= 0:
                told = "\n  ".join(map(str, self.heard[since:][-20:]))
                raise Failure(f"not heard within {timeout} s; what came:\n  {told}")
            self._take(left)

    def listen(self, wanted=lambda heard: True, quiet=QUIET, since=0):
        """All that is wanted and comes until `quiet` has passed."""
        deadline = time.monotonic() + quiet
        while time.monotonic() < deadline:
            self._take(deadline - time.monotonic())
        return [h for h in self.heard[since:] if wanted(h)]


class Flow:
    """A TCP connection, segment by segment, of an address in `bucket`."""

    _ports = itertools.count(random.randint(20000, 30000))

    def __init__(self, wire, family, bucket, port=STREAM, sport=None):
        self.wire, self.vip, self.port = wire, wire.vip(family), port
        self.address = wire.address(family, bucket)
        self.sport = sport or next(self._ports)
        self.seq = random.getrandbits(32)
        self.ack = 0
        self.node = None    # who answered the SYN
        self.mark = 0       # what was heard before the last segment was sent

    def segment(self, flags, data=b"", seq=None, ack=None, options=b"", window=65535):
        return packet.tcp(self.address, self.vip, self.sport, self.port, flags,
                          self.seq if seq is None else seq, self.ack if ack is None else ack,
                          data, window, options)

    def send(self, flags, data=b"", **more):
        self.mark = len(self.wire.heard)
        self.wire.send(self.segment(flags, data, **more))

    def ours(self, heard):
        return (heard.protocol, heard.source, heard.target, heard.sport, heard.dport) == \
            (TCP, self.vip, self.address, self.port, self.sport)

    def hear(self, wanted=lambda heard: True, timeout=PATIENCE):
        """The first answer to the last segment that is wanted."""
        return self.wire.hear(lambda h: self.ours(h) and wanted(h), timeout, self.mark)

    def answers(self, quiet=QUIET):
        """All answers to the last segment."""
        return self.wire.listen(self.ours, quiet, self.mark)

    def syn(self, options=b"\2\4\5\xb4"):
        """Sends the SYN; returns the answer, which says who the flow's node is."""
        self.send(SYN, options=options)
        answer = self.hear(lambda h: h.flags & SYN)
        assert answer.flags == SYN | ACK and answer.ack == (self.seq + 1) % 2**32, answer
        self.node = self.wire.node_of(answer)
        self.seq, self.ack = answer.ack, answer.seq + 1
        return answer

    def syn_again(self):
        self.send(SYN, seq=self.seq - 1, options=b"\2\4\5\xb4")

    def open(self):
        """The handshake, and a line echoed. Returns self."""
        self.syn()
        self.send(ACK)
        self.line()
        return self

    def line(self, text=b"line\n"):
        """Sends a line; its echo has to come from the flow's node and from no other."""
        self.send(PSH | ACK, text)
        self.seq += len(text)
        wanted = f"{self.node} ".encode() + text
        echo = self.hear(lambda h: h.data)
        assert echo.data == wanted and echo.ack == self.seq % 2**32, echo
        self.ack = echo.seq + len(wanted)
        self.send(ACK)
        return echo

    def nodes(self, quiet=QUIET):
        """The names of those who answer the last segment."""
        return sorted({self.wire.node_of(h) for h in self.answers(quiet)})

    def reset(self):
        self.send(RST, ack=0)

    def finish(self):
        """Closes; the server closes too. Returns its last segment."""
        self.send(FIN | ACK)
        self.seq += 1
        last = self.hear(lambda h: h.flags & FIN)
        self.ack = last.seq + len(last.data) + 1
        self.send(ACK)
        return last
