"""Builds the Dockerfile and runs the compose file: `make container-test`.

With --smoke (`make container-smoke`), the image is built without optimization and only has to start read-only and
without root, serve a face, and drain on SIGTERM. With --fleet, an image without optimization runs the fleet alone. With
--twice, the image is built twice from nothing and has to be the same. --faces and --memory measure other sizes than 10,000
in 64m. Without a Docker engine, nothing is tested: --smoke succeeds, and the suite fails in CI.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

from engine import (
    ADMIN, HTTP, IN_CI, PORT, REPLICAS, ROOT, TLS, VENDOR, Project, blocks, docker, expect, get, image, is_there, processes, run,
    say, until_ready,
)

HERE = pathlib.Path(__file__).parent
VERSION, NEXT = "container-test", "container-test-next"
MOST_BYTES = 35_000_000
BEARER = {"authorization": "Bearer an admin token of a container test"}
FACE = "628100000001@c.us"


def is_picture(answer):
    status, headers, body = answer
    is_image = headers["content-type"].startswith("image/") and len(body) == int(headers["content-length"])
    return status == 200 and headers["x-faceplate-source"] == "picture" and is_image


def is_hit(answer):
    return is_picture(answer) and "; hit" in answer[1]["cache-status"]


# --- the image ---


# The label of this suite's images, by which untagged ones are found and removed.
LABEL = "faceplate.test"


def build(tag, profile, *more):
    date = run("git", "log", "-1", "--format=%ct", "--", "src", "Cargo.toml", "Cargo.lock", check=False).stdout.strip()
    fixed = ("--build-arg", f"SOURCE_DATE_EPOCH={date or 0}", "--build-arg", f"PROFILE={profile}")
    began = time.monotonic()
    docker("build", "-t", tag, "--label", f"{LABEL}=1", *fixed, *more, ".")
    docker("image", "prune", "-f", "--filter", f"label={LABEL}")
    say(f"{tag} built in {time.monotonic() - began:.0f} s")


def packed(stage):
    """The digest of the files that the last stage copies: bytes, modes, owners and dates."""
    packing = f"id=$(docker create {stage} none) && docker cp $id:/root-of-image - | sha256sum; docker rm -v $id >/dev/null"
    return run("sh", "-c", packing).stdout


def stand_ins(*options):
    run("sh", str(HERE / "standins.sh"), *options, shown=True)


def images(profile, twice, upgrade):
    tag, stage = f"faceplate:{VERSION}", f"faceplate-build:{VERSION}"
    # Without a name, the stage that compiles would leave gigabytes behind after each build.
    build(stage, profile, "--target", "build")
    if twice:
        build(f"{stage}-again", profile, "--target", "build", "--no-cache")
        same = packed(stage) == packed(f"{stage}-again")
        docker("rmi", f"{stage}-again")
        expect(same, "built again from nothing, what goes into the image is the same to the byte")
    build(tag, profile)
    made = image(tag)
    config = made["Config"]
    say(f"the image has {made['Size'] / 1e6:.1f} MB ({profile})")
    if profile == "release":
        expect(made["Size"] <= MOST_BYTES, f"it is at most {MOST_BYTES / 1e6:.0f} MB")
    expect(config["User"] == "65532:65532", "its user is a number, and not root")
    expect(config["StopSignal"] == "SIGTERM", "it says how it is stopped")
    expect(config["Healthcheck"]["Test"][1:3] == ["/faceplate", "healthcheck"], "it checks its health")
    expect("org.opencontainers.image.licenses" in config["Labels"], "it has the OCI labels")
    expect(list(config["Volumes"]) == ["/cache"], "its only volume is the cache")
    content = run("sh", "-c", f"id=$(docker create {tag}) && docker export $id | tar -t; docker rm -v $id >/dev/null")
    # The engine adds the mount points.
    mounted = re.compile(r"(cache|dev|proc|sys|etc)/|\.dockerenv")
    files = [name for name in content.stdout.split() if not mounted.match(name)]
    expect(files == ["faceplate"], "there is one file in it, and so no shell")
    notices = docker("run", "--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", tag, "licenses")
    expect(all(text in notices for text in ("MIT License", "Apache License", "SIL OPEN FONT LICENSE")),
           "it prints the licenses of its parts")
    if upgrade:
        # The image to upgrade to: another one, of the same program.
        build(f"faceplate:{NEXT}", profile, "--build-arg", f"VERSION={NEXT}")
        expect(image(f"faceplate:{NEXT}")["Id"] != made["Id"], "there is another version to upgrade to")


# --- containers ---


def is_careful(info):
    host = info["HostConfig"]
    expect(host["ReadonlyRootfs"], "its root file system is read-only")
    expect([cap.upper() for cap in host["CapDrop"]] == ["ALL"], "it has no capability")
    expect("no-new-privileges:true" in host["SecurityOpt"], "it can gain no privilege")
    expect(host["Memory"] > 0 and host["PidsLimit"] > 0, "its memory and its threads are limited")
    status, root = processes(info)
    if status:
        expect(status["Uid"].split() == ["65532"] * 4, "it runs as 65532")
        expect(int(status["CapEff"], 16) == 0 and int(status["CapBnd"], 16) == 0, "the kernel grants it nothing")
        expect(status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", "and filters its system calls")
        expect("ro" in root, "its root is mounted read-only")


def demo(folder):
    say("docker compose up, with no file edited")
    with Project("faceplate-demo", folder, FACEPLATE_VERSION=VERSION, FACEPLATE_PORT=str(PORT)) as project:
        project("up", "-d", "--no-build")
        project.until_healthy("demo")
        is_careful(project.inspect("demo"))
        status, _, page = get("/")
        expect(status == 200 and b"<figure" in page, "the gallery is there")
        expect(is_picture(get("/avatar/waha/628100000004@c.us")), "a face is served")
        said = run("docker", "logs", project.container("demo")).stdout
        expect("http://127.0.0.1:8080/" in said and "http://0.0.0.0" not in said, "it prints an address that can be opened")


NGINX = "nginx:1.28-alpine"
# The lines of nginx's files that the stand-in, Debian's nginx 1.22, does not know, and those for it. A variable finds a new
# address there, without kept connections. A hash allows no variable: the siblings serve the faces of a replica that moved.
NEWER = {
    "faceplate.conf": {
        "listen 443 ssl;\n    http2 on;": "listen 443 ssl http2;",
        "faceplate:8080 resolve;": "faceplate:8080;",
        "proxy_pass http://faceplate;": "set $address faceplate:8080;\n        proxy_pass http://$address;",
    },
    "fleet.conf": {
        f"replica-{number}:8080 max_fails=1 fail_timeout=5s resolve;": f"replica-{number}:8080 max_fails=1 fail_timeout=5s;"
        for number in (1, 2, 3)
    },
}


def for_stand_in(text, newer):
    for known, older in newer.items():
        expect(text.count(known) == 1, f"the stand-in gets {older.split(chr(10))[0]}")
        text = text.replace(known, older)
    return text


def is_stand_in(tag):
    return "faceplate.stand-in" in (image(tag)["Config"]["Labels"] or {})


def set_in_dotenv(folder, name, value):
    dotenv = folder / ".env"
    text, found = re.subn(rf"^#?{name}=.*$", f"{name}={value}", dotenv.read_text(), flags=re.M)
    expect(found == 1, f".env says {name}={value}")
    dotenv.write_text(text)


def filled_in(folder, settings):
    """Writes the files that docs/deploy.md asks for: .env, secrets and certificates, beside the project's own files."""
    shutil.copy(ROOT / ".env.example", folder / ".env")
    text = (folder / ".env").read_text()
    wanted = set(re.findall(r"\$\{(FACEPLATE_\w+)", (ROOT / "docker-compose.yml").read_text()))
    told = set(re.findall(r"^#?(FACEPLATE_\w+)=", text, re.M))
    expect(told == wanted, ".env.example has what docker-compose.yml reads, and nothing else")
    for name, value in settings.items():
        set_in_dotenv(folder, name, value)
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    if is_stand_in(NGINX):
        for name, newer in NEWER.items():
            file = folder / "deploy/nginx" / name
            file.write_text(for_stand_in(file.read_text(), newer))
    keys = folder / "secrets"
    keys.mkdir(mode=0o700)
    for name, text in (
        ("vendor-token", "emulator-token"),
        ("signing-key", "a signing key of a container test"),
        ("admin-token", BEARER["authorization"].removeprefix("Bearer ")),
        ("fleet", "a secret of the fleet of a container test"),
    ):
        (keys / name).write_text(text + "\n")
        (keys / name).chmod(0o444)
    # The container's user, as in docs/deploy.md.
    if os.geteuid() == 0:
        for path in (keys, *keys.iterdir()):
            os.chown(path, 65532, 65532)
    else:
        keys.chmod(0o755)
    certificates = folder / "certificates"
    certificates.mkdir()
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-keyout", str(certificates / "privkey.pem"), "-out", str(certificates / "fullchain.pem"))


