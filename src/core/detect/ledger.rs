//! What the agent leaves for the next agent: for each container, how many terminations are accounted for, and which
//! were reported.
//!
//! ```text
//! detector ── entry of a changed pod ──────▶ Ledger ──▶ page ──▶ state file ──▶ parse ──▶ the next
//!          ── incident reported: open ─────▶   │                                           detector
//! sinks ───── incident written: settle ────▶   └ open incidents do not count as reported
//! ```
//!
//! A page is written after delivery. If the agent dies while an incident is on its way, the next agent reports that
//! incident again with the same id, so no incident is lost. The incident file, read back line by line ([`reported`]),
//! gives the same information about the incidents that it holds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde::Serialize;

use crate::core::case::{IncidentId, IncidentType, SCHEMA, id};
use crate::core::seen::Known;
use crate::core::wire::json::{self, Text, members};
use crate::limits::{LEDGER_CONTAINERS_MAX, LEDGER_RECENT_MAX, NAME_BYTES_MAX};

/// The name and version of the page's schema.
pub const STATE_SCHEMA: &str = "blackbox.state/v1";

/// The record of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PodEntry {
    /// The pod's key: its UID, or for a static pod the kubelet's own UID.
    pub key: Box<str>,
    /// The pod's namespace.
    pub namespace: Box<str>,
    /// The pod's name.
    pub name: Box<str>,
    /// The pod's UID in the API.
    pub uid: Box<str>,
    /// True for a static pod.
    pub is_static: bool,
    /// True if the failure of the pod as a whole was reported.
    pub failed: bool,
    /// The reported episodes of the pod as a whole, by [`IncidentId::short`], oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<u64>,
    /// The pod's containers.
    pub containers: Vec<ContainerEntry>,
}

members! { PodEntry {
    b"key" => key,
    b"namespace" => namespace,
    b"name" => name,
    b"uid" => uid,
    b"is_static" => is_static,
    b"failed" => failed,
    b"ids" => ids,
    b"containers" => containers,
} }

/// The record of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ContainerEntry {
    /// The container's name.
    pub name: Box<str>,
    /// Number of its terminations that are accounted for: reported, not a crash, or counted as unseen.
    pub ended: Option<i64>,
    /// The reported terminations and waiting episodes, by [`IncidentId::short`], oldest first.
    pub ids: Vec<u64>,
}

members! { ContainerEntry {
    b"name" => name,
    b"ended" => ended,
    b"ids" => ids,
} }

/// The terminations that one incident accounts for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The incident's id, by [`IncidentId::short`].
    id: u64,
    /// The pod's key.
    key: Box<str>,
    /// The container's name; empty for the pod as a whole.
    container: Box<str>,
    /// Number of terminations of the container that the incident accounts for.
    ends: i64,
}

members! { Account {
    b"id" => id,
    b"key" => key,
    b"container" => container,
    b"ends" => ends,
} }

impl Account {
    /// Removes the incident from the entry, if the entry is of the same pod.
    fn take_back(&self, entry: &mut PodEntry) {
        if self.key != entry.key {
            return;
        }
        let episodes = entry.ids.len();
        entry.ids.retain(|id| *id != self.id);
        // An incident of the pod as a whole is one of its episodes, or its failure.
        if self.container.is_empty() && entry.ids.len() == episodes {
            entry.failed = false;
        }
        for container in entry.containers.iter_mut().filter(|c| c.name == self.container) {
            container.ended = container.ended.map(|ended| ended.saturating_sub(self.ends));
            container.ids.retain(|id| *id != self.id);
        }
    }
}

/// What an earlier agent left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviousState {
    /// All pods that the earlier agent knew.
    pub pods: Vec<PodEntry>,
    /// The incidents that it delivered last, oldest first.
    pub recent: Vec<Account>,
    /// The boot of the node that it ran in, or the last one whose reboot it reported; empty if it did not know.
    pub boot_id: String,
    /// When it wrote its state the last time.
    pub written_at: Option<Timestamp>,
    /// When it was asked to stop, if it was.
    pub stopped_at: Option<Timestamp>,
    /// True if it had no room for all pods.
    pub is_partial: bool,
    /// The fingerprints that it had seen.
    pub seen: Vec<Known>,
}

