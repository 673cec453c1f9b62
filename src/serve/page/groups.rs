//! The groups at the top of the page: what happens again and again on this node, in one look.

use crate::core::display::groups::{By, Group, Groups, NONE, OTHERS, Span, Table};
use crate::core::display::parsed::Value;
use crate::limits::{PAGE_GROUPS_BYTES_MAX, PAGE_GROUPS_MAX};
use crate::serve::page::html::{date_tag, element, link, put};
use crate::serve::query::Query;

/// Room for the row of the others and for the end of the table.
const TAIL_BYTES: usize = 1000;

/// The section, while it is filled.
#[derive(Debug)]
pub(super) struct Section<'q> {
    query: &'q Query,
    groups: Groups,
    /// The number and the id of each incident.
    ids: Vec<(u64, String)>,
}

impl<'q> Section<'q> {
    /// Creates a section without groups.
    pub(super) fn new(query: &'q Query) -> Self {
        Self { query, groups: Groups::new(query.by()), ids: Vec::new() }
    }

    /// Adds an incident with its number.
    pub(super) fn add(&mut self, incident: &Value, number: u64) {
        self.groups.add(incident, number);
        self.ids.push((number, incident.text("id").to_owned()));
    }

    /// Writes the section, at most [`PAGE_GROUPS_BYTES_MAX`] bytes; nothing if there are no groups.
    pub(super) fn write(self, out: &mut String) {
        let mut table = self.groups.into_table();
        if table.rows.is_empty() {
            return;
        }
        let mut section = String::new();
        head(&mut section, self.query);
        let mut rows = 0;
        for group in table.rows.iter().take(PAGE_GROUPS_MAX) {
            let before = section.len();
            let id = self.ids.iter().find(|(number, _)| *number == group.newest);
            row(&mut section, self.query, group, id.map_or("", |(_, id)| id));
            if section.len() > PAGE_GROUPS_BYTES_MAX - TAIL_BYTES {
                section.truncate(before);
                break;
            }
            rows += 1;
        }
        table.keep(rows);
        let Table { others, .. } = &table;
        if others.count > 0 {
            put(&mut section, "<tr>");
            cell(&mut section, &others.count.to_string(), "count ");
            cell(&mut section, "-", "pods ");
            times(&mut section, others.span);
            element(&mut section, "<td class=\"dim\">", OTHERS, "</td></tr>");
        }
        out.push_str(&section);
        put(out, "</tbody></table></section>");
    }
}

/// Writes the part before the rows.
fn head(out: &mut String, query: &Query) {
    let by = query.by();
    put(out, "<section><h2>The last incidents by ");
    put(out, by.name());
    put(out, "</h2><nav aria-label=\"Groups\">");
    for other in By::ALL.into_iter().filter(|other| *other != by) {
        element(out, "<a href=\"", &query.with("by", other.name()), "\">by ");
        put(out, other.name());
        put(out, "</a> ");
    }
    put(
        out,
        "</nav><table class=\"g\"><thead><tr><th scope=\"col\">count</th>\
         <th scope=\"col\">pods</th><th scope=\"col\">first</th><th scope=\"col\">last</th>\
         <th scope=\"col\">group and newest incident</th></tr></thead><tbody>",
    );
}

fn row(out: &mut String, query: &Query, group: &Group, id: &str) {
    put(out, "<tr>");
    cell(out, &group.count(), "count ");
    cell(out, &group.pods.to_string(), "pods ");
    times(out, group.span);
    put(out, "<td>");
    let is_linked = open_link(out, query.by(), &group.key);
    // A fingerprint tells a person less than what it stands for.
    let has_detail = !group.detail.is_empty();
    let title = if has_detail { &group.detail } else { &group.key };
    element(out, "<bdi><b>", title, "</b></bdi>");
    put(out, if is_linked { "</a>" } else { "" });
    if has_detail {
        element(out, " <code class=\"dim\">", &group.key, "</code>");
    }
    put(out, "<span class=\"m\">");
    link(out, &[("id", id)]);
    element(out, "<bdi>", &group.sentence, "</bdi></a></span></td></tr>");
}

/// Opens a link to the incidents of a group. Returns false if no filter chooses them.
fn open_link(out: &mut String, by: By, key: &str) -> bool {
    match by {
        _ if key == NONE => return false,
        // All incidents of the page are of the agent's node.
        By::Node => return false,
        By::Workload => {
            let (namespace, workload) = key.split_once('/').unwrap_or_default();
            link(out, &[("namespace", namespace), ("workload", workload)]);
        }
        By::Fingerprint | By::Type | By::Image => link(out, &[(by.name(), key)]),
    }
    true
}

/// Writes a number. What it counts is in the head of the table, or where there is no room for one, beside it.
fn cell(out: &mut String, count: &str, what: &'static str) {
    element(out, "<td class=\"n\"><span class=\"h\">", what, "</span>");
    element(out, "", count, "</td>");
}

fn times(out: &mut String, span: Span) {
    for (what, at) in [("first ", span.first), ("last ", span.last)] {
        element(out, "<td><span class=\"h\">", what, "</span>");
        if let Some(at) = at {
            date_tag(out, at);
        }
        put(out, "</td>");
    }
}
