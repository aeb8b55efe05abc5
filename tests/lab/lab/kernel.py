"""What the kernel of a host says: rules, addresses, links, sysctls. No daemon is asked."""

import json
import re
import time

from .run import poll

TABLES = ("inet", "netdev")

# What changes by itself in a namespace, or is counted there.
_VOLATILE = re.compile(
    r"nf_conntrack_count|/stable_secret|/ipv4/route/|random|fs/|tcp_fastopen_key|inet_peer"
    r"|conntrack_buckets|nf_log")


def ruleset(host):
    return host.enter(["nft", "list", "ruleset"]).stdout


def has_tables(host):
    """Those of our tables that are there."""
    listed = host.enter(["nft", "list", "tables"]).stdout
    return [f for f in TABLES if f"table {f} ipclusterd" in listed]


def without_state(text):
    """A ruleset's text without what counts or runs out: counters, times, elements."""
    text = re.sub(r"elements = \{.*?\}", "elements", text, flags=re.S)
    text = re.sub(r"packets \d+ bytes \d+", "packets bytes", text)
    text = re.sub(r"^\s*elements$", "", text, flags=re.M)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def rules_text(host):
    """Our tables as they are listed, without their state."""
    return "".join(without_state(host.enter(["nft", "list", "table", family, "ipclusterd"],
                                            check=False).stdout) for family in TABLES)


def _element_parts(element):
    """nft's JSON wraps an element that has a timeout."""
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    return element


def _listed(host, what, name):
    """The elements of a set or map of ours; with `early_drop = false` it is in table inet."""
    for family in reversed(TABLES):
        done = host.enter(["nft", "-j", "list", what, family, "ipclusterd", name], check=False)
        if done.returncode != 0:
            continue
        for entry in json.loads(done.stdout)["nftables"]:
            if what in entry:
                return entry[what].get("elem", [])
    return None


def class_map(host, vip=0):
    """{bucket: "own" | "adopt" | "linger"} of a VIP, as the kernel has it; None: no map."""
    elements = _listed(host, "map", f"v{vip}_class")
    if elements is None:
        return None
    out = {}
    for element in elements:
        key, verdict = element
        key = _element_parts(key)
        if isinstance(key, str):
            text = key.replace("::", "").split(".")[-1] if "." in key else key.rsplit(":", 1)[-1]
            bucket = int(text, 10 if "." in key else 16) if text else 0
        else:
            bucket = int(key)
        target = re.search(r"v\d+_(own|adopt|linger)", json.dumps(verdict))
        out[bucket] = target[1] if target else json.dumps(verdict)
    return out


def claims(host, vip=0):
    """The buckets whose new flows this kernel lets in now: classes that claim, under a lease."""
    if not lease(host, vip):
        return set()
    return {b for b, c in (class_map(host, vip) or {}).items() if c in ("own", "adopt")}


def forwarded(host, vip=0):
    """How many buckets' new flows this kernel forwards to another node."""
    return len(_listed(host, "map", f"v{vip}_fwd") or ())


def lease(host, vip=0):
    """True if the lease of a VIP has not run out in the kernel."""
    return bool(_listed(host, "set", f"v{vip}_lease"))


def lease_end(host, vip=0, timeout=3.0):
    """Waits until the kernel's lease has run out; returns when the last listing began that still
    showed it (listing takes its time, and must not be held against the lease)."""
    held = float("-inf")

    def gone():
        nonlocal held
        began = time.monotonic()
        if not lease(host, vip):
            return True
        held = began
        return False

    poll("the lease runs out", gone, timeout, 0.002)
    return held


def flows(host, vip):
    """The TCP flows to the address in conntrack, as (source, state)."""
    family = ["-f", "ipv6"] if ":" in vip else []
    text = host.enter(["conntrack", "-L", "-p", "tcp", "--orig-dst", vip, *family],
                      check=False).stdout
    found = re.findall(r"^tcp\s+\d+\s+\d+\s+(\w+)\s+src=(\S+)", text, re.M)
    return [(source, state) for state, source in found]


def _addresses(host):
    keep = ("family", "local", "prefixlen", "scope", "label", "noprefixroute", "nodad",
            "deprecated", "valid_life_time")
    return {f"{entry['ifname']} {a['local']}": {k: a[k] for k in keep if k in a}
            for entry in host.json(["ip", "-j", "addr"])
            for a in entry.get("addr_info", []) if "local" in a}


def _links(host):
    keep = ("flags", "mtu", "qdisc", "operstate", "link_type", "address", "broadcast", "txqlen",
            "promiscuity", "allmulti", "num_tx_queues", "linkmode", "group", "altnames",
            "permaddr")
    return {entry["ifname"]: {k: entry[k] for k in keep if k in entry}
            for entry in host.json(["ip", "-j", "-d", "link"])}


def _lines(host, argv):
    return {" ".join(line.split()): "" for line in host.enter(argv).stdout.splitlines()}


def _sysctls(host):
    text = host.enter(["grep", "-rs", "", "/proc/sys/net"], check=False).stdout
    return dict(line.split(":", 1) for line in text.splitlines()
                if ":" in line and not _VOLATILE.search(line.split(":", 1)[0]))


def snapshot(host):
    """Everything that a stop must leave as it was, by section and key."""
    return {
        "nft": dict.fromkeys(ruleset(host).splitlines(), ""),
        "addresses": _addresses(host),
        "links": _links(host),
        "fdb": _lines(host, ["bridge", "fdb", "show", "dev", "eth0"]),
        "maddr": _lines(host, ["ip", "maddr", "show", "dev", "eth0"]),
        "routes4": _lines(host, ["ip", "-4", "route", "show", "table", "all"]),
        "routes6": _lines(host, ["ip", "-6", "route", "show", "table", "all"]),
        "rules": {**_lines(host, ["ip", "-4", "rule"]), **_lines(host, ["ip", "-6", "rule"])},
        "nexthops": _lines(host, ["ip", "nexthop"]),
        "qdisc": _lines(host, ["tc", "qdisc", "show", "dev", "eth0"]),
        "sysctls": _sysctls(host),
    }


def difference(before, after):
    """What differs between two snapshots, a line each."""
    out = []
    for section, was in before.items():
        now = after[section]
        for key in sorted(was.keys() | now.keys()):
            if key not in now:
                out.append(f"{section}: gone: {key} {was[key]}")
            elif key not in was:
                out.append(f"{section}: new: {key} {now[key]}")
            elif was[key] != now[key]:
                out.append(f"{section}: {key}: {was[key]} -> {now[key]}")
    return out
