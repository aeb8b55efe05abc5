"""A daemon is another one amid a hand-over: restarted, or killed and started again."""

import json
import random
import signal
import subprocess
import time
from collections import Counter

import pytest

from lab import kernel, poll
from test_failover import unbroken
from test_restart import UNLUCKY

LEASE, INTERVAL, SLACK = 0.3, 0.1, 0.05
ROUNDS = 12
# Seconds from the one to the other, at most. A hand-over takes some milliseconds; a restart looks
# at the binary first, waits until the lease has just been renewed, and is away for a moment then.
CRASH_AFTER_DRAIN, DRAIN_AFTER_RESTART, DRAIN_AFTER_EXEC = 0.008, 0.15, 0.02
EXECUTED = "in the place of this run"


def wait(seconds):
    """Busily: a sleep is too coarse for a few milliseconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def phase(node, before):
    """How far the kernel of a daemon that has just died is with what it hands over or takes."""
    now = kernel.class_map(node.host)
    if kernel.forwarded(node.host):
        return "forwards"
    if now == before:
        return "not begun"
    new = [now[b] for b in now if b not in before]
    return "prepared" if "linger" in new else "done"


def crash(node, releasing, rng, seen):
    """Killed a moment after the drain has begun, and started again."""
    before = kernel.class_map(node.host)
    code, text = releasing.request("/v1/drain", "POST")
    assert code == 200, text
    wait(rng.uniform(0, CRASH_AFTER_DRAIN))
    died = node.kill()
    seen.append(phase(node, before))
    node.start()
    node.wait_answer()
    assert node.get("/v1/version")["inherited_buckets"] is not None, node.log()[-2000:]
    return died


def restart(node, releasing, rng, seen):
    """`clusterctl restart`; the drain is asked for at another node, so that it falls on whatever
    the restart is just at."""
    asked = next(n for n in node.cluster.nodes if n not in (node, releasing))
    began = time.monotonic()
    waiting = node.run.start([node.binary("clusterctl"), "-s", node.socket, "restart"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if rng.random() < 0.5:
        wait(rng.uniform(0, DRAIN_AFTER_RESTART))
    else:
        poll("it is executed", lambda: node.told(EXECUTED, began - SLACK), every=0.001)
        wait(rng.uniform(0, DRAIN_AFTER_EXEC))
    code, text = asked.request("/v1/drain", "POST", json.dumps({"node": releasing.name}))
    assert code == 200, text
    drained = time.monotonic()
    told, _ = waiting.communicate(timeout=10)
    node.run.end(waiting)
    assert waiting.returncode == 0 and "went on with" in told, told
    executed = node.told(EXECUTED, began - SLACK)[-1][0]
    back = node.told("went on with", began - SLACK)[-1][0]
    seen.append("before" if drained < executed else "amid" if drained < back else "after")
    return executed


def undrain(cluster, node):
    """The drain is over, if it has outlived the crash: True if so."""
    cluster.converge(states=("serving", "draining"))
    drains = node.status()["state"] == "draining"
    if drains:
        poll("drained", lambda: not any(v["owned"] for v in node.status()["vips"]))
        node.ctl("undrain")
        cluster.converge()
    return drains


@pytest.mark.parametrize("how", [restart, crash])
@pytest.mark.parametrize("who", ["releasing", "claiming"])
def test_amid_a_handover(three, who, how):
    """Nothing is reset, no stream hangs. Who comes while the daemon is away may wait, but for no
    longer than a lease and an interval."""
    rng = random.Random(1)
    seen, acts, drains = [], [], 0
    with three.traffic(rate=400, deadline=0.2, streams=64, sniff=True) as t:
        before = t.wait_open()
        for i in range(ROUNDS):
            releasing, claiming = three.nodes[i % 3], three.nodes[(i + 1) % 3]
            node = releasing if who == "releasing" else claiming
            acts.append(how(node, releasing, rng, seen))
            drains += undrain(three, releasing)
        t.run_for(0.5)
        t.stop()
    late = t.failures() + t.delayed(0.2)
    print(f"\n{ROUNDS} times, {drains} drains went on; {dict(Counter(seen))}; "
          f"{len(t.connections)} connections, {len(late)} waited")
    assert not t.doubles, t.doubles[:4]
    assert not [c for c in late if c.result not in ("ok", "timeout")], t.told(late)
    stray = [c for c in late if not any(
        a - SLACK <= c.start < a + LEASE + INTERVAL + SLACK for a in acts)]
    assert not stray, t.told(stray)
    if how is restart:
        assert len(late) <= UNLUCKY, t.told(late)
    hurt = unbroken(before, t.final_streams, gap=LEASE)
    assert not hurt, hurt[:3]


def test_a_restart_waits_for_a_handover(three):
    """Here for one to a node that is stopped, and so until that is dead."""
    node, stopped, _ = three.nodes
    began = time.monotonic()
    stopped.signal(signal.SIGSTOP)
    node.ctl("drain")
    node.ctl("restart")
    executed = node.told(EXECUTED, began)[-1][0]
    settled = [at for at, _ in node.told("converged", began) if at < executed]
    died = [at for at, _ in node.told(f"{stopped.name} is dead", began)]
    assert died and died[0] < settled[-1]
    stopped.signal(signal.SIGCONT)
