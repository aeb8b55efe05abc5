"""All traffic that is not an ordinary TCP connection, and what TCP can do beside."""

import struct
import subprocess
import sys

import pytest

from lab import packet, poll
from lab.packet import ACK, SYN
from lab.traffic import HTTP, STREAM
from lab.wire import Flow, Wire
from test_drain import drained, no_harm

SCTP, EXPERIMENT = 132, 253
KEY = "00112233-44556677-8899aabb-ccddeeff"


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request):
    return request.param


@pytest.fixture
def wire(three):
    with Wire(three) as made:
        yield made


@pytest.fixture
def sysctl(three):
    """sysctl(name, value) on all nodes, and back at the end."""
    was = []

    def tell(name, value):
        for node in three.nodes:
            path = "/proc/sys/" + name.replace(".", "/")
            was.append((node, name, node.host.enter(["cat", path]).stdout.strip()))
            node.host.tell(name, value)

    yield tell
    for node, name, value in reversed(was):
        node.host.tell(name, value)


def bucket_of(cluster, node):
    return next(b["bucket"] for b in node.buckets() if b["home"] == node.name)


def answerers(wire, wanted, since):
    wire.hear(wanted, since=since)
    return [wire.node_of(h) for h in wire.listen(wanted, 0.02, since)]


def test_echo_requests_are_answered_by_the_owner(three, wire, family):
    owners = three.owners()
    for bucket in range(1, 256, 6):
        address, since = wire.address(family, bucket), len(wire.heard)
        wire.send(packet.echo_request(address, wire.vip(family), 7, bucket))
        assert answerers(wire, lambda h, to=address: h.target == to and h.kind in (0, 129),
                         since) == [owners[bucket]]


@pytest.mark.parametrize("protocol", [SCTP, EXPERIMENT])
def test_other_protocols_come_to_the_owner_alone(three, wire, family, sysctl, protocol):
    """A kernel that does not know the protocol says so: which one does, tells who got it."""
    sysctl("net.ipv4.icmp_msgs_per_sec", 100000)
    sysctl("net.ipv4.icmp_msgs_burst", 10000)
    sysctl("net.ipv6.icmp.ratelimit", 0)
    owners = three.owners()
    # an SCTP association begins with INIT; its checksum is the kernel's own affair
    init = struct.pack("!HHIIBBHIIHHI", 4000, 4000, 0, 0, 1, 0, 20, 1, 65535, 1, 1, 1)
    for bucket in range(2, 256, 6):
        address, since = wire.address(family, bucket), len(wire.heard)
        wire.send(packet.ip(address, wire.vip(family), protocol, init))

        def unknown(h, to=address):
            return h.target == to and (h.kind, h.code) == ((3, 2) if family == 4 else (4, 1))
        assert answerers(wire, unknown, since) == [owners[bucket]]


def test_other_protocols_move_at_once(three, wire, family, sysctl):
    """There is no lingering without a connection that could be asked for its state."""
    sysctl("net.ipv6.icmp.ratelimit", 0)
    a = three.nodes[0]
    bucket = bucket_of(three, a)
    address = wire.address(family, bucket)
    for drain in (False, True):
        if drain:
            a.ctl("drain")
            drained(three, a)
        since = len(wire.heard)
        wire.send(packet.echo_request(address, wire.vip(family), 8, bucket))
        owner = three.owners(three.nodes[1])[bucket]
        assert (owner == a.name) != drain
        assert answerers(wire, lambda h: h.target == address and h.kind in (0, 129), since) == \
            [owner]


def fast_open(wire, family, bucket, cookie, data):
    """A SYN that carries data; returns the flow, the answer and how much of it was taken."""
    flow = Flow(wire, family, bucket)
    option = bytes([34, 2 + len(cookie)]) + cookie
    flow.send(SYN, data, options=b"\2\4\5\xb4" + option)
    answer = flow.hear(lambda h: h.flags & SYN)
    flow.node = wire.node_of(answer)
    taken = (answer.ack - flow.seq - 1) % 2**32
    flow.seq, flow.ack = answer.ack, answer.seq + 1
    return flow, answer, taken


def option_of(raw, number):
    """The value of a TCP option in an IP packet; None if it is not there."""
    start = 40 if raw[0] >> 4 == 6 else 20
    options = raw[start + 20:start + (raw[start + 12] >> 4) * 4]
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        if options[0] == number:
            return options[2:options[1]]
        options = options[options[1]:]
    return None


