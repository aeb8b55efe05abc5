"""Segment by segment: what each node does with exactly this packet at exactly that time."""

import json
import re
import time

import pytest

from lab import kernel, packet, poll
from lab.packet import ACK, FIN, PSH, RST, SYN
from lab.traffic import UDP
from lab.wire import Flow, Wire
from test_drain import drained

DEAD_AFTER, ORPHAN_AFTER = 0.4, 1.0


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request):
    return request.param


@pytest.fixture
def wire(three):
    with Wire(three) as made:
        yield made


def bucket_of(cluster, node):
    """A bucket whose home is the node."""
    return next(b["bucket"] for b in node.buckets() if b["home"] == node.name)


def move_from(cluster, node):
    """All buckets of the node go to the others, by a hand-over."""
    node.ctl("drain")
    drained(cluster, node)
    poll("nobody releases", lambda: not any(b["class"] == "release" for b in node.buckets()))


def tracked(node, flow):
    """The states of the flow in a node's conntrack."""
    family = ["-f", "ipv6"] if ":" in flow.address else []
    text = node.host.enter(["conntrack", "-L", "-p", "tcp", "--orig-src", flow.address,
                            "--orig-port-src", flow.sport, *family], check=False).stdout
    return re.findall(r"^tcp\s+\d+\s+\d+\s+(\w+)\s", text, re.M)


def class_of(node, bucket, family):
    return (kernel.class_map(node.host, 0 if family == 4 else 1) or {}).get(bucket, "foreign")


def orphans(cluster):
    return sum(v["packets"]["orphan_reset"] for n in cluster.nodes if n.running
               for v in n.status()["vips"])


def moved_flow(cluster, wire, family):
    """A flow of n1 whose bucket is now another's: (flow, n1, the new owner, the others)."""
    a = cluster.nodes[0]
    bucket = bucket_of(cluster, a)
    flow = Flow(wire, family, bucket).open()
    assert flow.node == a.name
    move_from(cluster, a)
    owner = cluster[cluster.owners(cluster.nodes[1])[bucket]]
    assert owner is not a
    return flow, a, owner


def accepted(node, family):
    """Packets that a node has let in; nobody but the test sends any."""
    return node.status()["vips"][0 if family == 4 else 1]["packets"]["accepted"]


# --- the middle of a flow

def test_a_mid_stream_ack_at_a_node_that_never_saw_the_flow(three, wire, family):
    """It is the owner of the bucket, and says nothing while another lingers."""
    was = orphans(three)
    flow, a, owner = moved_flow(three, wire, family)
    bucket = three.bucket(flow.address)
    assert class_of(owner, bucket, family) == "adopt" and class_of(a, bucket, family) == "linger"
    flow.line(b"after\n")
    flow.send(ACK, seq=flow.seq - 1)
    assert flow.nodes() == [a.name]
    assert [tracked(n, flow) for n in three.nodes] == \
        [["ESTABLISHED"] if n is a else [] for n in three.nodes]
    assert orphans(three) == was
    # A flow that nobody has is no different as long as somebody might have it.
    stray = Flow(wire, family, bucket)
    stray.send(ACK, ack=1)
    assert stray.answers() == []
    flow.reset()


def test_a_mid_stream_segment_of_no_flow_is_reset_by_the_owner_alone(three, wire, family):
    for node in three.nodes:
        bucket = bucket_of(three, node)
        poll("nobody else can have flows of it",
             lambda n=node, b=bucket: class_of(n, b, family) == "own", 20)
        was = orphans(three)
        stray = Flow(wire, family, bucket)
        stray.send(PSH | ACK, b"hello\n", ack=4711)
        answers = stray.answers()
        assert [(wire.node_of(h), h.flags, h.seq) for h in answers] == [(node.name, RST, 4711)]
        assert orphans(three) > was


def test_keepalives_are_answered_after_a_move(three, wire, family):
    flow, a, _ = moved_flow(three, wire, family)
    a.host.tell("net.ipv4.tcp_invalid_ratelimit", 0)  # it answers them twice a second at most
    try:
        for _ in range(3):
            flow.send(ACK, seq=flow.seq - 1)  # as the kernel sends them
            answers = flow.answers()
            assert [(wire.node_of(h), h.flags, h.ack) for h in answers] == \
                [(a.name, ACK, flow.seq % 2**32)]
        flow.reset()
    finally:
        a.host.tell("net.ipv4.tcp_invalid_ratelimit", 500)


