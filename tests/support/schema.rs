//! Validates incident lines against the project's JSON Schema; supports only the keywords that the schema uses.

use std::sync::OnceLock;

use serde_json::Value;

/// Container runtimes split lines at 16 KiB.
const LINE_BYTES_MAX: usize = 16_000;

/// Returns what is wrong with a line, or `None`.
pub fn flaw(line: &str) -> Option<String> {
    if line.len() >= LINE_BYTES_MAX {
        return Some(format!("{} bytes", line.len() + 1));
    }
    match serde_json::from_str(line) {
        Ok(value) => Check(schema()).value(&value, schema(), "").err(),
        Err(error) => Some(error.to_string()),
    }
}

fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    let text = include_str!("../../deploy/incident.schema.json");
    SCHEMA.get_or_init(|| serde_json::from_str(text).unwrap())
}

struct Check(&'static Value);

impl Check {
    fn value(&self, value: &Value, schema: &Value, at: &str) -> Result<(), String> {
        let schema = schema.as_object().unwrap_or_else(|| panic!("{at}: no schema"));
        for (keyword, rule) in schema {
            let ok = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" => true,
                // Checked together with `properties`.
                "additionalProperties" => true,
                "$ref" => {
                    let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                    self.value(value, &self.0["$defs"][name], at)?;
                    true
                }
                "type" => match rule {
                    Value::Array(names) => names.iter().any(|name| is_a(value, name)),
                    name => is_a(value, name),
                },
                "const" => value == rule,
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|n| n >= rule.as_f64().unwrap()),
                "minLength" => value
                    .as_str()
                    .is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
                "maxLength" => value
                    .as_str()
                    .is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
                "maxItems" => {
                    value.as_array().is_none_or(|all| all.len() as u64 <= rule.as_u64().unwrap())
                }
                "required" => value.as_object().is_none_or(|object| {
                    rule.as_array()
                        .unwrap()
                        .iter()
                        .all(|key| object.contains_key(key.as_str().unwrap()))
                }),
                "format" => rule == "date-time" && value.as_str().is_none_or(is_time),
                "items" => {
                    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(item, rule, &format!("{at}/{n}"))?;
                    }
                    true
                }
                "properties" => {
                    self.properties(value, rule, schema.get("additionalProperties"), at)?;
                    true
                }
                "minProperties" => {
                    let least = rule.as_u64().unwrap() as usize;
                    value.as_object().is_none_or(|object| object.len() >= least)
                }
                other => panic!("{at}: the check does not know {other:?}"),
            };
            if !ok {
                return Err(format!("{at}: {value} is against {keyword:?}: {rule}"));
            }
        }
        Ok(())
    }

    fn properties(
        &self,
        value: &Value,
        known: &Value,
        others: Option<&Value>,
        at: &str,
    ) -> Result<(), String> {
        for (key, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{key}");
            match (known.get(key), others) {
                (Some(schema), _) => self.value(value, schema, &at)?,
                (None, Some(Value::Bool(false))) => return Err(format!("{at}: is not known")),
                (None, Some(schema @ Value::Object(_))) => self.value(value, schema, &at)?,
                (None, _) => {}
            }
        }
        Ok(())
    }
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other:?}"),
    }
}

fn is_time(text: &str) -> bool {
    text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}