def test_fast_open_with_the_same_key_on_all_nodes(three, wire, family, sysctl):
    """A cookie of one node is good at the next owner; without the same key it is not, and the
    connection is an ordinary one."""
    sysctl("net.ipv4.tcp_fastopen", 3)
    sysctl("net.ipv4.tcp_fastopen_key", KEY)
    a = three.nodes[0]
    bucket = bucket_of(three, a)
    flow, answer, _ = fast_open(wire, family, bucket, b"", b"")
    cookie = option_of(answer.raw, 34)
    assert flow.node == a.name and cookie
    flow.reset()
    flow, _, taken = fast_open(wire, family, bucket, cookie, b"early\n")
    assert flow.node == a.name and taken == 6
    flow.reset()
    a.ctl("drain")
    drained(three, a)
    flow, _, taken = fast_open(wire, family, bucket, cookie, b"early\n")
    assert flow.node != a.name and taken == 6
    echo = flow.hear(lambda h: h.data)  # before the handshake is over
    text = f"{flow.node} early\n".encode()
    assert echo.data == text
    flow.ack += len(text)
    flow.send(ACK)
    flow.line()
    flow.reset()
    owner = three[flow.node]
    owner.host.tell("net.ipv4.tcp_fastopen_key", KEY[::-1])
    flow, _, taken = fast_open(wire, family, bucket, cookie, b"early\n")
    assert flow.node == owner.name and taken == 0
    flow.reset()


def test_clients_during_a_flood_of_syns(three, wire, sysctl):
    """SYN cookies: clients notice nothing of SYNs that nobody acknowledges, nor of a hand-over
    meanwhile."""
    sysctl("net.ipv4.tcp_max_syn_backlog", 16)
    sysctl("net.core.somaxconn", 4096)
    flood = [packet.tcp(wire.address(family, i), wire.vip(family), port, HTTP, SYN, port)
             for port in range(40000, 40020) for i in range(256) for family in (4, 6)]
    with three.traffic(rate=200, streams=64, sniff=True) as t:
        t.wait_open()
        for i, node in enumerate((three.nodes[0], None, three.nodes[1], None)):
            for at in range(0, len(flood), 256):
                wire.send(*flood[at:at + 256])
                if at == len(flood) // 2 // 256 * 256 and node is not None:
                    node.ctl("drain")
                    drained(three, node)
            wire.heard.clear()
            if node is None:
                three.nodes[i // 2].ctl("undrain")
                three.converge()
        t.run_for(0.3)
        t.stop()
    no_harm(t)
    assert all(s.state == "open" for s in t.final_streams)
    for node in three.nodes:  # half-open flows are kept for a minute
        node.host.enter(["conntrack", "-F"], check=False)
    cookies = sum(int(n.host.enter(["sh", "-c", "nstat -asz TcpExtSyncookiesSent | "
                                    "awk '/Syncookies/ {print $2}'"]).stdout) for n in three.nodes)
    assert cookies > 1000


SLOW_DOWNLOAD = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], %d), 10, (sys.argv[2], 0))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.sendall(b"GET /big HTTP/1.1\\r\\n\\r\\n")
got = s.recv(20000)
print("begun", flush=True)
sys.stdin.readline()
while (more := s.recv(65536)):
    got += more
print(len(got))
""" % HTTP


def test_a_transfer_across_a_hand_over(three, family):
    """Half of it before, half after; the client's window is scaled."""
    a, client = three.nodes[0], three.segment.client
    source = three.sources_of(a, client.direct4 if family == 4 else client.direct6)[0]
    vip = three.vip4 if family == 4 else three.vip6
    process = client.start([sys.executable, "-c", SLOW_DOWNLOAD, vip, source],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begun\n"
        a.ctl("drain")
        drained(three, a)
        process.stdin.write("\n")
        process.stdin.flush()
        assert int(process.stdout.readline()) > 256 * 1024
    finally:
        three.segment.run.end(process)


def test_a_nodes_own_connections_do_not_come_from_the_vip(three):
    """What a node asks of others has its own address; nobody else would get the answer."""
    client = three.segment.client
    for node in three.nodes:
        for address, own in ((client.address4, node.host.address4),
                             (client.address6, node.host.address6)):
            route = node.host.json(["ip", "-j", "route", "get", address])[0]
            assert route["prefsrc"] == own


FROM_VIP = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.bind((sys.argv[1], 0))
s.settimeout(1.5)
try:
    s.connect((sys.argv[2], %d))
    s.sendall(b"line\\n")
    print(s.recv(100).decode(), end="")
except OSError as error:
    print(type(error).__name__)
""" % STREAM


def test_connections_from_the_vip_work_where_the_answer_comes_back_to(three, family):
    """As ipclusterd(8) says: only from the node that owns the bucket of the server's address."""
    sources = three.segment.client
    server = sources.start([*sources.run.promptly, sources.run.tool("server"), "outside",
                            HTTP, STREAM, STREAM + 1])
    try:
        address = sources.address4 if family == 4 else sources.address6
        vip = three.vip4 if family == 4 else three.vip6
        owner = three.owners()[three.bucket(address)]

        def outcomes():
            return {n.name: n.host.enter([sys.executable, "-c", FROM_VIP, vip, address])
                    .stdout.strip() for n in three.nodes}

        poll("the server is up", lambda: outcomes()[owner] == "outside line", 10)
        assert outcomes() == {n.name: "outside line" if n.name == owner else "TimeoutError"
                              for n in three.nodes}
    finally:
        sources.run.end(server, kill=True)