def signed(project, service="faceplate"):
    text = docker("exec", project.container(service), "/faceplate", "sign", "sales", "*", "--ttl", "2h")
    return text.split("?", 1)[1].split()[0]


def smoke(folder):
    say("docker compose up faceplate, with .env and secrets as files")
    filled_in(folder, {
        "FACEPLATE_VERSION": VERSION, "FACEPLATE_VENDOR": "waha", "FACEPLATE_ACCOUNT": "shop",
        "FACEPLATE_PORT": PORT, "FACEPLATE_ADMIN_PORT": ADMIN,
    })
    with Project("faceplate-smoke", folder, [HERE / "override.yml"]) as project:
        project("up", "-d", "--no-build", "vendor", "faceplate")
        project.until_healthy("faceplate")
        is_careful(project.inspect("faceplate"))
        query = signed(project)
        expect(is_picture(get(f"/avatar/sales/{FACE}?{query}")), "a face is served")
        is_discreet(project)
        draining(project, query)


def walked(project):
    """The first hour: types the commands of docs/deploy.md from the demo to nginx with TLS."""
    lines = [line for line in blocks("deploy.md", "Docker Compose")[0] if not line.startswith("cp .env.example .env")]
    expect(len(lines) >= 6, "docs/deploy.md has the commands of the first hour")
    for line in lines:
        # In the foreground, the demo would hold up the next command.
        said = project.typed(re.sub("^docker compose up (?!-d)", "docker compose up -d ", line))
        say(f"ok: {line.split(' #')[0].strip()}")
        if line.startswith("docker compose up -d faceplate"):
            project.until_healthy("faceplate")
        if " sign " in line:
            path = said.strip().removeprefix("http://127.0.0.1:8080")
            expect(is_picture(get(path)), "the URL that it prints shows a face")


