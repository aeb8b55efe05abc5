"""A bridge partition: A and C are deaf to each other, B hears both.

Nobody is evicted and nothing is lost: what A has to know of C comes by B. It is told, though: as a
suspect, and in the matrix of who hears whom.
"""

import time

import pytest

from lab import kernel, poll
from lab.faults import Wires
from test_failover import twice, unbroken

TOLD = 2.0           # seconds until a fault of a link is told everywhere


@pytest.fixture
def wires(three):
    made = Wires(three.segment)
    yield made
    made.set({})


def both(a, c):
    return {(a.name, c.name): 100, (c.name, a.name): 100}


def matrix(viewer):
    """{(listener, speaker)} of the living that do not hear each other directly, as a node sees it."""
    return {(m["name"], name) for m in viewer.status()["members"] for name in m["deaf_to"]}


def told(cluster, deaf):
    """Waits until every node tells just this matrix, and the deaf ones tell their suspects."""
    want = {(listener.name, speaker.name) for listener, speaker in deaf}

    def everywhere():
        for node in cluster.nodes:
            assert matrix(node) == want, f"{node.name}: {matrix(node)}"
            suspects = {n for n, state in node.members().items() if state == "suspect"}
            assert suspects == {s for l, s in want if l == node.name}, f"{node.name}: {suspects}"
        return True
    poll(f"all tell {want}", everywhere, TOLD)


def evictions(cluster):
    return [line for n in cluster.nodes for _, line in n.told(r" is dead| has left|called dead")]


def owned(node):
    return sum(owner == node.name for owner in node.cluster.owners(node).values())


def no_loss(t, before, moves):
    """`moves`: (since, until) of hand-overs. What a node forwards meanwhile to one that does not
    hear it is lost as all its frames to that one are: the client has to send it again."""
    def amid(at):
        return any(since <= at <= until for since, until in moves)

    assert not t.failures(), t.told(t.failures())
    assert not t.doubles and not twice(t)
    late = [c for c in t.delayed() if not amid(c.start)]
    assert not late, t.told(late)
    lost = [d for d in t.datagrams if d.replies == 0 and not amid(d.start)]
    assert not lost, lost[:4]
    assert not unbroken(before, t.final_streams)


def moved(cluster, change):
    """Makes a change and waits until all agree. Returns when it began and when that was."""
    since = time.monotonic()
    change()
    cluster.converge(states=("serving", "draining"))
    return since - 0.01, time.monotonic()


@pytest.mark.parametrize("how", ["both ways", "one way"])
def test_a_bridge_evicts_nobody(three, wires, how):
    """And while it lasts, buckets move between the two that are deaf to each other."""
    a, b, c = three.nodes
    was = len(evictions(three))
    homes = three.owners()
    with three.traffic(rate=300, streams=96, udp_rate=200, sniff=True) as t:
        before = t.wait_open()
        if how == "both ways":
            wires.set(both(a, c))
            told(three, [(a, c), (c, a)])
        else:
            wires.set({(c.name, a.name): 100})
            told(three, [(a, c)])
        assert any("check the path" in line for _, line in a.told(c.name))
        three.converge()
        moves = [moved(three, lambda: a.ctl("drain"))]
        assert owned(a) == 0 and not three.claims(a)
        now = three.owners(b)
        # what a had is now shared by b and c; what c had stays
        for bucket, owner in homes.items():
            assert now[bucket] in ((b.name, c.name) if owner == a.name else (owner,))
        assert {now[bucket] for bucket, owner in homes.items() if owner == a.name} == {b.name,
                                                                                      c.name}
        for node in (b, c):
            assert three.claims(node) == {k for k, owner in now.items() if owner == node.name}
        moves.append(moved(three, lambda: a.ctl("undrain")))
        assert three.owners() == homes
        t.run_for(0.5)
        told(three, [(a, c), (c, a)] if how == "both ways" else [(a, c)])
        wires.set({})
        told(three, [])
        assert any("again" in line for _, line in a.told(f"{c.name} .*heard"))
        three.converge()
        t.run_for(0.3)
        t.stop()
    no_loss(t, before, moves)
    assert len(evictions(three)) == was


def test_a_daemon_starts_behind_a_bridge(three, wires):
    """It has never heard one of the members, and joins all the same."""
    a, b, c = three.nodes
    wires.set(both(a, c))
    told(three, [(a, c), (c, a)])
    for how in (a.stop, a.kill):
        how()
        three.converge([b, c])
        a.start()
        three.converge()
        assert set(a.members()) == {n.name for n in three.nodes}
        told(three, [(a, c), (c, a)])
        assert three.claims(a)


def test_who_dies_behind_a_bridge_is_missed(three, wires):
    """The relays must not keep a dead one alive; and its buckets are shared once more."""
    a, b, c = three.nodes
    wires.set(both(a, c))
    told(three, [(a, c), (c, a)])
    with three.traffic(rate=300, deadline=0.2, sniff=True) as t:
        t.wait_connections(60)
        died = c.die()
        three.converge([a, b])
        t.run_for(max(0.3, died + 1.3 - time.monotonic()))
        assert a.members()[c.name] == "dead"
        t.stop()
    late = [f for f in t.failures() if not died - 0.2 <= f.start < died + 1.0]
    assert not late, t.told(late)
    assert not t.doubles
    assert three.claims(a) | three.claims(b) == set(range(256))


def test_the_middle_dies(three, wires):
    """Without b, a and c do not hear each other at all: each thinks the other dead, and both
    serve, as without a quorum they must. With b back, they agree again."""
    a, b, c = three.nodes
    wires.set(both(a, c))
    told(three, [(a, c), (c, a)])
    b.die()
    for node, other in ((a, c), (c, a)):
        three.converge([node])
        assert node.members()[other.name] == "dead"
        assert kernel.claims(node.host) == set(range(256))
    b.revive()
    three.converge()
    told(three, [(a, c), (c, a)])
