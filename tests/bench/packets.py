"""What a packet costs, one that is another node's and one that is ours: receivers side by side, each
with rules of its own."""

import ipaddress
import itertools
import shutil
import statistics
import struct
import subprocess
import sys

from lab import Failure
from lab.run import command

VIPS = {4: ("10.77.0.2", 16), 6: ("fd77::2", 64)}
OWN, SHARED = "02:00:00:00:00:01", "02:bf:0a:4d:00:02"
BUCKETS = 256
DROP_ALL, NO_FILTER, OURS, CLUSTER = "drop-all", "no-filter", "ours", "cluster"

TITLES = {
    DROP_ALL: "netdev ingress, everything dropped",
    NO_FILTER: "no filter at all: TCP answers with a reset",
    OURS: "ipclusterd, `select = \"mask\"`",
    "ours-hash": "ipclusterd, `select = \"hash\"`",
    "ours-late": "ipclusterd, `early_drop = false`",
    "ingress-mask": "as one would write it: netdev ingress, mask",
    "ingress-jhash": "as one would write it: netdev ingress, jhash",
    "raw-mask": "as one would write it: prerouting raw, mask",
    "raw-jhash": "as one would write it: prerouting raw, jhash",
    CLUSTER: "`-m cluster` in mangle PREROUTING",
    "hubert": "Hubert: iptables INPUT, established first",
    "ipaddr2": "as IPaddr2: nft INPUT, jhash",
    "xdp-bare": "generic XDP, everything dropped",
    "ours-xdp": "ipclusterd, `select = \"mask\"`, `xdp = \"generic\"`",
    "ours-xdp-hash": "ipclusterd, `select = \"hash\"`, `xdp = \"generic\"`",
}


def buckets(family):
    """The buckets of even sources are this node's, as elements of a map."""
    keys = (f"0.0.0.{i}" if family == 4 else f"::{i:x}" for i in range(0, BUCKETS, 2))
    return ", ".join(f"{key} : goto own" for key in keys)


def selection(family, kind, hook):
    """Rules of nft with one lookup: what somebody would write who does not count."""
    ip, vip = ("ip", "ip6")[family == 6], VIPS[family][0]
    if kind == "mask":
        keyed = f"type ipv{family}_addr : verdict; elements = {{ {buckets(family)} }}"
        key = f"{ip} saddr & {'0.0.0.255' if family == 4 else '::ff'}"
    else:
        # another's, whatever the hash: what counts is the way to "not there"
        keyed = "typeof meta cpu : verdict; elements = { 4711 : goto own }"
        key = f"jhash {ip} saddr mod {BUCKETS} seed 0xdeadbeef"
    table, base = (("netdev", "type filter hook ingress device eth0 priority -100")
                   if hook == "ingress" else ("inet", "type filter hook prerouting priority -300"))
    icmp = ("icmp type { 3, 11, 12 }" if family == 4 else "icmpv6 type { 1, 2, 3, 4 }")
    return f"""table {table} t {{
      counter foreign {{ }}
      map class {{ {keyed}; }}
      chain own {{ accept; }}
      chain vip {{
        {key} vmap @class
        {icmp} accept
        counter name foreign drop
      }}
      chain c {{ {base}; policy accept; {ip} daddr {vip} goto vip; }}
    }}"""


