//! Renders one incident as lines of a terminal.

use crate::commands::show::screen::{Colours, bars, cell, fit};
use crate::core::cgroup::sample::column;
use crate::core::display::parsed::Value;
use crate::core::display::timeline::{self, LOG, THIS};
use crate::core::display::units::{bytes, clock_time, cores, date_time, offset};

/// Widths of the timeline's columns: time, distance from the termination, and kind.
const WHEN: usize = 8;
const DISTANCE: usize = 12;
const WHAT: usize = 9;
/// Width of a chart's name.
const NAME: usize = 8;
/// Width of a chart's bars.
const BARS: usize = 40;
/// Width of the type column; the names of the common types fit in it.
const KIND: usize = 14;
/// Maximum number of log lines. The last ones are the most useful, and the incident line has all of them.
const LOG_LINES: usize = 10;

/// Maximum number of lines of a message; the longest that the agent writes has about four hundred bytes.
const MESSAGE_LINES: usize = 6;

/// How incidents are rendered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// The width of the terminal.
    pub(super) columns: usize,
    pub(super) colours: Colours,
    /// True to show the minutes before the termination.
    pub(super) is_full: bool,
}

pub(super) const DIM: &str = "2";

impl Style {
    /// Writes an incident; no line is wider than the terminal.
    pub(super) fn write(self, out: &mut String, incident: &Value) {
        self.head(out, incident);
        let message = incident.text("message");
        if !self.is_full {
            return self.wrap(out, "", own_words(incident, message), 1);
        }
        self.wrap(out, "", message, MESSAGE_LINES);
        self.why(out, incident);
        self.charts(out, incident);
        self.timeline(out, incident);
        for gap in incident.at(&["telemetry", "gaps"]).items() {
            if let Value::Text(gap) = gap {
                self.wrap(out, DIM, &format!("missing: {gap}"), MESSAGE_LINES);
            }
        }
        out.push('\n');
    }

    /// Writes the first line: time, severity, type, pod and container.
    fn head(self, out: &mut String, incident: &Value) {
        let severity = incident.text("severity");
        let colour = match severity {
            "critical" => "1;31",
            "high" => "31",
            "medium" => "33",
            _ => "",
        };
        let when = incident.time("occurred_at").map(date_time).unwrap_or_default();
        // Without the year and the zone, which are the same in every line.
        cell(out, when.get(5..19).unwrap_or(""), 14);
        out.push_str("  ");
        self.colours.paint(out, colour, |out| cell(out, severity, 8));
        out.push_str("  ");
        let kind = incident.text("type");
        let kind_columns = kind.len().clamp(KIND, 2 * KIND);
        self.colours.paint(out, "1", |out| cell(out, kind, kind_columns));
        out.push_str("  ");
        let container = incident.text("container");
        let mut name = incident.subject();
        if !container.is_empty() {
            name.push_str("  ");
            name.push_str(container);
        }
        fit(out, &name, self.columns.saturating_sub(28 + kind_columns));
        out.push('\n');
    }

    /// Writes a text, broken between words, in at most this many lines.
    pub(super) fn wrap(self, out: &mut String, style: &str, text: &str, lines: usize) {
        let columns = self.columns.saturating_sub(4);
        let mut rest = text.trim();
        for line in 1..=lines {
            let cut = if line == lines { rest.len() } else { break_at(rest, columns) };
            let (now, later) = rest.split_at(cut);
            out.push_str("    ");
            self.colours.paint(out, style, |out| {
                fit(out, now, columns);
            });
            out.push('\n');
            rest = later.trim_start();
            if rest.is_empty() {
                return;
            }
        }
    }

    fn why(self, out: &mut String, incident: &Value) {
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
        self.wrap(out, "", &text, MESSAGE_LINES);
        let owner = metadata.at(&["owner"]);
        let mut facts = format!("id {}", incident.text("id"));
        if !owner.text("name").is_empty() {
            facts.push_str(&format!("  owner {} {}", owner.text("kind"), owner.text("name")));
        }
        self.wrap(out, DIM, &facts, 1);
    }

