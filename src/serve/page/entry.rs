//! One incident in full: first what decides, then what happened before, then all that is known, at last the line itself.

use std::sync::Arc;

use jiff::Timestamp;

use crate::core::display::parsed::Value;
use crate::core::display::units::date_time;
use crate::limits::{PAGE_RELATED_BYTES_MAX, PAGE_RELATED_MAX};
use crate::serve::page::html::{element, link, put, text};
use crate::serve::page::{curves, facts, kernel, log, row, timeline};
use crate::serve::recent::Snapshot;

/// Room for the last link of a list, with the longest names.
const END_BYTES: usize = 3000;

/// Writes the incident of a line.
pub(super) fn write(out: &mut String, line: &[u8], snapshot: &Snapshot, now: Timestamp) {
    let Some(incident) = Value::parse(line) else { return };
    put(out, "<article class=\"i ");
    put(out, row::severity_class(&incident));
    put(out, "\"><h2><span class=\"s\">");
    row::title(out, &incident);
    put(out, "</h2><p class=\"dim\">");
    row::when(out, &incident, now);
    element(out, "</p><p class=\"say\">", incident.text("message"), "</p>");
    cause(out, incident.at(&["cause"]));
    facts::top(out, &incident);
    log::write(out, &incident);
    curves::write(out, &incident);
    timeline::write(out, &incident);
    facts::list(out, "Evidence", incident.at(&["metadata", "evidence"]));
    kernel::write(out, &incident);
    facts::containers(out, &incident);
    facts::pod(out, &incident);
    facts::node(out, &incident);
    facts::list(out, "Missing", incident.at(&["telemetry", "gaps"]));
    related(out, &incident, snapshot);
    put(
        out,
        "<h3>The incident line</h3><p class=\"dim\">A click selects all of it. Its id is <code>",
    );
    text(out, incident.text("id"));
    put(out, "</code>.</p><pre class=\"raw\">");
    text(out, String::from_utf8_lossy(line).trim_end());
    put(out, "</pre></article>\n");
}

/// Writes the cause in the words of the application.
fn cause(out: &mut String, cause: &Value) {
    if cause.text("message").is_empty() {
        return;
    }
    put(out, "<p class=\"say\"><mark>cause</mark> <b>");
    let error_type = cause.text("error_type");
    element(out, "", error_type, if error_type.is_empty() { "" } else { ": " });
    element(out, "", cause.text("message"), "</b>");
    for &(before, name) in &[("; while: ", "context"), ("; at ", "location")] {
        if !cause.text(name).is_empty() {
            element(out, before, cause.text(name), "");
        }
    }
    let source = match cause.text("source") {
        "log" => " (from the log)",
        "termination_message" => " (from the termination message)",
        "status" => " (from the status)",
        _ => "",
    };
    put(out, source);
    put(out, "</p>");
}

/// Writes links to the other incidents of the same pod, and of the same fingerprint.
fn related(out: &mut String, incident: &Value, snapshot: &Snapshot) {
    let (namespace, pod) = (incident.text("namespace"), incident.text("pod_name"));
    let print = incident.text("fingerprint");
    if !pod.is_empty() {
        let is_of_pod =
            |other: &Value| other.text("pod_name") == pod && other.text("namespace") == namespace;
        let all = [("namespace", namespace), ("pod", pod)];
        others(out, "Of the same pod", incident, snapshot, &all, &is_of_pod);
    }
    if !print.is_empty() {
        let is_alike = |other: &Value| other.text("fingerprint") == print;
        let all = [("fingerprint", print)];
        others(out, "With the same fingerprint", incident, snapshot, &all, &is_alike);
    }
}

/// Writes a list of links; nothing if there are no other incidents.
fn others(
    out: &mut String,
    title: &'static str,
    incident: &Value,
    snapshot: &Snapshot,
    all: &[(&'static str, &str)],
    is_related: &dyn Fn(&Value) -> bool,
) {
    let start = out.len();
    element(out, "<h3>", title, "</h3><ul>");
    let is_other = |other: &Value| other.text("id") != incident.text("id") && is_related(other);
    let parse = |line: &Arc<[u8]>| Value::parse_head(line);
    let others = snapshot.lines.iter().rev().filter_map(parse).filter(is_other);
    let mut shown = 0;
    for other in others.take(PAGE_RELATED_MAX) {
        let before = out.len();
        put(out, "<li>");
        link(out, &[("id", other.text("id"))]);
        element(out, "", &other.time("occurred_at").map(date_time).unwrap_or_default(), " ");
        element(out, "<b>", other.text("type"), "</b> <bdi>");
        element(out, "", &other.subject(), "</bdi> <bdi>");
        element(out, "", other.text("container"), "</bdi></a></li>");
        if out.len() - start > PAGE_RELATED_BYTES_MAX - END_BYTES {
            out.truncate(before);
            break;
        }
        shown += 1;
    }
    if shown == 0 {
        out.truncate(start);
        return;
    }
    put(out, "<li>");
    link(out, all);
    put(out, "all of them in a list</a></li></ul>");
}
