"""Many nodes on one segment: what each costs, in CPU time, memory and bytes on the wire."""

import json
import os
import time
from pathlib import Path

from .cluster import Cluster
from .run import Ended, poll
from .segment import Segment

PORT = 7742
MTU = 1500
BATCH = 8

# Bytes of what is on the wire, from include/ipclusterd/wire.h and seal.h.
ETHERNET, IPV4, UDP = 14, 20, 8
SEAL = 16 + 24 + 16
FIXED = 1 + 8 + 4 + 4 + 2 + 2 + 4 + 8 + 8 + 4 + 6 + 17 + 2 + 2 + 2  # with neither name nor bitmaps
ACK = 16
ENTRY = 1 + 1 + 2 + 2 + 4 + 4 + 4 + 4                               # without its name
CLOCK = 3 + 8
VIPS, VIP = 3 + 8, 4 + 4
DATAGRAM_MAX = 1452


def frame_bytes(names, buckets=256, vips=2):
    """Bytes of the Ethernet frame of a quiet heartbeat of the first of the names: the mean that is
    to be expected, up to the limit where acknowledgements and entries take turns. No more exact
    than one entry there."""
    own, *others = [len(name) for name in names]
    datagram = (SEAL + FIXED + own + 2 * (buckets // 8) + CLOCK + VIPS + vips * VIP
                + sum(ACK + ENTRY + name for name in others))
    return ETHERNET + IPV4 + UDP + min(datagram, DATAGRAM_MAX)


def bytes_per_second(names, interval, buckets=256):
    """What a node sends in a quiet cluster, from each of its heartbeat interfaces."""
    return frame_bytes(names, buckets) / interval


class Counters:
    """Heartbeats counted at the switch's ports, as the nodes send them; and what must not be there:
    fragments, and packets larger than the MTU."""

    def __init__(self, segment):
        self.segment = segment
        ports = {h.name: h.port for h in segment.hosts}
        text = ["table netdev counted {", "counter fragments {}", "counter large {}"]
        text += [f"counter of_{name} {{}}" for name in ports]
        for name, port in ports.items():
            text += [f"chain from_{name} {{ type filter hook ingress device \"{port}\" priority 0;",
                     "ip frag-off & 0x3fff != 0 counter name fragments",
                     f"meta length > {MTU} counter name large",
                     f"udp dport {PORT} counter name of_{name}", "}"]
        segment.enter(["nft", "-f", "-"], text="\n".join([*text, "}"]) + "\n")

    def read(self):
        """{name: (packets, bytes without Ethernet's)}, `fragments` and `large` among them."""
        listed = json.loads(self.segment.enter(["nft", "-j", "list", "counters"]).stdout)
        found = [entry["counter"] for entry in listed["nftables"] if "counter" in entry]
        return {c["name"].removeprefix("of_"): (c["packets"], c["bytes"]) for c in found}


def cpu_seconds(process):
    """User and system time; schedstat counts in ns what stat counts in ticks."""
    text = Path(f"/proc/{process.pid}/schedstat")
    if text.exists():
        return int(text.read_text().split()[0]) / 1e9
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kib(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


class Crowd:
    """`count` daemons, with neither servers nor clients."""

    def __init__(self, run, count, name="crowd", **options):
        self.segment = Segment(run, name)
        self.cluster = Cluster(self.segment, count, flap=True, **options)  # as users have it
        self.segment.wait_ready()
        self.counters = Counters(self.segment)

    @property
    def nodes(self):
        return self.cluster.nodes

    def start(self, timeout=30.0):
        """Starts all, a batch as soon as the first node has taken in the one before: two CPUs
        cannot start many while the others run. Returns how long they took to agree, from the last
        start on."""
        for at in range(0, len(self.nodes), BATCH):
            batch, so_far = self.nodes[at:at + BATCH], self.nodes[:at + BATCH]
            for node in batch:
                node.start()
            began = time.monotonic()
            poll(lambda n=so_far: f"{n[0].name} sees {len(n)} nodes that agree",
                 lambda n=so_far: self._whole(n[0], {x.name for x in n}), timeout, 0.1)
        return self.agreed(self.nodes, began, timeout)

    @staticmethod
    def _whole(node, names):
        """True if these and no others are a whole cluster in the eyes of the node."""
        if not node.running:
            raise Ended(f"{node.name} has ended: {node.log()[-2000:]}")
        status = node.status()
        living = {m["name"] for m in status["members"] if m["state"] == "alive"}
        return living == names and status["converged"]

    def agreed(self, nodes, since, timeout=30.0):
        """Waits until these and no others are a whole cluster in the eyes of each; returns the
        seconds from `since` to the last one's word of it, in its log. Asks one after the other and
        not often, for the answers are long and cost what is measured."""
        names = {n.name for n in nodes}
        left = list(nodes)

        def all_whole():
            while left:
                if not self._whole(left[0], names):
                    return False
                left.pop(0)
            return True

        poll(lambda: f"{left[0].name} sees {len(names)} nodes that agree", all_whole, timeout, 0.1)
        told = [n.told("converged", since) for n in nodes]
        return max((lines[-1][0] for lines in told if lines), default=since) - since

    def quiet(self, seconds):
        """What the nodes cost while nothing happens."""
        before, began = [cpu_seconds(n.process) for n in self.nodes], time.monotonic()
        counted = self.counters.read()
        poll("quiet time", lambda: time.monotonic() - began > seconds, seconds + 30, 0.2)
        now, spent = self.counters.read(), time.monotonic() - began
        cpu = [100 * (cpu_seconds(n.process) - b) / spent for n, b in zip(self.nodes, before)]
        sent = {n.name: [(a - b) / spent for a, b in zip(now[n.name], counted[n.name])]
                for n in self.nodes}
        return {"seconds": spent, "cpu": cpu, "rss": [rss_kib(n.process) for n in self.nodes],
                "datagrams": {name: packets for name, (packets, _) in sent.items()},
                "bytes": {name: octets + packets * ETHERNET
                          for name, (packets, octets) in sent.items()},
                "fragments": now["fragments"][0], "large": now["large"][0]}

    def close(self):
        for node in self.nodes:  # all at once, or each would hand over to those that go next
            if node.running:
                node.process.kill()
        self.cluster.stop()
        self.segment.delete()
