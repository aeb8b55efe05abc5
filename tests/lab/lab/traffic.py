"""The measuring client: what a crowd of clients sees of a virtual address.

Times are seconds of CLOCK_MONOTONIC, the same as time.monotonic(), in every namespace.
"""

import subprocess
import threading
import time
from collections import Counter
from typing import NamedTuple

from .run import Failure, poll

HTTP, STREAM, UDP = 80, 7000, 7001


class Connection(NamedTuple):
    start: float
    source: str
    result: str      # ok, timeout, reset, refused, unreachable, eof, bad
    connect: float   # seconds until it was up; negative: never
    total: float
    node: str        # "-" if none answered

    @property
    def ok(self):
        return self.result == "ok"


class Datagram(NamedTuple):
    start: float
    source: str
    replies: int
    rtt: float
    nodes: tuple


class Stream(NamedTuple):
    source: str
    state: str       # opening, open, broken
    node: str
    sent: int
    echoed: int
    gap: float       # longest time that a line waited for its echo
    reason: str
    ended: float


class Visit(NamedTuple):
    """A stream that had its time to stay, and is over."""
    start: float
    source: str
    result: str      # ok, or why it broke
    connect: float   # seconds until it was up; negative: never
    total: float
    gap: float       # longest time that a line waited for its echo
    lines: int
    node: str

    @property
    def ok(self):
        return self.result == "ok"


