"""How heartbeats travel: over several links, by multicast, to peers, and through small MTUs.

The links eth1 and eth2 of a host lead to switches of their own, which carry heartbeats alone: what
happens there, clients do not notice.
"""

import re
import struct
import time

import pytest

from lab import Segment, kernel, poll

PORT, GROUP = 7742, "239.255.77.42"


class Side:
    """A switch for heartbeats: link eth`number` of hosts."""

    def __init__(self, run, name, number):
        self.segment, self.number = Segment(run, name), number
        self.link = f"eth{number}"

    def join(self, host, mtu=1500):
        port = f"p-{host.name}"
        self.segment.enter(["ip", "link", "add", port, "type", "veth", "peer", "name", self.link,
                            "mtu", mtu, "netns", host.namespace])
        self.segment.batch([f"link set {port} master br0 up"])
        host.batch([f"link set {self.link} up",
                    f"addr add {self.address(host)}/24 dev {self.link}"])
        if mtu >= 1280:
            host.batch([f"addr add {self.address6(host)}/64 dev {self.link} nodad"])
        poll("carrier", lambda: "LOWER_UP" in host.link(self.link)["flags"])

    def address(self, host):
        return f"10.8{self.number}.0.{host.number}"

    def address6(self, host):
        return f"fd8{self.number}::{host.number}"

    def cut(self, off):
        """The switch dies, or comes back. The hosts' links keep their carrier."""
        self.segment.batch([f"link set br0 {'down' if off else 'up'}"])


@pytest.fixture
def sides(run, request):
    """Makes sides that the hosts of a cluster join: sides(cluster, count=2, mtu=1500)."""
    made = []

    def make(cluster, count=2, mtu=1500):
        run.sides = getattr(run, "sides", 0) + 1
        for number in range(1, count + 1):
            side = Side(run, f"h{run.sides}{'xyz'[number]}", number)
            made.append(side)
            for node in cluster.nodes:
                side.join(node.host, mtu)
        return made[-count:]

    yield make
    for side in made:
        side.segment.delete()


def configure(cluster, links, **heartbeat):
    """Heartbeats of all nodes go over these links."""
    for node in cluster.nodes:
        config = node.config()
        config["heartbeat"]["interface"] = links
        config["heartbeat"].update(heartbeat)
        for key in [k for k, v in config["heartbeat"].items() if v is None]:
            del config["heartbeat"][key]
        node.config_write(config)


def beats(cluster, count):
    """Waits until every node has sent that many heartbeats more, as the kernels count."""
    def sent(node):
        text = node.host.enter(["cat", "/proc/net/snmp", "/proc/net/snmp6"]).stdout
        names, values = [line.split()[1:] for line in text.splitlines() if line.startswith("Udp:")]
        return int(dict(zip(names, values))["OutDatagrams"]) + \
            int(re.search(r"Udp6OutDatagrams\s+(\d+)", text)[1])

    want = {n.name: sent(n) + count for n in cluster.nodes}
    poll(f"{count} heartbeats", lambda: all(sent(n) >= want[n.name] for n in cluster.nodes), 20)


def views(cluster):
    """What each node thinks of the others, and whom it has refused."""
    return {n.name: (s["view"], s["counters"]["heartbeats_rejected"])
            for n in cluster.nodes for s in [n.status()]}


def unharmed(cluster, was):
    """No member was lost, called dead, or is silent to anybody; no heartbeat was refused."""
    for node in cluster.nodes:
        assert set(node.members().values()) == {"alive"}, node.log()[-2000:]
        assert not re.search(r" is dead| is silent|was called dead", node.log())
    assert views(cluster) == was


# --- several links

def test_losing_one_of_two_links_costs_nothing(new_cluster, sides):
    cluster = new_cluster(3, start=False)
    first, second = sides(cluster)
    configure(cluster, [first.link, second.link])
    cluster.start()
    was = views(cluster)
    with cluster.traffic(rate=200, streams=32) as t:
        t.wait_open()
        for side in (first, second, first):
            side.cut(True)
            beats(cluster, 20)
            unharmed(cluster, was)
            side.cut(False)
            poll("both switches carry heartbeats", lambda: heard_on(cluster, (first, second)))
        t.stop()
    unharmed(cluster, was)
    assert not t.failures(), t.told(t.failures())
    assert not t.broken


