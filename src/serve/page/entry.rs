//! One incident on the page.

use jiff::Timestamp;

use crate::core::case::Severity;
use crate::core::cgroup::sample::column;
use crate::core::display::parsed::Value;
use crate::core::display::units::{ago, bytes, cores, date_time, percent};
use crate::serve::page::chart::Chart;
use crate::serve::page::html::{clamped, element, number, put, text, time_tag};
use crate::serve::page::timeline;

/// Writes the incident of a line. A line that cannot be parsed is shown as raw text. The groups link to its number.
pub(super) fn write(out: &mut String, line: &[u8], incident_number: u64, now: Timestamp) {
    match Value::parse(line) {
        Some(incident) => {
            summary(out, &incident, incident_number, now);
            charts(out, &incident);
            timeline::write(out, &incident);
            list(out, "Evidence", incident.at(&["metadata", "evidence"]));
            containers(out, &incident);
            pod(out, &incident);
            node(out, &incident);
            list(out, "Missing", incident.at(&["telemetry", "gaps"]));
            element(
                out,
                "<h2>Incident</h2><p>id <code class=\"id\">",
                incident.text("id"),
                "</code></p>",
            );
        }
        None => put(
            out,
            "<details class=\"i\"><summary>a line that this page cannot read</summary><div>",
        ),
    }
    put(out, "<details class=\"raw\"><summary>the incident line as written</summary><pre>");
    text(out, String::from_utf8_lossy(line).trim_end());
    put(out, "</pre></details></div></details>\n");
}

fn summary(out: &mut String, incident: &Value, incident_number: u64, now: Timestamp) {
    let severity = Severity::from_name(incident.text("severity")).map_or("", Severity::name);
    put(out, "<details id=\"i");
    number(out, incident_number);
    put(out, "\" class=\"i ");
    put(out, severity);
    element(out, "\"><summary><span class=\"s\">", incident.text("severity"), "</span> <b>");
    element(out, "", incident.text("type"), "</b> <span class=\"dim\">");
    if let Some(at) = incident.time("occurred_at") {
        time_tag(out, at, &date_time(at));
        element(out, ", ", &ago(at, now), "");
    }
    element(out, "</span> <bdi>", &incident.subject(), "");
    let container = incident.text("container");
    if !container.is_empty() {
        element(out, "</bdi> <span class=\"dim\">container</span> <bdi>", container, "");
    }
    let message = incident.text("message");
    element(out, "</bdi><span class=\"m\">", message, "</span></summary><div>");
}

fn charts(out: &mut String, incident: &Value) {
    let samples = incident.at(&["telemetry", "container"]);
    let own = incident.at(&["containers"]).items().iter();
    let own = own.into_iter().find(|c| is_own(incident, c)).unwrap_or(&Value::Null);
    put(out, "<div class=\"charts\">");
    for (title, name, limit, unit) in [
        (
            "Memory",
            column::MEMORY_BYTES,
            samples.number("memory_limit_bytes"),
            bytes as fn(u64) -> String,
        ),
        (
            "CPU",
            column::CPU_MILLICORES,
            own.at(&["resources"]).number("cpu_limit_millicores"),
            cores,
        ),
        ("CPU throttled", column::CPU_THROTTLED_PERCENT, None, percent),
    ] {
        let values = samples.at(&[name]).items();
        let is_none = |value: &Value| !matches!(value, Value::Number(n) if *n > 0.0);
        // The throttled share is usually zero for the whole chart; leave it out then.
        if name == column::CPU_THROTTLED_PERCENT && values.iter().all(is_none) {
            continue;
        }
        let ages = samples.at(&[column::AGE_SECONDS]).items();
        Chart { title, limit, ages, values, unit }.draw(out);
    }
    put(out, "</div>");
    if let Some(peak) = samples.number("memory_peak_bytes").map(clamped).filter(|peak| *peak > 0) {
        let before = "<p class=\"dim\">Peak memory since the container started, from the kernel: ";
        element(out, before, &bytes(peak), "</p>");
    }
}