class Traffic:
    """Traffic from `host` with the `sources` (text addresses, both families) to the VIPs."""

    def __init__(self, host, sources, vip4=None, vip6=None, rate=0, deadline=3.0, streams=0,
                 line=0.02, stay=0.0, udp_rate=0, udp_deadline=0.5, sniff=False,
                 ports=(HTTP, STREAM, UDP)):
        """`stay`: how long a stream lasts, half more or less, before another takes its place, from
        the next source; 0: for ever."""
        self.host, self.sources = host, list(sources)
        self.rate, self.udp_deadline = rate, udp_deadline
        self.connections, self.datagrams, self.broken, self.doubles = [], [], [], []
        self.visits = []
        self.late = []
        self._streams, self._report, self._reports = [], [], 0
        self._unread = 0
        listing = host.run.directory / f"sources-{id(self):x}"
        listing.write_text("".join(a + "\n" for a in self.sources), encoding="ascii")
        argv = [*host.run.promptly, host.run.tool("client"), "--sources", listing,
                "--deadline", deadline * 1000,
                "--http", ports[0], "--rate", rate, "--stream", ports[1], "--streams", streams,
                "--line", line * 1000, "--stay", stay * 1000,
                "--udp", ports[2], "--udp-rate", udp_rate, "--udp-deadline", udp_deadline * 1000]
        for key, value in (("--vip4", vip4), ("--vip6", vip6)):
            argv += [key, value] if value else []
        if sniff:
            argv += ["--sniff", "eth0"]
        self._process = host.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, bufsize=1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.host.run.end(self._process, kill=True)
        self._reader.join(5)

    # --- what the client tells

    def _read(self):
        try:
            for text in self._process.stdout:
                self._take(text.split())
        except ValueError:
            return  # closed under us at the end

    def _take(self, f):
        kind = f[0]
        if kind == "c":
            self.connections.append(Connection(
                int(f[1]) / 1e6, self.sources[int(f[2])], f[3], int(f[4]) / 1e6,
                int(f[5]) / 1e6, f[6]))
        elif kind == "u":
            nodes = () if f[5] == "-" else tuple(f[5].split(","))
            self.datagrams.append(Datagram(int(f[1]) / 1e6, self.sources[int(f[2])], int(f[3]),
                                           int(f[4]) / 1e6, nodes))
        elif kind == "s":
            self.visits.append(Visit(int(f[1]) / 1e6, self.sources[int(f[2])], f[3],
                                     int(f[4]) / 1e6, int(f[5]) / 1e6, int(f[6]) / 1e6,
                                     int(f[7]), f[8]))
        elif kind == "b":
            self.broken.append((int(f[1]) / 1e6, self.sources[int(f[2])], f[3], f[4]))
        elif kind == "d":
            self.doubles.append((int(f[1]) / 1e6, self.sources[int(f[2])], *f[3:]))
        elif kind == "l":
            self.late.append((int(f[1]) / 1e6, int(f[2]) / 1e6))
        elif kind == "S":
            self._report.append(Stream(self.sources[int(f[1])], f[2], f[3], int(f[4]), int(f[5]),
                                       int(f[6]) / 1e6, f[7], int(f[8]) / 1e6))
        elif kind == "r":
            self._streams, self._report = self._report, []
            self._reports += 1

    # --- what it is told

    def _say(self, word):
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise Failure(f"the client has ended: {error}") from error

    def pause(self):
        """The streams send no more, and stay open."""
        self._say("pause")

    def resume(self):
        self._say("resume")

    def streams(self):
        """The streams as they are now."""
        want = self._reports + 1
        self._say("report")
        poll("the client's report", lambda: self._reports >= want, 5, 0.005)
        return self._streams

    def wait_open(self, timeout=5.0):
        """Until every stream is open and has its first echo: then its node is known."""
        def all_open():
            streams = self.streams()
            return streams if all(s.state == "open" and s.echoed > 0 for s in streams) else None
        return poll(lambda: f"all streams open: {self._summary(self._streams)}", all_open, timeout)

    @staticmethod
    def _summary(streams):
        return dict(Counter((s.state, s.reason, s.node) for s in streams))

    def run_for(self, seconds):
        """Lets the traffic go on; this is measuring time, not waiting for something."""
        end = time.monotonic() + seconds
        poll(f"{seconds:g} s of traffic", lambda: time.monotonic() >= end, seconds + 1, 0.01)

    def wait_connections(self, count, timeout=10.0):
        """Until that many more connections have ended."""
        want = len(self.connections) + count
        poll(f"{count} more connections", lambda: len(self.connections) >= want, timeout)

    def stop(self, timeout=10.0):
        """No new traffic; waits for what is under way, and returns self."""
        if self._process.poll() is None:
            self._say("stop")
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise Failure("the client did not stop") from error
        self._reader.join(timeout)
        if self._process.returncode != 0:
            raise Failure(f"the client failed: exit {self._process.returncode}")
        return self

    @property
    def final_streams(self):
        """The streams as they were at the stop."""
        return self._streams

    # --- what it comes to

    def between(self, since=float("-inf"), until=float("inf")):
        return [c for c in self.connections if since <= c.start < until]

    def failures(self, since=float("-inf"), until=float("inf")):
        """Connections that failed; but not those that only ran out of time while the client itself
        was held up."""
        return [c for c in self.between(since, until) if not c.ok and not
                (c.result == "timeout" and self.asleep(c.start, c.start + c.total) > c.total / 4)]

    def delayed(self, limit=0.2, since=float("-inf")):
        """Connections that took longer. The time that this client itself did not run, because the
        machine was busy, is not theirs: it is taken off."""
        return [c for c in self.between(since) if c.ok and c.total > limit
                and c.total - self.asleep(c.start, c.start + c.total) > limit]

    def asleep(self, since, until):
        """How long the client's own loop was held up between two times."""
        return sum(max(0.0, min(until, at) - max(since, at - long)) for at, long in self.late)

    def outage(self, since=float("-inf")):
        """From the start of the first failed connection to the start of the last one, and the
        time to the next: how long a client of the affected addresses got no answer. 0 if none."""
        failed = [c.start for c in self.failures(since)]
        return max(failed) - min(failed) + 1 / self.rate if failed else 0.0

    def served_by(self, since=float("-inf"), until=float("inf")):
        """{source: {node: connections}}"""
        out = {}
        for c in self.between(since, until):
            if c.ok:
                out.setdefault(c.source, Counter())[c.node] += 1
        return out

    def told(self, connections, most=8):
        """Some connections as text for a failure, with how late the client itself was."""
        text = [f"{len(connections)} of {len(self.connections)}: "
                f"{dict(Counter(c.result for c in connections))}"]
        text += [f"  {c.start:.3f} {c.source} {c.result} {c.total * 1000:.0f} ms {c.node}"
                 for c in connections[:most]]
        if self.late:
            text.append(f"  (the client's own loop was late {len(self.late)} times, "
                        f"at most {max(n for _, n in self.late) * 1000:.0f} ms)")
        return "\n".join(text)
