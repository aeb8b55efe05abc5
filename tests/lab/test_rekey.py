"""The cluster's key is changed while it serves: nobody is missed, nothing is lost."""

import base64
import os

import pytest

from lab import poll
from lab.faults import Wires
from test_failover import twice, unbroken


def genkey():
    return base64.b64encode(os.urandom(32)).decode()


def next_path(node):
    return node.directory / "key.next"


def next_write(node, key):
    path = next_path(node)
    path.write_text(key + "\n", encoding="ascii")
    path.chmod(0o600)


def next_add(node, key):
    """Writes the next key and names it in the configuration."""
    next_write(node, key)
    config = node.config()
    config["cluster"]["key_file_next"] = str(next_path(node))
    node.config_write(config)


def files_move(node):
    """The next key becomes the key, and no other is left."""
    next_path(node).replace(node.key_path)
    node.config_write()


def keys(node):
    return node.status()["key"]


def ready(cluster):
    for node in cluster.nodes:
        poll(f"{node.name} knows that all are ready", lambda n=node: keys(n)["ready"])


def changed(nodes, was):
    """Waits until all use one key, which is not `was`."""
    def same():
        now = {keys(n)["id"] for n in nodes}
        return len(now) == 1 and was not in now and all(keys(n)["changed"] for n in nodes)
    poll("all use the next key", same)


def evictions(cluster):
    return [line for n in cluster.nodes
            for _, line in n.told(r" is dead| has left|called dead|lease lapsed")]


def harmless(cluster, t, before, was):
    """No loss, no eviction, and nothing refused."""
    assert not t.failures(), t.told(t.failures())
    assert not t.delayed(), t.told(t.delayed())
    assert not t.doubles and not twice(t)
    assert len([d for d in t.datagrams if d.replies == 0]) <= 1
    assert not unbroken(before, t.final_streams)
    assert len(evictions(cluster)) == was, evictions(cluster)[was:]
    for node in cluster.nodes:
        counters = node.status()["counters"]["heartbeats_rejected"]
        assert counters["forged"] == counters["malformed"] == 0, (node.name, counters)


def traffic(cluster):
    return cluster.traffic(rate=300, streams=64, udp_rate=200, sniff=True)


def secret(cluster, *texts):
    """No key shows in a log, or in what the daemons tell."""
    for node in cluster.nodes:
        told = node.log() + node.request("/v1/status")[1] + node.request("/v1/members")[1]
        told += node.request("/metrics")[1] + node.daemon("-n", "-c", node.config_path).stdout
        for text in texts:
            raw = base64.b64decode(text)
            for form in (text, text.rstrip("="), raw.hex(), raw.hex().upper()):
                assert form not in told, f"{node.name} tells a key"


def test_all_change_together(new_cluster):
    """Thrice in a row: key_file_next on all, rekey, the files moved."""
    cluster = new_cluster(3)
    used = [cluster.key]
    was = len(evictions(cluster))
    with traffic(cluster) as t:
        before = t.wait_open()
        for by in cluster.nodes:
            used.append(genkey())
            old = keys(by)["id"]
            for node in cluster.nodes:
                next_add(node, used[-1])
                assert not keys(node)["ready"]
                node.ctl("reload")
            ready(cluster)
            by.ctl("rekey")
            changed(cluster.nodes, old)
            secret(cluster, *used)
            t.run_for(0.3)
            for node in cluster.nodes:
                files_move(node)
                node.ctl("reload")
                assert keys(node)["next"] is None and keys(node)["id"] != old
            cluster.converge()
        t.run_for(0.5)
        t.stop()
    harmless(cluster, t, before, was)
    assert len(set(used)) == 4
    # and the files are the ones to start with
    for node in cluster.nodes:
        node.stop()
        node.start()
        cluster.converge()


