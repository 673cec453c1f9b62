//! One incident on the page.

use jiff::Timestamp;

use super::chart::Chart;
use super::html::{element, number, text};
use super::line::{Container, Line, Samples, Text, Values, time};
use super::timeline;
use super::units::{ago, bytes, cores, date_time, percent};
use crate::core::incident::Severity;

/// Writes the incident of a line; one that cannot be read is shown as it is.
pub(super) fn write(out: &mut String, line: &[u8], now: Timestamp) {
    let raw = String::from_utf8_lossy(line);
    let raw = raw.trim_end();
    match serde_json::from_str::<Line>(raw) {
        Ok(incident) => {
            summary(out, &incident, now);
            out.push_str("<div>");
            charts(out, &incident);
            timeline::write(out, &incident);
            list(out, "Evidence", &incident.metadata.evidence);
            containers(out, &incident);
            pod(out, &incident);
            list(out, "Missing", &incident.telemetry.gaps);
            out.push_str("<h2>Incident</h2><p>id ");
            element(out, "<code class=\"id\">", &incident.id, "</code></p>");
        }
        Err(_) => {
            out.push_str("<details class=\"i\"><summary>a line that this page cannot read");
            out.push_str("</summary><div>");
        }
    }
    out.push_str("<details class=\"raw\"><summary>the line as it was written</summary>");
    element(out, "<pre>", raw, "</pre></details></div></details>\n");
}

fn summary(out: &mut String, incident: &Line, now: Timestamp) {
    let severity = Severity::from_name(&incident.severity).map_or("", Severity::name);
    out.push_str("<details class=\"i ");
    out.push_str(severity);
    out.push_str("\"><summary><span class=\"s\">");
    text(out, &incident.severity);
    element(out, "</span> <b>", &incident.kind, "</b> ");
    if let Some(at) = time(&incident.occurred_at) {
        out.push_str("<span class=\"dim\">");
        time_tag(out, at, &date_time(at));
        element(out, ", ", &ago(at, now), "</span> ");
    }
    element(out, "<bdi>", &incident.namespace, "/");
    text(out, &incident.pod_name);
    if let Some(container) = &incident.container {
        element(out, "</bdi> <span class=\"dim\">container</span> <bdi>", container, "");
    }
    element(out, "</bdi><span class=\"m\">", &incident.message, "</span></summary>");
}

pub(super) fn time_tag(out: &mut String, at: Timestamp, shown: &str) {
    element(out, "<time datetime=\"", &at.to_string(), "\">");
    text(out, shown);
    out.push_str("</time>");
}

fn charts(out: &mut String, incident: &Line) {
    let Some(samples) = &incident.telemetry.container else {
        return;
    };
    let ages: Vec<f64> = samples.age_seconds.iter().map(|age| age.unwrap_or_default()).collect();
    let is_own = |c: &&Container| Some(&c.name) == incident.container.as_ref();
    let own = incident.containers.iter().find(is_own);
    #[allow(clippy::cast_precision_loss, reason = "a chart's line")]
    let cpu_limit = own.and_then(|c| c.resources.cpu_limit_millicores).map(|m| m as f64);
    let chart = |title, values: &Values, limit, unit, out: &mut String| {
        Chart { title, limit, ages_seconds: &ages, values, unit }.draw(out);
    };
    let Samples { memory_bytes, cpu_millicores, cpu_throttled_percent, .. } = samples;
    out.push_str("<div class=\"charts\">");
    chart("Memory", memory_bytes, samples.memory_limit_bytes, bytes, out);
    chart("CPU", cpu_millicores, cpu_limit, cores, out);
    if cpu_throttled_percent.iter().flatten().any(|share| *share > 0.0) {
        chart("CPU throttled", cpu_throttled_percent, None, percent, out);
    }
    out.push_str("</div>");
    if let Some(peak) = samples.memory_peak_bytes.filter(|peak| *peak > 0.0) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let peak = bytes((peak as u64).min(1 << 52));
        element(
            out,
            "<p class=\"dim\">Most memory since its start, by the kernel: ",
            &peak,
            "</p>",
        );
    }
}

/// Short facts; nothing of none.
fn list(out: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    element(out, "<h2>", title, "</h2><ul>");
    for item in items {
        element(out, "<li>", item, "</li>");
    }
    out.push_str("</ul>");
}

fn containers(out: &mut String, incident: &Line) {
    if incident.containers.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Containers</h2><div class=\"w\"><table><thead><tr><th>name</th><th>state</th>",
    );
    out.push_str(
        "<th>last end</th><th>restarts</th><th>limits</th><th>image</th></tr></thead><tbody>",
    );
    for c in &incident.containers {
        let is_own = incident.container.as_ref() == Some(&c.name);
        out.push_str(if is_own { "<tr class=\"now\"><td>" } else { "<tr><td>" });
        text(out, &c.name);
        if c.kind != "app" {
            element(out, " <span class=\"dim\">", &c.kind, "</span>");
        }
        element(out, "</td><td>", &c.state, "</td><td>");
        ending(out, c);
        out.push_str("</td><td class=\"n\">");
        number(out, u64::try_from(c.restart_count).unwrap_or_default());
        out.push_str("</td><td class=\"n\">");
        limits(out, c);
        element(out, "</td><td>", &c.image, "</td></tr>");
    }
    out.push_str("</tbody></table></div>");
}

fn ending(out: &mut String, c: &Container) {
    if let Some(code) = c.exit_code {
        out.push_str("exit code ");
        out.push_str(&code.to_string());
        out.push(' ');
    }
    text(out, c.reason.as_deref().unwrap_or_default());
    if let Some(message) = c.message.as_deref().filter(|message| !message.trim().is_empty()) {
        element(out, "<pre>", message.trim_end(), "</pre>");
    }
}

fn limits(out: &mut String, c: &Container) {
    let positive = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).map(|n| n.min(1 << 52));
    let memory = positive(c.resources.memory_limit_bytes).map(bytes);
    let cpu = positive(c.resources.cpu_limit_millicores).map(cores);
    let known: Vec<String> = [memory, cpu].into_iter().flatten().collect();
    text(out, if known.is_empty() { "none" } else { "" });
    text(out, &known.join(", "));
}

fn pod(out: &mut String, incident: &Line) {
    let fact = |out: &mut String, name: &str, value: &Text| {
        if let Some(value) = value {
            element(out, "<li>", name, " ");
            element(out, "<code>", value, "</code></li>");
        }
    };
    let metadata = &incident.metadata;
    out.push_str("<h2>Pod</h2><ul>");
    let owner = metadata.owner.as_ref().map(|owner| [&*owner.kind, &*owner.name].join(" "));
    fact(out, "owner", &owner);
    fact(out, "QoS class", &metadata.qos_class);
    for (name, value) in &metadata.labels {
        element(out, "<li>label <code>", name, "=");
        element(out, "", value, "</code></li>");
    }
    fact(out, "container id", &incident.container_id);
    out.push_str("<li>the type is ");
    element(out, "", &metadata.confidence, "</li></ul>");
}
