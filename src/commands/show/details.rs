//! What `--full` shows of an incident: why, the facts, the charts, the kernel's words, the timeline.

use jiff::Timestamp;

use crate::commands::show::render::{BOLD, DIM, INDENT, Parts, Style, clock};
use crate::commands::show::screen::{bars, cell, fit, spaces, width, wrap};
use crate::core::cgroup::sample::column;
use crate::core::display::parsed::Value;
use crate::core::display::timeline::{self, LOG, THIS};
use crate::core::display::units::{bytes, cores, date_time, offset};

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

/// A chart: the name, the column of the samples, the unit, and what is said beside the last value.
type Chart = (&'static str, &'static str, fn(f64) -> String, Also);

/// What a chart says beside the last value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Also {
    Peak,
    Least,
}

const CONTAINER: &[Chart] = &[
    ("memory", column::MEMORY_BYTES, size, Also::Peak),
    ("cpu", column::CPU_MILLICORES, cpu, Also::Peak),
    ("cpu throttled", column::CPU_THROTTLED_PERCENT, percent, Also::Peak),
    ("memory stall", "pressure_memory_some_percent", percent, Also::Peak),
    ("cpu stall", "pressure_cpu_some_percent", percent, Also::Peak),
    ("io stall", "pressure_io_some_percent", percent, Also::Peak),
];

