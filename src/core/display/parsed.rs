//! Parses an incident line for the web page and for `show`: any JSON, as a tree. Types for each part of the
//! line would take four times the space in the binary, and people are shown all fields that are present, also
//! in lines of another version.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::core::glob;
use crate::core::node::is_bad_condition;

/// A value in a line.
#[derive(Debug)]
pub enum Value {
    /// `null`, which people are not shown.
    Null,
    /// `true` or `false`, which people are not shown, either.
    Flag(bool),
    /// A number; people are shown three digits of it.
    Number(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// An object, with its fields in their order.
    Object(Vec<(String, Self)>),
}

/// What reads a value is called at a hundred places and more, so it is not inlined.
impl Value {
    /// Parses a line. `None`: it is not an incident.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().filter(|json: &Self| !json.text("id").is_empty())
    }

    /// Parses a line without its telemetry, which is most of it. Of a line as the agent writes it, the telemetry is not
    /// even read, which takes a tenth of the time. `None`: it is not an incident.
    pub fn parse_head(line: &[u8]) -> Option<Self> {
        Self::before_telemetry(line).or_else(|| Self::parse_strict_head(line))
    }

    /// Like [`Value::parse_head`], of any line, and only if all of it is JSON.
    pub fn parse_strict_head(line: &[u8]) -> Option<Self> {
        let mut line = serde_json::Deserializer::from_slice(line);
        let head = line.deserialize_any(Tree { skipped: "telemetry" }).ok()?;
        line.end().ok()?;
        (!head.text("id").is_empty()).then_some(head)
    }

    /// Parses what the agent writes before the telemetry, which is the last field. `None`: another program may have
    /// written the line, with its fields in another order.
    fn before_telemetry(line: &[u8]) -> Option<Self> {
        // A quote within a string has a backslash before it, so this is no part of one.
        const LAST: &[u8] = b"},\"telemetry\":{";
        let line = line.trim_ascii_end();
        if !line.starts_with(b"{\"schema\":") || !line.ends_with(b"}}") {
            return None;
        }
        let end = memchr::memmem::find(line, LAST)? + 1;
        let mut head = Vec::with_capacity(end + 1);
        head.extend_from_slice(&line[..end]);
        head.push(b'}');
        let head = Self::parse(&head)?;
        head.fields().last().is_some_and(|(name, _)| name == "metadata").then_some(head)
    }

    /// Parses any JSON; [`Value::Null`] if the text is none.
    pub fn of_json(text: &str) -> Self {
        serde_json::from_slice(text.as_bytes()).unwrap_or(Self::Null)
    }

    /// Returns the name of what the incident is about: the pod with its namespace, or the node.
    pub fn subject(&self) -> String {
        match self.text("pod_name") {
            "" => format!("node {}", self.text("node_name")),
            pod => format!("{}/{pod}", self.text("namespace")),
        }
    }

    /// Returns kind and name of the workload, as `Deployment/api`; empty if the line has none. Lines of older agents
    /// have it only in the metadata.
    pub fn workload(&self) -> String {
        let workload = self.at(&["metadata", "workload"]);
        match (self.text("workload"), workload.text("name")) {
            ("", "") => String::new(),
            ("", name) => format!("{}/{name}", workload.text("kind")),
            (whole, _) => whole.to_owned(),
        }
    }

    /// Returns the image of the container that the incident is about; empty if it is about none. Lines of older
    /// agents have it only in the list of containers, which is empty in those of a rush.
    pub fn image(&self) -> &str {
        match self.text("image") {
            "" => self.own_container().text("image"),
            image => image,
        }
    }

    /// Returns true if a field fits a pattern, in as many parts as the pattern has: `web`, `Deployment/web`,
    /// `shop/Deployment/web`, `shop/web-*`.
    pub fn fits(&self, field: &str, glob: &str) -> bool {
        let slashes = glob.matches('/').count();
        let text: Cow<'_, str> = match field {
            "pod" if slashes > 0 => self.subject().into(),
            "pod" => self.text("pod_name").into(),
            "node" => self.text("node_name").into(),
            "workload" => {
                let workload = self.workload();
                match slashes {
                    0 => workload.rsplit('/').next().unwrap_or_default().to_owned().into(),
                    1 => workload.into(),
                    _ => format!("{}/{workload}", self.text("namespace")).into(),
                }
            }
            field => self.text(field).into(),
        };
        glob::fits(glob, &text)
    }

    /// Returns true for a condition of a node that is not in its healthy state.
    pub fn is_bad_condition(&self) -> bool {
        is_bad_condition(self.text("type"), self.text("status"))
    }

    /// Returns the container that the incident is about; [`Value::Null`] if it is about none.
    pub fn own_container(&self) -> &Self {
        let container = self.text("container");
        let mut all = self.at(&["containers"]).items().iter();
        let own = all.find(|c| !container.is_empty() && c.text("name") == container);
        own.unwrap_or(&Self::Null)
    }

    /// Keeps only these fields of an object.
    pub fn with_only(self, names: &[&str]) -> Self {
        let Self::Object(fields) = self else { return self };
        let mut kept = Vec::with_capacity(names.len());
        kept.extend(fields.into_iter().filter(|(name, _)| names.contains(&name.as_str())));
        Self::Object(kept)
    }

    /// Returns the value at this path of names; [`Value::Null`] if there is none.
    pub fn at(&self, path: &[&str]) -> &Self {
        let mut here = self;
        for name in path {
            let Self::Object(fields) = here else {
                return &Self::Null;
            };
            here = match fields.iter().find(|(known, _)| known == name) {
                Some((_, value)) => value,
                None => &Self::Null,
            };
        }
        here
    }

    /// Returns the text of this field; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.at(&[name]).as_text()
    }

    /// Returns the text that this value is; empty for other values.
    pub fn as_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    /// Returns the number of this field.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.at(&[name]) {
            Self::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// Returns true if this field is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.at(&[name]), Self::Flag(true))
    }

    /// Returns the time of this field.
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name).parse().ok()
    }

    /// Returns the items of a list; none for other values.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the fields of an object; none for other values.
    pub fn fields(&self) -> &[(String, Self)] {
        match self {
            Self::Object(fields) => fields,
            _ => &[],
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Tree { skipped: "" })
    }
}

