"""A page of 500 cached faces in Chromium, over HTTP/2 and TLS, beside nginx with the same bytes."""

import http.server
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading

from encrypted_peers import EncryptedFaceplate, EncryptedNginx
from measure import Round, cpu_seconds_of_threads, memory_mib
from peers import LOAD_CORE, Faceplate
from report import ratio
from servers import running

ORIGINAL = "photo"
# Chromium reports the time from the first line of the page to its `load` event, and how many images it could decode.
PAGE = """<!doctype html><meta charset="utf-8"><title>Faces</title>
<script>
const began = performance.now();
addEventListener('load', () => {
  const shown = [...document.images].filter((image) => image.naturalWidth > 0).length;
  fetch(`/took?micros=${Math.round(1000 * (performance.now() - began))}&shown=${shown}`);
});
</script>
"""
# By kind of page, the pixels of the screen for one of the page, and the sizes of each image.
SIZES = {"": (1, ["96"]), " with srcset": (2, ["96", "192"])}


class NginxBehind(EncryptedNginx):
    """nginx in front of Faceplate, whose answers it keeps although they are private."""

    origin = f"127.0.0.1:{Faceplate.port}"
    tuning = "proxy_ignore_headers Cache-Control Expires Vary X-Accel-Expires; open_file_cache max=100000 inactive=10m;"

    def path(self, number, length):
        return Faceplate.path(self, number, ORIGINAL if length == 4096 else length)


def pages(bench):
    """The time until all faces of a page are there."""
    count = bench.page
    lengths = (4096, ORIGINAL)
    behind, faceplate = Faceplate(bench.work, lengths=lengths), EncryptedFaceplate(bench.work, lengths=lengths)
    nginx = NginxBehind(bench.work)
    with running(behind, nginx, faceplate, photos=count), Pages() as site:
        paths = {size: [variant(faceplate, number, size) for number in range(count)] for size in ("96", "192")}
        for path in (path for of_size in paths.values() for path in of_size):
            warm(behind, nginx, faceplate, path)
        for kind, (density, sizes) in SIZES.items():
            title, found = f"a page of {count} faces{kind}", {}
            for _ in range(bench.rounds):
                for server in (nginx, faceplate):
                    found.setdefault(server.name, []).append(site.visit(server, [paths[size] for size in sizes], density))
            bench.report.scenario(title, found)
            took = ratio(found["faceplate"], found["nginx"], "p50")
            bench.report.goal(f"time to the last image of {title} / nginx's", took, 0.8)


def variant(server, number, size):
    return f"{server.path(number, ORIGINAL)}&s={size}&format=webp"


def warm(behind, nginx, faceplate, path):
    """Fetches the image until each server has it. The first answer of Faceplate may be another that stands in for it."""
    for _ in range(50):
        one, other = behind.fetch(path), faceplate.fetch(path)
        if one == other == behind.fetch(path) and one[8:12] == b"WEBP":
            break
    else:
        raise SystemExit(f"no image at {path}")
    if nginx.fetch(path) != one:
        raise SystemExit(f"nginx has another image at {path}")


class Pages:
    """A server of pages, which are told to it one after the other, and of their reports."""

    def __enter__(self):
        self.reports = reports = queue.Queue()
        self.html = b""
        pages = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path.startswith("/took"):
                    reports.put(dict(pair.split("=") for pair in self.path.partition("?")[2].split("&")))
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                if self.path == "/":
                    self.wfile.write(pages.html)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def visit(self, server, paths, density):
        """Opens a page with an image for each path in a browser that has seen nothing before."""
        count = len(paths[0])
        images = []
        for choices in zip(*paths):
            urls = [server.url(path).replace("&", "&amp;") for path in choices]
            srcset = ", ".join(f"{url} {n}x" for n, url in enumerate(urls, 1))
            images.append(f'<img width="96" height="96" alt="" src="{urls[0]}" srcset="{srcset}">')
        self.html = (PAGE + "\n".join(images)).encode()
        before = cpu_seconds_of_threads(server)
        # Chromium's children may still write when it has ended.
        with tempfile.TemporaryDirectory(prefix="faceplate-chromium-", ignore_cleanup_errors=True) as profile:
            flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
            flags += ["--ignore-certificate-errors", f"--user-data-dir={profile}", f"--force-device-scale-factor={density}"]
            address = f"http://127.0.0.1:{self.server.server_port}/"
            browser = subprocess.Popen(
                ["taskset", "-c", LOAD_CORE, shutil.which("chromium"), *flags, "--remote-debugging-port=0", address],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                report = self.reports.get(timeout=60)
            except queue.Empty:
                raise SystemExit(f"{server.name}: the page did not load within a minute") from None
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                browser.wait()
        if int(report["shown"]) != count:
            raise SystemExit(f"{server.name}: {report['shown']} of {count} images are shown")
        took = int(report["micros"])
        cpu = (cpu_seconds_of_threads(server) - before) / count * 1e6
        return Round(count, count / took * 1e6, cpu, memory_mib(server), p50=took)
