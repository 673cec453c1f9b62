"""Checks that the Helm chart and the kustomize manifests are one: renders both for each option of the chart, and
compares the objects. .ci/chart-cases.yaml has the options.

usage: chart-check.py FOLDER

Renders the chart with Helm's own library, which a Python package contains, and the manifests with kubectl, which gets
its overlays in the FOLDER.
"""

import copy
import difflib
import json
import pathlib
import runpy
import subprocess
import sys

import helm_python
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).parents[1]
CHART = ROOT / "deploy/chart"
NAME = "blackbox-daemon"
NAMESPACE = "recorder"
# The oldest API server that the chart supports, and the newest with a schema.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
NO_SCHEMA = {"monitoring.coreos.com/v1", "security.openshift.io/v1"}
CHART_LABELS = ("app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart")
# What the chart sets without the value "settings".
OWN_SETTINGS = {"NODE_NAME", "POD_NAMESPACE", "BLACKBOX_WEBHOOK_URL"}
# Values that must be refused, with a word of the message.
REFUSED = [
    ({"nodeselector": {}}, "nodeselector"),
    ({"image": {"digset": "sha256:"}}, "digset"),
    ({"image": {"digest": "sha256:0123"}}, "digest"),
    ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ({"settings": {"BLACKBOX_MIN_SEVERTY": "high"}}, "BLACKBOX_MIN_SEVERTY"),
    ({"settings": {"NODE_NAME": "one"}}, "NODE_NAME"),
    ({"settings": {"BLACKBOX_LOG_LINES": [1]}}, "BLACKBOX_LOG_LINES"),
    ({"extraEnv": [{"name": "BLACKBOX_PROC", "value": "/proc"}]}, "BLACKBOX_PROC is set already"),
    ({"tolerations": [{"key": "a", "operater": "Exists"}]}, "operater"),
    ({"incidentFile": {"enabled": "yes"}}, "enabled"),
    ({"incidentFile": {"path": "var/lib"}}, "path"),
    ({"otlp": {"endpoint": "collector:4318"}}, "endpoint"),
    ({"otlp": {"tokenSecret": "token"}}, "otlp: caConfigMap and tokenSecret have no effect"),
    ({"webhook": {"caConfigMap": "ca"}}, "webhook: caConfigMap and tokenSecret have no effect"),
    ({"alertmanager": {"urls": ["http://a:9093,http://b:9093"]}}, "urls"),
    ({"serviceAccount": {"create": False}}, "serviceAccount.name"),
    ({"kernelLog": {"enabled": True}, "podLogsDir": "/mnt/pods"}, "podLogsDir must be below"),
    ({"resourceQuota": {"enabled": True}, "priorityClassName": ""}, "priorityClassName"),
]

failures = []


def must(holds, what):
    if not holds:
        failures.append(what)


def render(chart, values, release=NAME, namespace=NAMESPACE):
    """Returns the objects of the chart, and its notes."""
    files = chart.render(values, name=release, namespace=namespace)
    notes = [text for path, text in files.items() if path.endswith("NOTES.txt")]
    manifests = [text for path, text in files.items() if path.endswith(".yaml")]
    return [o for text in manifests for o in yaml.safe_load_all(text) if o], "".join(notes)