impl PreviousState {
    /// Removes from the records the last incidents that the incident file has lost, so that they are reported again;
    /// returns their number. A disk loses the newest lines if it falsely reported that they were written. `holds`
    /// returns true for the ids that the file contains; `is_torn` is true if the file ended in the middle of a line.
    /// A file that is not torn and contains none of the incidents is another file and proves nothing.
    pub fn take_back_lost(&mut self, holds: impl Fn(u64) -> bool, is_torn: bool) -> usize {
        let kept = match self.recent.iter().rposition(|account| holds(account.id)) {
            Some(newest) => newest + 1,
            None if is_torn => 0,
            None => return 0,
        };
        let lost = self.recent.split_off(kept);
        for account in &lost {
            self.pods.iter_mut().for_each(|pod| account.take_back(pod));
        }
        lost.len()
    }
}

/// What the next agent has to know.
#[derive(Debug, Default)]
pub struct Ledger {
    node_name: String,
    pods: BTreeMap<Box<str>, PodEntry>,
    containers: usize,
    open: HashMap<u64, Account>,
    recent: VecDeque<Account>,
    is_complete: bool,
    /// True if there was no room for all pods.
    is_partial: bool,
    boot_id: String,
    /// The boot that counts as known once the incident with this id was delivered.
    next_boot: Option<(u64, String)>,
    stopped_at: Option<Timestamp>,
}

impl Ledger {
    /// Creates the ledger of a node. `left` is what an earlier agent left; `None` if that is not complete.
    pub fn new(node_name: &str, left: Option<PreviousState>) -> Self {
        let mut ledger = Self { node_name: node_name.to_owned(), ..Self::default() };
        ledger.is_complete = left.is_some();
        let PreviousState { pods, recent, boot_id, .. } = left.unwrap_or_default();
        ledger.boot_id = boot_id;
        for entry in pods {
            ledger.keep(entry);
        }
        ledger.recent.extend(recent);
        ledger
    }

    /// Sets the boot of the node. If an earlier agent ran in another one, the page names that one until the incident of
    /// the reboot was delivered, so that the incident is not lost with this agent.
    pub fn set_boot(&mut self, boot_id: &str) {
        if self.boot_id.is_empty() || self.boot_id == boot_id {
            boot_id.clone_into(&mut self.boot_id);
        } else {
            let reboot = IncidentId::of_boot(&self.node_name, boot_id);
            self.next_boot = Some((reboot.short(), boot_id.to_owned()));
        }
    }

    /// Records that the pods in the ledger are not all that were seen: a pod that is missing may be an old one.
    pub fn set_partial(&mut self) {
        self.is_partial = true;
    }

    /// Records that the agent was asked to stop.
    pub fn stop(&mut self, now: Timestamp) {
        self.stopped_at = Some(now);
    }

    /// Records a pod. Returns false if there is no room for it.
    pub fn keep(&mut self, entry: PodEntry) -> bool {
        self.forget(&entry.key);
        if self.containers + entry.containers.len() > LEDGER_CONTAINERS_MAX {
            self.is_partial = true;
            return false;
        }
        self.containers += entry.containers.len();
        self.pods.insert(entry.key.clone(), entry);
        true
    }

    /// Forgets a pod.
    pub fn forget(&mut self, key: &str) {
        if let Some(entry) = self.pods.remove(key) {
            self.containers -= entry.containers.len();
        }
    }

    /// Records that all pods of the node have been seen once. From now on, a pod that is not in the ledger is new to
    /// the next agent.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Records that an incident is on its way. It does not count as reported until [`Ledger::settle`]. `ends`: number
    /// of terminations that it accounts for.
    pub fn open(&mut self, id: IncidentId, key: &str, container: Option<&str>, ends: i64) {
        let container = container.unwrap_or_default().into();
        let id = id.short();
        self.open.insert(id, Account { id, key: key.into(), container, ends });
    }

    /// Records that the incident was delivered, or that its loss was counted.
    pub fn settle(&mut self, id: IncidentId) {
        self.recent.extend(self.open.remove(&id.short()));
        if let Some((_, boot_id)) = self.next_boot.take_if(|(reboot, _)| *reboot == id.short()) {
            self.boot_id = boot_id;
        }
        let excess = self.recent.len().saturating_sub(LEDGER_RECENT_MAX);
        self.recent.drain(..excess);
    }

