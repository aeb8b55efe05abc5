"""The programs as a user meets them: options, exit codes, faults in the configuration, reload."""

import base64
import json
import re
import signal
import stat

import pytest

from lab import kernel, poll


@pytest.fixture
def idle(new_cluster):
    """A node whose daemon does not run."""
    return new_cluster(1, start=False).nodes[0]


def tables_of(node):
    return kernel.has_tables(node.host)


# --- a configuration that is refused: text to replace, what by, and the line that is told

FAULTS = {
    "unknown key": ('name = "lab";', 'nmae = "lab";', "nmae"),
    "wrong type": ('interface = "eth0";', "interface = 7;", "interface"),
    "unit": ('interval = "100ms";', 'interval = "100";', "interval"),
    "range": ('dead_after = "400ms";', 'dead_after = "200ms";', "dead_after"),
    "lease": ('lease = "300ms";', 'lease = "500ms";', "lease"),
    "address": ("10.77.0.2/16", "10.77.0.256/16", "10.77.0.256"),
    "twice": ("fd77::2/64", "10.77.0.2/16", None),
    "syntax": ('cluster = {', 'cluster = {{', "{{"),
    "mode": ('vips = ( {', 'vips = ( { mode = "macvlan";', "macvlan"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_configuration_is_told_by_its_line(idle, fault):
    old, new, at = FAULTS[fault]
    text = idle.config_path.read_text()
    assert old in text
    idle.config_write(text.replace(old, new, 1))
    before = kernel.snapshot(idle.host)
    checked = idle.daemon("-t", "-c", idle.config_path)
    assert checked.returncode == 1
    told = re.findall(rf"^{re.escape(str(idle.config_path))}:(\d+): \S.*$",
                      checked.stdout + checked.stderr, re.M)
    assert told, checked.stdout + checked.stderr
    if at:
        lines = [i for i, line in enumerate(idle.config_path.read_text().splitlines(), 1)
                 if at in line]
        assert {int(n) for n in told} & set(lines), (told, lines, checked.stderr)
    started = idle.daemon("-f", "-c", idle.config_path)
    assert started.returncode != 0
    assert f"{idle.config_path}:" in started.stderr
    assert not kernel.difference(before, kernel.snapshot(idle.host))


def test_every_fault_is_told_at_once(idle):
    text = idle.config_path.read_text()
    for old, new in (('interval = "100ms"', 'interval = "1h"'), ('name = "n1"', 'nmae = "n1"'),
                     ("fd77::2/64", "fd77::2/640")):
        assert old in text
        text = text.replace(old, new, 1)
    idle.config_write(text)
    checked = idle.daemon("-t", "-c", idle.config_path)
    assert checked.returncode == 1
    assert len(re.findall(r"^\S+:\d+: ", checked.stdout + checked.stderr, re.M)) >= 3


def test_a_good_configuration_passes(idle):
    done = idle.daemon("-t", "-c", idle.config_path)
    assert done.returncode == 0, done.stderr
    assert idle.ctl("check", idle.config_path).returncode == 0
    idle.config_write(idle.config_path.read_text() + "nonsense = 1;\n")
    done = idle.ctl("check", idle.config_path, check=False)
    assert done.returncode == 1 and f"{idle.config_path}:" in done.stdout + done.stderr


def test_print_touches_nothing(idle):
    before = kernel.snapshot(idle.host)
    done = idle.daemon("-n", "-c", idle.config_path)
    assert done.returncode == 0, done.stderr
    for word in ("table inet ipclusterd", "table netdev ipclusterd", "10.77.0.2", "fd77::2",
                 "eth0"):
        assert word in done.stdout
    assert not kernel.difference(before, kernel.snapshot(idle.host))
    assert not idle.socket.exists()


def test_version(idle):
    shown = idle.daemon("-V")
    assert shown.returncode == 0 and re.search(r"\d+\.\d+", shown.stdout)
    assert idle.daemon("-h").returncode == 0
    assert idle.daemon("-Z").returncode not in (0, None)
    assert re.search(r"\d+\.\d+", idle.ctl("version").stdout)


@pytest.mark.parametrize("harm", ["interface", "no key", "open key", "short key"])
def test_what_is_missing_is_said_in_one_sentence(idle, harm):
    if harm == "interface":
        idle.config_write(idle.config_path.read_text().replace('"eth0"', '"eth7"'))
        word = "eth7"
    elif harm == "no key":
        idle.key_path.unlink()
        word = str(idle.key_path)
    elif harm == "open key":
        idle.key_path.chmod(0o644)
        word = str(idle.key_path)
    else:
        idle.key_write("c2hvcnQ=")
        word = str(idle.key_path)
    before = kernel.snapshot(idle.host)
    done = idle.daemon("-f", "-c", idle.config_path)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if word in line], done.stderr
    assert len(done.stderr.splitlines()) <= 4
    assert not kernel.difference(before, kernel.snapshot(idle.host))


def test_without_the_capability_it_says_so(idle):
    done = idle.host.enter(
        ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin",
         idle.run.binary("ipclusterd"), "-f", "-c", idle.config_path], check=False)
    assert done.returncode != 0
    assert "net_admin" in done.stderr.lower()
    assert not tables_of(idle)


