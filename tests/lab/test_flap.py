"""A daemon that dies again and again is held: it disturbs the others three times, and no more."""

import json
import time

import pytest

from lab import Timing, poll
from test_failover import twice, unbroken

FAST = Timing(0.05, 0.2, 0.15)
PERIOD = 1.5         # seconds between two crashes
CRASHES = 8
STATES = ("serving", "held")


def member(viewer, name):
    return next(m for m in viewer.status()["members"] if m["name"] == name)


def moved(cluster, victim):
    """How often buckets came to another node, or went, as the nodes' logs have it: the most that
    any of them tells, beside those of the start."""
    return max(len(n.told(f"took over .* of {victim.name}")) for n in cluster.others(victim))


def shared_by(cluster, viewer):
    return frozenset(cluster.owners(viewer).items())


def watch(t, until, viewer, seen):
    """Traffic goes on; each owner table that differs from the one before is kept."""
    while time.monotonic() < until:
        table = shared_by(viewer.cluster, viewer)
        if not seen or seen[-1] != table:
            seen.append(table)
        t.run_for(0.02)


def crash(t, victim, viewer, seen, times=CRASHES, away=0.4):
    """Dies and comes again, `times` times. Returns when it died."""
    died = []
    for _ in range(times):
        died.append(victim.kill())
        watch(t, died[-1] + away, viewer, seen)
        victim.start()
        victim.wait_answer()
        watch(t, died[-1] + PERIOD, viewer, seen)
    return died


def held_everywhere(cluster, victim):
    for viewer in cluster.nodes:
        m = member(viewer, victim.name)
        assert m["state"] == "held" and m["buckets"] == 0, f"{viewer.name}: {m}"
        assert m["hold_ms"] > 0 and m["flap_penalty"] >= 1000, f"{viewer.name}: {m}"
    assert victim.status()["state"] == "held"
    return True


def test_it_disturbs_the_others_three_times_at_most(new_cluster):
    cluster = new_cluster(3, timing=FAST, flap=True)
    victim, viewer = cluster.nodes[1], cluster.nodes[0]
    homes = shared_by(cluster, viewer)
    seen = [homes]
    with cluster.traffic(rate=300, deadline=0.2, streams=64, udp_rate=200, udp_deadline=0.1,
                         sniff=True) as t:
        before = t.wait_open()
        died = crash(t, victim, viewer, seen)
        cluster.converge(states=STATES)
        t.run_for(0.3)
        # each death takes its buckets away, each return gives them back: but the third gives none
        assert len(seen) <= 6, [len(set(a) ^ set(b)) // 2 for a, b in zip(seen, seen[1:])]
        assert moved(cluster, victim) <= 3
        poll("all tell that it is held", lambda: held_everywhere(cluster, victim))
        left = [member(n, victim.name)["hold_ms"] for n in cluster.nodes]
        assert max(left) - min(left) < 3000 and max(left) <= 600_000, left
        assert not cluster.claims(victim)
        held = died[3]
        # it says so to who looks, on every node
        for node in cluster.nodes:
            shown = node.ctl("status").stdout
            assert "held" in shown and victim.name in shown
            assert json.loads(node.ctl("-j", "members").stdout)["members"]
        released = time.monotonic()
        cluster.nodes[2].ctl("release", victim.name)
        cluster.converge()
        assert shared_by(cluster, viewer) == homes
        assert all(member(n, victim.name)["hold_ms"] == 0 for n in cluster.nodes)
        t.run_for(0.5)
        t.stop()
    assert not t.doubles and not twice(t)
    # what the clients saw: nothing from the fourth death on
    late = t.failures(held - 0.2)
    assert not late, f"the fourth death was at {held:.3f}, release {released:.3f}\n" + t.told(late)
    out_of_time = [c for c in t.failures() if not any(d - 0.2 <= c.start < d + 0.5 for d in died)]
    assert not out_of_time, t.told(out_of_time)
    assert not unbroken([s for s in before if s.node != victim.name], t.final_streams)


def test_it_is_let_in_when_its_time_is_over(new_cluster):
    flap = {"half_life": "1s", "max_hold": "3s"}
    cluster = new_cluster(3, timing=FAST, flap=True, options={"flap": flap})
    victim, viewer = cluster.nodes[2], cluster.nodes[0]
    with cluster.traffic(rate=300, deadline=0.2, sniff=True) as t:
        for _ in range(8):
            victim.kill()
            poll("it is missed", lambda: viewer.members()[victim.name] in ("dead", "held"))
            victim.start()
            cluster.converge(states=STATES)
            if member(viewer, victim.name)["state"] == "held":
                break
        poll("all tell that it is held", lambda: held_everywhere(cluster, victim))
        left = member(viewer, victim.name)["hold_ms"] / 1000
        since = time.monotonic()
        assert 0 < left <= 4.0
        cluster.converge(timeout=left + 2)
        assert time.monotonic() - since > left - 1.0, "earlier than told"
        t.run_for(0.3)
        t.stop()
    assert not t.doubles
    assert set(cluster.owners().values()) == {n.name for n in cluster.nodes}


@pytest.mark.parametrize("how", ["stop", "quick restart"])
def test_what_is_no_fall_is_not_counted(new_cluster, how):
    """Stopped in order, or back before it was missed: it may do so as often as it likes."""
    cluster = new_cluster(3, flap=True)
    node, viewer = cluster.nodes[1], cluster.nodes[0]
    for _ in range(5):
        if how == "stop":
            assert node.stop() == 0
            cluster.converge(cluster.others(node))
        else:
            node.kill()
        node.start()
        cluster.converge()
        assert member(viewer, node.name)["flap_penalty"] == 0
    assert not viewer.told(f"{node.name} is held")


def test_who_is_not_held_cannot_be_released(new_cluster):
    cluster = new_cluster(2, flap=True)
    for name in (cluster.nodes[1].name, "nobody"):
        done = cluster.nodes[0].ctl("release", name, check=False)
        assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1, done.stderr