    /// Returns the page to write, with the fingerprints that were seen; `None` before all pods of the node are known.
    pub fn page(&self, now: Timestamp, seen: Vec<Known>) -> Option<String> {
        if !self.is_complete {
            return None;
        }
        let page = Page {
            schema: STATE_SCHEMA.into(),
            node_name: self.node_name.as_str().into(),
            written_at: now.to_string().into(),
            boot_id: self.boot_id.as_str().into(),
            stopped_at: self.stopped_at.map(|at| at.to_string().into()),
            is_partial: self.is_partial,
            pods: self.pods.values().map(|entry| self.delivered(entry)).collect(),
            recent: self.recent.iter().cloned().collect(),
            seen,
        };
        // Serializing strings, numbers and lists to memory cannot fail.
        let mut text = serde_json::to_string(&page).unwrap_or_default();
        let check = checksum(&text);
        let _ = writeln!(text, "\n{check}");
        Some(text)
    }

    /// Returns the entry without the incidents that are still open.
    fn delivered(&self, entry: &PodEntry) -> PodEntry {
        let mut entry = entry.clone();
        self.open.values().for_each(|account| account.take_back(&mut entry));
        entry
    }
}

/// A page, with borrowed texts when it is read.
#[derive(Default, Serialize)]
struct Page<'a> {
    schema: Text<'a>,
    node_name: Text<'a>,
    written_at: Text<'a>,
    boot_id: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_at: Option<Text<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_partial: bool,
    pods: Vec<PodEntry>,
    recent: Vec<Account>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seen: Vec<Known>,
}

members! { Page<'a> {
    b"schema" => schema,
    b"node_name" => node_name,
    b"written_at" => written_at,
    b"boot_id" => boot_id,
    b"stopped_at" => stopped_at,
    b"is_partial" => is_partial,
    b"pods" => pods,
    b"recent" => recent,
    b"seen" => seen,
} }

/// Returns the checksum of a page's first line.
fn checksum(line: &str) -> String {
    // It protects only against an incomplete page, not against an attacker.
    format!("{:032x}", id::fnv128(&[line]))
}

/// Why a page cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The checksum does not match, or the content is not valid.
    Corrupt(String),
    /// Another version of the agent wrote the page.
    OtherVersion(String),
    /// The page belongs to another node.
    OtherNode(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(why) => write!(f, "it is damaged: {why}"),
            Self::OtherVersion(schema) => {
                write!(f, "it is written as {schema:?}, this version reads {STATE_SCHEMA:?}")
            }
            Self::OtherNode(name) => write!(f, "it is the state of node {name:?}"),
        }
    }
}

/// Reads a page back.
///
/// # Errors
/// The page cannot be relied on.
pub fn parse(bytes: &[u8], node_name: &str) -> Result<PreviousState, Unusable> {
    let corrupt = |why: &str| Unusable::Corrupt(why.to_owned());
    let text = str::from_utf8(bytes).map_err(|_| corrupt("not UTF-8"))?;
    let Some((line, check)) = text.strip_suffix('\n').and_then(|text| text.split_once('\n')) else {
        return Err(corrupt("it is cut off"));
    };
    let damaged = |error: json::Wrong| corrupt(&error.to_string());
    // Check the version before the checksum: another version may use another checksum.
    let head: Head<'_> = json::from_slice(line.as_bytes()).map_err(damaged)?;
    match &*head.schema {
        STATE_SCHEMA => {}
        "" => return Err(corrupt("it names no version")),
        schema => return Err(Unusable::OtherVersion(schema.chars().take(80).collect())),
    }
    if check != checksum(line) {
        return Err(corrupt("its checksum does not fit"));
    }
    let page: Page<'_> = json::from_slice(line.as_bytes()).map_err(damaged)?;
    if *page.node_name != *node_name {
        return Err(Unusable::OtherNode(page.node_name.chars().take(253).collect()));
    }
    Ok(PreviousState {
        pods: page.pods,
        recent: page.recent,
        boot_id: page.boot_id.chars().take(NAME_BYTES_MAX).collect(),
        written_at: page.written_at.parse().ok(),
        stopped_at: page.stopped_at.and_then(|at| at.parse().ok()),
        is_partial: page.is_partial,
        seen: page.seen,
    })
}

