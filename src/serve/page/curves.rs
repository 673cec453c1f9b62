//! The curves of an incident: what the container used, and below them what the node did at the same time.

use crate::core::cgroup::sample::column;
use crate::core::display::parsed::Value;
use crate::core::display::units::offset;
use crate::serve::page::chart::{Chart, Unit};
use crate::serve::page::html::{date_tag, element, put, text};

/// A column that is drawn.
type Curve = (&'static str, &'static str, Unit);

/// The curves of a container. The first two are drawn even if they are zero all the time.
static CONTAINER: [Curve; 7] = [
    ("Memory", column::MEMORY_BYTES, Unit::Bytes),
    ("CPU", column::CPU_MILLICORES, Unit::Millicores),
    ("CPU throttled", column::CPU_THROTTLED_PERCENT, Unit::Percent),
    ("Waiting for memory", "pressure_memory_some_percent", Unit::Percent),
    ("Waiting for a CPU", "pressure_cpu_some_percent", Unit::Percent),
    ("Waiting for a disk", "pressure_io_some_percent", Unit::Percent),
    ("Processes and threads", "pids", Unit::Count),
];

static NODE: [Curve; 17] = [
    ("Memory available", "memory_available_bytes", Unit::Bytes),
    ("CPU of programs", "cpu_user_percent", Unit::Percent),
    ("CPU of the kernel", "cpu_system_percent", Unit::Percent),
    ("CPU idle for a disk", "cpu_iowait_percent", Unit::Percent),
    ("CPU taken by the host", "cpu_steal_percent", Unit::Percent),
    ("Load", "load_1m", Unit::Thousandths),
    ("Waiting for memory", "pressure_memory_some_percent", Unit::Percent),
    ("All waiting for memory", "pressure_memory_full_percent", Unit::Percent),
    ("Waiting for a CPU", "pressure_cpu_some_percent", Unit::Percent),
    ("Waiting for a disk", "pressure_io_some_percent", Unit::Percent),
    ("Swap in use", "swap_used_bytes", Unit::Bytes),
    ("Disk busy", "disk_busy_percent", Unit::Percent),
    ("Read from disks", "disk_read_bytes_per_second", Unit::BytesPerSecond),
    ("Written to disks", "disk_write_bytes_per_second", Unit::BytesPerSecond),
    ("Received", "network_receive_bytes_per_second", Unit::BytesPerSecond),
    ("Sent", "network_transmit_bytes_per_second", Unit::BytesPerSecond),
    ("Packets dropped per second", "network_drops_per_second", Unit::Thousandths),
];

/// Writes all curves.
pub(super) fn write(out: &mut String, incident: &Value) {
    let telemetry = incident.at(&["telemetry"]);
    let samples = telemetry.at(&["container"]);
    if heading(out, "Container", samples, incident) {
        let resources = incident.own_container().at(&["resources"]);
        let cpu_limit = resources.number("cpu_limit_millicores");
        let memory_limit = samples.number("memory_limit_bytes");
        let limit = |name| match name {
            column::MEMORY_BYTES => memory_limit,
            column::CPU_MILLICORES => cpu_limit,
            _ => None,
        };
        draw(out, &CONTAINER, samples, &limit, &CONTAINER[..2]);
        let peak = samples.number("memory_peak_bytes").filter(|peak| *peak > 0.0);
        if let Some(peak) = peak {
            let before =
                "<p class=\"dim\">Peak memory since the container started, from the kernel: ";
            element(out, before, &Unit::Bytes.format_number(peak), "</p>");
        }
    }
    sidecar(out, telemetry.at(&["sidecar"]));
    let system = telemetry.at(&["system"]);
    if heading(out, "Node", system, incident) {
        draw(out, &NODE, system, &|_| None, &[]);
    }
    let before = telemetry.at(&["before_reboot"]);
    if heading(out, "Node before the reboot", before, incident) {
        draw(out, &NODE, before, &|_| None, &[]);
        containers(out, before);
    }
}

