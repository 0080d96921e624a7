"""Renders the Kubernetes overlays with kubectl, and checks the schemas, the references and the security settings.

Prints the configuration and the environment of each Faceplate container as JSON, for `faceplate check`.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
KUBERNETES = ROOT / "deploy/kubernetes"
TOOLS = pathlib.Path(sys.executable).parent
SECRET = "a secret of some length"
FOLDER = "/run/secrets/faceplate"
problems = []


def ask(condition, what):
    if not condition:
        problems.append(what)


def tool(*command):
    done = subprocess.run([str(TOOLS / command[0]), *map(str, command[1:])], capture_output=True, text=True)
    ask(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def files():
    """Checks that every file is used and every used file exists."""
    used = set()
    for path in KUBERNETES.rglob("kustomization.yaml"):
        kustomization = yaml.safe_load(path.read_text())
        generated = [file for generator in kustomization.get("configMapGenerator", []) for file in generator["files"]]
        used |= {(path.parent / name).resolve() for name in kustomization["resources"] + generated}
    there = {path for path in KUBERNETES.rglob("*.*") if path.is_file() and path.name != "kustomization.yaml"}
    ask(there == {path for path in used if path.is_file()}, f"{there ^ used}: not used, or not there")


def secret_keys():
    """The keys of the Secret that docs/deploy.md creates, from a dry run of its command."""
    text = (ROOT / "docs/deploy.md").read_text()
    command = text[text.index("kubectl create secret"):].split("\nkubectl apply")[0].replace("\\\n", " ").split()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("vendor_token", "signing_key", "admin_token"):
            (pathlib.Path(folder) / name).write_text(SECRET)
        command = [part.replace("=secrets/", f"={folder}/") for part in command]
        return set(yaml.safe_load(tool(*command, "--dry-run=client", "-o", "yaml"))["data"])


def careful(name, container, volumes):
    context = container["securityContext"]
    ask(context["readOnlyRootFilesystem"], f"{name}: its root file system can be written")
    ask(context["allowPrivilegeEscalation"] is False, f"{name}: it can gain privileges")
    ask(context["capabilities"] == {"drop": ["ALL"]}, f"{name}: it has capabilities")
    ask("memory" in container["resources"]["limits"], f"{name}: its memory has no limit")
    ask(any(probe in container for probe in ("startupProbe", "readinessProbe")), f"{name}: nobody asks if it is ready")
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    ask(mounts <= volumes, f"{name}: it mounts {mounts - volumes}")
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        for how in ("httpGet", "tcpSocket"):
            port = container.get(probe, {}).get(how, {}).get("port")
            ask(port is None or port in ports, f"{name}: {probe} asks a port {port}")
    return ports


def renewable(name, container, volumes, config, keys):
    """Checks that a running pod sees a new secret: secrets are files in a volume, and mounted as a whole."""
    ask(not any("valueFrom" in variable for variable in container["env"]), f"{name}: a variable keeps its old value")
    secrets = {volume["name"] for volume in volumes if volume.get("secret", {}).get("secretName") == "faceplate"}
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] in secrets]
    ask(mount["mountPath"] == FOLDER and "subPath" not in mount and mount["readOnly"], f"{name}: {mount}")
    text = config + " ".join(variable["value"] for variable in container["env"])
    used = set(re.findall(f"file:{FOLDER}/([a-z-]+)", text))
    ask(used and used <= keys, f"{name}: the Secret has {keys}, not {used}")


def overlay(folder, keys):
    rendered = tool("kubectl", "kustomize", folder)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(rendered)
        file.flush()
        tool("kubernetes-validate", "--strict", "-k", "1.33", file.name)
    found = {}
    for manifest in yaml.safe_load_all(rendered):
        found.setdefault(manifest["kind"], {})[manifest["metadata"]["name"]] = manifest
    (deployment,) = found["Deployment"].values()
    template = deployment["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"].items()

    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in found["NetworkPolicy"].values()]
    selectors += [service["spec"]["selector"] for service in found["Service"].values()]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in found.get("PodDisruptionBudget", {}).values()]
    ask(all(selector.items() <= labels for selector in selectors), f"{folder}: {selectors} do not all select the pod")
    ask(pod["securityContext"]["runAsNonRoot"], f"{folder}: it may run as root")
    ask(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", f"{folder}: no seccomp")
    ask(pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch", f"{folder}: each start walks the cache")
    ask(pod["automountServiceAccountToken"] is False, f"{folder}: it gets a token of the cluster")
    # The cache directory belongs to one process.
    ask(deployment["spec"]["replicas"] == 1 and deployment["spec"]["strategy"]["type"] == "Recreate", f"{folder}: two at once")
    for volume in pod["volumes"]:
        ask(volume.get("configMap", {}).get("name") in {None, *found["ConfigMap"]}, f"{folder}: {volume} is not there")
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        ask(claim in {None, *found["PersistentVolumeClaim"]}, f"{folder}: {volume} is not there")

    ports, told = set(), None
    for container in pod.get("initContainers", []) + pod["containers"]:
        name = f"{folder}: {container['name']}"
        ports |= careful(name, container, {volume["name"] for volume in pod["volumes"]})
        if container["name"] == "faceplate":
            ask("startupProbe" in container and "livenessProbe" in container, f"{name}: no probes")
            config = next(data["data"]["faceplate.toml"] for data in found["ConfigMap"].values() if "faceplate.toml" in data["data"])
            told = {"config": config, "env": {v["name"]: v["value"] for v in container["env"]}, "secrets": SECRET}
            renewable(name, container, pod["volumes"], config, keys)
    for service in found["Service"].values():
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        ask(targets <= ports, f"{folder}: a Service points to {targets - ports}")
    # Egress is allowed to DNS anywhere, and to port 443 of public addresses.
    (policy,) = found["NetworkPolicy"].values()
    ask(set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}, f"{folder}: the policy leaves a way open")
    for rule in policy["spec"]["egress"]:
        allowed = {port["port"] for port in rule["ports"]}
        ask(allowed == {53} or allowed == {443} and all(to["ipBlock"]["except"] for to in rule["to"]), f"{folder}: out by {rule}")
    return found, pod, told


files()
keys = secret_keys()
standalone, _, alone = overlay(KUBERNETES / "overlays/standalone", keys)
ask("PodDisruptionBudget" in standalone, "nothing says what a drained node may disrupt")
_, pod, beside = overlay(KUBERNETES / "overlays/sidecar", keys)
(sidecar,) = pod["initContainers"]
ask(sidecar["restartPolicy"] == "Always", "the sidecar is none")
ask(any(variable["value"] == "127.0.0.1:8080" for variable in sidecar["env"] if "value" in variable), "others reach the sidecar")

print(json.dumps({"standalone": alone, "sidecar": beside}))
sys.exit("\n".join(problems) or 0)
