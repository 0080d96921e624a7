"""Thumbnails by Faceplate and by libvips: CPU time, fidelity, memory. `make bench-images` writes docs/benchmarks-images.md.

Both make thumbnails of 96 pixels of the same photographs, JPEGs of 640 as WhatsApp's, many in one process, on one core. Fidelity
is measured against libvips' own thumbnail before it is compressed, and against the thumbnail of a third library, Pillow. The quality of libvips is
chosen so that its files are as large as Faceplate's.
"""

import concurrent.futures
import datetime
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import resource
import statistics
import subprocess
import tempfile
import threading
import time

import numpy
from PIL import Image, ImageEnhance
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

ROOT = pathlib.Path(__file__).resolve().parents[2]
THUMBS = ROOT / "target/release/thumbs"
FACEPLATE = ROOT / "target/release/faceplate"
API, FACES, ADMIN = (f"127.0.0.1:{port}" for port in (7200, 7202, 7203))
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
picture_hosts = ["{API}"]
allow_private = ["127.0.0.0/8"]
lookups = {{ per_minute = 60000, burst = 10000 }}
"""
LADDER = (32, 48, 64, 96, 128, 192, 256, 320, 480, 640)
PICTURES, ROUNDS, EDGE, CROWD = 200, 5, 96, 500
FORMATS = {"jpeg": "jpg", "webp": "webp"}
FIRST = 628990000000
UNIT = (ROOT / "deploy/systemd/faceplate.service").read_text()
# The settings of the allocator in every deployment.
MALLOC = dict(re.findall(r"^Environment=(MALLOC_\w+)=(.+)$", UNIT, re.MULTILINE))


def pictures(count, folder):
    """Photographs of people, things and places, each cut and lit anew."""
    photographs = [Image.fromarray(photograph()) for photograph in (data.astronaut, data.coffee, data.chelsea, data.rocket)]
    chance = random.Random(640)
    for number in range(count):
        photograph = chance.choice(photographs)
        side = chance.randrange(min(photograph.size) * 3 // 5, min(photograph.size))
        left, top = (chance.randrange(edge - side) for edge in photograph.size)
        cut = photograph.crop((left, top, left + side, top + side)).resize((640, 640), Image.Resampling.LANCZOS)
        ImageEnhance.Brightness(cut).enhance(chance.uniform(0.8, 1.2)).save(folder / f"{number:04}.jpg", quality=80)


def cpu(*command):
    """Seconds of CPU time, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["taskset", "-c", "0", *map(str, command)], env=os.environ | MALLOC, check=True, stdout=subprocess.DEVNULL)
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


def plain(files, to):
    for path in files:
        Image.open(path).resize((EDGE, EDGE), Image.Resampling.LANCZOS).save(to / f"{path.stem}.png")


def fidelity(folder, pattern, references):
    found = []
    for path in sorted(folder.glob(pattern)):
        reference, made = pixels(references / f"{path.stem}.png"), pixels(path)
        assert made.shape == (EDGE, EDGE, 3), path
        found.append((
            peak_signal_noise_ratio(reference, made),
            structural_similarity(reference, made, channel_axis=2),
        ))
    return [statistics.mean(values) for values in zip(*found)]


def as_large(format, bytes, to, files):
    """libvips' quality at which its files are just as large, or a little larger."""
    for quality in range(60, 101):
        libvips(f".{FORMATS[format]}[Q={quality},strip]", to, files)()
        if total(to, f"*.{FORMATS[format]}") >= bytes:
            break
    return quality


def resident(process, which="VmRSS"):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{which}:"))
    return int(line.split()[1]) / 1024


