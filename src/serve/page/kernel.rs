//! What the node's kernel says, and what is known about a reboot.

use crate::core::display::parsed::Value;
use crate::core::display::units::{bytes, date_time};
use crate::serve::page::html::{clamped, element, number, put, text, time_tag, times};

/// Writes both sections; nothing if the incident has none.
pub(super) fn write(out: &mut String, incident: &Value) {
    let kernel = incident.at(&["telemetry", "kernel"]);
    if !kernel.fields().is_empty() {
        put(out, "<h3>Kernel of the node</h3><ul>");
        oom_kill(out, kernel.at(&["oom_kill"]));
        fault(out, kernel.at(&["fault"]));
        for trouble in kernel.at(&["troubles"]).items() {
            element(out, "<li>", trouble.text("kind"), " ");
            element(out, "<b>", trouble.text("subject"), "</b>");
            time(out, " first ", trouble, "first_at");
            time(out, ", last ", trouble, "last_at");
            times(out, trouble.number("count").unwrap_or_default());
            put(out, "</li>");
        }
        for (name, by) in kernel.at(&["counters"]).fields() {
            if let Value::Number(by) = by {
                element(out, "<li>counter <b>", name, "</b> rose by ");
                number(out, clamped(*by));
                put(out, "</li>");
            }
        }
        put(out, "</ul>");
    }
    reboot(out, incident.at(&["metadata", "reboot"]));
}

fn oom_kill(out: &mut String, kill: &Value) {
    if kill.fields().is_empty() {
        return;
    }
    process(out, "<li>killed for want of memory: ", kill);
    let resident = kill.number("resident_bytes").map_or(0, clamped);
    element(out, ", ", &bytes(resident), " resident");
    fact(out, "; at its limit was the ", kill.text("limit_of"));
    fact(out, "; memory was wanted by ", kill.text("asked_by"));
    let processes = kill.number("processes").map_or(0, clamped);
    if processes > 1 {
        put(out, "; ");
        number(out, processes);
        put(out, " processes were killed at once");
    }
    fact(out, "; ", kill.text("confidence"));
    time(out, "; ", kill, "at");
    put(out, "</li>");
}

fn fault(out: &mut String, fault: &Value) {
    if fault.fields().is_empty() {
        return;
    }
    element(out, "<li><b>", fault.text("kind"), "</b>");
    process(out, " of ", fault);
    fact(out, " in ", fault.text("file"));
    fact(out, " at ", fault.text("offset"));
    fact(out, "; ", fault.text("confidence"));
    time(out, "; ", fault, "at");
    put(out, "</li>");
}

fn process(out: &mut String, before: &'static str, of: &Value) {
    element(out, before, "", "<b>");
    element(out, "", of.text("process"), "</b> (");
    number(out, of.number("pid").map_or(0, clamped));
    put(out, ")");
}

fn reboot(out: &mut String, reboot: &Value) {
    if reboot.fields().is_empty() {
        return;
    }
    put(out, "<h3>Reboot</h3><ul>");
    let shutdown = match reboot.at(&["is_orderly"]) {
        Value::Flag(true) => "a shutdown was seen",
        Value::Flag(false) => "there was no shutdown",
        _ => "whether there was a shutdown is not known",
    };
    element(out, "<li>", shutdown, "</li>");
    for (before, name) in [
        ("<li>panic: <b>", "panic"),
        ("<li>boot <b>", "boot_id"),
        ("<li>boot before <b>", "previous_boot_id"),
    ] {
        if !reboot.text(name).is_empty() {
            element(out, before, reboot.text(name), "</b></li>");
        }
    }
    for (before, name) in [
        ("<li>last alive ", "last_alive_at"),
        ("<li>agent last seen ", "last_seen_at"),
        ("<li>booted ", "booted_at"),
    ] {
        time(out, before, reboot, name);
        put(out, if reboot.time(name).is_some() { "</li>" } else { "" });
    }
    put(out, "<li>containers that it ended: ");
    number(out, reboot.number("containers").map_or(0, clamped));
    let mut before = "; the first: ";
    for name in reboot.at(&["names"]).items() {
        element(out, before, name.as_text(), "");
        before = ", ";
    }
    put(out, "</li></ul>");
}

fn fact(out: &mut String, before: &'static str, value: &str) {
    if !value.is_empty() {
        put(out, before);
        text(out, value);
    }
}

fn time(out: &mut String, before: &'static str, of: &Value, name: &str) {
    if let Some(at) = of.time(name) {
        put(out, before);
        time_tag(out, at, &date_time(at));
    }
}
