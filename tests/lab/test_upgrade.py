"""A cluster is upgraded node by node, and back, while it serves. Needs the programs of an older
version, --previous DIR: of one that speaks the protocol's version 1, for instance.
"""

from pathlib import Path

import pytest

from lab import poll
from test_failover import twice, unbroken


@pytest.fixture
def previous(request):
    return Path(request.config.getoption("--previous")).resolve()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_from_one_version_to_the_next_and_back(new_cluster, previous, how):
    """In order, and by a restart that nobody notices; with deaths in mixed company."""
    cluster = new_cluster(3, start=False, flap=True)  # which the older one need not know of
    for node in cluster.nodes:
        node.bindir = previous
    cluster.start()
    owners = cluster.owners()
    for bindir in (None, previous):
        for node in cluster.nodes:
            with cluster.traffic(rate=300, streams=64, udp_rate=200, sniff=True) as t:
                before = t.wait_open()
                getattr(node, how)()
                node.bindir = bindir
                node.start()
                cluster.converge()
                t.run_for(0.3)
                t.stop()
            assert not t.doubles and not twice(t)
            assert not unbroken([s for s in before if how == "kill" or s.node != node.name],
                                t.final_streams, gap=1.0)
            if how == "stop":
                assert not [c for c in t.failures() if c.connect < 0], t.told(t.failures())
            assert cluster.owners() == owners


def test_a_mixed_cluster_misses_its_dead(new_cluster, previous):
    cluster = new_cluster(3, start=False, flap=True)
    old = cluster.nodes[0]
    old.bindir = previous
    cluster.start()
    for node in cluster.others(old):
        poll(f"{node.name} says who speaks an older version", lambda n=node: any(
            old.name in line and "version" in line for line in n.log().splitlines()))
    for victim in (cluster.nodes[1], old):
        with cluster.traffic(rate=300, deadline=0.2, sniff=True) as t:
            t.wait_connections(60)
            died = victim.die()
            cluster.converge(cluster.others(victim))
            t.run_for(1.3)
            t.stop()
        late = [c for c in t.failures() if not died - 0.2 <= c.start < died + 1.0]
        assert not late, t.told(late)
        assert not t.doubles
        victim.revive()
        cluster.converge()
