//! Field selectors: the supported labels of each resource, and what they match.

use serde_json::Value;

use super::change::Resource;

/// A parsed field selector together with the path's namespace.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    namespace: Option<String>,
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    label: String,
    value: String,
    negated: bool,
}

impl Selector {
    /// Parses `a=b,c!=d`; the error is the server's message.
    pub fn parse(resource: Resource, namespace: Option<&str>, text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (left, right) = part
                .split_once('=')
                .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
            let label = left.trim_end_matches('!');
            if !known_labels(resource).contains(&label) {
                return Err(format!("field label not supported: {label}"));
            }
            terms.push(Term {
                label: label.to_owned(),
                value: right.trim_start_matches('=').to_owned(),
                negated: left.ends_with('!'),
            });
        }
        Ok(Self { namespace: namespace.map(ToOwned::to_owned), terms })
    }

    /// Returns true if the selector matches an object.
    pub fn matches(&self, object: &Value) -> bool {
        let namespace = field(object, "metadata.namespace");
        self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && self
                .terms
                .iter()
                .all(|term| (field(object, &term.label) == term.value) != term.negated)
    }
}

fn known_labels(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Pods => &["metadata.name", "metadata.namespace", "spec.nodeName", "status.phase"],
        Resource::Events => &[
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
            "metadata.name",
            "metadata.namespace",
            "reason",
            "type",
        ],
        Resource::Nodes => &["metadata.name"],
    }
}

/// Returns the text at a dotted path, or an empty string.
pub fn field<'a>(object: &'a Value, path: &str) -> &'a str {
    path.split('.').fold(object, |value, key| &value[key]).as_str().unwrap_or_default()
}
