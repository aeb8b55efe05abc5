"""The figures as a Markdown table and as a plot."""

from packets import CLUSTER, DROP_ALL, NO_FILTER, OURS, OWN_TITLES, TITLES

WIDTH, BAR, LABEL, RIGHT, GAP = 900, 17, 330, 130, 34
OURS_COLOUR, OTHER_COLOUR = "#2b6cb0", "#a0aec0"


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


def _foreign(f):
    unit, families = f["unit"], f["families"]
    rows = []
    for name, title in TITLES.items():
        cells = [title]
        for family in families.values():
            if name in family["above"]:
                cells += [f"{family['above'][name]:.0f}", f"{family['to_cluster'][name]:.2f}"]
            else:
                cells += ["-", "-"]
        rows.append(cells)
    lines = [
        "## A packet that is another node's", "",
        f"What it costs the receiving host in {unit}, above that of a packet that is dropped at",
        "ingress whatever it is, and as a ratio to `-m cluster`. TCP segments from the middle of",
        "flows, of 64 sources.", ""]
    lines += _table(["", f"IPv4, {unit}", "ratio", f"IPv6, {unit}", "ratio"], rows)
    if "xdp_run_ns" in f:
        lines += ["Of XDP the programs alone, as a driver would call them (BPF test_run), a packet:",
                  ""]
        lines += _table(["", "everything dropped", "ours, mask", "ratio", "ours, hash", "ratio"],
                        [[f"IPv{family}", f"{x['bare']:.1f} ns", *(
                            cell for name in ("mask", "hash")
                            for cell in (f"{x[name]:.1f} ns", f"{x[name] / x['bare']:.2f}"))]
                         for family, x in f["xdp_run_ns"].items()])
    return lines


def _own(f):
    rows = []
    for name, title in OWN_TITLES.items():
        cells = [title]
        for family in f["families"].values():
            if name in family["cost"]:
                cells += [f"{family['cost'][name]:.0f}", f"{family['to_none'][name]:.2f}",
                          f"{family['to_tracked'][name]:.2f}"]
            else:
                cells += ["-"] * 3
        if cells[1:] != ["-"] * len(cells[1:]):
            rows.append(cells)
    lines = ["## A packet that is this node's", "",
             f"From the sender's system call to the receiver's socket, in {f['unit']}, and as a ratio",
             "to the first two lines. UDP datagrams, of 64 sources, for the least that is done with a",
             "packet beside us.", ""]
    return lines + _table(["", "IPv4", "to none", "to tracking", "IPv6", "to none", "to tracking"],
                          rows)


def _outages(figures):
    """(what, clients hit, summary of deaths, of stops)"""
    for name, f in figures.get("death", {}).items():
        timing = f["timing"]
        yield (f"ipclusterd, {timing['interval']} / {timing['dead_after']}", "1 of 3",
               {"median_ms": f["median_ms"], "worst_ms": f["worst_ms"], "runs": f["runs"]}, None)
    for name, f in figures.get("peers", {}).get("peers", {}).items():
        yield name, "all", f["death"], f["stop"]


def _failover(figures):
    def told(f):
        return f"{f['median_ms']} ms, {f['worst_ms']} ms" if f else "see below"

    lines = ["## A host dies, or is stopped", "",
             "The longest time that a client gets no connection: a new one every 5 ms from 64 sources,",
             "each given up after 100 ms. Median and worst.", ""]
    lines += _table(["", "clients hit", "host dies", "program is stopped", "runs"],
                    [[what, hit, told(death), told(stop), death["runs"]]
                     for what, hit, death, stop in _outages(figures)])
    absent = figures.get("peers", {}).get("absent")
    if absent:
        lines += [f"Not measured, since not installed: {', '.join(absent)}.", ""]
    if "handover" in figures:
        h = figures["handover"]
        lines += ["## Buckets are handed over", "",
                  f"{h['drains']} drains and undrains under 400 new connections a second: "
                  f"{h['failed']} of {h['connections']}",
                  f"failed, {h['delayed_over_200_ms']} took over 200 ms (median "
                  f"{h['connection_median_ms']} ms, worst {h['connection_worst_ms']} ms), "
                  f"{h['streams_broken']} of {h['streams']}",
                  f"open streams broke, {h['two_answers']} SYNs were answered twice.", ""]
    return lines


def _commits(f):
    lines = ["## The kernel takes a change", "",
             "Every bucket gets another class, the lease is renewed, all tables are replaced: in",
             "microseconds, of one IPv4 address, by the number of buckets, and for 256 by the number",
             "of flows in connection tracking.", ""]
    rows = [[f"{name} buckets", *(f"{each[o]:.0f}" for o in ("apply", "renew", "install"))]
            for name, each in f["buckets"].items()]
    rows += [[f"{int(name):,} flow{'s' if int(name) > 1 else ''}", *(f"{each[o]:.0f}" for o in ("apply", "renew", "install"))]
             for name, each in f["flows"].items()]
    lines += _table(["", "all classes", "lease", "all tables"], rows)
    if "flows" in f["absent"]:
        lines += [f"Not measured with flows: {f['absent']['flows']}.", ""]
    return lines


