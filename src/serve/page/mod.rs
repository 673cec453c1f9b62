//! The page at `/`: the most recent incidents for a person with a browser behind `kubectl port-forward`.
//!
//! Plain HTML with one inline style sheet, whose hash is in the `Content-Security-Policy`, and nothing else: no
//! script, nothing from other sites, no attribute whose value comes from outside. There is a reload link rather
//! than an automatic reload, which would close what the reader has opened.

mod chart;
mod entry;
mod groups;
mod html;
mod timeline;

use jiff::Timestamp;

use self::html::{element, number, put, text};
use crate::core::display::groups::By;
use crate::core::display::units::{ago, date_time};
use crate::limits::{PAGE_BYTES_MAX, PAGE_INCIDENT_BYTES_MAX};
use crate::metrics::health::Unhealthy;
use crate::serve::recent::Snapshot;

/// The page's style sheet.
pub const STYLE: &str = include_str!("page.css");

/// Security headers: the page may load nothing, and may not be embedded in other pages. The hash is the SHA-256 of
/// [`STYLE`]; a test checks it.
pub const HEADERS: &str = "Content-Security-Policy: default-src 'none'; \
    style-src 'sha256-Bi28QHYx898IhnervBmUIGVylkW4owfPZPfmW63SYew='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n";

/// The content of the page.
#[derive(Debug)]
pub struct Page<'a> {
    /// `NODE_NAME`.
    pub node_name: &'a str,
    /// The most recent incidents.
    pub snapshot: &'a Snapshot,
    /// What the groups at the top of the page have in common.
    pub by: By,
    /// The result of `/healthz`.
    pub alive: Result<(), Unhealthy>,
    /// The result of `/readyz`.
    pub ready: Result<(), Unhealthy>,
    /// The time by the node's clock.
    pub now: Timestamp,
}

impl Page<'_> {
    /// Renders the page, at most [`PAGE_BYTES_MAX`] bytes plus the closing part. The newest incident comes first. If
    /// there is no room for the oldest ones, the page says so.
    pub fn render(&self) -> String {
        // Allocate once: growing step by step would need half as much memory again.
        let mut out = String::with_capacity(PAGE_BYTES_MAX + PAGE_INCIDENT_BYTES_MAX);
        self.header(&mut out);
        put(&mut out, "<main>");
        let items = &self.snapshot.items;
        if items.is_empty() {
            put(&mut out, "<p>No incidents since this agent started.</p>");
        }
        let table = groups::Section::new(self.by, items, self.forgotten());
        let start = out.len();
        // Each group links to its newest incident if that is on the page, which is known in the end. With all links,
        // the section is at its longest.
        let mut section = String::new();
        table.write(&mut section, 0);
        let (mut shown, mut oldest) = (0, self.forgotten() + items.len() as u64);
        for item in items.iter().rev() {
            let before = out.len();
            entry::write(&mut out, &item.line, oldest - 1, self.now);
            if out.len() + section.len() > PAGE_BYTES_MAX {
                out.truncate(before);
                break;
            }
            shown += 1;
            oldest -= 1;
        }
        section.clear();
        table.write(&mut section, oldest);
        out.insert_str(start, &section);
        self.rest(&mut out, shown);
        put(&mut out, "</main></body></html>\n");
        out
    }

    fn header(&self, out: &mut String) {
        put(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        put(out, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
        element(out, "<title>", self.node_name, " \u{b7} blackbox-daemon</title><style>");
        put(out, STYLE);
        element(out, "</style></head><body><header><h1>", self.node_name, "</h1><p>");
        number(out, self.snapshot.seen_total);
        put(
            out,
            match self.snapshot.seen_total {
                1 => " incident since ",
                _ => " incidents since ",
            },
        );
        text(out, &date_time(self.snapshot.since));
        element(out, " (", &ago(self.snapshot.since, self.now), "); this page was created at ");
        text(out, &date_time(self.now));
        put(out, "</p><p>blackbox-daemon ");
        put(out, env!("CARGO_PKG_VERSION"));
        verdict(out, " is ", "alive", &self.alive);
        verdict(out, " and ", "ready", &self.ready);
        put(
            out,
            "</p><nav><a href=\"/\">Reload</a> <a href=\"/incidents\">JSON lines</a></nav></header>\n",
        );
    }

    /// Returns how many incidents of this agent are no longer in memory. The number of an incident counts from the
    /// agent's start, so it is the same after a reload.
    fn forgotten(&self) -> u64 {
        self.snapshot.seen_total.saturating_sub(self.snapshot.items.len() as u64)
    }

    /// Writes how many incidents are not on the page.
    fn rest(&self, out: &mut String, shown: usize) {
        let kept = self.snapshot.items.len();
        let forgotten = self.forgotten();
        if shown < kept {
            put(out, "<p>");
            number(out, (kept - shown) as u64);
            put(out, " older incidents are at <a href=\"/incidents\">/incidents</a>.</p>");
        }
        if forgotten > 0 {
            put(out, "<p class=\"dim\">");
            number(out, forgotten);
            put(
                out,
                " older incidents are no longer in memory; look for them on stdout, in the \
                 incident file or at the collector.</p>",
            );
        }
    }
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