def overlay(folder, case):
    """Returns the objects that kustomize renders for a case."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": ["../../../../deploy/base"],
        "components": [f"../../../../deploy/components/{name}" for name in case.get("components", [])],
        "patches": [],
        **case.get("overlay", {}),
    }
    pod = {"spec": {"containers": [{"name": NAME, **case.get("container", {})}]}}
    patch = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": NAME}, "spec": {"template": pod}}
    replaced = [{"op": "add", "path": path, "value": value} for path, value in case.get("replace", {}).items()]
    kustomization["patches"] = [*kustomization["patches"], {"patch": yaml.safe_dump(patch)}]
    if replaced:
        kustomization["patches"].append({"target": {"kind": "DaemonSet"}, "patch": json.dumps(replaced)})
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    example = yaml.safe_load_all((ROOT / "deploy/example/namespace.yaml").read_text())
    (folder / "quota.yaml").write_text(yaml.safe_dump_all(o for o in example if o["kind"] == "ResourceQuota"))
    command = ["kubectl", "kustomize", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{case['case']}: {done.stderr}"
    objects = [o for o in yaml.safe_load_all(done.stdout) if o["kind"] not in case.get("without", [])]
    for o in objects:
        if o["kind"] in case.get("namespaces", {}):
            o["metadata"]["namespace"] = case["namespaces"][o["kind"]]
    return objects


def without_chart_labels(where, o, release, is_top=True):
    """Removes the labels that only the chart sets, after it has checked their values."""
    if isinstance(o, list):
        return [without_chart_labels(where, one, release, False) for one in o]
    if not isinstance(o, dict):
        return o
    o = {key: without_chart_labels(where, value, release, False) for key, value in o.items()}
    if "app.kubernetes.io/name" in o:
        must(o.pop("app.kubernetes.io/instance", None) == release, f"{where}: labels without the release: {o}")
    if is_top:
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
        wanted = ["Helm", version, f"{NAME}-{version}"]
        found = [o["metadata"]["labels"].pop(label, None) for label in CHART_LABELS]
        must(found == wanted, f"{where}: {o['kind']} has the labels {found}, expected {wanted}")
    return o


def with_plain_values(objects):
    """Replaces what a pod reads from the generated ConfigMaps by the values, as the chart writes them."""
    data = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    read = set()
    for o in (o for o in objects if o["kind"] == "DaemonSet"):
        container = o["spec"]["template"]["spec"]["containers"][0]
        for variable in container["env"]:
            source = variable.get("valueFrom", {}).get("configMapKeyRef")
            if source:
                read.add(source["name"])
                del variable["valueFrom"]
                variable["value"] = data[source["name"]].get(source["key"])
        container["env"] = [e for e in container["env"] if e.get("value", "") is not None]
        for volume in o["spec"]["template"]["spec"]["volumes"]:
            for source in (volume.get("configMap"), volume.get("secret")):
                # Only a component has to do without them; the chart is told.
                (source or {}).pop("optional", None)
    return [o for o in objects if (o["kind"], o["metadata"]["name"]) not in {("ConfigMap", name) for name in read}]


def normal(objects):
    """Returns the objects by kind and name, in a form that does not depend on the order of what has a name."""
    found = {}
    for o in copy.deepcopy(objects):
        key = f"{o['kind']} {o['metadata']['name']}"
        assert key not in found, f"{key} occurs twice"
        found[key] = o
        if o["kind"] == "SecurityContextConstraints":
            # It has none; deploy/components/openshift says why kustomize sets one.
            o["metadata"].pop("namespace", None)
        if o["kind"] == "PrometheusRule":
            # kustomize adds empty lines to folded text.
            for rule in (rule for group in o["spec"]["groups"] for rule in group["rules"]):
                rule["expr"] = " ".join(rule["expr"].split())
        if o["kind"] == "DaemonSet":
            if not o["spec"]["template"]["metadata"].get("annotations"):
                o["spec"]["template"]["metadata"].pop("annotations", None)
            pod = o["spec"]["template"]["spec"]
            container = pod["containers"][0]
            for of, what in ((container, "env"), (container, "volumeMounts"), (pod, "volumes")):
                of[what].sort(key=lambda one: (one["name"], one.get("mountPath")))
                names = [one["name"] for one in of[what]]
                assert len(names) == len(set(names)), f"a name occurs twice in {what}: {names}"
    return found


def compare(where, chart, manifests):
    for key in sorted(chart.keys() | manifests.keys()):
        sides = [yaml.safe_dump(side.get(key)).splitlines() for side in (manifests, chart)]
        if sides[0] != sides[1]:
            diff = difflib.unified_diff(*sides, "kustomize", "chart", lineterm="", n=2)
            failures.append(f"{where}: {key} differs\n" + "\n".join(diff))


validated = set()


def validate(where, objects):
    """Validates each object against the schemas of Kubernetes. An object that was validated in another case is not
    validated again."""
    for o in objects:
        text = json.dumps(o, sort_keys=True)
        if o["apiVersion"] in NO_SCHEMA or text in validated:
            continue
        validated.add(text)
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(o, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                failures.append(f"{where}: {o['kind']} for Kubernetes {version}: {error.message}")


def paths(values, schema):
    """Returns the paths of all values that the schema declares and the values have."""
    for key, value in (values or {}).items():
        nested = schema.get("properties", {}).get(key, {})
        if isinstance(value, dict) and "properties" in nested:
            yield from (f"{key}.{rest}" for rest in paths(value, nested))
        else:
            yield key


def check_values(cases, schema):
    """Checks that the schema has the values of values.yaml, that a case has each of them, and that each setting can be
    set."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    declared, known = set(defaults), set(schema["properties"]) - {"global"}
    must(declared == known, f"only values.yaml or only the schema has {sorted(declared ^ known)}")
    in_cases = {path for case in cases for path in paths(case.get("values"), schema)}
    missing = set(paths(defaults, schema)) - in_cases
    must(not missing, f"no case has the values {sorted(missing)}")
    settings = runpy.run_path(str(ROOT / ".ci/deploy-check.py"))["settings"]()
    settable = set(schema["properties"]["settings"]["propertyNames"]["enum"]) | OWN_SETTINGS
    must(settable == settings, f"values.schema.json lacks or adds the settings {sorted(settable ^ settings)}")


