"""What can go wrong with hosts and wires, each to be begun and ended at an instant.

Everything is done where the nodes do not see it: losses at the ports of the switch, floods from a
host of their own, burners beside the daemons. Nothing of the machine itself is changed.
"""

import os
import subprocess
import sys

from .run import Failure

NOISE = """
import random, socket, struct, sys, time
vip4, vip6, shared4, shared6, rate, *others = sys.argv[1:]
def mac(text): return bytes.fromhex(text.replace(":", ""))
def ip4(text): return socket.inet_aton(text)
def ip6(text): return socket.inet_pton(socket.AF_INET6, text)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
own, all_hosts = s.getsockname()[4], b"\\xff" * 6
def arp(op, sender_mac, sender, target):
    return (all_hosts + own + b"\\x08\\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, op)
            + sender_mac + sender + bytes(6) + target).ljust(60, b"\\0")
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def advert(target, target_mac):
    to = ip6("ff02::1")
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + target + b"\\x02\\x01" + target_mac
    pseudo = target + to + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return (b"\\x33\\x33\\0\\0\\0\\1" + own + b"\\x86\\xdd"
            + struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + target + to + body)
r = random.Random(1)
def frame():
    kind = r.randrange(7)
    v4, v6 = ip4(vip4), ip6(vip6)
    someone = ip4(r.choice(others))
    if kind == 0: return arp(1, mac(shared4), v4, v4)      # announced as it is
    if kind == 1: return advert(v6, mac(shared6))
    if kind == 2: return arp(r.choice((1, 2)), own, v4, v4)  # claimed by a stranger
    if kind == 3: return advert(v6, own)
    if kind == 4: return arp(r.choice((1, 2)), own, someone, someone)
    if kind == 5: return arp(1, own, someone, v4)          # asked for, by nobody
    junk = bytes(r.randrange(256) for _ in range(6))
    return arp(r.choice((1, 2, 3, 9)), junk, bytes(r.randrange(1, 224) for _ in range(4)), v4)
print("ready", flush=True)
due = time.monotonic()
while True:
    for _ in range(max(1, int(rate) // 100)):
        s.send(frame())
    due += 0.01
    time.sleep(max(0.0, due - time.monotonic()))
"""

PORTS = """
import fcntl, socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("ready", flush=True)
for line in sys.stdin:
    name, up = line.split()
    request = struct.pack("16sH14x", name.encode(), 0)
    flags = struct.unpack("16sH14x", fcntl.ioctl(s, 0x8913, request))[1]
    flags = flags | 1 if up == "1" else flags & ~1
    before = time.monotonic()
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", name.encode(), flags))
    print(before, time.monotonic(), flush=True)
"""


class Wires:
    """Frames that the switch loses, by sender and receiver, in percent."""

    def __init__(self, segment):
        self.segment = segment
        self._loss = {}

    def set(self, loss):
        """`loss`: {(sender, receiver): percent}, hosts by name; what is not named gets through.
        All at one instant."""
        if loss == self._loss:
            return
        hosts = {h.name: h for h in self.segment.hosts}
        chains = {}
        for (sender, receiver), percent in sorted(loss.items()):
            some = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
            chains.setdefault(receiver, []).append(f"ether saddr {hosts[sender].mac} {some}drop")
        text = ["add table netdev wires", "delete table netdev wires"]
        if chains:
            text.append("table netdev wires {")
            for receiver, rules in chains.items():
                text += [f"chain to_{receiver} {{ type filter hook egress device "
                         f'"{hosts[receiver].port}" priority 0;', *rules, "}"]
            text.append("}")
        self.segment.enter(["nft", "-f", "-"], text="\n".join(text) + "\n")
        self._loss = dict(loss)


class Ports:
    """Cables pulled and plugged within microseconds: set() tells before and after which instant it
    happened."""

    def __init__(self, segment):
        self.run = segment.run
        self._process = self.run.start([sys.executable, "-c", PORTS], segment.namespace,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       bufsize=1)
        if self._process.stdout.readline() != "ready\n":
            raise Failure("the hand at the switch's ports did not start")

    def set(self, host, plugged):
        self._process.stdin.write(f"{host.port} {int(plugged)}\n")
        before, after = self._process.stdout.readline().split()
        return float(before), float(after)

    def close(self):
        self.run.end(self._process, kill=True)


class Noise:
    """A host that floods the segment with ARP and neighbour advertisements about the virtual
    addresses and others: true ones, false ones and nonsense."""

    def __init__(self, segment, number=99, rate=500):
        self.host = segment.host("noise", number)
        self.rate = rate
        self._process = None

    def begin(self, cluster, shared):
        """`shared`: the shared MACs of the IPv4 and of the IPv6 address."""
        self._process = self.host.start(
            [sys.executable, "-c", NOISE, cluster.vip4, cluster.vip6, *shared, self.rate,
             *(n.host.address4 for n in cluster.nodes), "10.77.9.9"],
            stdout=subprocess.PIPE, text=True)
        self._process.stdout.readline()

    def end(self):
        if self._process is not None:
            self.host.run.end(self._process, kill=True)
            self._process = None


class Burners:
    """Processes that want all of the CPUs, without any priority."""

    def __init__(self, run, per_cpu=2):
        self.run, self.count = run, per_cpu * len(os.sched_getaffinity(0))
        self._processes = []

    def begin(self):
        self._processes = [self.run.start(["sh", "-c", "while :; do :; done"])
                           for _ in range(self.count)]

    def end(self):
        for process in self._processes:
            self.run.end(process, kill=True)
        self._processes = []


class WallClock:
    """What CLOCK_REALTIME shows to one daemon; see wallclock.c. To be made before it starts."""

    def __init__(self, node):
        self._file = node.directory / "wallclock"
        self.step(0)
        # a daemon with sanitizers would rather be loaded first
        quiet = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        node.environment.update(LD_PRELOAD=str(node.run.library("wallclock")),
                                WALLCLOCK=str(self._file), ASAN_OPTIONS=quiet.lstrip(":"))

    def step(self, seconds):
        """From now on it is ahead by so much."""
        file = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
        os.write(file, f"{seconds:+020d}\n".encode())  # in place, and always as long
        os.close(file)