def real(folder, faces, memory):
    say("the first hour with docs/deploy.md, with .env and secrets as files")
    filled_in(folder, {
        "FACEPLATE_VERSION": VERSION, "FACEPLATE_VENDOR": "waha", "FACEPLATE_ACCOUNT": "shop",
        "FACEPLATE_PORT": PORT, "FACEPLATE_ADMIN_PORT": ADMIN, "FACEPLATE_TLS_PORT": TLS, "FACEPLATE_HTTP_PORT": HTTP,
        "FACEPLATE_MEMORY": "4MiB", "FACEPLATE_MEMORY_LIMIT": memory,
    })
    with Project("faceplate-real", folder, [HERE / "override.yml"]) as project:
        project("up", "-d", "--no-build", "vendor")
        walked(project)
        info = project.inspect("faceplate")
        is_careful(info)
        expect(info["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", "it comes back by itself")
        environment = " ".join(info["Config"]["Env"])
        expect("container test" not in environment, "no secret is in its environment")
        query = signed(project)
        face = f"/avatar/sales/{FACE}?{query}"
        expect(get(face.split("?")[0])[0] == 403, "an unsigned URL is refused")
        expect(is_picture(get(face)), "a face is served")
        expect(get("/metrics", ADMIN)[0] == 401, "the admin listener wants its token")
        expect(get("/metrics", ADMIN, BEARER)[0] == 200, "and answers with it")
        expect(is_hit(get(face, TLS, {"host": "localhost"}, tls=True)), "nginx serves it over TLS")
        status, headers, _ = get(face, HTTP, {"host": "localhost"})
        expect(status == 308 and headers["location"] == f"https://localhost{face}", "and redirects to it")
        renewed(project)
        is_discreet(project)
        query = rotated(project, query)
        face = f"/avatar/sales/{FACE}?{query}"
        jids = [f"62899{number:07}@c.us" for number in range(faces)]
        crowd(project, query, jids, info["HostConfig"]["Memory"])
        draining(project, query)
        killed(project, query, jids)
        upgraded(project, face, query, jids)
        restored(project, query, jids)


def admitted(token):
    """The status with which the admin listener answers to a token."""
    return get("/metrics", ADMIN, {"authorization": f"Bearer {token}"})[0]


def install_command():
    """The command of docs/operations.md that renews a secret in Compose, for the admin token."""
    runbook = (ROOT / "docs/operations.md").read_text()
    rows = re.findall(r"^\| Docker, Docker Compose \| `(sudo install .* new secrets/)vendor-token` \|$", runbook, re.M)
    expect(len(rows) == 1, "the runbook has a command that renews a secret in Compose")
    return rows[0] + "admin-token"


def renewed(project):
    """The admin token is renewed without a restart, by the command of the runbook. Then the first one returns."""
    command = install_command()
    first = BEARER["authorization"].removeprefix("Bearer ")
    second = "the second admin token of a container test"
    began = project.inspect("faceplate")["State"]["StartedAt"]
    for old, new in ((first, second), (second, first)):
        expect(admitted(old) == 200 and admitted(new) == 401, "only the old admin token is accepted")
        file = project.folder / "new"
        file.write_text(new + "\n")
        project.typed(command)
        file.unlink()
        changed = time.monotonic()
        while admitted(new) != 200:
            if time.monotonic() - changed > 15:
                raise SystemExit("container: the server never read the new admin token")
            time.sleep(0.1)
        expect(admitted(old) == 401, f"after {time.monotonic() - changed:.1f} s, only the new one is")
    expect(project.inspect("faceplate")["State"]["StartedAt"] == began, "and the server was not restarted")
    said = docker("logs", project.container("faceplate"))
    expect(said.count("the configuration was read again") >= 2, "the log says that it was read again")


def rotation_steps():
    """The steps of docs/signing.md for Compose: the command that makes the key, the setting, the command that applies it."""
    rows = re.findall(r"^\| Docker Compose \|.*$", (ROOT / "docs/signing.md").read_text(), re.M)
    expect(len(rows) == 1, "docs/signing.md has the steps that rotate a key in Compose")
    cells = re.split(r"(?<!\\)\|", rows[0])[2:5]
    make, setting, apply = (re.findall("`([^`]+)`", cell)[-1] for cell in cells)
    return make.replace("\\|", "|"), setting, apply


def rotated(project, first):
    """The signing key is rotated. Returns a query that is signed with the second key."""
    make, setting, apply = rotation_steps()
    name, keys = setting.split("=")
    project.typed(make)
    second = None
    # While both keys are in the setting, and after the first one was removed.
    for now, expected in ((keys, [200, 200]), (keys.split(",")[0], [403, 200])):
        set_in_dotenv(project.folder, name, now)
        project.typed(apply)
        until_ready()
        second = second or signed(project)
        statuses = [get(f"/avatar/sales/{FACE}?{query}")[0] for query in (first, second)]
        expect(statuses == expected, f"URLs of the first and the second key get {statuses}")
    return second


def is_discreet(project):
    logs = run("docker", "logs", project.container("faceplate"))
    lines = logs.stdout.splitlines()
    expect(lines and not logs.stderr and all(line.startswith("{") and json.loads(line) for line in lines),
           f"its log is JSON on standard output, and nothing else ({len(lines)} lines)")
    expect(FACE.split("@")[0] not in logs.stdout and "container test" not in logs.stdout, "the log is discreet")


# --- the fleet ---


REDIS_PASSWORD = "0123456789abcdef"


def fleet(folder):
    say("docker compose --profile fleet up fleet: three replicas behind nginx, which share one account")
    filled_in(folder, {
        "FACEPLATE_VERSION": VERSION, "FACEPLATE_VENDOR": "waha", "FACEPLATE_ACCOUNT": "shop", "FACEPLATE_PORT": PORT,
        "FACEPLATE_REDIS_PASSWORD": REDIS_PASSWORD, "FACEPLATE_S3_SECRET": "fedcba9876543210",
    })
    files = [HERE / "override.yml", HERE / "fleet.yml"]
    with Project("faceplate-fleet", folder, files, COMPOSE_PROFILES="fleet") as project:
        project("up", "-d", "--no-build", "vendor", "fleet")
        for number in (1, 2, 3):
            project.until_healthy(f"replica-{number}")
        is_careful(project.inspect("replica-1"))
        until_open(PORT)
        query = signed(project, "replica-1")
        jids = [f"62899{number:07}@c.us" for number in range(20)]
        expect(all(shows(jid, query) for jid in jids), "nginx serves faces")
        for number, (_, admin) in enumerate(REPLICAS, 1):
            until_known(number, admin)
            expect(served(admin) > 0, f"nginx asks replica {number}")
        expect(asked() == len(jids), "with one call to the vendor for each")
        all_have(jids, query, "each replica serves all of them, without a further call")
        stored = objects(project)
        expect(len(stored) == len(jids), f"the S3 store has a picture of each ({len(stored)})")
        is_checked(project)
        heard(query)
        forgotten(jids[0], query)
        for number in (1, 2, 3):
            logs = run("docker", "logs", project.container(f"replica-{number}")).stdout.splitlines()
            told = [line for line in logs if json.loads(line)["level"] in ("WARN", "ERROR")]
            expect(not told, f"no warning is in the log of replica {number} {told or ''}")
        for without_part in (without_redis, without_s3, without_replica, without_nginx):
            without_part(project, jids[1:], query)


def is_checked(project):
    """`faceplate check` in a replica finds nothing, and with another secret, the S3 store refuses its signature."""
    check = (project.container("replica-1"), "/faceplate", "check")
    expect("the engines answer" in docker("exec", *check), "faceplate check asks Redis and the S3 store")
    wrong = run("docker", "exec", "-e", "S3_SECRET_KEY=another", *check, check=False)
    told = wrong.stdout + wrong.stderr
    expect(wrong.returncode != 0 and "fleet.s3.secret_key" in told, "the S3 store refuses another secret")


# The faults of docs/fleet.md that the end of a container causes.


@contextlib.contextmanager
def without(project, part):
    """A part of the fleet is killed during the `with` block. After it, the fleet is whole again."""
    say(f"the fleet, without {part}")
    project("kill", part)
    yield
    project("start", part)
    for port in (PORT, *(admin for _, admin in REPLICAS)):
        until_open(port)
    for number, (_, admin) in enumerate(REPLICAS, 1):
        until_known(number, admin)


def without_redis(project, known, query):
    """Known faces are served as ever, and new ones from the reserve. The siblings have those when Redis is back."""
    new = [f"62896{number:07}@c.us" for number in range(3)]
    calls, stored = asked(), entries(project)
    reserve_calls = [state_of(admin)["reserve_calls"] for _, admin in REPLICAS]
    with without(project, "redis"):
        expect(all(shows(jid, query) for jid in known), "nginx serves known faces")
        for number, (port, admin) in enumerate(REPLICAS, 1):
            jid = new[number - 1]
            until(f"replica {number} serves a new face", lambda: shows(jid, query, port))
            state = state_of(admin)
            expect(not state["redis"] and state["pictures_up"], "it misses Redis, and not the S3 store")
            expect(state["reserve_calls"] > reserve_calls[number - 1], "the call was one of its reserve")
            is_degraded(admin, "Redis does not answer")
        expect(asked() == calls + len(new), "there was one call for each new face, and none for the others")
    until("the replicas store the new faces in Redis", lambda: entries(project) == stored + len(new))
    all_have(new, query, "and all have them, without a further call")
    for number in (1, 2, 3):
        logs = docker("logs", project.container(f"replica-{number}"))
        expect("Redis does not work" in logs and "Redis answers again" in logs, f"the log of replica {number} tells of it")


def without_s3(project, known, query):
    """A sibling's picture comes from the vendor. The store comes back with its objects, and pictures are shared again."""
    (first, first_admin), (second, second_admin), _ = REPLICAS
    old, new = "628950000000@c.us", "628950000001@c.us"
    expect(shows(old, query, first), "replica 1 fetches a face")
    calls, stored = asked(), entries(project)
    with without(project, "s3"):
        expect(all(shows(jid, query) for jid in known) and asked() == calls, "nginx serves known faces")
        until("replica 2 serves its sibling's face", lambda: shows(old, query, second))
        until("replica 1 serves a new one", lambda: shows(new, query, first))
        expect(asked() == calls + 2, "each was one call to the vendor")
        for admin in (first_admin, second_admin):
            state = state_of(admin)
            expect(state["redis"] and not state["pictures_up"], "the replica misses the S3 store, and not Redis")
            is_degraded(admin, "the S3 store does not answer")
    until("the new face is stored", lambda: entries(project) == stored + 1)
    all_have([old, new], query, "and all replicas have both, without a further call")


def without_replica(project, known, query):
    """The siblings serve its faces. It comes back with an empty cache directory, and so as another replica."""
    _, (_, admin), _ = REPLICAS
    before = state_of(admin)["replica"]
    calls = asked()
    with without(project, "replica-2"):
        shown = all(shows(jid, query) for jid in known)
        expect(shown and asked() == calls, "nginx serves all faces, without a call to the vendor")
    expect(state_of(admin)["replica"] != before, "replica 2 has lost its disk")
    all_have(known, query, "it takes its siblings' pictures, without a call to the vendor")


def without_nginx(project, known, query):
    """Each replica serves by itself."""
    with without(project, "fleet"):
        all_have(known, query, "each replica serves all faces")
    calls, before = asked(), [served(admin) for _, admin in REPLICAS]
    shown = all(shows(jid, query) for jid in known)
    expect(shown and asked() == calls, "nginx serves them again, without a call to the vendor")
    expect(all(served(admin) > count for (_, admin), count in zip(REPLICAS, before)), "and asks each replica")


def shows(jid, query, port=PORT):
    return is_picture(get(f"/avatar/sales/{jid}?{query}", port))


def all_have(jids, query, what):
    """Each replica serves the faces, and the vendor is not asked."""
    calls = asked()
    shown = [shows(jid, query, port) for jid in jids for port, _ in REPLICAS]
    expect(all(shown) and asked() == calls, what)


def is_degraded(admin, why):
    status, _, said = get("/readyz", admin)
    expect(status == 200 and why in said.decode(), f"/readyz is 200, and says that {why}")


def objects(project):
    """The names of the pictures in the S3 store."""
    listed = run("sh", "-c", f"docker cp {project.container('s3')}:/data/faces - | tar -t").stdout.split()
    return [name for name in listed if name.startswith("faces/pictures/") and not name.endswith("/")]


def entries(project):
    """How many faces Redis has an entry of."""
    client = ("valkey-cli", "--no-auth-warning", "-a", REDIS_PASSWORD)
    return len(docker("exec", project.container("redis"), *client, "--scan", "--pattern", "fp:crm:*:entry:*").split())


def state_of(admin):
    """The fleet, as a replica knows it."""
    return json.loads(get("/v1/fleet", admin, BEARER)[2])


def until(what, check):
    """Waits until a check holds, at most half a minute."""
    end = time.monotonic() + 30
    while not check():
        if time.monotonic() > end:
            raise SystemExit(f"container: FAILED: {what}, within half a minute")
        time.sleep(0.2)
    say(f"ok: {what}")


def until_known(number, admin):
    """Waits until a replica has counted its siblings. One that was killed and is another one now is counted for half a
    minute, and they count every ten seconds."""
    for _ in range(300):
        state = state_of(admin)
        if state["living"] == 3 and state["redis"] and state["pictures_up"]:
            expect(state["pictures"] == "s3", f"replica {number} knows its siblings, and has its pictures in S3")
            return
        time.sleep(0.2)
    raise SystemExit(f"container: replica {number} never knew its siblings: {state}")


def until_open(port):
    """Waits until a port answers; nginx, until it has found a replica."""
    for _ in range(100):
        try:
            if get("/", port)[0] < 500:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    raise SystemExit(f"container: nothing answers on port {port}")


def asked():
    """How many calls the vendor has answered, but for those about the session."""
    return json.loads(get("/_emulator/calls", VENDOR)[2])["api"]


def served(admin):
    """How many faces a replica has sent."""
    metrics = get("/metrics", admin, BEARER)[2].decode()
    return sum(float(count) for count in re.findall(r"^faceplate_served_total\{.*\} (\S+)$", metrics, re.M))


def is_told(answer, words):
    """Whether a line of the stream has one of the words within twenty seconds. Heartbeats are lines, too."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        line = answer.readline().decode()
        if any(word in line for word in words):
            return True
    return False


def heard(query):
    """New faces are told of through nginx."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    try:
        connection.request("GET", f"/live/sales?{query}")
        answer = connection.getresponse()
        expect(answer.status == 200 and answer.headers["content-type"] == "text/event-stream", "nginx passes on events")
        expect(is_told(answer, ["event: ready"]), "the first comes at once")
        # The stream is one replica's, and nginx gives it a part of the faces.
        new = [f"62897{number:07}@c.us" for number in range(20)]
        expect(all(is_picture(get(f"/avatar/sales/{jid}?{query}")) for jid in new), "new faces are served")
        expect(is_told(answer, new), "and an event tells of one")
    finally:
        connection.close()


def forgotten(jid, query):
    """Forgetting a face at one replica removes it from all."""
    status, _, said = get(f"/v1/avatars/sales/{jid}", REPLICAS[0][1], BEARER, method="DELETE")
    expect(status == 200 and json.loads(said) == {"applied": 3, "of": 3}, f"all replicas forget a face: {said.decode()}")
    shown = [get(f"/avatar/sales/{jid}?{query}", port) for port, _ in REPLICAS]
    expect(not any(map(is_picture, shown)), "and none shows it")


# --- with many faces ---


def warm(jids):
    """Starts warm-up runs over the faces, and yields their records."""
    for start in range(0, len(jids), 10_000):
        status, _, said = get("/v1/warm?instance=sales", ADMIN, BEARER, body="\n".join(jids[start:start + 10_000]))
        expect(status == 202, f"{len(jids[start:start + 10_000])} faces are asked for")
        record = json.loads(said)
        while not record["ended"]:
            time.sleep(0.2)
            record = json.loads(get("/v1/warm", ADMIN, BEARER)[2])[0]
            yield record


def look(jids, query, size=""):
    """Eight clients request all faces. Returns the number of hits, the bytes, and the seconds."""
    def client(start):
        connection, hits, length = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20), 0, 0
        for jid in jids[start::8]:
            connection.request("GET", f"/avatar/sales/{jid}?{query}{size}")
            answer = connection.getresponse()
            length += len(answer.read())
            hits += answer.status == 200 and "; hit" in answer.headers["cache-status"]
        return hits, length

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        hits, lengths = zip(*pool.map(client, range(8)))
    return sum(hits), sum(lengths), time.monotonic() - began


