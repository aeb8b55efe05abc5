#!/usr/bin/python3
"""What it costs, in one run: packets, commits, outages, beside others.

    bench.py [--bindir DIR] [--only PART]... [--quick] [--docs DIR] [--json FILE]

PART: foreign, own, handover, death, peers, commit. The tables go to DIR/bench.md and the plot to
DIR/bench.svg; without --docs, to stdout. With --only and --json the other parts are kept as FILE
has them. Needs root. keepalived and ucarp are installed with apt-get if they are missing.
"""

import argparse
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]

import commit  # noqa: E402
import failover  # noqa: E402
import packets  # noqa: E402
import report  # noqa: E402
from lab import Failure, Run  # noqa: E402
from lab.run import command, exit_on_signals  # noqa: E402

LIBRARIES = {"fill": ["-lnetfilter_conntrack", "-lmnl"]}
PLOT = "bench.svg"


class BenchRun(Run):
    def bench_tool(self, name):
        """A program of the bench, compiled once in a run."""
        if name not in self._tools:
            out = self.directory / name
            command([os.environ.get("CC", "cc").split()[0], "-std=gnu17", "-O2", "-o", out,
                     HERE / f"{name}.c", *LIBRARIES.get(name, [])], timeout=120)
            self._tools[name] = out
        return self._tools[name]


def parts(quick):
    """{name: function of a run}"""
    rounds = 100 if quick else 600
    return {"foreign": lambda run: packets.foreign(run, rounds, 200),
            "own": lambda run: packets.own(run, rounds, 200),
            "handover": lambda run: failover.handover(run, 6 if quick else 50),
            "death": lambda run: failover.ours(run, 3 if quick else 12),
            "peers": lambda run: failover.peers(run, 2 if quick else 6),
            # last: the kernel takes its time to forget a million flows
            "commit": lambda run: commit.commits(run, 4 if quick else 16)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bindir", default=HERE.parents[1] / "build" / "plain", metavar="DIR")
    parser.add_argument("--only", action="append", choices=parts(True))
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work?")
    parser.add_argument("--docs", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    figures = {}
    if options.only and options.json and options.json.exists():
        figures = json.loads(options.json.read_text(encoding="ascii"))
    figures["host"] = {"kernel": os.uname().release, "cpus": os.cpu_count()}
    exit_on_signals()
    try:
        with BenchRun(options.bindir) as run:
            for name, measured in parts(options.quick).items():
                if options.only and name not in options.only:
                    continue
                print(f"{name} ...", flush=True)
                # through JSON, for keys to be text whether or not they come from a file
                figures[name] = json.loads(json.dumps(measured(run)))
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="ascii")
    text = report.markdown(figures, PLOT)
    if options.docs:
        options.docs.mkdir(exist_ok=True)
        (options.docs / "bench.md").write_text(text + "\n", encoding="utf-8")
        (options.docs / PLOT).write_text(report.svg(figures), encoding="utf-8")
    else:
        print(text)
    for line in report.ratios(figures):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
