#!/usr/bin/python3
"""The figures: outage at host death, connections through drains, what an idle daemon costs; how
fast a death is noticed, what many nodes cost, and whether CPUs that are all busy kill anybody.

    measure.py [--bindir DIR] [--runs N] [--drains N] [--only PART]... [--json FILE]
    measure.py [--detection N] [--scale N,N...] [--stress MINUTES] ...

PART: death (default timing), fast (20 ms / 80 ms, lease 60 ms), drain, idle. Each in a lab of its
own: three nodes and a client on a bridge that learns. The figures go to stdout for people, and as
JSON to FILE. With --detection, --scale or --stress only these are measured, or these and --only.

Outage: a new connection every 5 ms, each given up after 100 ms, from 64 addresses in turn that are
all served by the node that dies; from the start of the first that failed to the start of the last
one, plus the 5 ms to the next. Other addresses do not notice: 64 open streams to the survivors are
checked as well.

Detection: the cable of a host is cut, at a known instant; from then to the first and to the last
survivor's verdict in its log, and to the first answer that the dead node's sources get, asked every
millisecond: of the first source, and of the last.

Scale: a cluster of so many nodes on one segment, without clients. Stress: three nodes at default
timing, and two processes on every CPU that want all of it: who is called dead, wrongly.
"""

import argparse
import json
import re
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Cluster, Failure, Run, Segment, Timing, poll  # noqa: E402
from lab.faults import Burners, Ports  # noqa: E402
from lab.run import exit_on_signals  # noqa: E402
from lab.scale import DATAGRAM_MAX, Crowd, bytes_per_second, cpu_seconds, rss_kib  # noqa: E402

DEFAULT_BINDIR = Path(__file__).resolve().parents[2] / "build" / "plain"
FAST = Timing(0.02, 0.08, 0.06)
IDLE_SECONDS = 30
SCALE_SECONDS = 20
ASKED = 8             # sources of detection, each asked every ASKED ms


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
    before, began = [cpu_seconds(n.process) for n in cluster.nodes], time.monotonic()
    poll("idle time", lambda: time.monotonic() - began > IDLE_SECONDS, IDLE_SECONDS + 5, 0.5)
    spent = time.monotonic() - began
    percent = [100 * (cpu_seconds(n.process) - b) / spent
               for n, b in zip(cluster.nodes, before)]
    memory = [rss_kib(n.process) for n in cluster.nodes]
    cluster.stop()
    segment.delete()
    return {"seconds": round(spent, 1), "cpu_percent": [round(p, 3) for p in percent],
            "rss_kib": memory}


def milliseconds(seconds):
    return {"median_ms": round(statistics.median(seconds) * 1000, 1),
            "worst_ms": round(max(seconds) * 1000, 1)}


def detection(run, runs, timing, name):
    """From the death of a host to the survivors' verdict and to the first answers."""
    segment, cluster = lab(run, name, timing)
    ports = Ports(segment)
    first, last, answer, answers = [], [], [], []
    for i in range(runs):
        victim = cluster.nodes[i % 3]
        mine = cluster.sources_of(victim, segment.client.routed4)[:ASKED]
        with cluster.traffic(mine, udp_rate=1000, udp_deadline=0.1) as t:
            poll("answers", lambda: len(t.datagrams) > 50)
            before, _ = ports.set(victim.host, False)
            victim.die()
            cluster.converge(cluster.others(victim))
            t.run_for(0.3)
            t.stop()
        verdicts = [n.told(f"{victim.name} is dead", before)[0][0] - before
                    for n in cluster.others(victim)]
        again = {}
        for d in t.datagrams:
            if d.start > before and d.replies and victim.name not in d.nodes:
                again.setdefault(d.source, d.start + d.rtt - before)
        if len(again) < len(mine):
            raise Failure(f"{len(mine) - len(again)} sources of {victim.name} got no answer")
        first.append(min(verdicts))
        last.append(max(verdicts))
        answer.append(min(again.values()))
        answers.append(max(again.values()))
        print(f"  {name} {i + 1:2d}: verdict {first[-1] * 1000:4.0f} ms, answers "
              f"{answer[-1] * 1000:4.0f} to {answers[-1] * 1000:4.0f} ms", flush=True)
        victim.revive()
        cluster.converge()
    ports.close()
    cluster.stop()
    segment.delete()
    return {"runs": runs, "timing": timing.config(), "verdict": milliseconds(first),
            "last_verdict": milliseconds(last), "first_answer": milliseconds(answer),
            "all_answered": milliseconds(answers)}


def scale(run, count):
    """What each of many nodes costs, and how long they take to agree."""
    crowd = Crowd(run, count, f"scale{count}")
    started = crowd.start(timeout=120)
    quiet = crowd.quiet(SCALE_SECONDS)
    died = crowd.nodes[-1].die()
    taken = crowd.agreed(crowd.nodes[:-1], died, timeout=60)
    names = [n.name for n in crowd.nodes]
    crowd.close()
    rate, octets = quiet["datagrams"], quiet["bytes"]
    return {"nodes": count, "interval_ms": 100, "agreed_after_start_ms": round(started * 1000),
            "agreed_after_death_ms": round(taken * 1000),
            "cpu_percent_median": round(statistics.median(quiet["cpu"]), 2),
            "cpu_percent_worst": round(max(quiet["cpu"]), 2), "rss_kib_worst": max(quiet["rss"]),
            "datagrams_per_s": round(statistics.mean(rate.values()), 2),
            "bytes_per_s": round(statistics.mean(octets.values())),
            "bytes_per_s_worst": round(max(octets.values())),
            "bytes_per_s_formula": round(bytes_per_second(names, 0.1)),
            "frame_bytes_mean": round(sum(octets.values()) / sum(rate.values())),
            "frame_bytes_limit": DATAGRAM_MAX + 42,
            "fragments": quiet["fragments"], "larger_than_mtu": quiet["large"]}