def crowd(project, query, jids, memory):
    """Ten thousand faces in 64 MB, under load."""
    began = time.monotonic()
    for record in warm(jids):
        pass
    say(f"{record['outcomes']} after {time.monotonic() - began:.0f} s")
    expect(json.loads(get("/v1/cache", ADMIN, BEARER)[2])["entries"] > len(jids), f"{len(jids)} faces are warm")
    hits, length, took = look(jids, query)
    expect(hits == len(jids), f"all {hits} are hits while eight clients ask at once ({hits / took:.0f}/s)")
    small, _, took = look(jids, query, "&s=64")
    expect(small == len(jids), f"and in another size ({small / took:.0f}/s)")
    info = project.inspect("faceplate")
    state = info["State"]
    expect(state["Running"] and not state["OOMKilled"] and info["RestartCount"] == 0,
           f"{memory / (1 << 20):.0f} MiB of memory were enough")
    status, _ = processes(info)
    if status:
        say(f"at most {int(status['VmHWM'].split()[0]) / 1024:.0f} MiB were resident")
    kept = json.loads(get("/v1/cache", ADMIN, BEARER)[2])
    say(f"{kept['entries']} faces of {length / hits / 1024:.1f} KiB take {kept['bytes'] / 1e6:.0f} MB of disk: "
        f"{kept['bytes'] / kept['entries'] / 1024:.1f} KiB a face")


