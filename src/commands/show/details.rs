//! What `--full` shows of an incident: why, the facts, the charts, the kernel's words, the timeline.

use jiff::Timestamp;

use crate::commands::show::render::{BOLD, DIM, INDENT, Parts, Style, clock};
use crate::commands::show::screen::{bars, cell, fit, spaces, width, wrap};
use crate::core::cgroup::sample::column;
use crate::core::display::parsed::Value;
use crate::core::display::timeline::{self, LOG, THIS};
use crate::core::display::units::{bytes, cores, date_time, offset, span};

/// Widths of the timeline's columns: time, distance from the termination, and kind.
const WHEN: usize = 9;
const DISTANCE: usize = 12;
const WHAT: usize = 9;
/// Width of a chart's name.
const NAME: usize = 14;
/// Width of a chart's bars, and of the text beside it.
const BARS: usize = 40;
const VALUE: usize = 26;
/// How many log lines are shown without `--logs`. The last ones are the most useful.
const LOG_LINES: usize = 10;

// One text for each table and sentence, because each text in a list takes 40 bytes more in the binary.

/// The charts of a container: name and column. The end of a column's name is its unit.
const CONTAINER: &str = "\
memory:memory_bytes
cpu:cpu_millicores
cpu throttled:cpu_throttled_percent
memory stall:pressure_memory_some_percent
cpu stall:pressure_cpu_some_percent
io stall:pressure_io_some_percent";

/// What is known of a container before a reboot.
const CONTAINER_BEFORE_REBOOT: &str = "memory:memory_bytes\ncpu:cpu_millicores";

/// The charts of a node.
const NODE: &str = "\
memory left:memory_available_bytes
swap used:swap_used_bytes
cpu user:cpu_user_percent
cpu system:cpu_system_percent
cpu iowait:cpu_iowait_percent
cpu steal:cpu_steal_percent
load:load_1m
memory stall:pressure_memory_some_percent
cpu stall:pressure_cpu_some_percent
io stall:pressure_io_some_percent
disk busy:disk_busy_percent
disk read:disk_read_bytes_per_second
disk write:disk_write_bytes_per_second
network in:network_receive_bytes_per_second
network out:network_transmit_bytes_per_second
net errors:network_errors_per_second
net drops:network_drops_per_second";

/// Of this column the least value counts, of all others the peak.
const MEMORY_LEFT: &str = "memory_available_bytes";

// Sentences. A field without a value is left out, with the words before it.
const CAUSE: &str = "cause: {error_type}: {message}, at {location}; {context}";
const REBOOT: &str =
    "booted {booted_at}; last alive {last_alive_at}; agent last seen {last_seen_at}";
const OOM_KILL: &str = "kernel killed {process}, pid {pid}, resident {resident_bytes}, \
    at the limit of: {limit_of}, memory was asked for by {asked_by}; processes killed: {processes}; \
    {confidence}";
const FAULT: &str = "kernel: {kind} of {process}, pid {pid}, in {file}+{offset}; {confidence}";
const TROUBLE: &str = "kernel: {kind} {subject}, from {first_at} to {last_at}, times: {count}";
const SEEN: &str = "seen {count} times since {first_at}";

/// The facts about an incident, which the incident or its container has.
const FACTS: &str = "id {id}|fingerprint {fingerprint}|cluster {cluster}|node {node_name}|image {image}|\
    exit code {exit_code}|signal {signal}|reason {reason}";

