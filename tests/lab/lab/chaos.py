"""A cluster under a nemesis, with clients that measure and a checker that judges; in rounds."""

import random
import re
import time
from collections import Counter
from typing import NamedTuple

from . import kernel, nemesis
from .checker import Course, Finding, Verdict
from .cluster import Cluster, Timing
from .faults import Burners, Noise, WallClock, Wires
from .run import Failure, poll
from .segment import Segment

STATES = ("serving", "held")
CONVERGE = 8.0     # seconds until all agree, at most, after the last fault
CATCH_UP = 9.0     # seconds until TCP has tried again, after the longest fault
UNDER_WAY = 3      # lines of a flow without an echo that are nothing special
LEFT_MOST = 8      # lines of what one node has left behind
# Sections of a kernel's snapshot that are as they were whenever the cluster is whole.
STEADY = ("addresses", "links", "fdb", "maddr", "routes4", "routes6", "rules", "nexthops", "qdisc",
          "sysctls")


class Report(NamedTuple):
    """What one round came to."""
    number: int
    faults: list
    findings: list
    figures: Counter
    excused: Counter
    longest: float       # a source was unanswered, though a node was within reach
    longest_gap: float   # a flow hung
    converged: float     # seconds after the last fault
    stalls: list         # seconds that the machine stood still

    def told(self, most=3):
        """As text; of findings of one kind in one state of things only the first ones."""
        lines = [f"round {self.number}:"] + [f"    {f}" for f in self.faults]
        for what, course in dict.fromkeys((f.what, f.course) for f in self.findings):
            alike = [f for f in self.findings if (f.what, f.course) == (what, course)]
            after = f" after {course.strip()}" if course else ""
            lines.append(f"  {len(alike)} x {what}{after}")
            lines += [f"      {f.text}" for f in alike[:most]]
            lines += ["      ...", f"      {alike[-1].text}"] if alike[most:] else []
        return "\n".join(lines)


def nodes_of(seed):
    """How many nodes a cluster has under a seed: 3 to 5."""
    return random.Random(f"{seed}:nodes").randint(3, 5)


def flaps(seed):
    """True if the nodes of a seed are held when they die often. Who is held serves nothing that
    could be disturbed, so under most seeds nobody is."""
    return random.Random(f"{seed}:flaps").random() < 0.25


