use serde_json::{Value, json};

use super::*;

const LINES: &str = include_str!("../../../fixtures/incidents.jsonl");
const CRASH_SCHEMA: &str = include_str!("../../../deploy/incident.schema.json");

/// Returns the value without what a missing member reads as, and with all numbers and times of one kind.
fn without_defaults(value: &Value) -> Value {
    let is_kept = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    };
    match value {
        Value::Object(members) => {
            let kept = members.iter().map(|(name, value)| (name.clone(), without_defaults(value)));
            Value::Object(kept.filter(|(_, value)| is_kept(value)).collect())
        }
        Value::Array(items) => items.iter().map(without_defaults).collect(),
        Value::Number(number) => json!(number.as_f64()),
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(time) => json!(time.to_string()),
            Err(_) => value.clone(),
        },
        other => other.clone(),
    }
}

fn assert_all_is_read(line: &str) {
    let read = Incident::parse(line.as_bytes()).unwrap();
    let written = without_defaults(&serde_json::to_value(&read).unwrap());
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(written, without_defaults(&line));
}

/// Returns a value that the schema allows, with every member that it names.
fn example(schema: &Value, root: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return example(root.pointer(name.trim_start_matches('#')).unwrap(), root);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(words) = schema["enum"].as_array() {
        return words[0].clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind.unwrap() {
        "string" if schema["format"] == "date-time" => json!("2026-11-23T19:01:34.5Z"),
        "string" => json!("text"),
        "integer" | "number" => json!(7),
        "boolean" => json!(true),
        "array" => json!([example(&schema["items"], root)]),
        "object" => {
            let named = schema["properties"].as_object();
            let mut members: serde_json::Map<String, Value> = named
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), example(schema, root)))
                .collect();
            if schema["additionalProperties"].is_object() {
                let other = example(&schema["additionalProperties"], root);
                members.insert("other".to_owned(), other);
            }
            Value::Object(members)
        }
        kind => panic!("{kind} in the schema"),
    }
}

/// Returns a line with every member of the schema. Some of its times have no format there.
fn full_line() -> Value {
    let schema: Value = serde_json::from_str(CRASH_SCHEMA).unwrap();
    let mut line = example(&schema, &schema);
    for path in ["lost/since", "lost/until", "reboot/booted_at", "reboot/last_seen_at"] {
        let time = line["metadata"].pointer_mut(&format!("/{path}")).unwrap();
        *time = json!("2026-11-23T19:01:34Z");
    }
    line
}

#[test]
fn every_member_of_a_recorded_line_is_read() {
    for line in LINES.lines() {
        assert_all_is_read(line);
    }
}

#[test]
fn every_member_of_the_schema_is_read() {
    assert_all_is_read(&full_line().to_string());
}

#[test]
fn a_line_of_a_later_version_is_read_without_what_is_new_in_it() {
    /// Adds an unknown member to every object, except where the members are names and values.
    fn add(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.values_mut().for_each(add);
                let has_only_values =
                    members.contains_key("other") && !members.contains_key("ends_at");
                let is_list = members.keys().any(|name| name == "oom_kills") && members.len() > 8;
                if !has_only_values && !is_list {
                    members.insert("new_in_v1".to_owned(), json!({"deep": [1, "two", null]}));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(add),
            _ => {}
        }
    }
    let line = full_line();
    let mut later = line.clone();
    add(&mut later);
    assert_ne!(line, later);
    let read = |line: &Value| Incident::parse(line.to_string().as_bytes()).unwrap();
    assert_eq!(read(&later), read(&line));
}

#[test]
fn a_new_word_for_a_type_or_a_severity_is_read() {
    let mut line = full_line();
    line["type"] = json!("gpu_lost");
    line["severity"] = json!("notice");
    let read = Incident::parse(line.to_string().as_bytes()).unwrap();
    assert_eq!((read.kind.as_str(), read.severity.as_str()), ("gpu_lost", "notice"));
}

#[test]
fn what_is_no_incident_is_refused_with_the_reason() {
    let mut other = full_line();
    other["schema"] = json!("blackbox.incident/v2");
    other["timestamp"] = json!(5);
    let mut nameless = full_line();
    nameless.as_object_mut().unwrap().remove("id");
    let mut timeless = full_line();
    timeless["occurred_at"] = json!("yesterday");
    for (line, why) in [
        (other.to_string(), "the schema is \"blackbox.incident/v2\""),
        (nameless.to_string(), "missing field `id`"),
        (timeless.to_string(), "not an incident line"),
        (LINES.lines().next().unwrap()[..99].to_owned(), "not an incident line: EOF"),
        (String::new(), "not an incident line: EOF"),
    ] {
        let error = Incident::parse(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
