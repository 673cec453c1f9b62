//! The page at `/`: the most recent incidents for a person with a browser behind `kubectl port-forward`.
//!
//! Without an `id` in its address it is a list: groups, then a row for each incident. With one it is that incident in
//! full. Everything that was chosen stands in the address, so a page can be kept, sent to others and loaded again.
//!
//! Plain HTML with one inline style sheet, whose hash is in the `Content-Security-Policy`, and nothing else: no
//! script, and nothing from other sites. What comes from outside is in two kinds of attributes only: percent-encoded in
//! links, and escaped in the fields of the form, where it is what the reader typed.

mod chart;
mod curves;
mod entry;
mod facts;
mod form;
mod groups;
mod html;
mod kernel;
mod log;
mod row;
mod timeline;

use jiff::Timestamp;

use self::html::{element, number, put, text};
use crate::core::display::parsed::Value;
use crate::core::display::units::{ago, date_time};
use crate::limits::{PAGE_BYTES_MAX, PAGE_GROUPS_BYTES_MAX};
use crate::metrics::health::Unhealthy;
use crate::serve::query::Query;
use crate::serve::recent::Snapshot;

/// The page's style sheet.
pub const STYLE: &str = include_str!("page.css");

/// Security headers: the page may load nothing, send its form only to itself, and may not be embedded in other pages.
/// The hash is the SHA-256 of [`STYLE`]; a test checks it.
pub const HEADERS: &str = "Content-Security-Policy: default-src 'none'; \
    style-src 'sha256-Fkx13bl6VENiNTqvjQp+NT3geONXGfcim9O040O/lHs='; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n";

/// Room for the end of the page.
const END_BYTES: usize = 1000;

/// The content of the page.
#[derive(Debug)]
pub struct Page<'a> {
    /// `NODE_NAME`.
    pub node_name: &'a str,
    /// The most recent incidents.
    pub snapshot: &'a Snapshot,
    /// What the reader asks for.
    pub query: &'a Query,
    /// The result of `/healthz`.
    pub alive: Result<(), Unhealthy>,
    /// The result of `/readyz`.
    pub ready: Result<(), Unhealthy>,
    /// The time by the node's clock.
    pub now: Timestamp,
}

