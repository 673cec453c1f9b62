"""Checks that rendered manifests keep their promises. .ci/deploy renders them, one file for each combination.

usage: deploy-check.py NAMESPACE.yaml...

The name of a file is the namespace of everything in it. .ci/deploy names the namespaces of its overlays after the
components that they contain.
"""

import json
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[1]
NAME = "blackbox-daemon"
# kubernetes-validate has no schemas for these APIs. check_operator and check_openshift check their objects field by
# field.
OPERATOR = "monitoring.coreos.com/v1"
OPENSHIFT = "security.openshift.io/v1"
# The sinks whose collector is named by a ConfigMap and, optionally, a Secret.
OPTIONAL_SINKS = ("otlp", "alertmanager")
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
    """Returns the variables that the agent reads, from the agent's own table."""
    text = (ROOT / "src/config/settings.rs").read_text()
    names = set(re.findall(r'setting\(\s*"([A-Z_0-9]+)",', text))
    assert {"NODE_NAME", "BLACKBOX_CGROUP", "RUST_LOG"} <= names, "this script cannot parse settings.rs"
    return names


def one(objects, kind):
    found = [o for o in objects if o["kind"] == kind]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}, expected one"
    return found[0]


def check_validated(path, objects):
    known = [o for o in objects if o["apiVersion"] not in (OPERATOR, OPENSHIFT)]
    for o in objects:
        if o not in known:
            print(f"  {o['kind']}: no schema available, only its fields are checked")
    target = path.with_suffix(".known")
    target.write_text(yaml.safe_dump_all(known))
    command = [pathlib.Path(sys.executable).parent / "kubernetes-validate", "--strict", "--quiet", target]
    done = subprocess.run(command, capture_output=True, text=True)
    must(done.returncode == 0, f"{path.name}: {done.stdout}{done.stderr}")


