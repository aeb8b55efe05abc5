"""Rules that other programs put into a host: what Docker, ufw and firewalld load, in their shape, and
what people write themselves. All let the lab's services and the heartbeats in."""

import re

from . import kernel
from .run import command

PORTS = (80, 7000)

# As Docker's, for a container whose port 80 is published as 8080; here the container is this host.
DOCKER = """*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d {loopback} -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {inside} ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d {container} ! -i docker0 -j DROP
COMMIT
"""

# As ufw's: all is dropped that is not let in.
UFW = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:ufw-not-local - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p {icmp} -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -j ufw-user-input
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -j DROP
-A ufw-user-input -p udp -m udp --dport 7742 -j ACCEPT
-A ufw-user-input -p tcp -m multiport --dports 80,7000 -j ACCEPT
-A ufw-user-input -p udp -m udp --dport 7001 -j ACCEPT
COMMIT
"""

# What people write for policy routing: marks set as a whole, and kept with the flow.
MARKS = """*mangle
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -j CONNMARK --restore-mark
-A PREROUTING -i eth0 -j MARK --set-mark 0x1
-A PREROUTING -j CONNMARK --save-mark
-A OUTPUT -j CONNMARK --restore-mark
COMMIT
"""

FIREWALLD = """
table inet firewalld {
  chain mangle_PREROUTING {
    type filter hook prerouting priority mangle + 10; policy accept;
    jump mangle_PREROUTING_ZONES
  }
  chain mangle_PREROUTING_ZONES { }
  chain nat_PREROUTING {
    type nat hook prerouting priority dstnat + 10; policy accept;
  }
  chain nat_POSTROUTING {
    type nat hook postrouting priority srcnat + 10; policy accept;
  }
  chain filter_PREROUTING {
    type filter hook prerouting priority filter + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop
  }
  chain filter_INPUT {
    type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_INPUT_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    ct state invalid drop
    reject with icmpx admin-prohibited
  }
  chain filter_INPUT_ZONES {
    iifname "eth0" goto filter_IN_public
  }
  chain filter_IN_public {
    jump filter_IN_public_allow
    meta l4proto { icmp, ipv6-icmp } accept
  }
  chain filter_IN_public_allow {
    udp dport 7742 accept
    tcp dport { 80, 7000 } accept
    udp dport 7001 accept
  }
}
"""

_WORDS = {4: {"loopback": "127.0.0.0/8", "inside": "172.17.0.0/16", "container": "172.17.0.2/32",
              "icmp": "icmp"},
          6: {"loopback": "::1/128", "inside": "fd17::/64", "container": "fd17::2/128",
              "icmp": "ipv6-icmp"}}


def kinds():
    """Of the two kinds of iptables those that the kernel has: one may be built without the legacy
    one. The programs have to be there."""
    return [kind for kind in ("nft", "legacy")
            if all(command([f"{program}-{kind}-save"], check=False).returncode == 0
                   for program in ("iptables", "ip6tables"))]


def load(host, kind, text):
    """Loads rules of iptables, of both families."""
    for program, family in (("iptables", 4), ("ip6tables", 6)):
        host.enter([f"{program}-{kind}-restore"], text=text.format(**_WORDS[family]))


def saved(host):
    """All rules of a host but ours, in either kind, without what is counted."""
    text = kernel.without_state(kernel.ruleset(host))
    text = re.sub(r"^table \w+ ipclusterd \{.*?^\}", "", text, flags=re.S | re.M)
    for program in ("iptables-legacy-save", "ip6tables-legacy-save"):
        done = host.enter([program], check=False)
        if done.returncode == 0:
            text += "\n" + re.sub(r"\[\d+:\d+\]|^#.*", "", done.stdout, flags=re.M)
    return [line for line in text.splitlines() if line.strip()]
