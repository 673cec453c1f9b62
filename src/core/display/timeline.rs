//! The events around a termination in order: starts, terminations, the pod's events, the last log lines.

use jiff::Timestamp;

use crate::core::display::parsed::Value;

/// One event on the timeline.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Sort key: the second, the rank within it, the rest of the time.
    key: (i64, usize, i32),
    /// When it happened.
    pub at: Timestamp,
    /// The kind of event.
    pub what: &'static str,
    /// The source: a container, a stream, or an event's reason.
    pub whose: &'a str,
    /// The text in the words of its source.
    pub said: &'a str,
    /// How often it happened.
    pub count: f64,
}

/// Kinds in their order within one second; the pod's events rank with the log lines.
const RANKS: [&str; 5] = ["start", LOG, "exit", THIS, "detected"];

/// [`Row::what`] of the incident itself.
pub const THIS: &str = "incident";

/// [`Row::what`] of a line of the container's log.
pub const LOG: &str = "log";

/// Returns all times of an incident, the earliest first. `end` is the time at which the incident occurred.
pub fn rows<'a>(incident: &'a Value, end: Timestamp) -> Vec<Row<'a>> {
    let mut rows = Vec::<Row<'a>>::new();
    let mut add = |at: Option<Timestamp>, what, whose, said, count| {
        if let Some(at) = at {
            // Starts and terminations have whole seconds only, so a termination comes after all log lines of its
            // second. Rows with the same key keep their order, as the log lines do.
            let rank = RANKS.iter().position(|known| *known == what).unwrap_or(1);
            let key = (at.as_second(), rank, at.subsec_nanosecond());
            let place = rows.partition_point(|row| row.key <= key);
            rows.insert(place, Row { key, at, what, whose, said, count });
        }
    };
    for c in incident.at(&["containers"]).items() {
        add(c.time("started_at"), "start", c.text("name"), "", 1.0);
        add(c.time("finished_at"), "exit", c.text("name"), c.text("reason"), 1.0);
    }
    for event in incident.at(&["telemetry", "events"]).items() {
        let count = event.number("count").unwrap_or_default();
        add(event.time("last_at"), "event", event.text("reason"), event.text("message"), count);
    }
    for line in incident.at(&["telemetry", "logs", "lines"]).items() {
        add(line.time("at"), LOG, line.text("stream"), line.text("text"), 1.0);
    }
    add(Some(end), THIS, incident.text("type"), "", 1.0);
    add(incident.time("timestamp"), "detected", "", "by this agent", 1.0);
    rows
}