def heard_on(cluster, among):
    """True if every node gets datagrams on each of the links while this looks."""
    def received():
        return {(n.name, s.number): n.host.json(
            ["ip", "-j", "-s", "link", "show", "dev", s.link])[0]["stats64"]["rx"]["packets"]
            for n in cluster.nodes for s in among}

    before = received()
    poll("datagrams on every link",
         lambda: all(now >= before[key] + 4 for key, now in received().items()))
    return True


def test_a_link_that_goes_down_is_told_once(new_cluster, sides):
    """On one host; the others hear it by the other link."""
    cluster = new_cluster(3, start=False)
    first, second = sides(cluster)
    configure(cluster, [first.link, second.link])
    cluster.start()
    was, node = views(cluster), cluster.nodes[0]

    def told(pattern):
        return [line for line in node.log().splitlines() if re.search(pattern, line)]

    for turn in (1, 2):
        node.host.batch([f"link set {first.link} down"])
        poll("it is told", lambda t=turn: len(told(f"heartbeats to {first.link} do not")) == t)
        beats(cluster, 20)
        node.host.batch([f"link set {first.link} up"])
        poll("and its end", lambda t=turn: len(told(f"go out to {first.link} again")) == t, 15)
    unharmed(cluster, was)
    assert len(told("heartbeats to|go out to")) == 4


def test_both_links_gone_is_an_isolated_node(new_cluster, sides):
    """The other way round: the heartbeats of these tests do go by these links."""
    cluster = new_cluster(3, start=False)
    both = sides(cluster)
    configure(cluster, [side.link for side in both])
    cluster.start()
    node = cluster.nodes[0]
    for side in both:
        node.host.batch([f"link set {side.link} down"])
    cluster.converge(cluster.others(node))
    for side in both:
        node.host.batch([f"link set {side.link} up"])
    cluster.converge(timeout=15)


# --- multicast and peers

ALL = "239.255.77.42"
HOW = {
    "group": {},
    "group6": {"group": "ff02::4d2a"},
    "peers": {"peers": 4},
    "peers6": {"peers": 6},
    "both": {"group": ALL, "peers": 4},
}

DROP = """
table netdev lab {{
  chain in {{
    type filter hook ingress device "{link}" priority -200
    {what} udp dport 7742 drop
  }}
}}
"""


@pytest.mark.parametrize("how", HOW)
def test_every_way_of_sending(new_cluster, sides, how):
    """On two links at once, of which one is lost and comes back."""
    cluster = new_cluster(3, start=False)
    both = sides(cluster)
    options = dict(HOW[how])
    if "peers" in options:
        side4 = [side.address(n.host) for n in cluster.nodes for side in both]
        side6 = [side.address6(n.host) for n in cluster.nodes for side in both]
        options["peers"] = side4 if options["peers"] == 4 else side6
    configure(cluster, [side.link for side in both], **options)
    cluster.start()
    was = views(cluster)
    for side in both:
        side.cut(True)
        beats(cluster, 20)
        unharmed(cluster, was)
        side.cut(False)
    if how == "both":
        for what in (f"ip daddr {ALL}", f"ip daddr != {ALL}"):
            for node in cluster.nodes:
                for side in both:
                    node.host.enter(["nft", "-f", "-"], text=DROP.format(
                        link=side.link, what=what).replace("table netdev lab",
                                                           f"table netdev lab{side.number}"))
            beats(cluster, 30)
            unharmed(cluster, was)
            for node in cluster.nodes:
                for side in both:
                    node.host.enter(["nft", "delete", "table", "netdev", f"lab{side.number}"])
    cluster.converge()


# --- MTU

LONG = "-with-a-name-that-is-as-long-as-it-may-be".ljust(61, "-")
SMALL = 600 - 48  # what an MTU of 600 leaves for a heartbeat


def crowd(new_cluster, sides, mtu=1500, links=1, names=LONG):
    """Five nodes whose heartbeats would have more than SMALL bytes."""
    cluster = new_cluster(5, start=False)
    made = sides(cluster, links, mtu)
    for node in cluster.nodes:
        node.name += names
    configure(cluster, [side.link for side in made])
    return cluster, made


class Listener:
    """Another host on a side, which hears what goes to the group."""

    def __init__(self, side):
        self.side, self.run = side, side.segment.run
        self.host = side.segment.host("listener", 99)

    def lengths(self, count=40):
        """The lengths of the next heartbeats."""
        out = self.run.directory / f"heard-{time.monotonic_ns()}"
        process = self.host.start([self.run.tool("flood"), "record", "eth0", GROUP, PORT, count,
                                   out])
        assert process.wait(20) == 0
        self.run.end(process)
        data, at, found = out.read_bytes(), 0, []
        while at < len(data):
            length, = struct.unpack_from("=I", data, at)
            found.append(length)
            at += 4 + length
        return found