def test_a_second_daemon_of_the_same_configuration_is_refused(three):
    node = three.nodes[0]
    done = node.daemon("-f", "-c", node.config_path)
    assert done.returncode != 0 and done.stderr.strip()
    three.converge()
    assert kernel.claims(node.host)


def test_genkey(idle):
    keys = {idle.ctl("genkey").stdout for _ in range(3)}
    assert len(keys) == 3
    for key in keys:
        assert key.endswith("\n") and len(base64.b64decode(key)) == 32
    idle.key_write(keys.pop().strip())
    assert idle.daemon("-t", "-c", idle.config_path).returncode == 0


# --- clusterctl

@pytest.mark.parametrize("arguments, code", [
    (("status",), 0), (("members",), 0), (("vips",), 0), (("buckets",), 0), (("rules",), 0),
    (("which", "10.77.1.5"), 0), (("version",), 0),
    (("which", "nonsense"), 1), (("drain", "nobody"), 1), (("undrain", "nobody"), 1),
    ((), 2), (("nonsense",), 2), (("which",), 2), (("status", "surplus"), 2), (("-Z",), 2),
])
def test_exit_codes(three, arguments, code):
    done = three.nodes[0].ctl(*arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    if code == 0:
        assert done.stdout.strip()
    if code == 1:
        assert len(done.stderr.strip().splitlines()) == 1 and not done.stdout.strip()
    if code == 2:
        assert done.stderr.strip()


def test_no_daemon_to_talk_to(idle):
    for command in (("status",), ("-j", "status"), ("drain",), ("reload",)):
        done = idle.ctl(*command, check=False)
        assert done.returncode == 3 and done.stderr.strip()


@pytest.mark.parametrize("command", ["status", "members", "vips", "buckets"])
def test_tables_fit_80_columns_and_have_no_colour_in_a_pipe(five, command):
    shown = five.nodes[0].ctl(command).stdout
    assert "\x1b" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    if command in ("status", "members"):
        assert all(n.name in shown for n in five.nodes)


def test_json_of_each_part(three):
    node = three.nodes[0]
    buckets = node.ctl_json("buckets")["buckets"]
    assert [b["bucket"] for b in buckets] == list(range(256))
    assert {"owner", "home", "class", "claimed_by", "lingering_on"} <= set(buckets[0])
    assert {b["class"] for b in buckets if b["owner"] == node.name} <= {"own", "adopt"}
    assert {b["class"] for b in buckets if b["owner"] != node.name} <= {"foreign", "linger"}
    which = node.ctl_json("which", "10.78.0.7")
    assert which["address"] == "10.78.0.7" and which["bucket"] == 7
    assert which["vip"] in three.vips or which["vip"] == three.vip4
    assert which["order"][0] == which["owner"] == buckets[7]["owner"]
    assert len(which["order"]) == 3 and isinstance(which["lingering_on"], list)
    six = node.ctl_json("which", "fd78::7")
    assert six["bucket"] == 7 and six["owner"] == which["owner"]
    for part in ("members", "vips", "version", "status"):
        assert json.loads(node.ctl("-j", part).stdout)


def test_the_control_socket_is_not_for_everybody(three):
    for node in three.nodes:
        mode = stat.S_IMODE(node.socket.stat().st_mode)
        assert mode & 0o007 == 0
        assert stat.S_IMODE(node.key_path.stat().st_mode) == 0o600


def test_who_changes_something_is_logged(three):
    node = three.nodes[0]
    node.ctl("drain")
    node.ctl("undrain")
    assert [line for line in node.log().splitlines() if "drain" in line and "uid" in line.lower()]


# --- reload

def test_reload_with_a_fault_keeps_everything(three):
    node = three.nodes[0]
    good = node.config_path.read_text()
    try:
        with three.traffic(rate=300, streams=32) as t:
            t.wait_open()
            node.config_write(good.replace('"400ms"', '"4h"'))
            done = node.ctl("reload", check=False)
            assert done.returncode == 1
            assert f"{node.config_path}:" in done.stderr
            node.signal(signal.SIGHUP)
            poll("the fault is logged", lambda: f"{node.config_path}:" in node.log())
            t.run_for(0.5)
            t.stop()
        assert not t.failures(), t.told(t.failures())
        assert all(s.state == "open" for s in t.final_streams)
        three.converge()
    finally:
        node.config_write(good)
        node.ctl("reload")


def test_reload_changes_the_weight(three):
    node = three.nodes[0]
    config = node.config()
    config["node"]["weight"] = 50
    try:
        node.config_write(config)
        with three.traffic(rate=300, streams=64, sniff=True) as t:
            t.wait_open()
            node.ctl("reload")
            poll("the weight counts", lambda: all(
                m["weight"] == 50 for n in three.nodes for m in n.status()["members"]
                if m["name"] == node.name))
            three.converge()
            assert abs(list(three.owners().values()).count(node.name) - 256 / 5) <= 1
            t.run_for(0.2)
            t.stop()
        assert not t.failures(), t.told(t.failures())
        assert not t.delayed(), t.told(t.delayed())
        assert not t.doubles
        assert all(s.state == "open" for s in t.final_streams)
    finally:
        node.config_write()
        node.ctl("reload")


def test_reload_by_signal_adds_and_removes_an_address(new_cluster):
    cluster = new_cluster(2)
    old, new = cluster.vips, (*cluster.vips, "10.77.0.3/16")
    for vips in (new, old):
        cluster.vips = vips
        for node in cluster.nodes:
            node.config_write()
            node.signal(signal.SIGHUP)
        for node in cluster.nodes:
            poll(f"addresses of {node.name}", lambda n=node, v=vips: [
                x["address"] for x in n.status()["vips"]] == list(v))
            poll("the kernel has them", lambda n=node, v=vips:
                 ("10.77.0.3" in n.host.addresses()) == (len(v) == 3))
        cluster.converge()


def test_reload_cannot_change_the_name(three):
    node = three.nodes[0]
    config = node.config()
    config["node"]["name"] = "other"
    try:
        node.config_write(config)
        done = node.ctl("reload", check=False)
        assert done.returncode == 1 and "name" in done.stderr
        three.converge()
    finally:
        node.config_write()


def test_status_dump_on_usr1(three):
    node = three.nodes[0]
    lines = len(node.log().splitlines())
    node.signal(signal.SIGUSR1)
    poll("a dump in the log", lambda: len(node.log().splitlines()) > lines + 2)
    three.converge()


def test_a_second_term_ends_it_at_once(new_cluster):
    cluster = new_cluster(2, start=False)
    node = cluster.nodes[0]
    config = node.config()
    config["node"]["stop_drain"] = "60s"
    node.config_write(config)
    cluster.start()
    mine = cluster.sources_of(node, cluster.segment.client.direct4)
    with cluster.traffic(mine, streams=4) as t:
        t.wait_open()
        node.process.terminate()
        poll("it drains", lambda: node.status()["state"] in ("leaving", "draining"), 2)
        node.process.terminate()
        node.process.wait(2)
        t.stop()
    assert not tables_of(node)
    assert cluster.vip4 not in node.host.addresses()