/// What every version of a page has.
#[derive(Default)]
struct Head<'a> {
    schema: Text<'a>,
}

members! { Head<'a> {
    b"schema" => schema,
} }

/// What an incident line shows about a reported incident: its id, and the pod with the one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedIncident {
    /// The incident's id.
    pub id: u64,
    /// What the line shows about its pod.
    pub entry: PodEntry,
}

/// Returns the id of an incident line, also of one about the node or a sink; `None` if it is not an incident line.
pub fn reported_id(line: &[u8]) -> Option<u64> {
    Line::parse(line).map(|(_, id)| id)
}

/// Reads an incident line about a pod back; `None` if it is not one.
pub fn reported(line: &[u8]) -> Option<ReportedIncident> {
    let (line, id) = Line::parse(line)?;
    let names = [&line.namespace, &line.pod_name, &line.pod_uid];
    let is_name = |name: &&Text<'_>| (1..=NAME_BYTES_MAX).contains(&name.len());
    // The line of a node names no pod.
    if !names.iter().all(is_name) {
        return None;
    }
    let key = line.metadata.static_pod_uid.some().unwrap_or(&line.pod_uid);
    let ended = line.metadata.restarts.ended;
    // The count covers unseen terminations; no object will show them.
    let is_stuck = &*line.kind == IncidentType::Stuck.name();
    let ids = if &*line.kind == IncidentType::Unseen.name() { Vec::new() } else { vec![id] };
    let container = |name: &str| ContainerEntry { name: name.into(), ended, ids };
    let entry = PodEntry {
        key: key.into(),
        namespace: (&*line.namespace).into(),
        name: (&*line.pod_name).into(),
        uid: (&*line.pod_uid).into(),
        is_static: line.metadata.static_pod_uid.some().is_some(),
        failed: line.container.some().is_none() && !is_stuck,
        ids: if is_stuck { vec![id] } else { Vec::new() },
        containers: line.container.some().map(container).into_iter().collect(),
    };
    Some(ReportedIncident { id, entry })
}

/// The members of an incident line that are read; most of the line is not.
#[derive(Default)]
struct Line<'a> {
    schema: Text<'a>,
    id: Text<'a>,
    kind: Text<'a>,
    namespace: Text<'a>,
    pod_name: Text<'a>,
    pod_uid: Text<'a>,
    container: Text<'a>,
    metadata: LineMetadata<'a>,
}

impl<'a> Line<'a> {
    /// Reads a line of the schema, and its id.
    fn parse(line: &'a [u8]) -> Option<(Self, u64)> {
        let line: Self = json::from_slice(line).ok()?;
        let id = IncidentId::parse(&line.id)?.short();
        (&*line.schema == SCHEMA).then_some((line, id))
    }
}

members! { Line<'a> {
    b"schema" => schema,
    b"id" => id,
    b"type" => kind,
    b"namespace" => namespace,
    b"pod_name" => pod_name,
    b"pod_uid" => pod_uid,
    b"container" => container,
    b"metadata" => metadata,
} }

#[derive(Default)]
struct LineMetadata<'a> {
    restarts: LineRestarts,
    static_pod_uid: Text<'a>,
}

members! { LineMetadata<'a> {
    b"restarts" => restarts,
    b"static_pod_uid" => static_pod_uid,
} }

#[derive(Default)]
struct LineRestarts {
    ended: Option<i64>,
}

members! { LineRestarts {
    b"ended" => ended,
} }

/// Returns how many bytes at the end of the file are an incompletely written line that may be cut off. `tail` is the
/// end of the file. `None`: the last bytes are not an incident line and must not be changed.
pub fn torn_bytes(tail: &[u8]) -> Option<usize> {
    let torn = match memchr::memrchr(b'\n', tail) {
        Some(at) => &tail[at + 1..],
        None => tail,
    };
    // After a power failure, bytes that were never written may read as zeros.
    let written = torn.iter().position(|byte| *byte == 0).unwrap_or(torn.len());
    let is_zero = torn[written..].iter().all(|byte| *byte == 0);
    let start = LINE_START.as_bytes();
    let common = written.min(start.len());
    (is_zero && torn[..common] == start[..common]).then_some(torn.len())
}

/// The first bytes of every incident line.
const LINE_START: &str = "{\"schema\":\"blackbox.incident/";

#[cfg(test)]
mod tests;
