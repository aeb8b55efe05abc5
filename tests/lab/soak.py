#!/usr/bin/python3
"""Chaos on a real kernel for as long as you like.

    soak.py [--bindir DIR] [--minutes N] [--seed S] [--only A..B] [--nodes N] [--kinds K,K...]
            [--quorum majority] [--json FILE]

Rounds of faults on clusters of 3 to 5 daemons in network namespaces, drawn from the seed (which is
printed): on wires, switch, daemons and CPUs. Clients measure, a checker judges (lab/checker.py). A
round that breaks a promise is told with the command that plays it again; the exit status is 1 then.
Every ROUNDS rounds the cluster is stopped, checked for what it left behind, and a new one made of
the next seed. A round that fails while the machine itself stood still is played again.

--only plays these rounds of the seed's first cluster. --kinds: see KINDS in lab/nemesis.py.
"""

import argparse
import json
import secrets
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Failure, Run, nemesis  # noqa: E402
from lab.chaos import Chaos, total  # noqa: E402
from lab.run import exit_on_signals  # noqa: E402

DEFAULT_BINDIR = Path(__file__).resolve().parents[2] / "build" / "plain"
ROUNDS = 15           # of one cluster
STALL, ATTEMPTS = 0.1, 3


def again(options, seed, number):
    """The command that plays a round again."""
    more = "".join(f" --{key} {value}" for key, value in
                   (("nodes", options.nodes), ("quorum", options.quorum),
                    ("kinds", options.kinds and ",".join(options.kinds))) if value)
    return f"tests/lab/soak.py --seed {seed} --only {number}..{number}{more}"


class Soak:
    """What was played so far, and what came of it."""

    def __init__(self, run, options):
        self.run, self.options = run, options
        self.reports, self.failures, self.void = [], 0, 0

    def cluster(self, seed, rounds, deadline):
        """The rounds of one cluster, up to the first that fails, and its end."""
        o = self.options
        made = None
        try:
            made = Chaos(self.run, seed, f"k{seed % 100000}", o.nodes, o.kinds,
                         majority=o.quorum == "majority")
            print(f"seed {seed}: {len(made.names)} nodes", flush=True)
            for number in rounds:
                if time.monotonic() >= deadline:
                    break
                if not self.round(made, number):
                    return  # its nodes may not even run
            left = made.finish()
            if left:
                self.fail(f"left behind after {len(self.reports)} rounds, seed {seed}:\n  " +
                          "\n  ".join(left))
        except (Failure, OSError, AssertionError) as failure:
            self.fail(f"seed {seed}: {failure}\n" + (made.cluster.logs() if made else ""))
        finally:
            if made is not None:
                made.close()

    def round(self, made, number):
        """True if all held."""
        for attempt in range(ATTEMPTS):
            report = made.round(number)
            stood = [s for s in report.stalls if s >= STALL]
            if not report.findings or not stood or attempt + 1 == ATTEMPTS:
                break
            self.void += 1
            print(f"  round {number}: the machine stood still for {max(stood):.2f} s: again")
        self.reports.append(report)
        faults = ", ".join(" ".join((f.kind, *f.who)) for f in report.faults)
        print(f"  {number:3d} {'FAILED' if report.findings else 'ok'}: unanswered "
              f"{report.longest * 1000:.0f} ms at most; {faults}", flush=True)
        if report.findings:
            self.fail(f"{report.told()}\n  again: {again(self.options, made.seed, number)}")
        return not report.findings

    def fail(self, text):
        self.failures += 1
        print(text, flush=True)


def span(text):
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1)


def kinds(text):
    names = text.split(",")
    unknown = [n for n in names if n not in nemesis.KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such fault: {', '.join(unknown)}; there are "
                                         f"{', '.join(nemesis.KINDS)}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bindir", default=DEFAULT_BINDIR, metavar="DIR")
    parser.add_argument("--minutes", type=float, default=10, metavar="N")
    parser.add_argument("--seed", type=int, metavar="S")
    parser.add_argument("--only", type=span, metavar="A..B", help="these rounds of one cluster")
    parser.add_argument("--nodes", type=int, choices=(3, 4, 5))
    parser.add_argument("--kinds", type=kinds, metavar="K,K...")
    parser.add_argument("--quorum", choices=("none", "majority"))
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(10**9)
    exit_on_signals()
    deadline = time.monotonic() + (options.minutes * 60 if not options.only else 10**6)
    with Run(options.bindir) as run:
        soak = Soak(run, options)
        try:
            while True:
                soak.cluster(seed, options.only or range(ROUNDS), deadline)
                if options.only or time.monotonic() >= deadline:
                    break
                seed += 1
        except KeyboardInterrupt:
            print("stopped")
        figures = {**total(soak.reports), "failed_rounds": soak.failures, "void_rounds": soak.void}
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="ascii")
    print(json.dumps(figures, indent=2))
    return 1 if soak.failures else 0


if __name__ == "__main__":
    sys.exit(main())
