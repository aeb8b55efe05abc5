"""Who may serve when some are not heard: majorities of three, and a witness for two.

Clients reach all nodes all the time: a node that serves beside the others is found out by what they
see. No source may be answered by two nodes, at no time.
"""

import signal
import time

import pytest

from lab import kernel, poll
from lab.faults import Wires
from test_failover import BOUND, LEASE, SLACK, survivors, twice, unbroken

MAJORITY = {"cluster": {"quorum": "majority"}}


def apart(*sides):
    """What the wires lose so that hosts of one side and of another hear nothing of each other."""
    return {(x.name, y.name): 100 for a in sides for b in sides if a is not b
            for x in a for y in b}


def hosts(*nodes):
    return [n.host for n in nodes]


def quorum(node):
    return node.status()["quorum"]


def isolated(node):
    """Waits until a node says so, and its kernel lets in nothing new."""
    poll(f"{node.name} is isolated", lambda: node.status()["state"] == "isolated")
    poll(f"the kernel of {node.name} claims nothing",
         lambda: not kernel.lease(node.host, 0) and not kernel.lease(node.host, 1))


def stays_isolated(t, node, seconds=1.5):
    """Longer than any wait of a newcomer: a node that would serve by mistake does so by then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert node.status()["state"] == "isolated"
        assert not any(kernel.claims(node.host, vip) for vip in range(2))
        t.run_for(0.05)


def answered_once(t):
    assert not t.doubles, t.doubles[:4]
    assert not twice(t), twice(t)[:4]


def stray(t, *windows):
    """Failures outside of the (since, until) in which there may be some."""
    return [c for c in t.failures()
            if not any(since - 0.2 <= c.start < until for since, until in windows)]


@pytest.fixture
def majority(new_cluster):
    return new_cluster(3, options=MAJORITY)


@pytest.fixture
def wires(segment):
    made = Wires(segment)
    yield made
    made.set({})


def traffic(cluster, **options):
    return cluster.traffic(**{"rate": 300, "deadline": 0.2, "udp_rate": 300, "udp_deadline": 0.1,
                              "streams": 64, "sniff": True, **options})


# --- a majority of three

def test_three_serve_and_one_dies(majority):
    victim = majority.nodes[1]
    for node in majority.nodes:
        q = quorum(node)
        assert (q["policy"], q["have"], q["voters"], q["heard"]) == ("majority", True, 3, 3)
    with traffic(majority) as t:
        before = t.wait_open()
        died = victim.die()
        majority.converge(majority.others(victim))
        t.run_for(max(0.5, died + 1.5 - time.monotonic()))
        assert majority.nodes[0].members()[victim.name] == "dead"
        victim.revive()
        majority.converge()
        t.run_for(0.5)
        t.stop()
    answered_once(t)
    late = stray(t, (died, died + BOUND))
    assert not late, f"death at {died:.3f}\n" + t.told(late)
    assert not unbroken(survivors(before, victim), t.final_streams)


def test_a_minority_claims_nothing(majority, wires):
    """One is cut off from two, but not from the clients."""
    one, rest = majority.nodes[2], majority.nodes[:2]
    with traffic(majority) as t:
        before = t.wait_open()
        cut = time.monotonic()
        wires.set(apart(hosts(one), hosts(*rest)))
        done = time.monotonic()
        for vip in range(2):
            assert kernel.lease_end(one.host, vip) - done <= LEASE + SLACK
        isolated(one)
        assert not quorum(one)["have"] and quorum(one)["heard"] == 1
        # without a majority it pronounces nobody dead; the first to fall silent may go before that
        assert "suspect" in one.members().values()
        majority.converge(rest)
        assert all(quorum(n)["have"] for n in rest)
        stays_isolated(t, one)
        healed = time.monotonic()
        wires.set({})
        majority.converge()
        t.run_for(0.5)
        t.stop()
    answered_once(t)
    late = stray(t, (cut, cut + BOUND))
    assert not late, f"cut at {cut:.3f}, healed at {healed:.3f}\n" + t.told(late)
    assert not unbroken(survivors(before, one), t.final_streams)


def test_nobody_claims_without_a_majority(majority, wires):
    """Each is cut off from each: nobody serves. One link is mended: those two serve."""
    a, b, c = majority.nodes
    with traffic(majority, streams=0) as t:
        t.wait_connections(50)
        wires.set(apart(hosts(a), hosts(b), hosts(c)))
        for node in majority.nodes:
            isolated(node)
        t.run_for(1.5)
        for node in majority.nodes:
            assert not kernel.claims(node.host) and node.status()["state"] == "isolated"
        mended = time.monotonic()
        wires.set(apart(hosts(a, b), hosts(c)))
        majority.converge([a, b])
        t.run_for(max(0.5, mended + BOUND + 0.3 - time.monotonic()))
        stays_isolated(t, c, 0.5)
        wires.set({})
        majority.converge()
        t.run_for(0.5)
        t.stop()
    answered_once(t)
    served = {s for s, nodes in t.served_by(mended + BOUND).items()}
    assert served == set(t.sources)
    late = [f for f in t.failures() if f.start > mended + BOUND]
    assert not late, f"mended at {mended:.3f}\n" + t.told(late)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_daemon_starts_again_under_a_majority(majority, how):
    node = majority.nodes[1]
    with traffic(majority, streams=0, deadline=3.0) as t:
        t.wait_connections(50)
        for _ in range(2):
            since = time.monotonic()
            getattr(node, how)()
            node.start()
            majority.converge()
        t.run_for(0.5)
        t.stop()
    answered_once(t)
    assert {q["voters"] for q in map(quorum, majority.nodes)} == {3}
    if how == "stop":
        late = [c for c in t.failures() if c.connect < 0]
        assert not late, f"since {since:.3f}\n" + t.told(late)


def test_one_of_three_does_not_found_a_cluster_of_its_own(majority):
    """All stop, one starts: it knows that there are three."""
    for node in majority.nodes:
        node.kill()
    a, b, c = majority.nodes
    with traffic(majority, streams=0) as t:
        a.start()
        a.wait_answer()
        isolated(a)
        stays_isolated(t, a, 2.0)
        assert quorum(a)["voters"] == 3
        b.start()
        majority.converge([a, b])
        c.start()
        majority.converge()
        t.stop()
    answered_once(t)


def forget(by, node):
    return by.ctl("forget", node.name, check=False)


def test_forget_needs_a_majority(majority):
    a, b, c = majority.nodes
    c.die()
    majority.converge([a, b])
    assert forget(a, c).returncode == 0
    for node in (a, b):
        poll(f"{c.name} is no voter to {node.name}", lambda n=node: quorum(n)["voters"] == 2)
        poll(f"{c.name} is off {node.name}'s roster", lambda n=node: c.name not in n.members())
    majority.converge([a, b])
    b.die()
    isolated(a)
    done = forget(a, b)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    poll("it is refused", lambda: quorum(a)["voters"] == 2 and not quorum(a)["have"])
    assert b.name in a.members()
    isolated(a)
    b.revive()
    majority.converge([a, b])
    # who was forgotten comes in as a newcomer
    c.revive()
    majority.converge()
    assert {q["voters"] for q in map(quorum, majority.nodes)} == {3}


def test_all_nodes_are_replaced_one_by_one(new_cluster):
    """A new one in, an old one out, three times: nobody waits, and nobody is answered twice."""
    cluster = new_cluster(6, start=False, options=MAJORITY)
    old, new = cluster.nodes[:3], cluster.nodes[3:]
    cluster.segment.wait_ready()
    for node in cluster.nodes:
        node.serve()
    for node in old:
        node.start()
    members = list(old)
    cluster.converge(members)
    with traffic(cluster, streams=0, deadline=3.0) as t:
        t.wait_connections(50)
        for fresh, gone in zip(new, old):
            fresh.start()
            members.append(fresh)
            cluster.converge(members)
            poll("it is a voter", lambda: quorum(members[0])["voters"] == 4)
            assert gone.stop() == 0
            members.remove(gone)
            cluster.converge(members)
            assert forget(members[-1], gone).returncode == 0
            poll("the other is none", lambda: all(quorum(n)["voters"] == 3 for n in members))
            cluster.converge(members)
        t.run_for(0.5)
        t.stop()
    answered_once(t)
    refused = [c for c in t.failures() if c.connect < 0]
    assert not refused, t.told(refused)
    assert set(cluster.owners(members[0]).values()) == {n.name for n in new}


# --- two and a witness

@pytest.fixture
def pair(request, new_cluster, segment):
    """Two nodes with the router for a witness: by IPv4, unless a test wants 6."""
    router, _ = segment.add_router()
    address = router.address6 if getattr(request, "param", 4) == 6 else router.address4
    cluster = new_cluster(2, options={"cluster": {"witness": address}})
    for node in cluster.nodes:
        assert node.status()["witness"] == {"address": address, "answers": True}
    cluster.router = router
    return cluster


def witness_answers(node):
    return node.status()["witness"]["answers"]


@pytest.mark.parametrize("how", ["cable", "port"])
def test_the_one_without_its_cable_yields(pair, how):
    """By carrier, or, where that stays, by the witness."""
    one, other = pair.nodes
    with traffic(pair) as t:
        before = t.wait_open()
        cut = time.monotonic()
        if how == "cable":
            one.host.cable(False)
        else:
            one.host.cut(True)
        isolated(one)
        assert witness_answers(other)
        pair.converge([other])
        t.run_for(max(0.5, cut + 1.5 - time.monotonic()))
        if how == "cable":
            one.host.cable(True)
        else:
            one.host.cut(False)
        pair.converge()
        t.run_for(0.3)
        t.stop()
    answered_once(t)
    assert not [c for c in stray(t, (cut, cut + BOUND)) if c.start < cut + 1.5], \
        t.told(stray(t, (cut, cut + BOUND)))
    assert not unbroken(survivors(before, one), t.final_streams)


@pytest.mark.parametrize("pair", [4, 6], indirect=True, ids=["IPv4", "IPv6"])
def test_the_one_without_the_witness_yields(pair, wires):
    """They hear each other no more, clients reach both: it serves who hears the witness."""
    one, other = pair.nodes
    with traffic(pair) as t:
        before = t.wait_open()
        for _ in range(2):
            cut = time.monotonic()
            wires.set(apart(hosts(one), [*hosts(other), pair.router]))
            isolated(one)
            assert not witness_answers(one) and witness_answers(other)
            pair.converge([other])
            stays_isolated(t, one, max(0.5, cut + 1.5 - time.monotonic()))
            ended = time.monotonic()
            late = stray(t, (cut, cut + BOUND))
            assert not [c for c in late if cut <= c.start < ended], t.told(late)
            wires.set({})
            pair.converge()
            poll("the witness answers again", lambda: witness_answers(one))
            t.run_for(0.3)
        t.stop()
    answered_once(t)
    assert not unbroken(survivors(before, one), t.final_streams)


def test_a_silent_witness_harms_nobody_who_has_company(pair):
    one, other = pair.nodes
    with traffic(pair) as t:
        t.wait_open()
        pair.router.cut(True)
        for node in pair.nodes:
            poll(f"{node.name} misses the witness", lambda n=node: not witness_answers(n))
        pair.converge()
        t.run_for(1.0)
        assert not t.failures(), t.told(t.failures())
        assert all(s.state == "open" for s in t.streams())
        died = other.die()
        isolated(one)  # both are gone: it cannot know who is cut off
        stays_isolated(t, one)
        pair.router.cut(False)
        back = time.monotonic()
        pair.converge([one])
        t.run_for(max(0.3, back + 2.2 - time.monotonic()))
        t.stop()
    answered_once(t)
    late = [c for c in t.failures() if c.start < died - 0.2 or c.start > back + 2.0]
    assert not late, t.told(late)


def test_alone_from_the_start(pair):
    """Who starts without the witness and without company serves nobody before it has one."""
    one, other = pair.nodes
    one.kill()
    other.kill()
    pair.router.cut(True)
    with traffic(pair, streams=0) as t:
        one.start()
        one.wait_answer()
        poll("it misses the witness", lambda: not witness_answers(one))
        stays_isolated(t, one, 2.0)
        pair.router.cut(False)
        pair.converge([one])
        t.stop()
    answered_once(t)


def test_the_witness_is_changed_while_it_runs(pair, wires):
    one, other = pair.nodes
    was = one.config()["cluster"]["witness"]
    nobody = "10.77.0.253"

    def reload(node, address):
        config = node.config()
        config["cluster"].pop("witness")
        if address:
            config["cluster"]["witness"] = address
        node.config_write(config)
        node.ctl("reload")

    with traffic(pair) as t:
        t.wait_open()
        reload(one, nobody)
        poll("the new one does not answer", lambda: one.status()["witness"] == {
            "address": nobody, "answers": False})
        reload(one, was)
        poll("the old one does", lambda: one.status()["witness"] == {
            "address": was, "answers": True})
        reload(one, None)
        assert one.status()["witness"] is None
        pair.converge()
        t.stop()
    assert not t.failures(), t.told(t.failures())
    answered_once(t)
    # without a witness it serves alone
    wires.set(apart(hosts(one), [*hosts(other), pair.router]))
    pair.converge([one])
    reload(one, was)
    isolated(one)


def test_a_stall_is_no_silence_of_the_witness(pair):
    """While the daemon stands still it asks nothing: it does not take that for no answer."""
    one, other = pair.nodes
    other.kill()
    pair.converge([one])
    for _ in range(3):
        one.signal(signal.SIGSTOP)
        poll("a while", lambda since=time.monotonic(): time.monotonic() > since + 1.0, 2)
        one.signal(signal.SIGCONT)
        pair.converge([one])
    assert not one.told("the witness does not answer")