def markdown(figures, plot):
    host = figures["host"]
    lines = ["# What it costs", "",
             f"By `make bench`, kernel {host['kernel']}, {host['cpus']} CPUs, between network",
             "namespaces. All figures of a table are of one run, in which everything compared took its",
             "turn in short bursts, in random order: the ratios count, not the absolute figures."]
    if figures.get("foreign", {}).get("unit") == "ns":
        lines += ["This machine does not count CPU cycles (`perf_event_open`: not supported), so time",
                  "is told."]
    lines += ["", f"![{plot}]({plot})", ""]
    if "foreign" in figures:
        lines += _foreign(figures["foreign"])
    if "own" in figures:
        lines += _own(figures["own"])
    if "death" in figures or "peers" in figures or "handover" in figures:
        lines += _failover(figures)
    if "commit" in figures:
        lines += _commits(figures["commit"])
    return "\n".join(lines)


class _Plot:
    def __init__(self):
        self.parts, self.y = [], 10

    def bars(self, title, bars, unit):
        """`bars`: (label, value, ours)."""
        self.text(10, self.y + 14, title, "font-weight='bold'")
        self.y += 26
        most = max(value for _, value, _ in bars) or 1
        for label, value, ours in bars:
            wide = (WIDTH - LABEL - RIGHT) * max(value, 0) / most
            self.text(LABEL - 8, self.y + 13, label.replace("`", ""), "text-anchor='end'")
            self.parts.append(f"<rect x='{LABEL}' y='{self.y}' width='{wide:.1f}' height='{BAR}' "
                              f"fill='{OURS_COLOUR if ours else OTHER_COLOUR}'/>")
            self.text(LABEL + wide + 6, self.y + 13, f"{value:,.0f} {unit}")
            self.y += BAR + 5
        self.y += GAP

    def text(self, x, y, text, more=""):
        text = text.replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(f"<text x='{x:.1f}' y='{y}' {more}>{text}</text>")

    def svg(self):
        return (f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {self.y}' "
                f"font-family='sans-serif' font-size='13'>\n"
                f"<rect width='{WIDTH}' height='{self.y}' fill='white'/>\n"
                + "\n".join(self.parts) + "\n</svg>\n")


def svg(figures):
    plot = _Plot()
    if "foreign" in figures:
        f = figures["foreign"]
        above = f["families"]["4"]["above"]
        shown = [n for n in TITLES if n in above and n != DROP_ALL]
        plot.bars("A packet that is another node's: IPv4, above a drop at ingress",
                  [(TITLES[n], above[n], n.startswith(OURS)) for n in
                   sorted(shown, key=above.get)], f["unit"])
    if "own" in figures:
        f = figures["own"]
        cost = f["families"]["4"]["cost"]
        plot.bars("A packet that is this node's: IPv4, from system call to socket",
                  [(OWN_TITLES[n], cost[n], n.startswith(OURS)) for n in OWN_TITLES if n in cost],
                  f["unit"])
    outages = list(_outages(figures))
    if outages:
        plot.bars("A host dies: the longest outage of a client, median",
                  [(f"{what} ({hit})", death["median_ms"], what.startswith("ipclusterd"))
                   for what, hit, death, _ in outages], "ms")
    if "commit" in figures:
        plot.bars("Every bucket gets another class",
                  [(f"{name} buckets", each["apply"], True)
                   for name, each in figures["commit"]["buckets"].items()], "us")
    return plot.svg()


def ratios(figures):
    """The few that matter, a line each."""
    if "foreign" in figures:
        for family, f in figures["foreign"]["families"].items():
            if OURS in f["to_cluster"]:
                yield (f"foreign IPv{family}: {f['to_cluster'][OURS]:.2f} x -m cluster, "
                       f"{f['above'][OURS] / f['above'][NO_FILTER]:.2f} x no filter"
                       f" (-m cluster {f['above'][CLUSTER]:.0f} {figures['foreign']['unit']})")
    if "own" in figures:
        for family, f in figures["own"]["families"].items():
            yield (f"own IPv{family}: {f['to_none'][OURS]:.2f} x no cluster, "
                   f"{f['to_tracked'][OURS]:.2f} x connection tracking alone")
    for what, hit, death, _ in _outages(figures):
        yield f"host dies: {what}: {death['median_ms']} ms [{death['worst_ms']}], hits {hit}"
