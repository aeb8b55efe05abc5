"""The nemesis: which faults a round has, and what is so at each of its instants.

schedule() draws a round's faults from a seed, and from nothing else: the same seed, the same
faults. Nemesis carries them out and keeps the course, the list of what was so and since when;
`checker` judges by it what the clients saw.

A fault counts from before it is begun until after it is ended: whoever judges by the course
excuses rather too much, by the milliseconds that a command takes.
"""

import itertools
import random
import signal
import time
from typing import NamedTuple

from .run import poll

CLIENT = "client"
LOSS = 20               # percent
LINK_WATCH = 1.0        # the kernel may take so long to use a link that has its carrier back
CLOCK_STEPS = (-86400 * 365 * 30, -86400, -3600, -1, 1, 3600, 86400, 86400 * 365 * 30)


class Fault(NamedTuple):
    kind: str
    at: float        # seconds since the round began
    long: float      # seconds
    who: tuple       # names of nodes; of `clock`, the step comes last

    def __str__(self):
        return f"{self.at:5.2f} s: {' '.join((self.kind, *self.who))} for {self.long:.2f} s"


class Kind(NamedTuple):
    """How one kind of fault is drawn. `spans`: how long it may last, a choice of ranges. `whom`:
    (random, nodes) -> who. `alone`: what it cannot share with another fault at the same time, as a
    function of who."""
    spans: tuple
    whom: object
    alone: object = lambda who: ()


def _one(r, nodes):
    return (r.choice(nodes),)


def _pair(r, nodes):
    return tuple(r.sample(nodes, 2))


def _some(r, nodes):
    """One or more, but not all."""
    return tuple(sorted(r.sample(nodes, r.randint(1, len(nodes) - 1))))


def _nobody(_r, _nodes):
    return ()


def _process(who):
    return [("process", name) for name in who]


# Shorter than any verdict; than the death of flows; longer than both, at default timing.
_SPANS = ((0.05, 0.25), (0.5, 1.2), (1.7, 3.0))
_WHILE = ((1.0, 3.0),)

KINDS = {
    # the wires
    "loss": Kind(_WHILE, _nobody),                # of frames between nodes
    "loss_all": Kind(_WHILE, _nobody),            # of all frames, the client's too
    "oneway": Kind(_SPANS, _pair),                # the second does not hear the first
    "bridge": Kind(_SPANS, _pair),                # neither hears the other; all others do
    "mute": Kind(_SPANS, _one),                   # nothing that it sends arrives anywhere
    "deaf": Kind(_SPANS, _one),                   # nothing reaches it
    "isolate": Kind(_SPANS, _one),                # both, with carrier
    "partition": Kind(_SPANS, _some),             # these from the others; clients reach all
    "cable": Kind(_SPANS, _one, lambda who: [("cable", who[0])]),
    "switch": Kind(_SPANS[:2], _nobody, lambda who: [("switch",)]),
    "noise": Kind(_WHILE, _nobody, lambda who: [("noise",)]),
    # the hosts
    "stop": Kind(_SPANS, _some, _process),
    "kill": Kind(_SPANS, _some, _process),
    "drain": Kind(_WHILE, _one, _process),
    "burn": Kind(_WHILE, _nobody, lambda who: [("burn",)]),
    "clock": Kind(_WHILE, lambda r, nodes: (*_some(r, nodes), f"{r.choice(CLOCK_STEPS):+d}"),
                  lambda who: [("clock",)]),
}
MARGIN = 0.4            # between two faults of which one excludes the other


def schedule(seed, number, nodes, kinds=KINDS, span=4.0, most=4):
    """The faults of round `number` under `seed`: up to `most` of them, begun within `span`."""
    r = random.Random(f"{seed}:{number}:{len(nodes)}")
    nodes = sorted(nodes)
    swarm = [k for k in sorted(kinds) if r.random() < 0.5] or [r.choice(sorted(kinds))]
    taken, faults = [], []
    for _ in range(r.randint(2, most)):
        name = r.choice(swarm)
        kind = KINDS[name]
        fault = Fault(name, round(r.uniform(0.2, span), 3),
                      round(r.uniform(*r.choice(kind.spans)), 3), kind.whom(r, nodes))
        needs = kind.alone(fault.who)
        if any(n == other and fault.at < until + MARGIN and since < fault.at + fault.long + MARGIN
               for n in needs for other, since, until in taken):
            continue
        taken += [(n, fault.at, fault.at + fault.long) for n in needs]
        faults.append(fault)
    return sorted(faults, key=lambda f: f.at)


def tour(nodes):
    """Rounds in which every kind of fault comes once at least, the same at any time."""
    a, b, c = sorted(nodes)[:3]
    return [
        [Fault("burn", 0.2, 1.5, ()), Fault("clock", 0.3, 1.7, (a, b, "-86400")),
         Fault("noise", 0.5, 2.0, ()), Fault("oneway", 0.6, 1.2, (a, b)),
         Fault("kill", 2.4, 0.9, (c,)), Fault("drain", 3.9, 0.8, (a,))],
        [Fault("loss", 0.3, 2.0, ()), Fault("stop", 0.8, 0.2, (b,)), Fault("stop", 2.8, 0.9, (a,)),
         Fault("bridge", 4.0, 2.0, (a, c)), Fault("drain", 4.6, 0.9, (a,))],
        [Fault("partition", 0.3, 0.8, (a,)), Fault("isolate", 2.1, 0.6, (b,)),
         Fault("mute", 3.7, 0.7, (c,)), Fault("deaf", 5.4, 0.7, (a,))],
        [Fault("cable", 0.3, 0.8, (b,)), Fault("switch", 2.3, 0.3, ()),
         Fault("loss_all", 3.4, 1.2, ())],
    ]


