//! The groups at the top of the page: what happens again and again on this node, in one look.

use std::sync::Arc;

use jiff::Timestamp;

use crate::core::display::groups::{By, Group, Groups, OTHERS, Table};
use crate::core::display::parsed::Value;
use crate::core::display::units::date_time;
use crate::limits::{PAGE_GROUPS_BYTES_MAX, PAGE_GROUPS_MAX};
use crate::serve::page::html::{element, number, put, text, time_tag};
use crate::sinks::Delivery;

/// Room for the row of the others and for the end of the table.
const TAIL_BYTES: usize = 1000;

/// The section.
#[derive(Debug)]
pub(super) struct Section {
    table: Table,
}

impl Section {
    /// Groups the incidents of these lines. `first` is the number of the oldest one; the entries have the same numbers.
    pub(super) fn new(by: By, items: &[Arc<Delivery>], first: u64) -> Self {
        let mut groups = Groups::new(by);
        for (item, number) in items.iter().zip(first..) {
            if let Some(incident) = Value::parse_head(&item.line) {
                groups.add(&incident, number);
            }
        }
        let mut table = groups.into_table();
        table.keep(PAGE_GROUPS_MAX);
        let (mut bytes, mut rows) = (head(by).len() + TAIL_BYTES, 0);
        for group in &table.rows {
            let mut out = String::new();
            row(&mut out, group, true);
            bytes += out.len();
            if bytes > PAGE_GROUPS_BYTES_MAX {
                break;
            }
            rows += 1;
        }
        table.keep(rows);
        Self { table }
    }

    /// Writes the section, at most [`PAGE_GROUPS_BYTES_MAX`] bytes; nothing if there are no groups. Incidents from the
    /// number `linked` on are on the page.
    pub(super) fn write(&self, out: &mut String, linked: u64) {
        let Table { rows, others, .. } = &self.table;
        if rows.is_empty() && others.count == 0 {
            return;
        }
        out.push_str(&head(self.table.by));
        for group in rows {
            row(out, group, group.newest >= linked);
        }
        if others.count > 0 {
            put(out, "<tr><td class=\"n\">");
            number(out, others.count);
            put(out, "</td><td class=\"n\">-</td><td>");
            time(out, others.span.first);
            put(out, "</td><td>");
            time(out, others.span.last);
            element(out, "</td><td class=\"dim\">", OTHERS, "</td></tr>");
        }
        put(out, "</tbody></table></div>");
    }
}

/// Returns the part before the rows.
fn head(by: By) -> String {
    let mut out = String::new();
    put(&mut out, "<h2>The last incidents by ");
    put(&mut out, by.name());
    put(&mut out, "</h2><nav>");
    for other in By::ALL.into_iter().filter(|other| *other != by) {
        put(&mut out, "<a href=\"/?by=");
        put(&mut out, other.name());
        element(&mut out, "\">by ", other.name(), "</a> ");
    }
    put(
        &mut out,
        "</nav><div class=\"w\"><table><thead><tr><th>count</th><th>pods</th><th>first</th>\
         <th>last</th><th>group and newest incident</th></tr></thead><tbody>",
    );
    out
}

fn row(out: &mut String, group: &Group, is_linked: bool) {
    element(out, "<tr><td class=\"n\">", &group.count(), "</td><td class=\"n\">");
    text(out, &group.pods.to_string());
    put(out, "</td><td>");
    time(out, group.span.first);
    put(out, "</td><td>");
    time(out, group.span.last);
    element(out, "</td><td><bdi><b>", &group.key, "</b> ");
    element(out, "", &group.detail, "</bdi><span class=\"m\"><bdi>");
    element(out, "", &group.sentence, "</bdi>");
    if is_linked {
        put(out, " <a href=\"#i");
        number(out, group.newest);
        put(out, "\">newest</a>");
    }
    put(out, "</span></td></tr>");
}

fn time(out: &mut String, at: Option<Timestamp>) {
    if let Some(at) = at {
        time_tag(out, at, &date_time(at));
    }
}
