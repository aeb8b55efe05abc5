"""Hosts and daemons die, stall and return."""

import signal
import time

from lab import Timing, kernel, poll

BOUND = 1.0          # at default timing everything is served again this long after a death
DEAD_AFTER, LEASE, ORPHAN_AFTER = 0.4, 0.3, 1.0
SLACK = 0.05         # between two instants of ours, on a busy machine


def survivors(streams, *dead):
    return [s for s in streams if s.node not in [n.name for n in dead]]


def unbroken(before, after, gap=0.5):
    """Those of the streams that did not stay whole: open, on their node, never long silent."""
    now = {s.source: s for s in after}
    return [(s.source, s.node, now[s.source]) for s in before
            if now[s.source].state != "open" or now[s.source].node != s.node
            or now[s.source].gap > gap]


def twice(t):
    """Datagrams that two nodes have answered."""
    return [d for d in t.datagrams if len(set(d.nodes)) > 1]


def served_again(t, died, bound=BOUND):
    """Failures only from the death on, and no longer than the bound; one answer to each."""
    stray = [c for c in t.failures() if not died - 0.2 <= c.start < died + bound]
    assert not stray, f"failures out of time (death at {died:.3f}):\n" + t.told(stray)
    assert not t.doubles, t.doubles[:4]


def test_host_death(cluster):
    victim = cluster.nodes[1]
    with cluster.traffic(rate=400, deadline=0.2, streams=128, sniff=True) as t:
        before = t.wait_open()
        died = victim.die()
        cluster.converge(cluster.others(victim))
        t.run_for(max(0.5, died + 1.5 - time.monotonic()))
        t.stop()
    served_again(t, died)
    assert not unbroken(survivors(before, victim), t.final_streams)
    owners = cluster.owners(cluster.nodes[0])
    last = t.served_by(died + BOUND)
    assert set(last) == set(t.sources)
    for source, nodes in last.items():
        assert set(nodes) == {owners[cluster.bucket(source)]} and victim.name not in nodes
    # least movement: what the living had, they have
    homes = {b["bucket"]: b["home"] for b in cluster.nodes[0].buckets()}
    assert all(owners[b] == home for b, home in homes.items() if home != victim.name)


def test_two_hosts_die_at_once(five):
    victims = five.nodes[1:3]
    with five.traffic(rate=400, deadline=0.2, streams=128, sniff=True) as t:
        before = t.wait_open()
        died = [v.die() for v in victims]
        five.converge([n for n in five.nodes if n not in victims])
        t.run_for(max(0.5, died[1] + 1.5 - time.monotonic()))
        t.stop()
    stray = [c for c in t.failures() if not died[0] - 0.2 <= c.start < died[1] + BOUND]
    assert not stray, t.told(stray)
    assert not unbroken(survivors(before, *victims), t.final_streams)


def test_the_last_one_serves_all(three):
    with three.traffic(rate=400, deadline=0.2, streams=32) as t:
        before = t.wait_open()
        three.nodes[0].die()
        three.converge(three.nodes[1:])
        died = three.nodes[1].die()
        three.converge(three.nodes[2:])
        t.run_for(max(0.5, died + 1.5 - time.monotonic()))
        t.stop()
    assert not t.failures(died + BOUND), t.told(t.failures(died + BOUND))
    assert set(t.served_by(died + BOUND)) == set(t.sources)
    assert not unbroken(survivors(before, *three.nodes[:2]), t.final_streams)
    assert kernel.claims(three.nodes[2].host) == set(range(256))


def test_host_death_with_fast_timing(new_cluster):
    """A node every 20 ms, dead after 80: what the timing says, and some for a busy machine."""
    cluster = new_cluster(3, timing=Timing(0.02, 0.08, 0.06))
    victim = cluster.nodes[1]
    with cluster.traffic(rate=400, deadline=0.2, streams=64, sniff=True) as t:
        before = t.wait_open()
        died = victim.die()
        cluster.converge(cluster.others(victim))
        t.run_for(1.0)
        t.stop()
    served_again(t, died, 0.5)
    assert not unbroken(survivors(before, victim), t.final_streams)