class Receiver:
    """A namespace with an eth0 that has the VIP, and the sender's interface to it."""

    def __init__(self, bench, name):
        self.bench, self.name = bench, name
        self.family = bench.family
        self.mac = OWN
        self.port = f"v{bench.made}"
        bench.made += 1
        self.namespace = bench.run.namespace(f"b{self.family}-{name}")
        command(["ip", "link", "add", self.port, "netns", bench.sender, "type", "veth", "peer",
                 "name", "eth0", "address", OWN, "netns", self.namespace])
        bench.enter(["ip", "link", "set", self.port, "up"])
        vip, length = VIPS[self.family]
        gateway, everywhere = (("10.77.0.1", "0.0.0.0/0"), ("fd77::1", "::/0"))[self.family == 6]
        nodad = ["nodad"] if self.family == 6 else []
        for line in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"],
                     ["addr", "add", f"{vip}/{length}", "dev", "eth0", *nodad],
                     ["neigh", "add", gateway, "lladdr", "02:00:00:00:00:77", "dev", "eth0"],
                     ["route", "add", everywhere, "via", gateway]):
            self.enter(["ip", *line])
        self.enter(["sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter;"
                                "echo 0 >/proc/sys/net/ipv4/conf/eth0/rp_filter"])

    def enter(self, argv, **options):
        return command(["nsenter", f"--net=/run/netns/{self.namespace}", "--", *argv], **options)

    def start(self, argv):
        return self.bench.run.start(argv, self.namespace, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True, bufsize=1)

    def nft(self, text):
        self.enter(["nft", "-f", "-"], text=text)

    def iptables(self, table, *rules):
        program = ("iptables-legacy", "ip6tables-legacy")[self.family == 6]
        if shutil.which(program) is None:
            raise Failure(f"no {program}: install the package iptables")
        for rule in rules:
            self.enter([program, "-t", table, *rule.split()])


def ours(receiver, select="mask", *more, step=2):
    """Our own rules, put there by the daemon's own code, with half of the buckets, or all."""
    receiver.mac = SHARED
    driver = receiver.start([
        receiver.bench.run.bindir / "tests/unit/nft_driver", "eth0", OWN, BUCKETS, 3600000,
        ",".join((VIPS[receiver.family][0], "shared", select, *more, SHARED))])
    if select == "hash":  # of the sources none, or all
        lines = ["class 0 255 own"] if step == 1 else []
    else:
        lines = [f"class {b} {b} own" for b in range(0, BUCKETS, step)]
    lines += ["apply", "renew"]
    for line in lines:
        driver.stdin.write(line + "\n")
        if not (answer := driver.stdout.readline()).startswith("ok"):
            raise Failure(f"nft_driver: {line}: {answer}")


def hubert(receiver, masks=("0.0.0.0/0.0.0.3", "::/::3")):
    """autoloadbalance, 2001: established flows first, then sources by the low bits."""
    vip, mine = VIPS[receiver.family][0], masks[receiver.family == 6]
    receiver.iptables("filter", "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
                      f"-A INPUT -d {vip} -s {mine} -j ACCEPT", f"-A INPUT -d {vip} -j DROP")


def jhash2(words, seed):
    """The kernel's, of 32-bit words."""
    def rotate(x, k):
        return (x << k | x >> (32 - k)) & 0xffffffff

    a = b = c = (0xdeadbeef + 4 * len(words) + seed) & 0xffffffff
    while len(words) > 3:
        a, b, c = ((x + w) & 0xffffffff for x, w in zip((a, b, c), words))
        for k in (4, 6, 8, 16, 19, 4):  # each step for the next of the three
            a = (a - c ^ rotate(c, k)) & 0xffffffff
            c = (c + b) & 0xffffffff
            a, b, c = b, c, a
        words = words[3:]
    a, b, c = ((x + w) & 0xffffffff for x, w in zip((a, b, c), (*words, 0, 0)))
    for k in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - rotate(b, k)) & 0xffffffff
        a, b, c = b, c, a
    return b


def sources(family):
    """Those of blast.c, as the kernel reads them: words of the CPU's order."""
    for i in range(64):
        packed = ipaddress.ip_address((f"198.51.100.{2 * i + 1}", f"2001:db8:1::{2 * i + 1:x}")
                                      [family == 6]).packed
        yield struct.unpack(f"={len(packed) // 4}I", packed)


def foreign_seed(family):
    """One by which none of the sources is the first node's of 32."""
    return next(s for s in itertools.count() if not any(
        jhash2(words, s) * 32 >> 32 == 0 for words in sources(family)))


