//! Groups incidents: how often, since when, on how many pods and nodes, and the newest sentence of each group.
//!
//! The lines may come in any order and from many nodes. What is first, last and newest goes by `occurred_at`, and an
//! incident that comes again (the same `id`) is not counted again. Memory is bounded whatever the lines say:
//!
//! - If there are too many groups, the smaller half is folded into one count, "others". What is large stays. A group
//!   that comes up after that may have lost its beginning, so its count reads `3+`.
//! - Pods, nodes and ids are kept as hashes of 64 bits. Of a million ids, two are alike once in forty million runs.
//! - Ids are kept in two tables. If the younger one is full, the older one is dropped: an incident that comes again
//!   after more than [`GROUP_IDS_MAX`] others counts twice, and [`Table::has_forgotten`] says that this may be.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;

use jiff::Timestamp;

use crate::core::display::parsed::Value;
use crate::core::order::sort_by;
use crate::core::text::cut;
use crate::limits::{
    GROUP_IDS_MAX, GROUP_MEMBERS_MAX, GROUP_MEMBERS_TOTAL_MAX, GROUP_TEXT_BYTES_MAX, GROUPS_MAX,
};

/// The key of the incidents that have none: of an agent before fingerprints and workloads, or of a node, which has
/// no workload and no image.
pub const NONE: &str = "(none)";

/// The key of the row for all groups without a row of their own.
pub const OTHERS: &str = "(others)";

/// What incidents have in common in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The same failure of the same workload.
    Fingerprint,
    /// Namespace, kind and name of the workload.
    Workload,
    /// The node.
    Node,
    /// The type of the incident.
    Type,
    /// The image of the container.
    Image,
}

impl By {
    /// All of them, in the order in which people are told them.
    pub const ALL: [Self; 5] =
        [Self::Fingerprint, Self::Workload, Self::Node, Self::Type, Self::Image];

    /// Returns the name on the command line and in the page's address.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fingerprint => "fingerprint",
            Self::Workload => "workload",
            Self::Node => "node",
            Self::Type => "type",
            Self::Image => "image",
        }
    }

    /// Returns the one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.name() == name)
    }

    fn key(self, incident: &Value) -> String {
        let key = match self {
            Self::Fingerprint => incident.text("fingerprint"),
            Self::Workload => {
                let workload = incident.workload();
                if workload.is_empty() {
                    return NONE.to_owned();
                }
                let key = format!("{}/{workload}", incident.text("namespace"));
                return cut(&key, GROUP_TEXT_BYTES_MAX);
            }
            Self::Node => incident.text("node_name"),
            Self::Type => incident.text("type"),
            Self::Image => incident.image(),
        };
        cut(if key.is_empty() { NONE } else { key }, GROUP_TEXT_BYTES_MAX)
    }
}

/// Returns what a fingerprint stands for: namespace, workload, container and type, as far as the line has them.
fn detail(incident: &Value) -> String {
    let workload = incident.workload();
    let (namespace, container) = (incident.text("namespace"), incident.text("container"));
    let words = [namespace, &workload, container, incident.text("type")];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    cut(&words.join(" "), GROUP_TEXT_BYTES_MAX)
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// How many different pods or nodes there are. Displays as `12`, or as `1000+` where some were not counted.
#[derive(Debug, Default)]
pub struct Distinct {
    /// Hashes, sorted: at most [`GROUP_MEMBERS_MAX`], so that an insertion moves few bytes.
    known: Vec<u64>,
    is_over: bool,
}

impl Distinct {
    /// `room` is what is left of [`GROUP_MEMBERS_TOTAL_MAX`].
    fn add(&mut self, member: u64, room: &mut usize) {
        let Err(place) = self.known.binary_search(&member) else {
            return;
        };
        if self.known.len() >= GROUP_MEMBERS_MAX || *room == 0 {
            self.is_over = true;
            return;
        }
        self.known.insert(place, member);
        *room -= 1;
    }
}

impl fmt::Display for Distinct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.known.len(), if self.is_over { "+" } else { "" })
    }
}

/// The first and the last time of some incidents; `None` if no line has a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The earliest `occurred_at`.
    pub first: Option<Timestamp>,
    /// The latest `occurred_at`.
    pub last: Option<Timestamp>,
}

impl Span {
    fn add(&mut self, other: Self) {
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
    }
}

/// Incidents with the same key.
#[derive(Debug, Default)]
pub struct Group {
    /// What they have in common; [`NONE`] if they have nothing.
    pub key: String,
    /// Namespace, workload, container and type of the newest incident, if the key is a fingerprint.
    pub detail: String,
    /// The sentence of the newest incident.
    pub sentence: String,
    /// The number of the newest incident, which came with its line.
    pub newest: u64,
    /// When they occurred.
    pub span: Span,
    /// The pods.
    pub pods: Distinct,
    /// The nodes.
    pub nodes: Distinct,
    count: u64,
    /// True if incidents of this group may be among the others.
    is_at_least: bool,
    /// The rank of the newest incident. The hash of its id decides between incidents of the same time, so that the
    /// order of the lines does not.
    newest_rank: (Option<Timestamp>, u64),
}

