#!/usr/bin/env python3
"""Measures what a fleet costs: `make bench-fleet`.

Two replicas share an account through a Redis of the benchmark's own, beside a Faceplate without `[fleet]`. All are in front of an
origin that answers at once. Prints, and writes into docs/fleet.md: what a miss takes longer, Redis' CPU time for it, the time
until a sibling shows a picture, the memory of an entry in Redis, and the CPU time of a hit with and without a fleet. With
--smoke, each part runs once and briefly, with the debug build, and nothing is written.
"""

import argparse
import http.client
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))

import measure  # noqa: E402
from peers import KEY, LOAD_CORE, ROOT, Faceplate, build  # noqa: E402
from report import ratio  # noqa: E402
from servers import running  # noqa: E402

LENGTH = 8192
REDIS = 7120
MARKS = "<!-- what make bench-fleet measured -->", "<!-- the end of what it measured -->"


class Redis:
    """A Redis without a disk, on the core of the load."""

    def __init__(self, work):
        command = ["taskset", "-c", LOAD_CORE, "redis-server", "--port", str(REDIS), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", work]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while self.ask("PING") != "PONG":
            time.sleep(0.01)

    def ask(self, *words):
        done = subprocess.run(["redis-cli", "-p", str(REDIS), *map(str, words)], capture_output=True, text=True)
        return done.stdout.strip()

    def figure(self, section, name):
        lines = self.ask("INFO", section).splitlines()
        return float(next(line.split(":")[1] for line in lines if line.startswith(name + ":")))

    def cpu(self):
        return self.figure("cpu", "used_cpu_user") + self.figure("cpu", "used_cpu_sys")

    def commands(self):
        return self.figure("stats", "total_commands_processed")

    def keys(self, part):
        found = self.ask("--scan", "--pattern", f"fp:*:{part}:*").splitlines()
        return [int(self.ask("MEMORY", "USAGE", key)) for key in found[:200]]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Server(Faceplate):
    """Faceplate, as a replica if `fleet` says so."""

    def __init__(self, work, number, name, fleet):
        self.name, self.fleet = name, fleet
        self.port, self.admin = 7121 + 2 * number, 7122 + 2 * number
        super().__init__(work)

    def command(self):
        command = super().command()
        config = Path(command[-1])
        if self.fleet:
            table = '[fleet]\nname = "bench"\nredis = "env:REDIS"\nsecret = "env:FLEET_SECRET"\n'
            config.write_text(table + config.read_text())
        return command

    def environment(self):
        fleet = {"REDIS": f"redis://127.0.0.1:{REDIS}", "FLEET_SECRET": KEY}
        return {**super().environment(), **fleet}


class Client:
    """Requests one after the other on a kept connection."""

    def __init__(self, server):
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    def get(self, number):
        """The time of a request in microseconds."""
        path = self.server.path(number, LENGTH)
        began = time.perf_counter()
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1e6
        if answer.status != 200 or len(body) != LENGTH:
            raise SystemExit(f"{self.server.name}: face {number} is answered with {answer.status}, {len(body)} bytes")
        return took


def percentile(times, percent):
    return statistics.quantiles(times, n=100)[percent - 1]


def misses(redis, alone, first, second, count):
    """Misses of each server in turn, and after each the same face at the sibling."""
    clients = [Client(server) for server in (alone, first, second)]
    for number in range(50):
        clients[number % 2].get(10_000 + number)
    cpu, commands = redis.cpu(), redis.commands()
    plain, shared = [], []
    for number in range(count):
        plain.append(clients[0].get(20_000 + number))
        shared.append(clients[1].get(20_000 + number))
    cpu, commands = redis.cpu() - cpu, redis.commands() - commands
    taken = [clients[2].get(20_000 + number) for number in range(count)]
    after = []
    for number in range(count // 4):
        clients[1].get(60_000 + number)
        after.append(clients[2].get(60_000 + number))
    rows = [
        ("a miss without a fleet, p50", percentile(plain, 50) / 1000, "ms"),
        ("a miss without a fleet, p99", percentile(plain, 99) / 1000, "ms"),
        ("what `begin` and `commit` add to it, p50", (percentile(shared, 50) - percentile(plain, 50)) / 1000, "ms"),
        ("what they add to it, p99", (percentile(shared, 99) - percentile(plain, 99)) / 1000, "ms"),
        ("CPU time of Redis for a miss", cpu / count * 1e6, "µs"),
        ("commands that Redis carries out for a miss, those of scripts with them", commands / count, ""),
        ("a sibling's face from Redis in place of the vendor, p50", percentile(taken, 50) / 1000, "ms"),
        ("from a replica's answer to the same face at a sibling, p50", percentile(after, 50) / 1000, "ms"),
        ("the same, p99", percentile(after, 99) / 1000, "ms"),
    ]
    entries, pictures = redis.keys("entry"), redis.keys("picture")
    rows.append(("memory of an entry in Redis", statistics.mean(entries), "bytes"))
    kb = LENGTH // 1024
    rows.append((f"memory of a picture of {kb} KB in Redis", statistics.mean(pictures), "bytes"))
    return rows


def hits(alone, first, rounds, seconds):
    """The CPU time of a hit with and without a fleet."""
    urls = {}
    for server in (alone, first):
        urls[server.name] = measure.write_urls(server, [0], LENGTH, "load")
        measure.load(server, urls[server.name], 1)
    found = {alone.name: [], first.name: []}
    for _ in range(rounds):
        for server in (alone, first):
            found[server.name].append(measure.load(server, urls[server.name], seconds))
    cpu = statistics.median(one.cpu for one in found[alone.name])
    return [
        ("CPU time of a hit without a fleet", cpu, "µs"),
        ("CPU time of a hit with a fleet / without", ratio(found[first.name], found[alone.name]), ""),
    ]


def table(rows):
    lines = ["| what | measured |", "| --- | ---: |"]
    for what, figure, unit in rows:
        shown = f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
        lines.append(f"| {what} | {shown} {unit}".rstrip() + " |")
    return "\n".join(lines)


def write(text):
    path = ROOT / "docs/fleet.md"
    before, rest = path.read_text().split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    path.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--smoke", action="store_true", help="briefly, with the debug build")
    given = arguments.parse_args()
    build(release=not given.smoke)
    with tempfile.TemporaryDirectory(prefix="faceplate-bench-") as work:
        redis = Redis(work)
        try:
            alone = Server(work, 0, "alone", False)
            first, second = Server(work, 1, "first", True), Server(work, 2, "second", True)
            with running(alone, first, second):
                rows = misses(redis, alone, first, second, 200 if given.smoke else 5_000)
                rows += hits(alone, first, 1 if given.smoke else 15, 1)
        finally:
            redis.stop()
    print(table(rows))
    if not given.smoke:
        write(table(rows))


if __name__ == "__main__":
    main()
