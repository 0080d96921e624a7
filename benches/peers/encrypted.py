"""What browsers do: HTTP/2, TLS, handshakes, variants and placeholders."""

import subprocess
import time

import measure
import peers
from encrypted_peers import (
    CIPHER,
    CleartextFaceplate,
    CleartextFloor,
    CleartextH2o,
    CleartextNginx,
    CleartextVarnish,
    EncryptedFaceplate,
    EncryptedFloor,
    EncryptedH2o,
    EncryptedNginx,
    EncryptedVarnish,
)
from measure import Round, cpu_seconds, memory_mib
from peers import LOAD_CORE, Faceplate
from report import median, ratio
from servers import running

HTTP2, HTTP1 = ["-c8", "-m32"], ["--h1", "-c64"]
TLS = [EncryptedFloor, EncryptedNginx, EncryptedH2o, EncryptedVarnish, EncryptedFaceplate]
CLEARTEXT = [CleartextFloor, CleartextNginx, CleartextH2o, CleartextVarnish, CleartextFaceplate]
# The bounds of CPU time beside the bare server and beside nginx, by protocol and length.
BOUNDS = {
    ("HTTP/2 over TLS", 4096): (1.25, 0.85),
    ("HTTP/2 over TLS", 40960): (1.15, 0.75),
    ("HTTP/1.1 over TLS", 4096): (None, 0.70),
    ("HTTP/1.1 over TLS", 40960): (None, 0.50),
}


def hits(bench, length):
    """Hits of one picture by each protocol."""
    for kinds, protocols in ((TLS, {"HTTP/2 over TLS": HTTP2, "HTTP/1.1 over TLS": HTTP1}), (CLEARTEXT, {"HTTP/2 in cleartext": HTTP2})):
        servers = [kind(bench.work, length) if issubclass(kind, peers.Floor) else kind(bench.work) for kind in kinds]
        with running(*servers):
            for server in servers:
                measure.check(server, 0, length)
            rates = []
            for protocol, arguments in protocols.items():
                found = measure.alternate(bench, {server.name: load(server, arguments, length) for server in servers})
                bench.report.scenario(f"{protocol}, {length // 1024} KB", found)
                goals(bench, protocol, length, found)
                rates.append(median(found["nginx"], "per_second"))
            if kinds is TLS and length == 4096:
                by_name = {server.name: server for server in servers}
                at_half_capacity(bench, by_name["nginx"], by_name["faceplate"], length, int(rates[0] / 2))
                handshakes(bench, by_name["nginx"], by_name["faceplate"], length)


def load(server, arguments, length):
    """A load by h2load, whose log has the time of each answer."""
    log, path = server.work / "h2load.log", server.path(0, length)
    command = ["taskset", "-c", LOAD_CORE, "h2load", "-t1", *arguments, f"--tls13-ciphers={CIPHER}", f"--log-file={log}"]

    def one(seconds):
        log.unlink(missing_ok=True)
        before = cpu_seconds(server)
        done = subprocess.run([*command, f"-D{seconds}", server.url(path)], capture_output=True, text=True, check=True)
        cpu = cpu_seconds(server) - before
        took = []
        for line in log.read_text().splitlines():
            _, status, micros = line.split()
            if status != "200":
                raise SystemExit(f"{server.name}: an answer was wrong: {done.stdout}")
            took.append(int(micros))
        if not took or server.scheme == "https" and "TLSv1.3" not in done.stdout:
            raise SystemExit(f"{server.name}: no answer by TLS 1.3: {done.stdout}")
        return measure.in_round(server, took, cpu, seconds)

    one(1)
    return one


def goals(bench, protocol, length, found):
    kb, ours = length // 1024, found["faceplate"]
    floor, nginx = BOUNDS.get((protocol, length), (None, None))
    if floor:
        bench.report.goal(f"CPU of a {kb} KB hit by {protocol} / bare hyper server's", ratio(ours, found["floor"]), floor)
    if nginx:
        bench.report.goal(f"CPU of a {kb} KB hit by {protocol} / nginx's", ratio(ours, found["nginx"]), nginx)
        bench.report.goal(f"p99 of a {kb} KB hit by {protocol} / nginx's", ratio(ours, found["nginx"], "p99"), 1.0)


