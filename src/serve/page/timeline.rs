//! What happened around the termination, in order: starts, terminations, the pod's events, the last log lines.

use crate::core::display::parsed::Value;
use crate::core::display::timeline::{LOG, THIS, rows};
use crate::core::display::units::{clock_time, offset};
use crate::serve::page::html::{element, put, text, time_tag, times};

/// Writes the table.
pub(super) fn write(out: &mut String, incident: &Value) {
    let Some(end) = incident.time("occurred_at") else {
        return;
    };
    put(out, "<h2>Timeline</h2><table class=\"t\"><tbody>");
    for row in rows(incident, end) {
        let is_this = row.what == THIS;
        put(
            out,
            if is_this { "<tr class=\"now\"><td class=\"n\">" } else { "<tr><td class=\"n\">" },
        );
        time_tag(out, row.at, &clock_time(row.at));
        element(out, "</td><td class=\"n dim\">", &offset(row.at, end), "</td><td>");
        put(out, row.what);
        element(out, " <span class=\"dim\">", row.whose, "</span></td><td>");
        if row.what == LOG {
            element(out, "<div class=\"log\">", row.said, "</div>");
        } else {
            text(out, row.said);
        }
        times(out, row.count);
        put(out, "</td></tr>");
    }
    put(out, "</tbody></table>");
}
