"""Nodes of a cluster: hosts with the daemon, its files, and what it serves."""

import base64
import http.client
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import time
from typing import NamedTuple

from . import kernel
from .run import Ended, Failure, command, poll
from .traffic import HTTP, STREAM, UDP, Traffic

VIPS = ("10.77.0.2/16", "fd77::2/64")
FIRST = 11


class Timing(NamedTuple):
    """The heartbeat's times, in seconds; the defaults are the daemon's."""
    interval: float = 0.1
    dead_after: float = 0.4
    lease: float = 0.3

    def config(self):
        return {key: f"{round(value * 1000)}ms" for key, value in self._asdict().items()}


def render(value, indent=0):
    """A Python value as libconfig writes it: dict {}, tuple (), list []."""
    pad = "  " * (indent + 1)
    if isinstance(value, dict):
        lines = [f"{pad}{key} = {render(item, indent + 1)};\n" for key, item in value.items()]
        return "{\n" + "".join(lines) + "  " * indent + "}"
    if isinstance(value, tuple):
        return "( " + ", ".join(render(item, indent + 1) for item in value) + " )"
    if isinstance(value, list):
        return "[ " + ", ".join(render(item, indent + 1) for item in value) + " ]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return json.dumps(value)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("ipclusterd", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Node:
    """A host, its daemon and its servers. The servers live on when the daemon dies."""

    def __init__(self, cluster, host):
        self.cluster, self.host, self.name = cluster, host, host.name
        self.run = host.run
        self.directory = self.run.directory / f"{host.segment.name}-{cluster.tag}-{host.name}"
        self.directory.mkdir()
        self.config_path = self.directory / "conf"
        self.key_path = self.directory / "key"
        self.socket = self.directory / "ctl"
        self.log_path = self.directory / "log"
        self.state_dir = self.directory / "state"
        self.process = None
        self.server = None
        self.dead = False
        self.environment = {}  # of the daemon, beside ours
        self.bindir = None     # of its programs, if they are not the run's
        self.key_write(cluster.key)
        self.config_write()

    # --- files

    def key_write(self, key):
        self.key_path.write_text(key + "\n", encoding="ascii")
        self.key_path.chmod(0o600)

    def config(self):
        """The configuration as a value; a test may change it and hand it to config_write()."""
        config = {
            "cluster": {"name": self.cluster.name, "key_file": str(self.key_path)},
            "node": {"name": self.name, "state_dir": str(self.state_dir)},
            "heartbeat": {"interface": "eth0", **self.cluster.timing.config()},
            "vips": tuple({"address": vip, "interface": "eth0", **self.cluster.vip_options}
                          for vip in self.cluster.vips),
            "control": {"socket": str(self.socket)},
        }
        if not self.cluster.flap:
            config["flap"] = {"penalty": 0}
        for group, keys in self.cluster.options.items():
            config.setdefault(group, {}).update(keys)
        return config

    def config_write(self, config=None):
        config = config if config is not None else self.config()
        text = config if isinstance(config, str) else "".join(
            f"{key} = {render(value)};\n" for key, value in config.items())
        self.config_path.write_text(text, encoding="utf-8")

    # --- the daemon

    def binary(self, name):
        return self.run.binary(name, self.bindir)

    def daemon(self, *arguments, timeout=10):
        """Runs the daemon in the foreground to its end: -t, -n, -V."""
        return self.host.enter([self.binary("ipclusterd"), *arguments], check=False,
                               timeout=timeout)

    def start(self, debug=False):
        if self.running:
            raise Failure(f"{self.name} is running")
        argv = [self.binary("ipclusterd"), "-f", "-c", self.config_path]
        argv += ["-d"] if debug else []
        environment = {**os.environ, **self.environment}
        with open(self.log_path, "ab") as log:
            self.process = self.host.start(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env=environment)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_answer(self, timeout=5.0):
        """Until the daemon answers on its control socket."""
        def answers():
            if not self.running:
                raise Ended(f"{self.name} has ended: {self.log()[-2000:]}")
            return self.status()
        return poll(f"{self.name} answers", answers, timeout)

    def stop(self, timeout=5.0):
        """Ends the daemon in order, by TERM, and returns its exit code."""
        process = self.process
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{self.name} did not end within {timeout} s of TERM") from error
        finally:
            self.run.end(process, kill=True)

    def kill(self):
        """The daemon dies; the host lives on. Returns when that was."""
        when = time.monotonic()
        self.process.kill()
        self.process.wait(5)
        self.run.end(self.process)
        return when

    def die(self):
        """The host dies: the daemon and the link are gone. Returns when that was."""
        self.dead = True
        when = time.monotonic()
        self.process.kill()
        self.host.cable(False)
        self.process.wait(5)
        self.run.end(self.process)
        return when

    def boot(self):
        """A host that died comes up again, without its daemon: no socket, flow, rule, address or
        MAC of the time before is left; the files are."""
        host = self.host
        self.serve_end()
        host.enter(["ss", "-K", "-a"], check=False)
        host.enter(["conntrack", "-F"], check=False)
        host.enter(["nft", "flush", "ruleset"])
        for vip in self.cluster.vips:
            host.enter(["ip", "addr", "del", vip, "dev", "eth0"], check=False)
        for line in host.enter(["bridge", "fdb", "show", "dev", "eth0"]).stdout.splitlines():
            if line.split()[0].startswith("02:bf:"):
                host.enter(["bridge", "fdb", "del", line.split()[0], "dev", "eth0", "self"])
        host.batch([f"link set eth0 address {host.mac}"])
        self.serve()
        host.cable(True)
        poll(f"carrier on {host.name}", lambda: "LOWER_UP" in host.link()["flags"])
        # neighbours that were asked for in vain would be asked again only a second later
        host.enter(["ip", "neigh", "flush", "dev", "eth0", "nud", "all"], check=False)
        self.dead = False

    def revive(self):
        """A host that died has booted, and starts its daemon."""
        self.boot()
        self.start()

    def signal(self, number):
        self.process.send_signal(number)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def told(self, pattern, since=float("-inf")):
        """Lines of the log that match, as (when, line); their clock has milliseconds. For logs of
        less than half a day, of a daemon whose wall clock is ours."""
        monotonic, wall = time.monotonic(), time.time()
        midnight = time.mktime((*time.localtime(wall)[:3], 0, 0, 0, 0, 0, -1))
        found = []
        for line in self.log().splitlines():
            stamp = re.match(r"(\d\d):(\d\d):(\d\d\.\d{3}) ", line)
            if stamp and re.search(pattern, line):
                hours, minutes, seconds = stamp.groups()
                ago = (wall - midnight - int(hours) * 3600 - int(minutes) * 60
                       - float(seconds)) % 86400
                when = monotonic - (ago if ago < 86000 else 0.0)
                if when >= since:
                    found.append((when, line))
        return found

    # --- asking it

    def request(self, path, method="GET", body=None, timeout=5.0):
        """A request to the control socket: (code, text)."""
        connection = _UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"{self.name}: {path}: {error!r}") from error
        finally:
            connection.close()

    def get(self, path):
        code, text = self.request(path)
        if code != 200:
            raise OSError(f"{self.name}: {path}: {code} {text}")
        return json.loads(text)

    def status(self):
        return self.get("/v1/status")

    def buckets(self):
        return self.get("/v1/buckets")["buckets"]

    def which(self, address):
        return self.get(f"/v1/which?address={address}")

    def ctl(self, *arguments, check=True, timeout=30):
        """clusterctl, as a user runs it."""
        return command([self.binary("clusterctl"), "-s", self.socket, *arguments],
                       check=check, timeout=timeout)

    def ctl_json(self, *arguments):
        return json.loads(self.ctl("-j", *arguments).stdout)

    def members(self):
        """{name: state} as this node sees them."""
        return {m["name"]: m["state"] for m in self.status()["members"]}

    # --- what it serves

    def serve(self):
        """Starts the HTTP, stream and UDP servers, on all addresses of the host."""
        self.server = self.host.start([*self.run.promptly, self.run.tool("server"), self.name,
                                       HTTP, STREAM, UDP], stdout=subprocess.PIPE, text=True)
        if self.server.stdout.readline() != "ready\n":
            raise Failure(f"the servers of {self.name} did not start")

    def serve_end(self):
        if self.server is not None:
            self.run.end(self.server, kill=True)
            self.server = None