EVENTS = {"called_dead": " is dead: ", "refuted": "was called dead while alive",
          "lease_lapsed": "the lease lapsed", "suspects": "is silent to this node",
          "state_changes": "this node is "}


def stress(run, minutes):
    """Three nodes beside processes that take all CPU: what they say of each other."""
    segment, cluster = lab(run, "stress")
    burners = Burners(run)
    since = time.monotonic()
    burners.begin()
    try:
        poll("stress", lambda: time.monotonic() - since > minutes * 60, minutes * 60 + 60, 0.5)
    finally:
        burners.end()
    cluster.converge()
    lines = [line for n in cluster.nodes for _, line in n.told(".", since)]
    cluster.stop()
    segment.delete()
    return {"minutes": minutes, "burners": burners.count,
            **{key: sum(text in line for line in lines) for key, text in EVENTS.items()},
            "log": [line for line in lines if re.search(" (warn|error) ", line)][:20]}


def told(part, f):
    if part in ("death", "fast"):
        return (f"outage at host death, {f['timing']['interval']}/{f['timing']['dead_after']}: "
                f"median {f['median_ms']} ms, worst {f['worst_ms']} ms over {f['runs']} runs; "
                f"survivors' streams broken: {f['survivors_streams_broken']}")
    if part == "drain":
        return (f"{f['drains']} drains at 400 connections/s: {f['connections']} connections, "
                f"{f['failed']} failed, {f['delayed_over_200_ms']} over 200 ms (worst "
                f"{f['connection_worst_ms']} ms), {f['streams_broken']} of {f['streams']} "
                f"streams broken, {f['two_answers']} answered twice")
    if part == "idle":
        return (f"idle daemon in a cluster of three over {f['seconds']} s: "
                f"RSS {max(f['rss_kib']) / 1024:.1f} MiB, CPU {max(f['cpu_percent']):.2f} %")
    if part.startswith("detection"):
        return (f"detection at host death, {f['timing']['interval']}/{f['timing']['dead_after']}, "
                f"{f['runs']} runs, median and worst: " +
                ", ".join(f"{key.replace('_', ' ')} {f[key]['median_ms']} and "
                          f"{f[key]['worst_ms']} ms"
                          for key in ("verdict", "last_verdict", "first_answer", "all_answered")))
    if part.startswith("scale"):
        return (f"{f['nodes']} nodes: CPU {f['cpu_percent_median']} % (worst "
                f"{f['cpu_percent_worst']} %), RSS {f['rss_kib_worst'] / 1024:.1f} MiB, "
                f"{f['bytes_per_s']} bytes/s (formula {f['bytes_per_s_formula']}), agreed "
                f"{f['agreed_after_start_ms']} ms after the last start and "
                f"{f['agreed_after_death_ms']} ms after a death; {f['fragments']} fragments")
    return (f"{f['minutes']:g} minutes with {f['burners']} burners: {f['called_dead']} called "
            f"dead, {f['refuted']} refuted, {f['lease_lapsed']} leases lapsed, {f['suspects']} suspects")


def show(figures):
    for part, f in figures.items():
        if f.get("machine_stood_still_ms"):
            print(f"({part}: the machine stood still for up to "
                  f"{max(f['machine_stood_still_ms'])} ms meanwhile)")
        print(told(part, f))


def parts_of(options):
    """{name: function of a run} of all that is to be measured, in order."""
    known = {"death": lambda run: death(run, options.runs, Timing(), "death"),
             "fast": lambda run: death(run, options.runs, FAST, "fast"),
             "drain": lambda run: drain(run, options.drains),
             "idle": idle}
    more = {}
    if options.detection:
        more["detection"] = lambda run: detection(run, options.detection, Timing(), "found")
        more["detection_fast"] = lambda run: detection(run, options.detection, FAST, "ffound")
    for count in options.scale or ():
        more[f"scale_{count}"] = lambda run, count=count: scale(run, count)
    if options.stress:
        more["stress"] = lambda run: stress(run, options.stress)
    return {**{key: known[key] for key in options.only or ([] if more else known)}, **more}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bindir", default=DEFAULT_BINDIR, metavar="DIR")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="host deaths")
    parser.add_argument("--drains", type=int, default=50, metavar="N")
    parser.add_argument("--only", action="append", choices=("death", "fast", "drain", "idle"))
    parser.add_argument("--detection", type=int, metavar="N", help="host deaths at each timing")
    parser.add_argument("--scale", metavar="N,N...", help="nodes",
                        type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--stress", type=float, metavar="MINUTES")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    figures = {}
    exit_on_signals()
    try:
        with Run(options.bindir) as run:
            run.stalls(0)
            for part, measure in parts_of(options).items():
                print(f"{part} ...", flush=True)
                began = time.monotonic()
                figures[part] = measure(run)
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