def fault(rule):
    expect(get("/_emulator/faults", VENDOR, body=json.dumps(rule))[0] == 201, f"the vendor does this: {rule['fault']}")


def draining(project, query):
    """SIGTERM lets requests in flight finish, for server.drain_timeout at most."""
    slow, hung = "628970000001@c.us", "628970000002@c.us"
    fault({"match": {"jid": slow}, "fault": {"kind": "latency", "ms": 3000}})
    fault({"match": {"jid": hung}, "fault": {"kind": "hang"}})
    name = project.container("faceplate")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answer = pool.submit(get, f"/avatar/sales/{slow}?{query}")
        pool.submit(get, f"/avatar/sales/{hung}?{query}")
        time.sleep(1)
        began = time.monotonic()
        project("stop", "faceplate")
        took = time.monotonic() - began
        expect(is_picture(answer.result()), "a request that was under way at SIGTERM gets its picture")
    code = json.loads(docker("inspect", name))[0]["State"]["ExitCode"]
    expect(code == 0 and took < 14, f"SIGTERM ends it within its limit, though the vendor hangs ({took:.1f} s, exit {code})")
    project("up", "-d", "--no-build", "faceplate")
    until_ready()


def killed(project, query, jids):
    """After kill -9 during writes, all faces that were reported as stored are served without the vendor."""
    more = [f"62898{number:07}@c.us" for number in range(3000)]
    told = 0
    for record in warm(more):
        told = record["outcomes"].get("picture", 0)
        if told > 300:
            break
    expect(told < len(more), f"it has told of {told} new faces, and is at work")
    info = project.inspect("faceplate")
    status, _ = processes(info)
    if status and status["Name"] == "faceplate" and os.geteuid() == 0:
        os.kill(info["State"]["Pid"], signal.SIGKILL)
    else:
        # Docker takes this for the operator's wish and does not restart the container.
        docker("kill", "-s", "KILL", info["Id"])
        project("up", "-d", "--no-build", "faceplate")
    project("stop", "-t", "1", "vendor")
    until_ready()
    info = project.inspect("faceplate")
    expect(info["State"]["Running"], f"after kill -9 it is back ({info['RestartCount']} restart)")
    hits = look(jids, query)[0]
    expect(hits == len(jids), f"all {hits} faces are there, without the vendor")
    known = sum(json.loads(said).get("picture") is not None for status, _, said in
                (get(f"/v1/avatars/sales/{jid}", ADMIN, BEARER) for jid in more) if status == 200)
    expect(known >= told, f"and so are {known} of the new ones")


