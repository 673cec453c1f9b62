"""Checks that the alerts of the demo's agent arrive at a receiver behind Alertmanager, with which labels and texts.

The argument is the demo. Two Prometheus servers scrape the same agents. "shipped" has the rules as they are. "scaled"
has a copy in which each minute is a second, for the alerts that wait for minutes. Alertmanager has the example of its
configuration with the receiver's address and shorter times. Everything listens on free ports of loopback only.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MONITORING = ROOT / "deploy/monitoring"
JOB = "blackbox-daemon"
# The recording's seven minutes last for more than the minute in which a new workload shows 0.
PACE = "5"
# How long a workload's first incident may need to arrive: that minute, and some seconds for the way.
SECONDS_TO_ARRIVE = 66
SECONDS_MAX = 120
# node2 cannot reach its API server, and nothing listens on node3.
UNREACHABLE = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1:DEAD", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
"""
PROMETHEUS = """
global: {scrape_interval: 500ms, evaluation_interval: 1s, external_labels: {rules: NAME}}
rule_files: [NAME.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:ALERTMANAGER"]}]}]}
scrape_configs:
- job_name: blackbox-daemon
  honor_labels: true
  static_configs:
  - {targets: ["127.0.0.1:NODE1"], labels: {node: node1, namespace: kube-system}}
  - {targets: ["127.0.0.1:NODE2"], labels: {node: node2, namespace: kube-system}}
  - {targets: ["127.0.0.1:DEAD"], labels: {node: node3, namespace: kube-system}}
"""
# The alerts on one node that must arrive: name, rules, node, further labels, and what the text contains.
ON_NODES = (
    ("HighPodCrashRate", "scaled", "node1", {"type": "crash"}, r"Most of the incidents: shop/\w+/\S+ \(\d+\)"),
    ("KubernetesAPIDown", "scaled", "node3", {}, r"no answer from the agent on node3"),
    ("BlackboxWatchNeverOpened", "scaled", "node2", {}, r"the agent on node2 has had no sign of life"),
    ("BlackboxRecorderNotWritten", "scaled", "node2", {}, r"writes of BLACKBOX_RECORDER_FILE on node2"),
    ("BlackboxIncidentsDropped", "shipped", "node1", {"sink": "webhook"}, r"lines for the sink webhook"),
)
ON_WORKLOADS = {"BlackboxContainerCrashLoop", "BlackboxContainerOOMKilled", "BlackboxIncident"}
# The severities of the incidents that the agent itself posts as alerts.
OWN_SEVERITIES = {"critical": "critical", "high": "warning"}


