"""Services of an address: balanced, of one node at a time, closed; and what none names."""

import errno
import sys

import pytest

from lab import poll
from lab.traffic import HTTP, STREAM, UDP

# What a connection from each of some addresses to a port ends with: a name, or an errno.
TRY = """
import socket, sys
vip, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for source in sys.argv[4:]:
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.bind((source, 0))
        try:
            s.connect((vip, port))
            s.send(b"GET / HTTP/1.0\\r\\n\\r\\n")
            answer = b""
            while kind == "tcp" and (more := s.recv(4096)):
                answer += more
            answer = answer.split()[-1].decode() if kind == "tcp" else s.recv(4096).split()[0]
            print(source, answer if kind == "tcp" else answer.decode())
        except OSError as error:
            print(source, error.errno or "timeout")
"""


def tried(client, vip, port, kind, sources):
    told = client.enter([sys.executable, "-c", TRY, vip, port, kind, *sources]).stdout
    return dict(map(str.split, told.splitlines()))


REFUSED = str(errno.ECONNREFUSED)
ALL_KINDS = ({"protocol": "tcp", "ports": [HTTP]},
             {"protocol": "tcp", "ports": [STREAM], "policy": "single"},
             {"protocol": "udp", "ports": [UDP, 7002], "policy": "single"},
             {"protocol": "any", "policy": "closed"})


def service(node, vip, port):
    """The service of a port of a virtual address, as clusterctl tells it."""
    return next(s for v in node.ctl_json("vips")["vips"] if v["address"].split("/")[0] == vip
                for s in v["services"] if port in s["ports"])


def test_each_service_by_its_policy(new_cluster, segment):
    cluster = new_cluster(3, vip_options={"services": ALL_KINDS})
    client, node = segment.client, cluster.nodes[0]
    for vip, sources in ((cluster.vip4, client.direct4[:24]), (cluster.vip6, client.routed6[:24])):
        owners = {s: node.which(s)["owner"] for s in sources}
        assert tried(client, vip, HTTP, "tcp", sources) == owners
        one = service(node, vip, UDP)["owner"]
        assert tried(client, vip, UDP, "udp", sources) == {s: one for s in sources}
        # Port 7003 has no server, 22 none either; nothing of what is closed is let in.
        assert tried(client, vip, 7003, "tcp", sources) == {s: REFUSED for s in sources}
        assert tried(client, vip, 7003, "udp", sources[:4]) == {s: REFUSED for s in sources[:4]}
        ping = client.enter(["ping", "-c", 2, "-W", 2, "-I", sources[3], vip]).stdout
        assert " 0% packet loss" in ping and "DUP" not in ping
    text = " ".join(node.ctl("vips").stdout.split())
    assert f"tcp {STREAM} single" in text and "any all closed" in text
    refused = sum(v["packets"]["refused"] for n in cluster.nodes for v in n.status()["vips"])
    assert refused >= 48


def test_a_single_service_moves_as_one(new_cluster, segment):
    """All streams of all clients are at one node. Drained, it keeps them, and hands every new
    one to the next, without a delay; when a node dies its streams end and others take over."""
    cluster = new_cluster(3, vip_options={"services": (
        {"protocol": "tcp", "ports": [STREAM], "policy": "single"},)})
    client, viewer = segment.client, cluster.nodes[0]
    sources = client.direct4[:32]
    with cluster.traffic(sources, streams=32) as old:
        first = service(viewer, cluster.vip4, STREAM)["owner"]
        assert {s.node for s in old.wait_open()} == {first}
        cluster[first].ctl("drain")
        cluster.converge(states=("serving", "draining"))
        second = service(viewer, cluster.vip4, STREAM)["owner"]
        assert second != first
        with cluster.traffic(sources, streams=32) as new:
            assert {s.node for s in new.wait_open()} == {second}
            cluster[first].ctl("undrain")
            cluster.converge()
            old.run_for(0.5)
            assert all(s.state == "open" and s.gap < 0.5 for s in old.streams() + new.streams())
            cluster[second].die()
            rest = [n for n in cluster.nodes if n.name != second]
            cluster.converge(alive=rest)
            poll("the streams of the dead end", lambda: all(
                s.state == "broken" for s in new.streams()), 10)
            assert all(s.state == "open" for s in old.streams())


def test_new_connections_find_a_single_service_through_drains(new_cluster, segment):
    cluster = new_cluster(3, vip_options={"services": (
        {"protocol": "tcp", "ports": [HTTP], "policy": "single"},)})
    viewer = cluster.nodes[0]
    with cluster.traffic(rate=400, sniff=True) as t:
        t.wait_connections(100)
        for _ in range(6):
            node = cluster[service(viewer, cluster.vip4, HTTP)["owner"]]
            node.ctl("drain")
            cluster.converge(states=("serving", "draining"))
            t.run_for(0.3)
            node.ctl("undrain")
            cluster.converge()
            t.run_for(0.3)
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.delayed(), t.told(t.delayed())
    assert not t.doubles


def test_services_change_while_clients_connect(new_cluster, segment):
    """A reload on all nodes: the balanced service goes on, the other one closes and opens."""
    cluster = new_cluster(2)
    client = segment.client
    sources = client.direct4[:16]
    assert REFUSED not in tried(client, cluster.vip4, STREAM + 1, "udp", sources).values()

    def reload_with(services):
        for node in cluster.nodes:
            config = node.config()
            for vip in config["vips"]:
                vip["services"] = services
            node.config_write(config)
        for node in cluster.nodes:
            node.ctl("reload")
        cluster.converge()

    reload_with(({"protocol": "udp", "policy": "closed"},))
    assert set(tried(client, cluster.vip4, UDP, "udp", sources).values()) == {REFUSED}
    assert REFUSED not in tried(client, cluster.vip4, HTTP, "tcp", sources).values()
    reload_with(())
    assert REFUSED not in tried(client, cluster.vip4, UDP, "udp", sources).values()


def test_what_is_printed_loads(new_cluster, segment):
    """`ipclusterd -n`, and the listing of what runs, load into an empty namespace."""
    cluster = new_cluster(2, vip_options={"services": ALL_KINDS, "affinity": "flow"})
    node = cluster.nodes[0]
    printed = node.daemon("-c", node.config_path, "-n").stdout
    listed = node.ctl("rules").stdout
    for text in (printed[printed.index("table inet"):], listed):
        segment.client.enter(["nft", "-c", "-f", "-"], text=text)
    assert "route_port" in printed and "class_any" in listed


@pytest.mark.parametrize("family", [4, 6])
def test_path_mtu_discovery_of_a_single_service(new_cluster, segment, family):
    """The error comes from a router that is in no bucket of the service: it finds the flow."""
    cluster = new_cluster(3, start=False, vip_options={"affinity": "flow", "services": (
        {"protocol": "tcp", "ports": [HTTP], "policy": "single"},
        {"protocol": "any", "policy": "closed"})})
    _, far = segment.add_router(1300)
    cluster.start()
    vip, source = ((cluster.vip4, far.sources4[0]), (cluster.vip6, far.sources6[0]))[family == 6]
    script = ("import socket, sys\n"
              "s = socket.create_connection((sys.argv[1], 80), 5, (sys.argv[2], 0))\n"
              "s.sendall(b'GET /big HTTP/1.0\\r\\n\\r\\n')\n"
              "got = 0\n"
              "while more := s.recv(65536): got += len(more)\n"
              "print(got)\n")
    for _ in range(4):
        got = far.enter([sys.executable, "-c", script, vip, source]).stdout
        assert int(got) > 256 * 1024
