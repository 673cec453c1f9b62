//! Renders one incident as lines of a terminal. Nothing is cut: what does not fit into a line goes on in the next.

use crate::commands::show::screen::{Colours, spaces, width, wrap};
use crate::core::display::parsed::Value;
use crate::core::display::units::{clock_time, date_time};

/// Width of the severity column.
const SEVERITY: usize = 8;
/// Width of the type column: nearly all names; on a wide terminal the longest. What it takes is missing for the names.
const KIND: usize = 14;
const KIND_WIDE: usize = 18;
/// How far all but the first line of an incident are indented.
pub(super) const INDENT: usize = 4;
/// On narrower terminals there are no columns, only gaps.
const COLUMNS_FROM: usize = 76;
const WIDE_FROM: usize = 100;

/// How incidents are rendered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// The width of the terminal.
    pub(super) columns: usize,
    pub(super) colours: Colours,
    /// True to show the minutes before the termination.
    pub(super) is_full: bool,
    /// True to show all log lines.
    pub(super) has_all_logs: bool,
    /// True to show the node: the incidents are of more than one.
    pub(super) has_node: bool,
}

pub(super) const DIM: &str = "2";
pub(super) const BOLD: &str = "1";

/// The fields that the list shows.
pub(super) const HEAD: [&str; 8] = [
    "occurred_at",
    "severity",
    "type",
    "namespace",
    "pod_name",
    "node_name",
    "container",
    "message",
];

impl Style {
    /// Writes an incident; no line is wider than the terminal.
    pub(super) fn write(self, out: &mut String, incident: &Value) {
        self.head(out, incident);
        let message = incident.text("message");
        if self.is_full {
            self.wrap(out, "", message);
            self.details(out, incident);
            out.push('\n');
        } else {
            self.wrap(out, "", own_words(incident, message));
        }
    }

    /// Returns true if the terminal is wide enough for columns.
    pub(super) fn has_columns(self) -> bool {
        self.columns >= COLUMNS_FROM
    }

    /// Writes the first line: time, severity, type, pod, container, and node.
    fn head(self, out: &mut String, incident: &Value) {
        let severity = incident.text("severity");
        let colour = match severity {
            "critical" => "1;31",
            "high" => "31",
            "medium" => "33",
            _ => "",
        };
        let when = incident.time("occurred_at").map(date_time).unwrap_or_default();
        // A shorter form of the zone, which `--since` understands, too.
        let when = when.strip_suffix(" UTC").map_or_else(String::new, |when| when.to_owned() + "Z");
        let mut name = incident.subject();
        let (container, node) = (incident.text("container"), incident.text("node_name"));
        if !container.is_empty() {
            name.push_str("  ");
            name.push_str(container);
        }
        if self.has_node && !incident.text("pod_name").is_empty() {
            name.push_str("  on ");
            name.push_str(node);
        }
        let mut parts = Parts { style: self, taken: 0 };
        parts.add(out, "", &when, 20);
        parts.add(out, colour, severity, SEVERITY);
        let kind = if self.columns < WIDE_FROM { KIND } else { KIND_WIDE };
        parts.add(out, BOLD, incident.text("type"), kind);
        parts.add(out, "", &name, 0);
        out.push('\n');
    }

    /// Writes a text in lines of its own.
    pub(super) fn wrap(self, out: &mut String, colour: &str, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        spaces(out, INDENT);
        self.colours.paint(out, colour, &mut |out| wrap(out, text, self.columns, INDENT, INDENT));
        out.push('\n');
    }
}

/// Texts that stand beside each other, with a gap. One that has no room begins a new line.
pub(super) struct Parts {
    pub(super) style: Style,
    /// How many columns of the present line are used.
    pub(super) taken: usize,
}

impl Parts {
    /// Adds a text, padded to this width if the terminal is wide enough for columns.
    pub(super) fn add(&mut self, out: &mut String, colour: &str, text: &str, padded: usize) {
        let (columns, own) = (self.style.columns, width(text));
        let gap = if self.taken > INDENT { 2 } else { 0 };
        if gap > 0 && self.taken + gap + own > columns {
            out.truncate(out.trim_end().len());
            out.push('\n');
            spaces(out, INDENT);
            self.taken = INDENT;
        } else {
            spaces(out, gap);
            self.taken += gap;
        }
        let taken = self.taken;
        self.style.colours.paint(out, colour, &mut |out| wrap(out, text, columns, taken, INDENT));
        let padding = match self.style.has_columns() {
            true => padded.saturating_sub(own).min(columns.saturating_sub(taken + own)),
            false => 0,
        };
        spaces(out, padding);
        self.taken = taken + own + padding;
    }
}

/// Returns the message without its start, if that repeats the first line: the pod and container, or the node.
fn own_words<'m>(incident: &Value, message: &'m str) -> &'m str {
    let name = incident.subject() + " ";
    let Some((before, rest)) = message.split_once(&name) else { return message };
    // `init container migrate of `, for example.
    let of_container = incident.text("container").to_owned() + " of ";
    let is_start = before.is_empty() || before == "pod " || before.ends_with(&of_container);
    if is_start { rest } else { message }
}

/// Returns the time of day, with its zone.
pub(super) fn clock(at: jiff::Timestamp) -> String {
    clock_time(at) + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_does_not_repeat_what_its_first_line_says() {
        let pod = r#"{"id":"a","namespace":"shop","pod_name":"web-1","container":"app"}"#;
        let node = r#"{"id":"a","node_name":"edge-1"}"#;
        for (line, message, want) in [
            (pod, "container app of shop/web-1 exited", "exited"),
            (pod, "init container app of shop/web-1 exited", "exited"),
            (pod, "pod shop/web-1 was evicted", "was evicted"),
            (pod, "container db of shop/web-1 exited", "container db of shop/web-1 exited"),
            (pod, "something of shop/web-1 exited", "something of shop/web-1 exited"),
            (pod, "container app of shop/web-12 exited", "container app of shop/web-12 exited"),
            (node, "node edge-1 was started again", "was started again"),
        ] {
            assert_eq!(own_words(&Value::parse(line.as_bytes()).unwrap(), message), want);
        }
    }
}