def mtu_set(cluster, side, mtu):
    for node in cluster.nodes:
        node.host.batch([f"link set {side.link} mtu {mtu}"])


def test_a_small_mtu_is_kept_to(new_cluster, sides):
    """Also if it changes at run time, there and back. Nobody is lost over it."""
    cluster, (side,) = crowd(new_cluster, sides)
    cluster.start()
    was, listener = views(cluster), Listener(side)
    poll("large heartbeats", lambda: max(listener.lengths()) > SMALL)
    for turn in (1, 2):
        mtu_set(cluster, side, 600)
        poll("all know it", lambda t=turn: all(
            n.log().count(f"heartbeats have at most {SMALL} bytes") == t for n in cluster.nodes))
        assert 300 < max(listener.lengths()) <= SMALL
        beats(cluster, 20)
        mtu_set(cluster, side, 1500)
        poll("large heartbeats", lambda: max(listener.lengths()) > SMALL)
    unharmed(cluster, was)
    cluster.converge()


def test_a_start_with_a_small_mtu(new_cluster, sides):
    cluster, (side,) = crowd(new_cluster, sides, mtu=600)
    cluster.start()
    assert max(Listener(side).lengths()) <= SMALL
    owners = list(cluster.owners().values())
    assert sorted(owners.count(n.name) for n in cluster.nodes) == [51, 51, 51, 51, 52]


def test_an_mtu_that_is_too_small_is_refused(new_cluster, sides):
    """At the start by a sentence, with the MTU that is needed; that one is enough."""
    cluster, (side,) = crowd(new_cluster, sides, mtu=400)
    node = cluster.nodes[0]
    before = kernel.snapshot(node.host)
    done = node.daemon("-f", "-c", node.config_path)
    assert done.returncode == 1
    needed = re.search(rf"{side.link}\b.*\bneeds an MTU of (\d+), it has 400", done.stderr)
    assert needed, done.stderr
    assert not kernel.difference(before, kernel.snapshot(node.host))
    mtu_set(cluster, side, int(needed[1]) - 1)
    assert node.daemon("-f", "-c", node.config_path).returncode == 1
    mtu_set(cluster, side, int(needed[1]))
    cluster.start()


def test_a_link_that_gets_too_small_is_lost_like_any_other(new_cluster, sides):
    """What goes out there fails, which is told once with what to do; the other link carries on
    with all that it can."""
    cluster, (first, second) = crowd(new_cluster, sides, links=2)
    cluster.start()
    was, listener = views(cluster), Listener(second)
    mtu_set(cluster, first, 300)
    for node in cluster.nodes:
        poll("it is told", lambda n=node: "do not fit the MTU" in n.log())
    beats(cluster, 30)
    unharmed(cluster, was)
    assert max(listener.lengths()) > SMALL
    for node in cluster.nodes:
        assert node.log().count("do not fit the MTU") == 1
        told = next(line for line in node.log().splitlines() if "do not fit" in line)
        assert first.link in told and "raise it to" in told
    mtu_set(cluster, first, 1500)
    for node in cluster.nodes:
        poll("it is well", lambda n=node: f"go out to {first.link} again" in n.log(), 15)
    unharmed(cluster, was)


def test_heartbeats_are_never_fragmented(new_cluster, sides):
    """DF is set on each, to the group and to peers."""
    cluster, (side,) = crowd(new_cluster, sides)
    configure(cluster, [side.link], group=GROUP,
              peers=[side.address(n.host) for n in cluster.nodes])
    cluster.start()
    for node in cluster.nodes[:2]:
        node.host.enter(["nft", "-f", "-"], text=f"""
            table inet lab {{
              chain out {{
                type filter hook output priority 0
                udp dport {PORT} ip frag-off & 0x4000 != 0 counter comment "df"
                udp dport {PORT} ip frag-off & 0x4000 == 0 counter comment "without"
              }}
            }}""")

    def packets(node, comment):
        text = node.host.enter(["nft", "list", "table", "inet", "lab"]).stdout
        return int(re.search(rf'packets (\d+) bytes \d+ comment "{comment}"', text)[1])

    for node in cluster.nodes[:2]:
        poll("heartbeats", lambda n=node: packets(n, "df") > 20)
        assert packets(node, "without") == 0
