"""The lab itself: that the switch learns, that the client sees what there is to see, and that
nothing of a run stays. What stands in for the cluster here are static rules; no daemon runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab import Traffic, poll
from lab.churn import Harm
from lab.run import PREFIX, sweep
from lab.traffic import HTTP, STREAM, UDP

HERE = Path(__file__).resolve().parent
VIP4, VIP6, MAC = "10.77.0.2", "fd77::2", "02:bf:0a:4d:00:02"


def standin(segment, name, number, mine=None):
    """A host with the VIPs and the shared MAC, as mode shared has them; it lets in the
    even (0) or odd (1) sources, or all."""
    host = segment.host(name, number)
    segment.route_to_client(host)
    host.batch([f"addr add {VIP4}/16 dev eth0", f"addr add {VIP6}/64 dev eth0 nodad"])
    host.enter(["bridge", "fdb", "add", MAC, "dev", "eth0", "self", "permanent"])
    split = f"ip daddr {VIP4} ip saddr & 0.0.0.1 != 0.0.0.{mine} drop" if mine is not None else ""
    host.enter(["nft", "-f", "-"], text=f"""
        table netdev standin {{
          chain in {{ type filter hook ingress device "eth0" priority -100;
            ether daddr {MAC} meta pkttype set host
          }}
          chain out {{ type filter hook egress device "eth0" priority -100;
            arp saddr ip {VIP4} arp saddr ether set {MAC}
          }}
        }}
        table inet standin {{
          chain early {{ type filter hook prerouting priority raw; policy accept
            {split}
          }}
        }}""")
    serve(host)
    return host


def serve(host):
    server = host.start([host.run.tool("server"), host.name, HTTP, STREAM, UDP],
                        stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    return server


def ping(host, address):
    """A TCP connection does for a ping: what counts is that frames went both ways."""
    host.enter(["bash", "-c", f"exec 3<>/dev/tcp/{address}/{HTTP}"])


def test_switch_learns_and_floods(segment):
    a, b = segment.host("a", 21), segment.host("b", 22)
    serve(b)
    assert segment.port_of(b.mac) is None or segment.port_of(b.mac) == b.port
    ping(a, b.address4)
    assert segment.port_of(a.mac) == a.port and segment.port_of(b.mac) == b.port
    assert segment.learned(a.mac)
    assert segment.port_of(MAC) is None and not segment.learned(MAC)


def test_client_sees_every_source_served(segment):
    host = segment.host("a", 21)
    segment.route_to_client(host)
    serve(host)
    client = segment.client
    sources = client.direct4 + client.direct6 + client.routed4 + client.routed6
    with Traffic(client, sources, host.address4, host.address6, rate=2000, streams=64,
                 udp_rate=500, udp_deadline=0.2, sniff=True) as t:
        t.wait_open()
        t.wait_connections(len(sources))
        poll("datagrams", lambda: len(t.datagrams) >= len(sources))
        t.stop()
    assert not t.failures(), t.told(t.failures())
    served = t.served_by()
    assert set(served) == set(sources)
    assert all(set(nodes) == {"a"} for nodes in served.values())
    assert {d.source for d in t.datagrams} == set(sources)
    assert all(d.replies == 1 and d.nodes == ("a",) for d in t.datagrams)
    assert not t.doubles
    assert all(s.state == "open" and s.sent - s.echoed <= 1 for s in t.final_streams)


def test_client_measures_an_outage(segment):
    host = segment.host("a", 21)
    serve(host)
    with Traffic(segment.client, segment.client.direct4, host.address4, rate=200, deadline=0.1,
                 streams=8) as t:
        t.wait_open()
        t.wait_connections(50)
        before = time.monotonic()
        host.cut(True)
        down = time.monotonic()
        t.run_for(0.5)
        up = time.monotonic()
        host.cut(False)
        t.wait_connections(100)
        # the streams live on, by TCP's retransmission, and tell how long they hung
        poll("streams go on", lambda: all(s.sent - s.echoed <= 1 for s in t.streams()), 10)
        t.stop()
    # The link goes within the first call. It comes within the second, or when the kernel's
    # link watch tells the bridge, a little later: an outage that ends then is a true one.
    ended = before + t.outage()
    assert t.outage() > up - down - 0.1, (t.outage(), up - down)
    assert ended < up + 0.3, (t.outage(), up - before)
    assert all(s.state == "open" and s.gap > 0.3 for s in t.final_streams)


def test_client_comes_and_goes(segment):
    """Streams that stay for a while; an outage amid them delays some, and in the end nobody is
    there."""
    host = segment.host("a", 21)
    segment.route_to_client(host)
    server = serve(host)
    client = segment.client
    segment.run.stalls(0)
    began = time.monotonic()
    with Traffic(client, client.direct4 + client.direct6, host.address4, host.address6, rate=100,
                 streams=32, line=0.05, stay=0.4, sniff=True) as t:
        poll("visits", lambda: len(t.visits) >= 100)
        assert not Harm(t, segment.run, began).bad
        host.cut(True)
        t.run_for(0.4)
        host.cut(False)
        more = len(t.visits) + 150
        poll("they go on", lambda: len(t.visits) >= more, 10)
        harm = Harm(t, segment.run, began)
        assert harm.count["delayed"] > 20 and harm.lost == harm.count["reset"] == 0, harm.count
        segment.run.end(server, kill=True)
        poll("nobody is there", lambda: Harm(t, segment.run, began).count["refused"] > 20)
        t.stop()
    ended = [v for v in t.visits if v.ok and max(v.connect, v.gap) < 0.2]
    odd = [v for v in ended if not 0.15 < v.total < 1.0 or v.lines < 2 or v.node != "a"]
    assert not odd, odd[:4]
    assert len({v.source for v in ended}) > len(t.sources) / 2


def test_client_sees_streams_break(segment):
    host = segment.host("a", 21)
    server = serve(host)
    with Traffic(segment.client, segment.client.direct4, host.address4, streams=8) as t:
        t.wait_open()
        t.pause()
        poll("nothing on its way", lambda: all(s.sent == s.echoed for s in t.streams()))
        sent = [s.sent for s in t.streams()]
        t.run_for(0.1)
        assert [s.sent for s in t.streams()] == sent
        host.enter(["nft", "-f", "-"], text="""table inet cut {
          chain out {
            type filter hook output priority 0
            tcp flags & fin != 0 drop
          }
        }""")
        host.run.end(server, kill=True)   # unseen: its farewell is dropped
        assert not t.broken
        t.resume()
        poll("all streams broken", lambda: len(t.broken) == 8)
        t.stop()
    assert {reason for _, _, reason, _ in t.broken} == {"reset"}


def test_client_sees_double_answers(segment):
    standin(segment, "a", 21)
    standin(segment, "b", 22)
    with Traffic(segment.client, segment.client.direct4, VIP4, rate=200, deadline=0.3,
                 udp_rate=100, udp_deadline=0.1, sniff=True) as t:
        t.wait_connections(64)
        t.stop()
    assert t.doubles
    assert any(d.replies == 2 and set(d.nodes) == {"a", "b"} for d in t.datagrams)


def test_static_rules_stand_in_for_a_cluster(segment):
    """Two hosts, each lets in half of the buckets: as a cluster must look to the client."""
    standin(segment, "a", 21, mine=0)
    standin(segment, "b", 22, mine=1)
    client = segment.client
    with Traffic(client, client.routed4, VIP4, rate=500, streams=32, udp_rate=500,
                 udp_deadline=0.1, sniff=True) as t:
        t.wait_open()
        t.wait_connections(300)
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.doubles
    for source, nodes in t.served_by().items():
        assert set(nodes) == {"ab"[int(source.rsplit(".", 1)[1]) % 2]}
    assert all(d.replies == 1 for d in t.datagrams)
    assert not segment.learned(MAC)


CHILD = """
import os, signal, sys, time
sys.path.insert(0, {here!r})
from lab import Run, Segment
from lab.run import exit_on_signals
exit_on_signals()
with Run() as run:
    s = Segment(run)
    s.host("a", 21).start(["sleep", "1000"])
    print("made", flush=True)
    time.sleep(60)
"""


def left_of(pid):
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    return [n for n in names if n.startswith(f"{PREFIX}-{pid}-")] + \
        [str(p) for p in Path("/tmp").glob(f"{PREFIX}-{pid}-*")]


def child():
    process = subprocess.Popen([sys.executable, "-c", CHILD.format(here=str(HERE))],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "made\n"
    assert left_of(process.pid)
    return process


def test_nothing_stays_after_term():
    process = child()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    process.stdout.close()
    assert not left_of(process.pid)


def test_a_killed_run_is_swept_by_the_next():
    process = child()
    process.kill()
    process.wait(10)
    process.stdout.close()
    assert left_of(process.pid)
    sweep()
    assert not left_of(process.pid)
