//! The links at the top of the page, and the form that chooses incidents.

use crate::core::case::{IncidentType, Severity};
use crate::serve::page::html::{element, put};
use crate::serve::query::Query;

/// How often the page is loaded again if the reader asks for that, in seconds.
const REFRESH: &str = "10";

/// The filters with a field of their own: name, title, and an example.
static FIELDS: [(&str, &str, &str); 4] = [
    ("namespace", "Namespace", "shop"),
    ("pod", "Pod", "web-*"),
    ("workload", "Workload", "Deployment/web"),
    ("text", "Text", "any words"),
];

/// Writes the links to the page as it is now, to all incidents, to the lines, and to the page that loads itself again.
pub(super) fn navigation(out: &mut String, query: &Query) {
    put(out, "<nav aria-label=\"Page\">");
    let refresh = query.get("refresh");
    if !query.get("id").is_empty() {
        put(out, "<a href=\"/\">All incidents</a> ");
    }
    element(out, "<a href=\"", &query.with("refresh", refresh), "\">Reload</a> ");
    if refresh.is_empty() {
        element(out, "<a href=\"", &query.with("refresh", REFRESH), "\">Reload every ");
        put(out, REFRESH);
        put(out, " s</a> ");
    } else {
        element(out, "<a href=\"", &query.with("refresh", ""), "\">Stop reloading every ");
        element(out, "", refresh, " s</a> ");
    }
    element(out, "<a href=\"", &query.lines(), "\">JSON lines</a></nav>");
}

/// Writes the form. Its fields show what is chosen now.
pub(super) fn fields(out: &mut String, query: &Query) {
    put(out, "<form method=\"get\" action=\"/\">");
    for (name, title, example) in &FIELDS {
        element(out, "<label>", title, "<input name=\"");
        put(out, name);
        element(out, "\" value=\"", query.get(name), "\" placeholder=\"");
        put(out, example);
        put(out, "\"></label>");
    }
    choice(out, query, "type", "Type", &IncidentType::ALL.map(IncidentType::name));
    choice(out, query, "severity", "Severity from", &Severity::ALL.map(Severity::name));
    // What has no field of its own must not be lost when the form is sent.
    for &name in &["container", "image", "fingerprint", "limit", "by", "refresh"] {
        if !query.get(name).is_empty() {
            put(out, "<input type=\"hidden\" name=\"");
            put(out, name);
            element(out, "\" value=\"", query.get(name), "\">");
        }
    }
    put(out, "<button>Show</button></form>");
    chosen(out, query);
}

fn choice(
    out: &mut String,
    query: &Query,
    name: &'static str,
    title: &'static str,
    values: &[&'static str],
) {
    let own = query.get(name);
    element(out, "<label>", title, "<select name=\"");
    put(out, name);
    put(out, "\"><option value=\"\">any</option>");
    // Several types, joined by commas, come from an address that somebody wrote.
    let other = (!own.is_empty() && !values.contains(&own)).then_some(own);
    for value in values.iter().copied().chain(other) {
        element(out, "<option value=\"", value, "\"");
        put(out, if value == own { " selected=\"selected\">" } else { ">" });
        element(out, "", value, "</option>");
    }
    put(out, "</select></label>");
}

/// Writes what is chosen, each with a link that removes it.
fn chosen(out: &mut String, query: &Query) {
    if query.filters().next().is_none() {
        return;
    }
    put(out, "<p>Only ");
    let mut before = "";
    for (name, value) in query.filters() {
        put(out, before);
        put(out, name);
        element(out, " <b><bdi>", value, "</bdi></b> (");
        element(out, "<a href=\"", &query.with(name, ""), "\">remove<span class=\"v\"> ");
        put(out, name);
        put(out, "</span></a>)");
        before = ", ";
    }
    put(out, "; <a href=\"/\">show all</a></p>");
}
