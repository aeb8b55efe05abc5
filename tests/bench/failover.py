"""What clients see when a host dies, stops, or hands over: of our clusters, and of others under the
same client."""

import os
import shutil
import signal
import statistics
import time
from pathlib import Path

import measure
from lab import Failure, Segment, Timing, poll
from lab.run import command
from lab.traffic import HTTP, STREAM, UDP, Traffic

PACKAGES = ("keepalived", "ucarp")
VIP, LENGTH = "10.77.0.2", 16
SETTLED = 1.0   # how long a master has to have been master before it dies
PATIENCE = 12.0  # for the other to take over


def install():
    """The peers as Debian has them, if that is possible here. Returns those that are missing."""
    missing = [p for p in PACKAGES if shutil.which(p) is None]
    if missing and shutil.which("apt-get"):
        # without RUNLEVEL their services would be started on this machine
        command(["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300",
                 "install", "--no-install-recommends", *missing], check=False, timeout=600)
    return [p for p in PACKAGES if shutil.which(p) is None]


class Keepalived:
    def __init__(self, interval):
        self.interval = interval
        self.name = f"keepalived, advert_int {interval}"

    def start(self, host, directory, first):
        conf = directory / f"keepalived-{host.name}"
        conf.write_text(f"""
global_defs {{
  router_id {host.name}
  vrrp_version {2 if self.interval >= 1 else 3}
}}
vrrp_instance v {{
  state {"MASTER" if first else "BACKUP"}
  interface eth0
  virtual_router_id 51
  priority {150 if first else 100}
  advert_int {self.interval}
  virtual_ipaddress {{ {VIP}/{LENGTH} dev eth0 }}
}}
""")
        pids = [f"--pid={directory}/{host.name}.pid", f"--vrrp_pid={directory}/{host.name}.vrrp"]
        log = open(directory / f"{host.name}.log", "ab")
        return host.start(["keepalived", "-n", "-l", "-P", "-f", conf, *pids], stdout=log,
                          stderr=log)


    @staticmethod
    def children(directory, host):
        """The process that does the work: it would outlive a parent that is killed for a while."""
        return [int((directory / f"{host.name}.vrrp").read_text())]


class Ucarp:
    name = "ucarp, as it comes"

    @staticmethod
    def children(_directory, _host):
        return []

    def start(self, host, directory, first):
        scripts = []
        for verb in ("add", "del"):
            path = directory / f"{host.name}-{verb}"
            path.write_text(f"#!/bin/sh\nip addr {verb} {VIP}/{LENGTH} dev eth0\n")
            path.chmod(0o755)
            scripts.append(path)
        log = open(directory / f"{host.name}.log", "ab")
        preempt = ["-P", "-k", "0"] if first else ["-k", "100"]
        return host.start(["ucarp", "-i", "eth0", "-s", host.address4, "-v", "1", "-p", "secret",
                           "-a", VIP, "--shutdown", "-u", scripts[0], "-d", scripts[1], *preempt],
                          stdout=log, stderr=log)


class Pair:
    """Two hosts that share the VIP by another program: the first is the master when all is well."""

    def __init__(self, run, peer, name):
        self.run, self.peer = run, peer
        self.segment = Segment(run, name)
        self.client = self.segment.add_client()
        self.hosts = [self.segment.host(f"h{i}", 11 + i) for i in range(2)]
        self.segment.wait_ready()
        self.directory = run.directory / f"peer-{name}"
        self.directory.mkdir()
        self.processes = {}
        for host in self.hosts:
            server = host.start([*run.promptly, run.tool("server"), host.name, HTTP, STREAM, UDP],
                                stdout=-1, text=True)
            if server.stdout.readline() != "ready\n":
                raise Failure("no server")
            self.start(host)

    def start(self, host):
        self.processes[host] = self.peer.start(host, self.directory, host is self.hosts[0])

    def has(self, host):
        return VIP in host.addresses()

    def settled(self):
        """The first host is the master, and has been for a while."""
        since = None

        def is_so():
            nonlocal since
            whole = self.has(self.hosts[0]) and not self.has(self.hosts[1])
            since = (since or time.monotonic()) if whole else None
            return whole and time.monotonic() - since > SETTLED

        poll(f"{self.peer.name}: the first is the master", is_so, 30, 0.05)

    def traffic(self):
        return Traffic(self.client, self.client.direct4, vip4=VIP, rate=200, deadline=0.1)

    def die(self):
        host = self.hosts[0]
        host.cable(False)
        children = self.peer.children(self.directory, host)
        self.processes[host].kill()
        self.processes[host].wait()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            poll(f"process {pid} is gone", lambda p=pid: not Path(f"/proc/{p}").exists())

    def revive(self):
        """As after a reboot: without the address, and with its cable."""
        host = self.hosts[0]
        self.run.end(self.processes[host])
        host.enter(["ip", "addr", "del", f"{VIP}/{LENGTH}", "dev", "eth0"], check=False)
        host.cable(True)
        poll("carrier", lambda: "LOWER_UP" in host.link()["flags"])
        self.start(host)

    def stop(self):
        self.run.end(self.processes[self.hosts[0]])

    def delete(self):
        for process in self.processes.values():
            self.run.end(process, kill=True)
        self.segment.delete()


def _outage(pair, harm):
    """How long no connection came about, from the first that failed on, and how many hit."""
    with pair.traffic() as t:
        t.wait_connections(64)
        began = time.monotonic()
        harm()
        poll("the other takes over", lambda: pair.has(pair.hosts[1]), PATIENCE)
        t.wait_connections(64)
        poll("answers again", lambda: t.between(time.monotonic() - 0.5) and not
             t.failures(time.monotonic() - 0.5), PATIENCE)
        t.stop()
    return t.outage(began - 0.1)


def summary(seconds):
    return {"runs": len(seconds), "median_ms": round(statistics.median(seconds) * 1000),
            "worst_ms": round(max(seconds) * 1000)}


def peers(run, runs):
    """Outages of the VIP, which hit every client."""
    absent = install()
    out = {"absent": absent, "peers": {}}
    found = [Keepalived(1), Keepalived(0.1)] if "keepalived" not in absent else []
    found += [Ucarp()] if "ucarp" not in absent else []
    for number, peer in enumerate(found):
        pair = Pair(run, peer, f"peer{number}")
        died, stopped = [], []
        for harm, outages in ((pair.die, died), (pair.stop, stopped)) * runs:
            pair.settled()
            outages.append(_outage(pair, harm))
            pair.revive()
        pair.delete()
        out["peers"][peer.name] = {"death": summary(died), "stop": summary(stopped)}
        print(f"  {peer.name}: {out['peers'][peer.name]}", flush=True)
    return out


def ours(run, runs):
    """Outages of the clients of the one that dies, of three."""
    return {"default": measure.death(run, runs, Timing(), "death"),
            "fast": measure.death(run, runs, measure.FAST, "fast")}


def handover(run, drains):
    return measure.drain(run, drains)
