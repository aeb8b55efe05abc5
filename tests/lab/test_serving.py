"""A whole cluster serves: every source by one node, the one that `which` names."""

import json
import sys

import pytest

from lab import Traffic, kernel, poll
from lab.traffic import HTTP


def all_sources(client):
    return client.direct4 + client.direct6 + client.routed4 + client.routed6


def test_every_source_is_served_by_the_node_that_which_names(cluster):
    sources = all_sources(cluster.segment.client)
    which = {}
    for i, source in enumerate(sources):
        answer = cluster.nodes[i % len(cluster.nodes)].which(source)
        assert answer["bucket"] == cluster.bucket(source)
        assert answer["order"][0] == answer["owner"]
        assert sorted(answer["order"]) == sorted(n.name for n in cluster.nodes)
        which[source] = answer["owner"]
    with cluster.traffic(sources, rate=1000, sniff=True) as t:
        t.wait_connections(2 * len(sources))
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.delayed(), t.told(t.delayed())
    assert not t.doubles
    assert {s: set(nodes) for s, nodes in t.served_by().items()} == \
        {s: {owner} for s, owner in which.items()}


def test_datagrams_are_answered_once_by_the_node_that_which_names(cluster):
    sources = all_sources(cluster.segment.client)
    owners = cluster.owners()
    with cluster.traffic(sources, udp_rate=1000, udp_deadline=0.2) as t:
        poll("datagrams", lambda: len(t.datagrams) >= 2 * len(sources))
        t.stop()
    wrong = [d for d in t.datagrams if d.nodes != (owners[cluster.bucket(d.source)],)]
    assert not wrong, wrong[:5]


def test_kernels_claim_each_bucket_once(cluster):
    owners = cluster.owners()
    for vip, text in enumerate(cluster.vips):
        claimed = {}
        for node in cluster.nodes:
            for bucket in cluster.claims(node, vip):
                claimed.setdefault(bucket, []).append(node.name)
        assert claimed == {b: [owner] for b, owner in owners.items()}, text
        assert set(claimed) == set(range(256))


def test_shares_are_within_one_bucket(cluster):
    owners = list(cluster.owners().values())
    for node in cluster.nodes:
        assert abs(owners.count(node.name) - 256 / len(cluster.nodes)) <= 1


def test_all_nodes_tell_the_same(cluster):
    tables = [[(b["bucket"], b["owner"], b["home"], tuple(b["claimed_by"]))
               for b in node.buckets()] for node in cluster.nodes]
    assert all(t == tables[0] for t in tables)
    assert all(owner == home and claimed == (owner,) for _, owner, home, claimed in tables[0])


def test_the_vip_and_its_mac_are_on_every_node(three):
    for node in three.nodes:
        assert {three.vip4, three.vip6} <= set(node.host.addresses())
        fdb = node.host.enter(["bridge", "fdb", "show", "dev", "eth0"]).stdout
        for vip in node.status()["vips"]:
            assert f"{vip['mac']} self permanent" in fdb
        assert node.host.link()["address"] == node.host.mac


def test_only_the_owner_tracks_a_flow(three):
    client = three.segment.client
    sources = client.direct4[:16] + client.direct6[:16]
    for node in three.nodes:
        node.host.enter(["conntrack", "-F"], check=False)
    with three.traffic(sources, streams=len(sources)) as t:
        streams = t.wait_open()
        for node in three.nodes:
            here = {s.source for s in streams if s.node == node.name}
            for vip in (three.vip4, three.vip6):
                tracked = {source for source, state in kernel.flows(node.host, vip)
                           if source in sources and state == "ESTABLISHED"}
                assert tracked == {s for s in here if (":" in s) == (":" in vip)}
        t.stop()


def test_flows_are_counted(three):
    client = three.segment.client
    with three.traffic(client.direct4[:30], streams=30) as t:
        streams = t.wait_open()
        for node in three.nodes:
            mine = sum(s.node == node.name for s in streams)
            poll(f"{mine} flows on {node.name}",
                 lambda n=node, m=mine: n.status()["vips"][0]["flows"] >= m)
        t.stop()


def test_packets_are_counted(three):
    node = three.nodes[0]
    was = node.status()["vips"]
    with three.traffic(rate=500) as t:
        t.wait_connections(200)
        t.stop()

    def counted():
        now = node.status()["vips"]
        return all(n["packets"][k] > w["packets"][k] for n, w in zip(now, was)
                   for k in ("accepted", "foreign"))
    poll("counters move", counted)


def test_a_node_reaches_the_vip_itself(three):
    """Through lo, whatever bucket its own address is in."""
    for node in three.nodes:
        listing = [node.host.address4, node.host.address6]
        with Traffic(node.host, listing, three.vip4, three.vip6, rate=50) as t:
            t.wait_connections(4)
            t.stop()
        assert not t.failures(), t.told(t.failures())
        assert {c.node for c in t.connections} == {node.name}


