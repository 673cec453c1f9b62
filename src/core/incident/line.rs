//! The incident as a line: JSON, UTF-8, at most [`INCIDENT_LINE_BYTES_MAX`] with its newline.
//!
//! What a pod writes may be long, and longer once escaped, and so may samples. If a line does not fit, it is made
//! smaller step by step. First, all but the newest trouble of the node is removed, and every other sample is removed: of the pod's posts, of the node, of the container.
//! Then log lines and messages are cut: those of the other containers, of events, of the container itself. Then whole
//! parts are removed. The facts about the crash stay, and `gaps` lists what was removed.

use crate::core::case::{ContainerInfo, Gap, Part};
use crate::core::incident::schema::{Incident, Metadata, Telemetry};
use crate::core::text::cut;
use crate::limits::INCIDENT_LINE_BYTES_MAX;

/// What one step removes.
#[derive(Clone, Copy)]
enum Cut {
    /// Reduces a part of the telemetry to this many samples, or bytes of logs; 0 removes it.
    Down(Part, usize),
    Labels,
    OtherMessages,
    EventMessages,
    OwnMessages(usize),
    OtherContainers,
    AllTexts(usize),
    Names(usize),
}

const STEPS: [Cut; 32] = [
    Cut::Down(Part::KernelLog, 2),
    Cut::Down(Part::Sidecar, 30),
    Cut::Down(Part::System, 60),
    Cut::Down(Part::Container, 120),
    Cut::Down(Part::System, 30),
    Cut::Down(Part::Container, 60),
    Cut::Down(Part::Logs, 4096),
    Cut::Down(Part::System, 15),
    Cut::Down(Part::BeforeReboot, 20),
    Cut::OtherMessages,
    Cut::EventMessages,
    Cut::OwnMessages(1024),
    Cut::Down(Part::Container, 30),
    Cut::Down(Part::Sidecar, 8),
    Cut::Down(Part::Logs, 2048),
    Cut::OwnMessages(256),
    Cut::Down(Part::System, 0),
    Cut::Down(Part::BeforeReboot, 10),
    Cut::Down(Part::Container, 15),
    Cut::Down(Part::Events, 0),
    Cut::OtherContainers,
    Cut::Down(Part::Sidecar, 0),
    Cut::Down(Part::Node, 0),
    Cut::Down(Part::Logs, 1024),
    Cut::Labels,
    Cut::Down(Part::KernelLog, 0),
    Cut::Down(Part::Logs, 0),
    Cut::Down(Part::BeforeReboot, 0),
    Cut::Down(Part::Container, 0),
    Cut::AllTexts(128),
    Cut::AllTexts(32),
    // Not reached with names that Kubernetes allows (a test checks that).
    Cut::Names(64),
];

/// Returns the line, with its newline.
pub fn line(incident: &Incident) -> Vec<u8> {
    let whole = serialize(incident);
    if whole.len() <= INCIDENT_LINE_BYTES_MAX {
        return whole;
    }
    let mut smaller = incident.clone();
    for step in STEPS {
        if let Some((part, how)) = smaller.shrink(step) {
            Gap::new(part, how).add_to(&mut smaller.telemetry.gaps);
        }
        let line = serialize(&smaller);
        if line.len() <= INCIDENT_LINE_BYTES_MAX {
            return line;
        }
    }
    // Not reached: every remaining text is bounded by now. If it were reached, only the facts would be written.
    smaller.containers.clear();
    smaller.telemetry.events.clear();
    smaller.telemetry.gaps.clear();
    serialize(&smaller)
}

fn serialize(incident: &Incident) -> Vec<u8> {
    let mut line = Vec::with_capacity(2048);
    // Serializing strings, numbers and maps with string keys to memory cannot fail.
    let _ = serde_json::to_writer(&mut line, incident);
    line.push(b'\n');
    line
}

