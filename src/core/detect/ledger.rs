//! What one life of the agent leaves to the next: of each container how many ends were told, and which.
//!
//! ```text
//! detector ── entry of a pod that changed ──▶ Ledger ──▶ page ──▶ state file ──▶ parse ──▶ the next
//!          ── incident told: open ──────────▶   │                                           detector
//! sinks ───── incident written: settled ────▶   └ what is open counts as not told
//! ```
//!
//! A page is written after delivery: a crash whose line was on its way when the agent died is told
//! again, with the same id, and none is left out. The incident file, read back line by line, says the
//! same of what it holds ([`told`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::case::{IncidentId, SCHEMA, id};
use crate::limits::{LEDGER_CONTAINERS_MAX, LEDGER_RECENT_MAX, NAME_BYTES_MAX};

/// The page's name and version.
pub const STATE_SCHEMA: &str = "blackbox.state/v1";

/// What is known of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodEntry {
    /// Its key: the UID, of a static pod the kubelet's own.
    pub key: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The API's UID.
    pub uid: Box<str>,
    /// Whether it is a static pod.
    #[serde(default)]
    pub is_static: bool,
    /// Its failure as a whole was told.
    #[serde(default)]
    pub failed: bool,
    /// Its containers.
    pub containers: Vec<ContainerEntry>,
}

/// What is known of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEntry {
    /// Its name.
    pub name: Box<str>,
    /// How many of its instances ended and are accounted for: told, quiet or counted as unseen.
    pub ended: Option<i64>,
    /// What was told, by [`IncidentId::short`]; the oldest first.
    pub ids: Vec<u64>,
}

/// What an incident accounts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The incident's, by [`IncidentId::short`].
    id: u64,
    /// The pod's.
    key: Box<str>,
    /// Empty: the pod as a whole.
    container: Box<str>,
    /// How many ends of that.
    ends: i64,
}

impl Account {
    /// Takes it back, if it is of this pod.
    fn take_back(&self, entry: &mut PodEntry) {
        if self.key != entry.key {
            return;
        }
        entry.failed &= !self.container.is_empty();
        for container in entry.containers.iter_mut().filter(|c| c.name == self.container) {
            container.ended = container.ended.map(|ended| ended.saturating_sub(self.ends));
            container.ids.retain(|id| *id != self.id);
        }
    }
}

/// What an earlier agent left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// All pods that it knew.
    pub pods: Vec<PodEntry>,
    /// What it delivered last, the oldest first.
    pub recent: Vec<Account>,
}

impl Left {
    /// The incident file holds some of what was delivered last (`holds`), and not what came after: a disk
    /// that forgot what it had said was written. It is told again. `is_torn`: the file ended in the middle
    /// of a line. A file that holds none of it is another one, and says nothing.
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
}

impl Ledger {
    /// The ledger of a node, with what an earlier agent left, if that is the whole of it.
    pub fn new(node_name: &str, left: Option<Left>) -> Self {
        let mut ledger = Self { node_name: node_name.to_owned(), ..Self::default() };
        ledger.is_complete = left.is_some();
        let Left { pods, recent } = left.unwrap_or_default();
        for entry in pods {
            ledger.keep(entry);
        }
        ledger.recent.extend(recent);
        ledger
    }

    /// A pod as it is known now. False: there is no room for it.
    pub fn keep(&mut self, entry: PodEntry) -> bool {
        self.forget(&entry.key);
        if self.containers + entry.containers.len() > LEDGER_CONTAINERS_MAX {
            return false;
        }
        self.containers += entry.containers.len();
        self.pods.insert(entry.key.clone(), entry);
        true
    }

    /// A pod is gone.
    pub fn forget(&mut self, key: &str) {
        if let Some(entry) = self.pods.remove(key) {
            self.containers -= entry.containers.len();
        }
    }

    /// Everything there is was taken in once: what is not kept is news to the next agent.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// An incident is on its way: until it is settled it does not count as told. `ends`: how many ends it
    /// accounts for.
    pub fn open(&mut self, id: IncidentId, key: &str, container: Option<&str>, ends: i64) {
        let container = container.unwrap_or_default().into();
        let id = id.short();
        self.open.insert(id, Account { id, key: key.into(), container, ends });
    }

    /// It was delivered, or its loss was counted.
    pub fn settle(&mut self, id: IncidentId) {
        self.recent.extend(self.open.remove(&id.short()));
        let excess = self.recent.len().saturating_sub(LEDGER_RECENT_MAX);
        self.recent.drain(..excess);
    }

    /// The page to write; `None` before all is known that there is.
    pub fn page(&self, now: Timestamp) -> Option<String> {
        if !self.is_complete {
            return None;
        }
        let page = Page {
            schema: STATE_SCHEMA.into(),
            node_name: self.node_name.as_str().into(),
            written_at: now.to_string(),
            pods: self.pods.values().map(|entry| self.delivered(entry)).collect(),
            recent: self.recent.iter().cloned().collect(),
        };
        // Strings, numbers and lists: serialising to memory has no way to fail.
        let mut text = serde_json::to_string(&page).unwrap_or_default();
        let check = checksum(&text);
        let _ = writeln!(text, "\n{check}");
        Some(text)
    }

