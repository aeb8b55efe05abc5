"""The daemon is another one, and nobody notices: clusterctl restart, crash and start."""

import json
import os
import re
import shutil
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from lab import kernel, poll
from lab.run import Failure

LEASE, SLACK = 0.3, 0.05
TROUBLE = {"member_dead", "member_suspect", "view", "takeover", "handover", "lease_lapsed",
           "quorum", "config_mismatch", "name_conflict", "apply_failed"}


# A SYN that is judged in the very instant in which tables are replaced may be lost, and is sent
# again after a second: see tests/unit/test_nft_replace.c.
UNLUCKY = 1


class Unnoticed:
    """Traffic of every kind, the rules of one node read all the time, and the events of the others.
    At the end none of it may show that anything has happened."""

    def __init__(self, cluster, rate=400, streams=64, udp_rate=200):
        self.cluster = cluster
        self.traffic = cluster.traffic(rate=rate, streams=streams, udp_rate=udp_rate,
                                       udp_deadline=0.3, sniff=True)
        self.seen, self.gaps = 0, []
        self.took = []

    def __enter__(self):
        self.traffic.__enter__()
        self.before = self.traffic.wait_open()
        return self

    def __exit__(self, *error):
        return self.traffic.__exit__(*error)

    def through(self, node, act):
        """Does something to a node, which is whole again after it."""
        cluster, others = self.cluster, self.cluster.others(node)
        cluster.converge()
        claims = {vip: cluster.claims(node, vip) for vip in range(len(cluster.vips))}
        marks = {o.name: o.get("/v1/events")["last"] for o in others}
        done = threading.Event()

        def look():
            while not done.is_set():
                for vip, had in claims.items():
                    has = cluster.claims(node, vip)
                    self.seen += 1
                    if has != had:
                        self.gaps.append((node.name, vip, len(had), len(has)))

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            began = time.monotonic()
            act(node)
            self.took.append(time.monotonic() - began)
            cluster.converge()
            self.traffic.run_for(0.3)
        finally:
            done.set()
            watcher.join(5)
        for other in others:
            events = other.get(f"/v1/events?since={marks[other.name]}")["events"]
            told = [e for e in events if e["kind"] in TROUBLE]
            assert not told, (other.name, told)

    def end(self):
        t = self.traffic.stop()
        assert self.seen > 0 and not self.gaps, self.gaps[:5]
        assert not t.failures(), t.told(t.failures())
        assert len(t.delayed(0.2)) <= UNLUCKY, t.told(t.delayed(0.2))
        assert not t.doubles, t.doubles[:4]
        unanswered = [d for d in t.datagrams if d.replies != 1
                      and not t.asleep(d.start, d.start + 0.3)]
        assert not unanswered, (len(unanswered), len(t.datagrams), unanswered[:4])
        now = {s.source: s for s in t.final_streams}
        hurt = [(s, now[s.source]) for s in self.before
                if now[s.source].state != "open" or now[s.source].node != s.node
                or now[s.source].gap > 0.3]
        assert not hurt, hurt[:3]
        took = sorted(self.took)
        print(f"\n{len(took)} times, median {took[len(took) // 2] * 1000:.0f} ms, at most "
              f"{took[-1] * 1000:.0f} ms; {len(t.connections)} connections, "
              f"{len(t.datagrams)} datagrams, {len(self.before)} streams; rules read "
              f"{self.seen} times")


def ctl_restart(node):
    done = node.ctl("restart")
    assert re.search(r"went on with \d+ buckets", done.stdout), done.stdout


def crash(node):
    node.kill()
    node.start()
    node.wait_answer()


def went_on(node):
    """The last start of this daemon: how many buckets it went on with, or None."""
    return node.get("/v1/version")["inherited_buckets"]


# --- nobody notices

def test_restart_of_each_in_turn(three):
    pids = [n.process.pid for n in three.nodes]
    with Unnoticed(three) as u:
        for _ in range(5):
            for node in three.nodes:
                u.through(node, ctl_restart)
        u.end()
    assert [n.process.pid for n in three.nodes] == pids and all(n.running for n in three.nodes)
    assert all(n.status()["uptime_ms"] < 60000 for n in three.nodes)


def test_crash_and_start_within_the_lease(three):
    with Unnoticed(three) as u:
        for _ in range(3):
            for node in three.nodes:
                u.through(node, crash)
                assert went_on(node) is not None
        u.end()


def test_restart_by_signal(three):
    def by_signal(node):
        began = time.monotonic()
        node.signal(signal.SIGUSR2)
        poll("a new run", lambda: node.status()["uptime_ms"] / 1000 < time.monotonic() - began)

    with Unnoticed(three) as u:
        for node in three.nodes:
            u.through(node, by_signal)
        u.end()


