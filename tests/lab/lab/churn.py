"""A cluster that changes all the time on purpose, under clients who shall not notice.

Everything here is orderly: nodes are drained, weighted anew by a reload, stopped by TERM and
started again. So there is nothing to excuse: each connection is made at once, answered at once and
by one node, and lasts for as long as its client wants.
"""

import random
import statistics
import time
from collections import Counter
from typing import NamedTuple

from .cluster import Cluster
from .run import Failure, poll
from .segment import Segment

LIMIT = 0.2              # seconds: whoever waits for longer was delayed
FENCED = 0.2             # seconds: if no daemon runs for so long, its lease may run out
AFTERMATH = 1.0          # seconds until all is served again after that
STAY = 2.0               # seconds that a connection that stays does so, half more or less
STAYING = 0.2            # of the new connections
LINE = 0.2               # seconds between two requests on one that stays
STOP_DRAIN = 30          # seconds: longer than any stays
STOP_MOST = 1.5 * STAY + 2.5   # seconds that a stop takes at most: flows are counted every second
WEIGHTS = (25, 50, 100, 150, 200, 400)
PAUSE = 1.0              # seconds between two changes, at most; most often less
PROGRESS = 10.0          # seconds between two lines
# What comes, in an order of its own each time; each kind goes through the nodes in turn. While a
# node that stops waits for its flows, the others go on with what comes next.
DECK = ("drain",) * 9 + ("weight",) * 9 + ("join",) * 2
COUNTED = ("drain", "weight", "join")   # an undrain and a stop belong to the drain and the join
HARM = ("delayed", "reset", "refused", "lost", "by another node", "answered twice")
# Results of the client that are not "ok"; what is not here was lost.
RESULTS = {"reset": "reset", "refused": "refused", "bad": "by another node"}


class Change(NamedTuple):
    kind: str
    node: str
    took: float   # seconds until all agreed on it and every bucket was claimed


