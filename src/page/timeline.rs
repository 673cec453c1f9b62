//! What happened around the end, in order: starts, ends, the pod's events, the last lines of the log.

use jiff::Timestamp;

use super::entry::time_tag;
use super::html::{element, text};
use super::line::{Line, time};
use super::units::{clock_time, offset};

/// A row; in the order of rows at the same time.
struct Row<'a> {
    at: Timestamp,
    what: &'static str,
    /// Whose it is: a container, a stream, an event's reason.
    whose: &'a str,
    said: &'a str,
    count: i64,
}

/// Writes the table.
pub(super) fn write(out: &mut String, incident: &Line) {
    let Some(end) = time(&incident.occurred_at) else {
        return;
    };
    let mut rows = rows(incident, end);
    // Stable: lines of the log at the same time stay in their order.
    rows.sort_by_key(|row| row.at);
    out.push_str("<h2>Timeline</h2><table class=\"t\"><tbody>");
    for row in rows {
        let is_this = row.what == THIS;
        out.push_str(if is_this {
            "<tr class=\"now\"><td class=\"n\">"
        } else {
            "<tr><td class=\"n\">"
        });
        time_tag(out, row.at, &clock_time(row.at));
        element(out, "</td><td class=\"n dim\">", &offset(row.at, end), "</td><td>");
        text(out, row.what);
        element(out, " <span class=\"dim\">", row.whose, "</span></td><td>");
        if row.what == LOG {
            element(out, "<div class=\"log\">", row.said, "</div>");
        } else {
            text(out, row.said);
        }
        if row.count > 1 {
            element(out, " <span class=\"dim\">(", &row.count.to_string(), " times)</span>");
        }
        out.push_str("</td></tr>");
    }
    out.push_str("</tbody></table>");
}

const THIS: &str = "incident";
const LOG: &str = "log";

fn rows(incident: &Line, end: Timestamp) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut add = |at: Option<Timestamp>, what, whose, said, count| {
        if let Some(at) = at {
            rows.push(Row { at, what, whose, said, count });
        }
    };
    for c in &incident.containers {
        add(time(&c.started_at), "start", &c.name, "", 1);
        let reason = c.reason.as_deref().unwrap_or_default();
        add(time(&c.finished_at), "end", &*c.name, reason, 1);
    }
    for event in &incident.telemetry.events {
        add(time(&event.last_at), "event", &*event.reason, &*event.message, event.count);
    }
    for line in incident.telemetry.logs.iter().flat_map(|logs| &logs.lines) {
        add(time(&line.time), LOG, &*line.stream, &*line.text, 1);
    }
    add(Some(end), THIS, &*incident.kind, &*incident.message, 1);
    add(time(&incident.timestamp), "detected", "", "by this agent", 1);
    rows
}