def test_real_addresses_are_left_alone(three):
    """The client reaches every node by its own address, from any source."""
    client = three.segment.client
    for node in three.nodes:
        with Traffic(client, client.direct4 + client.direct6, node.host.address4,
                     node.host.address6, rate=1000) as t:
            t.wait_connections(128)
            t.stop()
        assert not t.failures(), t.told(t.failures())
        assert {c.node for c in t.connections} == {node.name}


def test_neighbours_learn_the_shared_mac_for_the_vip_only(three):
    client = three.segment.client
    macs = {v["address"].split("/")[0]: v["mac"] for v in three.nodes[0].status()["vips"]}
    client.enter(["ip", "neigh", "flush", "dev", "eth0"])
    with three.traffic(rate=500) as t:
        t.wait_connections(128)
        t.stop()
    assert not t.failures(), t.told(t.failures())
    seen = {n["dst"]: n.get("lladdr") for n in client.json(["ip", "-j", "neigh"])}
    for address, mac in macs.items():
        assert seen[address] == mac
    for node in three.nodes:
        for address in (node.host.address4, node.host.address6):
            assert seen.get(address, node.host.mac) == node.host.mac


DOWNLOAD = """
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], %d, timeout=5, source_address=(sys.argv[2], 0))
c.request("GET", "/big")
print(len(c.getresponse().read()))
""" % HTTP


def test_clients_behind_a_router_with_a_small_mtu(new_cluster, segment):
    """Their buckets are by their own addresses, though all frames come from the router; and the
    router's ICMP errors find the node that has the flow."""
    cluster = new_cluster(3)
    _, far = segment.add_router(mtu=1300)
    sources = far.sources4 + far.sources6
    with cluster.traffic(sources, host=far, rate=500) as t:
        t.wait_connections(2 * len(sources))
        t.stop()
    assert not t.failures(), t.told(t.failures())
    owners = cluster.owners()
    for source, nodes in t.served_by().items():
        assert set(nodes) == {owners[cluster.bucket(source)]}
    for node in cluster.nodes:
        for vip, of in ((cluster.vip4, far.sources4), (cluster.vip6, far.sources6)):
            source = cluster.sources_of(node, of)[0]
            got = far.enter([sys.executable, "-c", DOWNLOAD, vip, source]).stdout
            assert int(got) > 256 * 1024


@pytest.mark.parametrize("buckets", [16, 256, 4096])
def test_selection_by_hash(new_cluster, segment, buckets):
    cluster = new_cluster(3, start=False, vip_options={"select": "hash"})
    for node in cluster.nodes:
        config = node.config()
        config["cluster"]["buckets"] = buckets
        node.config_write(config)
    cluster.start()
    sources = all_sources(segment.client)
    with cluster.traffic(sources, rate=1000, sniff=True) as t:
        t.wait_connections(len(sources) + 10)
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.doubles
    for source, nodes in t.served_by().items():
        assert set(nodes) == {cluster.nodes[0].which(source)["owner"]}, source


def test_status_has_the_fields_of_the_contract(three):
    for node in three.nodes:
        status = json.loads(node.ctl("-j", "status").stdout)
        assert {"version", "cluster", "node", "state", "converged", "view", "quorum", "uptime_ms",
                "members", "vips", "counters"} <= set(status)
        assert status["node"] == node.name and status["cluster"] == three.name
        assert status["state"] == "serving" and status["converged"] is True
        for member in status["members"]:
            assert {"name", "address", "self", "state", "draining", "healthy", "weight",
                    "incarnation", "buckets", "lingering", "flows", "last_heard_ms",
                    "flap_penalty", "rtt_us", "loss_percent"} <= set(member)
            assert member["self"] == (member["name"] == node.name)
            assert member["address"] == three[member["name"]].host.address4
        assert [v["address"] for v in status["vips"]] == list(three.vips)
        for vip in status["vips"]:
            assert {"address", "interface", "mode", "mac", "buckets", "owned", "lingering",
                    "orphaned", "flows", "lease_ms", "packets"} <= set(vip)
            assert 0 < vip["lease_ms"] <= 300 and vip["buckets"] == 256
            assert set(vip["packets"]) >= {"accepted", "foreign", "orphan_reset", "forwarded"}
        assert {"takeovers", "unowned_bucket_ms", "contested_bucket_ms",
                "heartbeats_rejected"} <= set(status["counters"])
        assert {"forged", "replayed", "malformed", "foreign_cluster", "config_mismatch"} <= \
            set(status["counters"]["heartbeats_rejected"])