class Churn:
    """Three nodes, and `rate` new connections a second from the client's 640 addresses."""

    def __init__(self, run, rate, seed, name="churn"):
        self.run, self.rate = run, rate
        self.rng = random.Random(seed)
        self.segment = Segment(run, name)
        client = self.segment.add_client()
        four, six = client.direct4 + client.routed4, client.direct6 + client.routed6
        self.sources = [a for pair in zip(four, six) for a in pair]
        self.cluster = Cluster(self.segment, 3)
        self.weights = {n.name: 100 for n in self.cluster.nodes}
        for node in self.cluster.nodes:
            self._configure(node)
        self.cluster.start()
        self.changes, self.turns, self.deck = [], Counter(), []
        self.stopping = None   # who waits for its flows
        self.told = self.began = self.ended = 0.0
        run.stalls(0)

    def close(self):
        self.cluster.stop()
        self.segment.delete()

    # --- changes

    @property
    def counted(self):
        return sum(c.kind in COUNTED for c in self.changes)

    def play(self, changes, connections=0, progress=None):
        """Until there were so many of both; what it comes to."""
        staying = round(self.rate * STAYING * STAY)
        with self.cluster.traffic(self.sources, rate=self.rate * (1 - STAYING), streams=staying,
                                  line=LINE, stay=STAY, sniff=True) as t:
            self.traffic = t
            t.wait_connections(self.rate // 2)
            self.began = self.told = time.monotonic()
            while self.counted < changes or len(t.connections) + len(t.visits) < connections:
                self._change(self._next())
                if progress and time.monotonic() - self.told >= PROGRESS:
                    self.told = time.monotonic()
                    progress(self.told - self.began, self.counted, self.harm())
            self.ended = time.monotonic()
            t.run_for(0.5)
            t.stop()
        return self.harm()

    def _next(self, but=()):
        """The next kind of change."""
        if all(kind in but for kind in self.deck):
            self.deck += self.rng.sample(DECK, len(DECK))
        return self.deck.pop(next(i for i, kind in enumerate(self.deck) if kind not in but))

    def _change(self, kind):
        nodes = [n for n in self.cluster.nodes if n is not self.stopping]
        node = nodes[self.turns[kind] % len(nodes)]
        self.turns[kind] += 1
        getattr(self, "_" + kind)(node)
        self.traffic.run_for(self.rng.uniform(0, PAUSE))

    def _drain(self, node):
        began = self._now()
        node.ctl("drain")
        self._settled("drain", node, began, lambda: not any(
            v["owned"] for v in node.status()["vips"]))
        began = self._now()
        node.ctl("undrain")
        self._settled("undrain", node, began)

    def _weight(self, node):
        self.weights[node.name] = self.rng.choice(
            [w for w in WEIGHTS if w != self.weights[node.name]])
        self._configure(node)
        began = self._now()
        node.ctl("reload")
        self._settled("weight", node, began, lambda: all(
            m["weight"] == self.weights[node.name] for n in self.cluster.nodes if n.running
            for m in n.status()["members"] if m["name"] == node.name))

    def _join(self, node):
        """Stops a node, which hands over and waits for its flows, and starts it again."""
        began = self._now()
        node.process.terminate()
        self.stopping = node
        while node.running:
            if self._now() - began > STOP_MOST:
                raise Failure(f"{node.name} has not ended {STOP_MOST} s after TERM: {node.log()[-1000:]}")
            self._change(self._next(but=("join",)))
        if node.process.returncode != 0:
            raise Failure(f"{node.name} ended with {node.process.returncode}: "
                          f"{node.log()[-1000:]}")
        self.run.end(node.process)
        self.changes.append(Change("stop", node.name, self._now() - began))
        self.stopping = None
        self.cluster.converge(self.cluster.others(node))
        began = self._now()
        node.start()
        node.wait_answer()
        self._settled("join", node, began)

    def _configure(self, node):
        config = node.config()
        config["node"].update(weight=self.weights[node.name], stop_drain=f"{STOP_DRAIN}s")
        node.config_write(config)

    @staticmethod
    def _now():
        return time.monotonic()

    def _settled(self, kind, node, began, condition=lambda: True):
        """Waits until a change has had its whole effect; who stops is asked no more."""
        seen = {}

        def settled():
            seen.clear()
            for n in self.cluster.nodes:
                if n is not self.stopping:
                    seen[n.name] = n.status()
            return (all(s["converged"] for s in seen.values()) and condition() and
                    len({s["view"] for s in seen.values()}) == 1 and
                    all(len(self._living(s)) >= len(seen) for s in seen.values()))

        def told():
            return f"{kind} of {node.name}: " + "; ".join(
                f"{name} {s['state']}, view {s['view']}, converged {s['converged']}"
                for name, s in seen.items())
        poll(told, settled, 8.0, 0.01)
        self.changes.append(Change(kind, node.name, self._now() - began))

    @staticmethod
    def _living(status):
        return [m for m in status["members"] if m["state"] in ("alive", "suspect", "held")]

    # --- what it comes to

    def harm(self):
        """What became of the connections that have ended."""
        return Harm(self.traffic, self.run, self.began)

    def summary(self):
        """{kind: (number, median, worst)}"""
        out = {}
        for kind in ("drain", "undrain", "weight", "stop", "join"):
            took = [c.took for c in self.changes if c.kind == kind]
            if took:
                out[kind] = (len(took), statistics.median(took), max(took))
        return out


class Harm:
    """What clients met with: `count` by kind of HARM, and `bad`, what it was, as text.

    Delayed is who waited for longer than LIMIT to be connected or answered. The time that the
    client did not run, or nobody on this machine did, is not the cluster's: `excused` are those
    that waited for no longer without it, and those that were made while the machine stood still for
    so long that no lease can have been renewed, or in the AFTERMATH.
    """

    def __init__(self, traffic, run, since):
        self.traffic, self.run, self.since = traffic, run, since
        self.count, self.bad, self.excused = Counter(), [], 0
        self.connections = len(traffic.connections) + len(traffic.visits)
        self.stayed = len(traffic.visits)
        self.six = sum(":" in c.source for c in (*traffic.connections, *traffic.visits))
        self.sources = len({c.source for c in (*traffic.connections, *traffic.visits)})
        self.connects, self.answers = [], []
        for c in list(traffic.connections):
            self._look(c, c.total - max(c.connect, 0.0))
        for v in list(traffic.visits):
            self._look(v, v.gap)
        for d in traffic.doubles:
            self._tell("answered twice", str(d))

    def _look(self, c, answer):
        if c.connect >= 0:
            self.connects.append(c.connect)
        if not c.ok:
            self._tell(RESULTS.get(c.result, "lost"), self._text(c))
            return
        self.answers.append(answer)
        if max(c.connect, answer) <= LIMIT:
            return
        stood = max(self.traffic.asleep(c.start, c.start + c.total),
                    sum(self.run.stalls(c.start, c.start + c.total)))
        if max(c.connect, answer) - stood <= LIMIT or self._fenced(c):
            self.excused += 1
        else:
            self._tell("delayed", self._text(c))

    def _fenced(self, c):
        return any(woke - long - LIMIT <= c.start <= woke + AFTERMATH for woke, long
                   in self.run.standstills(c.start - AFTERMATH, c.start + c.total)
                   if long >= FENCED)

    def _tell(self, kind, text):
        self.count[kind] += 1
        self.bad.append(f"{kind}: {text}")

    def _text(self, c):
        return (f"{c.start - self.since:.3f} s, {c.source}, {c.result}, connected after "
                f"{c.connect * 1000:.0f} ms, over after {c.total * 1000:.0f} ms, {c.node}")

    @property
    def lost(self):
        return sum(self.count[k] for k in ("refused", "lost", "by another node", "answered twice"))

    def stalls(self):
        return self.run.stalls(self.since)