def cluster(receiver):
    """As iptables-extensions(8) shows it."""
    seed = foreign_seed(receiver.family)
    receiver.iptables(
        "mangle", "-A PREROUTING -i eth0 -m cluster --cluster-total-nodes 32 "
        f"--cluster-local-node 1 --cluster-hash-seed {seed:#x} -j MARK --set-mark 0xffff",
        "-A PREROUTING -i eth0 -m mark ! --mark 0xffff -j DROP")


def ipaddr2(receiver):
    ip, vip = ("ip", "ip6")[receiver.family == 6], VIPS[receiver.family][0]
    receiver.nft(f"""table inet t {{
      chain c {{
        type filter hook input priority 0; policy accept
        {ip} daddr {vip} jhash {ip} saddr mod 32 seed {foreign_seed(receiver.family):#x} != 0 drop
      }}
    }}""")


def xdp(receiver, name):
    process = receiver.start([receiver.bench.run.bindir / "tests/bench/xdp", "attach",
                              VIPS[receiver.family][0], "eth0", name])
    if process.stdout.readline() != "attached\n":
        raise Failure(f"the XDP program {name} cannot be attached")


def ours_xdp(receiver, select="mask", step=2):
    ours(receiver, select, step=step)
    xdp(receiver, "own" if step == 1 else select)


def selected(receiver, kind, hook):
    receiver.nft(selection(receiver.family, kind, hook))


VARIANTS = {
    DROP_ALL: lambda r: r.nft("table netdev t { chain c { type filter hook ingress device eth0 "
                              "priority -100; policy accept; drop; }\n}"),
    NO_FILTER: lambda r: None,
    OURS: ours,
    "ours-hash": lambda r: ours(r, "hash"),
    "ours-late": lambda r: ours(r, "mask", "late"),
    "ingress-mask": lambda r: selected(r, "mask", "ingress"),
    "ingress-jhash": lambda r: selected(r, "jhash", "ingress"),
    "raw-mask": lambda r: selected(r, "mask", "raw"),
    "raw-jhash": lambda r: selected(r, "jhash", "raw"),
    CLUSTER: cluster,
    "hubert": hubert,
    "ipaddr2": ipaddr2,
    "xdp-bare": lambda r: xdp(r, "bare"),
    "ours-xdp": ours_xdp,
    "ours-xdp-hash": lambda r: ours_xdp(r, "hash"),
}


class Bench:
    """The sender, and a receiver for each variant, for one family."""

    def __init__(self, run, family, variants):
        self.run, self.family = run, family
        self.sender = run.namespace(f"b{family}-sender")
        self.enter(["sh", "-c", "for f in all default; do "
                                "echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done"])
        self.receivers, self.absent, self.made = [], {}, 0
        for name, prepare in variants.items():
            try:
                receiver = Receiver(self, name)
                prepare(receiver)
                self.receivers.append(receiver)
            except (Failure, OSError) as why:
                self.absent[name] = " ".join(str(why).splitlines()[:2])

    def enter(self, argv, **options):
        return command(["nsenter", f"--net=/run/netns/{self.sender}", "--", *argv], **options)

    def measure(self, kind, rounds, frames):
        """(unit, {variant: [cost per frame, a burst each]}) for packets of a kind, foreign or own."""
        text = self.enter([self.run.bench_tool("blast"), kind, rounds, frames, VIPS[self.family][0],
                           *(f"{r.name}={r.port},{r.mac}" for r in self.receivers)],
                          timeout=600).stdout.splitlines()
        unit, costs = text[0].split()[1], {r.name: [] for r in self.receivers}
        for line in text[1:]:
            name, cost = line.split()
            costs[name].append(float(cost))
        return unit, costs

    def delete(self):
        for full in [n for n in self.run.namespaces if f"-b{self.family}-" in n]:
            self.run.namespace_delete(full)