def all_settings(schema):
    """Returns a case with every setting. The value is one that BLACKBOX_LISTEN may have: it sets the port too."""
    settings = dict.fromkeys(schema["properties"]["settings"]["propertyNames"]["enum"], ":1")
    replace = {
        "/spec/template/spec/containers/0/ports": [{"name": "http", "containerPort": 1}],
        "/spec/template/metadata/annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "1"},
    }
    env = [{"name": name, "value": value} for name, value in settings.items()]
    return {"case": "all settings", "values": {"settings": settings}, "container": {"env": env}, "replace": replace}


def is_closed(schema, where="values"):
    """Checks that each object of the schema that lists its keys refuses other keys."""
    if "properties" in schema:
        must(schema.get("additionalProperties") is False, f"values.schema.json: {where} takes unknown keys")
    for key, nested in schema.get("properties", {}).items():
        is_closed(nested, f"{where}.{key}")


def check_refused(chart):
    for values, word in REFUSED:
        try:
            render(chart, values)
        except helm_python.HelmError as error:
            must(word in str(error), f"the message for {values} does not contain {word!r}: {error}")
        else:
            failures.append(f"the chart accepts {values}")


def check_notes(chart):
    label = "pod-security.kubernetes.io/enforce=privileged"
    for namespace, lines in (("kube-system", 2), (NAMESPACE, 3)):
        _, notes = render(chart, {}, "night", namespace)
        must(len(notes.strip().splitlines()) == lines, f"the notes for {namespace} have other lines: {notes}")
        must((label in notes) is (namespace != "kube-system"), f"the notes for {namespace}: {notes}")
        must(notes.count(f"--namespace {namespace} ") == 2, f"the notes name another namespace: {notes}")
        must(notes.count("daemonset/night-blackbox-daemon") == 2, f"the notes name another DaemonSet: {notes}")


def main():
    folder = pathlib.Path(sys.argv[1])
    schema = json.loads((CHART / "values.schema.json").read_text())
    cases = yaml.safe_load((ROOT / ".ci/chart-cases.yaml").read_text())
    cases.append(all_settings(schema))
    check_values(cases, schema)
    is_closed(schema)
    report = helm_python.lint(CHART, {}, strict=True)
    worse = [m for m in report["messages"] if m["severity"] > 1]
    must(not worse and not report["errors"], f"helm lint: {worse} {report['errors']}")
    with helm_python.Chart.load(CHART) as chart:
        for number, case in enumerate(cases):
            where, release = case["case"], case.get("release", NAME)
            objects, _ = render(chart, case.get("values") or {}, release)
            validate(where, objects)
            own = [without_chart_labels(where, o, release) for o in objects]
            compare(where, normal(own), normal(with_plain_values(overlay(folder / str(number), case))))
        check_refused(chart)
        check_notes(chart)
    version = helm_python.helm_sdk_version()
    print(f"Helm {version}: {len(cases)} cases, {len(validated)} objects, {len(REFUSED)} refusals")
    for failure in failures:
        print(f"FAILED {failure}")
    sys.exit(bool(failures))


main()
