"""Renders the Kubernetes overlays with kubectl and the chart with Helm, and checks the schemas, the references, the
security settings and the sizes; the names and commands of docs/deploy.md; what Grafana of the compose file loads; and
nginx's files. The argument is the program, by default target/debug/faceplate.

Prints the configuration and the environment of each Faceplate container as JSON, for `faceplate check`.
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib

import helm_python as helm
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
KUBERNETES = ROOT / "deploy/kubernetes"
CHART = ROOT / "deploy/helm/faceplate"
FACEPLATE = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug/faceplate")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
# The page with the commands, whose long lines are joined.
PAGE = (ROOT / "docs/deploy.md").read_text().replace("\\\n", " ")
# The kinds of the Prometheus Operator, whose schemas are not those of Kubernetes.
OPERATOR = {"ServiceMonitor", "PrometheusRule"}
TOOLS = pathlib.Path(sys.executable).parent
SECRET = "a secret of some length"
FOLDER = "/run/secrets/faceplate"
problems = []


def ask(condition, what):
    if not condition:
        problems.append(what)


def run(*command, **how):
    done = subprocess.run(command, capture_output=True, text=True, **how)
    ask(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def tool(name, *options):
    return run(TOOLS / name, *options)


def files():
    """Checks that every file is used and every used file exists."""
    used = set()
    for path in KUBERNETES.rglob("kustomization.yaml"):
        kustomization = yaml.safe_load(path.read_text())
        generated = [file for generator in kustomization.get("configMapGenerator", []) for file in generator["files"]]
        patches = [patch["path"] for patch in kustomization.get("patches", []) if "path" in patch]
        used |= {(path.parent / name).resolve() for name in kustomization["resources"] + generated + patches}
    there = {path for path in KUBERNETES.rglob("*.*") if path.is_file() and path.name != "kustomization.yaml"}
    ask(there == {path for path in used if path.is_file()}, f"{there ^ used}: not used, or not there")


def secret_keys():
    """The keys of the Secret that docs/deploy.md creates, from a dry run of its command."""
    command = PAGE[PAGE.index("kubectl create secret"):].split("\n")[0].split()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("vendor-token", "signing-key", "admin-token"):
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


def effective(told, mounted):
    """The values that count in a pod whose configuration is mounted there. `faceplate config` has to find it."""
    with tempfile.TemporaryDirectory() as folder:
        def here(text):
            return re.sub(f"{mounted}|{FOLDER}|/run/secrets/fleet", folder, text)

        env = {name: here(value) for name, value in told["env"].items()}
        config = here(told["config"])
        for secret in re.findall(f"file:{folder}/([a-z0-9-]+)", config + " ".join(env.values())):
            (pathlib.Path(folder) / secret).write_text("redis://redis:6379" if secret == "redis-url" else SECRET)
        (pathlib.Path(folder) / "faceplate.toml").write_text(config)
        return tomllib.loads(run(FACEPLATE, "config", cwd=folder, env=env))


def size(text):
    """The bytes of `256Mi`, as Kubernetes writes it, and of `256MiB`, as Faceplate does."""
    number, unit = re.fullmatch("([0-9]+)([KMGT])iB?", text).groups()
    return int(number) << 10 * " KMGT".index(unit)


# The memory of a server besides its caches, at most: docs/deploy.md, Size.
BESIDES = 60 << 20


def sized(name, values, memory, disk):
    """Checks that the pod stays within its limits. The kernel would kill it for its memory, the kubelet for its disk."""
    if not values:
        return
    kept = [values["cache"]["memory"], values["images"]["memory"], values["images"]["work"]]
    ask(sum(map(size, kept)) + BESIDES <= size(memory), f"{name}: memory of {kept} in a pod of {memory}")
    most, free = values["cache"]["max_bytes"], values["cache"]["min_free"]
    ask(size(most) + size(free) <= size(disk), f"{name}: {most} of faces and {free} of free space on a disk of {disk}")


def reachable(name, found):
    """Checks that the admin listener has a Service of its own, and is open only to those that the policy names."""
    for service in found["Service"].values():
        ports = {port["name"] for port in service["spec"]["ports"]}
        is_admin = service["metadata"]["labels"].get("app.kubernetes.io/component") == "admin"
        ask(("admin" in ports) == is_admin, f"{name}: the admin listener is in the public Service")
        ask(not is_admin or service["spec"]["type"] == "ClusterIP", f"{name}: the admin Service is public")
    (policy,) = found["NetworkPolicy"].values()
    for rule in policy["spec"]["ingress"]:
        is_admin = any(port["port"] == 9090 for port in rule["ports"])
        ask(not is_admin or rule.get("from"), f"{name}: everyone reaches the admin listener")


def drained(name, pod):
    """Checks that each container behind a Service goes on accepting connections while the pod leaves the Service."""
    for container in pod["containers"]:
        delay = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        ask(delay > 0, f"{name}: {container['name']} refuses connections while it leaves the Service")
        ask(pod["terminationGracePeriodSeconds"] >= delay + 30, f"{name}: the pod is killed while it drains")


def overlay(folder, keys):
    return check(folder, yaml.safe_load_all(tool("kubectl", "kustomize", folder)), keys)


def check(folder, manifests, keys):
    """Checks the manifests. Returns them by kind and name, the pod, and the configuration that it gives to Faceplate."""
    found = {}
    for manifest in manifests:
        found.setdefault(manifest["kind"], {})[manifest["metadata"]["name"]] = manifest
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        known = [one for kind, named in found.items() if kind not in OPERATOR for one in named.values()]
        file.write(yaml.safe_dump_all(known))
        file.flush()
        tool("kubernetes-validate", "--strict", "-k", "1.33", file.name)
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
    env = {variable["name"]: variable.get("value") for container in pod["containers"] for variable in container.get("env", [])}
    if "FACEPLATE_FLEET__REPLICAS" in env:
        # Each has a cache directory and a share of the reserve of its own, also during an update.
        pods = [one["spec"]["maxReplicas"] for one in found.get("HorizontalPodAutoscaler", {}).values()]
        (most,) = pods or [deployment["spec"]["replicas"]]
        most += deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        ask(1 < most <= int(env["FACEPLATE_FLEET__REPLICAS"]), f"{folder}: {most} replicas at once")
        ask(not found.get("PersistentVolumeClaim"), f"{folder}: a volume for several replicas")
    # The cache directory belongs to one process.
    if any("persistentVolumeClaim" in volume for volume in pod["volumes"]):
        ask(deployment["spec"]["replicas"] == 1 and deployment["spec"]["strategy"]["type"] == "Recreate", f"{folder}: two at once")
    for volume in pod["volumes"]:
        ask(volume.get("configMap", {}).get("name") in {None, *found["ConfigMap"]}, f"{folder}: {volume} is not there")
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        ask(claim in {None, *found.get("PersistentVolumeClaim", {})}, f"{folder}: {volume} is not there")

    ports, told = set(), None
    for container in pod.get("initContainers", []) + pod["containers"]:
        name = f"{folder}: {container['name']}"
        ports |= careful(name, container, {volume["name"] for volume in pod["volumes"]})
        if container["name"] == "faceplate":
            ask("startupProbe" in container and "livenessProbe" in container, f"{name}: no probes")
            # A server that is alive and not ready gets no request, and needs no restart.
            alive = container["livenessProbe"].get("httpGet", {}).get("path")
            ask(alive == "/livez", f"{name}: it is restarted by {container['livenessProbe']}")
            named = {volume["name"]: volume for volume in pod["volumes"]}
            mounted = named["config"]["configMap"]["name"]
            # The alphabet of Kustomize's hashes. A new name would end the pod at each change, which it reads by itself.
            ask(not re.search("-[2456789bcdfghkmt]{10}$", mounted), f"{name}: a change of {mounted} is a new pod")
            config = found["ConfigMap"][mounted]["data"]["faceplate.toml"]
            told = {"config": config, "env": {v["name"]: v["value"] for v in container["env"]}, "secrets": SECRET}
            renewable(name, container, pod["volumes"], config, keys)
            claim = named["cache"].get("persistentVolumeClaim")
            claims = found.get("PersistentVolumeClaim", {})
            if claim:
                disk = claims[claim["claimName"]]["spec"]["resources"]["requests"]["storage"]
            else:
                disk = named["cache"]["emptyDir"]["sizeLimit"]
            (path,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "config"]
            ask(container["args"] == ["serve"], f"{name}: only {container['args']} finds the configuration")
            sized(name, effective(told, path), container["resources"]["limits"]["memory"], disk)
    for service in found["Service"].values():
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        ask(targets <= ports, f"{folder}: a Service points to {targets - ports}")
    # Egress is allowed to DNS anywhere, to port 443 of public addresses, and to the engines of a fleet.
    (policy,) = found["NetworkPolicy"].values()
    ask(set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}, f"{folder}: the policy leaves a way open")
    for rule in policy["spec"]["egress"]:
        allowed = {port["port"] for port in rule["ports"]}
        is_public = allowed == {443} and all("except" in to.get("ipBlock", {}) for to in rule["to"])
        is_named = "to" in rule and all("podSelector" in to for to in rule["to"])
        ask(allowed == {53} or is_public or is_named, f"{folder}: out by {rule}")
    reachable(folder, found)
    drained(folder, pod)
    return found, pod, told


# The fleet of a chart. Its secrets are in the one Secret.
FLEET = f"""
[fleet]
name = "crm"
redis = "file:{FOLDER}/redis-url"
secret = "file:{FOLDER}/fleet-secret"
"""


def chart(name, keys, **values):
    """Checks the chart with these values, and adds what only a chart has."""
    values = {"config": (KUBERNETES / "base/faceplate.toml").read_text(), **values}
    try:
        with helm.Chart.load(CHART) as loaded:
            loaded.validate_schema(values)
            rendered = loaded.render(values, name="faces", namespace="prod")
    except helm.HelmError as error:
        problems.append(f"{name}: {error}")
        return {}, None
    texts = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
    manifests = [one for text in texts for one in yaml.safe_load_all(text) if one]
    found, _, told = check(name, manifests, keys)
    names = {one for kind in found.values() for one in kind}
    ask(all(one.startswith("faces-faceplate") for one in names), f"{name}: {names} clash with another release's")
    (deployment,) = found["Deployment"].values()
    for monitor in found.get("ServiceMonitor", {}).values():
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [one for one in found["Service"].values() if wanted <= one["metadata"]["labels"].items()]
        (endpoint,) = monitor["spec"]["endpoints"]
        ask(endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}, f"{name}: {endpoint}")
        ask(endpoint["honorLabels"] and endpoint["authorization"]["credentials"]["key"] in keys, f"{name}: {endpoint}")
        job = service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        alerts = (ROOT / "deploy/monitoring/alerts.yml").read_text()
        ask(set(re.findall('job="([a-z]+)"', alerts)) == {job}, f"{name}: the alerts ask for another job than {job}")
    for scaler in found.get("HorizontalPodAutoscaler", {}).values():
        ask(scaler["spec"]["scaleTargetRef"]["name"] in found["Deployment"], f"{name}: it scales nothing")
        ask("replicas" not in deployment["spec"], f"{name}: an upgrade would undo the scaling")
    for ingress in found.get("Ingress", {}).values():
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            target = path["backend"]["service"]
            ports = {port["name"] for port in found["Service"][target["name"]]["spec"]["ports"]}
            ask(target["port"]["name"] in ports - {"admin"}, f"{name}: {path}")
    return found, told


def refused(what, **values):
    """Checks that the chart refuses these values, with a message that has `what` in it."""
    try:
        with helm.Chart.load(CHART) as loaded:
            loaded.validate_schema(values)
            loaded.render(values, name="faces", namespace="prod")
        problems.append(f"the chart accepts {values}")
    except helm.HelmError as error:
        ask(what in str(error), f"{values}: {error}, without {what}")


def charts(keys):
    """The chart as it is, with everything, and as a fleet."""
    report = helm.lint(CHART)
    worse = [message for message in report["messages"] if message["severity"] > 1]
    ask(not worse and not report["errors"], f"helm lint: {report}")
    _, plain = chart("chart", keys)
    on = {"enabled": True}
    everything, full = chart(
        "chart with everything",
        keys,
        hooks=on,
        ingress={**on, "tlsSecretName": "certificate", "className": "nginx"},
        serviceMonitor={**on, "labels": {"release": "prometheus"}},
        prometheusRule={**on, "labels": {"release": "prometheus"}},
        dashboard=on,
        networkPolicy={"extraEgress": [{"to": [{"podSelector": {}}], "ports": [{"port": 3000, "protocol": "TCP"}]}]},
        env={"FACEPLATE_CACHE__MAX_BYTES": "2GiB"},
    )
    (rule,) = everything["PrometheusRule"].values()
    alerts = yaml.safe_load((ROOT / "deploy/monitoring/alerts.yml").read_text())
    ask(rule["spec"] == alerts, "the chart's rules are not those of deploy/monitoring")
    dashboard = everything["ConfigMap"]["faces-faceplate-dashboard"]["data"]["faceplate.json"]
    original = json.loads((ROOT / "deploy/monitoring/dashboard.json").read_text())
    ask(json.loads(dashboard) == original, "the chart's dashboard is not that of deploy/monitoring")
    config = (KUBERNETES / "base/faceplate.toml").read_text()
    several = {"persistence": {"enabled": False}}
    to_redis = {"to": [{"podSelector": {"matchLabels": {"app": "redis"}}}], "ports": [{"port": 6379, "protocol": "TCP"}]}
    fleet, shared = chart(
        "chart of a fleet",
        keys | {"redis-url", "fleet-secret"},
        config=config + FLEET,
        autoscaling={**on, "maxReplicas": 6},
        fleet={"replicas": 7},
        networkPolicy={"extraEgress": [to_redis]},
        **several,
    )
    ask(shared and shared["env"].get("FACEPLATE_FLEET__REPLICAS") == "7", f"the pods do not know their number: {shared}")
    (deployment,) = fleet["Deployment"].values()
    ask(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, "an update of the fleet takes pods away first")
    ask("PersistentVolumeClaim" not in fleet, "the fleet has a volume")
    chart("chart with divided budgets", keys, replicas=3, dividedBudgets=True, **several)
    # As docs/deploy.md makes the configuration.
    ((command, file),) = re.findall(r"docker run --rm \S+ (init .+) > (\S+)", PAGE)
    made = run(FACEPLATE, *shlex.split(command))
    ask(f"--set-file config={file}" in PAGE, f"the chart is not given {file}")
    walked, _ = chart("chart with faceplate init", keys, config=made)
    chart("pods with faceplate init", keys, config=made, replicas=3, dividedBudgets=True, **several)
    refused("config is empty")
    refused("3 pods without a fleet have a budget each", config=config, replicas=3, **several)
    refused("set dividedBudgets=true", config=config, autoscaling=on, **several)
    # The number that the configuration has is not seen.
    refused("fleet.replicas=4", config=config + FLEET + "replicas = 4\n", replicas=3, **several)
    refused("set fleet.replicas=4", config=config + FLEET, replicas=3, fleet={"replicas": 3}, **several)
    on_six = {**on, "maxReplicas": 6}
    refused("set fleet.replicas=7", config=config + FLEET, autoscaling=on_six, fleet={"replicas": 6}, **several)
    refused("add the table [fleet]", config=config + "# [fleet]\n", replicas=3, fleet={"replicas": 4}, **several)
    refused("/fleet/replicas", config=config, fleet={"replicas": 101})
    refused("belongs to one pod", config=config, replicas=2)
    refused("belongs to one pod", config=config, autoscaling=on)
    refused("additional properties", config=config, replcias=2)
    refused("/service/port", config=config, service={"port": "80"})
    refused("/persistence/accessMode", config=config, persistence={"accessMode": "ReadWriteMany"})
    manifest = (ROOT / "Cargo.toml").read_text()
    version = re.search('^version = "(.+)"$', manifest, re.M).group(1)
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    ask(about["version"] == about["appVersion"] == version, f"the chart is not of version {version}")
    ask(set(re.findall(r"\bVERSION=([0-9.]+)", PAGE)) == {version}, f"docs/deploy.md builds another version than {version}")
    return walked, {"chart": plain, "chart-full": full, "chart-fleet": shared}


def documented(*rendered):
    """The objects and the values of the chart that docs/deploy.md names are there."""
    there = {(kind.lower(), name) for found in rendered for kind in ("Deployment", "Service") for name in found.get(kind, {})}
    named = set(re.findall("(deployment|service)/([a-z-]+)", PAGE))
    ask(named and named <= there, f"docs/deploy.md names {named - there}")
    for path in re.findall(r"--set(?:-file|-json)? '?([\w.]+)=", PAGE):
        known = yaml.safe_load((CHART / "values.yaml").read_text())
        for key in path.split("."):
            # A map that is empty by default, such as labels, takes any key.
            ask(known == {} or key in known, f"docs/deploy.md sets {path}, which is no value of the chart")
            known = known.get(key, {})


def published(name, commands):
    """Follows `docker compose` commands in their order: no two services that run at once publish one port."""
    running = set()

    def add(services):
        for service in services:
            running.add(service)
            add(COMPOSE[service].get("depends_on", {}))

    for profiles, verb, names in commands:
        names = [word for word in names.split() if not word.startswith("-")]
        ask(set(names) <= set(COMPOSE), f"{name}: {names} are not all services")
        if verb == "rm":
            running -= set(names)
            continue
        profiles = set(profiles.split()) - {"--profile"}
        in_profile = [one for one, its in COMPOSE.items() if not its.get("profiles") or profiles & set(its["profiles"])]
        add(set(names) & set(COMPOSE) or in_profile)
        ports = {}
        for service in sorted(running):
            for port in COMPOSE[service].get("ports", []):
                number = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", port).split(":")[-2]
                both = f"{service} and {ports.get(number)}"
                ask(number not in ports, f"{name}: after `up {' '.join(names)}`, {both} publish port {number}")
                ports[number] = service


def compose_commands():
    """Checks the commands of the compose file's head, each by itself, and those of the pages as an operator runs them."""
    command = "docker compose((?: --profile [a-z]+)*) (up|rm)((?: [a-z-]+)*)"
    head = (ROOT / "docker-compose.yml").read_text().split("\nx-careful:")[0]
    alone = re.findall(command, head)
    ask(len(alone) >= 5, f"the compose file begins with {alone}")
    for one in alone:
        published("docker-compose.yml", [one])
    # The operator of a fleet has walked through docs/deploy.md before.
    walk = [found for page in ("deploy.md", "fleet.md") for found in re.findall(command, (ROOT / "docs" / page).read_text())]
    ask(len(walk) >= 8, f"the pages have {walk}")
    published("docs/deploy.md and docs/fleet.md", walk)


