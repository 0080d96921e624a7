"""The real Dockerfile, built, and the real compose file, run: `make container-test`.

With --quick, the image is built without optimization, and its size is not judged. Needs a Docker engine; without one it says so, and fails where FACEPLATE_NEED_DOCKER is set, as in CI.
"""

import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/container"
VERSION = "container-test"
PORT, ADMIN, TLS = 18080, 19090, 18443
MOST_BYTES = 25_000_000
FACES = 10_000
MEMORY = "64m"


def run(*command, check=True, stdin=None, quiet=True, env=None):
    done = subprocess.run(
        command, input=stdin, text=True, cwd=ROOT, env=env,
        stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT if quiet else None,
    )
    if check and done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done


def docker(*command, **more):
    return run("docker", *command, **more).stdout.strip()


def say(text):
    print(f"container: {text}", flush=True)


def expect(condition, what):
    if not condition:
        raise SystemExit(f"container: FAILED: {what}")
    say(f"ok: {what}")


def compose_command():
    if run("docker", "compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    sys.exit("container: there is neither docker compose nor docker-compose; run make setup")


class Project:
    """One `docker compose` project, gone when it is left, with its volumes."""

    def __init__(self, name, folder, files=(), **env):
        files = [ROOT / "docker-compose.yml", *files]
        self.command = [*compose_command(), "-p", name, "--project-directory", str(folder)]
        self.command += [part for file in files for part in ("-f", str(file))]
        self.name = name
        self.env = os.environ | {"FACEPLATE_VERSION": VERSION, "FACEPLATE_PORT": str(PORT)} | env

    def __enter__(self):
        self("down", "-v", "--remove-orphans", check=False)
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self("logs", "--no-color", "--tail", "60", check=False).stdout)
        self("down", "-v", "--remove-orphans", "-t", "2", check=False)

    def __call__(self, *command, **more):
        return run(*self.command, *command, env=self.env, **more)

    def container(self, service):
        return self("ps", "-q", service).stdout.split()[-1]

    def inspect(self, service):
        return json.loads(docker("inspect", self.container(service)))[0]

    def until_healthy(self, service):
        for _ in range(300):
            health = self.inspect(service)["State"].get("Health", {}).get("Status")
            if health == "healthy":
                return say(f"ok: {service} is healthy")
            time.sleep(0.2)
        sys.exit(f"container: {service} never became healthy: {health}\n{self('logs', service).stdout}")


def get(path, port=PORT, headers={}, tls=False, body=None):
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST" if body else "GET", path, body=body, headers=headers)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    return answer.status, answer.headers, said


def is_picture(answer):
    status, headers, body = answer
    is_image = headers["content-type"].startswith("image/") and len(body) == int(headers["content-length"])
    return status == 200 and headers["x-faceplate-source"] == "picture" and is_image


def is_hit(answer):
    return is_picture(answer) and "; hit" in answer[1]["cache-status"]


def build(profile):
    run("sh", str(HERE / "standins.sh"), quiet=False)
    date = run("git", "log", "-1", "--format=%ct", check=False).stdout.strip() or "0"
    began = time.monotonic()
    tag = f"faceplate:{VERSION}"
    docker("build", "-t", tag, "--build-arg", f"SOURCE_DATE_EPOCH={date}", "--build-arg", f"PROFILE={profile}", ".")
    say(f"built in {time.monotonic() - began:.0f} s")
    image = json.loads(docker("image", "inspect", tag))[0]
    config = image["Config"]
    say(f"the image has {image['Size'] / 1e6:.1f} MB")
    if profile == "release":
        expect(image["Size"] <= MOST_BYTES, f"it is at most {MOST_BYTES / 1e6:.0f} MB")
    expect(config["User"] == "65532:65532", "its user is a number, and not root")
    expect(config["StopSignal"] == "SIGTERM", "it says how it is stopped")
    expect(config["Healthcheck"]["Test"][1:3] == ["/faceplate", "healthcheck"], "it checks its health")
    expect("org.opencontainers.image.licenses" in config["Labels"], "it has the OCI labels")
    expect(list(config["Volumes"]) == ["/cache"], "its only volume is the cache")
    shell = run("docker", "run", "--rm", "--entrypoint", "/bin/sh", tag, "-c", "true", check=False)
    expect(shell.returncode != 0, "there is no shell in it")
    return tag


def is_careful(info):
    host = info["HostConfig"]
    expect(host["ReadonlyRootfs"], "its root file system is read-only")
    expect([cap.upper() for cap in host["CapDrop"]] == ["ALL"], "it has no capability")
    expect("no-new-privileges:true" in host["SecurityOpt"], "it can gain no privilege")
    status = pathlib.Path(f"/proc/{info['State']['Pid']}/status")
    if status.exists():
        lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        expect(lines["Uid"].split()[0] == "65532", "it runs as 65532")
        expect(int(lines["CapEff"], 16) == 0, "the kernel grants it nothing")


def demo(folder):
    say("docker compose up, with no file edited")
    with Project("faceplate-demo", folder) as project:
        project("up", "-d", "--no-build")
        project.until_healthy("demo")
        is_careful(project.inspect("demo"))
        status, _, page = get("/")
        expect(status == 200 and b"<figure" in page, "the gallery is there")
        expect(is_picture(get("/avatar/waha/628100000004@c.us")), "a face is served")


def secrets(folder):
    keys = folder / "secrets"
    keys.mkdir(mode=0o700)
    for name, text in (
        ("vendor_token", "emulator-token"),
        ("signing_key", "a signing key of a container test"),
        ("admin_token", "an admin token of a container test"),
    ):
        (keys / name).write_text(text + "\n")
        (keys / name).chmod(0o444)
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    certificates = folder / "certificates"
    certificates.mkdir()
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-keyout", str(certificates / "privkey.pem"), "-out", str(certificates / "fullchain.pem"))


