#!/usr/bin/env python3
"""Splits the CPU time of a hit and of a miss by function, with `perf`: `make bench-profile`.

Uses the servers and loads of run.py. Faceplate is built with symbols, in a folder of its own. Prints a table, and writes it to
docs/benchmarks.md.
"""

import collections
import os
import re
import statistics
import subprocess
import tempfile

import herd
import measure
import peers
from encrypted import HTTP1, HTTP2, load
from encrypted_peers import EncryptedFaceplate, EncryptedFloor, EncryptedNginx
from peers import ROOT, Faceplate, Floor, Nginx
from servers import running

SECONDS, KEYS, DELAY = 5, 20_000, 250
# Groups of functions by patterns of their names; the first match counts. The program and the kernel have groups of their own.
PROGRAM = [
    ("TLS and encryption", r"libssl|libcrypto|rustls|aws_lc|aes_|aesni|gcm|ghash"),
    ("protocols: parsing, framing, HPACK", r"h2::|hyper|httparse|http::header|hpack|ngx_http_v2|ngx_http_parse"),
    ("hashing: signature, key, bytes from disk", r"blake3|sha2|sha1|hmac|digest"),
    ("access log and metrics", r"telemetry|prometheus|itoa|http::access_log"),
    ("the runtime, and entering system calls", r"tokio|mio::|libc_|writev|recv|epoll|futex|syscall|clock_gettime"),
    ("reading the index", r"serde|store::(index_file|record|metadata)|base64"),
    ("decoding the picture, to see that it can be", r"zune|jpeg|image::|images::|avatar::formats|memset"),
    ("allocating memory", r"malloc|free|calloc|memalign|unlink_chunk"),
    ("copying in memory", r"memmove|memcpy"),
]
KERNEL = [
    ("copying into the socket", r"copy_from_iter"),
    ("moving pages from files to the socket", r"copy_to_iter|filemap|page_cache|folio|xas_|shmem|splice|pagefrag|sendfile"),
    (
        "opening and creating files and folders",
        r"lookup_(?!est)|path_|inode|dentry|openat|do_filp|lockref|alloc_fd|fput|filp|getname|walk_component|step_into|namei"
        r"|ext4|jbd2|xfs|btrfs|ovl_|d_alloc|d_lookup|mkdir|rename|link_path|get_block|recently_deleted|init_once",
    ),
    ("waking and switching threads", r"futex|sched|finish_task|eventfd|queue_entity|queue_task|pick_|update_curr|ttwu|wake_up|try_to_wake"),
]
REST = ("the rest of the program", "the rest of the kernel, mostly TCP")
MARK = re.compile(r"(<!-- the profile -->).*?(<!-- the end of the profile -->)", re.S)


def profile(peer, work):
    """CPU microseconds a request by group. `work` loads the server, and returns the CPU time of a request."""
    data = peer.work / "perf.data"
    pids = ",".join(map(str, peer.pids()))
    record = ["perf", "record", "-q", "-F", "1999", "-o", str(data), "-p", pids, "--", "sleep", str(SECONDS)]
    recording = subprocess.Popen(record, stderr=subprocess.DEVNULL)
    cpu = work()
    recording.wait()
    report = ["perf", "report", "-i", str(data), "--sort", "dso,sym", "--stdio", "-q"]
    lines = subprocess.run(report, capture_output=True, text=True, check=True).stdout.splitlines()
    shares = collections.Counter()
    for line in lines:
        found = re.match(r"\s*([0-9.]+)%\s+(\S+)\s+\[(.)\]\s+(.*)", line)
        if not found:
            continue
        share, library, level, symbol = found.groups()
        names, rest = (KERNEL, REST[1]) if level == "k" else (PROGRAM, REST[0])
        whole_name = f"{library} {symbol}"
        shares[next((about for about, name in names if re.search(name, whole_name)), rest)] += float(share)
    whole = sum(shares.values())
    return {about: cpu * share / whole for about, share in shares.items()}


def hits(peer, numbers, length):
    """A profile of hits."""
    measure.check(peer, numbers[0], length)
    urls = measure.write_urls(peer, numbers, length, "profile")
    measure.load(peer, urls, 1)
    return profile(peer, lambda: measure.load(peer, urls, SECONDS).cpu)


