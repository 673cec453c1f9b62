"""Compares the alerts and the dashboard with the agent's metrics, with the runbooks and with each other.

Writes the queries of the dashboard and of the alerts' texts as a rule file to the path in its argument, for promtool. Uses only Python's
own library: it parses the YAML files line by line, and supports only the one form that they have.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MONITORING = ROOT / "deploy/monitoring"
RUNBOOKS = "docs/runbooks.md"
# Labels and metrics that Prometheus and the scrape add.
TARGET_LABELS = {"job", "instance", "node"}
# Labels whose values come from the cluster.
WORKLOAD_LABELS = {"namespace", "workload"}
FOREIGN = {"up"}
# What agents post to Alertmanager themselves.
OWN_ALERTS = {"BlackboxIncident"}
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "bool", "offset"}
SEVERITIES = {"critical", "warning", "info"}
# The variables that Grafana replaces, and a sample value of each.
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$job": "blackbox-daemon", "$instance": ".*"}

problems = []


def problem(where, text):
    problems.append(f"{where}: {text}")


def golden_series():
    """Returns the label sets of each metric, as the agent has them at its start."""
    series = defaultdict(list)
    for line in (ROOT / "fixtures/metrics/start.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()
            series[name].append(dict(re.findall(r'(\w+)="([^"]*)"', labels or "")))
    # These begin with the first incident of a workload.
    types = {labels["type"] for labels in series["blackbox_incidents_total"]}
    for name in ("blackbox_workload_incidents_total", "blackbox_workload_crash_loop_incidents_total"):
        series[name] = [dict.fromkeys(WORKLOAD_LABELS, "") | {"type": one} for one in types]
    return series


SERIES = golden_series()
LABELS = {label for sets in SERIES.values() for labels in sets for label in labels} | TARGET_LABELS


def check_query(where, query):
    """Checks that every metric belongs to the agent, and has a series that the matchers select."""
    for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}", query):
        if name not in SERIES:
            continue  # Reported below.
        matching = SERIES[name]
        for label, how, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
            if label in TARGET_LABELS | WORKLOAD_LABELS:
                continue
            known = {labels.get(label) for labels in SERIES[name]}
            for one in value.split("|") if how in ("=~", "!~") else [value]:
                if one not in known:
                    problem(where, f"{name} has no {label}={one!r}")
            if how in ("=", "=~"):
                wanted = value.split("|") if how == "=~" else [value]
                matching = [labels for labels in matching if labels.get(label) in wanted]
        if not matching:
            problem(where, f"no series matches {name}{{{matchers}}}")
    bare = re.sub(r'"[^"]*"', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    grouping = r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)"
    for group in re.findall(grouping, bare):
        for label in filter(None, re.split(r"[\s,]+", group)):
            if label not in LABELS:
                problem(where, f"no series has the label {label}")
    bare = re.sub(grouping, "", bare)
    metrics = set(re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)) - WORDS
    if not metrics:
        problem(where, "the query contains no metric")
    for name in metrics - SERIES.keys() - FOREIGN:
        problem(where, f"the agent has no metric {name}")


def read_alerts():
    """Returns the alerts of rules.yaml, each as a flat dictionary."""
    alerts, block = [], None
    for line in (MONITORING / "rules.yaml").read_text().splitlines():
        indent, text = len(line) - len(line.lstrip()), line.strip()
        if not text or text.startswith("#"):
            block = None
            continue
        if block and indent > block[1]:
            alerts[-1][block[0]] = f"{alerts[-1][block[0]]} {text}".strip()
            continue
        block = None
        match = re.match(r"(?:- )?(\w+):(?: (.*))?$", text)
        if not match:
            problem("rules.yaml", f"this script cannot parse the line {line!r}")
            continue
        key, value = match.groups()
        if key == "alert":
            alerts.append({"alert": value})
        elif key not in ("groups", "name", "rules", "labels", "annotations"):
            if key in alerts[-1]:
                problem(alerts[-1]["alert"], f"the key {key} occurs twice")
            block = (key, indent) if value == ">-" else None
            alerts[-1][key] = "" if block else value
    return alerts


def anchors():
    """Returns the anchors that GitHub generates for the headings of the runbooks."""
    found = {}
    for heading in re.findall(r"^#+ (.*)$", (ROOT / RUNBOOKS).read_text(), re.MULTILINE):
        found[re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")] = heading
    return found


def check_alerts(alerts, queries):
    headings = anchors()
    for name, times in Counter(alert["alert"] for alert in alerts).items():
        if times > 1:
            problem(name, "more than one alert has this name")
    for alert in alerts:
        name = alert["alert"]
        for key in ("expr", "for", "severity", "summary", "description", "runbook"):
            if not alert.get(key):
                problem(name, f"the alert has no {key}")
        check_query(name, alert.get("expr", ""))
        if alert.get("severity") not in SEVERITIES:
            problem(name, f"unknown severity {alert.get('severity')}")
        texts = re.findall(r"query \(printf `([^`]*)`", alert.get("description", ""))
        for query in (text.replace("%q", '"x"') for text in texts):
            check_query(f"the text of {name}", query)
            queries.append(query)
        for label in re.findall(r"\$labels\.(\w+)", alert.get("summary", "") + alert.get("description", "")):
            if label not in LABELS:
                problem(name, f"its text uses the label {label}, which no series has")
        page, _, anchor = alert.get("runbook", "").partition("#")
        if page != RUNBOOKS or headings.get(anchor) != name:
            problem(name, f"its runbook {alert.get('runbook')} is not the heading {name} in {RUNBOOKS}")


def check_tests(alerts):
    text = (MONITORING / "rules.test.yaml").read_text()
    firing = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", text))
    silent = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts: \[\]\n", text))
    names = {alert["alert"] for alert in alerts}
    for name in sorted(names - firing):
        problem(name, "no test in which the alert fires")
    for name in sorted(names - silent):
        problem(name, "no test in which the alert is silent")
    for name in sorted((firing | silent) - names):
        problem("rules.test.yaml", f"there is no alert {name}")


def check_inhibitions(alerts):
    """Checks that the alerts in the example of Alertmanager's configuration exist."""
    text = (MONITORING / "alertmanager.yaml").read_text()
    for name in set(re.findall(r'alertname="(\w+)"', text)) - {alert["alert"] for alert in alerts} - OWN_ALERTS:
        problem("alertmanager.yaml", f"there is no alert {name}")


