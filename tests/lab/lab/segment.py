"""An Ethernet segment: a bridge that learns MAC addresses as a switch does, and hosts on it.

Addresses, the same on every segment (segments do not know of each other):

    10.77.0.0/16, fd77::/64   the segment
      .0.1   ::1              the client        .0.2, ::2 (3, 4 ...)  virtual addresses
      .0.11  ::11             the first node    .0.254, ::fe          a router
      .1.x   ::1:x            64 more addresses of the client, on the segment
    10.78.0.0/24, fd78::/120  256 addresses of the client, one for each low byte, reached via the
                              client's first address, as clients behind a router are
    10.79.0.0/24, fd79::/64   a network behind the router
"""

import json
import re

from .run import Failure, command, poll, within

CLIENT = 1
ROUTER = 254
DIRECT4 = [f"10.77.1.{4 * i + 1}" for i in range(64)]
DIRECT6 = [f"fd77::1:{4 * i + 2:x}" for i in range(64)]
ROUTED4 = [f"10.78.0.{i}" for i in range(256)]
ROUTED6 = [f"fd78::{i:x}" for i in range(256)]


def address4(number):
    return f"10.77.0.{number}"


def address6(number):
    """The same digits as in IPv4, so that host .11 is ::11; the router is ::fe."""
    return f"fd77::{number}" if number < 100 else f"fd77::{number:x}"


class Host:
    """A namespace with one link, eth0, to the segment's switch."""

    def __init__(self, segment, name, number, namespace):
        self.segment, self.name, self.number = segment, name, number
        self.run, self.namespace = segment.run, namespace
        self.port = f"p-{name}"
        self.address4, self.address6 = address4(number), address6(number)

    def connect(self):
        """The port of the switch is there, and its peer in our namespace: makes eth0 of it."""
        settings = {"net.ipv6.conf.all.accept_dad": 0, "net.ipv6.conf.default.accept_dad": 0,
                    "net.ipv6.conf.eth0.accept_dad": 0, "net.ipv6.conf.default.accept_ra": 0,
                    "net.ipv6.conf.eth0.accept_ra": 0}
        self.enter(["sh", "-c", ";".join(f"echo {value} >/proc/sys/{key.replace('.', '/')}"
                                         for key, value in settings.items())])
        self.batch(["link set lo up", "link set eth0 up",
                    f"addr add {self.address4}/16 dev eth0",
                    f"addr add {self.address6}/64 dev eth0 nodad"])
        self.mac = self.link("eth0")["address"]

    def enter(self, argv, **options):
        """Runs a command here."""
        return command(within(self.namespace, argv), **options)

    def json(self, argv):
        text = self.enter(argv).stdout
        return json.loads(text) if text.strip() else []

    def batch(self, lines):
        """Commands of ip(8), a line each."""
        self.enter(["ip", "-batch", "-"], text="\n".join(lines) + "\n")

    def tell(self, sysctl, value):
        path = "/proc/sys/" + sysctl.replace(".", "/")
        self.enter(["sh", "-c", f"echo {value} >{path}"])

    def start(self, argv, **options):
        return self.run.start(argv, self.namespace, **options)

    def link(self, name="eth0"):
        return self.json(["ip", "-j", "link", "show", "dev", name])[0]

    def addresses(self, name="eth0"):
        """The addresses on a link, as text without the length."""
        return [a["local"] for entry in self.json(["ip", "-j", "addr", "show", "dev", name])
                for a in entry.get("addr_info", []) if "local" in a]

    def cable(self, plugged):
        """Pulls or plugs in the cable of eth0, at the switch: carrier is lost. The kernel may take
        a second to let a link that it has just lost carry frames again."""
        self.segment.batch([f"link set {self.port} {'up' if plugged else 'down'}"])

    def cut(self, off):
        """The switch drops this host's frames, both ways; carrier stays."""
        self.segment.enter(["bridge", "link", "set", "dev", self.port, "state",
                            "0" if off else "3"])

    def delete(self):
        self.segment.batch([f"link del {self.port}"])
        self.run.namespace_delete(self.namespace)
        self.segment.hosts.remove(self)


