"""Beside other rules on the same host: all works, and theirs stay what they are."""

import pytest

from lab import Segment, firewalls, kernel, poll
from lab.run import command

PUBLISHED = 8080
KINDS = firewalls.kinds()

# Strict, and on a host that also routes: what distributions, Docker and careful people set.
SYSCTLS = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1,
           "net.ipv4.conf.all.rp_filter": 1, "net.ipv4.conf.eth0.rp_filter": 1,
           "net.ipv4.conf.all.send_redirects": 1, "net.ipv4.conf.all.arp_ignore": 1,
           "net.ipv4.conf.all.arp_announce": 2}


def iptables(kind, text):
    return lambda host: firewalls.load(host, kind, text)


def nft(text):
    return lambda host: host.enter(["nft", "-f", "-"], text=text)


NEIGHBOURS = {
    "firewalld": nft(firewalls.FIREWALLD),
    **{f"{name}-{kind}": iptables(kind, text) for kind in KINDS
       for name, text in (("docker", firewalls.DOCKER), ("ufw", firewalls.UFW),
                          ("marks", firewalls.MARKS))},
}


def snapshot(host):
    found = kernel.snapshot(host)
    found["nft"] = dict.fromkeys(firewalls.saved(host), "")
    return found


def serve(cluster, ports):
    """Clients of all addresses are served by the owners, also while a node is drained."""
    owners = cluster.owners()
    node = cluster.nodes[0]
    with cluster.traffic(rate=300, streams=64, udp_rate=100, sniff=True, ports=ports) as t:
        before = t.wait_open()
        t.wait_connections(150)
        for source, nodes in t.served_by().items():
            assert set(nodes) == {owners[cluster.bucket(source)]}
        node.ctl("drain")
        cluster.converge(states=("serving", "draining"))
        node.ctl("undrain")
        cluster.converge()
        t.wait_connections(50)
        t.stop()
    assert not t.failures(), t.told(t.failures())
    assert not t.doubles
    assert {s.source for s in before} == {s.source for s in t.final_streams if s.state == "open"}


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_beside(new_cluster, neighbour):
    cluster = new_cluster(3, start=False)
    for node in cluster.nodes:
        node.serve()
        for key, value in SYSCTLS.items():
            node.host.tell(key, value)
        NEIGHBOURS[neighbour](node.host)
    before = {n.name: snapshot(n.host) for n in cluster.nodes}
    cluster.start()
    serve(cluster, (PUBLISHED if neighbour.startswith("docker") else 80, 7000, 7001))
    for node in cluster.nodes:
        now = snapshot(node.host)
        for section in ("nft", "sysctls"):
            assert now[section] == before[node.name][section], (node.name, section)
    for node in cluster.nodes:
        assert node.stop() == 0, node.log()[-2000:]
        differs = kernel.difference(before[node.name], snapshot(node.host))
        assert not differs, node.name + ":\n" + "\n".join(differs)


def test_a_mark_of_ones_own(new_cluster):
    """Other bits of the mark, since somebody takes the usual ones away; not the same on all nodes."""
    cluster = new_cluster(3, start=False)
    for node, mark in zip(cluster.nodes, (0x3, 0x40000100, 0x70000)):
        config = node.config()
        config["node"]["mark"] = mark
        node.config_write(config)
        node.host.enter(["nft", "-f", "-"], text=f"""
table inet others {{
  chain a {{
    type filter hook prerouting priority -250; policy accept;
    meta mark set meta mark & {mark:#x} | {0x7ffffffe & ~mark:#x}
  }}
  chain b {{
    type filter hook prerouting priority 0; policy accept;
    meta mark & {mark:#x} != 0 counter drop
  }}
}}
""")
    cluster.start()
    serve(cluster, (80, 7000, 7001))


def test_another_mark_by_reload(three):
    """Rules with other bits replace those that are there; nothing is lost, and back."""
    node = three.nodes[1]
    for mark in (0x300, 0x70000):
        with three.traffic(rate=300, streams=32) as t:
            t.wait_open()
            config = node.config()
            config["node"]["mark"] = mark
            node.config_write(config)
            node.ctl("reload")
            poll("the new rules", lambda m=mark: f"0x{m:08x}" in kernel.rules_text(node.host))
            t.wait_connections(50)
            t.stop()
        assert not t.failures(), t.told(t.failures())
    node.config_write()


@pytest.mark.parametrize("kind", KINDS)
def test_rules_for_iptables(three, run, kind):
    """What clusterctl prints for iptables is taken by it, and lets in the same clients."""
    node = three.nodes[0]
    texts = {"iptables": node.ctl("rules", "--iptables").stdout,
             "ip6tables": node.ctl("rules", "--ip6tables").stdout}
    scratch = Segment(run, f"ipt{kind}")
    try:
        client, host = scratch.add_client(), scratch.host("x", 30)
        scratch.wait_ready()
        host.batch([f"addr add {three.vips[0]} dev eth0", f"addr add {three.vips[1]} dev eth0 nodad"])
        for program, text in texts.items():
            host.enter([f"{program}-{kind}-restore", "--test"], text=text)
            host.enter([f"{program}-{kind}-restore"], text=text)
        owners = three.owners()
        for source in client.direct4[:8] + client.direct6[:8]:
            vip = three.vip6 if ":" in source else three.vip4
            ours = owners[three.bucket(source)] == node.name
            done = command(["nsenter", f"--net=/run/netns/{client.namespace}", "ping", "-c", "1",
                            "-W", "2" if ours else "0.2", "-I", source, vip], check=False)
            assert (done.returncode == 0) == ours, source
    finally:
        scratch.delete()
