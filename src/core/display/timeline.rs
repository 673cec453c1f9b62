//! What happened around an end, in order: starts, ends, the pod's events, the last lines of the log.

use jiff::Timestamp;

use crate::core::display::line::Json;

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its place: the second, the rank within it, the rest of the time.
    key: (i64, usize, i32),
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub what: &'static str,
    /// Whose it is: a container, a stream, an event's reason.
    pub whose: &'a str,
    /// In the words of whoever said it.
    pub said: &'a str,
    /// How often.
    pub count: f64,
}

/// What is there, in its order within one second; events are among the log's lines.
const RANKS: [&str; 5] = ["start", LOG, "end", THIS, "detected"];

/// [`Row::what`] of the incident itself.
pub const THIS: &str = "incident";

/// [`Row::what`] of a line of the container's log.
pub const LOG: &str = "log";

/// All of an incident's times, the earliest first. `end` is when it occurred.
pub fn rows<'a>(incident: &'a Json, end: Timestamp) -> Vec<Row<'a>> {
    let mut rows = Vec::<Row<'a>>::new();
    let mut add = |at: Option<Timestamp>, what, whose, said, count| {
        if let Some(at) = at {
            // Starts and ends are told in whole seconds, so an end comes after whatever was said in its
            // second. Behind those of the same time: lines of the log stay in their order.
            let rank = RANKS.iter().position(|known| *known == what).unwrap_or(1);
            let key = (at.as_second(), rank, at.subsec_nanosecond());
            let place = rows.partition_point(|row| row.key <= key);
            rows.insert(place, Row { key, at, what, whose, said, count });
        }
    };
    for c in incident.at(&["containers"]).items() {
        add(c.time("started_at"), "start", c.text("name"), "", 1.0);
        add(c.time("finished_at"), "end", c.text("name"), c.text("reason"), 1.0);
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
