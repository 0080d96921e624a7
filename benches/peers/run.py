#!/usr/bin/env python3
"""Measures Faceplate beside nginx, Varnish and a bare hyper server: `make bench-peers`.

Each server runs on one core and the load on the other; the rounds of the servers alternate; CPU time is read from /proc. Prints
the figures of each part when it ends, and writes them to its section of docs/benchmarks.md. With --smoke, each part runs once
and briefly and nothing is written, to test the benchmark itself. The part cold-disk drops the kernel's page cache, which only
root may.

Wait five minutes before the next run: for so long, ext4 makes files more slowly after many were deleted.
"""

import argparse
import random
import resource
import statistics
import subprocess
import tempfile
import time
from urllib.request import Request, urlopen

import encrypted
import herd
import many_faces
import measure
import page
import peers
from measure import Round, cpu_seconds, memory_mib
from peers import ROOT, Faceplate, Floor, Mimalloc, Nginx, Stealing, TunedNginx, Varnish
from report import Report, ratio
from servers import running


class Bench:
    """The length and number of rounds, and the number of pictures."""

    def __init__(self, smoke, keys, faces, rounds):
        self.work = tempfile.mkdtemp(prefix="faceplate-bench-")
        self.rounds = 1 if smoke else rounds
        self.seconds = 1 if smoke else 2
        self.many = 300 if smoke else 10_000
        self.keys = 2_000 if smoke else keys
        self.faces = 3_000 if smoke else faces
        self.page = 40 if smoke else 500
        self.crowd = 200 if smoke else 10_000

    def compare(self, title, peers, length, numbers=(0,)):
        """Loads the peers in turn, and returns the rounds of each by name."""
        urls = {}
        for peer in peers:
            measure.check(peer, numbers[0], length)
            urls[peer.name] = measure.write_urls(peer, numbers, length, "load")
        rounds = {peer.name: [] for peer in peers}
        for _ in range(self.rounds):
            for peer in peers:
                rounds[peer.name].append(measure.load(peer, urls[peer.name], self.seconds))
        self.report.scenario(title, rounds)
        return rounds

    # --- hits ---

    def memory_hit(self, length):
        """Hits of one picture in memory."""
        peers = [Floor(self.work, length), Nginx(self.work), Varnish(self.work), Faceplate(self.work)]
        with running(*peers):
            found = self.compare(f"memory hit, {length // 1024} KB", peers, length)
            if length == 4096:
                self.not_modified(peers[-1], length)
        if length <= 40960:
            kb = length // 1024
            self.report.goal(f"CPU of a {kb} KB memory hit / bare hyper server's", ratio(found["faceplate"], found["floor"]), 1.25)
            self.report.goal(f"CPU of a {kb} KB memory hit / nginx's", ratio(found["faceplate"], found["nginx"]), 0.70)
            p99 = ratio(found["faceplate"], found["nginx"], "p99")
            self.report.goal(f"p99 of a {kb} KB memory hit / nginx's", p99, 1.0)

    def choices(self):
        """Two choices: the runtime, on the bare server, and the allocator."""
        length = 4096
        peers = [Floor(self.work, length), Stealing(self.work, length)]
        peers += [Mimalloc(self.work), Faceplate(self.work)]
        with running(*peers):
            self.compare("choices, 4 KB", peers, length)

    def not_modified(self, faceplate, length):
        """Conditional requests that are answered with 304, beside requests that are answered with the picture."""
        etag = measure.etag(faceplate, 0, length)
        urls = measure.write_urls(faceplate, (0,), length, "known")
        whole, known = [], []
        for _ in range(self.rounds):
            whole.append(measure.load(faceplate, urls, self.seconds))
            known.append(measure.load(faceplate, urls, self.seconds, etag=etag))
        self.report.scenario("304, 4 KB", {"faceplate": known})
        self.report.goal("CPU of a 304 / a 200's", ratio(known, whole), 1.0)

    def crowd_of_hits(self):
        """Hits of many pictures, with a Zipf distribution."""
        peers = [Nginx(self.work), Varnish(self.work), Faceplate(self.work)]
        with running(*peers):
            for peer in peers:
                measure.fill(peer, range(self.many), 4096)
            chosen = measure.zipf(self.many, 20_000)
            self.compare(f"memory hit, {self.many:,} pictures of 4 KB", peers, 4096, chosen)

    def disk_hit(self):
        """Hits of more pictures than the memory tier holds, and during maintenance."""
        nginx, faceplate = Nginx(self.work), Faceplate(self.work, memory="1MiB")
        with running(nginx, faceplate):
            for peer in (nginx, faceplate):
                measure.fill(peer, range(self.keys), 8192)
            # The memory tier holds few of these, so most are read from the disk.
            chosen = measure.zipf(self.keys, 20_000)
            title = f"disk hit, {self.keys:,} pictures of 8 KB"
            found = self.compare(title, [nginx, faceplate], 8192, chosen)
            self.report.goal("CPU of a disk hit / nginx's", ratio(found["faceplate"], found["nginx"]), 1.0)
            self.during_maintenance(faceplate, chosen, found["faceplate"])

    def during_maintenance(self, faceplate, chosen, quiet):
        """Hits while the cache is maintained without a pause."""
        urls = measure.write_urls(faceplate, chosen, 8192, "maintenance")
        collect = f"while :; do curl -sS -o /dev/null -X POST http://127.0.0.1:{faceplate.admin}/v1/cache/gc; done"
        maintenance = subprocess.Popen(["sh", "-c", collect], start_new_session=True)
        try:
            rounds = [measure.load(faceplate, urls, self.seconds) for _ in range(self.rounds)]
        finally:
            maintenance.kill()
        self.report.scenario("disk hit, during maintenance", {"faceplate": rounds})
        p99s = [statistics.median(r.p99 for r in found) for found in (rounds, quiet)]
        self.report.goal("p99 of a disk hit during maintenance / otherwise", p99s[0] / p99s[1], 2.0)

    def cold_disk(self):
        """Hits one after the other, whose files the kernel has to read from the disk."""
        if not measure.drop_page_cache():
            print("not measured: disk hits after the page cache was dropped, which is allowed to root only")
            return
        count, asked = (400, 100) if self.rounds == 1 else (5_000, 300)
        nginx, faceplate = Nginx(self.work), Faceplate(self.work, memory="1MiB")
        with running(nginx, faceplate):
            for peer in (nginx, faceplate):
                measure.fill(peer, range(count), 8192)

            def cold(peer):
                def one(_):
                    measure.drop_page_cache()
                    numbers = random.sample(range(count), asked)
                    before = cpu_seconds(peer)
                    took = [1e6 * seconds for seconds in herd.latencies(peer, numbers, 8192, in_flight=1)]
                    return measure.in_round(peer, took, cpu_seconds(peer) - before, sum(took) / 1e6)

                return one

            found = measure.alternate(self, {peer.name: cold(peer) for peer in (nginx, faceplate)})
        self.report.scenario("disk hit, page cache dropped, one at a time", found)
        for key in ("p50", "p99"):
            reached = ratio(found["faceplate"], found["nginx"], key)
            self.report.goal(f"{key} of a disk hit after the page cache was dropped / nginx's", reached, 1.1)

    # --- misses ---

    def misses(self):
        """The time that Faceplate adds to a vendor that takes a quarter of a second for each of the two hops, and the CPU time of
        a miss beside nginx's, which makes one hop."""
        delay = 250
        count = 128 * self.seconds * self.rounds
        ask = {"numbers": range(1, count + 1), "length": 4096, "in_flight": 64}
        faceplate, nginx = Faceplate(self.work, first_paint="0s"), TunedNginx(self.work)
        found, took = {}, {}
        with running(nginx, faceplate, delay_ms=delay) as (origin, *_):
            hop = statistics.median(herd.latencies(origin, **ask, within=delay / 1000))
            for peer, hops in ((nginx, 1), (faceplate, 2)):
                before = cpu_seconds(peer)
                took[peer.name] = statistics.median(herd.latencies(peer, **ask, within=hops * delay / 1000))
                cpu = (cpu_seconds(peer) - before) / count * 1e6
                rate = 64 / took[peer.name]
                found[peer.name] = [Round(count, rate, cpu, memory_mib(peer), p50=took[peer.name] * 1e6)]
        self.report.scenario("miss, 4 KB, 64 in flight", found)
        self.report.goal("CPU µs of a miss", found["faceplate"][0].cpu, 450)
        added = (took["faceplate"] - 2 * hop) * 1000
        self.report.goal("ms that a miss takes longer than its two hops, 64 in flight", added, 1.0)

    def one_cold_face(self):
        """Many requests at once for one face that is not in the cache."""
        delay = 1000
        faceplate = Faceplate(self.work, first_paint="0s")
        with running(faceplate, delay_ms=delay):
            (one,) = herd.latencies(faceplate, [1], 4096, in_flight=1)
            took = herd.latencies(faceplate, [2] * self.crowd, 4096, in_flight=self.crowd)
            calls = upstream_calls(faceplate)
        self.report.goal(f"time for {self.crowd:,} requests for one cold face / for one", max(took) / one, 1.2)
        # Two calls belong to the start and to the single request.
        self.report.goal("upstream transactions for them", calls - 2, 1)

    def memory_hits(self):
        for length in (4096, 40960, 102400):
            self.memory_hit(length)
        self.crowd_of_hits()
        self.choices()

    def encrypted_hits(self):
        for length in (4096, 40960):
            encrypted.hits(self, length)

    def parts(self):
        """The title and the measurement of each part by its name, in order: misses come first, while the disk is idle."""
        return {
            "misses": ("Misses", self.misses),
            "one-cold-face": ("Many requests for one cold face", self.one_cold_face),
            "memory": ("Hits by HTTP/1.1 in cleartext", self.memory_hits),
            "encrypted": ("Hits over TLS and by HTTP/2", self.encrypted_hits),
            "derived": ("Variants and placeholders", lambda: encrypted.derived(self)),
            "page": ("A page in Chromium", lambda: page.pages(self)),
            "cold-disk": ("Hits on disk, not in the page cache", self.cold_disk),
            "disk": ("Hits on disk, and maintenance", self.disk_hit),
            "many-faces": ("Very many faces", lambda: many_faces.many_faces(self)),
        }

    def run(self, name, write):
        """Measures the part, prints its figures, and writes them to the document."""
        title, measure_part = self.parts()[name]
        self.report = Report()
        measure_part()
        print(f"\n{title}\n\n{self.report.text()}\n", flush=True)
        if write and (self.report.scenarios or self.report.goals):
            self.report.write(ROOT / "docs/benchmarks.md", name, title, self.rounds)


def upstream_calls(faceplate):
    text = urlopen(f"http://127.0.0.1:{faceplate.admin}/metrics").read().decode()
    lines = [line for line in text.splitlines() if line.startswith("faceplate_upstream_requests_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--smoke", action="store_true", help="each part once and briefly")
    arguments.add_argument("--keys", type=int, default=100_000, help="pictures on disk beside nginx")
    arguments.add_argument("--faces", type=int, default=1_000_000, help="pictures on disk that a program writes")
    arguments.add_argument("--only", action="append", metavar="PART", help="this part alone, may be repeated")
    arguments.add_argument("--rounds", type=int, default=9, help="rounds of two seconds; the median counts")
    given = arguments.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Times of a smoke run are not used.
    peers.build(release=not given.smoke)
    bench = Bench(given.smoke, given.keys, given.faces, given.rounds)
    parts = bench.parts()
    if unknown := set(given.only or ()) - set(parts):
        arguments.error(f"no part {', '.join(unknown)}; the parts are {', '.join(parts)}")
    try:
        for name in given.only or parts:
            bench.run(name, write=not given.smoke)
    finally:
        # This takes minutes, because of many small files.
        subprocess.run(["rm", "-rf", bench.work], check=False)


if __name__ == "__main__":
    main()
