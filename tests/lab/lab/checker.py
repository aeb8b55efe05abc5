"""Judges a round of chaos by what its clients saw and by the course of its faults.

What must hold, at every instant:

    double     no source is answered by two nodes that hear each other, be it through a third one
    silence    no source is unanswered, unless within `bound` of a change that takes a node from
               the others or from its clients
    flow       no flow of a node ends, unless some other node could not hear that one for
               dead_after + orphan_after
    held up    no flow of a node hangs that its clients reach all the time

and what is excused, with the reason: clients that lose frames, or reach no node that may serve;
nodes that met again less than `bound` ago, after a partition. Under quorum = "majority" two
answers are never excused; but a lease may lapse while frames between nodes are lost.
"""

from collections import Counter
from itertools import combinations, pairwise
from typing import NamedTuple

from .nemesis import CLIENT

ORPHAN_AFTER = 1.0
COMMIT = 0.05      # a plan into the kernel
SLACK = 0.15       # of a busy machine
BEFORE = 0.02      # a fault takes effect no earlier than it is counted; clocks are read in between
NEIGHBOUR = 1.2    # the kernel asks for a neighbour once a second
HELD_UP = 0.5      # a flow's line without an echo
UNLUCKY = 3.0      # so long a source may have no answer by bad luck, at 20 % loss both ways
RETURN = 0.3       # a daemon that is started again has been heard by the others


class Finding(NamedTuple):
    what: str        # double, silence, flow, held up; convergence, kernel
    at: float
    text: str
    course: str = ""  # what was so then


