"""What an attacker can do, and what the daemon may do.

FLOOD_RATE and FLOOD_SECONDS in the environment make the floods longer: 100000 is the rate that a
cluster has to stand.
"""

import base64
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from lab import kernel, poll
from lab.run import command

PORT, GROUP = 7742, "239.255.77.42"
RATE = int(os.environ.get("FLOOD_RATE", "20000"))
SECONDS = float(os.environ.get("FLOOD_SECONDS", "2"))
UNIT = Path(__file__).resolve().parents[2] / "systemd" / "ipclusterd.service.in"
SOMEBODY = 64123
CHOWN, DAC_OVERRIDE, NET, IPC_LOCK = 1 << 0, 1 << 1, 3 << 12, 1 << 14


# --- floods

def seen(node):
    """Datagrams that came to nothing: rejected, or dropped unread."""
    return sum(node.status()["counters"]["heartbeats_rejected"].values())


def arrived(node):
    """UDP datagrams that were read from their sockets, or dropped there."""
    text = node.host.enter(["cat", "/proc/net/snmp"]).stdout
    names, values = [line.split()[1:] for line in text.splitlines() if line.startswith("Udp:")]
    udp = dict(zip(names, map(int, values)))
    return udp["InDatagrams"] + udp["InErrors"]


def record(segment, count=30):
    """Heartbeats as they were sent to the group, in a file for the flooder."""
    run = segment.run
    out = run.directory / f"record-{time.monotonic_ns()}"
    recorder = segment.client.start([run.tool("flood"), "record", "eth0", GROUP, PORT, count, out])
    assert recorder.wait(20) == 0
    run.end(recorder)
    return out


def flood(segment, kind, recorded, to, sources, rate=RATE):
    """Floods for SECONDS; the number of datagrams that were sent."""
    run = segment.run
    process = segment.client.start(
        [*run.promptly, run.tool("flood"), "send", kind, recorded, to, PORT, rate,
         int(rate * SECONDS), *sources], stdout=subprocess.PIPE, text=True)
    sent, took = map(int, process.stdout.read().split())
    run.end(process)
    print(f"{kind} to {to}: {sent} datagrams, {sent / took * 1e6:.0f} a second")
    return sent


def log_about(node, since):
    return [line for line in node.log().splitlines()[since:]
            if "rejected" in line or "flood" in line]


@pytest.mark.parametrize("source", ["stranger", "spoofed"])
@pytest.mark.parametrize("kind", ["junk", "forged", "stranger", "replay"])
def test_a_flood_evicts_nobody(three, kind, source):
    """To one node as fast as it goes, from the flooder's own address or from the members'."""
    victim, segment = three.nodes[0], three.segment
    recorded = record(segment)
    sources = [segment.client.address4] if source == "stranger" else \
        [node.host.address4 for node in three.others(victim)]
    before = {n.name: n.status() for n in three.nodes}
    lines = {n.name: len(n.log().splitlines()) for n in three.nodes}
    was, counted, began = arrived(victim), seen(victim), time.monotonic()
    sent = flood(segment, kind, recorded, victim.host.address4, sources)
    poll("all has come", lambda: arrived(victim) - was >= sent)
    if kind != "replay":  # of which some may pass for copies of another link
        poll("all is counted", lambda: seen(victim) - counted >= sent)
    for node in three.nodes:
        after = node.status()
        assert after["view"] == before[node.name]["view"]
        assert after["counters"]["takeovers"] == before[node.name]["counters"]["takeovers"]
        assert set(node.members().values()) == {"alive"}
        new = node.log().splitlines()[lines[node.name]:]
        assert not [line for line in new if " dead" in line or "called" in line]
        assert len(log_about(node, lines[node.name])) <= time.monotonic() - began + 3
    three.converge()


def test_a_flood_to_the_group_evicts_nobody(three):
    """Every node gets all of it."""
    recorded = record(three.segment)
    before = {n.name: n.status() for n in three.nodes}
    was = {n.name: arrived(n) for n in three.nodes}
    began = time.monotonic()
    for kind in ("junk", "forged"):
        flood(three.segment, kind, recorded, GROUP, [three.segment.client.address4], RATE / 2)
    for node in three.nodes:
        poll(f"all has come to {node.name}",
             lambda n=node: arrived(n) - was[n.name] >= RATE * SECONDS)
        assert node.status()["view"] == before[node.name]["view"]
        assert not node.told(" dead|called", began)
    three.converge()