class Segment:
    """A namespace with the bridge br0. `learned` keeps every MAC that it ever learned."""

    def __init__(self, run, name="s"):
        self.run, self.name = run, name
        self.hosts = []
        self.namespace = run.namespace(f"{name}-switch")
        self.enter(["sh", "-c", "for f in all default; do "
                                "echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done; "
                                # a switch looks at no more than the MAC addresses
                                "for f in /proc/sys/net/bridge/bridge-nf-call-*; do "
                                "[ ! -e $f ] || echo 0 >$f; done"])
        self.enter(["ip", "link", "add", "br0", "type", "bridge", "stp_state", "0",
                    "forward_delay", "0", "mcast_snooping", "0"])
        self.batch(["link set br0 up"])
        self._log = open(run.directory / f"{name}-fdb.log", "w+", encoding="utf-8")
        self._monitor = run.start(["bridge", "monitor", "fdb"], self.namespace, stdout=self._log)
        self.client = None

    def enter(self, argv, **options):
        return command(within(self.namespace, argv), **options)

    def batch(self, lines):
        self.enter(["ip", "-batch", "-"], text="\n".join(lines) + "\n")

    def host(self, name, number):
        return self.hosts_add({name: number})[0]

    def hosts_add(self, numbers):
        """Hosts {name: number}, many at once, on ports of the switch."""
        namespaces = self.run.namespaces_add([f"{self.name}-{name}" for name in numbers])
        made = [Host(self, name, number, namespace)
                for (name, number), namespace in zip(numbers.items(), namespaces)]
        self.batch([f"link add {h.port} mtu 1500 type veth peer name eth0 mtu 1500 "
                    f"netns {h.namespace}" for h in made] +
                   [f"link set {h.port} master br0 up" for h in made])
        for host in made:
            host.connect()
            self.hosts.append(host)
        return made

    def add_client(self):
        """The client and its 64 + 64 + 256 + 256 addresses."""
        client = self.host("client", CLIENT)
        client.tell("net.ipv4.conf.eth0.arp_announce", 2)
        client.batch([f"addr add {a}/16 dev eth0" for a in DIRECT4] +
                     [f"addr add {a}/64 dev eth0 nodad" for a in DIRECT6] +
                     [f"addr add {a}/32 dev lo" for a in ROUTED4] +
                     [f"addr add {a}/128 dev lo nodad" for a in ROUTED6])
        client.direct4, client.direct6 = DIRECT4, DIRECT6
        client.routed4, client.routed6 = ROUTED4, ROUTED6
        self.client = client
        return client

    def route_to_client(self, host):
        """How a host reaches the client's addresses that are not of the segment."""
        host.batch([f"route add 10.78.0.0/24 via {address4(CLIENT)} dev eth0",
                    f"route add fd78::/120 via {address6(CLIENT)} dev eth0"])

    def add_router(self, mtu=1500):
        """A router with a client behind it, on a link of that MTU. Returns both."""
        router = self.host("router", ROUTER)
        far = Host.__new__(Host)
        far.segment, far.name, far.run = self, "far", self.run
        far.namespace = self.run.namespace(f"{self.name}-far")
        router.enter(["ip", "link", "add", "eth1", "mtu", mtu, "type", "veth", "peer", "name",
                      "eth0", "mtu", "1500", "netns", far.namespace])
        for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            router.tell("net." + key, 1)
        router.batch(["link set eth1 up", "addr add 10.79.0.254/24 dev eth1",
                      "addr add fd79::fe/64 dev eth1 nodad"])
        far.batch(["link set lo up", "link set eth0 up"] +
                  [f"addr add 10.79.0.{i}/24 dev eth0" for i in range(1, 129)] +
                  [f"addr add fd79::{i:x}/64 dev eth0 nodad" for i in range(1, 65)] +
                  ["route add default via 10.79.0.254", "route add default via fd79::fe"])
        far.sources4 = [f"10.79.0.{i}" for i in range(1, 129)]
        far.sources6 = [f"fd79::{i:x}" for i in range(1, 65)]
        for host in self.hosts:
            if host is not router:
                host.batch([f"route add 10.79.0.0/24 via {address4(ROUTER)} dev eth0",
                            f"route add fd79::/64 via {address6(ROUTER)} dev eth0"])
        return router, far

    def learned(self, mac):
        """The ports where the switch ever learned this MAC: what `bridge monitor` told, and what
        the table says now."""
        if self._monitor.poll() is not None:
            raise Failure("bridge monitor ended")
        self._log.flush()
        self._log.seek(0)
        found = [line.strip() for line in self._log if line.lower().startswith(mac.lower())]
        now = self.enter(["bridge", "fdb", "show", "br", "br0"]).stdout
        return found + [line for line in now.splitlines() if line.lower().startswith(mac.lower())]

    def port_of(self, mac):
        """Where the switch sends frames to this MAC; None if it floods them."""
        now = self.enter(["bridge", "fdb", "show", "br", "br0"]).stdout
        found = re.search(rf"^{mac} dev (\S+)(?!.*permanent)", now, re.M | re.I)
        return found[1] if found else None

    def wait_ready(self):
        """Until every host's eth0 has carrier."""
        for host in self.hosts:
            poll(f"carrier on {host.name}", lambda h=host: "LOWER_UP" in h.link()["flags"])

    def delete(self):
        self.run.end(self._monitor, kill=True)
        self._log.close()
        for host in list(self.hosts):
            self.run.namespace_delete(host.namespace)
        for full in [n for n in self.run.namespaces
                     if n.startswith(f"{self.run.name}-{self.name}-")]:
            self.run.namespace_delete(full)
