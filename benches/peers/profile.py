#!/usr/bin/env python3
"""Shows where a hit's CPU time goes, by `perf`: `make bench-profile`.

The same peers and loads as in run.py; Faceplate is built with its symbols, in a folder of its own. Prints a table,
and puts it into docs/benchmarks.md.
"""

import collections
import os
import re
import subprocess
import tempfile

import measure
import peers
from peers import ROOT, Faceplate, Nginx
from run import running

SECONDS, KEYS = 5, 20_000
# What a function is about, by its name; the first that fits.
ABOUT = [
    ("copying into the socket", r"_copy_from_iter|copy_from_iter"),
    ("copying out of files", r"_copy_to_iter|filemap|page_cache|folio"),
    ("opening files", r"lookup|path_|inode|dentry|openat|do_filp|lockref|alloc_fd|fput|filp|getname|walk_component|step_into|namei"),
    ("hashing", r"blake3|sha2|sha1|digest"),
    ("reading the index", r"serde|bucket|base64|from_utf8|memchr"),
]
MARK = re.compile(r"(<!-- the profile -->).*?(<!-- the end of the profile -->)", re.S)


def profile(peer, numbers, length):
    """CPU microseconds a request, by what they are about."""
    measure.check(peer, numbers[0], length)
    urls = measure.write_urls(peer, numbers, length, "profile")
    measure.load(peer, urls, 1)
    data = peer.work / "perf.data"
    pids = ",".join(map(str, peer.pids()))
    record = ["perf", "record", "-q", "-F", "1999", "-o", str(data), "-p", pids, "--", "sleep", str(SECONDS)]
    recording = subprocess.Popen(record, stderr=subprocess.DEVNULL)
    cpu = measure.load(peer, urls, SECONDS).cpu
    recording.wait()
    report = ["perf", "report", "-i", str(data), "--sort", "dso,sym", "--stdio", "-q"]
    lines = subprocess.run(report, capture_output=True, text=True, check=True).stdout.splitlines()
    shares = collections.Counter()
    for line in lines:
        found = re.match(r"\s*([0-9.]+)%\s+(\S+)\s+\[(.)\]\s+(.*)", line)
        if not found:
            continue
        share, _, level, symbol = found.groups()
        rest = "the rest of the kernel, mostly TCP" if level == "k" else "the rest of the program"
        about = next((about for about, names in ABOUT if re.search(names, symbol)), rest)
        shares[about] += float(share)
    whole = sum(shares.values())
    return {about: cpu * share / whole for about, share in shares.items()}


def main():
    target = ROOT / "target/profile"
    build = ["cargo", "build", "--release", "--locked", "--bin", "faceplate", "--example", "floor"]
    symbols = {"CARGO_PROFILE_RELEASE_STRIP": "false", "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only"}
    subprocess.run(build, cwd=ROOT, check=True, env={**os.environ, **symbols, "CARGO_TARGET_DIR": str(target)})
    peers.built = lambda name: str(target / "release" / name)
    columns = {}
    with tempfile.TemporaryDirectory(prefix="faceplate-bench-") as work:
        for title, length, numbers in (("memory, 40 KB", 40960, [0]), ("disk, 8 KB", 8192, range(KEYS))):
            memory = "1MiB" if len(numbers) > 1 else "1GiB"
            servers = [Nginx(work), Faceplate(work, memory=memory)]
            with running(*servers):
                for server in servers:
                    measure.fill(server, numbers, length)
                    chosen = measure.zipf(len(numbers), 20_000)
                    columns[f"{title}: {server.name}"] = profile(server, chosen, length)
    rows = [about for about, _ in ABOUT] + ["the rest of the program", "the rest of the kernel, mostly TCP"]
    table = [f"| CPU µs/request | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    for row in rows:
        table.append(f"| {row} | " + " | ".join(f"{found.get(row, 0):.1f}" for found in columns.values()) + " |")
    table.append("| all | " + " | ".join(f"{sum(found.values()):.1f}" for found in columns.values()) + " |")
    print("\n".join(table))
    path = ROOT / "docs/benchmarks.md"
    text = "\n\n" + "\n".join(table) + "\n\n"
    path.write_text(MARK.sub(lambda found: found[1] + text + found[2], path.read_text()))


if __name__ == "__main__":
    main()
