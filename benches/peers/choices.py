#!/usr/bin/env python3
"""Measures what the optimizations of a memory hit save: `make bench-choices`.

Runs Faceplate beside itself with one switch turned off. Each server has core 0 to itself while it is loaded, and wrk has core
1; rounds alternate. A ratio is the median, over all rounds, of the CPU time a request divided by that of the same round with all
switches on. Short content does not use sendfile, so that row shows how exact the ratios are. `--beside PROGRAM` adds
another build of Faceplate, to compare two commits.
"""

import argparse
import subprocess
import tempfile

import measure
import peers
from peers import ROOT, Faceplate, build
from report import median, ratio
from servers import running

LENGTHS = (4096, 40960)
SWITCHES = {"fast_path = false": "fast_path = false", "sendfile = false": "sendfile = false"}


class Variant(Faceplate):
    """Faceplate with other lines in [server], or another build of it."""

    def __init__(self, work, number, name, program=None, server=""):
        self.name = name
        self.port, self.admin = 7120 + 2 * number, 7121 + 2 * number
        super().__init__(work, server=server)
        self.program = program

    def command(self):
        command = super().command()
        return [self.program or command[0], *command[1:]]


def variants(work, beside):
    """The servers, the one with all switches on first."""
    yield Variant(work, 0, "faceplate")
    for number, (name, line) in enumerate(SWITCHES.items(), 1):
        yield Variant(work, number, name, server=line)
    for number, program in enumerate(beside, 1 + len(SWITCHES)):
        yield Variant(work, number, f"build {number - len(SWITCHES)}", program=program)


def compare(servers, length, rounds, seconds):
    """The rounds of each server, by name."""
    urls = {}
    for server in servers:
        measure.check(server, 0, length)
        urls[server.name] = measure.write_urls(server, [0], length, "load")
        measure.load(server, urls[server.name], 1)
    found = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            found[server.name].append(measure.load(server, urls[server.name], seconds))
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--beside", action="append", default=[], metavar="PROGRAM", help="another build of faceplate")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--seconds", type=int, default=1, help="of a round")
    arguments.add_argument("--smoke", action="store_true", help="one short round of the debug build")
    given = arguments.parse_args()
    build(release=not given.smoke)
    rounds = 1 if given.smoke else given.rounds
    print("| memory hit | server | CPU µs/request | it / faceplate | requests/s |")
    print("| --- | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(prefix="faceplate-bench-") as work:
        servers = list(variants(work, given.beside))
        with running(*servers):
            for length in LENGTHS:
                found = compare(servers, length, rounds, given.seconds)
                for name, its in found.items():
                    times = ratio(its, found["faceplate"])
                    row = f"{median(its, 'cpu'):.2f} | {times:.3f} | {median(its, 'per_second'):,.0f}"
                    print(f"| {length // 1024} KB | {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