impl Style {
    /// Writes all that follows the message.
    pub(super) fn details(self, out: &mut String, incident: &Value) {
        self.why(out, incident);
        self.facts(out, incident);
        self.reboot(out, incident.at(&["metadata", "reboot"]));
        let telemetry = incident.at(&["telemetry"]);
        let own = telemetry.at(&["container"]);
        let cpu_limit = incident.own_container().at(&["resources"]);
        let limits = [own.number("memory_limit_bytes"), cpu_limit.number("cpu_limit_millicores")];
        self.charts(out, "container", own, CONTAINER, limits);
        self.posted(out, telemetry.at(&["sidecar"]));
        self.charts(out, "node", telemetry.at(&["system"]), NODE, [None; 2]);
        self.kernel(out, telemetry.at(&["kernel"]));
        let before = telemetry.at(&["before_reboot"]);
        self.charts(out, "node before the reboot", before, NODE, [None; 2]);
        for c in before.at(&["containers"]).items() {
            let [namespace, pod, name] =
                ["namespace", "pod_name", "container"].map(|field| c.text(field));
            let limits = [c.number("memory_limit_bytes"), None];
            self.charts(
                out,
                &format!("{namespace}/{pod} {name}"),
                c,
                CONTAINER_BEFORE_REBOOT,
                limits,
            );
        }
        self.timeline(out, incident);
        for gap in telemetry.at(&["gaps"]).items() {
            if let Value::Text(gap) = gap {
                self.wrap(out, DIM, &format!("missing: {gap}"));
            }
        }
    }

    fn why(self, out: &mut String, incident: &Value) {
        self.phrase(out, BOLD, incident.at(&["cause"]), CAUSE);
        let metadata = incident.at(&["metadata"]);
        let mut text = metadata.text("confidence").to_owned();
        let mut before = ": ";
        for evidence in metadata.at(&["evidence"]).items() {
            text.push_str(before);
            text.push_str(evidence.as_text());
            before = "; ";
        }
        self.wrap(out, "", &text);
    }

    /// Writes what identifies the incident, and what it is about.
    fn facts(self, out: &mut String, incident: &Value) {
        let metadata = incident.at(&["metadata"]);
        let own = incident.own_container();
        let mut parts = Parts { style: self, taken: INDENT };
        spaces(out, INDENT);
        let mut add = |fact: &str| {
            if !fact.is_empty() {
                parts.add(out, DIM, fact, 0);
            }
        };
        for fact in FACTS.split('|') {
            let text = phrase(incident, fact);
            add(if text.is_empty() { phrase(own, fact) } else { text }.as_str());
        }
        let workload = incident.workload();
        if !workload.is_empty() {
            add(&("workload ".to_owned() + &workload));
        }
        add(&phrase(metadata.at(&["restarts"]), "restarts {total}"));
        let seen = metadata.at(&["seen"]);
        if seen.number("count").is_some_and(|count| count > 1.0) {
            add(&phrase(seen, SEEN));
        }
        out.push('\n');
    }

    fn reboot(self, out: &mut String, reboot: &Value) {
        self.phrase(out, BOLD, reboot, "kernel panic: {panic}");
        self.phrase(out, "", reboot, REBOOT);
        let mut text = phrase(reboot, "{containers}");
        let mut before = " containers ended, among them ";
        for name in reboot.at(&["names"]).items() {
            text.push_str(before);
            text.push_str(name.as_text());
            before = ", ";
        }
        self.wrap(out, "", &text);
    }

    /// Writes a sentence about an object, if it has any of the parts.
    fn phrase(self, out: &mut String, colour: &str, of: &Value, sentence: &str) {
        self.wrap(out, colour, &phrase(of, sentence));
    }

    /// Writes the charts of samples, below a heading. Quantities that are unknown or always 0 are left out.
    fn charts(
        self,
        out: &mut String,
        of: &str,
        samples: &Value,
        charts: &str,
        limits: [Option<f64>; 2],
    ) {
        let mut rows = String::new();
        let mut count = 0;
        for (n, chart) in charts.lines().enumerate() {
            let (name, column) = chart.split_once(':').unwrap_or_default();
            let values = samples.at(&[column]);
            count = values.items().len().max(count);
            self.chart(&mut rows, name, column, values, limits.get(n).copied().flatten());
        }
        if rows.is_empty() {
            return;
        }
        let until = phrase(samples, ", up to {ends_at}");
        let mut heading = of.to_owned() + &until;
        let oldest = match samples.at(&[column::AGE_SECONDS]).items().first() {
            Some(Value::Number(oldest)) => Some(*oldest),
            _ => samples.number("interval_seconds").map(|s| s * count.saturating_sub(1) as f64),
        };
        if let Some(oldest) = oldest {
            heading.push_str(", the last ");
            heading.push_str(&span(oldest as u64));
        }
        self.wrap(out, DIM, &heading);
        out.push_str(&rows);
    }