def test_restart_under_a_majority(new_cluster):
    cluster = new_cluster(3, options={"cluster": {"quorum": "majority"}})
    with Unnoticed(cluster) as u:
        for _ in range(2):
            for node in cluster.nodes:
                u.through(node, ctl_restart)
                u.through(node, crash)
        u.end()


def test_one_alone_goes_on(new_cluster):
    cluster = new_cluster(1)
    with Unnoticed(cluster) as u:
        for act in (ctl_restart, crash, ctl_restart):
            u.through(cluster.nodes[0], act)
        u.end()


# --- what is not gone on with

def test_crash_and_start_after_the_lease(three):
    """Fenced in between, as after any death, and a newcomer then."""
    node = three.nodes[1]
    with three.traffic(rate=300, deadline=0.2, streams=64, sniff=True) as t:
        t.wait_open()
        died = node.kill()
        fenced = [kernel.lease_end(node.host, vip) for vip in range(2)]
        assert max(fenced) - died <= LEASE + SLACK
        three.converge(three.others(node))
        t.run_for(max(0.0, died + 1.0 - time.monotonic()))
        back = time.monotonic()
        node.start()
        node.wait_answer()
        assert went_on(node) is None
        three.converge()
        t.run_for(0.3)
        t.stop()
    stray = [c for c in t.failures() if not died - 0.2 <= c.start < died + 1.0]
    assert not stray and not t.failures(back), t.told(stray)
    assert not t.doubles
    assert three.claims(node)


