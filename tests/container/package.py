"""Installs the Debian package in a container, upgrades it and removes it: `make package-test`.

The package has the program of the image that `make container-test` built; --binary packs another one, and --image is
another Debian to install it in. No systemd runs in the container. A stand-in for systemctl records how it is called.
Without a Docker engine, nothing is tested, which fails in CI.
"""

import argparse
import pathlib
import re
import sys
import tempfile

from engine import IN_CI, ROOT, docker, expect, is_there, run, say

HERE = pathlib.Path(__file__).parent
# Debian, with or without a registry (standins.sh).
DEBIAN = "rust:1-bookworm"
BUILT = "faceplate:container-test"
LATER = "99.0.0"
UNITS = ["faceplate-admin.socket", "faceplate.service", "faceplate.socket"]
LINKS = {
    "faceplate.service": "multi-user.target.wants",
    "faceplate.socket": "sockets.target.wants",
    "faceplate-admin.socket": "sockets.target.wants",
}
MINE = ["/etc/faceplate/faceplate.toml", "/etc/faceplate/vendor-token", "/var/lib/private/faceplate/face"]
SYSTEMCTL = """#!/bin/sh
echo "$*" >> /calls
exit "$(cat /exit)"
"""


class Machine:
    """A Debian system without a network. The end of the `with` block removes it."""

    def __init__(self, image):
        self.id = docker("run", "-d", "--rm", "--label", "faceplate.test=1", "--network", "none", image, "sleep", "3600")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        docker("rm", "-f", self.id, check=False)

    def run(self, script, check=True):
        return run("docker", "exec", "-i", self.id, "sh", "-e", check=check, stdin=script)

    def __call__(self, script):
        return self.run(script).stdout.strip()

    def has(self, path):
        return self.run(f"[ -e '{path}' ] || [ -L '{path}' ]", check=False).returncode == 0

    def copy(self, path, to):
        docker("cp", str(path), f"{self.id}:{to}")

    def files(self):
        """The files and folders outside of dpkg's own records."""
        return set(self("find /etc /usr /var /run -not -path '/var/lib/dpkg/*' -not -path '/var/log/*'").splitlines())

    def start_systemd(self):
        """Makes the maintainer scripts believe that systemd runs."""
        self(f"mkdir -p /run/systemd/system; echo 0 > /exit; cat > /usr/local/bin/systemctl <<'END'\n{SYSTEMCTL}END\n"
             "chmod 755 /usr/local/bin/systemctl")

    def calls(self):
        """How systemctl was called since the last time."""
        return self("cat /calls 2>/dev/null || true; rm -f /calls").splitlines()


def package(binary, folder, *more):
    run("make", "-s", "deb", f"BIN={binary}", f"DIST={folder}", *more)
    return next(folder.glob("*.deb"))


def program(folder):
    if run("docker", "image", "inspect", BUILT, check=False).returncode:
        sys.exit(f"container: there is no {BUILT}; run make container-test first, or name a program with --binary")
    made = docker("create", BUILT, "none")
    docker("cp", f"{made}:/faceplate", str(folder / "faceplate"))
    docker("rm", "-v", made)
    return folder / "faceplate"


def version():
    return re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def is_enabled(machine, unit):
    return machine.has(f"/etc/systemd/system/{LINKS[unit]}/{unit}")


def leaves_nothing(machine, deb):
    say("installed and purged, without a configuration")
    before = machine.files()
    told = machine(f"dpkg -i {deb}")
    expect("write /etc/faceplate/faceplate.toml" in told and "systemctl enable" in told, "it says what to do next")
    expect(machine.has("/etc/faceplate"), "there is a folder for the configuration")
    machine("dpkg -P faceplate")
    left = {path for path in machine.files() - before if not path.startswith("/var/lib/systemd")}
    expect(not left, "nothing is left behind" + ": ".join(["", *sorted(left)]))


def installs(machine, deb):
    say("installed")
    machine(f"dpkg -i {deb}")
    expect(machine("dpkg --verify faceplate; dpkg --audit") == "", "dpkg finds nothing amiss")
    expect(machine("faceplate --version") == f"faceplate {version()}", "the program runs")
    for unit in UNITS:
        expect(machine.has(f"/usr/lib/systemd/system/{unit}"), f"{unit} is there")
        expect(not is_enabled(machine, unit), f"{unit} waits for the operator")
    expect(machine.run("getent passwd faceplate", check=False).returncode == 2, "no user is made: systemd makes one")
    expect("faceplate" in machine("zcat /usr/share/man/man1/faceplate.1.gz"), "there is a manual page")
    bash = "bash -c '. /usr/share/bash-completion/completions/faceplate && complete -p faceplate'"
    expect("_faceplate" in machine(bash), "bash completes it")
    for file in ("zsh/vendor-completions/_faceplate", "fish/vendor_completions.d/faceplate.fish"):
        expect(machine.has(f"/usr/share/{file}"), f"{file} is there")
    doc = "/usr/share/doc/faceplate"
    expect("MIT" in machine(f"cat {doc}/copyright {doc}/LICENSE-MIT"), "it says what its license is")


