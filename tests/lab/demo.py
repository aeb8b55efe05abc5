#!/usr/bin/python3
"""The main job, live: three hosts serve one address, one dies, one comes back.

    demo.py [--bindir DIR] [--plain]

Makes three hosts and a client in network namespaces on a bridge that learns as a switch does,
starts ipclusterd and real servers on the hosts, and sends requests from 256 addresses, half of
them IPv6. Draws what the client sees; without a terminal it prints lines. Exit 0 if the cluster
did its job: every address served before, after and between, failures only in the second after the
death, no connection to a survivor broken. Removes all it made, however it ends.
"""

import argparse
import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Cluster, Failure, Run, Segment, poll  # noqa: E402
from lab.run import exit_on_signals  # noqa: E402

RATE = 400            # requests a second
DEADLINE = 0.2        # a request without an answer after that has failed
BOUND = 1.0           # failures are allowed this long after a death
STREAMS = 64
BEFORE, DEAD, BACK = 4.0, 5.0, 5.0   # seconds of the three acts
SLOT = 0.25           # seconds a column of the timeline stands for
COLUMNS = 64
DEFAULT_BINDIR = Path(__file__).resolve().parents[2] / "build" / "plain"


class Count:
    """What the client saw, node by node and slot by slot; taken in as it comes."""

    def __init__(self, traffic, began):
        self.traffic, self.began, self.taken = traffic, began, 0
        self.slots = {}
        self.answered = self.failed = 0

    def take(self):
        connections = self.traffic.connections
        end = len(connections)
        for c in connections[self.taken:end]:
            who = c.node if c.ok else None
            slot = int((c.start - self.began) / SLOT)
            self.slots.setdefault(slot, Counter())[who] += 1
            self.answered += c.ok
            self.failed += not c.ok
        self.taken = end

    def per_second(self, who, now):
        """Over the last whole slots, those that are still waited for left out."""
        last = int((now - DEADLINE - self.began) / SLOT) - 1
        return sum(self.slots.get(s, Counter())[who] for s in range(last - 3, last + 1)) / 4 / SLOT


