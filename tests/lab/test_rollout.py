"""A list of VIPs goes through the cluster by reloads, node by node, while clients use what stays."""

import time

import pytest

from lab import kernel, poll
from lab.traffic import Traffic
from test_failover import twice, unbroken

NEW = "10.77.0.3/16"
NEW_ADDRESS = NEW.split("/", maxsplit=1)[0]


def reload(node, **vip_options):
    """With what is now cluster.vips, of which the last gets the options."""
    config = node.config()
    config["vips"][-1].update(vip_options)
    node.config_write(config)
    node.ctl("reload")


def reload_all(cluster, t, vips):
    """One node after the other, with clients in between."""
    cluster.vips = tuple(vips)
    for node in cluster.nodes:
        reload(node)
        t.run_for(0.4)
        cluster.converge()


def vip(node, address=NEW):
    return next((v for v in node.status()["vips"] if v["address"] == address), None)


def in_kernel(node, address=NEW_ADDRESS):
    return address in node.host.addresses() or address in kernel.ruleset(node.host)


def undisturbed(t, before):
    assert not t.failures(), t.told(t.failures())
    assert not t.delayed(0.2), t.told(t.delayed(0.2))
    assert not t.doubles and not twice(t)
    assert not unbroken(before, t.final_streams, gap=0.2)
    assert len(t.connections) > 300, len(t.connections)


def on_new(cluster, **options):
    client = cluster.segment.client
    return Traffic(client, client.direct4, vip4=NEW_ADDRESS, **options)


DRAIN = {"node": {"stop_drain": "20s"}}


@pytest.mark.parametrize("quorum", ["none", "majority"])
def test_an_address_comes_and_goes(new_cluster, quorum):
    """Clients of the other addresses notice nothing, and a stream on the one that goes ends by
    itself; then it is gone from every host."""
    cluster = new_cluster(3, options={**DRAIN, "cluster": {"quorum": quorum}})
    old = cluster.vips
    with cluster.traffic(rate=400, streams=96, sniff=True) as t:
        before = t.wait_open()
        reload_all(cluster, t, (*old, NEW))
        for node in cluster.nodes:
            assert vip(node)["state"] == "serving"
            assert node.status()["members"] and not node.status()["strangers"]
        with on_new(cluster, streams=48, rate=200) as fresh:
            streams = fresh.wait_open()
            fresh.wait_connections(100)
            undelayed = not fresh.failures() and not fresh.delayed(0.2)
            assert {s.node for s in streams} == {n.name for n in cluster.nodes}
            assert undelayed, fresh.told(fresh.failures() + fresh.delayed(0.2))
            fresh.stop()
        with on_new(cluster, streams=48) as last:
            kept = last.wait_open()
            reload_all(cluster, t, old)
            for node in cluster.nodes:
                assert vip(node)["state"] == "removing" and vip(node)["lease_ms"] == 0
                assert in_kernel(node)
            last.run_for(3.0)
            for node in cluster.nodes:
                assert vip(node)["state"] == "removing"
            assert not unbroken(kept, last.streams(), gap=0.3)
            last.stop()
        for node in cluster.nodes:
            poll("it is gone", lambda n=node: vip(n) is None, 6)
            assert not in_kernel(node)
        cluster.converge()
        t.run_for(0.3)
        t.stop()
    undisturbed(t, before)
    for node in cluster.nodes:
        assert not node.told("has another configuration")
        assert node.told("has another list of VIPs")


def test_what_is_being_removed_takes_nobody_new(new_cluster):
    cluster = new_cluster(2, options=DRAIN)
    old = cluster.vips
    cluster.vips = (*old, NEW)
    for node in cluster.nodes:
        reload(node)
    poll("it is served", lambda: all(kernel.lease(n.host, 2) for n in cluster.nodes))
    with on_new(cluster, streams=16) as kept:
        before = kept.wait_open()
        cluster.vips = old
        for node in cluster.nodes:
            reload(node)
        with on_new(cluster, rate=100, deadline=0.5) as late:
            late.wait_connections(50)
            late.stop()
        assert not [c for c in late.connections if c.ok or c.result != "timeout"]
        # it is brought back, with all that it has
        cluster.vips = (*old, NEW)
        for node in cluster.nodes:
            reload(node)
        for node in cluster.nodes:
            assert vip(node)["state"] == "serving"
        with on_new(cluster, rate=100) as again:
            again.wait_connections(100)
            again.stop()
        assert not again.failures(), again.told(again.failures())
        kept.stop()
    assert not unbroken(before, kept.final_streams, gap=0.5)
    for node in cluster.nodes:
        node.ctl("reload")
        assert vip(node)["state"] == "serving"