def grafana():
    """Grafana of the compose file finds a source of data and one dashboard, whose panels do not cover each other."""
    volumes = (volume.split(":") for volume in COMPOSE["grafana"]["volumes"])
    mounts = {target: ROOT / source for source, target, _ in volumes}
    provisioning = "/etc/grafana/provisioning"
    (source,) = yaml.safe_load(mounts[f"{provisioning}/datasources/faceplate.yml"].read_text())["datasources"]
    host = re.fullmatch("http://(.+):9090", source["url"]).group(1)
    ask(source["type"] == host == "prometheus" and host in COMPOSE, f"Grafana's data are from {source}")
    (provider,) = yaml.safe_load(mounts[f"{provisioning}/dashboards/faceplate.yml"].read_text())["providers"]
    dashboards = [json.loads(path.read_text()) for path in mounts[provider["options"]["path"]].rglob("*.json")]
    ask(provider["type"] == "file" and [one["uid"] for one in dashboards] == ["faceplate"], f"Grafana loads {provider}")
    taken = set()
    for panel in dashboards[0]["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        ask(not cells & taken and place["x"] + place["w"] <= 24, f"the panel {panel['title']} covers another one")
        taken |= cells


def replicas():
    """A replica of the compose file keeps its faces in memory, and stays within it."""
    (cache,) = COMPOSE["replica-1"]["tmpfs"]
    env = COMPOSE["replica-1"]["environment"]
    disk = int(re.search(r"size=(\d+)m", cache).group(1)) << 20
    faces, free = (size(env[f"FACEPLATE_CACHE__{key}"]) for key in ("MAX_BYTES", "MIN_FREE"))
    ask(faces + free <= disk, f"a cache of {faces} bytes that leaves {free} free is larger than {disk}")


def apart(one, other):
    """Two overlays share no object, and the Services of neither select the pods of the other, in the same namespace."""
    shared = {(kind, name) for kind in one for name in one[kind]} & {(kind, name) for kind in other for name in other[kind]}
    ask(not shared, f"both overlays have {shared}")
    for services, pods in ((one, other), (other, one)):
        (deployment,) = pods["Deployment"].values()
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        for name, service in services["Service"].items():
            ask(not service["spec"]["selector"].items() <= labels, f"the Service {name} selects another overlay's pods")


def nginx():
    """nginx keeps connections to Faceplate, redirects to TLS where it serves TLS, and is told so in words that it knows."""
    texts = {path.relative_to(ROOT / "deploy"): path.read_text() for path in (ROOT / "deploy").rglob("*.conf")}
    ask(len(texts) == 3, f"nginx's files are {list(texts)}")
    for path, text in texts.items():
        kept = ("keepalive 32;", "proxy_pass http://faceplate;", "proxy_http_version 1.1;", 'proxy_set_header Connection "";')
        for line in kept:
            ask(f" {line}\n" in text, f"{path}: it opens a connection for each request, without {line}")
        ask("ssl http2" not in text, f"{path}: `listen … http2` is deprecated")
    text = texts[pathlib.Path("nginx/faceplate.conf")]
    ask("    listen 443 ssl;\n    http2 on;\n" in text, "TLS has no HTTP/2")
    redirect = re.search("    listen 80;\n(?:    .+\n)*    return 308 https://\\$host\\$request_uri;\n", text)
    ask(redirect and {port.rsplit(":", 1)[1] for port in COMPOSE["tls"]["ports"]} == {"443", "80"}, "nothing answers on port 80")
    version = tuple(map(int, re.match(r"nginx:(\d+)\.(\d+)", COMPOSE["tls"]["image"]).groups()))
    ask(version >= (1, 28) or "resolve;" not in text, f"nginx {version} does not know `resolve`")
    # The frontend beside a sidecar has paths of its own.
    (passed,) = re.findall("location ~ (.+) {", texts[pathlib.Path("kubernetes/overlays/sidecar/nginx.conf")])
    for path in ("/avatar/sales/me", "/live/sales", "/faceplate.js"):
        ask(re.search(passed, path), f"the sidecar does not get {path} from its frontend")
    for path in ("/", "/faceplate.json", "/my/avatar/"):
        ask(not re.search(passed, path), f"the sidecar gets {path} from its frontend")


files()
grafana()
nginx()
replicas()
compose_commands()
keys = secret_keys()
standalone, _, alone = overlay(KUBERNETES / "overlays/standalone", keys)
ask("PodDisruptionBudget" in standalone, "nothing says what a drained node may disrupt")
frontend, pod, beside = overlay(KUBERNETES / "overlays/sidecar", keys)
apart(standalone, frontend)
(sidecar,) = pod["initContainers"]
ask(sidecar["restartPolicy"] == "Always", "the sidecar is none")
ask(any(variable["value"] == "127.0.0.1:8080" for variable in sidecar["env"] if "value" in variable), "others reach the sidecar")

_, _, shared = overlay(KUBERNETES / "overlays/fleet", keys)
walked, in_charts = charts(keys)
documented(standalone, frontend, walked)

print(json.dumps({"standalone": alone, "sidecar": beside, "fleet": shared, **in_charts}))
sys.exit("\n".join(problems) or 0)
