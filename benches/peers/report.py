"""The figures as tables in Markdown, with a section for each part of the benchmark."""

import re
import statistics
from datetime import date

HEAD = """# Benchmarks

For operators who want to know what a server can do, and for contributors.

Written by `make bench-peers`, which installs nginx, Varnish, hitch and h2o, starts them, Faceplate and a bare hyper server in
front of the same origin, and loads them: HTTP/1.1 in cleartext with `wrk -t1 -c64`, HTTP/2 with `h2load -t1 -c8 -m32`, HTTP/1.1 over
TLS with `h2load -t1 --h1 -c64`. TLS is 1.3 with AES-128-GCM and an ECDSA certificate (P-256). Each server has one core and the
load another; the rounds of the servers alternate. Figures are medians, and a ratio is the median of the ratios of rounds
beside each other. CPU time is the server's, user and system, from `/proc`. Faceplate does all its work: signatures, every header,
metrics, and an access log to a file. nginx and h2o write an access log, too; Varnish writes none, and h2o serves files,
because it has no cache. A page is loaded by Chromium with an empty cache, and nginx has the same bytes; its p50 is the time to the
last image. Before each round of "page cache dropped", the kernel drops the files that it has read. The many faces are
written by a program before the server starts; the cache is then scanned and evicted at twenty times the default pace. Compare
the ratios, because the other figures depend on the machine. `python3 benches/peers/run.py --only PART` measures one part again
and replaces its section.
"""
END = "<!-- the end of what is measured -->"


class Report:
    """The figures of one part."""

    def __init__(self):
        self.scenarios = []
        self.goals = []
        self.figures = []

    def scenario(self, title, rounds):
        print(f"measured: {title}", flush=True)
        self.scenarios.append((title, rounds))

    def goal(self, what, reached, bound, least=False):
        holds = reached >= bound if least else reached <= bound
        self.goals.append((what, ("≥" if least else "≤") + f" {bound:.3g}", reached, holds))
        print(f"{what}: {reached:.3g}", flush=True)

    def figure(self, what, value):
        """A figure without a bound."""
        self.figures.append((what, value))
        print(f"{what}: {value:,.4g}", flush=True)

    def text(self):
        lines = []
        if self.scenarios:
            lines += ["| scenario | server | CPU µs/request | faceplate / it | requests/s | p50 µs | p99 µs | MiB |"]
            lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |", *self.rows(), ""]
        lines += ["| goal | bound | reached | holds |", "| --- | ---: | ---: | --- |"]
        for what, bound, reached, holds in self.goals:
            lines.append(f"| {what} | {bound} | {reached:.3g} | {'yes' if holds else 'no'} |")
        for what, value in self.figures:
            lines.append(f"| {what} | – | {value:,.4g} | – |")
        return "\n".join(lines)

    def rows(self):
        """The rows of the scenarios."""
        for title, rounds in self.scenarios:
            for name, found in rounds.items():
                cpu, ours = median(found, "cpu"), ratio(rounds["faceplate"], found)
                figures = [median(found, key) for key in ("per_second", "p50", "p99", "memory")]
                row = " | ".join("–" if figure is None else f"{figure:,.0f}" for figure in figures)
                yield f"| {title} | {name} | {cpu:.1f} | {ours:.2f} | {row} |"

    def write(self, path, name, title, rounds):
        """Replaces the section of the part `name` in the file, or adds it behind the others, and keeps all else."""
        measured, below = path.read_text().split(END, 1)
        begin, end = f"<!-- {name} -->", f"<!-- the end of {name} -->"
        section = f"{begin}\n\n## {title}\n\nMeasured {date.today()}, {rounds} rounds.\n\n{self.text()}\n\n{end}"
        found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.S)
        sections = measured[measured.find("<!-- ") :].strip() if "<!-- " in measured else ""
        sections = found.sub(lambda _: section, sections) if found.search(sections) else f"{sections}\n\n{section}".strip()
        path.write_text(f"{HEAD}\n{sections}\n\n{END}{below}")


def median(rounds, key):
    figures = [getattr(r, key) for r in rounds]
    return None if None in figures else statistics.median(figures)


def ratio(ours, theirs, key="cpu"):
    """The median of the ratios of rounds beside each other, because the speed of the machine changes from minute to minute."""
    return statistics.median(getattr(a, key) / getattr(b, key) for a, b in zip(ours, theirs))
