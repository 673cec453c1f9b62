//! One incident in a list: a line or two, with a link to all that is known.

use jiff::Timestamp;

use crate::core::case::Severity;
use crate::core::display::parsed::Value;
use crate::core::display::units::ago;
use crate::serve::page::html::{date_tag, element, link, put};

/// Writes the incident as an item of a list.
pub(super) fn write(out: &mut String, incident: &Value, now: Timestamp) {
    put(out, "<li class=\"i ");
    put(out, severity_class(incident));
    put(out, "\">");
    link(out, &[("id", incident.text("id"))]);
    put(out, "<span class=\"s\">");
    title(out, incident);
    put(out, "</a> <span class=\"dim\">");
    when(out, incident, now);
    element(
        out,
        "</span><span class=\"m\"><bdi>",
        incident.text("message"),
        "</bdi></span></li>\n",
    );
}

/// Returns the class of the style sheet. Only a known name may become part of an attribute.
pub(super) fn severity_class(incident: &Value) -> &'static str {
    Severity::from_name(incident.text("severity")).map_or("", Severity::name)
}

/// Writes severity, type, pod and container, and closes the element of the severity.
pub(super) fn title(out: &mut String, incident: &Value) {
    element(out, "", incident.text("severity"), "</span> <b>");
    element(out, "", incident.text("type"), "</b> <bdi>");
    element(out, "", &incident.subject(), "</bdi>");
    let container = incident.text("container");
    if !container.is_empty() {
        element(out, " <span class=\"dim\">container</span> <bdi>", container, "</bdi>");
    }
}

/// Writes when the incident happened.
pub(super) fn when(out: &mut String, incident: &Value, now: Timestamp) {
    if let Some(at) = incident.time("occurred_at") {
        date_tag(out, at);
        element(out, ", ", &ago(at, now), "");
    }
}