def check_namespaces(where, objects, namespace):
    for o in objects:
        own = o["metadata"].get("namespace")
        wanted = None if o["kind"] in CLUSTER_WIDE else namespace
        must(own == wanted, f"{where}: {o['kind']} is in namespace {own}, expected {wanted}")
        for subject in o.get("subjects", []):
            must(subject["namespace"] == namespace, f"{where}: a subject is in namespace {subject['namespace']}")
        if o["kind"] == "Namespace":
            must(o["metadata"]["name"] == namespace, f"{where}: the Namespace is {o['metadata']['name']}")
            level = o["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
            must(level == "privileged", f"{where}: the Pod Security level {level} forbids hostPath")


def check_role(where, objects):
    account, role, binding = (one(objects, k) for k in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding"))
    must(role["rules"] == RULES, f"{where}: wrong rights {role['rules']}")
    must(account["automountServiceAccountToken"] is False, f"{where}: any pod with this account gets its token")
    subjects = [(s["kind"], s["name"]) for s in binding["subjects"]]
    must(subjects == [("ServiceAccount", account["metadata"]["name"])], f"{where}: wrong subjects {subjects}")
    must(binding["roleRef"]["name"] == role["metadata"]["name"], f"{where}: the binding names another role")


def check_pod(where, objects, known_settings):
    daemon_set = one(objects, "DaemonSet")
    spec = daemon_set["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    must(spec["selector"]["matchLabels"].items() <= labels.items(), f"{where}: the selector selects nothing")
    must(spec["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": "10%"}, f"{where}: wrong rollingUpdate")
    must({"operator": "Exists"} in pod["tolerations"], f"{where}: a taint would keep the agent off a node")
    must(pod["priorityClassName"] == "system-node-critical", f"{where}: wrong priorityClassName")
    must(pod["nodeSelector"] == {"kubernetes.io/os": "linux"}, f"{where}: wrong nodeSelector")
    must(pod["enableServiceLinks"] is False, f"{where}: enableServiceLinks is not false")
    must(pod["automountServiceAccountToken"] is True, f"{where}: the pod gets no token")
    must(pod["serviceAccountName"] == one(objects, "ServiceAccount")["metadata"]["name"], f"{where}: wrong account")
    for key in ("hostPID", "hostIPC", "shareProcessNamespace"):
        must(not pod.get(key), f"{where}: {key} is set")
    expects_host = where in ("all", "only-host-network")
    must(pod.get("hostNetwork", False) is expects_host, f"{where}: hostNetwork is {pod.get('hostNetwork')}")
    must(pod.get("dnsPolicy") == ("ClusterFirstWithHostNet" if expects_host else None), f"{where}: wrong dnsPolicy")
    must(not pod.get("initContainers") and len(pod["containers"]) == 1, f"{where}: more than one container")
    container = pod["containers"][0]
    check_container(where, container, known_settings)
    check_mounts(where, pod, container)
    return daemon_set


def check_container(where, container, known_settings):
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "runAsUser": 0,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if where in ("all", "only-openshift"):
        security["seLinuxOptions"] = {"type": "container_logreader_t"}
    found = container["securityContext"]
    must(found == security, f"{where}: wrong securityContext {found}")
    wanted = {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}
    must(container["resources"] == wanted, f"{where}: wrong resources {container['resources']}")
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    must(ports == {"http": 9464}, f"{where}: wrong ports {ports}")
    must(container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}, f"{where}: wrong liveness")
    must(container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}, f"{where}: wrong readiness")
    names = [e["name"] for e in container["env"]]
    must(len(names) == len(set(names)), f"{where}: a variable is set twice")
    must(set(names) <= known_settings, f"{where}: the agent does not read {set(names) - known_settings}")
    must({"NODE_NAME", "POD_NAMESPACE"} <= set(names), f"{where}: NODE_NAME or POD_NAMESPACE is not set")


def check_mounts(where, pod, container):
    volumes = {v["name"]: v for v in pod["volumes"]}
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    must(volumes.keys() == mounts.keys(), f"{where}: volumes and mounts differ: {volumes.keys() ^ mounts.keys()}")
    values = [v for e in container["env"] for v in e.get("value", "").split(",")] + ["/var/log/pods"]
    check_host_paths(where, volumes, mounts)
    for name, mount in mounts.items():
        path = mount["mountPath"]
        in_use = any(v == path or v.startswith(f"{path}/") for v in values) or is_offered(name, path, container)
        must(in_use, f"{where}: no setting names {path}")
        must("mountPropagation" not in mount, f"{where}: {name} has a mountPropagation")
        if "hostPath" in volumes[name]:
            must(volumes[name]["hostPath"].get("type"), f"{where}: {name} has no type")
        writable = path in WRITABLE
        must(mount.get("readOnly", False) is not writable, f"{where}: {path} has readOnly {mount.get('readOnly')}")
        if "hostPath" in volumes[name] and not writable:
            must(mount.get("recursiveReadOnly") == "IfPossible", f"{where}: mounts below {path} are writable")
    written = {m["mountPath"] for m in mounts.values() if not m.get("readOnly")}
    expected = WRITABLE if where in ("all", "only-incident-file", "blackbox") else set()
    must(written == expected, f"{where}: the agent can write to {written}")


def is_offered(name, path, container):
    """Returns whether this is a folder of an optional sink, whose ConfigMap may set a setting to a file in it."""
    sink, _, file = name.rpartition("-")
    setting = f"BLACKBOX_{sink.upper()}_{dict(ca='CA', token='TOKEN_FILE').get(file)}"
    return (
        sink in OPTIONAL_SINKS
        and path == f"/etc/blackbox-daemon/{name}"
        and setting in (e["name"] for e in container["env"])
        and f"{path}/" in (ROOT / f"deploy/components/{sink}/kustomization.yaml").read_text()
    )


def check_host_paths(where, volumes, mounts):
    """Checks that no mount creates /var/log/journal: with that folder, journald would begin to write to the disk."""
    for name, volume in volumes.items():
        path = volume.get("hostPath", {}).get("path", "")
        must(not f"{path}/".startswith("/var/log/journal/"), f"{where}: {name} may create {path}")
        if f"{path}/".startswith("/var/log/"):
            must(volume["hostPath"]["type"] == "Directory", f"{where}: {name} may create {path}")
        # The kubelet creates the folder of a subPath.
        must(not {"subPath", "subPathExpr"} & mounts[name].keys(), f"{where}: {name} has a subPath")


def check_service(where, objects, daemon_set):
    spec = one(objects, "Service")["spec"]
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    must(spec["selector"].items() <= labels.items(), f"{where}: the Service selects nothing")
    must(spec["internalTrafficPolicy"] == "Local", f"{where}: the Service routes to other nodes")
    must([(p["port"], p["targetPort"]) for p in spec["ports"]] == [(9464, "http")], f"{where}: ports {spec['ports']}")
    for policy in (o for o in objects if o["kind"] == "NetworkPolicy"):
        selected = policy["spec"]["podSelector"]["matchLabels"]
        must(selected and selected.items() <= labels.items(), f"{where}: the NetworkPolicy selects nothing")
        must(policy["spec"]["policyTypes"] == ["Ingress"], f"{where}: the NetworkPolicy restricts egress")


def check_references(where, objects, pod):
    """Checks that the pod names exactly the Secrets and ConfigMaps that the overlay generates."""
    made = {(o["kind"], o["metadata"]["name"]) for o in objects if o["kind"] in ("Secret", "ConfigMap")}
    named = {("Secret", v["secret"]["secretName"]) for v in pod["volumes"] if "secret" in v}
    named |= {("ConfigMap", v["configMap"]["name"]) for v in pod["volumes"] if "configMap" in v}
    sources = [e.get("valueFrom", {}) for e in pod["containers"][0]["env"]]
    named |= {("Secret", s["secretKeyRef"]["name"]) for s in sources if "secretKeyRef" in s}
    named |= {("ConfigMap", s["configMapKeyRef"]["name"]) for s in sources if "configMapKeyRef" in s}
    must(made <= named, f"{where}: generated, but the pod does not name it: {made - named}")
    # A component alone uses existing objects, whose names have no suffix of a generator.
    secrets = [v["secret"] for v in pod["volumes"] if "secret" in v]
    missing = named - made - {("Secret", s["secretName"]) for s in secrets if s.get("optional")}
    must(not made or not missing, f"{where}: the pod names it, but it is not generated: {missing}")
    plain = {(kind, f"{NAME}-{sink}") for kind in ("Secret", "ConfigMap") for sink in ("webhook", *OPTIONAL_SINKS)}
    must(made or named <= plain, f"{where}: the pod names unexpected objects: {named}")
    text = json.dumps(objects)
    for host in re.findall(r"https?://([^/\"\s:]+)", text):
        must(host.endswith(".invalid"), f"{where}: the agent would send data to {host}")


def check_operator(where, objects, daemon_set):
    ours = [o for o in objects if o["apiVersion"] == OPERATOR]
    annotations = daemon_set["spec"]["template"]["metadata"].get("annotations") or {}
    must(bool(ours) is ("prometheus.io/scrape" not in annotations), f"{where}: agents are scraped twice or never")
    if not ours:
        return
    monitor, rule = one(ours, "PodMonitor")["spec"], one(ours, "PrometheusRule")["spec"]
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    must(monitor.keys() == {"jobLabel", "selector", "podMetricsEndpoints"}, f"{where}: PodMonitor {monitor.keys()}")
    must(labels.get(monitor["jobLabel"]) == NAME, f"{where}: the job is not {NAME}")
    must(monitor["selector"]["matchLabels"].items() <= labels.items(), f"{where}: the PodMonitor selects nothing")
    endpoint = monitor["podMetricsEndpoints"][0]
    must((endpoint["port"], endpoint["path"]) == ("http", "/metrics"), f"{where}: wrong endpoint {endpoint}")
    must(endpoint["honorLabels"] is True, f"{where}: the agent's namespace would displace that of the workload")
    must(rule.keys() == {"groups"} and rule["groups"], f"{where}: PrometheusRule {rule.keys()}")
    for group in rule["groups"]:
        must(group.keys() <= {"name", "interval", "rules"}, f"{where}: wrong keys in a group: {group.keys()}")
        for alert in group["rules"]:
            must({"alert", "expr", "labels", "annotations"} <= alert.keys(), f"{where}: incomplete alert {alert}")
            must(isinstance(alert["expr"], str), f"{where}: the expr of {alert['alert']} is not a string")


def check_openshift(where, objects, pod):
    """Checks that the constraints allow what the pod has, and that only the agent's account may use them."""
    constraints = [o for o in objects if o["apiVersion"] == OPENSHIFT]
    must(bool(constraints) is (where in ("all", "only-openshift")), f"{where}: {len(constraints)} constraints")
    if not constraints:
        return
    scc, role, binding = constraints[0], one(objects, "Role"), one(objects, "RoleBinding")
    kinds = {kind for v in pod["volumes"] for kind in v if kind != "name"} | {"projected"}
    must(kinds <= set(scc["volumes"]), f"{where}: the constraints refuse the volumes {kinds - set(scc['volumes'])}")
    allowed = {key for key, value in scc.items() if key.startswith("allow") and value}
    must(allowed == {"allowHostDirVolumePlugin"}, f"{where}: the constraints allow {allowed}")
    rule = {
        "apiGroups": ["security.openshift.io"],
        "resources": ["securitycontextconstraints"],
        "resourceNames": [scc["metadata"]["name"]],
        "verbs": ["use"],
    }
    must(role["rules"] == [rule], f"{where}: wrong rights {role['rules']}")
    must(binding["roleRef"]["name"] == role["metadata"]["name"], f"{where}: the binding names another role")
    subjects = [(s["kind"], s["name"]) for s in binding["subjects"]]
    must(subjects == [("ServiceAccount", pod["serviceAccountName"])], f"{where}: wrong subjects {subjects}")


def check_versions():
    """Checks that the files with the version have the same one, so that a release forgets none of them."""
    patterns = {
        "Cargo.toml": r'(?m)^version = "(.+)"',
        "deploy/Dockerfile": r"(?m)^ARG VERSION=(.+)",
        "deploy/base/daemonset.yaml": rf"(?m)image: {NAME}:(.+)",
        # Both the chart's own version and that of the agent.
        "deploy/chart/Chart.yaml": r"(?m)^(?:version|appVersion): (.+)",
    }
    found = {name: re.findall(pattern, (ROOT / name).read_text()) for name, pattern in patterns.items()}
    # Cargo.toml has the versions of the dependencies further down.
    found["Cargo.toml"] = found["Cargo.toml"][:1]
    must(len(found["deploy/chart/Chart.yaml"]) == 2, f"Chart.yaml has the versions {found['deploy/chart/Chart.yaml']}")
    must(len({v for versions in found.values() for v in versions}) == 1, f"the versions differ: {found}")


def check_pipelines():
    """Checks that the example pipelines parse, and use only fields of an incident. Does not run their tools."""
    folder = ROOT / "deploy/pipelines"
    schema = json.loads((ROOT / "deploy/incident.schema.json").read_text())
    template = json.loads((ROOT / "deploy/stores/opensearch/index-template.json").read_text())
    for name in ("vector.yaml", "fluent-bit.yaml"):
        text = (folder / name).read_text()
        yaml.safe_load(text)
        version = schema["properties"]["schema"]["const"]
        must(version in text.replace("\\", ""), f"{name}: does not check for {version}")
        for index in re.findall(r"blackbox-incidents\S*", text):
            matched = index.startswith(template["index_patterns"][0].rstrip("*"))
            must(matched, f"{name}: the index template does not match {index}")
        hosts = re.findall(r"(?:https://|host: )([^:\s\"]+)", text)
        must(hosts and all(h.endswith(".invalid") for h in hosts), f"{name}: would send data to {hosts}")


def schema_of(schema, path):
    """Returns the schema of the member of a line with this path, or None if no line has such a member."""
    node = schema
    for name in [*path.split("."), None]:
        while node and ("$ref" in node or "items" in node):
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node["items"]
        if name and node:
            node = node.get("properties", {}).get(name) or node.get("additionalProperties")
    return node or None


def mapped_fields(properties, prefix=""):
    for name, mapping in properties.items():
        yield prefix + name, mapping.get("type", "object")
        yield from mapped_fields(mapping.get("properties", {}), f"{prefix}{name}.")


def check_mapping(schema, fields):
    """Checks that the index template maps every top member of a line, and nothing with a type that it does not have."""
    kinds = {"keyword": "string", "text": "string", "date": "string", "long": "integer", "integer": "integer"}
    kinds |= {"nested": "object"}
    top = {path for path in fields if "." not in path}
    must(top == schema["properties"].keys() | {"@timestamp"}, f"the index template lacks or adds {top}")
    for path, kind in fields.items():
        found = schema_of(schema, path)
        if path == "@timestamp" or not found:
            must(found or path == "@timestamp", f"the index template maps {path}, which no line has")
            continue
        types = found.get("type", "boolean" if found.get("const") is True else "string")
        types = {"integer" if t == "number" else t for t in ([types] if isinstance(types, str) else types)}
        must(kinds.get(kind, kind) in types, f"the index template maps {path} as {kind}, but it is {types}")


def check_stores():
    """Checks that the questions for stores that cannot be run use only fields that these stores have."""
    folder = ROOT / "deploy/stores"
    schema = json.loads((ROOT / "deploy/incident.schema.json").read_text())
    template = json.loads((folder / "opensearch/index-template.json").read_text())
    fields = dict(mapped_fields(template["template"]["mappings"]["properties"]))
    check_mapping(schema, fields)
    questions = re.findall(r"(?m)^-- (\w+): ", (folder / "clickhouse/questions.sql").read_text())
    for name in ("opensearch/questions.ppl", "victorialogs/questions.logsql"):
        text = (folder / name).read_text()
        must(re.findall(r"(?m)^# (\w+): ", text) == questions, f"{name}: not the questions {questions}")
        text = re.sub(r"(?m)^#.*|\".*?\"|\bsort by .*", "", text)
        lists = re.findall(r"(?:min|max|count|count_uniq)\(([\w., ]+)\)|\bby \(?([\w., ]+)", text)
        used = {field for found in lists for field in re.split(r", *", "".join(found))}
        used |= set(re.findall(r"\w+\.[\w.]+", text))
        used -= {"_time", *re.findall(r" as (\w+)", text)}
        known = fields.keys() if name.endswith("ppl") else {field for field in used if schema_of(schema, field)}
        must(used and used <= known, f"{name}: asks for {used - known}")
    memory = (folder / "opensearch/memory.json").read_text()
    used = set(re.findall(r'"field": "(.*?)"', memory))
    must(json.loads(memory) and used <= fields.keys(), f"memory.json: asks for {used - fields.keys()}")
    must(yaml.safe_load((folder / "loki/limits.yaml").read_text()).keys() == {"limits_config"}, "wrong limits.yaml")
    for path in folder.rglob("*"):
        hosts = re.findall(r"https?://([^:/\s]+)", path.read_text()) if path.is_file() else []
        must(all(h.endswith(".invalid") for h in hosts), f"{path}: would send data to {hosts}")


def main():
    check_pipelines()
    check_stores()
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
        check_openshift(where, objects, daemon_set["spec"]["template"]["spec"])
    for failure in failures:
        print(f"FAILED {failure}")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