def free_ports(count):
    """Returns ports that are free now. They are held until all are known, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def fill(text, values):
    for key, value in values.items():
        text = text.replace(key, str(value))
    return text


def scaled(rules):
    """Returns the rules with seconds in place of minutes, in "for" and in the ranges of queries."""
    unit = {"m": 1, "h": 60}
    times = re.compile(r"(?<=\[)(\d+)([mh])(?=\])|(?<=for: )(\d+)([mh])")

    def shorter(match):
        number, name = [group for group in match.groups() if group]
        return f"{int(number) * unit[name]}s"

    text, count = times.subn(shorter, rules)
    blank = re.compile(r"(?<=\[)\d+[smh](?=\])|(?<=for: )\d+[smh]")
    assert count > 20 and blank.sub("TIME", text) == blank.sub("TIME", rules), "more than times changed in the rules"
    return text


class Receiver:
    """Records the messages of Alertmanager, and refuses the agent's own webhook."""

    def __init__(self):
        messages = self.messages = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                is_refused = self.path == "/refuse"
                if not is_refused:
                    messages.append((self.path.strip("/"), json.loads(body)))
                self.send_response(400 if is_refused else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def arrived(self):
        """Returns the newest notice of each firing alert, as (receiver, grouped by, labels, annotations)."""
        newest = {}
        for receiver, message in list(self.messages):
            for alert in message["alerts"]:
                if alert["status"] == "firing":
                    key = (receiver, *sorted(alert["labels"].items()))
                    newest[key] = (receiver, message["groupLabels"], alert["labels"], alert["annotations"])
        return list(newest.values())


class Lines:
    """Reads the incident lines of the demo."""

    def __init__(self, stream):
        self.lines, self.stream = [], stream
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.stream:
            self.lines.append((time.monotonic(), json.loads(line)))

    def single(self, since, until):
        """Returns the namespaces, workloads and types that had their only incident in this time."""
        times = {}
        for at, line in list(self.lines):
            times.setdefault((*workload(line), line["type"]), []).append(at)
        return {key for key, at in times.items() if len(at) == 1 and since < at[0] < until}

    def looping(self, until):
        """Returns the workloads in a crash loop that had their first incident before this time."""
        lines = list(self.lines)
        early = {workload(line) for at, line in lines if at < until}
        loops = {workload(line) for _, line in lines if (line["metadata"]["restarts"] or {}).get("crash_loop")}
        return early & loops

    def own_alerts(self):
        """Returns the label sets of the alerts that the agent posts itself."""
        alerts = set()
        for _, line in list(self.lines):
            if line["severity"] in OWN_SEVERITIES:
                namespace, name = workload(line)
                labels = {"alertname": "BlackboxIncident", "namespace": namespace, "workload": name}
                labels |= {key: line.get(key) for key in ("type", "container", "fingerprint")}
                labels |= {"severity": OWN_SEVERITIES[line["severity"]], "cluster": line["metadata"].get("cluster")}
                alerts.add(frozenset((key, value) for key, value in labels.items() if value))
        return alerts


def workload(line):
    one = line["metadata"].get("workload")
    return line["namespace"], f"{one['kind']}/{one['name']}" if one else ""


def problems_with(lines, read_at, rising, arrived, held):
    """Returns what is still missing or wrong.

    `read_at`: when somebody had read the agent's metrics for the first time. `rising`: the namespaces, workloads and
    types for which Prometheus sees an increase. `arrived`: notices. `held`: what Alertmanager's API shows.
    """
    found = []

    def must(is_true, text):
        if not is_true:
            found.append(text)

    def named(name, rules):
        return [one for one in arrived if one[2]["alertname"] == name and one[2].get("rules") == rules]

    # The alerts on one node go to the default receiver, grouped over all nodes.
    for name, rules, node, labels, text in ON_NODES:
        notices = [one for one in named(name, rules) if one[2].get("node") == node]
        must(len(notices) == 1, f"{name}: {len(notices)} for {node}")
        for receiver, group, own, annotations in notices:
            must(receiver == "on-call" and group.get("alertname") == name, f"{name}: {receiver} got it, {group}")
            must(own["job"] == JOB and own["severity"] == "warning", f"{name}: wrong labels {own}")
            must(labels.items() <= own.items(), f"{name}: wrong labels {own}")
            must(re.search(text, annotations["description"]), f"{name}: wrong text {annotations['description']!r}")
            must(annotations["runbook"].endswith(f"#{name.lower()}"), f"{name}: wrong runbook {annotations['runbook']}")

    # Prometheus sees an increase even if there was only one incident.
    single = lines.single(read_at, time.monotonic() - SECONDS_TO_ARRIVE)
    must(single, "no workload had a single incident")
    must(single <= rising, f"no increase for a single incident of {sorted(single - rising)}")

    # The alerts on workloads go to the team of the namespace, one message for each workload.
    loops = named("BlackboxContainerCrashLoop", "shipped")
    got = {(one[2]["namespace"], one[2]["workload"]) for one in loops}
    due, known = lines.looping(time.monotonic() - SECONDS_TO_ARRIVE), lines.looping(time.monotonic())
    must(len(due) > 10, f"only {len(due)} crash loops are due")
    must(due <= got, f"these crash loops did not arrive: {sorted(due - got)}")
    must(got <= known, f"these crash loops are none: {sorted(got - known)}")
    for receiver, group, own, annotations in loops:
        who = f"{own['namespace']}/{own['workload']}"
        must(receiver == "team-shop", f"crash loop of {who}: {receiver} got it")
        must(group == {key: own[key] for key in ("alertname", "namespace", "workload")}, f"{who}: the group is {group}")
        must(annotations["summary"] == f"Crash loop in {who}", f"wrong text {annotations['summary']!r}")
        must("Nodes: 1, most on node1." in annotations["description"], f"wrong text {annotations['description']!r}")
    text = [one[3]["description"] for one in loops if one[2]["workload"] == "Pod/oom"]
    must(text and "in that time: oom." in text[0], f"the crash loop of shop/Pod/oom has the text {text}")

    # OOM kills in a crash loop arrive at Alertmanager, which does not report them again.
    kills = [one for one in held if one["labels"]["alertname"] == "BlackboxContainerOOMKilled"]
    kills = {one["labels"]["workload"]: one for one in kills if one["labels"]["rules"] == "shipped"}
    must({"Pod/oom", "Pod/oom-two"} <= kills.keys(), f"OOM kills arrived only of {sorted(kills)}")
    for who, one in kills.items():
        must(one["labels"]["namespace"] == "shop", f"OOM kill of {who}: wrong labels {one['labels']}")
        must(f"OOM kills in shop/{who}" in one["annotations"]["description"], f"wrong text {one['annotations']}")
        must(one["status"]["inhibitedBy"], f"OOM kill of {who}: nothing inhibits it")
    must(not named("BlackboxContainerOOMKilled", "shipped"), "an OOM kill is reported beside its crash loop")

    # The agent's own alerts: one for each set of labels, and one message for each workload and type.
    own = named("BlackboxIncident", None)
    sets, wanted = {frozenset(one[2].items()) for one in own}, lines.own_alerts()
    must(sets == wanted, f"{len(sets)} alerts of the agent itself, expected {len(wanted)}: {list(sets ^ wanted)[:2]}")
    for receiver, group, labels, annotations in own:
        must(receiver == "team-shop", f"{labels}: {receiver} got it")
        keys = ("alertname", "namespace", "workload", "type")
        must(group == {key: labels[key] for key in keys}, f"{labels}: the group is {group}")
        must(annotations.keys() >= {"summary", "incident_id", "pod", "node"}, f"{labels}: it has only {annotations}")

    # No alert without a cause.
    causes = {(name, node) for name, _, node, _, _ in ON_NODES} | {(name, None) for name in ON_WORKLOADS}
    without = {(one["labels"]["alertname"], one["labels"].get("node")) for one in held} - causes
    must(not without, f"alerts without a cause: {without}")
    return found


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def wait_for(url, process):
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            return get(url)
        except OSError:
            time.sleep(0.1)
    sys.exit(f"no answer from {url}")


def run(demo, folder, children):
    def start(name, *words, **more):
        log = open(folder / f"{name}.log", "w")
        child = subprocess.Popen([str(word) for word in words], **{"stdout": log, "stderr": log, "cwd": folder} | more)
        children.append(child)
        return child

    receiver = Receiver()
    names = ("ALERTMANAGER", "SHIPPED", "SCALED", "NODE1", "NODE2", "DEAD")
    ports = dict(zip(names, free_ports(len(names))))
    rules, routes = (MONITORING / "rules.yaml").read_text(), (MONITORING / "alertmanager.yaml").read_text()
    (folder / "shipped.yaml").write_text(rules)
    (folder / "scaled.yaml").write_text(scaled(rules))
    (folder / "kubeconfig").write_text(fill(UNREACHABLE, ports))
    # Messages repeat within seconds, so that the newest text arrives.
    routes = re.sub(r"http://([\w-]+)\.invalid/", rf"http://127.0.0.1:{receiver.port}/\1", routes)
    routes = re.sub(r"(group_wait|group_interval|repeat_interval): \w+", r"\1: 1s", routes)
    (folder / "alertmanager.yaml").write_text(routes)

    alertmanager = f"127.0.0.1:{ports['ALERTMANAGER']}"
    child = start("alertmanager", "prometheus-alertmanager", "--config.file=alertmanager.yaml", "--storage.path=held",
                  f"--web.listen-address={alertmanager}", "--cluster.listen-address=")
    wait_for(f"http://{alertmanager}/-/ready", child)
    plain = {"PATH": os.environ["PATH"], "RUST_LOG": "warn", "TMPDIR": str(folder)}
    started = time.monotonic()
    # The agent ends with its standard input.
    node2 = start("node2", demo, "--as-agent", stdin=subprocess.PIPE, env=plain | {
        "NODE_NAME": "node2", "KUBECONFIG": "kubeconfig", "BLACKBOX_LISTEN": f"127.0.0.1:{ports['NODE2']}",
        "BLACKBOX_RECORDER_FILE": "kubeconfig/recorder", "BLACKBOX_SAMPLE_INTERVAL": "1s"})
    settings = {"BLACKBOX_LISTEN": f"127.0.0.1:{ports['NODE1']}",
                "BLACKBOX_WEBHOOK_URL": f"http://127.0.0.1:{receiver.port}/refuse",
                "BLACKBOX_ALERTMANAGER_URL": f"http://{alertmanager}"}
    node1 = start("node1", demo, "--pace", PACE, "--json", stdout=subprocess.PIPE, env=plain | settings)
    lines = Lines(node1.stdout)
    wait_for(f"http://127.0.0.1:{ports['NODE2']}/metrics", node2)
    wait_for(f"http://127.0.0.1:{ports['NODE1']}/metrics", node1)
    # Lines that are on their way now were counted before.
    read_at = time.monotonic() + 0.5
    for name in ("shipped", "scaled"):
        (folder / f"{name}-prometheus.yaml").write_text(fill(PROMETHEUS, ports | {"NAME": name}))
        address = f"127.0.0.1:{ports[name.upper()]}"
        child = start(name, "prometheus", f"--config.file={name}-prometheus.yaml", f"--storage.tsdb.path=data-{name}",
                      f"--web.listen-address={address}", "--rules.alert.resend-delay=1s")
        wait_for(f"http://{address}/-/ready", child)
    query = urllib.parse.quote("increase(blackbox_workload_incidents_total[10m]) > 0")

    while True:
        time.sleep(1)
        seconds = time.monotonic() - started
        held = json.loads(get(f"http://{alertmanager}/api/v2/alerts"))
        answer = json.loads(get(f"http://127.0.0.1:{ports['SHIPPED']}/api/v1/query?query={query}"))
        labels = [one["metric"] for one in answer["data"]["result"]]
        rising = {(one.get("namespace", ""), one["workload"], one["type"]) for one in labels}
        arrived = receiver.arrived()
        problems = problems_with(lines, read_at, rising, arrived, held)
        if not problems:
            break
        if seconds > SECONDS_MAX or node1.poll() is not None:
            return problems
    print(f"{len(lines.lines)} incidents, {len(receiver.messages)} messages, {len(arrived)} alerts, {seconds:.0f} s:")
    for name in sorted({one[2]["alertname"] for one in arrived}):
        texts = sorted(one[3]["summary"] for one in arrived if one[2]["alertname"] == name)
        print(f"  {name}: {len(texts)}, first: {texts[0]}")
    return []


def main():
    demo = Path(sys.argv[1]).resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    children = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            problems = run(demo, folder, children)
            for text in problems:
                print(text)
            if problems:
                for log in sorted(folder.glob("*.log")):
                    print(f"-- {log.name}", *log.read_text().splitlines()[-5:], sep="\n")
        finally:
            for child in children:
                child.kill()
                child.wait()
    return 1 if problems else 0


sys.exit(main())
