//! A real line of the agent, cut at the places that differ from pod to pod.

use std::io::{self, Write};

use serde_json::{Value, json};

/// What differs from line to line.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) occurred_at: String,
    pub(crate) fingerprint: String,
    pub(crate) cluster: String,
    pub(crate) namespace: String,
    /// The name of the workload, which is a Deployment.
    pub(crate) name: String,
    pub(crate) pod_name: String,
    pub(crate) pod_uid: String,
    pub(crate) node_name: String,
    pub(crate) image: String,
    pub(crate) memory_peak_bytes: u64,
}

/// A member of [`Place`], by the word that stands for it in the template's text.
type Slot = (&'static str, fn(&Place) -> &str);

/// The slots with text. Their words are like nothing that an agent writes.
const SLOTS: [Slot; 11] = [
    ("<<id>>", |place| &place.id),
    ("<<timestamp>>", |place| &place.timestamp),
    ("<<occurred_at>>", |place| &place.occurred_at),
    ("<<fingerprint>>", |place| &place.fingerprint),
    ("<<cluster>>", |place| &place.cluster),
    ("<<namespace>>", |place| &place.namespace),
    ("<<name>>", |place| &place.name),
    ("<<pod_name>>", |place| &place.pod_name),
    ("<<pod_uid>>", |place| &place.pod_uid),
    ("<<node_name>>", |place| &place.node_name),
    ("<<image>>", |place| &place.image),
];
/// The one slot with a number. No sampled peak has this value.
const PEAK: u64 = u64::MAX;

enum Piece {
    Text(String),
    Slot(fn(&Place) -> &str),
    Peak,
}

pub(crate) struct Template {
    pieces: Vec<Piece>,
    has_peak: bool,
}

impl Template {
    /// Makes a template of a line about a container; `None` for other lines: of pods, nodes and sinks.
    pub(crate) fn new(line: &str) -> Option<Self> {
        let mut line: Value = serde_json::from_str(line).ok()?;
        let container = line["container"].as_str()?.to_owned();
        let old_pod = format!("{}/{}", line["namespace"].as_str()?, line["pod_name"].as_str()?);
        let message = line["message"].as_str()?.replace(&old_pod, "<<namespace>>/<<pod_name>>");
        line["message"] = message.into();
        for name in ["id", "timestamp", "occurred_at", "fingerprint", "cluster"] {
            line[name] = format!("<<{name}>>").into();
        }
        for name in ["namespace", "pod_name", "pod_uid", "node_name", "image"] {
            line[name] = format!("<<{name}>>").into();
        }
        line["workload"] = "Deployment/<<name>>".into();
        line["metadata"]["workload"] = json!({"kind": "Deployment", "name": "<<name>>"});
        line["metadata"]["cluster"] = "<<cluster>>".into();
        line["container_id"] = "containerd://<<id>><<id>>".into();
        let mut containers = line["containers"].as_array_mut()?.iter_mut();
        let own = containers.find(|one| one["name"] == *container)?;
        own["image"] = "<<image>>".into();
        let (exit_code, signal, reason) =
            (own["exit_code"].clone(), own["signal"].clone(), own["reason"].clone());
        line["exit_code"] = exit_code;
        line["signal"] = signal;
        line["reason"] = reason;
        let has_peak = line["type"] == "oom" && line["telemetry"]["container"].is_object();
        if has_peak {
            line["telemetry"]["container"]["memory_peak_bytes"] = PEAK.into();
        }
        Some(Self { pieces: pieces(&line.to_string()), has_peak })
    }

    /// Whether it is an OOM kill with samples.
    pub(crate) fn has_peak(&self) -> bool {
        self.has_peak
    }

    pub(crate) fn write(&self, place: &Place, out: &mut impl Write) -> io::Result<()> {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.write_all(text.as_bytes())?,
                Piece::Slot(value) => out.write_all(value(place).as_bytes())?,
                Piece::Peak => write!(out, "{}", place.memory_peak_bytes)?,
            }
        }
        out.write_all(b"\n")
    }
}

fn pieces(line: &str) -> Vec<Piece> {
    let peak = PEAK.to_string();
    let mut pieces = Vec::new();
    let mut rest = line;
    loop {
        let slots = SLOTS.iter().map(|(word, value)| (*word, Piece::Slot(*value)));
        let all = slots.chain([(peak.as_str(), Piece::Peak)]);
        let found = all.filter_map(|(word, piece)| Some((rest.find(word)?, word, piece)));
        let Some((at, word, piece)) = found.min_by_key(|(at, ..)| *at) else {
            pieces.push(Piece::Text(rest.to_owned()));
            return pieces;
        };
        pieces.push(Piece::Text(rest[..at].to_owned()));
        pieces.push(piece);
        rest = &rest[at + word.len()..];
    }
}
