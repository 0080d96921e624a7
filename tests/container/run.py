"""Builds the Dockerfile and runs the compose file: `make container-test`.

With --smoke (`make container-smoke`), the image is built without optimization and only has to start read-only and
without root, serve a face, and drain on SIGTERM. With --twice, the image is built twice from nothing and has to be the
same. --faces and --memory measure other sizes than 10,000 in 64m. Without a Docker engine, nothing is tested: --smoke
succeeds, and the suite fails in CI.
"""

import argparse
import concurrent.futures
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
    ADMIN, IN_CI, PORT, ROOT, TLS, VENDOR, Project, docker, expect, get, image, is_there, processes, run, say, until_ready,
)

HERE = pathlib.Path(__file__).parent
VERSION, NEXT = "container-test", "container-test-next"
MOST_BYTES = 25_000_000
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


def images(profile, twice, upgrade):
    run("sh", str(HERE / "standins.sh"), shown=True)
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


def filled_in(folder, settings):
    """Writes the files that docs/deploy.md asks for: .env, secrets and certificates, beside the project's own files."""
    text = (ROOT / ".env.example").read_text()
    wanted = set(re.findall(r"\$\{(FACEPLATE_\w+)", (ROOT / "docker-compose.yml").read_text()))
    told = set(re.findall(r"^#?(FACEPLATE_\w+)=", text, re.M))
    expect(told == wanted, ".env.example has what docker-compose.yml reads, and nothing else")
    for name, value in settings.items():
        text, found = re.subn(rf"^#?{name}=.*$", f"{name}={value}", text, flags=re.M)
        expect(found == 1, f".env says {name}={value}")
    (folder / ".env").write_text(text)
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    keys = folder / "secrets"
    keys.mkdir(mode=0o700)
    for name, text in (
        ("vendor_token", "emulator-token"),
        ("signing_key", "a signing key of a container test"),
        ("admin_token", BEARER["authorization"].removeprefix("Bearer ")),
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


def signed(project):
    text = docker("exec", project.container("faceplate"), "/faceplate", "sign", "sales", "*", "--ttl", "2h")
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


def real(folder, faces, memory):
    say("docker compose up faceplate tls, with .env and secrets as files")
    filled_in(folder, {
        "FACEPLATE_VERSION": VERSION, "FACEPLATE_VENDOR": "waha", "FACEPLATE_ACCOUNT": "shop",
        "FACEPLATE_PORT": PORT, "FACEPLATE_ADMIN_PORT": ADMIN, "FACEPLATE_TLS_PORT": TLS,
        "FACEPLATE_MEMORY": "4MiB", "FACEPLATE_MEMORY_LIMIT": memory,
    })
    with Project("faceplate-real", folder, [HERE / "override.yml"]) as project:
        project("up", "-d", "--no-build", "vendor", "faceplate", "tls")
        project.until_healthy("faceplate")
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
        is_discreet(project)
        jids = [f"62899{number:07}@c.us" for number in range(faces)]
        crowd(project, query, jids, info["HostConfig"]["Memory"])
        draining(project, query)
        killed(project, query, jids)
        upgraded(project, face, query, jids)
        restored(project, query, jids)


def is_discreet(project):
    logs = run("docker", "logs", project.container("faceplate"))
    lines = logs.stdout.splitlines()
    expect(lines and not logs.stderr and all(line.startswith("{") and json.loads(line) for line in lines),
           f"its log is JSON on standard output, and nothing else ({len(lines)} lines)")
    expect(FACE.split("@")[0] not in logs.stdout and "container test" not in logs.stdout, "the log is discreet")


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
    dotenv = project.folder / ".env"
    for version in (NEXT, VERSION):
        old = dotenv.read_text()
        dotenv.write_text(re.sub(r"^FACEPLATE_VERSION=.*$", f"FACEPLATE_VERSION={version}", old, flags=re.M))
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
    backup = project.folder / "faceplate.tar"
    run("sh", "-c", f"docker cp {project.container('faceplate')}:/cache/. - > {backup}")
    say(f"the backup has {backup.stat().st_size / 1e6:.0f} MB")
    project("down", "-v", "-t", "1")
    project("up", "--no-start", "--no-build", "faceplate")
    run("sh", "-c", f"docker cp - {project.container('faceplate', '-a')}:/cache < {backup}")
    project("up", "-d", "--no-build", "faceplate")
    until_ready()
    hits = look(jids, query)[0]
    expect(hits == len(jids), f"all {hits} faces are there in a new volume")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--smoke", action="store_true")
    arguments.add_argument("--twice", action="store_true")
    arguments.add_argument("--faces", type=int, default=10_000)
    arguments.add_argument("--memory", default="64m")
    asked = arguments.parse_args()
    if not is_there():
        print("container: skipped: no Docker engine")
        sys.exit(1 if IN_CI and not asked.smoke else 0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if asked.smoke:
            images("quick", asked.twice, upgrade=False)
            smoke(folder)
        else:
            images("release", asked.twice, upgrade=True)
            demo(folder)
            real(folder, asked.faces, asked.memory)
    docker("rmi", f"faceplate:{NEXT}", check=False)
    say("all is well")


if __name__ == "__main__":
    main()