def at_half_capacity(bench, nginx, faceplate, length, rate):
    """HTTP/2 at a fixed rate, half of what nginx answers at most. Times count from when a request was to be sent."""

    def paced(server):
        command = ["taskset", "-c", LOAD_CORE, peers.built("pace"), str(server.port), server.certificate, str(rate)]

        def one(seconds):
            before = cpu_seconds(server)
            path = server.path(0, length) + "\n"
            done = subprocess.run([*command, str(seconds), "8"], input=path, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{server.name}: {done.stderr}")
            return measure.in_round(server, [int(line) for line in done.stdout.split()], cpu_seconds(server) - before, seconds)

        return one

    found = measure.alternate(bench, {server.name: paced(server) for server in (nginx, faceplate)})
    bench.report.scenario(f"HTTP/2 over TLS, {length // 1024} KB, {rate:,} requests/s", found)
    bench.report.goal("p99 at a fixed rate / nginx's", ratio(found["faceplate"], found["nginx"], "p99"), 1.0)


def handshakes(bench, nginx, faceplate, length):
    """Handshakes with one request each, from the beginning and resumed. One follows the other, so the rate of the rows is not the
    servers' capacity, which CPU time shows."""

    def shaken(server, kind):
        command = ["taskset", "-c", LOAD_CORE, peers.built("handshakes"), str(server.port), server.certificate, kind]

        def one(seconds):
            before = cpu_seconds(server)
            done = subprocess.run([*command, str(seconds), server.path(0, length)], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{server.name}: {done.stderr}")
            count = int(done.stdout)
            return Round(count, count / seconds, (cpu_seconds(server) - before) / count * 1e6, memory_mib(server))

        return one

    for kind in ("full", "resumed"):
        found = measure.alternate(bench, {server.name: shaken(server, kind) for server in (nginx, faceplate)})
        bench.report.scenario(f"handshake, {kind}", found)
        bench.report.goal(f"handshakes for a second of CPU, {kind} / nginx's", 1 / ratio(found["faceplate"], found["nginx"]), 1.0, least=True)


def derived(bench):
    """A variant and a placeholder, each beside an original of its length."""
    variant, placeholder = "&s=96&format=webp", "&s=96&d=identicon&f=y&format=png"

    def paths(faceplate):
        return {"a variant": faceplate.path(0, "photo") + variant, "a placeholder": faceplate.path(0, 4096) + placeholder}

    faceplate = Faceplate(bench.work, lengths=(4096, "photo"))
    with running(faceplate):
        lengths = {name: len(made(faceplate, path)) for name, path in paths(faceplate).items()}
    faceplate = Faceplate(bench.work, lengths=(4096, "photo", *set(lengths.values()) - {4096}))
    with running(faceplate):
        for name, path in paths(faceplate).items():
            made(faceplate, path)
            measure.check(faceplate, 0, lengths[name])
            loads = {}
            for title, of in (("faceplate", path), ("original", faceplate.path(0, lengths[name]))):
                urls = faceplate.work / f"{title}.urls"
                urls.write_text(of + "\n")
                loads[title] = lambda seconds, urls=urls: measure.load(faceplate, urls, seconds)
            found = measure.alternate(bench, loads)
            bench.report.scenario(f"{name} of {lengths[name]:,} bytes", found)
            bench.report.goal(f"CPU of {name} / an original's", ratio(found["faceplate"], found["original"]), 1.1)


def made(faceplate, path):
    """The image at `path`, once two answers are the same: the first may be another that stands in for it."""
    before = None
    for _ in range(50):
        image = faceplate.fetch(path)
        if image == before:
            return image
        before = image
        time.sleep(0.1)
    raise SystemExit(f"no image at {path}")