class View:
    """The picture. On a terminal it is redrawn in place; else an event or a second is a line."""

    def __init__(self, cluster, plain):
        self.cluster, self.plain = cluster, plain
        self.colour = not plain and not os.environ.get("NO_COLOR")
        unicode = "utf" in (sys.stdout.encoding or "").lower()
        self.levels = " ▁▂▃▄▅▆▇█" if unicode else " .:-=+*%#"
        self.full, self.empty = ("█", "░") if unicode else ("#", ".")
        self.events, self.height, self.last_line = [], 0, 0.0
        self.shares, self.states = {}, {}
        self.count = None
        self.began = time.monotonic()

    def paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def event(self, text):
        now = time.monotonic() - self.began
        self.events.append((now, text))
        if self.plain:
            print(f"{now:6.2f} s  {text}", flush=True)

    def ask(self):
        """Who owns how much, from the first node that answers."""
        for node in self.cluster.nodes:
            if not node.running:
                continue
            try:
                members = node.status()["members"]
            except OSError:
                continue
            self.shares = {m["name"]: m["buckets"] for m in members}
            self.states = {m["name"]: m["state"] for m in members}
            return

    def draw(self):
        now = time.monotonic()
        if self.count is not None:
            self.count.take()
        if self.plain:
            if self.count is not None and now - self.last_line >= 1.0:
                self.last_line = now
                print(self._line(now), flush=True)
            return
        lines = self._picture(now)
        up = f"\x1b[{self.height}A" if self.height else ""
        sys.stdout.write(up + "".join(f"\r\x1b[2K{line}\n" for line in lines))
        for _ in range(self.height - len(lines)):
            sys.stdout.write("\x1b[2K\n")
        self.height = max(self.height, len(lines))
        sys.stdout.flush()

    def _line(self, now):
        served = "  ".join(f"{n.name} {self.count.per_second(n.name, now):3.0f}/s"
                           for n in self.cluster.nodes)
        return (f"{now - self.began:6.2f} s  {served}   answered {self.count.answered}"
                f"  failed {self.count.failed}")

    def _picture(self, now):
        total = sum(self.shares.values()) or 1
        lines = ["", self.paint(1, "  ipclusterd: three hosts serve one address"),
                 f"  {self.cluster.vip4} and {self.cluster.vip6}, one bridge, no load balancer"
                 f"{now - self.began:21.1f} s", ""]
        for node in self.cluster.nodes:
            share = self.shares.get(node.name, 0)
            width = round(30 * share / total)
            state = self.states.get(node.name, "starting")
            bar = self.paint(36, self.full * width) + self.empty * (30 - width)
            rate = self.count.per_second(node.name, now) if self.count else 0
            mark = self.paint(32 if state == "alive" else 31, f"{state:<8}")
            lines.append(f"  {node.name}  {mark} {bar} {share:4d} buckets {rate:5.0f} req/s")
        lines.append("")
        if self.count is not None:
            for node in self.cluster.nodes:
                lines.append(f"  {node.name:<9}" + self.paint(36, self._strip(node.name)))
            lines.append("  no answer" + self.paint(31, self._strip(None)))
            lines.append("  seconds  " + "".join("|" if i % 4 == 0 else " "
                                                 for i in range(COLUMNS)))
            lines.append(f"  {self.count.answered} requests answered, {self.count.failed} failed")
        lines.append("")
        room = shutil.get_terminal_size().lines - len(lines) - 1
        lines += [f"  {at:6.2f} s  {text}" for at, text in self.events[-max(1, room):]]
        return lines

    def _strip(self, who):
        top = RATE * SLOT * 0.6
        out = ""
        for slot in range(COLUMNS):
            n = self.count.slots.get(slot, Counter())[who]
            level = min(len(self.levels) - 1, -(-n * (len(self.levels) - 1) // int(top)))
            out += self.levels[level]
        return out

    def watch(self, seconds=None, until=None, what="", timeout=10.0):
        """Draws on for some seconds, or until something is true."""
        began = asked = time.monotonic()

        def step():
            nonlocal asked
            if time.monotonic() - asked > 0.15:
                self.ask()
                asked = time.monotonic()
            self.draw()
            return time.monotonic() - began >= seconds if until is None else until()

        poll(what or "the time to pass", step, (seconds or timeout) + 1, 0.05)


def converged(cluster, alive):
    names = {n.name for n in alive}

    def check():
        for node in alive:
            try:
                status = node.status()
            except OSError:
                return False
            living = {m["name"] for m in status["members"] if m["state"] == "alive"}
            if not status["converged"] or living != names:
                return False
        return True
    return check


def story(run, plain):
    """Plays the three acts; returns what there is to judge."""
    segment = Segment(run, "demo")
    segment.add_client()
    cluster = Cluster(segment, 3, name="demo")
    view = View(cluster, plain)
    view.event("three hosts and a client on a bridge; the daemons start")
    segment.wait_ready()
    for node in cluster.nodes:
        node.serve()
        node.start()
    view.watch(until=converged(cluster, cluster.nodes), what=cluster.logs)
    view.event("all three agree who serves whom; the client begins")
    client = segment.client
    sources = [a for pair in zip(client.routed4[::2], client.routed6[1::2]) for a in pair]
    traffic = cluster.traffic(sources, rate=RATE, deadline=DEADLINE, streams=STREAMS, sniff=True)
    view.count = Count(traffic, time.monotonic())
    view.watch(BEFORE)
    before = traffic.wait_open()

    victim = max(cluster.nodes, key=lambda n: sum(s.node == n.name for s in before))
    others = cluster.others(victim)
    killed = victim.die()
    view.event(f"{victim.name} dies: kill -9, and its link is down")
    view.watch(until=converged(cluster, others), what=cluster.logs)
    view.event(f"{' and '.join(n.name for n in others)} have taken over")
    view.watch(max(0.1, DEAD - (time.monotonic() - killed)))

    returned = time.monotonic()
    view.event(f"{victim.name} boots and comes back")
    victim.revive()
    view.watch(until=converged(cluster, cluster.nodes), what=cluster.logs)
    whole = time.monotonic()
    view.event(f"{victim.name} has its share again; open connections stay where they are")
    view.watch(BACK)
    traffic.stop()
    view.draw()
    cluster.stop()
    return {"cluster": cluster, "traffic": traffic, "victim": victim.name, "before": before,
            "killed": killed, "returned": returned, "whole": whole, "view": view}


def judge(s):
    """What the client saw, and whether the main job was done: prints both."""
    traffic, killed = s["traffic"], s["killed"]
    sources = set(traffic.sources)
    acts = (("before the death", float("-inf"), killed),
            ("while it was dead", killed + BOUND, s["returned"]),
            ("after its return", s["whole"], float("inf")))
    failures = traffic.failures()
    stray = [c for c in failures if not killed - DEADLINE <= c.start < killed + BOUND]
    survivors = [b for b in s["before"] if b.node != s["victim"]]
    final = {(f.source, f.node): f for f in traffic.final_streams}
    broken = [b for b in survivors if final[b.source, b.node].state != "open"]
    faults = []

    print("\nWhat the client saw")
    print(f"  requests        {len(traffic.connections)}, from {len(sources)} addresses, "
          f"{RATE} a second")
    print(f"  failed          {len(failures)} (no answer within {DEADLINE * 1000:.0f} ms), "
          f"{len(failures) - len(stray)} of them in the second after the death")
    print(f"  longest outage  {traffic.outage(killed - DEADLINE):.2f} s")
    print(f"  two answers     {len(traffic.doubles)}")
    print(f"  open connections to survivors: {len(survivors)}, broken: {len(broken)}")
    print("\nWho served what")
    for title, since, until in acts:
        served = traffic.served_by(since, until)
        total = sum((c for c in served.values()), Counter())
        nodes = "  ".join(f"{n.name} {total[n.name]:5d}" for n in s["cluster"].nodes)
        print(f"  {title:<18}{nodes}   {len(served)} of {len(sources)} addresses")
        if set(served) != sources:
            faults.append(f"{len(sources - set(served))} addresses got no answer {title}")
    if stray:
        faults.append("failures out of time:\n" + traffic.told(stray))
    if broken:
        faults.append(f"broken connections to survivors: {broken[:4]}")
    if traffic.doubles:
        faults.append(f"two answers to one connection: {traffic.doubles[:4]}")
    print()
    for fault in faults:
        print(f"FAULT: {fault}")
    stood = s["cluster"].segment.run.stalls(0)
    if faults and stood:
        print(f"(The machine itself stood still {len(stood)} times, for up to {max(stood):.2f} s: "
              "if that may be why, run it again.)")
    print("The main job failed." if faults else
          "Every address was served, by one node at a time, through death and return.")
    return not faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bindir", default=DEFAULT_BINDIR, metavar="DIR",
                        help="where ipclusterd and clusterctl are (default: build/plain)")
    parser.add_argument("--plain", action="store_true", help="lines, also on a terminal")
    options = parser.parse_args()
    size = shutil.get_terminal_size()
    plain = options.plain or not sys.stdout.isatty() or size.columns < 78 or size.lines < 20
    exit_on_signals()
    try:
        with Run(options.bindir) as run:
            run.binary("ipclusterd")
            run.stalls(0)
            if not plain:
                sys.stdout.write("\x1b[?25l")
            return 0 if judge(story(run, plain)) else 1
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: ended; everything is removed", file=sys.stderr)
        return 130
    finally:
        if not plain:
            sys.stdout.write("\x1b[?25h")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