class Chaos:
    """A segment, a cluster on it, and all that shall go wrong there."""

    def __init__(self, run, seed, name="chaos", count=None, kinds=None, timing=Timing(),
                 majority=False):
        self.run, self.seed, self.majority = run, seed, majority
        self.kinds = kinds or list(nemesis.KINDS)
        self.segment = Segment(run, name)
        client = self.segment.add_client()
        # few, so that each is asked ten times a second
        self.sources = [a for pair in zip(client.direct4[::2], client.direct6[::2]) for a in pair]
        options = {"cluster": {"quorum": "majority"}} if majority else {}
        self.cluster = Cluster(self.segment, count or nodes_of(seed), timing=timing,
                               options=options, flap=flaps(seed))
        self.noise = Noise(self.segment)
        clocks = {n.name: WallClock(n) for n in self.cluster.nodes}
        for node in self.cluster.nodes:
            # What is measured is the cluster, not how the kernel asks for neighbours.
            node.host.batch([f"neigh replace {a} lladdr {client.mac} dev eth0 nud permanent"
                             for a in (client.address4, client.address6, *client.direct4,
                                       *client.direct6)])
        self.before = {n.name: kernel.snapshot(n.host) for n in self.cluster.nodes}
        self.cluster.start()
        self.steady = {n.name: self._steady(n) for n in self.cluster.nodes}
        self.rules = {n.name: kernel.rules_text(n.host) for n in self.cluster.nodes}
        self.nemesis = nemesis.Nemesis(self.cluster, Wires(self.segment), self.noise, Burners(run),
                                       clocks)
        self.macs = {n.host.mac: n.name for n in self.cluster.nodes}
        run.stalls(0)

    @property
    def names(self):
        return [n.name for n in self.cluster.nodes]

    @staticmethod
    def _steady(node):
        now = kernel.snapshot(node.host)
        return {section: now[section] for section in STEADY}

    def schedule(self, number):
        return nemesis.schedule(self.seed, number, self.names, self.kinds)

    def round(self, number, faults=None):
        """One round under the nemesis, and what it came to."""
        faults = self.schedule(number) if faults is None else faults
        cluster, began = self.cluster, time.monotonic()
        cluster.converge(states=STATES)
        with cluster.traffic(self.sources, rate=200, deadline=0.2, streams=len(self.sources),
                             udp_rate=10 * len(self.sources), udp_deadline=0.2, sniff=True) as t:
            before = t.wait_open()
            self.nemesis.run(faults)
            ended = time.monotonic()
            findings = []
            try:
                cluster.converge(timeout=CONVERGE, states=STATES)
            except Failure as failure:
                findings.append(Finding("convergence", ended, str(failure)))
            converged = time.monotonic() - ended
            t.run_for(0.5)
            findings = findings or self._hung(t) or self._kernels(t.streams())
            t.stop()
        course = Course(self.nemesis.course, self.names, cluster.timing, self.majority)
        verdict = Verdict(course, t, before, self.macs)
        self.traffic = t  # of the last round
        return Report(number, faults, verdict.findings + findings, verdict.figures,
                      verdict.excused, verdict.longest, verdict.longest_gap, converged,
                      self.run.stalls(began))

    @staticmethod
    def _hung(t):
        """Flows that neither go on nor end: TCP tries again after twice as long as it was cut."""
        def hung():
            return [s for s in t.streams() if s.state == "open" and s.sent - s.echoed > UNDER_WAY]
        try:
            poll("all flows go on or have ended", lambda: not hung(), CATCH_UP, 0.1)
        except Failure:
            return [Finding("hung", time.monotonic(), str(s)) for s in hung()]
        return []

    def _kernels(self, streams):
        """What is not as it has to be in the kernels of a cluster that is whole."""
        now, wrong = time.monotonic(), []
        owners = self.cluster.owners()
        for node in self.cluster.nodes:
            mine = {b for b, owner in owners.items() if owner == node.name}
            for vip in range(len(self.cluster.vips)):
                claims = kernel.claims(node.host, vip)
                if claims != mine:
                    wrong.append(f"{node.name} claims {len(claims)} buckets of VIP {vip} in its "
                                 f"kernel and owns {len(mine)}: {sorted(claims ^ mine)[:8]}")
            if kernel.rules_text(node.host) != self.rules[node.name]:
                wrong.append(f"{node.name} has other rules than at its start")
            wrong += [f"{node.name}: {line}" for line in
                      kernel.difference(self.steady[node.name], self._steady(node))]
        wrong += [f"the switch has learned {mac}: {self.segment.learned(mac)[0]}"
                  for mac in self.nemesis.shared if self.segment.learned(mac)]
        tracked = {}
        for node in self.cluster.nodes:
            for vip in (self.cluster.vip4, self.cluster.vip6):
                for source, state in kernel.flows(node.host, vip):
                    tracked.setdefault((node.name, source), []).append(state)
        wrong += [f"{s.node} does not track the flow of {s.source}: "
                  f"{tracked.get((s.node, s.source))}, {s}" for s in streams
                  if s.state == "open" and "ESTABLISHED" not in tracked.get((s.node, s.source), ())]
        return [Finding("kernel", now, text) for text in wrong]

    def finish(self):
        """Stops the daemons, all at once, and tells what they have left behind."""
        left = []
        for node in self.cluster.nodes:
            node.process.terminate()
        for node in self.cluster.nodes:
            code = node.process.wait(10)
            self.run.end(node.process)
            if code != 0:
                left.append(f"{node.name} ended with {code}: {node.log()[-500:]}")
            lines = kernel.difference(self.before[node.name], kernel.snapshot(node.host))
            left += [f"{node.name}: {line[:200]}" for line in lines[:LEFT_MOST]]
        return left

    def close(self):
        self.nemesis.burners.end()
        self.noise.end()
        self.cluster.stop()
        self.segment.delete()


def _nameless(excused):
    """The reasons without the names of the nodes."""
    out = Counter()
    for why, count in excused.items():
        out[re.sub(r"\bn\d+\b", "a node", why)] += count
    return out


def total(reports):
    """The figures of many rounds."""
    figures, excused, faults = Counter(), Counter(), Counter()
    for r in reports:
        figures.update(r.figures)
        excused.update(r.excused)
        faults.update(f.kind for f in r.faults)
    return {"rounds": len(reports), "faults": sum(faults.values()),
            "faults_by_kind": dict(sorted(faults.items())),
            "violations": sum(len(r.findings) for r in reports),
            "double_answers": figures["double answers"],
            "unanswered": figures["unanswered"],
            "longest_unanswered_ms": round(max((r.longest for r in reports), default=0) * 1000),
            "flows": figures["flows"], "flows_lost": figures["flows lost"],
            "longest_flow_gap_ms": round(max((r.longest_gap for r in reports), default=0) * 1000),
            "converged_worst_ms": round(max((r.converged for r in reports), default=0) * 1000),
            "connections": figures["connections"], "datagrams": figures["datagrams"],
            "excused": dict(sorted(_nameless(excused).items()))}