def test_a_killed_daemon_is_fenced_by_its_kernel(cluster):
    """The host lives, its servers answer, its daemon is gone: the kernel stops in time."""
    victim = cluster.nodes[1]
    with cluster.traffic(rate=300, deadline=0.2, udp_rate=300, udp_deadline=0.1, streams=64,
                         sniff=True) as t:
        before = t.wait_open()
        died = victim.kill()
        fenced = [kernel.lease_end(victim.host, vip) for vip in range(2)]
        assert max(fenced) - died <= LEASE + SLACK
        assert not any(kernel.claims(victim.host, vip) for vip in range(2))
        cluster.converge(cluster.others(victim))
        t.run_for(max(0.5, died + 1.5 - time.monotonic()))
        served_again(t, died)
        assert not twice(t)
        assert not [d for d in t.datagrams if d.replies == 0 and d.start > died + BOUND]
        back = time.monotonic()
        victim.start()
        cluster.converge()
        t.run_for(0.5)
        t.stop()
    assert not t.failures(back), t.told(t.failures(back))
    assert not t.doubles and not twice(t)
    assert not unbroken(survivors(before, victim), t.final_streams)


def test_a_daemon_restarted_at_once_keeps_its_flows(three):
    victim = three.nodes[1]
    with three.traffic(rate=200, streams=128, sniff=True) as t:
        before = t.wait_open()
        victim.kill()
        victim.start()
        three.converge()
        t.run_for(0.5)
        t.stop()
    assert not t.doubles, t.doubles[:4]
    assert not unbroken(before, t.final_streams, gap=1.0)


def test_a_short_stall_breaks_no_flow(three):
    """Longer than dead_after, so the others take over, but they reset nothing before
    orphan_after."""
    victim = three.nodes[1]
    with three.traffic(rate=300, deadline=0.2, udp_rate=200, udp_deadline=0.1, streams=128,
                       sniff=True) as t:
        before = t.wait_open()
        stopped = time.monotonic()
        victim.signal(signal.SIGSTOP)
        fenced = [kernel.lease_end(victim.host, vip) for vip in range(2)]
        assert max(fenced) - stopped <= LEASE + SLACK
        poll("the others take over",
             lambda: three.nodes[0].members()[victim.name] == "dead", 2)
        t.run_for(max(0.0, stopped + 0.9 - time.monotonic()))
        victim.signal(signal.SIGCONT)
        three.converge()
        t.run_for(0.5)
        t.stop()
    served_again(t, stopped)
    assert not twice(t)
    assert not unbroken(before, t.final_streams)


def test_a_long_stall_gives_no_double_answer(cluster):
    victim = cluster.nodes[1]
    with cluster.traffic(rate=300, deadline=0.2, udp_rate=200, udp_deadline=0.1, streams=64,
                         sniff=True) as t:
        before = t.wait_open()
        stopped = time.monotonic()
        victim.signal(signal.SIGSTOP)
        fenced = [kernel.lease_end(victim.host, vip) for vip in range(2)]
        assert max(fenced) - stopped <= LEASE + SLACK
        cluster.converge(cluster.others(victim))
        t.run_for(max(0.0, stopped + 2.5 - time.monotonic()))
        victim.signal(signal.SIGCONT)
        cluster.converge()
        t.run_for(0.5)
        t.stop()
    served_again(t, stopped)
    assert not twice(t)
    assert not [d for d in t.datagrams if d.replies == 0 and d.start > stopped + BOUND]
    assert not unbroken(survivors(before, victim), t.final_streams)


