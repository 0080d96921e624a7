"""The servers that are compared. Each runs on core 0, in front of the same origin."""

import base64
import functools
import hashlib
import hmac
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import zlib
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# The profile that the project's own programs are built with.
PROFILE = "release"
KEY = "a signing key for benchmarks"
SERVER_CORE, LOAD_CORE = "0", "1"
ORIGIN = "127.0.0.1:7100"


def built(name):
    return str(TARGET / PROFILE / name)


def build(release):
    """Builds Faceplate and the tools that it is measured with."""
    global PROFILE
    command = ["cargo", "build", "--locked", "--workspace", "--bins", "--features", "faceplate-bench-tools/mimalloc"]
    PROFILE = "release" if release else "debug"
    subprocess.run(command + ["--release"] * release, cwd=ROOT, check=True)


def jid(number):
    return 628100000000 + number


class Peer:
    """A running server; `path` is its path of picture `number` of `length` bytes."""

    name = ""
    port = 0
    scheme = "http"

    def __init__(self, work):
        # A new folder each time: ext4 makes files more slowly in one where many were deleted in the last minutes.
        self.work = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=work))
        self.process = None

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self, core=SERVER_CORE):
        """Starts the server, and returns when it answers."""
        log = open(self.work / "output.log", "ab")
        self.process = subprocess.Popen(
            ["taskset", "-c", core, *self.command()],
            stdout=log,
            stderr=log,
            env={**os.environ, **self.environment()},
            cwd=self.work,
            start_new_session=True,
        )
        began = time.monotonic()
        deadline = began + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                self.fetch(self.path(0, 4096))
                self.started_in = time.monotonic() - began
                return self
            except OSError:
                time.sleep(0.002)
        raise SystemExit(f"{self.name} did not start: {(self.work / 'output.log').read_text()[-2000:]}")

    def stop(self):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def path(self, number, length):
        return f"/img/{length}/{number}.jpg"

    def url(self, path):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def fetch(self, path):
        """The body at the path. Any failure is an OSError."""
        return urlopen(self.url(path), timeout=10).read()

    def pids(self):
        """The process and all its descendants."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
            queue += [int(child) for child in children]
        return found


class Origin(Peer):
    """The origin of all pictures: the bare server in another role."""

    name, port = "origin", 7100

    def __init__(self, work, delay_ms=0, photos=1):
        super().__init__(work)
        self.delay_ms, self.photos = delay_ms, photos

    def command(self):
        for number in range(self.photos):
            (self.work / f"{number}.png").write_bytes(png(number))
        return [built("floor"), ORIGIN, "--origin", str(self.delay_ms), str(self.work)]


# The width and height of a photo in pixels.
EDGE = 640


def png(number):
    """A picture that decoders can read: two gradients and a pattern, below a row of a color of its own."""

    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"\0" + bytes([number % 256, number // 256, 0]) * EDGE + pattern()
    head = struct.pack(">IIBBBBB", EDGE, EDGE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@functools.cache
def pattern():
    """The rows below the first."""
    row = [b"\0" + bytes(part for x in range(EDGE) for part in (255 * x // EDGE, 255 * y // EDGE, (x ^ y) & 255)) for y in range(1, EDGE)]
    return b"".join(row)


class Floor(Peer):
    """A bare hyper server with one response in memory."""

    name, port = "floor", 7101

    def __init__(self, work, length):
        super().__init__(work)
        self.length = length

    def command(self):
        floor = built("floor")
        return [floor, f"127.0.0.1:{self.port}", str(self.length)]


class Stealing(Floor):
    """The bare hyper server on the work-stealing runtime."""

    name, port = "floor-stealing", 7106

    def command(self):
        return [*super().command(), "--work-stealing"]


class Nginx(Peer):
    """nginx with proxy_cache and an access log, configured as its documentation shows."""

    name, port = "nginx", 7102
    # Directives of `http` that a subclass adds.
    tuning, origin = "", ORIGIN

    def listen(self):
        return f"listen 127.0.0.1:{self.port};"

    def command(self):
        config = self.work / "nginx.conf"
        config.write_text(f"""
            daemon off;
            {"user root root;" if os.geteuid() == 0 else ""}
            worker_processes 1;
            pid {self.work}/nginx.pid;
            error_log {self.work}/error.log warn;
            events {{ worker_connections 4096; }}
            http {{
                access_log {self.work}/access.log combined buffer=64k flush=1s;
                client_body_temp_path {self.work}/body;
                proxy_temp_path {self.work}/proxy;
                fastcgi_temp_path {self.work}/fastcgi;
                uwsgi_temp_path {self.work}/uwsgi;
                scgi_temp_path {self.work}/scgi;
                sendfile on;
                tcp_nopush on;
                keepalive_requests 1000000;
                proxy_cache_path {self.work}/cache levels=1:2 keys_zone=faces:64m max_size=20g inactive=7d use_temp_path=off;
                {self.tuning}
                server {{
                    {self.listen()}
                    location / {{
                        proxy_pass http://{self.origin};
                        proxy_cache faces;
                        proxy_cache_valid 200 24h;
                        proxy_cache_lock on;
                        add_header X-Cache $upstream_cache_status;
                        add_header X-Content-Type-Options nosniff;
                        add_header Referrer-Policy no-referrer;
                        add_header Access-Control-Allow-Origin *;
                    }}
                }}
            }}
        """)
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(config), "-p", str(self.work)]


class TunedNginx(Nginx):
    """nginx as a careful operator tunes it for a cache of small files."""

    origin = "faces_origin"
    tuning = f"""
        upstream faces_origin {{ server {ORIGIN}; keepalive 256; }}
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        open_file_cache max=100000 inactive=10m;
        open_file_cache_valid 10m;
        keepalive_timeout 75s;
    """


class Varnish(Peer):
    """Varnish with its default configuration, and memory for all pictures."""

    name, port = "varnish", 7103

    def command(self):
        varnishd = shutil.which("varnishd") or "/usr/sbin/varnishd"
        listen = f"127.0.0.1:{self.port}"
        return [varnishd, "-F", "-a", listen, "-b", ORIGIN, "-n", str(self.work / "work"), "-s", "malloc,4g"]


class Faceplate(Peer):
    """Faceplate with all its work: signatures, access log, metrics and every header."""

    name, port, admin = "faceplate", 7104, 7105

    def __init__(self, work, memory="1GiB", first_paint="2s", server="", cache="", lengths=(4096, 8192, 40960, 102400)):
        super().__init__(work)
        # Further lines of the sections.
        self.server, self.cache = server, cache
        self.lengths = lengths
        self.memory = memory
        self.first_paint = first_paint

    def command(self):
        instances = "".join(
            f"""
            [instances.b{length}]
            provider = "waha"
            account = "{length}"
            token = "env:TOKEN"
            base_url = "http://{ORIGIN}"
            lookups = {{ per_minute = 4000000, burst = 1000000 }}
            refreshes = {{ per_minute = 4000000, burst = 1000000 }}
            picture_hosts = ["{ORIGIN}"]
            allow_private = ["127.0.0.0/8"]
            """
            for length in self.lengths
        )
        config = self.work / "faceplate.toml"
        config.write_text(f"""
            [server]
            listen = "127.0.0.1:{self.port}"
            max_connections = 12000
            {self.server}
            [admin]
            listen = "127.0.0.1:{self.admin}"
            [access]
            signing_keys = ["env:SIGNING_KEY"]
            [cache]
            dir = "{self.work}/cache"
            memory = "{self.memory}"
            first_paint = "{self.first_paint}"
            min_free = "0b"
            {self.cache}
            [upstream]
            downloads = 256
            {instances}
        """)
        return [built("faceplate"), "serve", "--config", str(config)]

    def environment(self):
        return {"TOKEN": "any", "SIGNING_KEY": KEY}

    def path(self, number, length):
        instance, until = f"b{length}", 4102444800
        message = f"avatar\n{instance}\n{jid(number)}@c.us\n{until}\n"
        digest = hmac.new(KEY.encode(), message.encode(), hashlib.sha256).digest()
        signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return f"/avatar/{instance}/{jid(number)}@c.us?exp={until}&sig={signature}"


class Few(Faceplate):
    """Faceplate with few pictures."""

    name, port, admin = "faceplate-few", 7109, 7110


class Mimalloc(Faceplate):
    """Faceplate with mimalloc."""

    name, port, admin = "faceplate-mimalloc", 7107, 7108

    def command(self):
        return [built("mimalloc"), *super().command()[1:]]