def encrypted_hits(work):
    """Profiles of hits over TLS, by protocol and server."""
    columns, length = {}, 4096
    servers = [EncryptedFloor(work, length), EncryptedNginx(work), EncryptedFaceplate(work)]
    with running(*servers):
        for server in servers:
            measure.check(server, 0, length)
            for protocol, arguments in (("HTTP/2", HTTP2), ("HTTP/1.1", HTTP1)):
                one = load(server, arguments, length)
                columns[f"{protocol}: {server.name}"] = profile(server, lambda one=one: one(SECONDS).cpu)
    return columns


def misses(where):
    """A profile of misses, 64 in flight, with the cache in the folder `where`; and the milliseconds that the median miss takes
    longer than its two hops."""
    count, took = 128 * SECONDS, []
    ask = {"length": 4096, "in_flight": 64}
    with tempfile.TemporaryDirectory(prefix="faceplate-bench-", dir=where) as place:
        faceplate = Faceplate(place, first_paint="0s")
        with running(faceplate, delay_ms=DELAY) as (origin, _):
            hop = statistics.median(herd.latencies(origin, range(count), **ask, within=DELAY / 1000))

            def work():
                before = measure.cpu_seconds(faceplate)
                took.extend(herd.latencies(faceplate, range(1, count + 1), **ask, within=2 * DELAY / 1000))
                return (measure.cpu_seconds(faceplate) - before) / count * 1e6

            found = profile(faceplate, work)
    return found, (statistics.median(took) - 2 * hop) * 1000


def rows(columns):
    """The table of the profiles in `columns`, by title."""
    table = [f"| CPU µs/request | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    for row in [about for about, _ in PROGRAM] + [REST[0]] + [about for about, _ in KERNEL] + [REST[1]]:
        table.append(f"| {row} | " + " | ".join(f"{found.get(row, 0):.1f}" for found in columns.values()) + " |")
    return [*table, "| all | " + " | ".join(f"{sum(found.values()):.1f}" for found in columns.values()) + " |"]


def main():
    target = ROOT / "target/profile"
    build = ["cargo", "build", "--release", "--locked", "--workspace", "--bins"]
    symbols = {"CARGO_PROFILE_RELEASE_STRIP": "false", "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only"}
    subprocess.run(build, cwd=ROOT, check=True, env={**os.environ, **symbols, "CARGO_TARGET_DIR": str(target)})
    peers.built = lambda name: str(target / "release" / name)
    # Misses come first, while the disk is idle: see run.py.
    missed, on_disk = misses(None)
    _, in_memory = misses("/dev/shm")
    columns = {}
    with tempfile.TemporaryDirectory(prefix="faceplate-bench-") as work:
        for title, length, numbers in (("4 KB", 4096, [0]), ("40 KB", 40960, [0]), ("disk, 8 KB", 8192, range(KEYS))):
            memory = "1MiB" if len(numbers) > 1 else "1GiB"
            servers = [Nginx(work), Faceplate(work, memory=memory)]
            if length == 4096:
                servers.insert(0, Floor(work, length))
            with running(*servers):
                for server in servers:
                    measure.fill(server, numbers, length)
                    chosen = measure.zipf(len(numbers), 20_000)
                    columns[f"{title}: {server.name}"] = hits(server, chosen, length)
        over_tls = encrypted_hits(work)
    columns["a miss: faceplate"] = missed
    table = ["In cleartext by HTTP/1.1:", "", *rows(columns), "", "Over TLS, 4 KB:", "", *rows(over_tls)]
    table += ["", f"A miss took {on_disk:.2f} ms longer than its two hops, and {in_memory:.2f} ms with the cache directory in memory (tmpfs)."]
    print("\n".join(table))
    path = ROOT / "docs/benchmarks.md"
    text = "\n\n" + "\n".join(table) + "\n\n"
    path.write_text(MARK.sub(lambda found: found[1] + text + found[2], path.read_text()))


if __name__ == "__main__":
    main()
