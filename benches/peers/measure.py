"""One round of load on one server, and its cost."""

import bisect
import itertools
import os
import random
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from peers import LOAD_CORE

TICK = os.sysconf("SC_CLK_TCK")
LUA = Path(__file__).with_name("load.lua")


@dataclass
class Round:
    """The figures of a round; CPU time a request and latencies in microseconds."""

    requests: int
    per_second: float
    cpu: float
    memory: float
    p50: float | None = None
    p99: float | None = None


def cpu_seconds(peer):
    """User and system time of the server's processes so far."""
    ticks = 0
    for pid in peer.pids():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def cpu_seconds_of_threads(peer):
    """The same to the nanosecond, of the threads that have not ended: a page costs less than a tick."""
    nanos = 0
    for pid in peer.pids():
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                nanos += int(task.read_text().split()[0])
            except OSError:
                continue
    return nanos / 1e9


def memory_mib(peer):
    """Resident memory of the server's processes without the pages of files."""
    kib = 0
    for pid in peer.pids():
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        figures = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
        kib += int(figures.get("RssAnon", 0)) + int(figures.get("RssShmem", 0))
    return kib / 1024


def in_round(server, took, cpu, seconds):
    """The figures of a round whose answers took so many microseconds each."""
    cuts = statistics.quantiles(took, n=100)
    count = len(took)
    return Round(count, count / seconds, cpu / count * 1e6, memory_mib(server), p50=cuts[49], p99=cuts[98])


def zipf(count, samples, seed=1):
    """Picture numbers with a Zipf distribution: the n-th most frequent one is 1/n as frequent as the first."""
    chosen = random.Random(seed)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, count + 1)))
    return [bisect.bisect_left(weights, chosen.random() * weights[-1]) for _ in range(samples)]


def write_urls(peer, numbers, length, name):
    """Writes the list of paths for wrk."""
    known = {}
    path = peer.work / f"{name}.urls"
    with open(path, "w") as urls:
        for number in numbers:
            if number not in known:
                known[number] = peer.path(number, length)
            urls.write(known[number] + "\n")
    return path


def load(peer, urls, seconds, connections=64, etag=None):
    """Loads the server, and returns the figures."""
    before = cpu_seconds(peer)
    environment = {**os.environ, "URLS": str(urls)}
    if etag:
        environment["IF_NONE_MATCH"] = etag
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    done = subprocess.run(
        [*command, "-s", str(LUA), f"http://127.0.0.1:{peer.port}/"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    result = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    requests, micros, wrong, p50, p99 = map(int, result.split()[1:])
    if wrong or not requests:
        raise SystemExit(f"{peer.name}: {wrong} of {requests} answers were wrong: {done.stdout}")
    return Round(
        requests=requests,
        per_second=requests / (micros / 1e6),
        cpu=(cpu_seconds(peer) - before) / requests * 1e6,
        p50=p50,
        p99=p99,
        memory=memory_mib(peer),
    )


def alternate(bench, loads):
    """The rounds of each load by name, which alternate."""
    found = {name: [] for name in loads}
    for _ in range(bench.rounds):
        for name, one in loads.items():
            found[name].append(one(bench.seconds))
    return found


def fill(peer, numbers, length):
    """Requests each picture once, on all cores."""
    urls = write_urls(peer, numbers, length, "fill")
    done = subprocess.run(
        ["xargs", "-P", "8", "-n", "500", "-a", str(urls), "sh", "-c", FILL, "sh", str(peer.port)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{peer.name}: filling failed: {done.stderr[-500:]}")


# One connection for five hundred pictures. A status other than 200 ends it.
FILL = """
port=$1; shift
for path; do printf 'url = "http://127.0.0.1:%s%s"\\noutput = "/dev/null"\\n' "$port" "$path"; done |
    curl -sS --fail -K -
"""


def check(peer, number, length):
    """Checks that the body is the origin's, byte for byte."""
    theirs = urlopen(f"http://127.0.0.1:7100/img/{length}/{number}.jpg", timeout=10).read()
    if peer.fetch(peer.path(number, length)) != theirs:
        raise SystemExit(f"{peer.name}: picture {number} of {length} bytes is wrong")


def etag(peer, number, length):
    """The ETag of a picture."""
    return urlopen(peer.url(peer.path(number, length)), timeout=10).headers.get("ETag")


def drop_page_cache():
    """Makes the kernel read all files from the disk again. Returns whether that is allowed: to root only."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True
