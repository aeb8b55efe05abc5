"""What is put into the kernel: repaired when somebody breaks it, and gone after a stop."""

import time

import pytest

from lab import Segment, kernel, poll

FOREIGN = """
table inet others {
  set v0_lease { type ipv4_addr; elements = { 192.0.2.1 } }
  chain in {
    type filter hook input priority 0; policy accept
    meta mark 0x00070000 counter comment "ours to count, not yours"
  }
}
"""

# one NIC has one MAC: in mode interface both addresses must have the same
MODES = {"shared": {"mode": "shared"},
         "interface": {"mode": "interface", "mac": "02:bf:0a:4d:00:02"}}


def whole(node, vips=2):
    """The kernel of a node has the rules, a lease, and the claims that its status tells."""
    owned = {b["bucket"] for b in node.buckets() if b["owner"] == node.name}
    return all(kernel.claims(node.host, vip) == owned for vip in range(vips))


def repaired(node, what, condition, within=1.0):
    began = time.monotonic()
    poll(what, condition, within, 0.01)
    return time.monotonic() - began


def test_a_flushed_ruleset_is_put_back_within_a_second(three):
    node = three.nodes[0]
    with three.traffic(rate=300, streams=64) as t:
        before = t.wait_open()
        for _ in range(3):
            node.host.enter(["nft", "flush", "ruleset"])
            repaired(node, "rules are back", lambda: whole(node))
        three.converge()
        since = time.monotonic()
        t.run_for(0.3)
        t.stop()
    assert not t.failures(since), t.told(t.failures(since))
    others = {s.source for s in before if s.node != node.name}
    assert not [s for s in t.final_streams if s.source in others and s.state != "open"]


@pytest.mark.parametrize("harm", [
    "delete table inet ipclusterd", "delete table netdev ipclusterd",
    "flush map netdev ipclusterd v0_class", "flush chain inet ipclusterd late",
    "flush chain netdev ipclusterd in_eth0", "add rule inet ipclusterd late drop",
])
def test_harm_to_our_tables_is_undone(three, harm):
    node = three.nodes[1]
    want = kernel.rules_text(node.host)
    node.host.enter(["nft", *harm.split()])
    repaired(node, f"undone: {harm}", lambda: kernel.rules_text(node.host) == want and whole(node))
    three.converge()


@pytest.mark.parametrize("family", [4, 6])
def test_an_address_removed_by_hand_is_put_back(three, family):
    node = three.nodes[0]
    vip = three.vips[0 if family == 4 else 1]
    node.host.enter(["ip", "addr", "del", vip, "dev", "eth0"])
    repaired(node, "the address is back",
             lambda: vip.split("/")[0] in node.host.addresses())
    assert vip.split("/")[0] in node.host.addresses()
    three.converge()


def test_carrier_lost_is_noticed(three):
    """A node without carrier says so, yields, and the others serve; it comes back by itself."""
    node = three.nodes[2]
    with three.traffic(rate=300, deadline=0.2, sniff=True) as t:
        t.wait_connections(50)
        lost = time.monotonic()
        node.host.cable(False)
        poll("the node notices", lambda: node.status()["state"] != "serving", 2)
        three.converge(three.nodes[:2])
        t.run_for(max(0.3, lost + 1.3 - time.monotonic()))
        node.host.cable(True)
        back = time.monotonic()
        three.converge()
        t.run_for(0.3)
        t.stop()
    # for a second after the return the kernel may still wait for neighbours that it asked for in
    # vain while there was no carrier
    stray = [c for c in t.failures() if not lost - 0.2 <= c.start < lost + 1.0
             and not back <= c.start < back + 1.5]
    assert not stray, t.told(stray)
    assert not t.doubles


def test_rules_can_be_listed_and_loaded_again(three, run):
    """`nft list ruleset` of a node loads on another host, as an administrator may save it."""
    listed = kernel.ruleset(three.nodes[0].host)
    scratch = Segment(run, "load")
    try:
        host = scratch.host("x", 30)
        host.enter(["nft", "-f", "-"], text=listed)
        assert kernel.has_tables(host) == ["inet", "netdev"]
        assert kernel.without_state(kernel.ruleset(host)) == kernel.without_state(listed)
    finally:
        scratch.delete()


def test_rules_are_shown(three):
    node = three.nodes[0]
    shown = node.ctl("rules").stdout
    assert "table inet ipclusterd" in shown and "table netdev ipclusterd" in shown


