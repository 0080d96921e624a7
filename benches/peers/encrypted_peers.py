"""The servers with TLS and with HTTP/2 in cleartext. Each has the same certificate: ECDSA P-256."""

import functools
import os
import shutil
import ssl
import subprocess
from urllib.request import urlopen

from peers import ORIGIN, Faceplate, Floor, Peer, TunedNginx, Varnish, built

# The cipher suite that browsers offer first.
CIPHER = "TLS_AES_128_GCM_SHA256"


@functools.cache
def certificate(work):
    """The files of a certificate and its key in the folder `work`."""
    files = work / "certificate.pem", work / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    made = ["openssl", "req", "-x509", "-days", "30", *curve, *subject, "-out", files[0], "-keyout", files[1]]
    subprocess.run(made, check=True, capture_output=True)
    return files


class Encrypted(Peer):
    """A server that speaks HTTP/2 and HTTP/1.1 over TLS."""

    scheme = "https"

    @property
    def certificate(self):
        return certificate(self.work.parent)[0]

    @property
    def key(self):
        return certificate(self.work.parent)[1]

    def fetch(self, path):
        context = ssl.create_default_context(cafile=self.certificate)
        return urlopen(self.url(path).replace("127.0.0.1", "localhost"), timeout=10, context=context).read()


class Cleartext(Peer):
    """A server that speaks HTTP/2 without TLS."""

    def fetch(self, path):
        curl = ["curl", "-sS", "--fail", "--http2-prior-knowledge", "--max-time", "10", self.url(path)]
        done = subprocess.run(curl, capture_output=True)
        if done.returncode:
            raise OSError(done.stderr.decode())
        return done.stdout


class EncryptedFloor(Encrypted, Floor):
    port = 7131

    def command(self):
        return [*super().command(), "--tls", str(self.certificate), str(self.key)]


class EncryptedNginx(Encrypted, TunedNginx):
    port = 7132

    def listen(self):
        return f"""
            listen 127.0.0.1:{self.port} ssl http2;
            ssl_certificate {self.certificate};
            ssl_certificate_key {self.key};
            ssl_protocols TLSv1.2 TLSv1.3;
            ssl_session_cache shared:tls:10m;
            ssl_session_tickets on;
        """


class H2o(Peer):
    """h2o with the pictures as files, because it has no cache. It sends fewer headers than the others."""

    name = "h2o"

    def tls(self):
        return ""

    def command(self):
        for length in (4096, 40960):
            picture = self.work / "www" / self.path(0, length).lstrip("/")
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(urlopen(f"http://{ORIGIN}{self.path(0, length)}").read())
        config = self.work / "h2o.conf"
        config.write_text(f"""
{"user: root" if os.geteuid() == 0 else ""}
num-threads: 1
pid-file: {self.work}/h2o.pid
error-log: {self.work}/error.log
access-log: {self.work}/access.log
hosts:
  default:
    listen:
      host: 127.0.0.1
      port: {self.port}
{self.tls()}
    paths:
      /:
        file.dir: {self.work}/www
        header.add: "x-content-type-options: nosniff"
        header.add: "referrer-policy: no-referrer"
        header.add: "access-control-allow-origin: *"
        header.add: "cache-control: private, max-age=86400"
""")
        return [shutil.which("h2o") or "/usr/bin/h2o", "-c", str(config)]


class EncryptedH2o(Encrypted, H2o):
    port = 7133

    def tls(self):
        return f"""
      ssl:
        certificate-file: {self.certificate}
        key-file: {self.key}
        minimum-version: TLSv1.2
        ocsp-update-interval: 0
"""


class CleartextH2o(Cleartext, H2o):
    port = 7143


class Http2Varnish(Varnish):
    """Varnish that speaks HTTP/2."""

    def command(self):
        return [*super().command(), "-p", "feature=+http2"]


class EncryptedVarnish(Encrypted, Http2Varnish):
    """Varnish behind hitch, with one process for TLS."""

    port, behind = 7134, 7135

    def command(self):
        config, pem = self.work / "hitch.conf", self.work / "both.pem"
        pem.write_text(self.certificate.read_text() + self.key.read_text())
        config.write_text(f"""
            frontend = "[127.0.0.1]:{self.port}"
            backend = "[127.0.0.1]:{self.behind}"
            pem-file = "{pem}"
            alpn-protos = "h2, http/1.1"
            workers = 1
            write-proxy-v2 = on
            {'user = "nobody"' if os.geteuid() == 0 else ""}
            quiet = on
        """)
        varnish = super().command()
        varnish[varnish.index("-a") + 1] = f"127.0.0.1:{self.behind},PROXY"
        hitch = shutil.which("hitch") or "/usr/sbin/hitch"
        return ["sh", "-c", f'hitch=$1 config=$2; shift 2; "$@" & exec "$hitch" --config="$config"', "sh", hitch, str(config), *varnish]


class EncryptedFaceplate(Encrypted, Faceplate):
    port, admin = 7136, 7137

    def __init__(self, work, **settings):
        super().__init__(work, **settings)
        self.server += f'\ncertificate = "{self.certificate}"\nkey = "{self.key}"\n'


class CleartextFloor(Cleartext, Floor):
    port = 7141

    def command(self):
        return [*super().command(), "--http2"]


class CleartextNginx(Cleartext, TunedNginx):
    port = 7142

    def listen(self):
        return f"listen 127.0.0.1:{self.port} http2;"


class CleartextVarnish(Cleartext, Http2Varnish):
    port = 7144


class CleartextFaceplate(Cleartext, Faceplate):
    port, admin = 7146, 7147