def test_a_large_window_stays_large_after_a_move(three, wire, family):
    """Window scaling is of the handshake, which the new owner has not seen."""
    a = three.nodes[0]
    flow = Flow(wire, family, bucket_of(three, a))
    answer = flow.syn(options=b"\2\4\5\xb4\1\3\3\x0a")
    assert b"\3\3" in answer.raw
    flow.send(ACK, window=65535)
    flow.line()
    move_from(three, a)
    text = b"x" * 900 + b"\n"
    for _ in range(150):  # more than a window without a scale
        flow.line(text)
    assert tracked(a, flow) == ["ESTABLISHED"]
    flow.reset()


# --- the beginning

def test_a_retransmitted_syn_across_a_move(three, wire, family):
    """The first SYN's answer is lost; the second goes to the owner of now, and only that flow is
    there for the client, whatever the old half of it does."""
    a = three.nodes[0]
    bucket = bucket_of(three, a)
    flow = Flow(wire, family, bucket)
    flow.syn()
    assert flow.node == a.name and tracked(a, flow) == ["SYN_RECV"]
    move_from(three, a)
    owner = three[three.owners(three.nodes[1])[bucket]]
    assert class_of(a, bucket, family) == "linger"
    was = accepted(a, family)
    flow.syn_again()
    answers = [h for h in flow.answers() if wire.node_of(h) != a.name]
    assert accepted(a, family) == was  # though it says again by itself what it has said
    assert {(wire.node_of(h), h.flags) for h in answers} == {(owner.name, SYN | ACK)}
    flow.node, flow.ack = owner.name, answers[0].seq + 1
    flow.send(ACK)
    for _ in range(3):
        flow.line()
    # The old half may say again what it said, but not reset what it does not know.
    old = [h for h in wire.listen(flow.ours) if wire.node_of(h) == a.name]
    assert {h.flags for h in old} <= {SYN | ACK}, old
    flow.reset()


def test_a_half_open_flow_is_finished_where_it_began(three, wire, family):
    a = three.nodes[0]
    flow = Flow(wire, family, bucket_of(three, a))
    flow.syn()
    move_from(three, a)
    flow.send(ACK)
    flow.line()
    assert flow.node == a.name and tracked(a, flow) == ["ESTABLISHED"]
    flow.reset()


def test_a_syn_cookie_is_finished_where_it_began(three, wire, family):
    """The node keeps nothing of the SYN but what conntrack knows."""
    a = three.nodes[0]
    a.host.tell("net.ipv4.tcp_syncookies", 2)
    try:
        flow = Flow(wire, family, bucket_of(three, a))
        flow.syn()
        listing = a.host.enter(["ss", "-Htn", "state", "syn-recv", "src", f"[{flow.vip}]"]).stdout
        assert str(flow.sport) not in listing
        move_from(three, a)
        flow.send(ACK)
        flow.line()
        assert flow.node == a.name
        flow.reset()
    finally:
        a.host.tell("net.ipv4.tcp_syncookies", 1)


# --- the end

def test_a_reset_after_a_move_ends_the_flow(three, wire, family):
    flow, a, owner = moved_flow(three, wire, family)
    flow.reset()
    assert flow.answers() == []
    poll("the flow has ended", lambda: tracked(a, flow) in ([], ["CLOSE"]))
    # What others have left half-open in the bucket takes the kernel a minute to forget.
    poll("lingering ends", lambda: class_of(a, three.bucket(flow.address), family) == "foreign", 90)
    # A reset for a flow that nobody has is answered by nobody.
    stray = Flow(wire, family, three.bucket(flow.address))
    stray.send(RST | ACK, ack=1)
    assert stray.answers() == []
    assert tracked(owner, stray) in ([], ["CLOSE"])


def test_a_fin_after_a_move_and_the_same_ports_again(three, wire, family):
    """The flow ends on its node; a SYN from the same address and port, while that is in
    TIME_WAIT there, is the owner's."""
    flow, a, owner = moved_flow(three, wire, family)
    last = flow.finish()
    assert wire.node_of(last) == a.name
    poll("the flow has ended", lambda: tracked(a, flow) in (["TIME_WAIT"], ["CLOSE"], []))
    again = Flow(wire, family, three.bucket(flow.address), sport=flow.sport)
    again.seq = flow.seq + 100000
    since = len(wire.heard)
    again.open()
    assert again.node == owner.name
    assert {wire.node_of(h) for h in wire.listen(again.ours, since=since)} == {owner.name}
    again.send(ACK, seq=again.seq - 1)
    assert again.nodes() == [owner.name]
    again.reset()


