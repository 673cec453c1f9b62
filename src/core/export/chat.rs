//! Incidents as messages of a chat's incoming webhook (Slack's form, which Mattermost and Rocket.Chat accept, too).
//!
//! A chat is read by people. For a fingerprint it gets one message, and the number of the others ten minutes later.

use std::time::Duration;

use super::line::ParsedLine;
use crate::limits::{CHAT_FINGERPRINTS_MAX, CHAT_LOG_BYTES_MAX, CHAT_LOG_LINES, CHAT_QUIET};

/// The fingerprints about which a message was sent in the last ten minutes, the oldest first.
#[derive(Debug, Default)]
pub struct Chat {
    quiet: Vec<Quiet>,
}

/// A fingerprint about which no second message is sent.
#[derive(Debug)]
struct Quiet {
    fingerprint: String,
    /// The time when this is over, by the monotonic clock.
    until: Duration,
    /// Number of incidents that were not told.
    untold: u64,
    /// The sentence of the last one of them.
    last: String,
}

impl Chat {
    /// Takes a line. Returns the body of the message about it; `None` if it is only counted, or not an incident.
    pub fn message(&mut self, line: &[u8], now: Duration) -> Option<Vec<u8>> {
        let line = ParsedLine::parse(line)?;
        let fingerprint = line.text("fingerprint");
        if let Some(quiet) = self.quiet.iter_mut().find(|quiet| quiet.fingerprint == fingerprint) {
            quiet.untold += 1;
            quiet.last = line.text("message").to_owned();
            return None;
        }
        self.quiet.push(Quiet::new(fingerprint.to_owned(), now));
        Some(body(&text(&line)))
    }

    /// Returns when the next number is due; `None` if none is.
    pub fn due(&self) -> Option<Duration> {
        if self.quiet.len() > CHAT_FINGERPRINTS_MAX {
            return Some(Duration::ZERO);
        }
        self.quiet.first().map(|quiet| quiet.until)
    }

    /// Returns the body of the message with the number of incidents that were not told, and that number, if one is due. With
    /// `is_end`, all are due. Called until it returns `None`.
    pub fn count(&mut self, now: Duration, is_end: bool) -> Option<(Vec<u8>, u64)> {
        while is_end || self.due().is_some_and(|due| due <= now) {
            if self.quiet.is_empty() {
                return None;
            }
            let Quiet { fingerprint, untold, last, .. } = self.quiet.remove(0);
            if untold == 0 {
                continue;
            }
            // It goes on, so the next ten minutes get a number as well, and not a message and a number.
            if !is_end && self.quiet.len() < CHAT_FINGERPRINTS_MAX {
                self.quiet.push(Quiet::new(fingerprint, now));
            }
            let (minutes, last) = (CHAT_QUIET.as_secs() / 60, escaped(&last));
            let text = format!("*{untold} more* within {minutes} minutes. The last: {last}");
            return Some((body(&text), untold));
        }
        None
    }
}

impl Quiet {
    fn new(fingerprint: String, now: Duration) -> Self {
        Self { fingerprint, until: now + CHAT_QUIET, untold: 0, last: String::new() }
    }
}

/// Returns the message about a line: the sentence, the facts, the last log lines.
fn text(line: &ParsedLine<'_>) -> String {
    let mut text = format!(
        "*{}*, {}: {}",
        line.text("type"),
        line.text("severity"),
        escaped(line.text("message"))
    );
    let number = |name| line.number(name).map(|n| n.to_string()).unwrap_or_default();
    let restarts = line.at(&["metadata", "restarts"]).number("total").map(|n| n.to_string());
    let facts = [
        ("cluster", line.text("cluster").to_owned()),
        ("node", line.text("node_name").to_owned()),
        ("namespace", line.text("namespace").to_owned()),
        ("workload", line.text("workload").to_owned()),
        ("pod", line.text("pod_name").to_owned()),
        ("container", line.text("container").to_owned()),
        ("image", line.text("image").to_owned()),
        ("exit code", number("exit_code")),
        ("restarts", restarts.unwrap_or_default()),
        ("at", line.text("occurred_at").to_owned()),
        ("fingerprint", line.text("fingerprint").to_owned()),
    ];
    let mut separator = "\n";
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(separator);
        text.push_str(name);
        text.push(' ');
        text.push_str(&escaped(value));
        separator = ", ";
    }
    let logs = line.last_lines(CHAT_LOG_LINES, CHAT_LOG_BYTES_MAX);
    if !logs.is_empty() {
        // Three backquotes would end the block.
        text.push_str("\n```\n");
        text.push_str(&escaped(&logs).replace("```", "'''"));
        text.push_str("\n```");
    }
    text
}

/// Returns the text without what a chat takes for a link, an entity, or a mention of everybody.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut parts = text.split('@');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Mattermost takes them in capitals, too.
        let begins =
            |name: &str| part.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name));
        out.push_str(match ["all", "channel", "everyone", "here"].into_iter().any(begins) {
            true => "@ ",
            false => "@",
        });
        out.push_str(part);
    }
    out
}

fn body(text: &str) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Message<'a> {
        text: &'a str,
    }
    // Serializing a string to memory cannot fail.
    serde_json::to_vec(&Message { text }).unwrap_or_default()
}

#[cfg(test)]
mod tests;
