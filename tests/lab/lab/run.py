"""One run of the lab: names, a directory, processes; and the certainty that all of it goes away.

Namespaces are named ipcl-PID-..., the directory is /tmp/ipcl-PID-...; PID is the process that runs
the lab. Whoever starts a run first removes what runs left behind whose process is gone.
"""

import atexit
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PREFIX = "ipcl"
NETNS_DIR = Path("/run/netns")
SOURCES = Path(__file__).resolve().parent.parent


class Failure(AssertionError):
    """Something of the lab did not do what it must; the text says what."""


class Ended(Failure):
    """A process that has to run has ended: nothing to wait for any more."""


def poll(what, condition, timeout=5.0, every=0.02):
    """Calls `condition` until it is true and returns that; at the deadline it fails, saying `what`.

    An AssertionError or OSError inside the condition counts as "not yet" and is told at the end.
    """
    deadline = time.monotonic() + timeout
    while True:
        last = None
        try:
            value = condition()
            if value:
                return value
        except Ended:
            raise
        except (AssertionError, OSError, KeyError) as error:
            last = error
        if time.monotonic() >= deadline:
            because = f": {last!r}" if last is not None else ""
            told = what() if callable(what) else what
            raise Failure(f"not within {timeout:g} s: {told}{because}")
        time.sleep(every)


def command(argv, check=True, text=None, timeout=30):
    """Runs a command to its end; its output is the answer's stdout, and in the failure's text."""
    done = subprocess.run([str(a) for a in argv], input=text, capture_output=True, text=True,
                          timeout=timeout, errors="replace")
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(map(str, argv))}: exit {done.returncode}\n"
                      f"{done.stdout}{done.stderr}")
    return done


def within(namespace, argv):
    """`argv` as it is run in a namespace: only the network changes, the process stays the same."""
    return ["nsenter", f"--net={NETNS_DIR / namespace}", "--", *map(str, argv)]


def _started(pid):
    """When a process started, in ticks; None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def _pids_in(namespace):
    done = command(["ip", "netns", "pids", namespace], check=False)
    return [int(pid) for pid in done.stdout.split()]


def _namespace_delete(namespace):
    for pid in _pids_in(namespace):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    command(["ip", "netns", "delete", namespace], check=False)


def sweep():
    """Removes what earlier runs of the lab left whose process no longer lives."""
    directories = {}
    for path in Path("/tmp").glob(f"{PREFIX}-*-*"):
        found = re.fullmatch(rf"{PREFIX}-(\d+)-\w+", path.name)
        if found and path.is_dir() and path.stat().st_uid == os.getuid():
            directories[path] = int(found[1])

    def alive(pid):
        for path, owner in directories.items():
            if owner == pid and (path / "started").exists():
                return (path / "started").read_text() == _started(pid)
        return _started(pid) is not None

    gone = {}
    names = sorted(os.listdir(NETNS_DIR)) if NETNS_DIR.is_dir() else []
    for name in names:
        found = re.match(rf"{PREFIX}-(\d+)-", name)
        if found:
            pid = int(found[1])
            gone.setdefault(pid, not alive(pid))
            if gone[pid]:
                _namespace_delete(name)
    for path, pid in directories.items():
        if not alive(pid):
            shutil.rmtree(path, ignore_errors=True)


class Run:
    """A run of the lab. Use it as a context, or call close(); at exit it is closed anyway."""

    def __init__(self, bindir=None):
        if os.geteuid() != 0:
            raise Failure("the lab makes network namespaces: it must be run as root")
        sweep()
        self.name = f"{PREFIX}-{os.getpid()}"
        self.directory = Path(tempfile.mkdtemp(prefix=self.name + "-", dir="/tmp"))
        (self.directory / "started").write_text(_started(os.getpid()))
        self.bindir = Path(bindir).resolve() if bindir else None
        self.namespaces = []
        self.processes = []
        self.closed = False
        self._tools = {}
        self._watch = self._watch_log = None
        # Clients and servers that wait behind a compiler measure the compiler.
        real = ["chrt", "--rr", "1"]
        self.promptly = real if command([*real, "true"], check=False).returncode == 0 else []
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def binary(self, name, bindir=None):
        """The path of `ipclusterd` or `clusterctl`."""
        bindir = bindir or self.bindir
        path = bindir / name if bindir else None
        if path is None or not os.access(path, os.X_OK):
            raise Failure(f"{path or name}: no such program; build it, or name its place "
                          f"with --bindir")
        return path

    def tool(self, name):
        """A program of the lab (NAME.c, or all of NAME/), compiled once in a run."""
        if name not in self._tools:
            out = self.directory / name
            parts = sorted((SOURCES / name).glob("*.c")) or [SOURCES / f"{name}.c"]
            command([os.environ.get("CC", "cc").split()[0], "-std=gnu17", "-O2", "-o", out,
                     *parts], timeout=120)
            self._tools[name] = out
        return self._tools[name]

    def library(self, name):
        """A library of the lab (NAME.c), to be loaded before a program; compiled once in a run."""
        if name not in self._tools:
            out = self.directory / f"{name}.so"
            command([os.environ.get("CC", "cc").split()[0], "-std=gnu17", "-O2", "-shared", "-fPIC",
                     "-o", out, SOURCES / f"{name}.c"], timeout=120)
            self._tools[name] = out
        return self._tools[name]

    def namespace(self, name):
        full = f"{self.name}-{name}"
        command(["ip", "netns", "add", full])
        self.namespaces.append(full)
        return full

    def namespaces_add(self, names):
        """Many at once. Returns their full names, in order."""
        full = [f"{self.name}-{name}" for name in names]
        self.namespaces += full
        command(["ip", "-batch", "-"], text="".join(f"netns add {name}\n" for name in full))
        return full

    def namespace_delete(self, full):
        _namespace_delete(full)
        self.namespaces.remove(full)

    def stalls(self, since, until=float("inf")):
        """How long the machine stood still at times between two instants, in seconds. Watching
        begins with the first question."""
        return [long for _, long in self.standstills(since, until)]

    def standstills(self, since, until=float("inf")):
        """The same, as (when it went on, how long it had stood still)."""
        if self._watch is None:
            self._watch_log = open(self.directory / "stalls", "w+", encoding="ascii")
            self._watch = self.start([self.tool("watch")], stdout=self._watch_log)
        self._watch_log.seek(0)
        told = [tuple(int(n) / 1e6 for n in line.split())
                for line in self._watch_log if line.endswith("\n")]
        return [(woke, long) for woke, long in told if woke >= since and woke - long <= until]

    def start(self, argv, namespace=None, **options):
        """Starts a process that dies with us, by --pdeathsig; in a namespace, if one is named."""
        argv = within(namespace, argv) if namespace else argv
        argv = ["setpriv", "--pdeathsig", "KILL", *map(str, argv)]
        process = subprocess.Popen(argv, **options)
        self.processes.append(process)
        return process

    def end(self, process, kill=False):
        """Ends a process that start() began, and waits for it."""
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            if kill:
                process.kill()
            else:
                process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except (BrokenPipeError, ValueError):
                    pass
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        for process in list(self.processes):
            self.end(process, kill=True)
        for full in list(self.namespaces):
            self.namespace_delete(full)
        shutil.rmtree(self.directory, ignore_errors=True)


def exit_on_signals():
    """TERM and HUP end this program as ^C does, so that everything is cleaned up."""
    def stop(number, _frame):
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
