"""What of a client stays together: network and flow, and what `which` says of them."""

import sys

import pytest

from lab import poll
from lab.traffic import HTTP, UDP
from test_drain import drained

# Asks from one address, from many ports in turn, and tells who answered each: `tcp` a page,
# `udp` a datagram, `pieces` a datagram that is too large for one packet.
ASK = """
import socket, sys
vip, source, what, port = *sys.argv[1:4], int(sys.argv[4])
family = socket.AF_INET6 if ":" in vip else socket.AF_INET
kind = socket.SOCK_STREAM if what == "tcp" else socket.SOCK_DGRAM
for number in map(int, sys.argv[5:]):
    with socket.socket(family, kind) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.settimeout(5)
        s.bind((source, number))
        s.connect((vip, port))
        s.send(b"GET / HTTP/1.0\\r\\n\\r\\n" if what == "tcp" else
               b"hello" if what == "udp" else b"x" * 4000)
        answer = b""
        while what == "tcp" and (more := s.recv(4096)):
            answer += more
        answer = answer.split()[-1] if what == "tcp" else s.recv(65536).split()[0]
        print(number, answer.decode())
"""


def asked(client, vip, source, what, ports):
    """{port: node} of what was asked from these ports."""
    server = HTTP if what == "tcp" else UDP
    told = client.enter([sys.executable, "-c", ASK, vip, source, what, server, *ports]).stdout
    return {int(port): node for port, node in map(str.split, told.splitlines())}


def bracketed(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@pytest.mark.parametrize("select", ["mask", "hash"])
def test_one_client_is_spread_by_its_ports(new_cluster, segment, select):
    """As clusterctl says: every port is served by the node that it names, TCP and UDP,
    also in three pieces; and the shares that it tells are those of many ports."""
    cluster = new_cluster(3, vip_options={"select": select, "affinity": "flow"})
    client, node = segment.client, cluster.nodes[0]
    for vip, source in ((cluster.vip4, client.direct4[0]), (cluster.vip6, client.routed6[0])):
        ports = range(20000, 20000 + 48)
        owner = {p: node.ctl_json("which", bracketed(source, p))["owner"] for p in ports}
        assert set(owner.values()) == {n.name for n in cluster.nodes}
        for what in ("tcp", "udp", "pieces"):
            assert asked(client, vip, source, what, ports) == owner, (what, vip)
        told = node.ctl_json("which", source)
        assert told["bucket"] is None and told["owner"] is None
        assert {s["name"] for s in told["shares"]} == set(owner.values())
        assert all(20 < s["percent"] < 47 for s in told["shares"]), told["shares"]
        text = node.ctl("which", source).stdout
        assert "the source port decides" in text and "n3 " in text
        ping = client.enter(["ping", "-c", 2, "-W", 2, "-I", source, vip]).stdout
        assert " 0% packet loss" in ping and "DUP" not in ping


def test_a_network_stays_together(new_cluster, segment):
    cluster = new_cluster(3, vip_options={"select": "hash", "affinity": "network"})
    client, node = segment.client, cluster.nodes[0]
    sources = client.direct4[:32] + client.routed4[:32] + client.direct6[:32] + client.routed6[:32]
    with cluster.traffic(sources, rate=400) as t:
        t.wait_connections(3 * len(sources))
        t.stop()
    assert not t.failures(), t.told(t.failures())
    for source, nodes in t.served_by().items():
        assert set(nodes) == {node.ctl_json("which", source)["owner"]}, source
    for group in (client.direct4, client.routed4, client.direct6, client.routed6):
        assert len({n for s in group[:32] for n in t.served_by()[s]}) == 1


def test_a_drain_breaks_no_flow_of_one_client(new_cluster, segment):
    """All from one address: streams stay where they are, connections go on elsewhere."""
    cluster = new_cluster(3, vip_options={"affinity": "flow"})
    client, node = segment.client, cluster.nodes[1]
    with cluster.traffic([client.direct4[3], client.direct6[3]], rate=400, streams=96) as t:
        before = {s.node for s in t.wait_open()}
        assert before == {n.name for n in cluster.nodes}
        for _ in range(5):
            node.ctl("drain")
            poll("nothing is owned", lambda: node.status()["vips"][0]["owned"] == 0)
            cluster.converge(states=("serving", "draining"))
            t.run_for(0.3)
            node.ctl("undrain")
            cluster.converge()
            t.run_for(0.3)
        streams = t.streams()
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.delayed(), t.told(t.delayed())
    assert all(s.state == "open" for s in streams), [s for s in streams if s.state != "open"]
    assert {s.node for s in streams} == before


def test_status_tells_of_a_client_that_has_most_of_the_flows(new_cluster, segment):
    cluster = new_cluster(2)
    source = segment.client.direct4[5]
    owner = cluster[cluster.nodes[0].which(source)["owner"]]
    assert "All is well" in owner.ctl("status").stdout
    with cluster.traffic([source], streams=256) as t:
        t.wait_open()
        # Where nothing lingers flows are counted twice a minute; after a hand-over, at once.
        other, = cluster.others(owner)
        other.ctl("drain")
        drained(cluster, other)
        other.ctl("undrain")
        poll("a bucket with too many flows",
             lambda: owner.status()["busiest"] and owner.status()["busiest"]["skewed"], 45, 0.1)
        busiest = owner.status()["busiest"]
        assert busiest["bucket"] == cluster.bucket(source) and busiest["flows"] == 256
        told = " ".join(owner.ctl("status").stdout.split())
        assert "has 256 of the 256 flows, 100 %" in told and 'affinity = "flow"' in told
        t.stop()
