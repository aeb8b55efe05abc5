"""Chaos on a real kernel: a cluster under a nemesis, clients that measure, a checker that judges.

A tour of all faults, and rounds that a seed draws. Seeds that nobody has played before, longer
runs, and a round again: soak.py. The checker itself is tested with courses and traffic that
are made up, and with a node that does not yield.
"""

import signal
from types import SimpleNamespace

import pytest

from lab import Timing, nemesis
from lab.chaos import Chaos, total
from lab.checker import Course, Verdict
from lab.nemesis import CLIENT, Fault, State
from lab.traffic import Datagram, Stream

NAMES = ["n1", "n2", "n3"]
SEED = 4711
ROUNDS = 2


@pytest.fixture
def chaos(run, binaries):
    made = []

    def make(*arguments, **options):
        made.append(Chaos(run, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def play(made, rounds):
    """Plays {number: faults}; all must hold, and nothing be left behind."""
    reports = []
    for number, faults in rounds.items():
        reports.append(made.round(number, faults))
        assert not reports[-1].findings, reports[-1].told() + "\n" + made.cluster.logs()
    assert not made.finish()
    return total(reports)


def test_tour_of_all_faults(chaos):
    made = chaos(1, "tour", count=3)
    rounds = dict(enumerate(nemesis.tour(made.names)))
    figures = play(made, rounds)
    assert set(figures["faults_by_kind"]) == set(nemesis.KINDS)
    assert figures["datagrams"] > 5000 and figures["flows"] == 64 * len(rounds)


def test_rounds_of_a_seed(chaos):
    made = chaos(SEED, "seed")
    play(made, {number: made.schedule(number) for number in range(ROUNDS)})


def test_a_node_that_does_not_yield_is_found_out(chaos):
    """A daemon that is stopped, and a lease that somebody else makes eternal: two answer, though
    they hear each other."""
    made = chaos(1, "sham", count=3, kinds=["stop"])
    victim = made.cluster.nodes[1]
    address = f"{{ {made.cluster.vip4} }}"

    def stop(fault, begin):
        victim.signal(signal.SIGSTOP if begin else signal.SIGCONT)
        if begin:
            for text in (f"delete element netdev ipclusterd v0_lease {address}",
                         f"add element netdev ipclusterd v0_lease {address}"):
                victim.host.enter(["nft", text])
        return {"stopped": frozenset(fault.who if begin else ())}

    made.nemesis._stop = stop
    report = made.round(0, [Fault("stop", 0.3, 1.0, (victim.name,))])
    found = {f.what for f in report.findings}
    assert "double" in found and report.figures["double answers"] > 10, report.told()


# --- the schedule


def test_a_seed_draws_the_same_faults_again():
    for number in range(50):
        faults = nemesis.schedule(7, number, NAMES)
        assert faults == nemesis.schedule(7, number, NAMES)
        assert faults != nemesis.schedule(8, number, NAMES)
        assert 1 <= len(faults) <= 4
    drawn = {f.kind for number in range(50) for f in nemesis.schedule(7, number, NAMES)}
    assert drawn == set(nemesis.KINDS)


def test_faults_that_exclude_each_other_do_not_meet():
    for number in range(300):
        held = []
        for f in nemesis.schedule(3, number, NAMES):
            for need in nemesis.KINDS[f.kind].alone(f.who):
                assert not [1 for n, since, until in held
                            if n == need and f.at < until and since < f.at + f.long]
                held.append((need, f.at, f.at + f.long))


# --- the checker


class Told:
    """What clients tell, made up."""
    udp_deadline = 0.2

    def __init__(self, datagrams=(), failures=(), streams=(), doubles=(), late=0.0):
        self.datagrams, self.doubles, self.final_streams = list(datagrams), doubles, list(streams)
        self.connections, self._failures, self._late = list(failures), list(failures), late

    def failures(self):
        return self._failures

    def asleep(self, _since, _until):
        return self._late


def judge(states, majority=False, before=(), names=NAMES, **told):
    course = Course([State(float("-inf")), *states], names, Timing(), majority)
    return Verdict(course, Told(**told), before, {"m1": "n1", "m2": "n2"})


def found(verdict):
    return [f.what for f in verdict.findings]


def cut(*pairs):
    return {"loss": {p: 100 for a, b in pairs for p in ((a, b), (b, a))}}


def answered(at, *nodes):
    return Datagram(at, "10.77.1.1", len(nodes), 0.001, nodes)


ALONE = cut(("n1", "n2"), ("n1", "n3"))
PARTED = [State(10.0, "cut", **ALONE), State(12.0, "healed")]


@pytest.mark.parametrize("at,bad", [(9.0, True), (11.0, False), (12.5, False), (13.5, True)])
def test_two_answers_are_a_violation_but_for_nodes_that_are_parted(at, bad):
    verdict = judge(PARTED, datagrams=[answered(at, "n1", "n2")])
    assert found(verdict) == ["double"] * bad
    verdict = judge(PARTED, doubles=[(at, "10.77.1.1", 80, "m1", "m2")])
    assert found(verdict) == ["double"] * bad
    assert found(judge(PARTED, majority=True, datagrams=[answered(at, "n1", "n2")])) == ["double"]
    assert not found(judge(PARTED, datagrams=[answered(at, "n1", "n1")]))


def test_two_answers_are_a_violation_if_a_third_node_relays():
    bridge = [State(10.0, "bridge", **cut(("n1", "n2")))]
    assert found(judge(bridge, datagrams=[answered(15.0, "n1", "n2")])) == ["double"]
    down = [State(10.0, "bridge", **cut(("n1", "n2"))),
            State(11.0, "kill n3", down=frozenset(["n3"]), **cut(("n1", "n2")))]
    assert not found(judge(down, datagrams=[answered(15.0, "n1", "n2")]))


def test_a_stopped_node_that_answers_is_a_violation():
    stop = [State(10.0, "stop n2", stopped=frozenset(["n2"]))]
    assert found(judge(stop, datagrams=[answered(12.0, "n1", "n2")])) == ["double"]


def test_time_that_a_node_is_stopped_does_not_count_as_hearing():
    healed = [State(10.0, "cut", stopped=frozenset(["n1"]), **ALONE),
              State(11.0, "healed", stopped=frozenset(["n1"])), State(15.0, "cont")]
    assert not found(judge(healed, datagrams=[answered(15.5, "n1", "n2")]))
    assert found(judge(healed, datagrams=[answered(16.5, "n1", "n2")])) == ["double"]


@pytest.mark.parametrize("at,bad", [(9.5, True), (10.1, False), (10.7, False), (11.2, True)])
def test_silence_is_excused_within_the_bound_of_a_death(at, bad):
    dead = [State(10.0, "kill n1", down=frozenset(["n1"]))]
    assert found(judge(dead, datagrams=[answered(at)])) == ["silence"] * bad
    failure = SimpleNamespace(start=at, total=0.05, source="10.77.1.1", result="timeout")
    assert found(judge(dead, failures=[failure])) == ["silence"] * bad
    assert not found(judge(dead, datagrams=[answered(at)], late=0.2))


def test_silence_is_excused_while_nobody_can_serve():
    off = [State(10.0, "switch", off=True), State(15.0, "on", late=1.0)]
    assert not found(judge(off, datagrams=[answered(13.0), answered(16.0)]))
    assert found(judge(off, datagrams=[answered(20.0)])) == ["silence"]
    lonely = [State(10.0, "isolate n1", **ALONE,)]
    assert found(judge(lonely, datagrams=[answered(13.0)])) == ["silence"]
    rest = [State(10.0, "kill", down=frozenset(["n2", "n3"]))]
    assert found(judge(rest, datagrams=[answered(13.0)])) == ["silence"]
    assert not found(judge(rest, majority=True, datagrams=[answered(13.0)]))


def test_returns_and_hand_overs_excuse_no_silence():
    back = [State(10.0, "kill n1", down=frozenset(["n1"])), State(20.0, "back"),
            State(30.0, "drain n1", drained=frozenset(["n1"]))]
    for at in (20.1, 30.1):
        assert found(judge(back, datagrams=[answered(at)])) == ["silence"]


def test_long_silence_is_no_bad_luck():
    loss = {"loss": {(CLIENT, n): 20 for n in NAMES}}
    row = [answered(11 + i / 10) for i in range(100)] + [answered(21.0, "n1")]
    assert found(judge([State(10.0, "loss", **loss)], datagrams=row)) == ["silence"]
    assert not found(judge([State(10.0, "loss", **loss)], datagrams=row[-10:]))


def test_leases_of_a_majority_may_lapse_where_frames_are_lost():
    loss = {"loss": {("n1", "n2"): 20, ("n2", "n1"): 20}}
    row = [answered(11 + i / 10) for i in range(5)] + [answered(11.5, "n1")]
    assert not found(judge([State(10.0, "loss", **loss)], majority=True, datagrams=row))
    assert set(found(judge([State(10.0, "loss", **loss)], datagrams=row))) == {"silence"}


def stream(node, state="open", ended=0.0, gap=0.01):
    return Stream("10.77.1.1", state, node, 10, 10, gap, "reset", ended)


@pytest.mark.parametrize("states,bad", [
    ([], True),
    ([State(10.0, "kill n1", down=frozenset(["n1"])), State(10.7, "back")], True),
    ([State(10.0, "kill n1", down=frozenset(["n1"])), State(12.0, "back")], False),
    ([State(10.0, "stop n2", stopped=frozenset(["n2"])), State(14.0, "cont")], True),
    ([State(10.0, "cut", **ALONE), State(12.0, "healed")], False),
    ([State(10.0, "bridge", **cut(("n1", "n2"))), State(14.0, "healed")], True),
    ([State(10.0, "cut", **ALONE), State(10.9, "met"), State(11.0, "cut", **ALONE),
      State(11.6, "healed")], False),
    ([State(10.0, "cut", **ALONE), State(10.9, "met"), State(11.2, "cut", **ALONE),
      State(11.8, "healed")], True),
])
def test_a_flow_may_end_only_if_its_node_was_unheard_for_long(states, bad):
    verdict = judge(states, before=[stream("n1")],
                    streams=[stream("n1", "broken", 20.0)])
    assert found(verdict) == ["flow"] * bad


def test_a_flow_that_hangs_is_found():
    assert found(judge([], before=[stream("n1")], streams=[stream("n1", gap=0.8)])) == ["held up"]
    away = [State(10.0, "isolate", loss={(CLIENT, "n1"): 100}), State(10.5, "back")]
    assert not found(judge(away, before=[stream("n1")], streams=[stream("n1", gap=0.8)]))