    fn charts(self, out: &mut String, incident: &Value) {
        let samples = incident.at(&["telemetry", "container"]);
        let own = incident.at(&["containers"]).items().iter();
        let own = own.into_iter().find(|c| c.text("name") == incident.text("container"));
        let cpu_limit = own.and_then(|c| c.at(&["resources"]).number("cpu_limit_millicores"));
        let memory_limit = samples.number("memory_limit_bytes");
        let ages = samples.at(&[column::AGE_SECONDS]).items();
        self.chart(out, "memory", samples.at(&[column::MEMORY_BYTES]), memory_limit, bytes);
        self.chart(out, "cpu", samples.at(&[column::CPU_MILLICORES]), cpu_limit, cores);
        if let Some(Value::Number(oldest)) = ages.first() {
            self.colours.paint(out, DIM, |out| {
                cell(out, "", 4 + NAME);
                // The conversion clamps.
                let text = format!("the last {} before the termination", span(*oldest));
                fit(out, &text, self.columns.saturating_sub(4 + NAME));
            });
            out.push('\n');
        }
    }

    fn chart(
        self,
        out: &mut String,
        name: &str,
        values: &Value,
        limit: Option<f64>,
        unit: fn(u64) -> String,
    ) {
        let number = |value: &Value| match value {
            Value::Number(n) if n.is_finite() => Some(*n),
            _ => None,
        };
        let values: Vec<Option<f64>> = values.items().iter().map(number).collect();
        let Some(last) = values.iter().rev().flatten().next() else { return };
        let most = values.iter().flatten().copied().fold(0.0, f64::max);
        let limit = limit.filter(|limit| *limit > 0.0);
        out.push_str("    ");
        cell(out, name, NAME);
        let room = BARS.min(self.columns.saturating_sub(4 + NAME + 26));
        let taken = bars(out, &values, limit.unwrap_or(most).max(most), room);
        // Conversions to whole numbers clamp.
        let mut text = format!("  {}", unit(*last as u64));
        if let Some(limit) = limit {
            text.push_str(&format!(" of {}", unit(limit as u64)));
        } else {
            text.push_str(&format!(", peak {}", unit(most as u64)));
        }
        fit(out, &text, self.columns.saturating_sub(4 + NAME + taken));
        out.push('\n');
    }

    fn timeline(self, out: &mut String, incident: &Value) {
        let Some(end) = incident.time("occurred_at") else { return };
        let rows = timeline::rows(incident, end);
        let logs = rows.iter().filter(|row| row.what == LOG).count();
        let mut skipped = logs.saturating_sub(LOG_LINES);
        for row in &rows {
            if row.what == LOG && skipped > 0 {
                skipped -= 1;
                continue;
            }
            let is_this = row.what == THIS;
            self.colours.paint(out, if is_this { "1" } else { "" }, |out| {
                out.push_str("    ");
                cell(out, &clock_time(row.at), WHEN + 1);
                cell(out, &offset(row.at, end), DISTANCE + 1);
                cell(out, row.what, WHAT + 1);
                let mut left = self.columns.saturating_sub(4 + WHEN + DISTANCE + WHAT + 3);
                let mut said = row.said;
                if is_this {
                    said = row.whose;
                } else if !row.whose.is_empty() {
                    left -= fit(out, row.whose, left).min(left);
                    if !said.is_empty() && left > 2 {
                        out.push_str("  ");
                        left -= 2;
                    }
                }
                let times = if row.count > 1.0 {
                    format!(" ({} times)", row.count as u64)
                } else {
                    String::new()
                };
                let taken = fit(out, said, left.saturating_sub(times.len()));
                fit(out, &times, left - taken.min(left));
            });
            out.push('\n');
        }
    }
}

/// Returns the message without its start, if that repeats the first line: the pod and container, or the node.
fn own_words<'m>(incident: &Value, message: &'m str) -> &'m str {
    let subject = incident.subject();
    let container = incident.text("container");
    let kinds = ["container", "init container", "sidecar", "debug container"];
    let of_container = kinds.iter().map(|kind| format!("{kind} {container} of {subject} "));
    let of_pod = [format!("pod {subject} "), format!("{subject} ")];
    let mut starts = of_container.chain(of_pod);
    starts.find_map(|start| message.strip_prefix(start.as_str())).unwrap_or(message)
}

/// Returns where to break a text so that the part before fits: after a word if possible, else anywhere.
fn break_at(text: &str, columns: usize) -> usize {
    let mut probe = String::new();
    let (mut good, mut end) = (0, 0);
    for (at, c) in text.char_indices() {
        if c == ' ' {
            good = at;
        }
        end = at + c.len_utf8();
        probe.clear();
        // The texts are short, so testing each length is fast enough.
        if fit(&mut probe, &text[..end], columns) == columns && probe.ends_with('\u{2026}') {
            return if good > 0 { good } else { at };
        }
    }
    end
}

fn span(seconds: f64) -> String {
    crate::core::display::units::span(seconds as u64)
}