    fn chart(self, out: &mut String, name: &str, column: &str, values: &Value, limit: Option<f64>) {
        let finite = |value: &Value| match value {
            Value::Number(n) if n.is_finite() => Some(*n),
            _ => None,
        };
        let values: Vec<Option<f64>> = values.items().iter().map(finite).collect();
        let known = || values.iter().flatten().copied();
        let Some(last) = known().next_back().filter(|_| known().any(|n| n != 0.0)) else { return };
        let most = known().fold(0.0, f64::max);
        let limit = limit.filter(|limit| *limit > 0.0);
        spaces(out, INDENT);
        let mut taken = INDENT + NAME;
        if width(name) < NAME {
            cell(out, name, NAME);
        } else {
            // A name that a pod gave; it stands above its chart.
            wrap(out, name, self.columns, INDENT, INDENT);
            out.push('\n');
            spaces(out, taken);
        }
        let (room, top) =
            (self.columns.saturating_sub(taken + VALUE), limit.unwrap_or(most).max(most));
        let has_room = room >= 8;
        if has_room {
            taken += 2 + bars(out, &values, top, room.min(BARS));
            spaces(out, 2);
        }
        let (word, other) = match (limit, column == MEMORY_LEFT) {
            (Some(limit), _) => (" of ", limit),
            (None, false) => (", peak ", most),
            (None, true) => (", least ", known().fold(f64::INFINITY, f64::min)),
        };
        let text = number(last, column) + word + &number(other, column);
        wrap(out, &text, self.columns, taken, INDENT + NAME);
        out.push('\n');
        // On a narrow terminal, the curve that comes to a limit is worth a line of its own.
        if !has_room && limit.is_some() {
            spaces(out, INDENT);
            bars(out, &values, top, self.columns - INDENT);
            out.push('\n');
        }
    }

    /// Writes what the pod posted about itself.
    fn posted(self, out: &mut String, sidecar: &Value) {
        if !sidecar.fields().is_empty() {
            self.wrap(out, DIM, "posted by the pod");
        }
        for (name, column) in sidecar.fields() {
            self.chart(out, name, "", column.at(&["values"]), None);
        }
    }

    fn kernel(self, out: &mut String, kernel: &Value) {
        self.phrase(out, "", kernel.at(&["oom_kill"]), OOM_KILL);
        self.phrase(out, "", kernel.at(&["fault"]), FAULT);
        for trouble in kernel.at(&["troubles"]).items() {
            self.phrase(out, "", trouble, TROUBLE);
        }
        let mut text = String::new();
        for (name, by) in kernel.at(&["counters"]).fields() {
            text.push_str(if text.is_empty() { "kernel counted " } else { ", " });
            text.push_str(name);
            text.push_str(" +");
            text.push_str(&written(by, name));
        }
        self.wrap(out, "", &text);
    }

    fn timeline(self, out: &mut String, incident: &Value) {
        let Some(end) = incident.time("occurred_at") else { return };
        let rows = timeline::rows(incident, end);
        let logs = rows.iter().filter(|row| row.what == LOG).count();
        let shown = if self.has_all_logs { usize::MAX } else { LOG_LINES };
        let earlier = logs.saturating_sub(shown);
        let cause = incident.at(&["cause"]).text("line").trim();
        let mut skipped = earlier;
        for row in &rows {
            if row.what == LOG && skipped > 0 {
                if skipped == earlier {
                    self.wrap(out, DIM, &format!("{earlier} earlier log lines: --logs shows them"));
                }
                skipped -= 1;
                continue;
            }
            let is_cause = row.what == LOG && !cause.is_empty() && row.said.trim() == cause;
            self.event(out, row, end, is_cause);
        }
    }

