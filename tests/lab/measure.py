#!/usr/bin/python3
"""The figures: outage at host death, connections through drains, what an idle daemon costs.

    measure.py [--bindir DIR] [--runs N] [--drains N] [--only PART]... [--json FILE]

PART: death (default timing), fast (20 ms / 80 ms, lease 60 ms), drain, idle. Each in a lab of its
own: three nodes and a client on a bridge that learns. The figures go to stdout for people, and as
JSON to FILE.

Outage: a new connection every 5 ms, each given up after 100 ms, from 64 addresses in turn that are
all served by the node that dies; from the start of the first that failed to the start of the last
one, plus the 5 ms to the next. Other addresses do not notice: 64 open streams to the survivors are
checked as well.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Cluster, Failure, Run, Segment, Timing, poll  # noqa: E402
from lab.run import exit_on_signals  # noqa: E402

DEFAULT_BINDIR = Path(__file__).resolve().parents[2] / "build" / "plain"
FAST = Timing(0.02, 0.08, 0.06)
IDLE_SECONDS = 30


def lab(run, name, timing=Timing()):
    segment = Segment(run, name)
    segment.add_client()
    cluster = Cluster(segment, 3, timing=timing)
    cluster.start()
    return segment, cluster


def death(run, runs, timing, name):
    """The longest outage that clients of the dead node see."""
    segment, cluster = lab(run, name, timing)
    outages, after = [], []
    failed = total = broken = gap = 0
    for i in range(runs):
        victim = cluster.nodes[i % 3]
        client = segment.client
        mine = cluster.sources_of(victim, client.routed4)[:64]
        others = [s for s in client.direct4 if s not in cluster.sources_of(victim, client.direct4)]
        with cluster.traffic(mine, rate=200, deadline=0.1) as t, \
                cluster.traffic(others, streams=64) as untouched:
            untouched.wait_open()
            t.wait_connections(64)
            died = victim.die()
            t.run_for(timing.dead_after + 1.0)
            t.stop()
            untouched.stop()
        outages.append(t.outage())
        last = max((c.start for c in t.failures()), default=died)
        after.append(last - died)
        failed += len(t.failures())
        total += len(t.connections)
        broken += sum(s.state != "open" for s in untouched.final_streams)
        gap = max([gap, *(s.gap for s in untouched.final_streams)])
        victim.revive()
        cluster.converge()
        print(f"  {name} {i + 1:2d}: {outages[-1] * 1000:4.0f} ms", flush=True)
    cluster.stop()
    segment.delete()
    return {"runs": runs, "timing": timing.config(),
            "outage_ms": [round(o * 1000) for o in outages],
            "median_ms": round(statistics.median(outages) * 1000),
            "worst_ms": round(max(outages) * 1000),
            "last_failure_after_death_ms": round(max(after) * 1000),
            "connections": total, "failed": failed,
            "survivors_streams_broken": broken,
            "survivors_streams_gap_worst_ms": round(gap * 1000)}


def drain(run, drains):
    """400 new connections a second through drains and undrains, the nodes in turn."""
    segment, cluster = lab(run, "drain")
    took = []
    with cluster.traffic(rate=400, streams=128, sniff=True) as t:
        t.wait_open()
        for i in range(drains):
            node = cluster.nodes[i % 3]
            began = time.monotonic()
            node.ctl("drain")
            cluster.converge(states=("serving", "draining"))
            poll("drained", lambda n=node: n.status()["vips"][0]["owned"] == 0)
            node.ctl("undrain")
            cluster.converge()
            took.append(time.monotonic() - began)
        t.stop()
    cluster.stop()
    segment.delete()
    totals = sorted(c.total for c in t.connections if c.ok)
    return {"drains": drains, "connections": len(t.connections), "failed": len(t.failures()),
            "delayed_over_200_ms": len(t.delayed(0.2)), "two_answers": len(t.doubles),
            "streams": len(t.final_streams),
            "streams_broken": sum(s.state != "open" for s in t.final_streams),
            "stream_gap_worst_ms": round(max(s.gap for s in t.final_streams) * 1000, 1),
            "connection_median_ms": round(statistics.median(totals) * 1000, 2),
            "connection_worst_ms": round(totals[-1] * 1000, 1),
            "round_median_ms": round(statistics.median(took) * 1000)}


def idle(run):
    """Memory and CPU time of idle daemons in a cluster of three."""
    segment, cluster = lab(run, "idle")
    tick = os.sysconf("SC_CLK_TCK")

    def cpu(node):
        """User and system time; schedstat counts in ns what stat counts in ticks."""
        text = Path(f"/proc/{node.process.pid}/schedstat")
        if text.exists():
            return int(text.read_text().split()[0]) / 1e9
        fields = Path(f"/proc/{node.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / tick

    def rss(node):
        status = Path(f"/proc/{node.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    before, began = [cpu(n) for n in cluster.nodes], time.monotonic()
    poll("idle time", lambda: time.monotonic() - began > IDLE_SECONDS, IDLE_SECONDS + 5, 0.5)
    spent = time.monotonic() - began
    percent = [100 * (cpu(n) - b) / spent for n, b in zip(cluster.nodes, before)]
    memory = [rss(n) for n in cluster.nodes]
    cluster.stop()
    segment.delete()
    return {"seconds": round(spent, 1), "cpu_percent": [round(p, 3) for p in percent],
            "rss_kib": memory}


def show(figures):
    for part, f in figures.items():
        if f.get("machine_stood_still_ms"):
            print(f"({part}: the machine stood still for up to "
                  f"{max(f['machine_stood_still_ms'])} ms meanwhile)")
        if part in ("death", "fast"):
            print(f"outage at host death, {f['timing']['interval']}/{f['timing']['dead_after']}: "
                  f"median {f['median_ms']} ms, worst {f['worst_ms']} ms over {f['runs']} runs; "
                  f"survivors' streams broken: {f['survivors_streams_broken']}")
        elif part == "drain":
            print(f"{f['drains']} drains at 400 connections/s: {f['connections']} connections, "
                  f"{f['failed']} failed, {f['delayed_over_200_ms']} over 200 ms (worst "
                  f"{f['connection_worst_ms']} ms), {f['streams_broken']} of {f['streams']} "
                  f"streams broken, {f['two_answers']} answered twice")
        else:
            print(f"idle daemon in a cluster of three over {f['seconds']} s: "
                  f"RSS {max(f['rss_kib']) / 1024:.1f} MiB, CPU {max(f['cpu_percent']):.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bindir", default=DEFAULT_BINDIR, metavar="DIR")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="host deaths")
    parser.add_argument("--drains", type=int, default=50, metavar="N")
    parser.add_argument("--only", action="append", choices=("death", "fast", "drain", "idle"))
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    parts = options.only or ["death", "fast", "drain", "idle"]
    figures = {}
    exit_on_signals()
    try:
        with Run(options.bindir) as run:
            run.stalls(0)
            for part in parts:
                print(f"{part} ...", flush=True)
                began = time.monotonic()
                figures[part] = {
                    "death": lambda: death(run, options.runs, Timing(), "death"),
                    "fast": lambda: death(run, options.runs, FAST, "fast"),
                    "drain": lambda: drain(run, options.drains),
                    "idle": lambda: idle(run),
                }[part]()
                figures[part]["machine_stood_still_ms"] = [round(s * 1000)
                                                           for s in run.stalls(began)]
    except Failure as failure:
        print(f"measure: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if options.json:
            Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="ascii")
        show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
