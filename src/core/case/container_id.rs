//! The ID of a container instance, in the form that names its control group.

use std::fmt;

use crate::core::text::is_plain;

/// The ID that the runtime gave a container instance, without the runtime's name. Its control group has this name,
/// so only letters, digits and dashes are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerId(Box<str>);

impl ContainerId {
    /// Takes the ID out of the API's form, `containerd://<id>`, or from the bare ID. `None` if it is no ID.
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.rsplit_once("://").map_or(text, |(_, id)| id);
        is_plain(id).then(|| Self(id.into()))
    }

    /// Returns the ID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_every_runtime_loses_the_runtimes_name() {
        let id = "0123456789abcdef".repeat(4);
        for text in [format!("containerd://{id}"), format!("cri-o://{id}"), id.clone()] {
            assert_eq!(ContainerId::parse(&text).unwrap().as_str(), id);
        }
        for text in ["", "containerd://", "containerd://../../x", "a/b", "a b", &"x".repeat(500)] {
            assert_eq!(ContainerId::parse(text), None, "{text}");
        }
    }
}
