"""Holds rendered manifests against what they promise. .ci/deploy renders them, one file for each combination.

usage: deploy-check.py NAMESPACE.yaml...

A file is called after the namespace that everything in it must be in. .ci/deploy gives its overlays namespaces that
say which components they have.
"""

import json
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[1]
NAME = "blackbox-daemon"
# What kubernetes-validate has no schema of: checked by hand below.
OPERATOR = "monitoring.coreos.com/v1"
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "Namespace"}
WRITABLE = {"/var/lib/blackbox-daemon"}
RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
]

failures = []


def must(holds, what):
    if not holds:
        failures.append(what)


def settings():
    """The variables that the agent reads, from its own table."""
    text = (ROOT / "src/config/settings.rs").read_text()
    names = set(re.findall(r'setting\(\s*"([A-Z_0-9]+)",', text))
    assert {"NODE_NAME", "BLACKBOX_CGROUP", "RUST_LOG"} <= names, "settings.rs is read wrongly"
    return names


def one(objects, kind):
    found = [o for o in objects if o["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of {kind}"
    return found[0]


def check_validated(path, objects):
    known = [o for o in objects if o["apiVersion"] != OPERATOR]
    for o in objects:
        if o["apiVersion"] == OPERATOR:
            print(f"  {o['kind']}: no schema to validate it with, checked by its fields alone")
    target = path.with_suffix(".known")
    target.write_text(yaml.safe_dump_all(known))
    command = [pathlib.Path(sys.executable).parent / "kubernetes-validate", "--strict", "--quiet", target]
    done = subprocess.run(command, capture_output=True, text=True)
    must(done.returncode == 0, f"{path.name}: {done.stdout}{done.stderr}")


def check_namespaces(where, objects, namespace):
    for o in objects:
        own = o["metadata"].get("namespace")
        wanted = None if o["kind"] in CLUSTER_WIDE else namespace
        must(own == wanted, f"{where}: {o['kind']} is in namespace {own}, not {wanted}")
        for subject in o.get("subjects", []):
            must(subject["namespace"] == namespace, f"{where}: subject in {subject['namespace']}")
        if o["kind"] == "Namespace":
            must(o["metadata"]["name"] == namespace, f"{where}: namespace {o['metadata']['name']}")
            level = o["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
            must(level == "privileged", f"{where}: {level} forbids hostPath")


def check_role(where, objects):
    account, role, binding = (one(objects, k) for k in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding"))
    must(role["rules"] == RULES, f"{where}: rights {role['rules']}")
    must(account["automountServiceAccountToken"] is False, f"{where}: any pod gets the account's token")
    subjects = [(s["kind"], s["name"]) for s in binding["subjects"]]
    must(subjects == [("ServiceAccount", account["metadata"]["name"])], f"{where}: subjects {subjects}")
    must(binding["roleRef"]["name"] == role["metadata"]["name"], f"{where}: role of another name")


def check_pod(where, objects, known_settings):
    daemon_set = one(objects, "DaemonSet")
    spec = daemon_set["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    must(spec["selector"]["matchLabels"].items() <= labels.items(), f"{where}: selector")
    must(spec["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": "10%"}, f"{where}: roll-out")
    must({"operator": "Exists"} in pod["tolerations"], f"{where}: a taint keeps it away")
    must(pod["priorityClassName"] == "system-node-critical", f"{where}: priority")
    must(pod["nodeSelector"] == {"kubernetes.io/os": "linux"}, f"{where}: node selector")
    must(pod["enableServiceLinks"] is False, f"{where}: service links")
    must(pod["automountServiceAccountToken"] is True, f"{where}: no token")
    must(pod["serviceAccountName"] == one(objects, "ServiceAccount")["metadata"]["name"], f"{where}: account")
    for key in ("hostPID", "hostIPC", "shareProcessNamespace"):
        must(not pod.get(key), f"{where}: {key}")
    expects_host = where in ("all", "only-host-network")
    must(pod.get("hostNetwork", False) is expects_host, f"{where}: hostNetwork {pod.get('hostNetwork')}")
    must(pod.get("dnsPolicy") == ("ClusterFirstWithHostNet" if expects_host else None), f"{where}: dnsPolicy")
    must(not pod.get("initContainers") and len(pod["containers"]) == 1, f"{where}: more than one container")
    container = pod["containers"][0]
    check_container(where, container, known_settings)
    check_mounts(where, pod, container)
    return daemon_set


def check_container(where, container, known_settings):
    must(
        container["securityContext"]
        == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsUser": 0,
            "runAsGroup": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        f"{where}: security context {container['securityContext']}",
    )
    wanted = {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}
    must(container["resources"] == wanted, f"{where}: resources {container['resources']}")
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    must(ports == {"http": 9464}, f"{where}: ports {ports}")
    must(container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}, f"{where}: liveness")
    must(container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}, f"{where}: readiness")
    names = [e["name"] for e in container["env"]]
    must(len(names) == len(set(names)), f"{where}: a variable twice")
    must(set(names) <= known_settings, f"{where}: the agent does not read {set(names) - known_settings}")
    must({"NODE_NAME", "POD_NAMESPACE"} <= set(names), f"{where}: who and where it is")


def check_mounts(where, pod, container):
    volumes = {v["name"]: v for v in pod["volumes"]}
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    must(volumes.keys() == mounts.keys(), f"{where}: volumes {volumes.keys() ^ mounts.keys()}")
    values = [e.get("value", "") for e in container["env"]] + ["/var/log/pods"]
    for name, mount in mounts.items():
        path = mount["mountPath"]
        in_use = any(v == path or v.startswith(f"{path}/") for v in values)
        must(in_use, f"{where}: no setting names {path}")
        must("mountPropagation" not in mount, f"{where}: {name} is propagated")
        if "hostPath" in volumes[name]:
            must(volumes[name]["hostPath"].get("type"), f"{where}: {name} has no type")
        writable = path in WRITABLE
        must(mount.get("readOnly", False) is not writable, f"{where}: {path} readOnly {mount.get('readOnly')}")
        if "hostPath" in volumes[name] and not writable:
            must(mount.get("recursiveReadOnly") == "IfPossible", f"{where}: mounts below {path} are writable")
    written = {m["mountPath"] for m in mounts.values() if not m.get("readOnly")}
    expected = WRITABLE if where in ("all", "only-incident-file", "monitoring") else set()
    must(written == expected, f"{where}: writes to {written}")


def check_service(where, objects, daemon_set):
    spec = one(objects, "Service")["spec"]
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    must(spec["selector"].items() <= labels.items(), f"{where}: the Service selects nothing")
    must(spec["internalTrafficPolicy"] == "Local", f"{where}: the Service leads to other nodes")
    must([(p["port"], p["targetPort"]) for p in spec["ports"]] == [(9464, "http")], f"{where}: {spec['ports']}")
    for policy in (o for o in objects if o["kind"] == "NetworkPolicy"):
        selected = policy["spec"]["podSelector"]["matchLabels"]
        must(selected and selected.items() <= labels.items(), f"{where}: the NetworkPolicy selects nothing")
        must(policy["spec"]["policyTypes"] == ["Ingress"], f"{where}: the way to the API server is not open")


def check_references(where, objects, pod):
    """Each Secret and ConfigMap that the overlay makes is the one that the pod names."""
    made = {(o["kind"], o["metadata"]["name"]) for o in objects if o["kind"] in ("Secret", "ConfigMap")}
    named = {("Secret", v["secret"]["secretName"]) for v in pod["volumes"] if "secret" in v}
    named |= {("ConfigMap", v["configMap"]["name"]) for v in pod["volumes"] if "configMap" in v}
    sources = [e.get("valueFrom", {}) for e in pod["containers"][0]["env"]]
    named |= {("Secret", s["secretKeyRef"]["name"]) for s in sources if "secretKeyRef" in s}
    must(made <= named, f"{where}: made, and not named: {made - named}")
    # Alone, the component takes what is there: without the suffix that a generator adds.
    must(not made or named == made, f"{where}: named, and not made: {named - made}")
    plain = {("Secret", f"{NAME}-webhook"), ("ConfigMap", f"{NAME}-webhook")}
    must(made or named <= plain, f"{where}: named {named}")
    text = json.dumps(objects)
    for host in re.findall(r"https?://([^/\"\s:]+)", text):
        must(host.endswith(".invalid"), f"{where}: something would be sent to {host}")


def check_operator(where, objects, daemon_set):
    ours = [o for o in objects if o["apiVersion"] == OPERATOR]
    annotations = daemon_set["spec"]["template"]["metadata"].get("annotations") or {}
    must(bool(ours) is ("prometheus.io/scrape" not in annotations), f"{where}: scraped twice, or not at all")
    if not ours:
        return
    monitor, rule = one(ours, "PodMonitor")["spec"], one(ours, "PrometheusRule")["spec"]
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    must(monitor.keys() == {"jobLabel", "selector", "podMetricsEndpoints"}, f"{where}: {monitor.keys()}")
    must(labels.get(monitor["jobLabel"]) == NAME, f"{where}: the job is not {NAME}")
    must(monitor["selector"]["matchLabels"].items() <= labels.items(), f"{where}: the PodMonitor selects nothing")
    endpoint = monitor["podMetricsEndpoints"][0]
    must((endpoint["port"], endpoint["path"]) == ("http", "/metrics"), f"{where}: {endpoint}")
    must(rule.keys() == {"groups"} and rule["groups"], f"{where}: {rule.keys()}")
    for group in rule["groups"]:
        must(group.keys() <= {"name", "interval", "rules"}, f"{where}: {group.keys()}")
        for alert in group["rules"]:
            must({"alert", "expr", "labels", "annotations"} <= alert.keys(), f"{where}: {alert}")
            must(isinstance(alert["expr"], str), f"{where}: {alert['alert']}")


def check_versions():
    """The version is in three files; a release that forgets one of them fails here."""
    patterns = {
        "Cargo.toml": r'(?m)^version = "(.+)"',
        "deploy/Dockerfile": r"(?m)^ARG VERSION=(.+)",
        "deploy/base/daemonset.yaml": rf"(?m)image: {NAME}:(.+)",
    }
    found = {name: re.search(pattern, (ROOT / name).read_text()).group(1) for name, pattern in patterns.items()}
    must(len(set(found.values())) == 1, f"versions {found}")


def check_pipelines():
    """The examples are YAML and JSON, and name nothing that an incident has not. Their tools are not run."""
    folder = ROOT / "deploy/pipelines"
    fields = json.loads((ROOT / "deploy/incident.schema.json").read_text())["properties"]
    template = json.loads((folder / "index-template.json").read_text())
    mapped = template["template"]["mappings"]["properties"].keys()
    must(mapped == fields.keys() | {"@timestamp"}, f"index template: {mapped ^ fields.keys()}")
    for name in ("vector.yaml", "fluent-bit.yaml"):
        text = (folder / name).read_text()
        yaml.safe_load(text)
        schema = fields["schema"]["const"]
        must(schema in text.replace("\\", ""), f"{name}: does not ask for {schema}")
        for index in re.findall(r"blackbox-incidents\S*", text):
            matched = index.startswith(template["index_patterns"][0].rstrip("*"))
            must(matched, f"{name}: {index} has no template")
        hosts = re.findall(r"(?:https://|host: )([^:\s\"]+)", text)
        must(hosts and all(h.endswith(".invalid") for h in hosts), f"{name}: would send to {hosts}")


def main():
    check_pipelines()
    known_settings = settings()
    check_versions()
    for path in map(pathlib.Path, sys.argv[1:]):
        print(path.name)
        objects = list(yaml.safe_load_all(path.read_text()))
        where = path.stem
        check_validated(path, objects)
        check_namespaces(where, objects, where)
        check_role(where, objects)
        daemon_set = check_pod(where, objects, known_settings)
        check_service(where, objects, daemon_set)
        check_references(where, objects, daemon_set["spec"]["template"]["spec"])
        check_operator(where, objects, daemon_set)
    for failure in failures:
        print(f"FAILED {failure}")
    sys.exit(bool(failures))


main()
