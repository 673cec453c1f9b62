//! The ID of a container instance, in the form that names its control group.

use std::fmt;

use crate::core::text::is_plain;

/// The ID that the runtime gave a container instance. Its control group has this name, so only letters, digits and
/// dashes are accepted. The runtime's name before it is kept for the incident line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerId {
    text: Box<str>,
    /// Where the ID begins in the text.
    start: usize,
}

impl ContainerId {
    /// Takes the ID out of the API's form, `containerd://<id>`, or from the bare ID. `None` if it is no ID.
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.rsplit_once("://").map_or(text, |(_, id)| id);
        is_plain(id).then(|| Self { text: text.into(), start: text.len() - id.len() })
    }

    /// Returns the ID, without the runtime's name.
    pub fn as_str(&self) -> &str {
        self.text.get(self.start..).unwrap_or_default()
    }

    /// Returns the ID in the form in which the API gave it: `containerd://<id>`.
    pub fn in_api(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_every_runtime_loses_the_runtimes_name() {
        let id = "0123456789abcdef".repeat(4);
        for text in [format!("containerd://{id}"), format!("cri-o://{id}"), id.clone()] {
            let parsed = ContainerId::parse(&text).unwrap();
            assert_eq!((parsed.as_str(), parsed.in_api()), (&*id, &*text));
        }
        for text in ["", "containerd://", "containerd://../../x", "a/b", "a b", &"x".repeat(500)] {
            assert_eq!(ContainerId::parse(text), None, "{text}");
        }
    }
}