    fn event(self, out: &mut String, row: &timeline::Row<'_>, end: Timestamp, is_cause: bool) {
        let is_this = row.what == THIS;
        let mut text = row.whose.to_owned();
        if !is_this && !row.said.is_empty() {
            text.push_str(if text.is_empty() { "" } else { "  " });
            text.push_str(row.said);
        }
        if row.count > 1.0 {
            text.truncate(text.trim_end().len());
            text.push_str(&format!(" ({} times)", plain(row.count)));
        }
        let what = if is_cause { "cause" } else { row.what };
        let distance = offset(row.at, end);
        self.colours.paint(out, if is_this || is_cause { BOLD } else { "" }, &mut |out| {
            spaces(out, INDENT);
            let (taken, indent) = if self.has_columns() {
                cell(out, &clock(row.at), WHEN + 1);
                let distant = width(&distance).max(DISTANCE);
                cell(out, &distance, distant + 1);
                cell(out, what, WHAT + 1);
                let taken = INDENT + WHEN + distant + WHAT + 3;
                (taken, taken)
            } else {
                let start = format!("{} {distance} {what} ", clock(row.at));
                (INDENT + fit(out, &start, self.columns) + 1, INDENT + 2)
            };
            if !self.has_columns() {
                out.push(' ');
            }
            wrap(out, &text, self.columns, taken, indent);
        });
        out.push('\n');
    }
}

/// Returns a sentence about an object; empty if the object has none of the fields. Of what is present, the first field
/// follows the words before all fields.
fn phrase(of: &Value, sentence: &str) -> String {
    let (lead, fields) = sentence.split_once('{').unwrap_or((sentence, ""));
    let (mut text, mut before, mut is_first) = (lead.to_owned(), "", true);
    for part in fields.split('{') {
        let (field, after) = part.split_once('}').unwrap_or((part, ""));
        let value = written(of.at(&[field]), field);
        if !value.is_empty() {
            text.push_str(if is_first { "" } else { before });
            text.push_str(&value);
            is_first = false;
        }
        before = after;
    }
    if is_first { String::new() } else { text }
}

/// Formats the value of a field. The end of the field's name tells the unit.
fn written(value: &Value, field: &str) -> String {
    match value {
        Value::Number(n) => number(*n, field),
        value if field.ends_with("_at") => {
            value.as_text().parse().map(date_time).unwrap_or_default()
        }
        value => value.as_text().to_owned(),
    }
}

fn number(n: f64, field: &str) -> String {
    let (field, rate) = match field.strip_suffix("_per_second") {
        Some(field) => (field, "/s"),
        None => (field, ""),
    };
    // Conversions to whole numbers clamp.
    let text = match field.rsplit('_').next() {
        Some("bytes") => bytes(n as u64),
        Some("millicores") => cores(n as u64),
        Some("percent") => plain(n) + " %",
        _ => plain(n),
    };
    text + rate
}

/// Formats a number with at most three decimals. What formats any float would make the binary larger.
fn plain(n: f64) -> String {
    let thousandths = (n.abs() * 1000.0 + 0.5) as u64;
    let sign = if n < 0.0 && thousandths > 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_most_three_decimals() {
        for (n, want) in [
            (0.0, "0"),
            (100.0, "100"),
            (12.5, "12.5"),
            (0.0625, "0.063"),
            (-3.25, "-3.25"),
            (-0.0001, "0"),
            (f64::NAN, "0"),
            (1e300, "18446744073709551.615"),
        ] {
            assert_eq!(plain(n), want);
        }
    }
}