/// Returns true if the incident is about this container.
fn is_own(incident: &Value, container: &Value) -> bool {
    incident.text("container") == container.text("name")
}

/// Writes a list of short facts; writes nothing if the list is empty.
fn list(out: &mut String, title: &str, items: &Value) {
    if items.items().is_empty() {
        return;
    }
    element(out, "<h2>", title, "</h2><ul>");
    for item in items.items() {
        if let Value::Text(item) = item {
            element(out, "<li>", item, "</li>");
        }
    }
    put(out, "</ul>");
}

fn containers(out: &mut String, incident: &Value) {
    put(
        out,
        "<h2>Containers</h2><div class=\"w\"><table><thead><tr><th>name</th><th>state</th>\
         <th>last termination</th><th>restarts</th><th>limits</th><th>image</th></tr></thead>\
         <tbody>",
    );
    for c in incident.at(&["containers"]).items() {
        put(out, if is_own(incident, c) { "<tr class=\"now\"><td>" } else { "<tr><td>" });
        text(out, c.text("name"));
        let kind = c.text("kind");
        element(out, " <span class=\"dim\">", if kind == "app" { "" } else { kind }, "</span>");
        element(out, "</td><td>", c.text("state"), "</td><td>");
        ending(out, c);
        put(out, "</td><td class=\"n\">");
        number(out, c.number("restart_count").map_or(0, clamped));
        put(out, "</td><td class=\"n\">");
        limits(out, c.at(&["resources"]));
        element(out, "</td><td>", c.text("image"), "</td></tr>");
    }
    put(out, "</tbody></table></div>");
}

fn ending(out: &mut String, c: &Value) {
    if let Some(code) = c.number("exit_code") {
        put(out, if code < 0.0 { "exit code -" } else { "exit code " });
        number(out, clamped(code.abs()));
        out.push(' ');
    }
    text(out, c.text("reason"));
    let message = c.text("message").trim_end();
    if !message.is_empty() {
        element(out, "<pre>", message, "</pre>");
    }
}

fn limits(out: &mut String, resources: &Value) {
    let mut before = "";
    for (name, unit) in
        [("memory_limit_bytes", bytes as fn(u64) -> String), ("cpu_limit_millicores", cores)]
    {
        if let Some(limit) = resources.number(name) {
            element(out, before, &unit(clamped(limit)), "");
            before = ", ";
        }
    }
    put(out, if before.is_empty() { "none" } else { "" });
}

/// Writes the node's conditions that are not in their healthy state.
fn node(out: &mut String, incident: &Value) {
    let is_bad = |c: &&Value| (c.text("type") == "Ready") != (c.text("status") == "True");
    let conditions = incident.at(&["telemetry", "node", "conditions"]).items();
    for (n, condition) in conditions.iter().filter(is_bad).enumerate() {
        put(out, if n == 0 { "<h2>Node</h2>" } else { "" });
        element(out, "<p>", condition.text("type"), " is ");
        element(out, "<b>", condition.text("status"), "</b></p>");
    }
}

fn pod(out: &mut String, incident: &Value) {
    let metadata = incident.at(&["metadata"]);
    let owner = metadata.at(&["owner"]);
    let owner = owner.text("kind").to_owned() + " " + owner.text("name");
    put(out, "<h2>Pod</h2><ul>");
    for (before, value) in [
        ("<li>owner ", owner.trim()),
        ("<li>QoS class ", metadata.text("qos_class")),
        ("<li>container id ", incident.text("container_id")),
        ("<li>pod uid ", incident.text("pod_uid")),
        ("<li>the type is ", metadata.text("confidence")),
    ] {
        if !value.is_empty() {
            element(out, before, value, "</li>");
        }
    }
    for (name, value) in metadata.at(&["labels"]).fields() {
        if let Value::Text(value) = value {
            element(out, "<li>label <code>", name, "=");
            element(out, "", value, "</code></li>");
        }
    }
    put(out, "</ul>");
}