def signed(project, subject="*"):
    text = docker("exec", project.container("faceplate"), "/faceplate", "sign", "sales", subject,
                  "--config", "/etc/faceplate.toml", "--ttl", "2h")
    return text.split("?", 1)[1].split()[0]


def real(folder):
    say("docker compose up faceplate tls, with secrets as files")
    env = {"FACEPLATE_VENDOR": "waha", "FACEPLATE_ACCOUNT": "shop", "FACEPLATE_MEMORY": "4MiB",
           "FACEPLATE_MEMORY_LIMIT": MEMORY, "FACEPLATE_ADMIN_PORT": str(ADMIN),
           "FACEPLATE_TLS_PORT": str(TLS)}
    with Project("faceplate-real", folder, [HERE / "override.yml"], **env) as project:
        project("up", "-d", "--no-build", "vendor", "faceplate", "tls")
        project.until_healthy("faceplate")
        info = project.inspect("faceplate")
        is_careful(info)
        expect(info["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", "it comes back by itself")
        expect(info["HostConfig"]["Memory"] == 64 << 20, f"its memory is limited to {MEMORY}")
        environment = " ".join(info["Config"]["Env"])
        expect("container test" not in environment, "no secret is in its environment")
        query = signed(project)
        face = f"/avatar/sales/628100000001@c.us?{query}"
        expect(get("/avatar/sales/628100000001@c.us")[0] == 403, "an unsigned URL is refused")
        expect(is_picture(get(face)), "a face is served")
        expect(get("/metrics", ADMIN)[0] == 401, "the admin listener wants its token")
        bearer = {"authorization": "Bearer an admin token of a container test"}
        expect(get("/metrics", ADMIN, bearer)[0] == 200, "and answers with it")
        expect(is_hit(get(face, TLS, {"host": "localhost"}, tls=True)), "nginx serves it over TLS")
        logs = project("logs", "--no-color", "--no-log-prefix", "faceplate", check=False)
        if logs.returncode:
            logs = run("docker", "logs", project.container("faceplate"))
        lines = [line for line in logs.stdout.splitlines() if line.startswith("{")]
        expect(lines and all(json.loads(line) for line in lines), f"its log is JSON ({len(lines)} lines)")
        expect("628100000001" not in logs.stdout and "container test" not in logs.stdout, "the log is discreet")
        crowd(project, query)
        lasting(project, face)


def crowd(project, query):
    """Ten thousand faces in 64 MB, with load."""
    jids = [f"62899{number:07}@c.us" for number in range(FACES)]
    began = time.monotonic()
    admin = {"authorization": "Bearer an admin token of a container test"}
    status, _, said = get("/v1/warm?instance=sales", ADMIN, admin, body="\n".join(jids))
    expect(status == 202, f"{FACES} faces are asked for")
    record = json.loads(said)
    while not record["ended"]:
        time.sleep(0.5)
        record = json.loads(get("/v1/warm", ADMIN, admin)[2])[0]
    say(f"{record['outcomes']} after {time.monotonic() - began:.0f} s")
    expect(record["outcomes"].get("picture") == FACES, f"{FACES} faces are warm")

    def look(start):
        connection, hits = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20), 0
        for jid in jids[start::8]:
            connection.request("GET", f"/avatar/sales/{jid}?{query}")
            answer = connection.getresponse()
            answer.read()
            hits += answer.status == 200 and "; hit" in answer.headers["cache-status"]
        return hits

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        hits = sum(pool.map(look, range(8)))
    expect(hits == FACES, f"all {FACES} are hits while eight clients ask at once")
    state = project.inspect("faceplate")["State"]
    expect(state["Running"] and not state["OOMKilled"], f"{MEMORY} of memory was enough")
    pid = pathlib.Path(f"/proc/{state['Pid']}/status")
    if pid.exists():
        peak = next(line for line in pid.read_text().splitlines() if line.startswith("VmHWM"))
        say(f"at most {int(peak.split()[1]) / 1024:.0f} MiB were resident")


def lasting(project, face):
    """The cache outlives the vendor, a kill, a stop and an upgrade."""
    project("stop", "-t", "1", "vendor")
    docker("kill", "-s", "KILL", project.container("faceplate"))
    # Docker takes a kill for the operator's wish and starts nothing again.
    project("up", "-d", "--no-build", "faceplate")
    project.until_healthy("faceplate")
    expect(is_hit(get(face)), "after kill -9 and a restart the face is there, without the vendor")

    began = time.monotonic()
    name = project.container("faceplate")
    project("stop", "faceplate")
    took, code = time.monotonic() - began, json.loads(docker("inspect", name))[0]["State"]["ExitCode"]
    expect(code == 0 and took < 15, f"SIGTERM ends it within its limit ({took:.1f} s, exit {code})")

    docker("tag", f"faceplate:{VERSION}", f"faceplate:{VERSION}-next")
    project.env["FACEPLATE_VERSION"] = f"{VERSION}-next"
    project("up", "-d", "--no-build", "faceplate")
    project.until_healthy("faceplate")
    expect(project.inspect("faceplate")["Config"]["Image"].endswith("-next"), "it runs from another image")
    expect(is_hit(get(face)), "the cache survived the upgrade")
    docker("rmi", f"faceplate:{VERSION}-next", check=False)


def main():
    if not shutil.which("docker") or run("docker", "info", check=False).returncode:
        print("container: skipped: no Docker engine")
        sys.exit(1 if os.environ.get("FACEPLATE_NEED_DOCKER") else 0)
    build("quick" if "--quick" in sys.argv else "release")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        demo(folder)
        secrets(folder)
        real(folder)
    say("all is well")


if __name__ == "__main__":
    main()
