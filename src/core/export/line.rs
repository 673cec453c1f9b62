//! An incident line as the exports need it: its head as a tree, its longer parts as they stand in the line.

use std::ops::Deref;

use crate::core::display::parsed::Value;
use crate::core::wire::json::{self, Json, Object, Raw, Wrong, members};

/// A parsed incident line.
#[derive(Debug)]
pub struct ParsedLine<'a> {
    head: Value,
    /// All containers, as JSON.
    pub(super) containers: Raw<'a>,
    /// `metadata.reboot` and `metadata.lost`, as JSON.
    pub(super) metadata: MetadataParts<'a>,
    telemetry: Raw<'a>,
    logs: Value,
}

/// The parts of `metadata` that are exported as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MetadataParts<'a> {
    pub(super) reboot: Raw<'a>,
    pub(super) lost: Raw<'a>,
}
members!(MetadataParts<'a> {
    b"reboot" => reboot,
    b"lost" => lost,
});

/// The telemetry.
#[derive(Debug, Default)]
pub(super) struct TelemetryParts<'a> {
    /// The container's samples.
    pub(super) container: Raw<'a>,
    /// The node's conditions and resources.
    pub(super) node: Raw<'a>,
    /// The members other than the logs, as the members of one JSON object.
    others: String,
}

impl<'a> Object<'a> for TelemetryParts<'a> {
    fn member(&mut self, name: &[u8], json: &mut Json<'a>) -> Result<(), Wrong> {
        let mut value = Raw::default();
        json::Read::read(&mut value, json)?;
        match name {
            b"logs" => return Ok(()),
            b"container" => self.container = value,
            b"node" => self.node = value,
            _ => {}
        }
        if value.is_some() {
            self.others.push(if self.others.is_empty() { '{' } else { ',' });
            self.others.push('"');
            self.others.push_str(&String::from_utf8_lossy(name));
            self.others.push_str("\":");
            self.others.push_str(value.as_str());
        }
        Ok(())
    }
}

impl TelemetryParts<'_> {
    /// Returns the telemetry without the log lines, as JSON; empty if there is nothing else.
    pub(super) fn without_logs(&self) -> String {
        if self.others.is_empty() { String::new() } else { format!("{}}}", self.others) }
    }
}

/// The members of a line that are kept as JSON.
#[derive(Debug, Default)]
struct Parts<'a> {
    containers: Raw<'a>,
    metadata: MetadataParts<'a>,
    telemetry: Raw<'a>,
}
members!(Parts<'a> {
    b"containers" => containers,
    b"metadata" => metadata,
    b"telemetry" => telemetry,
});

/// The log lines with what belongs to them, in the telemetry.
#[derive(Debug, Default)]
struct LogsPart<'a> {
    logs: Raw<'a>,
}
members!(LogsPart<'a> {
    b"logs" => logs,
});

impl<'a> ParsedLine<'a> {
    /// Parses a line, with or without its newline. `None`: it is not an incident.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let head = Value::parse_head(line)?;
        let parts: Parts<'a> = json::from_slice(line).ok()?;
        let telemetry: LogsPart<'a> = match parts.telemetry.as_str() {
            "" => LogsPart::default(),
            text => json::from_slice(text.as_bytes()).ok()?,
        };
        Some(Self {
            containers: parts.containers,
            metadata: parts.metadata,
            logs: Value::of_json(telemetry.logs.as_str()),
            telemetry: parts.telemetry,
            head,
        })
    }

    /// Returns the telemetry but for the log lines.
    pub(super) fn telemetry(&self) -> TelemetryParts<'a> {
        json::from_slice(self.telemetry.as_str().as_bytes()).unwrap_or_default()
    }

    /// Returns the kind and the name of the workload or of the owner.
    pub(super) fn kind_and_name(&self, of: &str) -> (&str, &str) {
        let object = self.head.at(&["metadata", of]);
        (object.text("kind"), object.text("name"))
    }

    /// Returns the newest log lines, the oldest of them first: at most `lines` lines, which have together at most `bytes`
    /// bytes. The newest line is always among them.
    pub(super) fn last_lines(&self, lines: usize, bytes: usize) -> String {
        let texts: Vec<&str> =
            self.logs.at(&["lines"]).items().iter().map(|l| l.text("text")).collect();
        let mut from = texts.len().saturating_sub(lines);
        let mut len: usize = texts[from..].iter().map(|text| text.len() + 1).sum();
        while len > bytes && from + 1 < texts.len() {
            len -= texts[from].len() + 1;
            from += 1;
        }
        texts[from..].join("\n")
    }

    /// Returns the file that the log lines come from.
    pub(super) fn log_file(&self) -> &str {
        self.logs.text("file")
    }
}

impl Deref for ParsedLine<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.head
    }
}
