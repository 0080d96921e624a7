"""A cache with very many faces on disk, which a program writes: scan, hits, memory, disk, eviction."""

import json
import os
import subprocess
import time
from urllib.request import urlopen

import measure
from peers import Faceplate, Few, built
from report import ratio
from servers import running

LENGTH = 8192
# More than a benchmark can write.
ON_PAPER = 10_000_000
# Files that maintenance looks at in a second; twenty times the default, so that it disturbs more and ends sooner.
PACE = 10_000


def many_faces(bench):
    """Hits while the cache is scanned after the start, then undisturbed, then while a tenth is evicted."""
    count = bench.faces
    tier, pace = "1MiB", f"gc_files_per_second = {PACE}"
    faceplate = Faceplate(bench.work, memory=tier, cache=pace)
    few = Few(bench.work, memory=tier)
    before = on_disk(faceplate)
    for instance, pictures, length in (("b4096", 1, 4096), ("b8192", count, LENGTH)):
        made = [built("faces"), faceplate.work / "cache", instance, str(pictures), str(length)]
        subprocess.run(made, check=True)
    used_on_disk = [now - then for now, then in zip(on_disk(faceplate), before)]
    bench.report.figure(f"bytes of disk for a picture of {LENGTH // 1024} KB", used_on_disk[0] / count)
    bench.report.figure("inodes for a picture", used_on_disk[1] / count)
    chosen = measure.zipf(count, 20_000)
    urls = measure.write_urls(faceplate, chosen, LENGTH, "many")
    title = f"disk hit, {count:,} pictures of {LENGTH // 1024} KB"
    with running(faceplate):
        bench.report.goal(f"ms from exec to the first disk hit, {count:,} entries", faceplate.started_in * 1000, 150)
        # The kernel reads the files first.
        measure.load(faceplate, urls, bench.seconds)
        scanned = rounds_while(bench, faceplate, urls, lambda cache: not cache["counted"])
        until(faceplate, lambda cache: cache["counted"])
        few.start()
        measure.fill(few, range(1000), LENGTH)
        popular = measure.zipf(1000, 20_000)
        kept = measure.write_urls(few, popular, LENGTH, "few")
        # The same requests for as many faces among the many: the kernel's and the processor's caches hold these, too.
        same, requested = measure.write_urls(faceplate, popular, LENGTH, "popular"), "1,000 faces requested"
        loads = {
            few.name: lambda seconds: measure.load(few, kept, seconds),
            requested: lambda seconds: measure.load(faceplate, same, seconds),
            faceplate.name: lambda seconds: measure.load(faceplate, urls, seconds),
        }
        found = measure.alternate(bench, loads)
        bench.report.scenario(title, found)
        rate = ratio(found[faceplate.name], found[few.name], "per_second")
        bench.report.goal(f"hits/s at {count:,} entries / at 1,000", rate, 0.95, least=True)
        rate = ratio(found[requested], found[few.name], "per_second")
        bench.report.goal(f"the same, where 1,000 of {count:,} are requested", rate, 0.95, least=True)
        bench.report.figure(f"different faces among 20,000 requests, {count:,} entries", len(set(chosen)))
        bench.report.figure("the same, 1,000 entries", len(set(popular)))
        used = measure.memory_mib(faceplate)
        bench.report.goal(f"MiB in use at {count:,} entries", used, 1 + count * 128 / 2**20 + 40)
        more = used - measure.memory_mib(few)
        slope = more * 2**20 / (count - 1000)
        bench.report.figure("bytes of memory for each entry more", slope)
        by_slope = f"for {ON_PAPER:,} such pictures, by these slopes"
        bench.report.figure(f"GB of disk {by_slope}", used_on_disk[0] / count * ON_PAPER / 1e9)
        bench.report.figure(f"million inodes {by_slope}", used_on_disk[1] / count * ON_PAPER / 1e6)
        bench.report.figure(f"MiB of memory {by_slope}", used + slope * (ON_PAPER - count) / 2**20)
        few.stop()
        quiet = found[faceplate.name]
    evicting = Faceplate(bench.work, memory=tier, cache=f"{pace}\nmax_entries = {count * 9 // 10}")
    evicting.work = faceplate.work
    with running(evicting):
        until(evicting, lambda cache: cache["counted"])
        evicted = rounds_while(bench, evicting, urls, lambda cache: cache["entries"] > count * 9 // 10)
    for what, rounds in (("the scan", scanned), ("eviction", evicted)):
        if rounds:
            bench.report.scenario(f"{title}, during {what}", {"faceplate": rounds})
            disturbed = ratio(rounds, quiet * len(rounds), "p99")
            bench.report.goal(f"p99 of a disk hit during {what} / otherwise", disturbed, 2.0)


def on_disk(faceplate):
    """The bytes and inodes in use on the file system of the cache."""
    os.sync()
    disk = os.statvfs(faceplate.work)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize, disk.f_files - disk.f_ffree


def rounds_while(bench, faceplate, urls, goes_on):
    """The rounds of load that end before the cache's state is another, at most as many as of any scenario."""
    rounds = []
    while len(rounds) < bench.rounds:
        one = measure.load(faceplate, urls, bench.seconds)
        if not goes_on(state(faceplate)):
            break
        rounds.append(one)
    return rounds


def until(faceplate, reached):
    while not reached(state(faceplate)):
        time.sleep(1)


def state(faceplate):
    """The state of the cache."""
    return json.load(urlopen(f"http://127.0.0.1:{faceplate.admin}/v1/cache"))