def upgraded(project, face, query, jids):
    before = project.inspect("faceplate")["Image"]
    for version in (NEXT, VERSION):
        set_in_dotenv(project.folder, "FACEPLATE_VERSION", version)
        project("up", "-d", "--no-build", "faceplate")
        project.until_healthy("faceplate")
        info = project.inspect("faceplate")
        expect(info["Config"]["Image"] == f"faceplate:{version}", f"it runs from faceplate:{version}")
        expect((info["Image"] == before) == (version == VERSION), "which is another image, or the first one again")
        hits = look(jids, query)[0]
        expect(hits == len(jids), f"the volume outlived it: all {hits} faces are there")
        expect(is_hit(get(face, TLS, {"host": "localhost"}, tls=True)), "nginx finds it")


def restored(project, query, jids):
    """The backup of docs/deploy.md, made from a running server, is restored into a new volume."""
    backup, create, restore = blocks("deploy.md", "Backup")[1]
    project.typed(backup)
    say(f"the backup has {(project.folder / 'faceplate.tar').stat().st_size / 1e6:.0f} MB")
    project("down", "-v", "-t", "1")
    project.typed(create)
    project.typed(restore)
    project("up", "-d", "--no-build", "faceplate")
    until_ready()
    hits = look(jids, query)[0]
    expect(hits == len(jids), f"all {hits} faces are there in a new volume")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--smoke", action="store_true")
    arguments.add_argument("--fleet", action="store_true")
    arguments.add_argument("--twice", action="store_true")
    arguments.add_argument("--faces", type=int, default=10_000)
    arguments.add_argument("--memory", default="64m")
    asked = arguments.parse_args()
    if not is_there():
        print("container: skipped: no Docker engine")
        sys.exit(1 if IN_CI and not asked.smoke else 0)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as another:
        folder = pathlib.Path(folder)
        if asked.smoke:
            stand_ins("--without-s3")
            images("quick", asked.twice, upgrade=False)
            smoke(folder)
        elif asked.fleet:
            stand_ins()
            images("quick", asked.twice, upgrade=False)
            fleet(folder)
        else:
            stand_ins()
            images("release", asked.twice, upgrade=True)
            demo(folder)
            fleet(pathlib.Path(another))
            real(folder, asked.faces, asked.memory)
    docker("rmi", f"faceplate:{NEXT}", check=False)
    say("all is well")


if __name__ == "__main__":
    main()