def test_the_same_ports_again_while_the_old_flow_is_open(three, wire, family):
    """A client that has forgotten its flow, after a crash for instance: its SYN is the owner's,
    and the old node, which still has the flow, is not to be heard."""
    flow, a, owner = moved_flow(three, wire, family)
    again = Flow(wire, family, three.bucket(flow.address), sport=flow.sport)
    again.seq = flow.seq + 0x40000000
    since, was = len(wire.heard), accepted(a, family)
    again.open()
    for _ in range(5):
        again.line()
    assert {wire.node_of(h) for h in wire.listen(again.ours, since=since)} == {owner.name}
    assert accepted(a, family) == was
    again.reset()


# --- what is said about a flow by others

def test_frag_needed_from_the_router_of_a_third_bucket(three, wire, family):
    """An ICMP error about n1's flow, of which n2 now has the bucket, from a router whose address
    is in a bucket of n3: n1 takes it."""
    flow, a, owner = moved_flow(three, wire, family)
    third = next(n for n in three.nodes if n not in (a, owner))
    router = wire.address(family, next(b for b, name in three.owners(third).items()
                                       if name == third.name and b > 15))
    flow.send(PSH | ACK, b"line\n")
    flow.seq += 5
    echo = flow.hear(lambda h: h.data)  # not acknowledged: what the router speaks of is under way
    wire.send(packet.too_big(router, echo.raw, 1300))

    def learned(node):
        route = node.host.json(["ip", "-j", "route", "get", flow.address])[0]
        return json.dumps(route).count('"mtu": 1300')

    poll("its node knows", lambda: learned(a) == 1, 2)
    assert [learned(n) for n in three.nodes if n is not a] == [0, 0]
    flow.ack = echo.seq + len(echo.data)
    flow.line()
    flow.reset()


def test_udp_in_three_fragments(three, wire, family):
    """In any order, also while the bucket is being moved: one answer, by one node."""
    client = 31000
    for number, order in enumerate(((0, 1, 2), (2, 1, 0), (1, 2, 0))):
        for bucket in range(16, 256, 20):
            address, vip = wire.address(family, bucket), wire.vip(family)
            datagram = packet.udp_datagram(address, vip, client + number, UDP, b"u" * 1000)
            parts = packet.fragments(address, vip, packet.UDP, datagram, 400,
                                     number << 8 | bucket)
            assert len(parts) == 3
            since = len(wire.heard)
            wire.send(*(parts[i] for i in order))

            def answer(h, to=address, port=client + number):
                return (h.protocol, h.target, h.dport) == (packet.UDP, to, port)
            wire.hear(answer, since=since)
            found = wire.listen(answer, 0.02, since)
            owner = three.owners()[bucket]
            assert [(wire.node_of(h), h.data.split()[0]) for h in found] == \
                [(owner, owner.encode())]


# --- flows of the dead

def test_the_first_segment_after_orphan_after_is_reset(three, wire, family):
    """And none before it."""
    a = three.nodes[0]
    flow = Flow(wire, family, bucket_of(three, a)).open()
    died = a.die()
    first = None
    while first is None:
        flow.send(PSH | ACK, b"line\n")
        sent = time.monotonic()
        answers = flow.answers(0.05)
        if sent < died + ORPHAN_AFTER:
            assert not answers, answers
        assert sent < died + DEAD_AFTER + ORPHAN_AFTER + 0.6, "no reset"
        first = answers[0] if answers else None
    owner = three.owners(three.nodes[1])[three.bucket(flow.address)]
    assert (wire.node_of(first), first.flags, first.seq) == (owner, RST, flow.ack % 2**32)
    assert len(answers) == 1 and first.when - sent < 0.05


def test_a_lost_handshake_is_begun_anew_at_the_next_owner(three, wire, family):
    """The node dies between the SYN and its acknowledgement."""
    a = three.nodes[0]
    flow = Flow(wire, family, bucket_of(three, a))
    flow.syn()
    a.die()
    three.converge(three.nodes[1:])
    flow.syn_again()
    answer = flow.hear(lambda h: h.flags & SYN)
    flow.ack = answer.seq + 1
    assert wire.node_of(answer) == three.owners(three.nodes[1])[three.bucket(flow.address)]
    flow.reset()


def test_fin_of_a_dead_flow(three, wire, family):
    a = three.nodes[0]
    flow = Flow(wire, family, bucket_of(three, a)).open()
    died = a.die()
    three.converge(three.nodes[1:])
    flow.send(FIN | ACK)
    assert flow.answers(0.1) == []
    poll("it is an orphan", lambda: time.monotonic() > died + DEAD_AFTER + ORPHAN_AFTER + 0.2, 3)
    flow.send(FIN | ACK)
    assert [h.flags for h in flow.answers()] == [RST]