class Course:
    """The states of a round, and what follows from them for a cluster of `names`."""

    def __init__(self, states, names, timing, majority=False):
        self.states, self.names, self.majority = list(states), list(names), majority
        self.timing = timing
        self.bound = timing.dead_after + 2 * timing.interval + COMMIT + SLACK
        self.windows = list(self._windows())

    # --- one state

    def hears(self, s, x, y, relayed=True):
        """True if y hears x: itself, or through a third one that runs."""
        return s.lost(x, y) < 100 or relayed and any(
            s.runs(z) and s.lost(x, z) < 100 and s.lost(z, y) < 100
            for z in self.names if z not in (x, y))

    def mutual(self, s, x, y):
        return self.hears(s, x, y) and self.hears(s, y, x)

    def reached(self, s, x):
        """True if clients reach x, and it them."""
        return s.lost(CLIENT, x) < 100 and s.lost(x, CLIENT) < 100

    def lossy(self, s):
        """True if nodes lose some of each other's frames."""
        return any(0 < s.lost(x, y) < 100 for x in self.names for y in self.names if x != y)

    def unlucky(self, s):
        """True if clients lose some frames; or, under a majority, leases some acknowledgements."""
        return self.majority and self.lossy(s) or any(0 < s.lost(*pair) < 100
                   for n in self.names for pair in ((n, CLIENT), (CLIENT, n)))

    def mute(self, s, x):
        """True if x must take itself for mute: of those that it hears, at least as many do not
        hear it as are with it."""
        others = [y for y in self.names if y != x and s.runs(y)]
        both = [y for y in others if self.mutual(s, x, y)]
        deaf = [y for y in others if y not in both and self.hears(s, y, x)]
        return bool(deaf) and len(deaf) > len(both)

    def split(self, s):
        """True if clients reach two nodes of which each may believe that it is alone: both answer
        a SYN, and then one of them the other's segments."""
        there = [x for x in self.names if s.runs(x) and self.reached(s, x)]
        return not self.majority and any(not self.mutual(s, *pair)
                                         for pair in combinations(there, 2))

    def served(self, s):
        """True if there is a node that has to serve, within reach of the clients."""
        for x in self.names:
            if s.runs(x) and self.reached(s, x) and not self.mute(s, x):
                side = 1 + sum(s.runs(y) and self.mutual(s, x, y)
                               for y in self.names if y != x)
                if not self.majority or side > len(self.names) // 2:
                    return True
        return False

    # --- changes

    def _excuses(self, was, now):
        """(seconds, why) for each way in which a change may leave a source without an answer."""
        for x in self.names:
            if was.runs(x) and not now.runs(x):
                yield self.bound, f"{x} does not run"
            if self.reached(was, x) and not self.reached(now, x):
                # Who is deaf still repeats for dead_after what it last acknowledged.
                deaf = any(now.runs(y) and self.hears(now, x, y) for y in self.names if y != x)
                yield (self.bound + deaf * (self.timing.dead_after + 2 * self.timing.interval),
                       f"{x} is {'deaf' if deaf else 'out of reach'}")
            if (was.runs(x), x in was.drained) != (now.runs(x), x in now.drained):
                # What is forwarded for some milliseconds goes straight to the next owner.
                if self.lossy(now):
                    yield self.bound, f"{x} hands over on wires that lose frames"
                elif any(now.lost(y, z) for y in self.names for z in self.names if y != z):
                    yield 2 * self.timing.interval, f"{x} hands over where a wire is cut"
        for x, y in combinations(self.names, 2):
            if self.mutual(was, x, y) != self.mutual(now, x, y):
                parted = self.mutual(was, x, y)
                yield self.bound, f"{x} and {y} {'part' if parted else 'meet'}"
        if not self.served(was) and self.served(now):
            yield self.bound + 2 * self.timing.dead_after + NEIGHBOUR, "back in reach"

    def _windows(self):
        for was, now in pairwise(self.states):
            for long, why in self._excuses(was, now):
                yield (now.began or now.at) - BEFORE, now.at + now.late + long, why

    def segments(self, since=float("-inf"), until=float("inf")):
        """(since, until, state) for all states within that time."""
        ends = [s.at for s in self.states[1:]] + [float("inf")]
        for state, end in zip(self.states, ends):
            if state.at < until and end > since:
                yield max(state.at, since), min(end, until), state

    # --- judgements

    def silence_excused(self, since, until, answered=False):
        """Why a client that asked between may have got no answer; None: it must have. `answered`:
        it was answered, but badly."""
        for begin, end, why in self.windows:
            if begin <= until and since <= end:
                return why
        for _, _, state in self.segments(since - BEFORE, until):
            if not self.served(state):
                return "no node within reach"
            if self.unlucky(state):
                return "frames are lost"
            if answered and self.split(state):
                return "two sides serve"
        return None

    def double_excused(self, at, x, y):
        """Why both may have answered at that time; None: they must not."""
        if self.majority:
            return None
        together = float("inf")  # for how long they have heard each other; None: they do not
        for since, until, s in self.segments(until=at):
            if not self.mutual(s, x, y):
                together = None
                continue
            together = -s.late if together is None else together
            if s.runs(x) and s.runs(y):
                together += until - since
        heard = together is not None and together >= self.bound
        return None if heard else "did not hear each other"

    def flow_excused(self, x, until):
        """Why a flow of x may have ended by then; None: it must not."""
        limit = self.timing.dead_after + ORPHAN_AFTER - self.timing.interval - SLACK
        for y in self.names:
            apart, was_down = 0.0, False
            for since, end, s in self.segments(until=until):
                back = x == y or s.runs(x) and self.mutual(s, x, y)
                if back and apart > 0 and end - since < 2 * self.timing.interval:
                    back = False  # who meets for a moment has not heard each other
                if not back:
                    apart += end - since
                elif apart > 0:
                    apart += min(end - since, s.late + (RETURN if was_down else 0.0))
                if apart >= limit:
                    return "its node was unheard for longer than orphan_after"
                apart, was_down = 0.0 if back else apart, x in s.down
        return None

    def told(self, at):
        """What was so at a time, for a finding."""
        s = next(s for since, until, s in self.segments() if since <= at < until)
        parts = [f"{name}={sorted(value)}" for name, value in s._asdict().items()
                 if name in ("down", "stopped", "drained", "unplugged") and value]
        parts += ["switch off"] if s.off else []
        lost = [f"{a}-{b}:{p}%" for (a, b), p in sorted(s.loss.items())]
        parts += ["loss " + " ".join(lost[:6]) + (" ..." if lost[6:] else "")] if lost else []
        return f"{s.what or 'before the first fault'}; {', '.join(parts) or 'no fault'}"

    def since(self, at):
        """Seconds since the last change."""
        return at - max(s.at for s in self.states if s.at <= at)