def cycle(cluster, snapshots, how):
    """One life of a cluster's daemons; then every kernel must be as it was."""
    with cluster.traffic(rate=300, streams=32, udp_rate=100) as t:
        t.wait_open()
        node = cluster.nodes[0]
        if how == "crash":
            node.kill()
            node.start()
        elif how == "drain":
            node.ctl("drain")
            cluster.converge(states=("serving", "draining"))
        elif how == "reload":
            node.ctl("reload")
        if how != "drain":
            cluster.converge()
        t.run_for(0.3)
        t.stop()
    for node in cluster.nodes:
        assert node.stop() == 0, node.log()[-2000:]
    for node in cluster.nodes:
        found = poll(f"listing of {node.name}", lambda n=node: [kernel.snapshot(n.host)])
        differs = kernel.difference(snapshots[node.name], found[0])
        assert not differs, f"{node.name} after {how}:\n" + "\n".join(differs)
        assert not node.socket.exists()


@pytest.mark.parametrize("mode", MODES)
def test_stop_leaves_the_kernel_as_it_was(new_cluster, mode):
    """Also after a crash of the daemon, a drain, a reload; and foreign rules are left alone."""
    cluster = new_cluster(3, start=False, vip_options=MODES[mode])
    for node in cluster.nodes:
        node.serve()
        node.host.enter(["nft", "-f", "-"], text=FOREIGN)
    # what the kernel sets up by itself at the first use of conntrack must not count as ours
    snapshots = {n.name: kernel.snapshot(n.host) for n in cluster.nodes}
    for how in ("plain", "crash", "drain", "reload"):
        cluster.start()
        cycle(cluster, snapshots, how)


def test_a_start_after_a_crash_cleans_up_what_is_no_longer_wanted(new_cluster):
    """kill -9, then a configuration without the IPv6 address, then a stop."""
    cluster = new_cluster(1, start=False)
    node = cluster.nodes[0]
    before = kernel.snapshot(node.host)
    cluster.start()
    macs = {v["address"]: v["mac"] for v in node.status()["vips"]}
    node.kill()
    config = node.config()
    config["vips"] = config["vips"][:1]
    node.config_write(config)
    node.start()
    cluster.converge()
    assert cluster.vip6 not in node.host.addresses()
    fdb = node.host.enter(["bridge", "fdb", "show", "dev", "eth0"]).stdout
    assert macs[cluster.vips[0]] in fdb and macs[cluster.vips[1]] not in fdb
    assert node.stop() == 0
    assert not kernel.difference(before, kernel.snapshot(node.host))


def test_an_address_that_was_there_before_stays(new_cluster):
    """What the administrator has put there himself is not ours to remove."""
    cluster = new_cluster(1, start=False)
    node = cluster.nodes[0]
    node.host.enter(["ip", "addr", "add", cluster.vips[0], "dev", "eth0"])
    before = kernel.snapshot(node.host)
    cluster.start()
    assert node.stop() == 0
    assert not kernel.difference(before, kernel.snapshot(node.host))


def test_mode_interface_end_to_end(new_cluster, segment):
    """The NIC's own MAC is the shared one, and never seen by the switch as a source."""
    cluster = new_cluster(3, vip_options=MODES["interface"])
    for node in cluster.nodes:
        assert node.host.link()["address"] == "02:bf:0a:4d:00:02"
    owners = cluster.owners()
    with cluster.traffic(rate=400, deadline=0.2, streams=64, sniff=True) as t:
        before = t.wait_open()
        t.run_for(0.5)
        for source, nodes in t.served_by().items():
            assert set(nodes) == {owners[cluster.bucket(source)]}
        cluster.nodes[0].ctl("drain")
        cluster.converge(states=("serving", "draining"))
        cluster.nodes[0].ctl("undrain")
        cluster.converge()
        assert not t.failures(), t.told(t.failures())
        died = cluster.nodes[1].die()
        cluster.converge(cluster.others(cluster.nodes[1]))
        t.run_for(max(0.5, died + 1.5 - time.monotonic()))
        t.stop()
    stray = [c for c in t.failures() if not died - 0.2 <= c.start < died + 1.0]
    assert not stray, t.told(stray)
    assert not t.doubles
    dead = cluster.nodes[1].name
    hurt = {s.source for s in t.final_streams if s.state != "open"}
    assert not hurt & {s.source for s in before if s.node != dead}
    assert not segment.learned("02:bf:0a:4d:00:02")
    for node in cluster.others(cluster.nodes[1]):
        assert segment.port_of(node.host.mac) == node.host.port
