"""What was measured, as tables for people."""

import statistics
from datetime import date
from pathlib import Path

HEAD = """# Benchmarks

Written by `make bench-peers`, which installs nginx and Varnish, starts each of them, Faceplate and a bare
hyper server over the same origin, and loads them with `wrk -t1 -c64`. Each server has one core and the load
another; rounds are interleaved. Figures are medians, and ratios the medians of each round's ratio to the one
beside it. CPU time is the server's, user and system, from `/proc`. Faceplate does all its work: signatures,
every header, metrics, and an access log to a file. nginx writes its access log, buffered as ours is; Varnish
writes none. Compare the ratios: the rest is this machine.
"""


class Report:
    def __init__(self):
        self.scenarios = []
        self.goals = []

    def scenario(self, title, rounds):
        print(f"measured: {title}", flush=True)
        self.scenarios.append((title, rounds))

    def goal(self, what, reached, bound, least=False):
        holds = reached >= bound if least else reached <= bound
        self.goals.append((what, ("≥" if least else "≤") + f" {bound:.3g}", reached, holds))
        print(f"{what}: {reached:.3g}", flush=True)

    def text(self):
        lines = ["| scenario | server | CPU µs/request | faceplate / it | requests/s | p50 µs | p99 µs | MiB |"]
        lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for title, rounds in self.scenarios:
            for name, found in rounds.items():
                cpu, ours = median(found, "cpu"), ratio(rounds["faceplate"], found)
                figures = [median(found, key) for key in ("per_second", "p50", "p99", "memory")]
                row = " | ".join(f"{figure:,.0f}" for figure in figures)
                lines.append(f"| {title} | {name} | {cpu:.1f} | {ours:.2f} | {row} |")
        lines += ["", "| goal | bound | reached | holds |", "| --- | ---: | ---: | --- |"]
        for what, bound, reached, holds in self.goals:
            lines.append(f"| {what} | {bound} | {reached:.3g} | {'yes' if holds else 'no'} |")
        return "\n".join(lines)

    def write(self, path):
        """Puts the tables in the place of the last ones, and leaves what people wrote below them."""
        path = Path(path)
        mark = "<!-- the end of what is measured -->"
        below = path.read_text().split(mark, 1)[1] if path.exists() else "\n"
        path.write_text(f"{HEAD}\nMeasured {date.today()}.\n\n{self.text()}\n\n{mark}{below}")


def median(rounds, key):
    return statistics.median(getattr(r, key) for r in rounds)


def ratio(ours, theirs, key="cpu"):
    """The median of each round's ratio to the one beside it: the machine's pace changes from minute to minute."""
    return statistics.median(getattr(a, key) / getattr(b, key) for a, b in zip(ours, theirs))
