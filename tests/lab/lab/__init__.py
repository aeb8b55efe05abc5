"""The lab: hosts in network namespaces on a switch that learns, and what runs on them.

    Run       one run of the lab: its names, its directory, and that nothing of it stays
    Segment   an Ethernet segment: a bridge and the hosts on it
    Cluster   nodes (ipclusterd, servers) of one cluster on a segment
    Traffic   the measuring client: connections, streams, datagrams from many addresses
    kernel    what the kernel of a host says, apart from any daemon
    firewalls rules that other programs put there
"""

from .cluster import Cluster, Node, Timing
from .run import Failure, Run, poll
from .segment import Host, Segment
from .traffic import Traffic

__all__ = ["Cluster", "Failure", "Host", "Node", "Run", "Segment", "Timing", "Traffic", "poll"]