/// A part that was made smaller, and how.
type Shrunk = (Part, &'static str);

const LEFT_OUT: &str = "left out, the line was too long";
const THINNED: &str = "samples thinned, the line was too long";
const OLDER_LEFT_OUT: &str = "older samples left out, the line was too long";
const CUT_SHORT: &str = "cut, the line was too long";

impl Telemetry {
    fn shrink(&mut self, part: Part, most: usize) -> Option<Shrunk> {
        let how = match (part, most) {
            (Part::System, 0) => self.system.take().map(|_| LEFT_OUT),
            (Part::System, samples) => self.system.as_mut()?.thin_to(samples).then_some(THINNED),
            (Part::BeforeReboot, 0) => self.before_reboot.take().map(|_| LEFT_OUT),
            (Part::BeforeReboot, samples) => {
                self.before_reboot.as_mut()?.keep_newest(samples).then_some(OLDER_LEFT_OUT)
            }
            (Part::Container, 0) => self.container.take().map(|_| LEFT_OUT),
            (Part::Container, samples) => {
                self.container.as_mut()?.samples.thin_to(samples).then_some(THINNED)
            }
            (Part::Sidecar, 0) => self.sidecar.take().map(|_| LEFT_OUT),
            (Part::Sidecar, samples) => {
                let sidecar = self.sidecar.as_mut().filter(|s| s.len() > samples)?;
                while sidecar.len() > samples {
                    sidecar.thin();
                }
                Some(THINNED)
            }
            (Part::Logs, 0) => self.logs.take().map(|_| LEFT_OUT),
            (Part::Logs, bytes) => {
                let logs = self.logs.as_mut()?;
                let lines = logs.lines.len();
                logs.fit(bytes);
                let is_less = logs.lines.len() < lines;
                is_less.then_some("older lines left out, the line was too long")
            }
            (Part::KernelLog, troubles) => {
                let kernel = self.kernel.as_mut()?;
                let older = kernel.troubles.len().saturating_sub(troubles);
                kernel.troubles.drain(..older);
                (older > 0).then_some("older trouble left out, the line was too long")
            }
            (Part::Node, _) => self.node.take().map(|_| LEFT_OUT),
            (Part::Events, _) => (!std::mem::take(&mut self.events).is_empty()).then_some(LEFT_OUT),
            _ => None,
        };
        Some((part, how?))
    }
}

impl Incident {
    /// Makes the incident smaller by one step; returns what was removed, if anything.
    fn shrink(&mut self, step: Cut) -> Option<Shrunk> {
        let container = self.container.clone();
        let is_own = |c: &ContainerInfo| container.as_ref() == Some(&c.name);
        Some(match step {
            Cut::Down(part, samples) => self.telemetry.shrink(part, samples)?,
            Cut::Labels => {
                if self.metadata.labels.is_empty() {
                    return None;
                }
                self.metadata.labels.clear();
                (Part::Labels, LEFT_OUT)
            }
            Cut::OtherMessages => {
                for c in self.containers.iter_mut().filter(|c| !is_own(c)) {
                    c.message = None;
                }
                (Part::OtherMessages, LEFT_OUT)
            }
            Cut::EventMessages => {
                for event in &mut self.telemetry.events {
                    event.message = cut(&event.message, 80);
                }
                (Part::Events, "messages cut, the line was too long")
            }
            Cut::OwnMessages(bytes) => {
                for message in self.containers.iter_mut().filter_map(|c| c.message.as_mut()) {
                    *message = cut(message, bytes);
                }
                (Part::Messages, CUT_SHORT)
            }
            Cut::OtherContainers => {
                self.containers.retain(is_own);
                (Part::OtherContainers, LEFT_OUT)
            }
            Cut::AllTexts(bytes) => {
                self.message = cut(&self.message, bytes);
                if let Some(cause) = &mut self.cause {
                    cause.shorten(bytes);
                }
                for text in [&mut self.image, &mut self.reason].into_iter().flatten() {
                    *text = cut(text, bytes);
                }
                self.metadata.evidence.truncate(4);
                for text in &mut self.metadata.evidence {
                    *text = cut(text, bytes);
                }
                for c in &mut self.containers {
                    c.image = cut(&c.image, bytes);
                    c.image_id = c.image_id.as_deref().map(|id| cut(id, bytes).into());
                    c.reason = c.reason.as_deref().map(|r| cut(r, bytes));
                    c.message = None;
                }
                (Part::Texts, CUT_SHORT)
            }
            Cut::Names(bytes) => {
                for name in self.names() {
                    *name = cut(name, bytes);
                }
                (Part::Names, CUT_SHORT)
            }
        })
    }

    /// Returns the names, which Kubernetes keeps short and another server may not.
    fn names(&mut self) -> impl Iterator<Item = &mut String> {
        let Metadata {
            cluster,
            workload,
            revision,
            owner,
            qos_class,
            restart_policy,
            static_pod_uid,
            ..
        } = &mut self.metadata;
        [&mut self.namespace, &mut self.pod_name, &mut self.pod_uid, &mut self.node_name]
            .into_iter()
            .chain(
                [
                    &mut self.cluster,
                    &mut self.workload,
                    &mut self.container,
                    &mut self.container_id,
                ]
                .into_iter()
                .flatten(),
            )
            .chain(
                [cluster, revision, qos_class, restart_policy, static_pod_uid]
                    .into_iter()
                    .flatten(),
            )
            .chain(
                workload.iter_mut().flat_map(|workload| [&mut workload.kind, &mut workload.name]),
            )
            .chain(owner.iter_mut().flat_map(|owner| [&mut owner.kind, &mut owner.name]))
            .chain(self.containers.iter_mut().map(|container| &mut container.name))
    }
}

#[cfg(test)]
mod tests;
