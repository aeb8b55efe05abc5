"""What is another's dropped by XDP (node.xdp): nothing else changes, and it goes with the daemon."""

import re
import signal
import time
from pathlib import Path

import pytest

from lab import kernel, poll
from lab.run import Failure
from test_drain import drained, no_harm
from test_failover import served_again, survivors, unbroken
from test_security import Unit, sandboxed, unit_cluster  # noqa: F401

MANUAL = Path(__file__).resolve().parents[2] / "man/ipclusterd.8"


@pytest.fixture(params=["generic", "native"])
def mode(request):
    """Above the driver, and in it: that of veth takes frames back from the kernel for it."""
    return request.param


@pytest.fixture
def cluster_xdp(new_cluster, mode):
    cluster = new_cluster(3, options={"node": {"xdp": mode}})
    cluster.converge()
    assert not any(node.told("no XDP") for node in cluster.nodes)
    return cluster


def attached(node):
    """The id of the program on eth0, or None."""
    return node.host.link().get("xdp", {}).get("prog", {}).get("id")


def dropped(node):
    """Foreign packets per VIP: (all, by XDP)."""
    return [(v["packets"]["foreign"], v["packets"]["foreign_xdp"]) for v in node.status()["vips"]]


def rules_dropped(node):
    """What the rules themselves have counted as another's."""
    return sum(int(n) for n in re.findall(r"counter packets (\d+) bytes \d+ drop",
                                          kernel.ruleset(node.host)))


def test_hand_overs_with_nothing_delayed(cluster_xdp, mode, rounds):
    """It follows the rules: no SYN waits, no flow breaks."""
    nodes = cluster_xdp.nodes
    assert all(attached(n) for n in nodes)
    assert {v["xdp"] for n in nodes for v in n.status()["vips"]} == {mode}
    was = {n.name: (dropped(n), rules_dropped(n)) for n in nodes}
    with cluster_xdp.traffic(rate=400, streams=64, udp_rate=200, udp_deadline=0.3,
                             sniff=True) as t:
        before = t.wait_open()
        for i in range(max(1, rounds // 3)):
            node = nodes[i % len(nodes)]
            node.ctl("drain")
            drained(cluster_xdp, node)
            node.ctl("undrain")
            cluster_xdp.converge()
        t.run_for(0.3)
        t.stop()
    no_harm(t)
    assert not unbroken(before, t.final_streams)
    for node in nodes:
        (old, old_rules), new = was[node.name], dropped(node)
        early = [b[1] - a[1] for a, b in zip(old, new)]
        total = sum(b[0] - a[0] for a, b in zip(old, new))
        rules = rules_dropped(node) - old_rules
        assert all(n > 50 for n in early), (node.name, old, new)
        # Between two steps of a hand-over the rules judge what neither lets in any more.
        assert rules <= total / 20, (node.name, rules, total)
        text = node.ctl("rules").stdout
        for vip in cluster_xdp.vips:
            address = vip.split("/")[0]
            assert f"# XDP ({mode}) on eth0 drops what is another's to {address} " in text


def test_killed_and_taken_over(cluster_xdp):
    """The program dies with the daemon, the rules stay; who takes over lets in at once."""
    victim = cluster_xdp.nodes[1]
    others = cluster_xdp.others(victim)
    with cluster_xdp.traffic(rate=300, deadline=0.2, streams=64, sniff=True) as t:
        before = t.wait_open()
        died = victim.kill()
        poll("no program is left", lambda: attached(victim) is None, 2)
        assert kernel.has_tables(victim.host)
        cluster_xdp.converge(others)
        t.run_for(max(0.5, died + 1.5 - time.monotonic()))
        served_again(t, died, 0.8)
        victim.start()
        cluster_xdp.converge()
        t.run_for(0.3)
        t.stop()
    assert attached(victim)
    assert not unbroken(survivors(before, victim), t.final_streams)


def test_restarted_reloaded_stopped(cluster_xdp, mode):
    """One program at a time, always this configuration's; none at the end."""
    node = cluster_xdp.nodes[0]
    first = attached(node)
    with cluster_xdp.traffic(rate=300, streams=32) as t:
        before = t.wait_open()
        node.ctl("restart")
        poll("another program", lambda: attached(node) not in (None, first))
        cluster_xdp.converge()
        t.run_for(0.5)
        t.stop()
    no_harm(t)
    assert not unbroken(before, t.final_streams)
    second = attached(node)
    for n in cluster_xdp.nodes:
        config = n.config()
        config["vips"] += ({"address": "10.77.0.3/16", "interface": "eth0"},)
        n.config_write(config)
    for n in cluster_xdp.nodes:
        n.ctl("reload")
    cluster_xdp.converge()
    assert attached(node) not in (None, second)
    assert [v["xdp"] for v in node.status()["vips"]] == [mode] * 3
    assert not node.told("no XDP")
    config = node.config()
    config["node"]["xdp"] = "off"
    node.config_write(config)
    with pytest.raises(Failure, match="node.xdp cannot change while the daemon runs"):
        node.ctl("reload")
    assert attached(node)
    node.signal(signal.SIGTERM)
    node.process.wait(5)
    assert attached(node) is None


def test_what_would_be_attached(three):
    """ipclusterd -n, and the default: off."""
    node = three.nodes[0]
    assert attached(node) is None
    assert {v["xdp"] for v in node.status()["vips"]} == {None}
    assert "XDP" not in node.ctl("rules").stdout
    config = node.config()
    assert "XDP" not in node.daemon("-n", "-c", node.config_path).stdout
    config["node"]["xdp"] = "native"
    try:
        node.config_write(config)
        assert "# XDP (native) on eth0 drops what" in \
            node.daemon("-n", "-c", node.config_path).stdout
    finally:
        node.config_write()


def with_drop_in(*keys):
    """The unit, with what ipclusterd(8) says a drop-in has to add for it."""
    unit, text = Unit(), MANUAL.read_text(encoding="utf-8")
    added = re.search(r"\.It Dv CAP_BPF\n.*?\.Bd [^\n]*\n(.*?)\.Ed", text, re.S)[1]
    for key, value in re.findall(r"^(\w+)=(.*)$", added, re.M):
        if not keys or key in keys:
            unit.settings[key].append(value)
    return unit


def test_under_the_unit(unit_cluster):  # noqa: F811
    """As the unit runs it there is none, and one line says why; with the drop-in there is."""
    plain, *permitted = unit_cluster.nodes
    for node in unit_cluster.nodes:
        config = node.config()
        config["node"]["xdp"] = "generic"
        node.config_write(config)
        # the lab's filter kills where the unit's refuses
        unit = with_drop_in(*(["SystemCallFilter"] if node is plain else []))
        node.prefix = sandboxed(node, unit, unit.call_numbers(node.directory))
        node.serve()
        node.start()
    unit_cluster.converge()
    assert [bool(attached(n)) for n in unit_cluster.nodes] == [False, True, True]
    told = plain.told("no XDP")
    assert len(told) == 1 and "needs CAP_BPF beside CAP_NET_ADMIN" in told[0][1], told
    assert not [t for n in permitted for t in n.told("no XDP")]
    with unit_cluster.traffic(rate=100) as t:
        t.run_for(0.5)
        t.stop()
    no_harm(t)