impl Page<'_> {
    /// Appends the page, at most [`PAGE_BYTES_MAX`] bytes. The newest incident comes first. If there is no room for the
    /// oldest ones, the page says so. Returns true if it shows an incident.
    pub fn render(&self, out: &mut String) -> bool {
        // Allocate once: growing step by step would need half as much memory again.
        out.reserve_exact(PAGE_BYTES_MAX);
        self.header(out);
        let is_list = self.query.get("id").is_empty();
        put(out, "<main id=\"main\">");
        let shown = if is_list { self.list(out) } else { self.incidents(out) };
        put(out, "</main></body></html>\n");
        shown > 0
    }

    fn header(&self, out: &mut String) {
        put(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        put(out, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
        let refresh = self.query.get("refresh");
        if !refresh.is_empty() {
            element(out, "<meta http-equiv=\"refresh\" content=\"", refresh, "\">");
        }
        put(out, "<title>");
        let is_list = self.query.get("id").is_empty();
        let mut newest_first = self.snapshot.lines.iter().rev();
        if !is_list && let Some(incident) = newest_first.find_map(|line| self.query.take(line)) {
            element(out, "", incident.text("type"), " ");
            element(out, "", &incident.subject(), " \u{b7} ");
        }
        element(out, "", self.node_name, " \u{b7} blackbox-daemon</title><style>");
        put(out, STYLE);
        put(
            out,
            "</style></head><body><a class=\"skip\" href=\"#main\">To the incidents</a><header>",
        );
        element(out, "<h1><a href=\"/\">", self.node_name, "</a></h1><p>");
        count(out, self.snapshot.seen_total, " incident since ", " incidents since ");
        text(out, &date_time(self.snapshot.since));
        element(out, " (", &ago(self.snapshot.since, self.now), "); this page was created at ");
        text(out, &date_time(self.now));
        put(out, "</p><p>blackbox-daemon ");
        put(out, env!("CARGO_PKG_VERSION"));
        verdict(out, " is ", "alive", &self.alive);
        verdict(out, " and ", "ready", &self.ready);
        put(out, "</p>");
        form::navigation(out, self.query);
        put(out, "</header>\n");
    }

    /// Returns the wanted lines, the newest first, each with its number. The number of an incident counts from the
    /// agent's start, so it is the same when the page is loaded again.
    fn wanted(&self) -> impl Iterator<Item = (u64, &[u8], Value)> {
        let lines = self.snapshot.lines.iter().enumerate().rev();
        let wanted = lines.filter_map(|(n, line)| {
            Some((self.forgotten() + n as u64, &**line, self.query.take(line)?))
        });
        wanted.take(self.query.limit())
    }

    /// Returns how many incidents of this agent are no longer in memory.
    fn forgotten(&self) -> u64 {
        self.snapshot.seen_total.saturating_sub(self.snapshot.lines.len() as u64)
    }

    /// Writes the groups and a row for each incident. Returns the number of rows.
    fn list(&self, out: &mut String) -> usize {
        form::fields(out, self.query);
        let mut groups = groups::Section::new(self.query);
        let (mut rows, mut wanted, mut shown) = (String::new(), 0, 0);
        let room = PAGE_BYTES_MAX.saturating_sub(out.len() + PAGE_GROUPS_BYTES_MAX + END_BYTES);
        for (at, _, incident) in self.wanted() {
            groups.add(&incident, at);
            wanted += 1;
            // After the first row without room there is none, so that no incident is left out in between.
            if shown + 1 == wanted {
                let before = rows.len();
                row::write(&mut rows, &incident, self.now);
                match rows.len() <= room {
                    true => shown += 1,
                    false => rows.truncate(before),
                }
            }
        }
        groups.write(out);
        self.heading(out, wanted);
        if shown > 0 {
            put(out, "<ol class=\"l\">");
            out.push_str(&rows);
            put(out, "</ol>");
        }
        self.rest(out, wanted - shown);
        shown
    }

    /// Says how many incidents there are.
    fn heading(&self, out: &mut String, wanted: usize) {
        let kept = self.snapshot.lines.len();
        let is_filtered = self.query.filters().next().is_some();
        put(out, "<h2>Incidents</h2><p class=\"dim\">");
        if kept == 0 {
            put(
                out,
                match self.snapshot.seen_total {
                    0 => "No incidents since this agent started.",
                    _ => "No incidents in memory.",
                },
            );
        } else if is_filtered && wanted == 0 && kept == 1 {
            put(out, "The one incident in memory does not fit.");
        } else if is_filtered && wanted == 0 {
            put(out, "None of the ");
            number(out, kept as u64);
            put(out, " incidents in memory fits.");
        } else {
            number(out, wanted as u64);
            if is_filtered {
                put(out, " of ");
                number(out, kept as u64);
            }
            put(out, " in memory, the newest first");
        }
        put(out, "</p>");
    }

    /// Writes how many incidents are not on the page.
    fn rest(&self, out: &mut String, left_out: usize) {
        if left_out > 0 {
            put(out, "<p>");
            let one = " older incident has no room here; it is among the ";
            let more = " older incidents have no room here; they are among the ";
            count(out, left_out as u64, one, more);
            element(out, "<a href=\"", &self.query.lines(), "\">JSON lines</a>.</p>");
        }
        let forgotten = self.forgotten();
        if forgotten > 0 {
            put(out, "<p class=\"dim\">");
            let one = " older incident is no longer in memory; look for it";
            let more = " older incidents are no longer in memory; look for them";
            count(out, forgotten, one, more);
            put(out, " on stdout, in the incident file or at the collector.</p>");
        }
    }

    /// Writes the incidents with an id in full; as a rule, that is one. Returns their number.
    fn incidents(&self, out: &mut String) -> usize {
        let mut shown = 0;
        for (_, line, _) in self.wanted() {
            let before = out.len();
            entry::write(out, line, self.snapshot, self.now);
            if out.len() > PAGE_BYTES_MAX - END_BYTES {
                out.truncate(before);
                break;
            }
            shown += 1;
        }
        if shown == 0 {
            put(
                out,
                "<h2>No such incident</h2><p>No incident with this id is in the memory of this agent. \
                 Look for it on stdout, in the incident file or at the collector.</p>",
            );
        }
        shown
    }
}

/// Writes a number, and what there is of it.
fn count(out: &mut String, n: u64, one: &'static str, more: &'static str) {
    number(out, n);
    put(out, if n == 1 { one } else { more });
}

fn verdict(
    out: &mut String,
    before: &'static str,
    what: &'static str,
    verdict: &Result<(), Unhealthy>,
) {
    put(out, before);
    match verdict {
        Ok(()) => put(out, what),
        Err(ailment) => {
            put(out, "<b class=\"bad\">not ");
            put(out, what);
            element(out, " (", &ailment.to_string(), ")</b>");
        }
    }
}

#[cfg(test)]
mod tests;
