"""Hand-overs between the living: nobody waits, nobody is reset."""

import subprocess
import time

import pytest

from lab import poll
from lab.run import Failure


def drained(cluster, node):
    """Waits until a draining node owns and claims nothing and all agree."""
    cluster.converge(states=("serving", "draining"))

    def empty():
        status = node.status()
        return status["state"] == "draining" and all(v["owned"] == 0 for v in status["vips"])
    poll(f"{node.name} owns nothing", empty)


def no_harm(t):
    assert not t.failures(), t.told(t.failures())
    assert not t.delayed(0.2), t.told(t.delayed(0.2))
    assert not t.doubles, t.doubles[:4]


def test_drain_rounds_at_400_connections_a_second(cluster, rounds):
    """No new connection fails or waits, no open one breaks, through rounds of drain and undrain."""
    def resets():
        return sum(v["packets"]["orphan_reset"] for n in cluster.nodes
                   for v in n.status()["vips"])

    was = resets()
    with cluster.traffic(rate=400, streams=128, sniff=True) as t, \
            cluster.traffic(streams=128) as idle:
        t.wait_open()
        idle.wait_open()
        idle.pause()
        for i in range(rounds):
            node = cluster.nodes[i % len(cluster.nodes)]
            node.ctl("drain")
            drained(cluster, node)
            assert not cluster.claims(node)
            node.ctl("undrain")
            cluster.converge()
        idle.resume()
        t.run_for(0.3)
        idle.stop()
        t.stop()
    no_harm(t)
    hurt = [s for s in t.final_streams + idle.final_streams
            if s.state != "open" or s.gap > 0.2 or s.sent - s.echoed > 10]
    assert not hurt, hurt[:5]
    assert resets() == was


def test_datagrams_through_a_drain(three):
    with three.traffic(udp_rate=800, udp_deadline=0.2) as t:
        poll("datagrams", lambda: len(t.datagrams) > 50)
        for node in three.nodes:
            node.ctl("drain")
            drained(three, node)
            node.ctl("undrain")
            three.converge()
        t.stop()
    assert not [d for d in t.datagrams if len(set(d.nodes)) > 1]
    # What the old owner still forwards has reached the new one by the switch as well: one answer.
    twice = [d for d in t.datagrams if d.replies > 1]
    assert not twice, (len(twice), len(t.datagrams), twice[:5])
    lost = [d for d in t.datagrams if d.replies == 0]
    assert not lost, (len(lost), len(t.datagrams), lost[:5])


def test_a_drained_node_keeps_its_flows_and_gets_no_new_ones(three):
    node = three.nodes[0]
    with three.traffic(rate=200, streams=128) as t:
        before = t.wait_open()
        node.ctl("drain")
        drained(three, node)
        since = time.monotonic()
        t.run_for(0.5)
        t.stop()
    no_harm(t)
    assert node.name not in {c.node for c in t.between(since)}
    assert {s.source: s.node for s in before} == {s.source: s.node for s in t.final_streams}
    assert all(s.state == "open" for s in t.final_streams)
    members = {m["name"]: m for m in three.nodes[1].status()["members"]}
    assert members[node.name]["draining"] is True and members[node.name]["buckets"] == 0


def test_drain_wait_ends_with_the_last_flow(three):
    node = three.nodes[0]
    client = three.segment.client
    mine = three.sources_of(node, client.direct4)
    with three.traffic(mine, streams=len(mine)) as t:
        t.wait_open()
        waiting = three.segment.run.start(
            [node.run.binary("clusterctl"), "-s", node.socket, "drain", "--wait"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        drained(three, node)
        t.run_for(0.7)
        assert waiting.poll() is None
        t.stop()
    code = waiting.wait(10)
    three.segment.run.end(waiting)
    assert code == 0


def test_drain_wait_gives_up_at_its_timeout(three):
    node = three.nodes[0]
    mine = three.sources_of(node, three.segment.client.direct4)
    with three.traffic(mine, streams=4) as t:
        t.wait_open()
        done = node.ctl("drain", "--wait", "--timeout", "1s", check=False)
        t.stop()
    assert done.returncode == 1 and done.stderr.strip()


def test_a_node_is_drained_by_name_from_another(three):
    a, b = three.nodes[:2]
    a.ctl("drain", b.name)
    poll("b drains", lambda: b.status()["state"] == "draining")
    drained(three, b)
    a.ctl("undrain", b.name)
    three.converge()


def test_all_drained_still_serve(three):
    """Nobody is left to hand over to: the cluster serves on."""
    with three.traffic(rate=200, sniff=True) as t:
        for node in three.nodes:
            node.ctl("drain")
        three.converge(states=("draining",))
        t.run_for(0.5)
        for node in three.nodes:
            node.ctl("undrain")
        three.converge()
        t.stop()
    no_harm(t)


@pytest.mark.parametrize("how", ["term", "leave"])
def test_stop_under_traffic_hands_over(three, how):
    """No new connection fails, whichever way a node is stopped; the survivors' flows go on."""
    node = three.nodes[2]
    with three.traffic(rate=400, streams=64, sniff=True) as t:
        before = t.wait_open()
        since = time.monotonic()
        if how == "term":
            assert node.stop() == 0
        else:
            node.ctl("leave")
            try:
                assert node.process.wait(5) == 0
            except subprocess.TimeoutExpired as error:
                raise Failure("leave did not end the daemon") from error
        three.converge(three.nodes[:2])
        t.run_for(0.5)
        t.stop()
    # an exchange that was under way on the stopped node may end with it; a new one may not
    cut = [c for c in t.failures() if c.connect >= 0]
    assert len(cut) <= 2 and len(t.failures()) == len(cut), t.told(t.failures())
    assert not t.delayed(0.2, since), t.told(t.delayed(0.2, since))
    assert not t.doubles
    hurt = [s for s in t.final_streams
            if s.state != "open" and s.source in {b.source for b in before if b.node != node.name}]
    assert not hurt, hurt[:5]
    assert three.nodes[0].members()[node.name] == "left"


def test_stop_drain_waits_for_flows(new_cluster):
    cluster = new_cluster(2, start=False)
    node = cluster.nodes[0]
    config = node.config()
    config["node"]["stop_drain"] = "10s"
    node.config_write(config)
    cluster.start()
    mine = cluster.sources_of(node, cluster.segment.client.direct4)
    with cluster.traffic(mine, streams=4) as t:
        t.wait_open()
        node.process.terminate()
        t.run_for(1.0)
        assert node.running
        assert all(s.state == "open" and s.gap < 0.2 for s in t.streams())
        t.stop()
    assert node.process.wait(8) == 0
