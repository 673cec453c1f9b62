//! Reads of a JSON record only the members that can tell an error: one with the request that failed has thousands of others.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::core::cause::prefix::Level;
use crate::core::cause::record::{
    CALLER, ERROR, FRAME, HAS_ERROR, LEVEL, MESSAGE, STACK, TYPE, is_one_of, level_value,
};
use crate::core::order::sort_by;
use crate::limits::{CAUSE_LINES_MAX, CAUSE_RECORD_DEPTH_MAX};

/// The names of the members that are read, sorted, in lower case.
static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = [MESSAGE, ERROR, TYPE, STACK, CALLER, FRAME, &["level"]].into_iter().flatten();
    let mut names: Vec<String> = names.map(|name| name.to_ascii_lowercase()).collect();
    sort_by(&mut names, String::cmp);
    names.dedup();
    names
});

/// Returns true for the names of members that are read.
pub(super) fn is_known(name: &str) -> bool {
    let mut lower = [0; 32];
    let Some(lower) = lower.get_mut(..name.len()) else { return false };
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    KNOWN.binary_search_by(|known| known.as_bytes().cmp(lower)).is_ok()
}

/// Returns the known members of a record; `None` if the text is no JSON object.
pub(super) fn known(text: &str) -> Option<Map<String, Value>> {
    let mut json = serde_json::Deserializer::from_slice(text.as_bytes());
    // An error's frames are objects in an array.
    let value = Known { depth: CAUSE_RECORD_DEPTH_MAX + 2 }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// What the members of a record say about how bad things are.
#[derive(Debug, Default)]
pub(super) struct Severity {
    /// The level, if a member names one.
    pub level: Option<Level>,
    /// True if a member holds an error.
    pub has_error: bool,
}

/// Returns how bad a record says that things are; `None` if the text is no JSON object.
pub(super) fn severity(text: &str) -> Option<Severity> {
    serde_json::Deserializer::from_slice(text.as_bytes()).deserialize_map(Severity::default()).ok()
}

/// Reads a value without the members that have other names, and without what lies deeper.
#[derive(Clone, Copy)]
struct Known {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Known {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
        if self.depth == 0 {
            return value.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null);
        }
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Known {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < CAUSE_LINES_MAX {
            let Some(item) = seq.next_element_seed(Self { depth: self.depth - 1 })? else {
                return Ok(items.into());
            };
            items.push(item);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key_seed(Name(is_known))? {
            match name {
                Some(name) => {
                    let value = map.next_value_seed(Self { depth: self.depth - 1 })?;
                    members.insert(name, value);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(members.into())
    }
}

/// Reads the name of a member, if it is one of interest.
struct Name<F>(F);

impl<'de, F: Fn(&str) -> bool> DeserializeSeed<'de> for Name<F> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl<F: Fn(&str) -> bool> Visitor<'_> for Name<F> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name).then(|| name.to_owned()))
    }
}

impl<'de> Visitor<'de> for Severity {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let is_wanted = |name: &str| {
            is_one_of(name, LEVEL) || is_one_of(name, HAS_ERROR) || name.eq_ignore_ascii_case("log")
        };
        while let Some(name) = map.next_key_seed(Name(is_wanted))? {
            let Some(name) = name.filter(|_| self.level.is_none()) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value_seed(Known { depth: 2 })?;
            if is_one_of(&name, HAS_ERROR) {
                self.has_error |= match &value {
                    Value::String(text) => !matches!(text.as_str(), "" | "null" | "none" | "nil"),
                    Value::Object(members) => !members.is_empty(),
                    _ => false,
                };
                continue;
            }
            // Elastic's common schema has the level within `log`.
            self.level = level_value(value.get("level").unwrap_or(&value));
        }
        Ok(self)
    }
}
