"""How long the kernel takes for a change of the rules: by the number of buckets, and of flows that
its connection tracking has at the same time."""

import random
import statistics
import subprocess
from pathlib import Path

from lab import Failure
from lab.run import command

BUCKETS = (16, 64, 256, 1024, 4096)
FLOWS = (1, 100_000, 1_000_000)
OPERATIONS = ("apply", "renew", "install")
VIP, OWN, SHARED = "10.77.0.2", "02:00:00:00:00:01", "02:bf:0a:4d:00:02"
LIMIT = Path("/proc/sys/net/netfilter/nf_conntrack_max")


class Driver:
    """A namespace with our tables, which change as told."""

    def __init__(self, run, buckets, flows=0):
        self.run = run
        name = f"c{buckets}-{flows}"
        self.namespace = run.namespace(name)
        self.enter(["ip", "link", "add", "eth0", "address", OWN, "type", "veth", "peer", "name",
                    "peer0"])
        self.process = run.start(
            [run.bindir / "tests/unit/nft_driver", "eth0", OWN, buckets, 3600000,
             f"{VIP},shared,mask,{SHARED}"], self.namespace, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)
        self.ask(f"class 0 {buckets - 1} own")
        self.ask("apply")
        if flows:
            self.enter([run.bench_tool("fill"), flows, VIP], timeout=120)

    def enter(self, argv, **options):
        return command(["nsenter", f"--net=/run/netns/{self.namespace}", "--", *argv], **options)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline()
        if not answer.startswith("ok"):
            raise Failure(f"nft_driver: {line}: {answer}")
        return answer.split()[1:]

    def took(self, operation, rounds):
        """The median of so many, in microseconds."""
        return float(self.ask(f"bench {operation} {rounds}")[0])

    def delete(self):
        self.run.end(self.process)
        self.run.namespace_delete(self.namespace)


def interleaved(drivers, passes):
    """{name: {operation: median us}}, each measured a little in every pass, in another order."""
    took = {name: {operation: [] for operation in OPERATIONS} for name in drivers}
    order = [(name, operation) for name in drivers for operation in OPERATIONS]
    for _ in range(passes):
        random.shuffle(order)
        for name, operation in order:
            rounds = 5 if operation == "install" or name == 4096 else 20
            took[name][operation].append(drivers[name].took(operation, rounds))
    return {name: {operation: statistics.quantiles(samples, n=4)[0]
                   for operation, samples in each.items()} for name, each in took.items()}


def _room(flows):
    """Raises the limit of the machine's connection tracking, and returns what it was."""
    was = int(LIMIT.read_text())
    if was < flows + 1000:
        LIMIT.write_text(f"{flows + 1000}\n")
    return was


def commits(run, passes):
    random.seed(1)
    out = {"passes": passes, "absent": {}}
    drivers = {buckets: Driver(run, buckets) for buckets in BUCKETS}
    out["buckets"] = interleaved(drivers, passes)
    for driver in drivers.values():
        driver.delete()

    drivers, was = {}, None
    try:
        was = _room(max(FLOWS))
        for flows in FLOWS:
            drivers[flows] = Driver(run, 256, flows)
        out["flows"] = interleaved(drivers, passes)
    except (Failure, OSError) as why:
        out["flows"], out["absent"]["flows"] = {}, str(why).splitlines()[-1]
    finally:
        for driver in drivers.values():
            driver.delete()
        if was is not None:
            LIMIT.write_text(f"{was}\n")
    return out
