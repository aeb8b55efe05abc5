"""Nodes that cannot be of one cluster: both sides say it and why, and the newcomer does not serve."""

import time

import pytest

from lab import kernel, poll
from lab.cluster import FIRST
from lab.faults import WallClock
from test_failover import twice, unbroken

# What differs, as it is configured, and by which words it is told: in the log, and in the status.
PARTS = {
    "buckets": ({"cluster": {"buckets": 128}}, "cluster.buckets", "buckets"),
    "dead_after": ({"heartbeat": {"dead_after": "500ms"}}, "dead_after", "timing"),
    "lease": ({"heartbeat": {"lease": "250ms"}}, "lease", "timing"),
    "vips": (None, "vips", "vips"),
    "quorum": ({"cluster": {"quorum": "majority"}}, "quorum", "quorum"),
    "flap": ({"flap": {"penalty": 500}}, "flap", "flap"),
}


def odd_config(node, part):
    config = node.config()
    if part == "vips":
        config["vips"][0]["address"] = node.cluster.vip4 + "/17"
    for group, values in (PARTS[part][0] or {}).items():
        config.setdefault(group, {}).update(values)
    return config


def strangers(node):
    return {s["name"]: s["differs"] for s in node.status()["strangers"]}


def serves_nothing(t, node, seconds=1.5):
    """For longer than a newcomer waits at the most."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert node.status()["state"] in ("joining", "isolated"), node.status()["state"]
        assert not kernel.claims(node.host)
        t.run_for(0.05)


def no_harm(t, before):
    assert not t.failures(), t.told(t.failures())
    assert not t.doubles and not twice(t)
    assert not unbroken(before, t.final_streams)


@pytest.mark.parametrize("part", PARTS)
def test_another_configuration(new_cluster, part):
    cluster = new_cluster(3, start=False)
    *rest, odd = cluster.nodes
    words, name = PARTS[part][1:]
    cluster.segment.wait_ready()
    for node in cluster.nodes:
        node.serve()
    for node in rest:
        node.start()
    cluster.converge(rest)
    with cluster.traffic(rate=300, streams=48, udp_rate=200, sniff=True) as t:
        before = t.wait_open()
        odd.config_write(odd_config(odd, part))
        odd.start()
        odd.wait_answer()
        for node, others in (*((n, [odd]) for n in rest), (odd, rest)):
            for other in others:
                poll(f"{node.name} says what differs from {other.name}", lambda n=node, o=other:
                     strangers(n).get(o.name) == [name])
            # one line in ten seconds is enough: of one of them at least
            poll(f"{node.name} logs it", lambda n=node, o=others: any(
                words in line and any(f"{x.name} has another configuration" in line for x in o)
                for line in n.log().splitlines()))
        poll("it is isolated", lambda: odd.status()["state"] == "isolated")
        serves_nothing(t, odd)
        cluster.converge(rest)
        assert odd.name not in rest[0].members()
        odd.stop()
        odd.config_write()
        odd.start()
        cluster.converge()
        t.run_for(0.3)
        t.stop()
    no_harm(t, before)


def test_a_member_that_is_reloaded_into_another_configuration(new_cluster):
    """It was one of three; it yields to the two, and comes back when it is as they are."""
    cluster = new_cluster(3)
    *rest, odd = cluster.nodes
    with cluster.traffic(rate=300, deadline=0.2, sniff=True) as t:
        t.wait_connections(60)
        changed = time.monotonic()
        odd.config_write(odd_config(odd, "dead_after"))
        odd.ctl("reload")
        poll("it is isolated", lambda: odd.status()["state"] == "isolated")
        cluster.converge(rest)
        serves_nothing(t, odd)
        odd.config_write()
        odd.ctl("reload")
        cluster.converge()
        agreed = time.monotonic()
        t.run_for(0.5)
        t.stop()
    late = [c for c in t.failures() if not changed - 0.2 <= c.start < changed + 1.0]
    assert not late, f"since {changed:.3f}\n" + t.told(late)
    assert not [d for d in t.doubles if d[0] > changed + 0.6], agreed


def namesake(new_cluster, cluster):
    """A host that has the name of the cluster's first node."""
    made = new_cluster(1, start=False, first=FIRST + 5, prefix="x", tag="twin", key=cluster.key)
    twin = made.nodes[0]
    config = twin.config()
    config["node"]["name"] = cluster.nodes[0].name
    twin.config_write(config)
    cluster.segment.wait_ready()
    twin.serve()
    return twin