struct Tree {
    /// The field of this object that is left out.
    skipped: &'static str,
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    #[allow(clippy::cast_precision_loss, reason = "people see three digits of it")]
    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Number(n as f64))
    }

    #[allow(clippy::cast_precision_loss, reason = "people see three digits of it")]
    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Number(n as f64))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(Value::Number(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            if !self.skipped.is_empty() && name == self.skipped {
                entries.next_value::<IgnoredAny>()?;
            } else {
                fields.push((name, entries.next_value()?));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_of_the_node_that_is_unknown_is_bad() {
        for (kind, status, is_bad) in [
            ("Ready", "True", false),
            ("Ready", "False", true),
            ("Ready", "Unknown", true),
            ("DiskPressure", "False", false),
            ("DiskPressure", "True", true),
            ("DiskPressure", "Unknown", true),
        ] {
            let condition = format!(r#"{{"type":"{kind}","status":"{status}"}}"#);
            let condition = Value::of_json(&condition);
            assert_eq!(condition.is_bad_condition(), is_bad, "{kind} {status}");
        }
    }

    #[test]
    fn the_telemetry_is_not_read_only_if_the_agent_wrote_the_line() {
        let agents = r#"{"schema":"v1","id":"a","type":"oom","metadata":{"x":"}},\"telemetry\":{"},"telemetry":{"y":}}"#;
        let head = Value::parse_head(agents.as_bytes()).unwrap();
        assert_eq!(
            (head.text("type"), head.at(&["metadata"]).text("x")),
            ("oom", "}},\"telemetry\":{")
        );
        assert!(Value::parse_strict_head(agents.as_bytes()).is_none());
        for other in [
            r#"{"schema":"v1","id":"a","metadata":{},"telemetry":{},"type":"oom"}"#,
            r#"{"schema":"v1","id":"a","x":{},"telemetry":{},"type":"oom","metadata":{}}"#,
            r#"{"schema":"v1","id":"a","metadata":{"x":{},"telemetry":{"y":1}},"type":"oom","z":{}}"#,
            r#"{"id":"a","type":"oom","metadata":{},"telemetry":{}}"#,
        ] {
            assert_eq!(Value::parse_head(other.as_bytes()).unwrap().text("type"), "oom", "{other}");
        }
        for broken in [
            r#"{"schema":"v1","id":"a","metadata":{},"telemetry":{"y":1}"#,
            r#"{"schema":"v1","id":"a","metadata":{]},"telemetry":{"y":1}}"#,
            r#"{"schema":"v1","id":"","metadata":{},"telemetry":{"y":1}}"#,
        ] {
            assert!(Value::parse_head(broken.as_bytes()).is_none(), "{broken}");
        }
    }

    #[test]
    fn workload_and_image_are_found_at_the_top_or_where_older_lines_have_them() {
        for (line, workload, image) in [
            (
                r#"{"id":"a","workload":"Deployment/web","image":"r/web:1","containers":[]}"#,
                true,
                true,
            ),
            (
                r#"{"id":"a","container":"app","containers":[{"name":"x"},{"name":"app","image":"r/web:1"}],
                "metadata":{"workload":{"kind":"Deployment","name":"web"}}}"#,
                true,
                true,
            ),
            (r#"{"id":"a","containers":[{"image":"r/web:1"}],"metadata":{}}"#, false, false),
            (r#"{"id":"a","workload":null,"image":null}"#, false, false),
        ] {
            let incident = Value::parse(line.as_bytes()).unwrap();
            assert_eq!(incident.workload(), if workload { "Deployment/web" } else { "" });
            assert_eq!(incident.image(), if image { "r/web:1" } else { "" });
        }
    }

    #[test]
    fn a_head_is_the_line_without_its_telemetry() {
        for (line, want) in [
            (r#"{"id":"a","telemetry":{"x":[1]},"type":"oom"}"#, true),
            (r#"{"id":"a","metadata":{"telemetry":"kept"},"type":"oom"}"#, true),
            (r#"{"id":"","type":"oom"}"#, false),
            (r#"{"id":"a","telemetry":{"x":}}"#, false),
            (r#"{"id":"a"} x"#, false),
            (r#"{"id":"a""#, false),
            ("[1]", false),
            ("", false),
        ] {
            let head = Value::parse_head(line.as_bytes());
            assert_eq!(head.is_some(), want, "{line}");
            assert_eq!(Value::parse_strict_head(line.as_bytes()).is_some(), want, "{line}");
            assert_eq!(Value::parse(line.as_bytes()).is_some(), want, "{line}");
            if let Some(head) = head {
                assert_eq!(head.text("type"), "oom");
                assert!(head.at(&["telemetry"]).fields().is_empty());
                let is_nested = line.contains("kept");
                assert_eq!(head.at(&["metadata"]).text("telemetry") == "kept", is_nested);
            }
        }
    }
}