impl Group {
    /// Returns the number of incidents: `12`, or `12+` if there may be more.
    pub fn count(&self) -> String {
        format!("{}{}", self.count, if self.is_at_least { "+" } else { "" })
    }

    /// The largest first, then the one with the latest incident. The key decides in the end, so that the order is
    /// the same in every run.
    fn rank(&self, other: &Self) -> Ordering {
        let by_count = other.count.cmp(&self.count);
        by_count.then(other.span.last.cmp(&self.span.last)).then_with(|| self.key.cmp(&other.key))
    }
}

/// The incidents of the groups that have no row of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// How many incidents.
    pub count: u64,
    /// When they occurred.
    pub span: Span,
}

impl Others {
    fn add(&mut self, group: &Group) {
        self.count += group.count;
        self.span.add(group.span);
    }
}

/// The latest ids, as hashes.
#[derive(Debug, Default)]
struct Ids {
    young: HashSet<u64>,
    old: HashSet<u64>,
    has_forgotten: bool,
}

impl Ids {
    /// Returns true if the id is not known yet. It is from then on.
    fn is_new(&mut self, id: u64) -> bool {
        if self.old.contains(&id) || !self.young.insert(id) {
            return false;
        }
        if self.young.len() >= GROUP_IDS_MAX {
            self.has_forgotten |= !self.old.is_empty();
            self.old = mem::take(&mut self.young);
        }
        true
    }
}

/// Takes incidents, and groups them.
#[derive(Debug)]
pub struct Groups {
    by: By,
    groups: BTreeMap<String, Group>,
    others: Others,
    ids: Ids,
    /// How many more pods and nodes can be kept.
    room: usize,
    repeated: u64,
}

impl Groups {
    /// Creates an empty collection.
    pub fn new(by: By) -> Self {
        Self {
            by,
            groups: BTreeMap::new(),
            others: Others::default(),
            ids: Ids::default(),
            room: GROUP_MEMBERS_TOTAL_MAX,
            repeated: 0,
        }
    }

    /// Adds an incident, unless it came before. `number` is the caller's own number for it: [`Group::newest`].
    pub fn add(&mut self, incident: &Value, number: u64) {
        let id = hash(incident.text("id"));
        if !self.ids.is_new(id) {
            self.repeated += 1;
            return;
        }
        let key = self.by.key(incident);
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            self.fold();
        }
        let is_at_least = self.others.count > 0;
        let new = || Group { is_at_least, ..Group::default() };
        // A fingerprint's detail would mislead for incidents that have nothing in common.
        let has_detail = self.by == By::Fingerprint && key != NONE;
        let group = self.groups.entry(key).or_insert_with(new);
        group.count += 1;
        let at = incident.time("occurred_at");
        group.span.add(Span { first: at, last: at });
        let node = incident.text("node_name");
        if !node.is_empty() {
            group.nodes.add(hash(node), &mut self.room);
        }
        let pod = incident.text("pod_name");
        if !pod.is_empty() {
            // A pod of a StatefulSet that was replaced has the same name and is another pod.
            let pod = (incident.text("namespace"), pod, incident.text("pod_uid"));
            group.pods.add(hash(pod), &mut self.room);
        }
        if group.count == 1 || (at, id) > group.newest_rank {
            group.newest_rank = (at, id);
            group.newest = number;
            group.sentence = cut(incident.text("message"), GROUP_TEXT_BYTES_MAX);
            group.detail = if has_detail { detail(incident) } else { String::new() };
        }
    }

    /// Folds the smaller half of the groups into the others. Half of them, so that this is rare.
    fn fold(&mut self) {
        let mut groups = ranked(mem::take(&mut self.groups));
        for group in groups.split_off(groups.len() / 2) {
            self.others.add(&group);
            self.room += group.pods.known.len() + group.nodes.known.len();
        }
        self.groups.extend(groups.into_iter().map(|mut g| (mem::take(&mut g.key), g)));
    }

    /// Returns the groups, the largest first.
    pub fn into_table(self) -> Table {
        Table {
            by: self.by,
            rows: ranked(self.groups),
            others: self.others,
            repeated: self.repeated,
            has_forgotten: self.ids.has_forgotten,
        }
    }
}

fn ranked(groups: BTreeMap<String, Group>) -> Vec<Group> {
    let with_key = |(key, group)| Group { key, ..group };
    let mut groups: Vec<Group> = groups.into_iter().map(with_key).collect();
    sort_by(&mut groups, Group::rank);
    groups
}

/// The groups for people.
#[derive(Debug)]
pub struct Table {
    /// What the incidents of a row have in common.
    pub by: By,
    /// The groups, the largest first.
    pub rows: Vec<Group>,
    /// All others together; their count is 0 if there are none.
    pub others: Others,
    /// How many incidents came again and were not counted.
    pub repeated: u64,
    /// True if some incidents may have been counted twice: there were more of them than ids can be kept.
    pub has_forgotten: bool,
}

impl Table {
    /// Keeps this many rows; the rest joins the others.
    pub fn keep(&mut self, rows: usize) {
        for group in self.rows.drain(rows.min(self.rows.len())..) {
            self.others.add(&group);
        }
    }
}

#[cfg(test)]
mod tests;