def check_dashboard(alerts, queries):
    """Returns the number of panels."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    names = {alert["alert"] for alert in alerts}
    if dashboard["id"] is not None:
        problem("dashboard.json", "the dashboard contains the id of one installation")
    cells = {}
    for panel in dashboard["panels"]:
        where = f"panel {panel['title']!r}"
        grid = panel["gridPos"]
        if grid["x"] + grid["w"] > 24:
            problem(where, "the panel is wider than the page")
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                if cells.setdefault((x, y), panel["id"]) != panel["id"]:
                    problem(where, f"the panel overlaps panel {cells[x, y]}")
        if panel["type"] == "row":
            continue
        if not panel.get("description"):
            problem(where, "the panel has no description")
        for name in re.findall(r"\b(?:Blackbox|Kubernetes|High|No)[A-Z]\w+", panel.get("description", "")):
            if name not in names:
                problem(where, f"its description names {name}, which is not an alert")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            problem(where, "the panel has no unit")
        if not panel["fieldConfig"]["defaults"].get("noValue"):
            problem(where, "the panel does not say what it means that it has no data: noValue")
        for target in panel["targets"]:
            if panel["datasource"]["uid"] != "${datasource}" or target["datasource"]["uid"] != "${datasource}":
                problem(where, "its data source is not the variable")
            query = target["expr"]
            for variable, value in VARIABLES.items():
                query = query.replace(variable, value)
            if "$" in query:
                problem(where, f"unknown variable in {query}")
            check_query(where, query)
            queries.append(query)
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                if label not in LABELS:
                    problem(where, f"its legend uses the label {label}, which no series has")
    panels = dashboard["panels"]
    for what in ("id", "title"):
        for value, times in Counter(panel[what] for panel in panels).items():
            if times > 1:
                problem("dashboard.json", f"{times} panels have the {what} {value!r}")
    return len(panels)


def main():
    alerts = read_alerts()
    if not alerts:
        problem("rules.yaml", "the file contains no alert")
    queries = []
    check_alerts(alerts, queries)
    check_tests(alerts)
    check_inhibitions(alerts)
    panels = check_dashboard(alerts, queries)
    # JSON is YAML.
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    Path(sys.argv[1]).write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    for text in problems:
        print(text)
    print(f"{len(alerts)} alerts, {panels} panels and rows, {len(queries)} queries: {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main())