def quartile(samples):
    """The lower quartile: what disturbs a burst only ever makes it slower."""
    return statistics.quantiles(samples, n=4)[0]


def sink(receiver):
    """A socket that is never read: datagrams go all the way to it."""
    receiver.start([sys.executable, "-c", "import socket, sys\n"
                    "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
                    "s.bind(('::', 7001))\nprint('bound', flush=True)\nsys.stdin.read()"]
                   ).stdout.readline()


def _own(prepare):
    def both(receiver):
        sink(receiver)
        prepare(receiver)
    return both


def tracked(receiver):
    """What any host with a stateful firewall has."""
    receiver.nft("""table inet t {
      chain c { type filter hook input priority 0; policy accept; ct state established accept; }
    }""")


def cluster_own(receiver):
    """All sources are this node's."""
    receiver.iptables(
        "mangle", "-A PREROUTING -i eth0 -m cluster --cluster-total-nodes 32 "
        "--cluster-local-nodemask 0xffffffff --cluster-hash-seed 1 -j MARK --set-mark 0xffff",
        "-A PREROUTING -i eth0 -m mark ! --mark 0xffff -j DROP")


OWN_VARIANTS = {name: _own(prepare) for name, prepare in {
    NO_FILTER: lambda r: None,
    "tracked": tracked,
    OURS: lambda r: ours(r, step=1),
    "ours-hash": lambda r: ours(r, "hash", step=1),
    "ours-late": lambda r: ours(r, "mask", "late", step=1),
    "ours-xdp": lambda r: ours_xdp(r, step=1),
    CLUSTER: cluster_own,
    "hubert": lambda r: hubert(r, ("0.0.0.0/0.0.0.1", "::/::1")),
}.items()}

OWN_TITLES = {
    **TITLES,
    NO_FILTER: "no cluster, no firewall",
    "tracked": "no cluster, a firewall with connection tracking",
}


def _run(run, kind, variants, family, rounds, frames):
    bench = Bench(run, family, variants)
    unit, costs = bench.measure(kind, rounds, frames)
    absent = bench.absent
    bench.delete()
    return unit, {name: quartile(samples) for name, samples in costs.items()}, absent


def foreign(run, rounds, frames):
    """Costs above that of a packet that is dropped at ingress, whatever it is."""
    out = {"rounds": rounds, "frames": frames, "families": {}}
    for family in (4, 6):
        out["unit"], cost, absent = _run(run, "foreign", VARIANTS, family, rounds, frames)
        above = {name: c - cost[DROP_ALL] for name, c in cost.items()}
        out["families"][str(family)] = {
            "drop_all": round(cost[DROP_ALL], 1), "absent": absent,
            "above": {name: round(c, 1) for name, c in above.items()},
            "to_cluster": {name: round(c / above[CLUSTER], 3) for name, c in above.items()}
            if CLUSTER in above else {}}
    out["xdp_run_ns"] = {str(family): xdp_run(run, vip) for family, (vip, _) in VIPS.items()}
    return out


def xdp_run(run, vip):
    """{name: ns} of the programs alone."""
    text = command([run.bindir / "tests/bench/xdp", "run", vip]).stdout.split()
    samples = list(zip(text[::2], map(float, text[1::2])))
    return {name: statistics.median(cost for n, cost in samples if n == name)
            for name in ("bare", "mask", "hash")}


def own(run, rounds, frames):
    """Costs of a packet that is ours, all the way to a socket, sending it included."""
    out = {"rounds": rounds, "frames": frames, "families": {}}
    for family in (4, 6):
        out["unit"], cost, absent = _run(run, "own", OWN_VARIANTS, family, rounds, frames)
        out["families"][str(family)] = {
            "absent": absent, "cost": {name: round(c, 1) for name, c in cost.items()},
            "to_none": {name: round(c / cost[NO_FILTER], 3) for name, c in cost.items()},
            "to_tracked": {name: round(c / cost["tracked"], 3) for name, c in cost.items()}}
    return out
