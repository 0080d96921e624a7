"""Thumbnails by Faceplate and by libvips: CPU time, fidelity, memory. `make bench-images` writes docs/benchmarks-images.md.

Both make thumbnails of 96 pixels of the same JPEGs of 640, many in one process, on one core. Fidelity is measured against
libvips' own thumbnail before it is compressed, with libvips' quality chosen so that its files are as large as Faceplate's.
"""

import concurrent.futures
import datetime
import http.client
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

import numpy
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

ROOT = pathlib.Path(__file__).resolve().parents[2]
THUMBS = ROOT / "target/release/examples/thumbs"
FACEPLATE = ROOT / "target/release/faceplate"
API, CDN, FACES, ADMIN = (f"127.0.0.1:{port}" for port in (7200, 7201, 7202, 7203))
CONFIG = f"""
[server]
listen = "{FACES}"
[admin]
listen = "{ADMIN}"
[access]
mode = "open"
[cache]
memory = "16MiB"
[images]
memory = "16MiB"
[instances.sales]
provider = "waha"
account = "shop"
token = "env:TOKEN"
base_url = "http://{API}"
picture_hosts = ["{CDN}"]
allow_private = ["127.0.0.0/8"]
lookups = {{ per_minute = 60000, burst = 10000 }}
"""
LADDER = (32, 48, 64, 96, 128, 192, 256, 320, 480, 640)
PICTURES, ROUNDS, EDGE = 200, 5, 96
FORMATS = {"jpeg": "jpg", "webp": "webp"}


def cpu(*command):
    """Seconds of CPU time, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["taskset", "-c", "0", *map(str, command)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(format, to, files):
    return lambda: cpu(THUMBS, format, EDGE, to, *files)


def libvips(options, to, files):
    # One thread, as ours.
    return lambda: cpu("env", "VIPS_CONCURRENCY=1", "vipsthumbnail", "--size", EDGE, "-o", f"{to}/%s{options}", *files)


def total(folder, pattern):
    return sum(path.stat().st_size for path in folder.glob(pattern))


def pixels(path):
    return numpy.asarray(Image.open(path).convert("RGB"))


def fidelity(folder, pattern, references):
    found = []
    for path in sorted(folder.glob(pattern)):
        reference, made = pixels(references / f"{path.stem}.png"), pixels(path)
        found.append((
            peak_signal_noise_ratio(reference, made),
            structural_similarity(reference, made, channel_axis=2),
        ))
    return [statistics.mean(values) for values in zip(*found)]


def as_large(format, bytes, to, files):
    """libvips' quality at which its files are just as large, or a little larger."""
    for quality in range(40, 101):
        libvips(f".{FORMATS[format]}[Q={quality},strip]", to, files)()
        if total(to, f"*.{FORMATS[format]}") >= bytes:
            break
    return quality


def resident(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def burst(work):
    """MiB before, at the peak of, and after ten thousand thumbnails, none of which was made before."""
    config = work / "faceplate.toml"
    config.write_text(CONFIG)
    environment = os.environ | {"TOKEN": "emulator-token", "FACEPLATE_CACHE__DIR": str(work / "cache")}
    start = lambda *command: subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    emulator = start(FACEPLATE, "emulate", "--listen", API, "--cdn", CDN)
    server = start(FACEPLATE, "serve", "--config", config)
    try:
        time.sleep(2)
        ask = lambda jids, query: look(jids, query, server)
        jids = [f"62899{number:07}@c.us" for number in range(500)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: ask(jids[n::16], ""), range(16)))
            time.sleep(15)
            before = resident(server)
            queries = [f"?s={size}&format={format}" for size in LADDER for format in ("jpeg", "webp")]
            peak = max(max(pool.map(lambda n: ask(jids[n::16], query), range(16))) for query in queries)
        time.sleep(30)
        return before, peak, resident(server)
    finally:
        server.terminate()
        emulator.terminate()


def look(jids, query, server):
    connection, peak = http.client.HTTPConnection(FACES, timeout=60), 0
    for jid in jids:
        connection.request("GET", f"/avatar/sales/{jid}{query}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200 and answer.headers["x-faceplate-source"] == "picture", jid
        peak = max(peak, resident(server))
    return peak


def main():
    build = ["cargo", "build", "--release", "--locked", "--example", "thumbs", "--bin", "faceplate"]
    subprocess.run(build, cwd=ROOT, check=True)
    rows = []
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        folders = {name: work / name for name in ("pictures", "ours", "vips", "references")}
        for folder in folders.values():
            folder.mkdir()
        subprocess.run([THUMBS, "pictures", str(PICTURES), folders["pictures"]], check=True)
        files = sorted(folders["pictures"].glob("*.jpg"))
        libvips(".png", folders["references"], files)()
        for format, extension in FORMATS.items():
            mine = ours(format, folders["ours"], files)
            mine()
            size = total(folders["ours"], "*.jpg")
            quality = as_large(format, size, folders["vips"], files)
            theirs = libvips(f".{extension}[Q={quality},strip]", folders["vips"], files)
            times = [(mine(), theirs()) for _ in range(ROUNDS)]
            own, other = (1000 * statistics.median(t) / PICTURES for t in zip(*times))
            psnr, ssim = fidelity(folders["ours"], "*.jpg", folders["references"])
            their_psnr, their_ssim = fidelity(folders["vips"], f"*.{extension}", folders["references"])
            their_size = total(folders["vips"], f"*.{extension}")
            rows.append(f"| {format} | Faceplate | {own:.2f} | {own / other:.2f} | {size / PICTURES:.0f} | {psnr:.1f} | {ssim:.4f} |")
            rows.append(f"| {format} | libvips, Q={quality} | {other:.2f} | 1.00 | {their_size / PICTURES:.0f} | {their_psnr:.1f} | {their_ssim:.4f} |")
        before, peak, after = burst(work)
    text = "\n".join([
        "# Thumbnails beside libvips'",
        "",
        "Written by `make bench-images`: thumbnails of 96 pixels of JPEGs of 640, many in one process on one core. PSNR and SSIM are",
        "against libvips' own thumbnail before it is compressed, with libvips' quality chosen so that its files are as large as",
        "Faceplate's. Compare the ratios: the rest is this machine.",
        "",
        f"Measured {datetime.date.today()}.",
        "",
        "| to | by | CPU ms each | ratio | bytes each | PSNR dB | SSIM |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        f"Ten thousand thumbnails that nobody asked for before, sixteen at a time, with `cache.memory` and `images.memory` at 16 MiB:",
        f"{before:.0f} MiB are resident before, {peak:.0f} at most, {after:.0f} half a minute later.",
        "",
    ])
    print(text)
    (ROOT / "docs/benchmarks-images.md").write_text(text)


if __name__ == "__main__":
    main()
