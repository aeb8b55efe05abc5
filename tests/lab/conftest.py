"""Options and fixtures of the lab tests.

    python3 -m pytest tests/lab [--bindir DIR] [--previous DIR] [--rounds N] [-k NAME]

One run of the lab for all tests, a segment with a client for three nodes and one for five.
Tests that say `three` or `five` share those clusters: each gets one that is whole and agreed, and
may do to it what it wants. A test that fails has the nodes' logs in its report; the next test gets
a new cluster then.

What is tested here are times of milliseconds. If a test fails and the machine itself stood still
meanwhile (no CPU time for a real-time process for STALL seconds or more), it says nothing: it is
run again, and that is told.
"""

import sys
import time
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Cluster, Run, Segment  # noqa: E402
from lab.run import exit_on_signals  # noqa: E402

STALL, ATTEMPTS = 0.1, 3
DEFAULT_BINDIR = Path(__file__).resolve().parents[2] / "build" / "plain"


def pytest_addoption(parser):
    group = parser.getgroup("ipclusterd lab")
    group.addoption("--bindir", default=str(DEFAULT_BINDIR), metavar="DIR",
                    help="where ipclusterd and clusterctl are (default: build/plain)")
    group.addoption("--previous", metavar="DIR",
                    help="where those of an older version are, to be upgraded from")
    group.addoption("--rounds", type=int, default=25, metavar="N",
                    help="drain/undrain rounds of the drain test (default: 25)")


def pytest_configure(config):
    exit_on_signals()
    config.lab_run = None


def pytest_collection_modifyitems(config, items):
    """Without an older version there is nothing to be upgraded."""
    if config.getoption("--previous"):
        return
    upgrades = [item for item in items if "previous" in item.fixturenames]
    if upgrades:
        config.hook.pytest_deselected(items=upgrades)
        items[:] = [item for item in items if "previous" not in item.fixturenames]


def stalls(run, since):
    if run is None or run.closed:
        return []
    time.sleep(0.05)  # whoever watches has to wake up first to tell
    return [long for long in run.stalls(since) if long >= STALL]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Runs a test, and again if it failed while the machine stood still."""
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(ATTEMPTS):
        item._initrequest()
        began = time.monotonic()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if attempt + 1 == ATTEMPTS or not any(r.failed for r in reports):
            break
        stood = stalls(item.config.lab_run, began)
        if not stood:
            break
        print(f" (failed while the machine stood still for {max(stood):.2f} s: again)",
              end=" ", flush=True)
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, "report_" + report.when, report)
    if report.when == "call" and report.failed:
        for value in item.funcargs.values():
            for cluster in value.made if callable(value) and hasattr(value, "made") else [value]:
                if isinstance(cluster, Cluster):
                    report.sections.append((f"logs of cluster {cluster.name}", cluster.logs()))


@pytest.fixture(scope="session")
def run(request):
    with Run(request.config.getoption("--bindir")) as made:
        request.config.lab_run = made
        made.stalls(0)
        yield made


@pytest.fixture(scope="session")
def binaries(run):
    run.binary("ipclusterd")
    run.binary("clusterctl")


class Shared:
    """A cluster that tests share, made when first wanted and made anew after a failure."""

    def __init__(self, run, count):
        self.run, self.count, self.made = run, count, 0
        self.segment = self.cluster = None

    def get(self):
        if self.cluster is None:
            self.made += 1
            self.segment = Segment(self.run, f"s{self.count}{'abcdefghijklmnopqrst'[self.made]}")
            self.segment.add_client()
            self.cluster = Cluster(self.segment, self.count)
            self.cluster.start()
        else:
            self.cluster.heal()
        return self.cluster

    def drop(self):
        if self.cluster is not None:
            self.cluster.stop()
            self.segment.delete()
            self.segment = self.cluster = None


def _shared(run, count):
    shared = Shared(run, count)
    yield shared
    shared.drop()


@pytest.fixture(scope="session")
def shared_three(run, binaries):
    yield from _shared(run, 3)


@pytest.fixture(scope="session")
def shared_five(run, binaries):
    yield from _shared(run, 5)


def _borrowed(request, shared):
    try:
        cluster = shared.get()
    except BaseException:
        if shared.cluster is not None:
            print(shared.cluster.logs())
        shared.drop()
        raise
    yield cluster
    report = getattr(request.node, "report_call", None)
    if report is None or report.failed:
        shared.drop()
    else:
        never_learned(cluster)


def never_learned(cluster):
    """The switch must not have learned a shared MAC, at no time and whatever the test did."""
    for node in cluster.nodes:
        if node.running:
            for vip in node.status()["vips"]:
                assert not cluster.segment.learned(vip["mac"]), \
                    f"the switch has learned {vip['mac']} of {vip['address']}"
            break


@pytest.fixture
def three(request, shared_three):
    """Three nodes, whole and agreed."""
    yield from _borrowed(request, shared_three)


@pytest.fixture
def five(request, shared_five):
    """Five nodes, whole and agreed."""
    yield from _borrowed(request, shared_five)


@pytest.fixture(params=[3, 5], ids=["three", "five"])
def cluster(request):
    """The test runs with three nodes and with five."""
    yield from _borrowed(request, request.getfixturevalue(
        "shared_three" if request.param == 3 else "shared_five"))


@pytest.fixture
def segment(run, request):
    """An empty segment with a client, of this test alone."""
    run.segments = getattr(run, "segments", 0) + 1
    made = Segment(run, f"t{run.segments}")
    made.add_client()
    yield made
    made.delete()


@pytest.fixture
def new_cluster(run, binaries, segment):
    """Makes clusters on a segment of this test alone: new_cluster(count, **options of Cluster)."""
    made = []

    def make(count=3, start=True, **options):
        cluster = Cluster(segment, count, **options)
        made.append(cluster)
        if start:
            cluster.start()
        return cluster

    make.made = made
    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture
def rounds(request):
    return request.config.getoption("--rounds")
