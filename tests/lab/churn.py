#!/usr/bin/python3
"""Nobody waits and nobody is reset, whatever is changed: drains, joins, weights, under load.

    churn.py [--bindir DIR] [--changes N] [--connections N] [--rate N] [--seed N] [--json FILE]

A cluster of three in network namespaces, and N new connections a second from 640 addresses of
both families. Each asks and is answered; every fifth stays for one to three seconds and asks all
the while. Meanwhile nodes are drained and undrained, weighted anew (by a reload), stopped (by TERM,
with node.stop_drain) and started again, until there were so many drains, weights and joins, and so
many connections. The client measures each connection; if one was delayed, reset or lost, or
answered by another node than the first or by two, the exit status is 1. The seed draws the order of
the changes and the weights. `stop` is the time until the last flow of a node that stops has ended;
the others are drained and weighted meanwhile.
"""

import argparse
import json
import secrets
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Failure, Run  # noqa: E402
from lab.churn import COUNTED, HARM, LIMIT, Churn  # noqa: E402
from lab.run import exit_on_signals  # noqa: E402

DEFAULT_BINDIR = Path(__file__).resolve().parents[2] / "build" / "plain"
STALL, TOLD = 0.1, 20


def progress(seconds, changes, harm):
    print(f"  {seconds:4.0f} s: {changes} changes, {harm.connections} connections, "
          f"{harm.count['delayed']} delayed, {harm.count['reset']} reset, {harm.lost} lost; "
          f"worst {max(harm.connects + harm.answers) * 1000:.0f} ms", flush=True)


def figures(churn, harm):
    seconds = churn.ended - churn.began
    stalls = [s for s in harm.stalls() if s >= STALL]
    return {"changes": churn.counted, "seconds": round(seconds, 1),
            "changes_per_s": round(churn.counted / seconds, 2),
            "by_kind": {kind: {"number": number, "median_ms": round(median * 1000),
                               "worst_ms": round(worst * 1000)}
                        for kind, (number, median, worst) in churn.summary().items()},
            "connections": harm.connections, "connections_per_s": round(harm.connections / seconds),
            "stayed": harm.stayed, "ipv6": harm.six, "sources": harm.sources,
            **{kind.replace(" ", "_"): harm.count[kind] for kind in HARM},
            "delayed_while_machine_stood_still": harm.excused,
            "connect_median_ms": round(statistics.median(harm.connects) * 1000, 2),
            "connect_worst_ms": round(max(harm.connects) * 1000, 1),
            "answer_worst_ms": round(max(harm.answers) * 1000, 1),
            "machine_stood_still_ms": [round(s * 1000) for s in stalls]}


def show(f):
    print(f"\n{'change':8} {'number':>7} {'median':>9} {'worst':>9}")
    for kind, k in f["by_kind"].items():
        print(f"{kind:8} {k['number']:7d} {k['median_ms']:6d} ms {k['worst_ms']:6d} ms")
    print(f"{f['changes']} {', '.join(COUNTED[:-1])} and {COUNTED[-1]} changes in "
          f"{f['seconds']:.0f} s, {f['changes_per_s']} a second\n")
    print(f"{f['connections']} connections, {f['connections_per_s']} a second, from "
          f"{f['sources']} addresses; {f['ipv6']} by IPv6, {f['stayed']} stayed for seconds")
    for kind in HARM:
        print(f"  {kind:16} {f[kind.replace(' ', '_')]:6d}")
    print(f"connected after {f['connect_median_ms']} ms in the median, {f['connect_worst_ms']} ms "
          f"at worst; answered after {f['answer_worst_ms']} ms at worst")
    stood = f["machine_stood_still_ms"]
    print(f"the machine stood still {len(stood)} times for {STALL * 1000:.0f} ms or more, "
          f"{max(stood, default=0)} ms at most; {f['delayed_while_machine_stood_still']} "
          f"connections waited for more than {LIMIT * 1000:.0f} ms for that")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bindir", default=DEFAULT_BINDIR, metavar="DIR")
    parser.add_argument("--changes", type=int, default=1000, metavar="N",
                        help="drains, joins and weights, at least (default: 1000)")
    parser.add_argument("--connections", type=int, default=100000, metavar="N",
                        help="connections, at least (default: 100000)")
    parser.add_argument("--rate", type=int, default=250, metavar="N",
                        help="new connections a second (default: 250)")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(10**9)
    exit_on_signals()
    print(f"seed {seed}: {options.changes} changes, {options.rate} connections a second",
          flush=True)
    with Run(options.bindir) as run:
        churn = Churn(run, options.rate, seed)
        try:
            harm = churn.play(options.changes, options.connections, progress)
        except Failure as failure:
            print(f"churn: {failure}\n{churn.cluster.logs()}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        for text in harm.bad[:TOLD]:
            print(text)
        found = figures(churn, harm)
        show(found)
        churn.close()
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2) + "\n", encoding="ascii")
    return 1 if harm.bad else 0


if __name__ == "__main__":
    sys.exit(main())