NAME_TWICE = "another node has our name"


def test_two_nodes_of_one_name(new_cluster):
    cluster = new_cluster(3)
    first = cluster.nodes[0]
    twin = namesake(new_cluster, cluster)
    with cluster.traffic(rate=300, streams=48, udp_rate=200, sniff=True) as t:
        before = t.wait_open()
        twin.start()
        twin.wait_answer()
        for node in (first, twin):
            poll("it says so", lambda n=node: NAME_TWICE in n.log())
        serves_nothing(t, twin)
        poll("it is isolated", lambda: twin.status()["state"] == "isolated")
        cluster.converge()
        t.run_for(0.3)
        # also when the one that serves starts again: in order, or not
        for how in (first.stop, first.kill):
            assert not t.failures(), t.told(t.failures())
            how()
            first.start()
            t.run_for(2.0)
            assert not t.doubles and not twice(t)
        t.stop()
    lost = [s for s in before if s.node != first.name]
    assert not unbroken(lost, t.final_streams)
    assert len(first.told(NAME_TWICE)) < 10


def test_two_nodes_of_one_name_that_start_at_once(new_cluster):
    """One of them serves, whichever; when it ends, the other does."""
    cluster = new_cluster(2, start=False)
    first, other = cluster.nodes
    twin = namesake(new_cluster, cluster)
    for node in cluster.nodes:
        node.serve()
    for node in (first, twin, other):
        node.start()
    for node in (first, twin):
        node.wait_answer()
        poll("it says so", lambda n=node: NAME_TWICE in n.log())
    states = ["serving", "isolated"]
    poll("one of them serves", lambda: sorted(
        (n.status()["state"] for n in (first, twin)), reverse=True) == states)
    one, two = sorted((first, twin), key=lambda n: n.status()["state"], reverse=True)
    with cluster.traffic(rate=200, deadline=0.2, sniff=True) as t:
        t.wait_connections(60)
        t.run_for(1.0)
        assert not t.failures(), t.told(t.failures())
        assert kernel.claims(one.host) and not kernel.claims(two.host)
        stopped = time.monotonic()
        one.stop()
        poll("the other one serves", lambda: two.status()["state"] == "serving")
        poll("it claims", lambda: kernel.claims(two.host))
        t.run_for(max(0.5, stopped + 1.5 - time.monotonic()))
        t.stop()
    assert not t.doubles


def test_a_clock_that_is_far_off(new_cluster):
    """It is told, and is no reason not to serve."""
    cluster = new_cluster(3, start=False)
    odd = cluster.nodes[1]
    WallClock(odd).step(3600)
    with cluster.traffic(rate=300, sniff=True) as t:
        cluster.start()
        since = time.monotonic()
        for node in cluster.others(odd):
            poll(f"{node.name} says whose clock is off", lambda n=node: any(
                odd.name in line and "clock" in line and "ahead" in line
                for line in n.log().splitlines()))
            ahead = next(m["clock_ms"] for m in node.status()["members"] if m["name"] == odd.name)
            assert abs(ahead - 3_600_000) < 60_000
        poll("and the one says it of the others", lambda: "clock" in odd.log())
        t.run_for(0.5)
        t.stop()
    assert not t.doubles
    late = t.failures(since)
    assert not late, t.told(late)