    /// The entry without what is still open.
    fn delivered(&self, entry: &PodEntry) -> PodEntry {
        let mut entry = entry.clone();
        self.open.values().for_each(|account| account.take_back(&mut entry));
        entry
    }
}

#[derive(Serialize, Deserialize)]
struct Page<'a> {
    schema: Cow<'a, str>,
    node_name: Cow<'a, str>,
    written_at: String,
    pods: Vec<PodEntry>,
    recent: Vec<Account>,
}

/// The checksum of a page's first line.
fn checksum(line: &str) -> String {
    // Not a guard against anybody, only against half a page.
    format!("{:032x}", id::fnv128(&[line]))
}

/// Why a page is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its checksum does not fit, or it says things that make no sense.
    Corrupt(String),
    /// Another version of the agent wrote it.
    OtherVersion(String),
    /// It is of another node.
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
/// When nothing of it can be relied on.
pub fn parse(bytes: &[u8], node_name: &str) -> Result<Left, Unusable> {
    let corrupt = |why: &str| Unusable::Corrupt(why.to_owned());
    let text = str::from_utf8(bytes).map_err(|_| corrupt("not UTF-8"))?;
    let Some((line, check)) = text.strip_suffix('\n').and_then(|text| text.split_once('\n')) else {
        return Err(corrupt("it is cut off"));
    };
    // The version comes first: another one may have other ways to check itself.
    let head: Head<'_> =
        serde_json::from_str(line).map_err(|e| Unusable::Corrupt(e.to_string()))?;
    if head.schema != STATE_SCHEMA {
        return Err(Unusable::OtherVersion(head.schema.chars().take(80).collect()));
    }
    if check != checksum(line) {
        return Err(corrupt("its checksum does not fit"));
    }
    let page: Page<'_> =
        serde_json::from_str(line).map_err(|e| Unusable::Corrupt(e.to_string()))?;
    if page.node_name != node_name {
        return Err(Unusable::OtherNode(page.node_name.chars().take(253).collect()));
    }
    Ok(Left { pods: page.pods, recent: page.recent })
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
}

/// What an incident line says of what was told: the pod with the one container, and the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of the incident.
    pub id: u64,
    /// What it says of its pod.
    pub entry: PodEntry,
}

/// Reads an incident line back; `None`: it is none.
pub fn told(line: &[u8]) -> Option<Told> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let names = [&line.namespace, &line.pod_name, &line.pod_uid];
    if line.schema != SCHEMA || names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
        return None;
    }
    let id = IncidentId::parse(&line.id)?.short();
    let key = line.metadata.static_pod_uid.as_deref().unwrap_or(&line.pod_uid);
    let ended = line.metadata.restarts.and_then(|restarts| restarts.ended);
    let container = |name: &str| ContainerEntry { name: name.into(), ended, ids: vec![id] };
    let entry = PodEntry {
        key: key.into(),
        namespace: (&*line.namespace).into(),
        name: (&*line.pod_name).into(),
        uid: (&*line.pod_uid).into(),
        is_static: line.metadata.static_pod_uid.is_some(),
        failed: line.container.is_none(),
        containers: line.container.as_deref().map(container).into_iter().collect(),
    };
    Some(Told { id, entry })
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    pod_name: Cow<'a, str>,
    #[serde(borrow)]
    pod_uid: Cow<'a, str>,
    #[serde(borrow)]
    container: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: LineMetadata<'a>,
}

#[derive(Deserialize)]
struct LineMetadata<'a> {
    restarts: Option<LineRestarts>,
    #[serde(borrow, default)]
    static_pod_uid: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct LineRestarts {
    #[serde(default)]
    ended: Option<i64>,
}

/// How much of a file's end, `tail`, is a line that was never written to its end and may be cut off.
/// `None`: what stands there is no incident line, and is left alone.
pub fn torn_bytes(tail: &[u8]) -> Option<usize> {
    let torn = match memchr::memrchr(b'\n', tail) {
        Some(at) => &tail[at + 1..],
        None => tail,
    };
    // After a power cut, what was never written may read as zeros.
    let written = torn.iter().position(|byte| *byte == 0).unwrap_or(torn.len());
    let is_zero = torn[written..].iter().all(|byte| *byte == 0);
    let start = LINE_START.as_bytes();
    let common = written.min(start.len());
    (is_zero && torn[..common] == start[..common]).then_some(torn.len())
}

/// How every incident line begins.
const LINE_START: &str = "{\"schema\":\"blackbox.incident/";

#[cfg(test)]
mod tests;