def test_strangers_do_not_cost_their_reading(three):
    """Of a flood of what is none of this cluster's most is dropped by the kernel; when it ends,
    strangers are heard again: another cluster is worth telling."""
    node, segment = three.nodes[0], three.segment
    was = node.status()["counters"]["heartbeats_rejected"]
    sent = flood(segment, "junk", "-", node.host.address4, [segment.client.address4])

    def now():
        return {key: value - was[key] for key, value in
                node.status()["counters"]["heartbeats_rejected"].items()}

    poll("all is counted", lambda: sum(now().values()) >= sent)
    assert now()["unread"] > sent * 0.8, now()

    def heard_again():
        before = now()["malformed"]
        flood_few(segment, node)
        return poll("ten more", lambda: now()["malformed"] >= before + 10, 0.5)
    poll("strangers are heard again", heard_again, 10, 0.2)


def flood_few(segment, node):
    segment.client.enter([segment.run.tool("flood"), "send", "junk", "-", node.host.address4, PORT,
                          1000, 10, segment.client.address4])


# --- the unit

class Unit:
    """What the systemd unit says of the service."""

    def __init__(self):
        self.settings = {}
        for line in UNIT.read_text(encoding="utf-8").splitlines():
            found = re.fullmatch(r"(\w+)=(.*)", line)
            if found:
                self.settings.setdefault(found[1], []).append(found[2])

    def words(self, key):
        return " ".join(self.settings.get(key, [])).split()

    def one(self, key):
        return self.settings[key][-1]

    def capabilities(self):
        """As setpriv names those of a set, and nothing else."""
        ambient = self.words("AmbientCapabilities")
        assert set(ambient) <= set(self.words("CapabilityBoundingSet"))
        return {option: "-all," + ",".join("+" + c.removeprefix("CAP_").lower() for c in caps)
                for option, caps in (("--ambient-caps", ambient), ("--inh-caps", ambient),
                                     ("--bounding-set", self.words("CapabilityBoundingSet")))}

    def call_numbers(self, directory):
        """A file with the numbers of the calls of SystemCallFilter. Names that this architecture
        does not have are left out, as systemd does."""
        defined = command([os.environ.get("CC", "cc").split()[0], "-E", "-dM", "-include",
                           "sys/syscall.h", "-x", "c", "/dev/null"]).stdout
        known = dict(re.findall(r"^#define __NR_(\w+) (\d+)$", defined, re.M))
        names = self.words("SystemCallFilter")
        assert names and not [n for n in names if not re.fullmatch(r"\w+", n)], names
        out = directory / "calls"
        out.write_text("\n".join(known[n] for n in names if n in known) + "\n", encoding="ascii")
        return out