def configure(machine):
    say("configured")
    example = "faceplate check --config /usr/share/doc/faceplate/examples/faceplate.toml"
    said = machine.run(example, check=False)
    expect(said.returncode and "VENDOR_TOKEN is not set" in said.stderr, "the example names the secrets that it needs")
    machine(f"FACEPLATE_SIGNING_KEY=0123456789abcdef0123456789abcdef VENDOR_TOKEN=0123456789abcdef {example}")
    say("ok: with them, the example is accepted")
    # What the package's script tells the operator to do, and what systemd does with the secrets.
    secrets = "/run/credentials/faceplate.service"
    machine(f"""
        faceplate init evolution --name sales --account shop --base-url https://evolution.example \\
            --secrets {secrets} > /etc/faceplate/faceplate.toml
        (umask 077; echo 0123456789abcdef0123456789abcdef | tee /etc/faceplate/signing-key > /etc/faceplate/vendor-token)
        mkdir -p {secrets} /var/lib/private/faceplate
        cp /etc/faceplate/signing-key /etc/faceplate/vendor-token {secrets}/
        echo a face > /var/lib/private/faceplate/face
        faceplate check --config /etc/faceplate/faceplate.toml""")
    say("ok: a configuration of faceplate init is accepted")
    for unit, wants in LINKS.items():
        machine(f"mkdir -p /etc/systemd/system/{wants}; ln -s /usr/lib/systemd/system/{unit} /etc/systemd/system/{wants}/")


def sums(machine):
    return machine("sha256sum " + " ".join(MINE))


def upgrades(machine, deb, later):
    say("upgraded, and rolled back")
    machine.start_systemd()
    mine = sums(machine)
    for to, number in ((later, LATER), (deb, version()), (later, LATER)):
        machine(f"dpkg -i {to}")
        calls = machine.calls()
        expect(machine("dpkg-query -f '${Version}' -W faceplate") == number, f"{number} is installed")
        expect("try-restart faceplate.service" in calls, "the service restarts if it runs")
        expect(not any(".socket" in call for call in calls), "its sockets stay open")
        reload = [at for at, call in enumerate(calls) if "daemon-reload" in call]
        expect(reload and reload[0] < calls.index("try-restart faceplate.service"), "systemd has read the units before")
        expect(all(is_enabled(machine, unit) for unit in UNITS), "the units are still enabled")
    machine(f"echo 1 > /exit; dpkg -i {deb}; dpkg --configure -a; echo 0 > /exit")
    expect(machine("dpkg-query -f '${Status}' -W faceplate") == "install ok installed",
           "a service that does not start leaves no broken package")
    expect(sums(machine) == mine, "configuration, secrets and cache are as before")
    machine.calls()


def removes(machine, deb):
    say("removed, installed again, purged")
    mine = sums(machine)
    machine("dpkg -r faceplate")
    stopped = [call for call in machine.calls() if re.search(r"\bstop\b", call)]
    expect(all(any(unit in call for call in stopped) for unit in UNITS), "service and sockets are stopped")
    expect(not machine.has("/usr/bin/faceplate"), "the program is gone")
    expect(sums(machine) == mine, "configuration, secrets and cache stay")
    machine(f"dpkg -i {deb}")
    expect(all(is_enabled(machine, unit) for unit in UNITS), "installed again, it is enabled as before")
    masked = [unit for unit in UNITS if machine.has(f"/etc/systemd/system/{unit}")]
    expect(not masked, "and no unit is masked")
    machine("dpkg -P faceplate")
    expect(sums(machine) == mine, "a purge leaves them, too, as docs/deploy.md says")
    left = [unit for unit in UNITS if is_enabled(machine, unit) or machine.has(f"/etc/systemd/system/{unit}")]
    expect(not left, "and no link of a unit")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--binary", type=pathlib.Path)
    arguments.add_argument("--image")
    asked = arguments.parse_args()
    if not is_there():
        print("container: skipped: no Docker engine")
        sys.exit(1 if IN_CI else 0)
    if not asked.image:
        run("sh", str(HERE / "standins.sh"), shown=True)
    with tempfile.TemporaryDirectory() as folder, Machine(asked.image or DEBIAN) as machine:
        folder = pathlib.Path(folder)
        binary = (asked.binary or program(folder)).resolve()
        for name, more in (("now", ()), ("later", (f"VERSION={LATER}",))):
            machine.copy(package(binary, folder / name, *more), f"/{name}.deb")
        leaves_nothing(machine, "/now.deb")
        installs(machine, "/now.deb")
        configure(machine)
        upgrades(machine, "/now.deb", "/later.deb")
        removes(machine, "/now.deb")
    say("all is well")


if __name__ == "__main__":
    main()