@pytest.mark.parametrize("harm", ["configuration", "version", "no stream", "no rules", "key"])
def test_what_another_run_left_is_not_gone_on_with(new_cluster, harm):
    cluster = new_cluster(2)
    node = cluster.nodes[0]
    stream = node.directory / "stream"
    assert stat.S_IMODE(stream.stat().st_mode) == 0o600
    salt = stream_salt(stream)
    node.kill()
    if harm == "configuration":
        node.config_write(node.config_path.read_text().replace('"300ms"', '"310ms"'))
    elif harm == "key":
        node.key_write("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    elif harm == "version":
        image = bytearray(stream.read_bytes())
        image[8] += 1
        stream.write_bytes(bytes(image))
    elif harm == "no stream":
        stream.unlink()
    else:
        node.host.enter(["nft", "flush", "ruleset"])
    node.start()
    node.wait_answer()
    assert went_on(node) is None and "went on with" not in node.log()
    if harm in ("version", "no stream", "no rules"):
        cluster.converge()
        assert stream_salt(stream) != salt
    node.stop()
    assert not stream.exists()


def stream_salt(path):
    return path.read_bytes()[96:104]


# --- refused

@pytest.fixture
def own_binary(new_cluster):
    """A cluster whose first node runs a copy of the binary, which a test may replace."""
    cluster = new_cluster(2, start=False)
    node = cluster.nodes[0]
    good = node.binary("ipclusterd")
    node.bindir = node.directory / "bin"
    node.bindir.mkdir()
    program = node.bindir / "ipclusterd"
    install(good, program)
    (node.bindir / "clusterctl").symlink_to(node.run.binary("clusterctl"))
    cluster.start()
    yield cluster, node, program, good


def install(source, target):
    """As a package manager does it: the name gets another file."""
    new = target.with_suffix(".new")
    if isinstance(source, str):
        new.write_text(source)
    else:
        shutil.copy(source, new)
    new.chmod(0o755)
    os.replace(new, target)


def refused(u, node, word, act=None):
    """clusterctl says why in a line, and the daemon serves on."""
    def ask(node):
        uptime = node.status()["uptime_ms"]
        done = node.ctl("restart", check=False)
        assert done.returncode == 1 and not done.stdout, (done.stdout, done.stderr)
        assert word in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
        assert node.status()["uptime_ms"] >= uptime
        assert "not restarted, everything stays as it was" in node.log()
    u.through(node, act or ask)


def test_what_is_refused(own_binary):
    cluster, node, program, good = own_binary
    conf = node.config_path.read_text()
    with Unnoticed(cluster) as u:
        node.config_write(conf + "nonsense = 1;\n")
        refused(u, node, f"{node.config_path}:")
        node.config_write(conf.replace('"300ms"', '"310ms"'))
        refused(u, node, "clusterctl reload first")
        node.config_write(conf.replace('name = "n1"', 'name = "n9"'))
        refused(u, node, "node.name")
        node.config_write(conf)
        program.unlink()
        refused(u, node, "No such file")
        install("#!/bin/sh\nexit 1\n", program)
        refused(u, node, "exit status 1")
        install("#!/bin/sh\necho it is broken; echo all over >&2; exit 3\n", program)
        refused(u, node, "it is broken (and 1 more lines)")
        install("#!/bin/sh\nkill -9 $$\n", program)
        refused(u, node, "signal 9")
        install("no program at all\n", program)
        refused(u, node, "Exec format error")
        # passes the check, and is gone when it is to be executed
        install(f"#!/bin/sh\nrm {program}\n", program)
        refused(u, node, "cannot execute")
        install(good, program)
        u.through(node, ctl_restart)
        u.end()
    assert os.readlink(f"/proc/{node.process.pid}/exe") == str(program)


def test_a_binary_that_hangs_is_refused(own_binary):
    cluster, node, program, good = own_binary
    install("#!/bin/sh\nexec sleep 60\n", program)
    with Unnoticed(cluster) as u:
        refused(u, node, "did not end within")
        u.end()
    install(good, program)
    ctl_restart(node)


# --- what stays and what does not

def descriptors(pid):
    """{number: (what it is, whether it ends with exec)}"""
    out = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        flags = int(re.search(r"flags:\s+(\d+)", Path(f"/proc/{pid}/fdinfo/{entry.name}")
                              .read_text())[1], 8)
        out[int(entry.name)] = (os.readlink(entry), bool(flags & os.O_CLOEXEC))
    return out


def test_the_process_is_the_same_and_nothing_piles_up(three):
    node = three.nodes[0]

    def traits():
        text = Path(f"/proc/{node.process.pid}/status").read_text()
        status = dict(re.findall(r"^(\w+):\s+(.*)$", text, re.M))
        found = descriptors(node.process.pid)
        stray = {n: d for n, d in found.items() if n > 2 and not d[1]}
        assert not stray, stray
        limits = Path(f"/proc/{node.process.pid}/limits").read_text()
        return {
            "descriptors": len(found),
            "capabilities": [status[k] for k in ("CapEff", "CapPrm", "CapBnd")],
            "signals": [status[k] for k in ("SigBlk", "SigIgn", "SigCgt")],
            "locked": status["VmLck"] != "0 kB",
            "memlock": re.search(r"Max locked memory\s+(\S+)", limits)[1],
            "scheduling": os.sched_getscheduler(node.process.pid),
            "arguments": Path(f"/proc/{node.process.pid}/cmdline").read_bytes().split(b"\0")[1:],
        }

    ctl_restart(node)
    three.converge()
    first = traits()
    for _ in range(3):
        ctl_restart(node)
        three.converge()
    poll("the same", lambda: traits() == first)
    assert first["signals"][0] == "0" * 16


def test_json(three):
    answer = three.nodes[0].ctl_json("restart")
    version = three.nodes[0].get("/v1/version")["version"]
    assert answer["ok"] is True and answer["done"] == "restart"
    assert answer["version"] == answer["version_before"] == version
    assert answer["inherited_buckets"] > 80 and 0 < answer["took_ms"] < 5000


def test_a_term_amid_a_restart_is_obeyed(new_cluster):
    cluster = new_cluster(2)
    node = cluster.nodes[0]
    before = kernel.has_tables(node.host)
    assert before
    waiting = node.run.start([node.run.binary("clusterctl"), "-s", node.socket, "restart"])
    poll("it is executed", lambda: "in the place of this run" in node.log(), every=0.001)
    node.process.terminate()
    assert node.process.wait(5) == 0
    node.run.end(waiting, kill=True)
    assert not kernel.has_tables(node.host)
    assert cluster.vip4 not in node.host.addresses()


def test_in_the_background(new_cluster):
    """It forks no more, and its pid file stays right."""
    cluster = new_cluster(1, start=False)
    node = cluster.nodes[0]
    cluster.segment.wait_ready()
    assert node.daemon("-c", node.config_path).returncode == 0
    pid_file = node.directory / "ipclusterd.pid"
    pid = int(pid_file.read_text())
    try:
        for _ in range(3):
            poll("it serves", lambda: node.status()["state"] == "serving")
            ctl_restart(node)
            assert int(pid_file.read_text()) == pid
        assert node.ctl("leave").returncode == 0
        poll("it has ended", lambda: not Path(f"/proc/{pid}").exists())
        assert not pid_file.exists() and not kernel.has_tables(node.host)
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


def test_a_drain_outlives_it(three):
    node = three.nodes[0]
    node.ctl("drain")
    three.converge(states=("serving", "draining"))
    done = node.ctl("restart")
    poll("it drains on", lambda: node.status()["state"] == "draining")
    three.converge(states=("serving", "draining"))
    assert not three.claims(node), done.stdout
    node.ctl("undrain")
    three.converge()
