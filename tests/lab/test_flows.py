"""Flows stay: through changes of the view, through stalls, as long as their node lives."""

import signal
import subprocess
import sys
import time

import pytest

from lab import kernel, poll
from lab.packet import ACK, RST
from lab.traffic import STREAM
from lab.wire import Flow, Wire
from test_drain import drained
from test_failover import ORPHAN_AFTER, twice, unbroken

MUCH = 64


def lingering(node):
    return sum(m["lingering"] for m in node.status()["members"] if m["self"])


KEEPALIVE = """
import socket, sys
sockets = []
for source in sys.argv[2:]:
    s = socket.create_connection((sys.argv[1], %d), 5, (source, 0))
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1),
                          (socket.TCP_KEEPCNT, 3)):
        s.setsockopt(socket.IPPROTO_TCP, option, value)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    s.sendall(b"first\\n")
    sockets.append((s, s.recv(100).split()[0]))
print("open", flush=True)
sys.stdin.readline()
for s, node in sockets:
    s.settimeout(5)
    s.sendall(b"last\\n")
    if s.recv(100) != node + b" last\\n":
        sys.exit("another node")
print("all", flush=True)
""" % STREAM


def keepers(cluster, sources, vip):
    """A client with an idle connection of each source, that keepalives keep watch over."""
    process = cluster.segment.client.start([sys.executable, "-c", KEEPALIVE, vip, *sources],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"
    return process


def ten_changes(cluster):
    """Every node loses its buckets twice, and gets them back; four deaths and returns of one."""
    for node in cluster.nodes:
        node.ctl("drain")
        drained(cluster, node)
        yield
        node.ctl("undrain")
        cluster.converge()
        yield
    victim = cluster.nodes[2]
    for _ in range(2):
        victim.die()
        cluster.converge(cluster.others(victim))
        yield
        victim.revive()
        cluster.converge()
        yield


def test_idle_connections_survive_ten_changes_of_the_view(three):
    """With and without keepalives; only those of the node that dies are gone."""
    client = three.segment.client
    living = three.nodes[:2]
    sources = [s for node in living
               for s in three.sources_of(node, client.direct4 + client.direct6)]
    processes = []
    try:
        with three.traffic(sources, streams=len(sources)) as t:
            before = t.wait_open()
            t.pause()
            for vip in (three.vip4, three.vip6):
                processes.append(keepers(three, [s for s in sources if (":" in s) == (":" in vip)],
                                         vip))
            changes = 0
            for _ in ten_changes(three):
                changes += 1
                for s in before:
                    node = three[s.node]
                    vip = three.vip_index(s.source)
                    bucket = three.bucket(s.source)
                    assert kernel.class_map(node.host, vip).get(bucket) in \
                        ("own", "adopt", "linger"), (s, changes)
            assert changes == 10
            t.run_for(1.2)  # a keepalive or two
            t.resume()
            t.run_for(0.5)
            hurt = [s for s in t.streams() if s.state != "open" or s.sent - s.echoed > 10]
            assert not hurt, hurt[:5]
            assert {s.source: s.node for s in before} == {s.source: s.node for s in t.streams()}
            t.stop()
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "all\n"
    finally:
        for process in processes:
            three.segment.run.end(process)


def test_lingering_ends_with_the_last_flow(three):
    """Bucket by bucket, as their flows end, and not before."""
    a = three.nodes[0]
    buckets = [b["bucket"] for b in a.buckets() if b["home"] == a.name][:4]
    with Wire(three) as wire:
        flows = [Flow(wire, family, b).open() for b in buckets for family in (4, 6)]
        a.ctl("drain")
        drained(three, a)
        poll("the rest has ended", lambda: lingering(a) == len(buckets), 5)
        for bucket in buckets:
            here = [f for f in flows if three.bucket(f.address) == bucket]
            here[0].finish()
            here[1].line()
            assert kernel.class_map(a.host)[bucket] == "linger"
            here[1].reset()
            left = len(buckets) - buckets.index(bucket) - 1
            poll("lingering of the bucket ends", lambda n=left: lingering(a) == n, 4)
        assert not any(c == "linger" for c in kernel.class_map(a.host).values())
        # Now nobody can have flows of them: what is left of these is reset by the owner.
        flows[1].send(ACK)
        answers = flows[1].answers()
        assert [h.flags for h in answers] == [RST] and wire.node_of(answers[0]) != a.name


def test_flows_that_conntrack_loses_end_lingering(three):
    """An entry that is deleted, or times out, is told of as well."""
    a = three.nodes[0]
    mine = next(b["bucket"] for b in a.buckets() if b["home"] == a.name)
    with Wire(three) as wire:
        flow = Flow(wire, 4, mine).open()
        a.ctl("drain")
        drained(three, a)
        poll("the rest has ended", lambda: lingering(a) == 1, 5)
        a.host.enter(["conntrack", "-D", "-p", "tcp", "--orig-src", flow.address])
        poll("lingering ends", lambda: lingering(a) == 0, 4)


@pytest.mark.parametrize("how", ["daemon", "host"])
def test_a_stall_of_800_ms_loses_no_flow(three, how):
    """64 streams; of the daemon alone, or of a host that takes no frame meanwhile either."""
    victim = three.nodes[1]
    client = three.segment.client
    sources = three.sources_of(victim, client.direct4 + client.direct6)
    with three.traffic(sources, streams=MUCH) as t:
        before = t.wait_open()
        assert {s.node for s in before} == {victim.name} and len(before) == MUCH
        began = time.monotonic()
        victim.signal(signal.SIGSTOP)
        if how == "host":
            victim.host.cut(True)
        poll("the others take over",
             lambda: three.nodes[0].members()[victim.name] == "dead", 2)
        t.run_for(max(0.0, began + 0.8 - time.monotonic()))
        if how == "host":
            victim.host.cut(False)
        victim.signal(signal.SIGCONT)
        stood = time.monotonic() - began
        three.converge()
        t.run_for(1.0)
        t.stop()
    assert stood < ORPHAN_AFTER
    assert not twice(t)
    assert not unbroken(before, t.final_streams, gap=0.5 if how == "daemon" else 2.5)


def test_a_daemon_that_is_back_after_800_ms_has_lost_no_flow(three):
    """It is killed, and started again as a service manager does; its kernel served on."""
    victim = three.nodes[1]
    client = three.segment.client
    sources = three.sources_of(victim, client.direct4 + client.direct6)
    with three.traffic(sources, streams=MUCH) as t:
        before = t.wait_open()
        assert {s.node for s in before} == {victim.name} and len(before) == MUCH
        died = victim.kill()
        t.run_for(max(0.0, died + 0.7 - time.monotonic()))
        victim.start()
        three.converge()
        t.run_for(1.0)
        t.stop()
    assert not twice(t)
    assert not unbroken(before, t.final_streams)
