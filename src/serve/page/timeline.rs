//! What happened around the termination, in order: starts, terminations, the pod's events. The log has its own section.

use crate::core::display::parsed::Value;
use crate::core::display::timeline::{LOG, THIS, rows};
use crate::core::display::units::{clock_time, offset};
use crate::serve::page::html::{TABLE, element, put, text, time_tag, times};

/// Writes the table.
pub(super) fn write(out: &mut String, incident: &Value) {
    let Some(end) = incident.time("occurred_at") else {
        return;
    };
    put(out, "<h3>Timeline</h3>");
    put(out, TABLE);
    for row in rows(incident, end).into_iter().filter(|row| row.what != LOG) {
        let is_this = row.what == THIS;
        put(
            out,
            if is_this { "<tr class=\"now\"><td class=\"n\">" } else { "<tr><td class=\"n\">" },
        );
        time_tag(out, row.at, &clock_time(row.at));
        element(out, "</td><td class=\"n dim\">", &offset(row.at, end), "</td><td>");
        put(out, row.what);
        element(out, " <span class=\"dim\">", row.whose, "</span></td><td>");
        text(out, row.said);
        times(out, row.count);
        put(out, "</td></tr>");
    }
    put(out, "</tbody></table>");
}