const NODE: &[Chart] = &[
    ("memory left", "memory_available_bytes", size, Also::Least),
    ("swap used", "swap_used_bytes", size, Also::Peak),
    ("cpu user", "cpu_user_percent", percent, Also::Peak),
    ("cpu system", "cpu_system_percent", percent, Also::Peak),
    ("cpu iowait", "cpu_iowait_percent", percent, Also::Peak),
    ("cpu steal", "cpu_steal_percent", percent, Also::Peak),
    ("load", "load_1m", plain, Also::Peak),
    ("memory stall", "pressure_memory_some_percent", percent, Also::Peak),
    ("cpu stall", "pressure_cpu_some_percent", percent, Also::Peak),
    ("io stall", "pressure_io_some_percent", percent, Also::Peak),
    ("disk busy", "disk_busy_percent", percent, Also::Peak),
    ("disk read", "disk_read_bytes_per_second", rate, Also::Peak),
    ("disk write", "disk_write_bytes_per_second", rate, Also::Peak),
    ("network in", "network_receive_bytes_per_second", rate, Also::Peak),
    ("network out", "network_transmit_bytes_per_second", rate, Also::Peak),
    ("net errors", "network_errors_per_second", per_second, Also::Peak),
    ("net drops", "network_drops_per_second", per_second, Also::Peak),
];

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
            self.charts(out, &format!("{namespace}/{pod} {name}"), c, &CONTAINER[..2], limits);
        }
        self.timeline(out, incident);
        for gap in telemetry.at(&["gaps"]).items() {
            if let Value::Text(gap) = gap {
                self.wrap(out, DIM, &format!("missing: {gap}"));
            }
        }
    }

    fn why(self, out: &mut String, incident: &Value) {
        let cause = incident.at(&["cause"]);
        let mut text = String::new();
        for (before, part) in [
            ("", cause.text("error_type")),
            (": ", cause.text("message")),
            (", at ", cause.text("location")),
            ("; ", cause.text("context")),
        ] {
            if !part.is_empty() {
                text.push_str(if text.is_empty() { "cause: " } else { before });
                text.push_str(part);
            }
        }
        self.wrap(out, BOLD, &text);
        let metadata = incident.at(&["metadata"]);
        let mut text = metadata.text("confidence").to_owned();
        let mut before = ": ";
        for evidence in metadata.at(&["evidence"]).items() {
            if let Value::Text(evidence) = evidence {
                text.push_str(before);
                text.push_str(evidence);
                before = "; ";
            }
        }
        self.wrap(out, "", &text);
    }

    /// Writes what identifies the incident, and what it is about.
    fn facts(self, out: &mut String, incident: &Value) {
        let metadata = incident.at(&["metadata"]);
        let (restarts, seen) = (metadata.at(&["restarts"]), metadata.at(&["seen"]));
        let own = incident.own_container();
        let number = |name| incident.number(name).or_else(|| own.number(name)).map(plain);
        let reason = match incident.text("reason") {
            "" => own.text("reason"),
            reason => reason,
        };
        let since = seen.time("first_at").map(date_time).unwrap_or_default();
        let times = seen.number("count").filter(|n| *n > 1.0);
        let mut parts = Parts { style: self, taken: INDENT };
        spaces(out, INDENT);
        for (name, value) in [
            ("id", incident.text("id").to_owned()),
            ("fingerprint", incident.text("fingerprint").to_owned()),
            (
                "seen",
                times.map_or_else(String::new, |n| format!("{} times since {since}", plain(n))),
            ),
            ("cluster", incident.text("cluster").to_owned()),
            ("node", incident.text("node_name").to_owned()),
            ("workload", incident.workload()),
            ("image", incident.image().to_owned()),
            ("exit code", number("exit_code").unwrap_or_default()),
            ("signal", number("signal").unwrap_or_default()),
            ("reason", reason.to_owned()),
            ("restarts", restarts.number("total").map(plain).unwrap_or_default()),
        ] {
            if !value.is_empty() {
                parts.add(out, DIM, &format!("{name} {value}"), 0);
            }
        }
        out.push('\n');
    }

    fn reboot(self, out: &mut String, reboot: &Value) {
        let panic = reboot.text("panic");
        if !panic.is_empty() {
            self.wrap(out, BOLD, &format!("kernel panic: {panic}"));
        }
        let mut text = String::new();
        for (name, field) in [
            ("booted", "booted_at"),
            ("last alive", "last_alive_at"),
            ("agent last seen", "last_seen_at"),
        ] {
            if let Some(at) = reboot.time(field) {
                text.push_str(if text.is_empty() { "" } else { "; " });
                text.push_str(&format!("{name} {}", date_time(at)));
            }
        }
        self.wrap(out, "", &text);
        let names = reboot.at(&["names"]).items();
        let names: Vec<&str> = names.iter().map(Value::as_text).collect();
        if let Some(ended) = reboot.number("containers").filter(|_| !names.is_empty()) {
            let more = if ended > names.len() as f64 { ", …" } else { "" };
            self.wrap(
                out,
                "",
                &format!("{} containers ended: {}{more}", plain(ended), names.join(", ")),
            );
        }
    }

    /// Writes the charts of samples, below a heading. Quantities that are unknown or always 0 are left out.
    fn charts(
        self,
        out: &mut String,
        of: &str,
        samples: &Value,
        charts: &[Chart],
        limits: [Option<f64>; 2],
    ) {
        let mut rows = String::new();
        for (n, (name, column, unit, also)) in charts.iter().enumerate() {
            let limit = limits.get(n).copied().flatten();
            self.chart(&mut rows, name, samples.at(&[column]), limit, *unit, *also);
        }
        if rows.is_empty() {
            return;
        }
        let mut heading = of.to_owned();
        if let Some(until) = samples.time("ends_at") {
            heading.push_str(&format!(", up to {}", clock(until)));
        }
        if let Some(Value::Number(oldest)) = samples.at(&[column::AGE_SECONDS]).items().first() {
            heading.push_str(&format!(", the last {}", span(*oldest)));
        } else if let Some(interval) = samples.number("interval_seconds") {
            let count = charts.iter().map(|(_, name, ..)| samples.at(&[name]).items().len()).max();
            let steps = count.unwrap_or_default().saturating_sub(1);
            heading.push_str(&format!(", the last {}", span(interval * steps as f64)));
        }
        self.wrap(out, DIM, &heading);
        out.push_str(&rows);
    }

    fn chart(
        self,
        out: &mut String,
        name: &str,
        values: &Value,
        limit: Option<f64>,
        unit: fn(f64) -> String,
        also: Also,
    ) {
        let number = |value: &Value| match value {
            Value::Number(n) if n.is_finite() => Some(*n),
            _ => None,
        };
        let values: Vec<Option<f64>> = values.items().iter().map(number).collect();
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
        let mut text = unit(last);
        text.push_str(&match (limit, also) {
            (Some(limit), _) => format!(" of {}", unit(limit)),
            (None, Also::Peak) => format!(", peak {}", unit(most)),
            (None, Also::Least) => {
                format!(", least {}", unit(known().fold(f64::INFINITY, f64::min)))
            }
        });
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
            self.chart(out, name, column.at(&["values"]), None, plain, Also::Peak);
        }
    }

    fn kernel(self, out: &mut String, kernel: &Value) {
        let killed = kernel.at(&["oom_kill"]);
        if !killed.fields().is_empty() {
            let mut text = format!("kernel killed {}", process(killed));
            if let Some(resident) = killed.number("resident_bytes") {
                text.push_str(&format!(" with {} resident", size(resident)));
            }
            for (before, field) in [
                ("; at its limit: ", "limit_of"),
                ("; memory was asked for by ", "asked_by"),
                ("; ", "confidence"),
            ] {
                let value = killed.text(field);
                if !value.is_empty() {
                    text.push_str(before);
                    text.push_str(value);
                }
            }
            self.wrap(out, "", &text);
        }
        let fault = kernel.at(&["fault"]);
        if !fault.fields().is_empty() {
            let mut text = format!("kernel: {} of {}", fault.text("kind"), process(fault));
            for (before, field) in [(" in ", "file"), ("+", "offset"), ("; ", "confidence")] {
                let value = fault.text(field);
                if !value.is_empty() {
                    text.push_str(before);
                    text.push_str(value);
                }
            }
            self.wrap(out, "", &text);
        }
        for trouble in kernel.at(&["troubles"]).items() {
            let at = |field| trouble.time(field).map(clock).unwrap_or_default();
            let text = format!(
                "kernel: {} {}, {} times, {} to {}",
                trouble.text("kind"),
                trouble.text("subject"),
                plain(trouble.number("count").unwrap_or(1.0)),
                at("first_at"),
                at("last_at"),
            );
            self.wrap(out, "", &text);
        }
        let mut text = String::new();
        for (name, by) in kernel.at(&["counters"]).fields() {
            if let Value::Number(by) = by {
                text.push_str(if text.is_empty() { "kernel counted " } else { ", " });
                text.push_str(&format!("{name} +{}", plain(*by)));
            }
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
            text = format!("{} ({} times)", text.trim_end(), plain(row.count));
        }
        let what = if is_cause { "cause" } else { row.what };
        let distance = offset(row.at, end);
        self.colours.paint(out, if is_this || is_cause { BOLD } else { "" }, |out| {
            spaces(out, INDENT);
            let (taken, indent) = if self.has_columns() {
                cell(out, &clock(row.at), WHEN + 1);
                cell(out, &distance, DISTANCE + 1);
                cell(out, what, WHAT + 1);
                let taken = INDENT + WHEN + DISTANCE + WHAT + 3;
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

fn process(of: &Value) -> String {
    let pid = of.number("pid").map_or_else(String::new, |pid| format!(" (pid {})", plain(pid)));
    format!("{}{pid}", of.text("process"))
}

// Conversions of numbers clamp.

fn size(n: f64) -> String {
    bytes(n as u64)
}

fn cpu(n: f64) -> String {
    cores(n as u64)
}

fn rate(n: f64) -> String {
    size(n) + "/s"
}

fn percent(n: f64) -> String {
    plain(n) + " %"
}

fn per_second(n: f64) -> String {
    plain(n) + "/s"
}

/// Formats a number with at most three decimals. What formats any float would make the binary larger.
fn plain(n: f64) -> String {
    let thousandths = (n.abs() * 1000.0 + 0.5) as u64;
    let sign = if n < 0.0 && thousandths > 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn span(seconds: f64) -> String {
    crate::core::display::units::span(seconds as u64)
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
