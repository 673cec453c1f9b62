//! The facts of an incident: what the line says of the pod, its containers and its node, in words and tables.

use crate::core::display::parsed::Value;
use crate::core::display::units::{bytes, cores};
use crate::serve::page::html::{clamped, date_tag, element, link, number, put, text};

/// Writes the facts at the top: what, where, and how it ended.
pub(super) fn top(out: &mut String, incident: &Value) {
    put(out, "<ul class=\"k\">");
    let namespace = incident.text("namespace");
    for &(title, name) in &[
        ("Cluster", "cluster"),
        ("Namespace", "namespace"),
        ("Workload", "workload"),
        ("Pod", "pod_name"),
        ("Container", "container"),
        ("Image", "image"),
        ("Reason", "reason"),
        ("Fingerprint", "fingerprint"),
    ] {
        let value = incident.text(name);
        let filter = if name == "pod_name" { "pod" } else { name };
        if value.is_empty() {
            continue;
        }
        element(out, "<li><span class=\"dim\">", title, "</span> ");
        let is_linked = name != "cluster" && name != "container" && name != "reason";
        if is_linked {
            let is_in_namespace = name == "workload" || name == "pod_name";
            let namespace = if is_in_namespace { namespace } else { "" };
            link(out, &[("namespace", namespace), (filter, value)]);
        }
        element(out, "<bdi>", value, "</bdi>");
        put(out, if is_linked { "</a></li>" } else { "</li>" });
    }
    for &(title, name) in &[("Exit code", "exit_code"), ("Signal", "signal")] {
        if let Some(value) = incident.number(name) {
            element(out, "<li><span class=\"dim\">", title, "</span> ");
            whole(out, value);
            put(out, "</li>");
        }
    }
    seen(out, incident);
    put(out, "</ul>");
}

/// Writes how often there was such an incident on this node, and how often the container was restarted.
fn seen(out: &mut String, incident: &Value) {
    let seen = incident.at(&["metadata", "seen"]);
    if let Some(count) = seen.number("count") {
        put(out, "<li><span class=\"dim\">Seen on this node</span> ");
        number(out, clamped(count));
        put(out, if count > 1.0 { " times" } else { " time" });
        if let Some(at) = seen.time("first_at") {
            put(out, ", first ");
            date_tag(out, at);
        }
        put(out, "</li>");
    }
    let restarts = incident.at(&["metadata", "restarts"]);
    if let Some(total) = restarts.number("total") {
        put(out, "<li><span class=\"dim\">Restarts</span> ");
        number(out, clamped(total));
        put(out, if restarts.is_true("crash_loop") { ", in crash loop back-off" } else { "" });
        put(out, "</li>");
    }
}

/// Writes a number that may be below zero.
pub(super) fn whole(out: &mut String, value: f64) {
    put(out, if value < 0.0 { "-" } else { "" });
    number(out, clamped(value.abs()));
}

pub(super) fn containers(out: &mut String, incident: &Value) {
    // A line of a rush has none.
    if incident.at(&["containers"]).items().is_empty() {
        return;
    }
    put(
        out,
        "<h3>Containers</h3><div class=\"w\" tabindex=\"0\" role=\"region\" aria-label=\"Containers\"><table><thead><tr><th scope=\"col\">name</th><th scope=\"col\">state</th>\
         <th scope=\"col\">last termination</th><th scope=\"col\">restarts</th><th scope=\"col\">limits</th><th scope=\"col\">image</th></tr></thead>\
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

/// Returns true if the incident is about this container.
fn is_own(incident: &Value, container: &Value) -> bool {
    incident.text("container") == container.text("name")
}

fn ending(out: &mut String, c: &Value) {
    if let Some(code) = c.number("exit_code") {
        put(out, "exit code ");
        whole(out, code);
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
pub(super) fn node(out: &mut String, incident: &Value) {
    let conditions = incident.at(&["telemetry", "node", "conditions"]).items();
    for (n, condition) in conditions.iter().filter(|c| c.is_bad_condition()).enumerate() {
        put(out, if n == 0 { "<h3>Node</h3>" } else { "" });
        element(out, "<p>", condition.text("type"), " is ");
        element(out, "<b>", condition.text("status"), "</b></p>");
    }
}

pub(super) fn pod(out: &mut String, incident: &Value) {
    let metadata = incident.at(&["metadata"]);
    let owner = metadata.at(&["owner"]);
    let owner = owner.text("kind").to_owned() + " " + owner.text("name");
    let is_of_node = incident.text("pod_name").is_empty();
    put(out, if is_of_node { "<h3>Type</h3><ul>" } else { "<h3>Pod</h3><ul>" });
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

/// Writes a list of short facts; writes nothing if the list is empty.
pub(super) fn list(out: &mut String, title: &str, items: &Value) {
    if items.items().is_empty() {
        return;
    }
    element(out, "<h3>", title, "</h3><ul>");
    for item in items.items() {
        if let Value::Text(item) = item {
            element(out, "<li>", item, "</li>");
        }
    }
    put(out, "</ul>");
}