def test_a_node_returns_and_flows_that_began_elsewhere_go_on(cluster):
    victim = cluster.nodes[1]
    client = cluster.segment.client
    sources = cluster.sources_of(victim, client.direct4 + client.direct6)
    victim.die()
    cluster.converge(cluster.others(victim))
    with cluster.traffic(sources, rate=400, streams=2 * len(sources), sniff=True) as t, \
            cluster.traffic(sources, streams=len(sources)) as idle:
        before = t.wait_open()
        idle.wait_open()
        idle.pause()
        assert victim.name not in {s.node for s in before}
        victim.revive()
        cluster.converge()
        t.run_for(0.5)
        whole = time.monotonic()
        lingering = sum(m["lingering"] for n in cluster.others(victim)
                        for m in n.status()["members"] if m["self"])
        assert lingering > 0
        idle.resume()
        t.wait_connections(2 * len(sources))
        t.run_for(0.3)
        t.stop()
        idle.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.delayed(), t.told(t.delayed())
    assert not t.doubles
    for s in list(t.final_streams) + list(idle.final_streams):
        assert s.state == "open" and s.gap < 0.5, s
    for source, nodes in t.served_by(whole).items():
        assert set(nodes) == {victim.name}, source
    # the flows have ended: nobody lingers any more
    poll("lingering ends", lambda: all(m["lingering"] == 0 for n in cluster.nodes
                                       for m in n.status()["members"]), 10)


def test_orphans_are_reset_after_a_take_over_and_not_earlier(three):
    """Mid-stream segments of flows that died with their node. A client that sends after
    orphan_after learns at once; one that sent all the time, by TCP's next retransmission."""
    victim = three.nodes[1]
    client = three.segment.client
    mine = three.sources_of(victim, client.direct4 + client.direct6)
    with three.traffic(mine, streams=len(mine)) as idle, \
            three.traffic(mine, streams=len(mine)) as busy:
        idle.wait_open()
        busy.wait_open()
        idle.pause()
        died = victim.die()
        idle.run_for(died + DEAD_AFTER + ORPHAN_AFTER + 0.5 - time.monotonic())
        assert not idle.broken
        resumed = time.monotonic()
        idle.resume()
        poll("all idle flows reset", lambda: len(idle.broken) == len(mine), 1.5)
        poll("all busy flows reset", lambda: len(busy.broken) == len(mine), 8)
        assert {reason for _, _, reason, _ in idle.broken + busy.broken} == {"reset"}
        assert max(when for when, *_ in idle.broken) - resumed < 1.0
        assert min(when for when, *_ in busy.broken) - died > ORPHAN_AFTER
    resets = [v["packets"]["orphan_reset"] for n in three.others(victim)
              for v in n.status()["vips"]]
    assert sum(resets) >= 2 * len(mine)


def test_orphans_may_be_dropped_instead(new_cluster):
    cluster = new_cluster(3, vip_options={"orphans": "drop"})
    victim = cluster.nodes[1]
    mine = cluster.sources_of(victim, cluster.segment.client.direct4)
    with cluster.traffic(mine, streams=len(mine)) as idle:
        idle.wait_open()
        idle.pause()
        died = victim.die()
        cluster.converge(cluster.others(victim))
        idle.run_for(died + DEAD_AFTER + ORPHAN_AFTER + 0.5 - time.monotonic())
        idle.resume()
        idle.run_for(1.0)
        assert not idle.broken


def test_frames_lost_by_the_switch(three):
    """A node that is cut off, with carrier. Without a quorum both sides serve, each for those who
    reach it; when they hear each other again they agree, and nobody is answered twice from then."""
    victim = three.nodes[1]
    with three.traffic(rate=300, deadline=0.2, udp_rate=200, udp_deadline=0.1, streams=64,
                       sniff=True) as t:
        t.wait_open()
        cut = time.monotonic()
        victim.host.cut(True)
        three.converge(three.others(victim))
        poll("the victim finds itself alone",
             lambda: list(victim.members().values()).count("dead") == 2)
        t.run_for(max(0.5, cut + 1.5 - time.monotonic()))
        healed = time.monotonic()
        victim.host.cut(False)
        three.converge()
        agreed = time.monotonic()
        assert agreed - healed < BOUND
        t.run_for(0.5)
        t.stop()
    stray = [c for c in t.failures() if not cut - 0.2 <= c.start < cut + BOUND
             and not healed - 0.2 <= c.start < healed + BOUND]
    assert not stray, t.told(stray)
    assert not [d for d in t.doubles if not healed <= d[0] < healed + BOUND]
    assert not [d for d in twice(t) if not healed - 0.1 <= d.start < healed + BOUND]