class Cluster:
    """`count` nodes n1, n2, ... on a segment."""

    def __init__(self, segment, count=3, name="lab", vips=VIPS, timing=Timing(), first=FIRST,
                 prefix="n", tag="", vip_options=None, key=None, options=None, flap=False):
        """`options` are more of the configuration, {group: {key: value}}. Who dies often is held
        only if `flap`: most tests kill nodes as they like, and want them back."""
        self.segment, self.name, self.vips, self.timing = segment, name, tuple(vips), timing
        self.tag = tag or name
        self.vip_options, self.options, self.flap = vip_options or {}, options or {}, flap
        self.key = key or base64.b64encode(os.urandom(32)).decode()
        self.nodes = []
        for host in segment.hosts_add({f"{prefix}{i + 1}": first + i for i in range(count)}):
            if segment.client is not None:
                segment.route_to_client(host)
            self.nodes.append(Node(self, host))

    def __getitem__(self, name):
        return next(n for n in self.nodes if n.name == name)

    def others(self, node):
        return [n for n in self.nodes if n is not node]

    @property
    def vip4(self):
        return next((v.split("/")[0] for v in self.vips if ":" not in v), None)

    @property
    def vip6(self):
        return next((v.split("/")[0] for v in self.vips if ":" in v), None)

    def vip_index(self, source):
        """Which VIP serves a source address."""
        return next(i for i, v in enumerate(self.vips) if (":" in v) == (":" in source))

    @staticmethod
    def bucket(source, buckets=256):
        """The bucket of a source address under select = "mask"."""
        return int(ipaddress.ip_address(source)) % buckets

    def start(self):
        self.segment.wait_ready()
        for node in self.nodes:
            if node.server is None:
                node.serve()
            node.start()
        return self.converge()

    def converge(self, alive=None, timeout=8.0, states=("serving",)):
        """Until these nodes (default all) agree: they are alive and no other is, all is claimed."""
        alive = self.nodes if alive is None else alive
        names = {n.name for n in alive}
        seen = {}

        def agreed():
            views = set()
            for node in alive:
                if not node.running:
                    raise Ended(f"{node.name} does not run: {node.log()[-2000:]}")
                status = node.status()
                seen[node.name] = status
                living = {m["name"] for m in status["members"]
                          if m["state"] in ("alive", "suspect", "held")}
                if not status["converged"] or living != names or status["state"] not in states:
                    return None
                views.add(status["view"])
            return seen if len(views) == 1 else None

        def told():
            lines = [f"agreement of {sorted(names)}"]
            for name, s in seen.items():
                lines.append(f"  {name}: {s['state']} converged={s['converged']} view={s['view']} "
                             f"{ {m['name']: m['state'] for m in s['members']} }")
            return "\n".join(lines)

        return poll(told, agreed, timeout)

    def heal(self):
        """All nodes run, are plugged in, not drained, and agree. For clusters that tests share.

        What earlier tests left half-open would linger for up to two minutes: it goes first.
        """
        for node in self.nodes:
            if node.dead:
                node.boot()
            node.host.cable(True)
            node.host.enter(["conntrack", "-F"])
            if node.server is None or node.server.poll() is not None:
                node.serve()
            if not node.running:
                node.start()
            else:
                node.signal(signal.SIGCONT)
        for node in self.nodes:
            node.wait_answer()
            if node.status()["state"] == "draining":
                node.ctl("undrain")
        return self.converge()

    def owners(self, viewer=None):
        """{bucket: node name} as a node sees it."""
        viewer = viewer or next(n for n in self.nodes if n.running)
        return {b["bucket"]: b["owner"] for b in viewer.buckets()}

    def sources_of(self, node, sources, viewer=None):
        """Those of the sources that a node owns."""
        owners = self.owners(viewer)
        return [s for s in sources if owners[self.bucket(s)] == node.name]

    def claims(self, node, vip=0):
        return kernel.claims(node.host, vip)

    def traffic(self, sources=None, host=None, **options):
        """Traffic from the segment's client, by default from its 64 + 64 direct addresses."""
        client = host or self.segment.client
        if sources is None:
            sources = [a for pair in zip(client.direct4, client.direct6) for a in pair]
        return Traffic(client, sources, vip4=self.vip4, vip6=self.vip6, **options)

    def logs(self, last=4000):
        return "\n".join(f"--- {n.name}: {'running' if n.running else 'not running'}\n"
                         f"{n.log()[-last:]}" for n in self.nodes)

    def stop(self):
        """Ends all daemons and servers, whatever state they are in."""
        for node in self.nodes:
            if node.process is not None:
                self.segment.run.end(node.process)
            node.serve_end()