def test_without_patience_it_goes_at_once(new_cluster):
    cluster = new_cluster(2)
    old = cluster.vips
    cluster.vips = (*old, NEW)
    for node in cluster.nodes:
        reload(node)
    with on_new(cluster, streams=8) as t:
        t.wait_open()
        cluster.vips = old
        for node in cluster.nodes:
            reload(node)
            assert vip(node) is None and not in_kernel(node)


def test_stop_drain_is_the_longest(new_cluster):
    """A stream that goes on for ever holds it up for so long and no longer; and a restart, a stop,
    or a crash and another start, leave nothing of it."""
    cluster = new_cluster(2, options={"node": {"stop_drain": "2s"}})
    old = cluster.vips
    for how in ("wait", "restart", "stop", "kill"):
        cluster.vips = (*old, NEW)
        for node in cluster.nodes:
            reload(node)
        poll("it is served", lambda: all(kernel.lease(n.host, 2) for n in cluster.nodes))
        with on_new(cluster, streams=16) as t:
            t.wait_open()
            began = time.monotonic()
            cluster.vips = old
            for node in cluster.nodes:
                reload(node)
            if how == "wait":
                for node in cluster.nodes:
                    poll("it is gone", lambda n=node: vip(n) is None)
                assert 1.9 < time.monotonic() - began < 4.0
            for node in cluster.nodes if how != "wait" else ():
                if how == "restart":
                    node.ctl("restart")
                else:
                    getattr(node, how)()
                    node.start()
                node.wait_answer()
                assert vip(node) is None
            for node in cluster.nodes:
                assert not in_kernel(node)
        cluster.converge()


def test_another_kind_of_it_is_another_one(new_cluster):
    """The new address in two ways: who has the second one is kept out, and all else goes on."""
    cluster = new_cluster(3)
    *_, odd = cluster.nodes
    one = cluster.nodes[0]
    with cluster.traffic(rate=300, streams=48, sniff=True) as t:
        t.wait_open()
        cluster.vips = (*cluster.vips, NEW)
        reload(one)
        t.run_for(0.5)
        changed = time.monotonic()
        reload(odd, select="hash")
        cluster.converge(cluster.nodes[:2])
        poll("it is isolated", lambda: odd.status()["state"] == "isolated")
        for node in cluster.nodes[:2]:
            assert [s["name"] for s in node.status()["strangers"]] == [odd.name]
        t.run_for(1.5)
        assert not kernel.claims(odd.host)
        settled = time.monotonic()
        for node in cluster.nodes[1:]:
            reload(node)
        cluster.converge()
        t.run_for(0.5)
        t.stop()
    late = [c for c in t.failures() + t.delayed(0.2)
            if not changed - 0.2 <= c.start < changed + 0.3]
    assert not late, f"{changed:.3f} {settled:.3f}\n" + t.told(late)
    assert not t.doubles
    assert not [s for s in t.final_streams if s.state != "open"]


def test_an_address_that_changes(new_cluster):
    """Not undisturbed: but what a node gives up is taken over within moments, and nobody whose
    connection stands is reset."""
    cluster = new_cluster(3)
    last = cluster.vips[-1]
    with cluster.traffic(rate=400, streams=96, sniff=True) as t:
        before = t.wait_open()
        for node in cluster.nodes:
            reload(node, orphans="drop")
            t.run_for(1.5)
        cluster.converge()
        t.run_for(0.3)
        t.stop()
    assert last and not t.failures(), t.told(t.failures())
    assert len(t.delayed(0.2)) < 40, t.told(t.delayed(0.2))
    assert not unbroken(before, t.final_streams, gap=0.5)
    assert not t.doubles, t.doubles[:4]
