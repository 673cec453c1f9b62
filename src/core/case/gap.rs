//! The parts that an incident lacks, and the reasons.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

/// A part of an incident that can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The last minutes of the boot before.
    BeforeReboot,
    /// The samples of the container.
    Container,
    /// The pod's Kubernetes events.
    Events,
    /// What the kernel's log says.
    KernelLog,
    /// The pod's labels.
    Labels,
    /// The last log lines.
    Logs,
    /// The messages of the incident's container.
    Messages,
    /// The names of the pod, the node and the containers.
    Names,
    /// The node's object from the API server.
    Node,
    /// The entries of all containers of the pod.
    Containers,
    /// The entries of the pod's other containers.
    OtherContainers,
    /// The messages of the pod's other containers.
    OtherMessages,
    /// What became of the pod.
    Pod,
    /// The numbers that the pod posted about itself.
    Sidecar,
    /// The samples of the node.
    System,
    /// All data that is gathered on the node.
    Telemetry,
    /// The sentence, the evidence and the images.
    Texts,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::BeforeReboot => "before_reboot",
            Self::Container => "container",
            Self::Containers => "containers",
            Self::Events => "events",
            Self::KernelLog => "kernel log",
            Self::Labels => "labels",
            Self::Logs => "logs",
            Self::Messages => "messages of the container",
            Self::Names => "names",
            Self::Node => "node",
            Self::OtherContainers => "other containers",
            Self::OtherMessages => "messages of the other containers",
            Self::Pod => "pod",
            Self::Sidecar => "sidecar",
            Self::System => "system",
            Self::Telemetry => "telemetry",
            Self::Texts => "texts",
        }
    }
}

/// Names a part that is missing or cut short, and the reason. In a line it is one text: `events: no answer in time`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The part.
    pub part: Part,
    /// The reason.
    pub why: Cow<'static, str>,
}

impl Gap {
    /// Creates a gap with that reason.
    pub fn new(part: Part, why: impl Into<Cow<'static, str>>) -> Self {
        Self { part, why: why.into() }
    }

    /// Adds this gap to the list, unless the list already contains it.
    pub fn add_to(self, gaps: &mut Vec<Self>) {
        if !gaps.contains(&self) {
            gaps.push(self);
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part.name(), self.why)
    }
}

impl Serialize for Gap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