def test_one_without_the_next_key_is_named(new_cluster):
    """Nobody changes, whoever asks; when it has the key, all do."""
    cluster = new_cluster(3)
    key, lacking = genkey(), cluster.nodes[1]
    was = len(evictions(cluster))
    with traffic(cluster) as t:
        before = t.wait_open()
        old = keys(lacking)["id"]
        done = lacking.ctl("rekey", check=False)
        assert done.returncode == 1 and "key_file_next" in done.stderr
        for node in cluster.others(lacking):
            next_add(node, key)
            node.ctl("reload")
        for node in cluster.others(lacking):
            done = node.ctl("rekey", check=False)
            assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
            assert lacking.name in done.stderr, done.stderr
            poll("the other's key is known", lambda n=node: [
                m["key_next"] for m in n.status()["members"]].count(None) == 1)
            done = node.ctl("rekey", check=False)
            assert not any(n.name in done.stderr for n in cluster.others(lacking)), done.stderr
        next_add(lacking, genkey())  # another one is none
        lacking.ctl("reload")
        poll("its next key is known", lambda: all(
            m["key_next"] for m in cluster.nodes[0].status()["members"]))
        done = cluster.nodes[0].ctl("rekey", check=False)
        assert done.returncode == 1 and lacking.name in done.stderr
        t.run_for(0.5)
        assert {keys(n)["id"] for n in cluster.nodes} == {old}
        next_write(lacking, key)
        lacking.ctl("reload")
        ready(cluster)
        lacking.ctl("rekey")
        changed(cluster.nodes, old)
        t.run_for(0.3)
        t.stop()
    harmless(cluster, t, before, was)


def test_a_key_that_the_members_use_cannot_be_given_up(new_cluster):
    """The files of one node are put back to where they were: it refuses to leave the others."""
    cluster = new_cluster(2)
    node, key = cluster.nodes[0], genkey()
    old = keys(node)["id"]
    for each in cluster.nodes:
        next_add(each, key)
        each.ctl("reload")
    ready(cluster)
    node.ctl("rekey")
    changed(cluster.nodes, old)
    node.config_write()
    done = node.ctl("reload", check=False)
    assert done.returncode == 1 and "key" in done.stderr
    node.key_write(genkey())  # one that nobody knows
    assert node.ctl("reload", check=False).returncode == 1
    cluster.converge()
    assert {keys(n)["id"] for n in cluster.nodes} != {old}


@pytest.mark.parametrize("moved", [0, 1, 2])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_node_starts_again_in_between(new_cluster, how, moved):
    """After the change and before its files are moved: it begins with the old key, which some of
    the others, or all, have given up already."""
    cluster = new_cluster(3)
    node, key = cluster.nodes[2], genkey()
    with cluster.traffic(rate=200, sniff=True) as t:
        old = keys(node)["id"]
        for each in cluster.nodes:
            next_add(each, key)
            each.ctl("reload")
        ready(cluster)
        getattr(node, how)()  # also before the change
        node.start()
        cluster.converge()
        ready(cluster)
        cluster.nodes[0].ctl("rekey")
        changed(cluster.nodes, old)
        for each in cluster.nodes[:moved]:
            files_move(each)
            each.ctl("reload")
        getattr(node, how)()
        node.start()
        cluster.converge()
        poll("it has gone over", lambda: keys(node)["id"] == keys(cluster.nodes[0])["id"] != old)
        for each in cluster.nodes[moved:]:
            files_move(each)
            each.ctl("reload")
        cluster.converge()
        t.run_for(0.3)
        t.stop()
    assert not t.doubles


def test_who_was_down_comes_in_with_the_new_key(new_cluster):
    """It has no part in the change, for only the living have; with the key it comes in."""
    cluster = new_cluster(3)
    node, key = cluster.nodes[1], genkey()
    old = keys(node)["id"]
    node.stop()
    cluster.converge(cluster.others(node))
    for each in cluster.others(node):
        next_add(each, key)
        each.ctl("reload")
    for each in cluster.others(node):
        poll("they are ready", lambda n=each: keys(n)["ready"])
    cluster.nodes[0].ctl("rekey")
    changed(cluster.others(node), old)
    next_add(node, key)
    node.start()
    cluster.converge()
    changed(cluster.nodes, old)


def test_with_losses_on_the_wires(new_cluster, segment):
    """A fifth of the nodes' frames is lost meanwhile."""
    cluster = new_cluster(4)
    wires, key = Wires(segment), genkey()
    was = len(evictions(cluster))
    names = [n.name for n in cluster.nodes]
    old = keys(cluster.nodes[0])["id"]
    with traffic(cluster) as t:
        t.wait_open()
        wires.set({(a, b): 20 for a in names for b in names if a != b})
        for node in cluster.nodes:
            next_add(node, key)
            node.ctl("reload")
        ready(cluster)
        cluster.nodes[3].ctl("rekey")
        changed(cluster.nodes, old)
        wires.set({})
        cluster.converge()
        t.run_for(0.3)
        t.stop()
    assert not t.doubles and not t.failures()
    assert len(evictions(cluster)) == was, evictions(cluster)[was:]
