//! What the node's kernel says, and what is known about a reboot: all fields of these parts of the line, in its words.

use crate::core::display::parsed::Value;
use crate::core::display::units::bytes;
use crate::serve::page::facts::whole;
use crate::serve::page::html::{clamped, date_tag, element, put, text};

/// Writes both sections; nothing if the incident has none.
pub(super) fn write(out: &mut String, incident: &Value) {
    section(out, "Kernel of the node", incident.at(&["telemetry", "kernel"]));
    section(out, "Reboot", incident.at(&["metadata", "reboot"]));
}

fn section(out: &mut String, title: &'static str, of: &Value) {
    if of.fields().is_empty() {
        return;
    }
    element(out, "<h3>", title, "</h3><ul>");
    for (name, value) in of.fields() {
        let items = match value {
            Value::List(items) if matches!(items[..], [Value::Object(_), ..]) => &items[..],
            other => std::slice::from_ref(other),
        };
        for item in items {
            put(out, "<li>");
            field(out, name, item);
            put(out, "</li>");
        }
    }
    put(out, "</ul>");
}

/// Writes a field, with its name in words.
fn field(out: &mut String, name: &str, value: &Value) {
    element(out, "", &name.trim_end_matches("_bytes").replace('_', " "), " ");
    match value {
        Value::Text(said) => match said.parse() {
            Ok(at) => date_tag(out, at),
            Err(_) => element(out, "<b>", said, "</b>"),
        },
        Value::Number(n) if name.ends_with("_bytes") => text(out, &bytes(clamped(*n))),
        Value::Number(n) => whole(out, *n),
        Value::Flag(is_true) => put(out, if *is_true { "yes" } else { "no" }),
        Value::List(items) => {
            for item in items {
                element(out, "<b>", item.as_text(), "</b> ");
            }
        }
        Value::Object(fields) => {
            let mut before = "";
            // Nothing of the agent nests deeper.
            for (name, value) in fields.iter().filter(|(_, value)| value.fields().is_empty()) {
                if !matches!(value, Value::Null) {
                    put(out, before);
                    field(out, name, value);
                    before = ", ";
                }
            }
        }
        Value::Null => put(out, "not known"),
    }
}