class Gateway(http.server.BaseHTTPRequestHandler):
    """A gateway that has a picture for everybody."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/api/"):
            number = int(self.path.split("/")[4].split("%40")[0].split("@")[0]) - FIRST
            body, media = json.dumps({"url": f"http://{API}/{number:04}.jpg"}).encode(), "application/json"
        else:
            body, media = (self.server.folder / self.path.strip("/")).read_bytes(), "image/jpeg"
        self.send_response(200)
        self.send_header("content-type", media)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def made():
    """How many pictures the server has made."""
    connection = http.client.HTTPConnection(ADMIN, timeout=60)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("faceplate_derived_total{"))


def burst(work):
    """How many thumbnails a burst was, none made before; MiB before it, at its peak, after it, and after it came again; and how many
    of them are code that was not in use before."""
    host, port = API.split(":")
    gateway = http.server.ThreadingHTTPServer((host, int(port)), Gateway)
    gateway.folder = work / "crowd"
    gateway.folder.mkdir()
    pictures(CROWD, gateway.folder)
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    config = work / "faceplate.toml"
    config.write_text(CONFIG)
    environment = os.environ | MALLOC | {"TOKEN": "token", "FACEPLATE_CACHE__DIR": str(work / "cache")}
    server = subprocess.Popen([FACEPLATE, "serve", "--config", config], env=environment, stdout=subprocess.DEVNULL)
    try:
        while subprocess.run([FACEPLATE, "healthcheck", "--config", config], env=environment, capture_output=True).returncode:
            time.sleep(0.2)
        ask = lambda jids, query: look(jids, query, server)
        jids = [f"{FIRST + number}@c.us" for number in range(CROWD)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            queries = [f"?s={size}&format={format}" for size in LADDER for format in FORMATS]
            crowd = lambda queries: max(max(pool.map(lambda n: ask(jids[n::16], query), range(16))) for query in queries)
            # As many looks at the pictures as they came: a server in use, whose memory tier was filled and emptied.
            crowd([""] * len(queries))
            time.sleep(30)
            before, code = resident(server), resident(server, "RssFile")
            peak = crowd(queries)
            count = made()
            time.sleep(30)
            after = resident(server)
            crowd(queries)
            time.sleep(30)
        return count, before, peak, after, resident(server), resident(server, "RssFile") - code
    finally:
        server.terminate()
        gateway.shutdown()


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
    build = ["cargo", "build", "--release", "--locked", "--workspace", "--bins"]
    subprocess.run(build, cwd=ROOT, check=True)
    rows = []
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        folders = {name: work / name for name in ("pictures", "ours", "vips", "references", "plain")}
        for folder in folders.values():
            folder.mkdir()
        pictures(PICTURES, folders["pictures"])
        files = sorted(folders["pictures"].glob("*.jpg"))
        libvips(".png", folders["references"], files)()
        plain(files, folders["plain"])
        for format, extension in FORMATS.items():
            mine = ours(format, folders["ours"], files)
            mine()
            size = total(folders["ours"], "*.jpg")
            quality = as_large(format, size, folders["vips"], files)
            theirs = libvips(f".{extension}[Q={quality},strip]", folders["vips"], files)
            times = [(mine(), theirs()) for _ in range(ROUNDS)]
            own, other = (1000 * statistics.median(t) / PICTURES for t in zip(*times))
            for who, cost, folder, pattern in (
                ("Faceplate", own, folders["ours"], "*.jpg"),
                (f"libvips, Q={quality}", other, folders["vips"], f"*.{extension}"),
            ):
                psnr, ssim = fidelity(folder, pattern, folders["references"])
                plain_psnr, plain_ssim = fidelity(folder, pattern, folders["plain"])
                rows.append(
                    f"| {format} | {who} | {cost:.2f} | {cost / other:.2f} | {total(folder, pattern) / PICTURES:.0f} "
                    f"| {psnr:.1f} | {ssim:.4f} | {plain_psnr:.1f} | {plain_ssim:.4f} |"
                )
        count, before, peak, after, again, code = burst(work)
    text = "\n".join([
        "# Image benchmarks",
        "",
        "For operators who ask what thumbnails cost, and for contributors.",
        "",
        f"Written by `make bench-images`: thumbnails of {EDGE} pixels of {PICTURES} photographs, JPEGs of 640 pixels like WhatsApp's, in",
        f"one process on one core, the median of {ROUNDS} runs. The quality of libvips is chosen so that its files are as large as Faceplate's.",
        "PSNR (in dB) and SSIM are against libvips' own thumbnail before it is compressed, and against Pillow's (Lanczos).",
        "Compare the ratios, because the other figures depend on the machine.",
        "",
        f"Measured {datetime.date.today()} beside {version()}. Faceplate may cost 1.2 times as much.",
        "",
        "| to | by | CPU ms each | ratio | bytes each | PSNR, libvips' | SSIM, libvips' | PSNR, Pillow's | SSIM, Pillow's |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        f"Memory in a burst of {count:,} requests for new variants of {CROWD} faces, sixteen at a time, with `cache.memory` and",
        f"`images.memory` at 16 MiB each: **{before:.0f} MiB** are resident before, **{peak:.0f} MiB** at most, and **{after:.0f} MiB** half a minute",
        f"later. Of these, 16 are cached variants and {code:.1f} are code that was not in use before. Half a minute after a second burst,",
        f"**{again:.0f} MiB** are resident. The settings of the allocator are those of the image and the systemd unit.",
        "",
    ])
    print(text)
    (ROOT / "docs/benchmarks-images.md").write_text(text)


def version():
    return subprocess.run(["vips", "--version"], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
