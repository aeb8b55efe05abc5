"""Many nodes on one segment: sixteen agree, one dies, its buckets are taken over; what they send is
what the protocol says, and no datagram is larger than the link takes. Figures: measure.py --scale.
"""

from collections import Counter

import pytest

from lab import kernel
from lab.scale import DATAGRAM_MAX, ETHERNET, IPV4, UDP, Crowd, frame_bytes

COUNT = 16


@pytest.fixture
def crowd(run, binaries):
    made = Crowd(run, COUNT)
    try:
        made.start()
        yield made
    except BaseException:
        print(made.cluster.logs(800))
        raise
    finally:
        made.close()


def test_sixteen_nodes_share_and_take_over(crowd):
    names = [n.name for n in crowd.nodes]
    owners = crowd.cluster.owners()
    assert Counter(owners.values()) == dict.fromkeys(names, 16)
    for node in crowd.nodes:
        assert kernel.claims(node.host) == {b for b, owner in owners.items() if owner == node.name}

    quiet = crowd.quiet(2.0)
    frame = sum(quiet["bytes"].values()) / sum(quiet["datagrams"].values())
    assert abs(frame - frame_bytes(names)) <= 8, (frame, frame_bytes(names))
    assert frame <= ETHERNET + IPV4 + UDP + DATAGRAM_MAX

    *living, victim = crowd.nodes
    mine = {b for b, owner in owners.items() if owner == victim.name}
    died = victim.die()
    crowd.agreed(living, died)
    now = crowd.cluster.owners(living[0])
    assert victim.name not in now.values()
    assert {b for b in owners if owners[b] != now[b]} == mine
    assert set().union(*(kernel.claims(n.host) for n in living)) == set(owners)

    counted = crowd.counters.read()
    assert counted["fragments"][0] == counted["large"][0] == 0