# The rest of the world as the unit's sandbox shows it: its directories, and /proc.
SANDBOX = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/ipclusterd
chown {uid}:{uid} /run/ipclusterd
mount -t proc -o {proc} proc /proc
exec "$@"
"""


def sandboxed(node, unit, numbers, *argv):
    """argv as the unit would run it: user, capabilities, system calls, /proc."""
    proc = {"invisible": "hidepid=invisible", "default": "rw"}[unit.one("ProtectProc")]
    if unit.words("ProcSubset") == ["pid"]:
        proc += ",subset=pid"
    shell = SANDBOX.format(uid=SOMEBODY, proc=proc)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", shell, "sh",
            "setpriv", "--reuid", SOMEBODY, "--regid", SOMEBODY, "--clear-groups",
            "--pdeathsig", "KILL", *[f"{k}={v}" for k, v in unit.capabilities().items()],
            "--no-new-privs", node.run.tool("confine"), numbers, *argv]


@pytest.fixture
def unit_cluster(new_cluster, run):
    """A cluster whose daemons run as the systemd unit runs them."""
    unit = Unit()
    cluster = new_cluster(3, start=False)
    run.directory.chmod(0o711)
    for node in cluster.nodes:
        numbers = unit.call_numbers(node.directory)
        node.prefix = sandboxed(node, unit, numbers)
        node.start = lambda n=node: start(n)
        command(["chown", "-R", f"{SOMEBODY}:{SOMEBODY}", node.directory])
    yield cluster
    run.directory.chmod(0o700)


def start(node, *options):
    """Node.start(), by way of the node's prefix. The log is opened by us, as by the journal."""
    argv = [*node.prefix, node.run.binary("ipclusterd"), "-f", "-c", node.config_path, *options]
    with open(node.log_path, "ab") as log:
        node.process = node.host.start(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def within_unit(node, *argv):
    return node.host.enter([*node.prefix, *argv], check=False)


def status_of(process):
    text = Path(f"/proc/{process.pid}/status").read_text()
    return dict(re.findall(r"^(\w+):\s+(.*)$", text, re.M))


def test_the_unit_is_enough(unit_cluster):
    """Serving, drain, reload, dump, rules, repair, crash and stop as an unprivileged user, with
    the unit's capabilities, where every call that its filter lacks is a death."""
    cluster = unit_cluster
    node = cluster.nodes[0]
    before = {n.name: kernel.snapshot(n.host) for n in cluster.nodes}
    assert within_unit(node, node.run.binary("ipclusterd"), "-t", "-c",
                       node.config_path).returncode == 0
    cluster.start()
    status = status_of(node.process)
    assert status["Uid"].split() == [str(SOMEBODY)] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == NET
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert any(boot in path.read_text() for path in node.state_dir.iterdir())
    with cluster.traffic(rate=200, streams=32) as t:
        t.wait_open()
        node.ctl("drain")
        cluster.converge(states=("serving", "draining"))
        node.ctl("undrain")
        cluster.converge()
        t.stop()
    assert not t.failures(), t.told(t.failures())
    live_through(cluster, node)
    node.kill()
    node.start()
    cluster.converge()
    for one in cluster.nodes:
        assert one.stop() == 0, one.log()[-2000:]
    for one in cluster.nodes:
        assert not kernel.difference(before[one.name], kernel.snapshot(one.host))
        assert not one.socket.exists()


def live_through(cluster, node):
    """What else a daemon meets with in its life."""
    assert "table inet ipclusterd" in node.ctl("rules").stdout
    cluster.vips = (*cluster.vips, "10.77.0.3/16")
    for one in cluster.nodes:
        one.config_write()
        # as ExecReload does it
        done = within_unit(one, shutil.which("kill"), "-HUP", one.process.pid)
        assert done.returncode == 0, done.stderr
    for one in cluster.nodes:
        poll("the reload", lambda n=one: len(n.status()["vips"]) == 3)
    cluster.converge()
    lines = len(node.log().splitlines())
    node.signal(signal.SIGUSR1)
    poll("a dump", lambda: len(node.log().splitlines()) > lines + 2)
    node.host.enter(["ip", "addr", "del", "10.77.0.3/16", "dev", "eth0"])
    poll("the address is back", lambda: "10.77.0.3" in node.host.addresses())
    node.host.enter(["nft", "delete", "table", "inet", "ipclusterd"])
    poll("the rules are back", lambda: "inet" in kernel.has_tables(node.host))
    assert "went on with" in node.ctl("restart").stdout
    cluster.converge()
    status = status_of(node.process)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == NET
    assert status["Seccomp"] == "2" and status["Uid"].split() == [str(SOMEBODY)] * 4
    assert node.members()[cluster.nodes[1].name] == "alive"


def test_the_service_manager_is_told(unit_cluster):
    """READY=1, the state and WATCHDOG=1 go out under the filter too."""
    node = unit_cluster.nodes[0]
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = node.directory / "notify"
    told.bind(str(path))
    path.chmod(0o777)
    told.settimeout(10)
    node.prefix = ["env", f"NOTIFY_SOCKET={path}", "WATCHDOG_USEC=200000", *node.prefix]
    unit_cluster.segment.wait_ready()
    start(node)
    words = set()
    while not {"READY=1", "WATCHDOG=1"} <= words:
        words |= set(told.recv(4096).decode().splitlines())
    told.close()
    assert node.stop() == 0


@pytest.mark.parametrize("result, waits", [("exit-code", True), ("signal", False),
                                           ("success", False)])
def test_what_cannot_start_waits_for_a_second(unit_cluster, result, waits):
    """A daemon that died does not: it is to be back within its lease."""
    command_line = shlex.split(Unit().one("ExecStopPost").replace("$$", "$"))
    began = time.monotonic()
    done = within_unit(unit_cluster.nodes[0], shutil.which("env"),
                       f"SERVICE_RESULT={result}", *command_line)
    assert done.returncode == 0, done.stderr
    assert (time.monotonic() - began >= 1.0) == waits


@pytest.mark.parametrize("call, when", [("sendto", "start"), ("flock", "start"),
                                        ("capset", "start"), ("wait4", "rules")])
def test_a_call_that_is_missing_is_seen(unit_cluster, call, when):
    """The filter is a real one: without a call that is needed, the daemon dies of it."""
    node = unit_cluster.nodes[0]
    unit = Unit()
    assert call in unit.words("SystemCallFilter")
    unit.settings["SystemCallFilter"] = [" ".join(
        w for w in unit.words("SystemCallFilter") if w != call)]
    node.prefix = sandboxed(node, unit, unit.call_numbers(node.directory))
    unit_cluster.segment.wait_ready()
    start(node)
    if when == "rules":
        node.wait_answer()
        node.ctl("rules", check=False)
    assert node.process.wait(10) == -signal.SIGSYS
    node.run.end(node.process)


def test_root_among_the_files_of_the_units_user(unit_cluster):
    """Who starts the daemon as root after the unit has run can do so, and the unit after that."""
    cluster = unit_cluster
    node = cluster.nodes[0]

    def lives(begin):
        begin()
        poll("it serves", lambda: node.status()["state"] == "serving")
        uid = int(status_of(node.process)["Uid"].split()[0])
        kept = int(status_of(node.process)["CapEff"], 16)
        assert node.stop() == 0, node.log()[-2000:]
        assert {path.stat().st_uid for path in node.state_dir.iterdir()} == {SOMEBODY}
        return uid, kept & ~IPC_LOCK

    cluster.segment.wait_ready()
    assert lives(node.start) == (SOMEBODY, NET)
    os.chown(node.key_path, 0, 0)
    assert lives(lambda: type(node).start(node)) == (0, NET | CHOWN | DAC_OVERRIDE)
    os.chown(node.key_path, SOMEBODY, SOMEBODY)
    assert lives(node.start) == (SOMEBODY, NET)


# --- the key

def spellings(key):
    """The key as it may show: raw, hex, base64 in its alphabets, and parts of these."""
    raw = base64.b64decode(key)
    out = [raw, raw[:16], raw[16:]]
    for text in (raw.hex(), base64.b64encode(raw).decode().rstrip("="),
                 base64.urlsafe_b64encode(raw).decode().rstrip("=")):
        out += [text.encode(), text[:20].encode(), text[20:].encode(), text.upper().encode()]
    return out


def shows(key, where, data):
    data = data if isinstance(data, bytes) else data.encode(errors="surrogateescape")
    for spelling in spellings(key):
        assert spelling not in data, f"the key is in {where}"
        assert spelling[::-1] not in data, f"the key is, backwards, in {where}"


PAGES = ["/", "/metrics", "/healthz"] + [
    "/v1/" + page for page in ("status", "members", "vips", "buckets", "version", "rules",
                               "events", "which?address=10.77.1.5")]


def test_the_key_shows_nowhere(new_cluster):
    cluster = new_cluster(2, start=False)
    node, other = cluster.nodes
    key = cluster.key
    for option in ("-t", "-n"):
        done = node.daemon(option, "-d", "-c", node.config_path)
        assert done.returncode == 0
        shows(key, option, done.stdout + done.stderr)
    cluster.segment.wait_ready()
    for one in cluster.nodes:
        one.serve()
        one.start(debug=True)
    cluster.converge()
    recorded = record(cluster.segment)
    node.signal(signal.SIGUSR1)
    poll("a dump", lambda: "node n1 of cluster" in node.log())
    # A key that is refused must not be told either, nor the one that stays.
    wrong = base64.b64encode(os.urandom(24)).decode()
    node.key_write(wrong)
    assert node.ctl("reload", check=False).returncode == 1
    node.key_write(key)
    node.ctl("reload")
    other.kill()
    other.start(debug=True)
    cluster.converge()
    for page in PAGES:
        shows(key, page, node.request(page)[1])
    for arguments in (("status",), ("-j", "status"), ("rules",), ("members",), ("buckets",)):
        shows(key, arguments, node.ctl(*arguments).stdout)
    for one in cluster.nodes:
        shows(key, "the command line", Path(f"/proc/{one.process.pid}/cmdline").read_bytes())
        shows(key, "the environment", Path(f"/proc/{one.process.pid}/environ").read_bytes())
        for path in one.directory.rglob("*"):
            if path.is_file() and path != one.key_path:
                shows(key, path, path.read_bytes())
        shows(wrong, "the log", one.log())
    shows(key, "heartbeats", recorded.read_bytes())
    assert node.stop() == 0
    shows(key, "the log", node.log())


def test_a_core_file_has_no_key(new_cluster, tmp_path):
    """A daemon that crashes leaves no core file at all: the kernel does not dump it."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if "/" in pattern or "|" in pattern:
        pytest.skip(f"core files go to {pattern} here")
    cluster = new_cluster(1, start=False)
    node = cluster.nodes[0]
    cluster.segment.wait_ready()

    def crash(argv):
        """Core files that are left by a process which dies of SEGV."""
        process = node.host.start(argv, cwd=tmp_path, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2), stderr=subprocess.DEVNULL)
        if argv[0] == node.run.binary("ipclusterd"):
            node.process = process
            node.wait_answer()
        process.send_signal(signal.SIGSEGV)
        assert process.wait(10) == -signal.SIGSEGV
        node.run.end(process)
        return list(tmp_path.iterdir())

    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0 and not crash(["sleep", "100"]):
        pytest.skip("nothing leaves core files here")
    for path in tmp_path.iterdir():
        path.unlink()
    assert not crash([node.run.binary("ipclusterd"), "-f", "-c", node.config_path])
    node.start()
    node.wait_answer()