/// Writes the title, and when the samples end. Returns false if there are none.
fn heading(out: &mut String, title: &'static str, samples: &Value, incident: &Value) -> bool {
    let has_samples = !samples.fields().is_empty();
    if has_samples {
        element(out, "<h3>", title, "</h3>");
        if let Some(at) = samples.time("ends_at") {
            put(out, "<p class=\"dim\">The last sample is of ");
            date_tag(out, at);
            if let Some(end) = incident.time("occurred_at") {
                element(out, ", ", &offset(at, end), " from the incident");
            }
            put(out, ".</p>");
        }
    }
    has_samples
}

/// Returns the ages of the samples. Those of the node have none: they are as far apart as they were meant to be.
fn ages(samples: &Value) -> Vec<f64> {
    let number = |value: &Value| match value {
        Value::Number(age) => *age,
        _ => f64::NAN,
    };
    let told = samples.at(&[column::AGE_SECONDS]).items();
    if !told.is_empty() {
        return told.iter().map(number).collect();
    }
    let interval = samples.number("interval_seconds").unwrap_or(f64::NAN);
    let len = samples.fields().iter().map(|(_, values)| values.items().len()).max().unwrap_or(0);
    (0..len).rev().map(|n| n as f64 * interval).collect()
}

/// Draws the curves of these columns. Those that are zero all the time are only named, except for those in `always`.
fn draw(
    out: &mut String,
    curves: &[Curve],
    samples: &Value,
    limit: &dyn Fn(&'static str) -> Option<f64>,
    always: &[Curve],
) {
    let ages = ages(samples);
    let mut zero = String::new();
    put(out, "<div class=\"charts\">");
    for (title, name, unit) in curves {
        let values = samples.at(&[name]).items();
        let is_flat = values.iter().all(|value| !matches!(value, Value::Number(n) if *n > 0.0));
        if is_flat && !always.iter().any(|(_, known, _)| known == name) {
            if values.iter().any(|value| matches!(value, Value::Number(_))) {
                zero.push_str(if zero.is_empty() { "" } else { ", " });
                zero.push_str(title);
            }
            continue;
        }
        Chart { title, limit: limit(name), ages: &ages, values, unit: *unit }.draw(out);
    }
    put(out, "</div>");
    if !zero.is_empty() {
        element(out, "<p class=\"dim\">Zero all the time: ", &zero, "</p>");
    }
}

/// Draws the numbers that the pod posted.
fn sidecar(out: &mut String, sidecar: &Value) {
    if sidecar.fields().is_empty() {
        return;
    }
    put(out, "<h3>Posted by the pod</h3><div class=\"charts\">");
    for (name, series) in sidecar.fields() {
        let (ages, values) = (ages(series), series.at(&["values"]).items());
        // A drawing begins at zero, so a negative number is told in words.
        if values.iter().any(|value| matches!(value, Value::Number(n) if *n < 0.0)) {
            if let Some(Value::Number(last)) = values.last() {
                element(out, "<p><b>", name, "</b> ");
                text(out, &last.to_string());
                put(out, " at last</p>");
            }
            continue;
        }
        Chart { title: name, limit: None, ages: &ages, values, unit: Unit::Thousandths }.draw(out);
    }
    put(out, "</div>");
}

/// Draws the memory and the CPU of the containers that mattered before the reboot.
fn containers(out: &mut String, before: &Value) {
    let ages = ages(before);
    put(out, "<div class=\"charts\">");
    for c in before.at(&["containers"]).items() {
        let words = [c.text("namespace"), "/", c.text("pod_name"), " ", c.text("container")];
        for (what, name, unit, limit) in [
            (", memory", column::MEMORY_BYTES, Unit::Bytes, c.number("memory_limit_bytes")),
            (", CPU", column::CPU_MILLICORES, Unit::Millicores, None),
        ] {
            let title = words.concat() + what;
            let values = c.at(&[name]).items();
            Chart { title: &title, limit, ages: &ages, values, unit }.draw(out);
        }
    }
    put(out, "</div>");
}
