"""Who belongs to a cluster: other clusters, wrong keys, other configurations, noise."""

import base64
import os
import sys

from lab import poll
from lab.cluster import FIRST

PORT = 7742

NOISE = """
import os, random, socket, sys
random.seed(7)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
for i in range(2000):
    s.sendto(os.urandom(random.choice((1, 7, 40, 90, 400, 1400))), ("239.255.77.42", %d))
""" % PORT


def rejected(node):
    return node.status()["counters"]["heartbeats_rejected"]


def alone(cluster):
    names = {n.name for n in cluster.nodes}
    return all(set(n.members()) == names for n in cluster.nodes)


def test_two_clusters_on_one_segment_ignore_each_other(new_cluster, segment):
    one = new_cluster(2, start=False)
    two = new_cluster(2, start=False, name="db", vips=("10.77.0.3/16", "fd77::3/64"),
                      first=FIRST + 5, prefix="m")
    one.start()
    two.start()
    with one.traffic(rate=200, streams=32, sniff=True) as t1, \
            two.traffic(rate=200, streams=32) as t2:
        t1.wait_open()
        t2.wait_open()
        two.nodes[0].die()
        two.converge(two.nodes[1:])
        t1.run_for(0.5)
        t1.stop()
        t2.stop()
    assert not t1.failures(), t1.told(t1.failures())
    assert not t1.doubles
    assert {c.node for c in t1.connections} == {n.name for n in one.nodes}
    assert alone(one) and {c.node for c in t2.connections if c.ok} <= {n.name for n in two.nodes}
    for node in one.nodes:
        counters = rejected(node)
        assert counters["foreign_cluster"] > 0
        assert counters["forged"] == counters["malformed"] == counters["replayed"] == 0
        assert node.status()["counters"]["takeovers"] == 0


def test_a_wrong_key_is_refused_and_counted(new_cluster, segment):
    cluster = new_cluster(2)
    # not a whole cluster of its own: its only node has another address, so that it does no harm
    stranger = new_cluster(1, start=False, vips=("10.77.0.9/16",), first=FIRST + 5, prefix="x",
                           tag="stranger", key=base64.b64encode(os.urandom(32)).decode())
    was = rejected(cluster.nodes[0])["forged"]
    stranger.start()
    poll("forged heartbeats are counted", lambda: rejected(cluster.nodes[0])["forged"] > was + 5)
    poll("on both sides", lambda: rejected(stranger.nodes[0])["forged"] > 5)
    assert alone(cluster) and alone(stranger)
    cluster.converge()
    # one line now and then, not one for each
    assert cluster.nodes[0].log().lower().count("forged") <= 3


def test_another_configuration_is_refused_and_said(new_cluster):
    cluster = new_cluster(3, start=False)
    odd = cluster.nodes[2]
    config = odd.config()
    config["vips"][0]["orphans"] = "drop"
    odd.config_write(config)
    for node in cluster.nodes:
        node.serve()
        node.start()
    cluster.converge(cluster.nodes[:2])
    for node, others in ((cluster.nodes[0], [odd]), (odd, cluster.nodes[:2])):
        poll(f"{node.name} counts it", lambda n=node: rejected(n)["config_mismatch"] > 0)
        poll(f"{node.name} says it of one", lambda n=node, o=others:
             any(x.name in line and "configuration" in line
                 for line in n.log().splitlines() for x in o))
    odd.config_write()
    odd.stop()
    odd.start()
    cluster.converge()


def test_noise_is_counted_and_changes_nothing(three):
    node = three.nodes[0]
    before, view = sum(rejected(node).values()), node.status()["view"]
    lines = len(node.log().splitlines())
    with three.traffic(rate=200, streams=32, sniff=True) as t:
        t.wait_open()
        client = three.segment.client
        client.enter([sys.executable, "-c", NOISE, client.address4])
        # A flood is shut out by the kernel after the first of it, which are counted.
        poll("noise is counted", lambda: sum(rejected(node).values()) >= before + 32)
        t.run_for(0.2)
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert node.status()["view"] == view and node.status()["converged"]
    assert len(node.log().splitlines()) - lines < 20


def test_unicast_peers_instead_of_multicast(new_cluster):
    cluster = new_cluster(3, start=False)
    for node in cluster.nodes:
        config = node.config()
        config["heartbeat"]["peers"] = [n.host.address4 for n in cluster.others(node)]
        node.config_write(config)
    cluster.start()
    with cluster.traffic(rate=300, sniff=True) as t:
        t.wait_connections(128)
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.doubles


def test_weights_share_the_buckets(new_cluster):
    cluster = new_cluster(3, start=False)
    weights = {"n1": 100, "n2": 300, "n3": 0}
    for node in cluster.nodes:
        config = node.config()
        config["node"]["weight"] = weights[node.name]
        node.config_write(config)
    cluster.start()
    owners = list(cluster.owners().values())
    assert {name: owners.count(name) for name in weights} == {"n1": 64, "n2": 192, "n3": 0}


def test_one_node_alone_serves_all(new_cluster):
    cluster = new_cluster(1)
    with cluster.traffic(rate=300, sniff=True) as t:
        t.wait_connections(128)
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.doubles


def test_all_start_at_once_and_all_stop_at_once(new_cluster):
    """Nobody is there to ask; and nobody is there to hand over to."""
    cluster = new_cluster(3)
    for node in cluster.nodes:
        node.process.terminate()
    for node in cluster.nodes:
        assert node.process.wait(5) == 0
    cluster.start()
