"""A node that gets no CPU, for a moment or again and again: it says so, it accuses nobody, and it
does nothing on what it knew before.
"""

import os
import re
import signal
import time

import pytest

from lab import kernel, poll
from lab.faults import Burners
from test_failover import served_again, survivors, twice, unbroken

LATE = 0.2           # shorter than the lease: a stall that nobody else notices


def figures(node):
    """(mean, worst, patience) in seconds as the status has them, and as the metrics do."""
    status = node.status()
    told = (status["wakeup_us"]["mean"] / 1e6, status["wakeup_us"]["worst"] / 1e6,
            status["patience_ms"] / 1e3)
    text = node.request("/metrics")[1]
    return told, tuple(float(re.search(rf"^ipclusterd_{name}_seconds (\S+)$", text, re.M)[1])
                       for name in ("wakeup_mean", "wakeup_worst", "patience"))


def stall(t, node, seconds):
    """The daemon stands still for so long, while the traffic goes on."""
    node.signal(signal.SIGSTOP)
    t.run_for(seconds)
    node.signal(signal.SIGCONT)


def accusations(node, since):
    return [line for _, line in node.told(r" is dead: ", since)]


def test_a_stall_shows_in_status_and_metrics(three):
    """And in the patience with others, which goes again."""
    node = three.nodes[1]
    since = time.monotonic()
    with three.traffic(rate=200, streams=32, sniff=True) as t:
        before = t.wait_open()
        stall(t, node, LATE)

        def shows():
            for _mean, worst, patience in figures(node):
                assert LATE / 2 < worst < 60 and 0 < patience <= 0.4
            return True
        poll("the stall is told", shows, 1, 0.005)
        assert re.search(r"timers .* late, at most [\d.]+ms", node.ctl("status").stdout)
        poll("timers that come in time end the patience",
             lambda: all(f[2] == 0 for f in figures(node)))
        for mean, worst, _ in figures(node):
            assert mean < worst and worst > LATE / 2  # the worst is remembered for a minute
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not unbroken(before, t.final_streams)
    assert not [line for n in three.nodes for line in accusations(n, since)]


def test_who_is_late_again_and_again_accuses_nobody(three):
    """Each time for longer than it takes to be missed: the others may go on without it, but it
    must not take its own silence for theirs."""
    node = three.nodes[1]
    since = time.monotonic()
    with three.traffic(rate=300, deadline=0.2, udp_rate=200, udp_deadline=0.1, streams=64,
                       sniff=True) as t:
        before = t.wait_open()
        for _ in range(6):
            stall(t, node, 0.6)
            t.run_for(0.05)
        three.converge()
        t.run_for(0.3)
        t.stop()
    assert not accusations(node, since)
    assert all(f"{node.name} is dead" in line for n in three.others(node)
               for line in accusations(n, since))
    assert not t.doubles and not twice(t)
    assert not unbroken(survivors(before, node), t.final_streams)


@pytest.mark.parametrize("apart", [0.0, 0.3])
def test_a_machine_that_pauses_with_all_of_them(cluster, apart):
    """Nobody was away for longer than the others, as each sees it: nobody is evicted, also if the
    last one wakes up `apart` after the first, for who was late has patience; and nobody lets in
    anything before it has heard the others."""
    owners = cluster.owners()
    was = {n.name: n.status()["counters"]["takeovers"] for n in cluster.nodes}
    with cluster.traffic(rate=300, deadline=0.2, udp_rate=200, udp_deadline=0.1, streams=64,
                         sniff=True) as t:
        before = t.wait_open()
        stopped = time.monotonic()
        for node in cluster.nodes:
            node.signal(signal.SIGSTOP)
        for node in cluster.nodes:
            kernel.lease_end(node.host, 0)
        t.run_for(max(0.0, stopped + 2.0 - time.monotonic()))
        for node in cluster.nodes:
            assert not kernel.claims(node.host)
            node.signal(signal.SIGCONT)
            t.run_for(apart / (len(cluster.nodes) - 1))
        woken = time.monotonic()
        cluster.converge()
        t.run_for(max(0.3, woken + 1.3 - time.monotonic()))
        t.stop()
    for node in cluster.nodes:
        assert not accusations(node, stopped), node.log()[-2000:]
        assert node.status()["counters"]["takeovers"] == was[node.name]
    assert cluster.owners() == owners
    served_again(t, stopped, woken + 1.0 - stopped)
    assert not twice(t)
    assert not unbroken(before, t.final_streams)


def test_a_daemon_that_gets_no_cpu(new_cluster, run):
    """The least of all among processes that want all CPUs, and not in real time: when it does get
    to run, it knows how late it was."""
    cluster = new_cluster(3, start=False)
    node = cluster.nodes[1]
    config = node.config()
    config["heartbeat"]["realtime"] = False
    node.config_write(config)
    cluster.start()
    os.setpriority(os.PRIO_PROCESS, node.process.pid, 19)
    burners, since = Burners(run, per_cpu=4), time.monotonic()
    with cluster.traffic(rate=100, udp_rate=200, udp_deadline=0.1, sniff=True) as t:
        t.wait_connections(20)
        burners.begin()
        try:
            t.run_for(5.0)
        finally:
            burners.end()
        poll("it tells how late it was", lambda: figures(node)[0][1] > 0.002)
        cluster.converge()
        t.run_for(0.3)
        t.stop()
    print(f"late by {figures(node)[0][1] * 1000:.0f} ms at most")
    assert not accusations(node, since)
    assert not [line for n in cluster.others(node) for line in accusations(n, since)
                if f"{node.name} is dead" not in line]
    assert not t.doubles and not twice(t)
