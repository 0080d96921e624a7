"""Checks the Kubernetes manifests: their schemas, their kustomizations, and what a careful operator would ask.

Prints the environment of each Faceplate container as JSON, for `faceplate check`.
"""

import json
import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1] / "deploy/kubernetes"
MARKS = (".yaml", ".yml")
problems = []


def ask(condition, what):
    if not condition:
        problems.append(what)


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


# Every file is used, and every file used is there.
used = set()
for path in ROOT.rglob("kustomization.yaml"):
    kustomization = documents(path)[0]
    names = kustomization["resources"] + [
        file for generator in kustomization.get("configMapGenerator", []) for file in generator["files"]
    ]
    for name in names:
        target = (path.parent / name).resolve()
        ask(target.exists(), f"{path}: {name} is not there")
        used.add(target)
manifests = [path for path in ROOT.rglob("*.yaml") if path.name != "kustomization.yaml"]
for path in manifests:
    ask(path.resolve() in used, f"{path}: no kustomization uses it")

validate = [str(pathlib.Path(sys.executable).parent / "kubernetes-validate"), "--strict", "-k", "1.33"]
done = subprocess.run([*validate, *map(str, manifests)], capture_output=True, text=True)
ask(done.returncode == 0, done.stdout + done.stderr)

environments = {}
for path in manifests:
    for manifest in documents(path):
        if manifest["kind"] != "Deployment":
            continue
        pod = manifest["spec"]["template"]["spec"]
        labels = manifest["spec"]["template"]["metadata"]["labels"]
        ask(manifest["spec"]["selector"]["matchLabels"].items() <= labels.items(), f"{path}: it selects no pod")
        ask(pod["securityContext"]["runAsNonRoot"], f"{path}: it may run as root")
        ask(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", f"{path}: no seccomp")
        ask(pod["automountServiceAccountToken"] is False, f"{path}: it gets a token of the cluster")
        for container in pod.get("initContainers", []) + pod["containers"]:
            name = f"{path}: {container['name']}"
            context = container["securityContext"]
            ask(context["readOnlyRootFilesystem"], f"{name}: its root file system can be written")
            ask(context["allowPrivilegeEscalation"] is False, f"{name}: it can gain privileges")
            ask(context["capabilities"] == {"drop": ["ALL"]}, f"{name}: it has capabilities")
            ask("memory" in container["resources"]["limits"], f"{name}: its memory has no limit")
            volumes = {volume["name"] for volume in pod["volumes"]}
            mounts = {mount["name"] for mount in container["volumeMounts"]}
            ask(mounts <= volumes, f"{name}: it mounts {mounts - volumes}")
            if container["name"] == "faceplate":
                ask("startupProbe" in container and "livenessProbe" in container, f"{name}: no probes")
                environments[str(path)] = {v["name"]: v.get("value", "a secret of some length") for v in container["env"]}
sidecar = documents(ROOT / "overlays/sidecar/deployment.yaml")[0]["spec"]["template"]["spec"]
ask(sidecar["initContainers"][0]["restartPolicy"] == "Always", "the sidecar is none")

print(json.dumps(environments))
sys.exit("\n".join(problems) or 0)
