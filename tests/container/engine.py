"""The Docker engine and Compose, for the container suite."""

import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
IN_CI = os.environ.get("CI") == "true"
PORT, ADMIN, TLS, HTTP, VENDOR = 18080, 19090, 18443, 18081, 18000
# The public and the admin listener of each replica, as fleet.yml publishes them.
REPLICAS = [(18082, 19091), (18083, 19092), (18084, 19093)]


def say(text):
    print(f"container: {text}", flush=True)


def expect(condition, what):
    if not condition:
        raise SystemExit(f"container: FAILED: {what}")
    say(f"ok: {what}")


def run(*command, check=True, stdin=None, shown=False, env=None):
    into = None if shown else subprocess.PIPE
    done = subprocess.run(command, input=stdin, text=True, cwd=ROOT, env=env, stdout=into, stderr=into)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout or ''}{done.stderr or ''}")
    return done


def blocks(page, heading):
    """The commands of each block of shell code in a section of a document."""
    section = (ROOT / "docs" / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)
    return [block.replace("\\\n", " ").splitlines() for block in found]


def docker(*command, **more):
    return run("docker", *command, **more).stdout.strip()


def is_there():
    return shutil.which("docker") and run("docker", "info", check=False).returncode == 0


def image(tag):
    return json.loads(docker("image", "inspect", tag))[0]


def compose_command():
    if run("docker", "compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    sys.exit("container: there is neither docker compose nor docker-compose; run make setup")


class Project:
    """A project of the compose file in a folder of its own. The end of the `with` block removes it and its volumes."""

    def __init__(self, name, folder, files=(), **env):
        self.folder = folder
        files = [ROOT / "docker-compose.yml", *files]
        self.command = [*compose_command(), "-p", name, "--project-directory", str(folder)]
        self.command += [part for file in files for part in ("-f", str(file))]
        # Settings in the caller's environment are for another Faceplate.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("FACEPLATE_")}
        self.env = ours | env

    def __enter__(self):
        self("down", "-v", "--remove-orphans", check=False)
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self("logs", "--no-color", "--tail", "60", check=False).stdout)
        self("down", "-v", "--remove-orphans", "-t", "2", check=False)

    def __call__(self, *command, **more):
        return run(*self.command, *command, env=self.env, **more)

    def typed(self, line):
        """The output of a line of the documents, as an operator types it in the folder of the project."""
        # There is no terminal. Root needs no sudo, and for another user the secrets are everyone's (see filled_in).
        line = line.replace("docker compose exec ", "docker compose exec -T ").replace("sudo ", "")
        if os.geteuid() != 0:
            line = line.replace("-o 65532 -m 0400", "-m 0444")
        line = line.replace("docker compose", shlex.join(self.command))
        return run("sh", "-c", f"cd {shlex.quote(str(self.folder))} && {line}", env=self.env).stdout

    def container(self, service, *which):
        return self("ps", "-q", *which, service).stdout.split()[-1]

    def inspect(self, service):
        return json.loads(docker("inspect", self.container(service)))[0]

    def until_healthy(self, service):
        health = None
        for _ in range(300):
            health = self.inspect(service)["State"].get("Health", {}).get("Status")
            if health == "healthy":
                return say(f"ok: {service} is healthy")
            time.sleep(0.2)
        raise SystemExit(f"container: {service} never became healthy: {health}")


def processes(info):
    """The status of a container's first process, and the mount options of its root, from /proc."""
    folder = pathlib.Path(f"/proc/{info['State']['Pid']}")
    if not (folder / "status").exists():
        # The engine runs on another machine. In CI it has to run on this one.
        expect(not IN_CI, "the engine's processes can be seen")
        return None, None
    lines = (folder / "status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    mounts = [line.split() for line in (folder / "mountinfo").read_text().splitlines()]
    return status, next(mount[5].split(",") for mount in mounts if mount[4] == "/")


def get(path, port=PORT, headers=None, tls=False, body=None, timeout=20, method=None):
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method or ("POST" if body else "GET"), path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def until_ready():
    for _ in range(600):
        try:
            if get("/readyz", ADMIN)[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.05)
    raise SystemExit("container: it never became ready")