class Verdict:
    """What the clients of one round saw, judged. `traffic` has stopped; `before` are its streams
    as they were before the first fault; `macs` {MAC: node name}."""

    def __init__(self, course, traffic, before, macs):
        self.course, self.traffic, self.macs = course, traffic, macs
        self.findings, self.excused = [], Counter()
        self.figures = Counter()
        self.longest = 0.0        # a source was unanswered, though a node was within reach
        self.longest_gap = 0.0    # a flow hung
        self._doubles()
        self._silences()
        self._gaps()
        self._flows(before)

    def _find(self, what, at, text):
        after = f" ({self.course.since(at):.3f} s later)" if self.course.states[1:] else ""
        self.findings.append(Finding(what, at, text + after, self.course.told(at)))

    def _doubles(self):
        t = self.traffic
        pairs = [(d.start, d.source, sorted(set(d.nodes))[:2]) for d in t.datagrams
                 if len(set(d.nodes)) > 1]
        pairs += [(at, source, [self.macs.get(m, m) for m in macs])
                  for at, source, _port, *macs in t.doubles]
        for at, source, (x, y) in pairs:
            why = self.course.double_excused(at, x, y) if x != y else None
            if why is None:
                self.figures["double answers"] += 1
                self._find("double", at, f"{source} was answered by {x} and by {y}")
            else:
                self.excused[f"double: {why}"] += 1

    def _silences(self):
        t = self.traffic
        self.figures["connections"] += len(t.connections)
        self.figures["datagrams"] += len(t.datagrams)
        asked = [(c.start, c.start + c.total, c.source, c.result) for c in t.failures()]
        asked += [(d.start, d.start + t.udp_deadline, d.source, "no answer") for d in t.datagrams
                  if d.replies == 0]
        for since, until, source, result in asked:
            why = self.course.silence_excused(since, until,
                                              result not in ("timeout", "no answer"))
            if why is None and t.asleep(since, until) > (until - since) / 4:
                why = "the client was held up"
            if why is None:
                self.figures["unanswered"] += 1
                self._find("silence", since, f"{source}: {result}")
            else:
                self.excused[f"silence: {why}"] += 1

    def _gaps(self):
        """Of each source, how long its datagrams went unanswered in a row."""
        rows = {}
        for d in self.traffic.datagrams:
            rows.setdefault(d.source, []).append(d)
        for source, row in rows.items():
            since = None
            for d in sorted(row):
                if d.replies == 0:
                    since = d.start if since is None else since
                elif since is not None:
                    self._gap(source, since, d.start)
                    since = None

    def _gap(self, source, since, until):
        course = self.course
        away = sum(end - begin for begin, end, s in course.segments(since, until)
                   if not course.served(s))
        unlucky = any(course.unlucky(s) for _, _, s in course.segments(since - BEFORE, until))
        if away == 0 and not unlucky:
            self.longest = max(self.longest, until - since)
        if unlucky and until - since - away > course.bound * 2 + UNLUCKY + NEIGHBOUR:
            self._find("silence", since, f"{source}: no answer for {until - since:.2f} s, which is "
                                         f"more than bad luck")

    def _flows(self, before):
        course, t = self.course, self.traffic
        now = {s.source: s for s in t.final_streams}
        away = {x for x in course.names for s in course.states if s.lost(x, CLIENT)
                or s.lost(CLIENT, x)}
        self.figures["flows"] += len(before)
        for was in before:
            s = now[was.source]
            if s.state != "open" or s.node != was.node:
                at = s.ended or float("inf")
                why = course.flow_excused(was.node, at)
                if why is None:
                    self.figures["flows lost"] += 1
                    self._find("flow", min(at, course.states[-1].at),
                               f"{s.source} lost its flow to {was.node}: {s.state}, {s.reason}")
                else:
                    self.excused[f"flow: {why}"] += 1
            elif was.node not in away:
                self.longest_gap = max(self.longest_gap, s.gap)
                if s.gap > HELD_UP:
                    self._find("held up", course.states[-1].at,
                               f"the flow of {s.source} to {s.node} hung for {s.gap:.2f} s")