def wire_loss(fault, nodes):
    """{(sender, receiver): percent} of a fault of the wires."""
    everybody = [*nodes, CLIENT]
    if fault.kind in ("loss", "loss_all"):
        among = nodes if fault.kind == "loss" else everybody
        return {pair: LOSS for pair in itertools.permutations(among, 2)}
    lost = set()
    if fault.kind in ("oneway", "bridge"):
        lost.add(fault.who)
    if fault.kind == "bridge":
        lost.add(fault.who[::-1])
    if fault.kind in ("mute", "isolate"):
        lost |= {(fault.who[0], other) for other in everybody if other != fault.who[0]}
    if fault.kind in ("deaf", "isolate"):
        lost |= {(other, fault.who[0]) for other in everybody if other != fault.who[0]}
    if fault.kind == "partition":
        rest = [n for n in nodes if n not in fault.who]
        lost |= {pair for pair in itertools.permutations(nodes, 2)
                 if (pair[0] in rest) != (pair[1] in rest)}
    return dict.fromkeys(lost, 100)


class State(NamedTuple):
    """What is so from `at` until the next state."""
    at: float
    what: str = ""                       # the change that made it
    began: float = 0.0                   # of the change: it may have had an effect since; 0: `at`
    late: float = 0.0                    # the change may take so much longer to take effect
    down: frozenset = frozenset()        # nodes whose daemon is dead
    stopped: frozenset = frozenset()     # nodes whose daemon is stopped
    drained: frozenset = frozenset()
    unplugged: frozenset = frozenset()
    off: bool = False                    # the switch
    loss: dict = {}                      # {(sender, receiver): percent}

    def lost(self, sender, receiver):
        """Percent of the frames."""
        if self.off or sender in self.unplugged or receiver in self.unplugged:
            return 100
        return self.loss.get((sender, receiver), 0)

    def runs(self, name):
        return name not in self.down and name not in self.stopped


class Nemesis:
    """Carries out schedules on a cluster. `course` is what was so, beginning with all well."""

    def __init__(self, cluster, wires, noise, burners, clocks):
        self.cluster, self.wires, self.noise = cluster, wires, noise
        self.burners, self.clocks = burners, clocks
        self.names = [n.name for n in cluster.nodes]
        self.shared = tuple(v["mac"] for v in cluster.nodes[0].status()["vips"])
        self._cuts = {}
        self.course = [State(float("-inf"))]
        self._wire()

    def run(self, faults):
        """One round; afterwards all is well again, but for what the cluster makes of it."""
        self.course = [State(float("-inf"))]
        began = time.monotonic()
        acts = sorted([(f.at, i, f, True) for i, f in enumerate(faults)] +
                      [(f.at + f.long, i, f, False) for i, f in enumerate(faults)])
        try:
            for at, _, fault, begin in acts:
                due = began + at
                poll("the next fault", lambda d=due: time.monotonic() >= d, at + 60, 0.002)
                self._act(fault, begin)
        finally:
            self.burners.end()
            self.noise.end()
        return began

    def _act(self, fault, begin):
        what = str(fault) if begin else f"end of {' '.join((fault.kind, *fault.who))}"
        before = time.monotonic()
        changed = getattr(self, "_" + fault.kind, self._wires)(fault, begin) or {}
        self.course.append(self.course[-1]._replace(
            at=before if begin else time.monotonic(), began=before, what=what,
            **{"late": 0.0, **changed}))

    # --- the wires

    def _wires(self, fault, begin):
        if begin:
            self._cuts[fault] = wire_loss(fault, self.names)
        else:
            del self._cuts[fault]
        return {"loss": self._wire()}

    def _wire(self):
        loss = {}
        for cut in self._cuts.values():
            for pair, percent in cut.items():
                loss[pair] = max(percent, loss.get(pair, 0))
        # What noise does to the clients' own tables is no matter of the cluster.
        self.wires.set({**loss, (self.noise.host.name, CLIENT): 100})
        return loss

    def _cable(self, fault, begin):
        self.cluster[fault.who[0]].host.cable(not begin)
        now = self.course[-1].unplugged
        return {"unplugged": now | set(fault.who) if begin else now - set(fault.who),
                "late": 0.0 if begin else LINK_WATCH}

    def _switch(self, _fault, begin):
        self.cluster.segment.batch([f"link set br0 {'down' if begin else 'up'}"])
        return {"off": begin, "late": 0.0 if begin else LINK_WATCH}

    def _noise(self, _fault, begin):
        if begin:
            self.noise.begin(self.cluster, self.shared)
        else:
            self.noise.end()

    # --- the hosts

    def _stop(self, fault, begin):
        for name in fault.who:
            self.cluster[name].signal(signal.SIGSTOP if begin else signal.SIGCONT)
        now = self.course[-1].stopped
        return {"stopped": now | set(fault.who) if begin else now - set(fault.who)}

    def _kill(self, fault, begin):
        for name in fault.who:
            if begin:
                self.cluster[name].kill()
            else:
                self.cluster[name].start()
        now = self.course[-1].down
        return {"down": now | set(fault.who) if begin else now - set(fault.who)}

    def _drain(self, fault, begin):
        node = self.cluster[fault.who[0]]
        code, text = node.request("/v1/drain" if begin else "/v1/undrain", "POST")
        assert code == 200, f"{node.name}: {text}"
        now = self.course[-1].drained
        return {"drained": now | set(fault.who) if begin else now - set(fault.who)}

    def _burn(self, _fault, begin):
        if begin:
            self.burners.begin()
        else:
            self.burners.end()

    def _clock(self, fault, begin):
        for name in fault.who[:-1]:
            self.clocks[name].step(int(fault.who[-1]) if begin else 0)
