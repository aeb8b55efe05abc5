"""Many nodes on one segment: sixteen agree, one dies, its buckets are taken over; what they send is
what the protocol says, and no datagram is larger than the link takes. Sixty-four, which is all that
two CPUs can run, agree too, and cost little. Figures: measure.py --scale.
"""

import statistics
from collections import Counter

import pytest

from lab import kernel
from lab.scale import DATAGRAM_MAX, ETHERNET, IPV4, UDP, Crowd, frame_bytes

CPU = 3.0           # percent of a core: 2 are allowed for, and some for a busy machine
RSS = 12 * 1024     # KiB


@pytest.fixture
def crowd(request, run, binaries):
    made = Crowd(run, request.param, f"crowd{request.param}")
    try:
        made.start(timeout=60)
        yield made
    except BaseException:
        print(made.cluster.logs(800))
        raise
    finally:
        made.close()


@pytest.mark.parametrize("crowd", [16], indirect=True)
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


@pytest.mark.parametrize("crowd", [64], indirect=True)
def test_sixty_four_nodes_cost_little(crowd):
    owners = crowd.cluster.owners()
    assert Counter(owners.values()) == {n.name: 4 for n in crowd.nodes}
    quiet = crowd.quiet(5.0)
    cpu, rss = statistics.median(quiet["cpu"]), max(quiet["rss"])
    print(f"CPU {cpu:.2f} % of a core (worst {max(quiet['cpu']):.2f} %), {rss} KiB")
    assert cpu <= CPU and rss <= RSS
    # nobody says more than the regular heartbeat, and nobody is missed
    assert statistics.median(quiet["datagrams"].values()) < 12
    assert quiet["fragments"] == quiet["large"] == 0
    assert set(crowd.nodes[-1].members().values()) == {"alive"}
