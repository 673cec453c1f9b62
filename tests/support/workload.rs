//! Simulates a node's pods that crash at random, and records every termination in a book: the slow and simple
//! reference for what the agent must report.
//!
//! The containers go through the states that a kubelet reports (terminated, CrashLoopBackOff, running again). Some
//! states are skipped, and so are whole instances, as by a kubelet that could not reach the API server for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::change::Resource;
use super::clock;
use super::store::Store;

/// The possible terminations: exit code, reason, and the type that the agent must report.
const ENDS: [(i32, &str, &str); 9] = [
    (1, "Error", "error"),
    (1, "Error", "error"),
    (2, "Error", "misuse"),
    (3, "Error", "unknown"),
    (127, "Error", "not_found"),
    (128, "StartError", "start_error"),
    (130, "Error", "interrupted"),
    (137, "OOMKilled", "oom"),
    (139, "Error", "signal"),
];
/// Terminations that the agent holds back until the cause is known.
const HELD_ENDS: [(i32, &str, &str); 3] =
    [(0, "Completed", "graceful"), (137, "Error", "killed"), (143, "Error", "terminated")];

/// Offset in a line at which the id ends; the schema comes before the id.
pub const ID_END: usize =
    r#"{"schema":"blackbox.incident/v1","id":"00112233445566778899aabbccddeeff""#.len();

/// A random number generator with a seed, so that its sequence is reproducible (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to `n` - 1.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// Returns true once in `n` times on average.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A pod's UID and a container's name.
type Key = (String, String);

/// Every termination so far, by container.
#[derive(Default)]
pub struct Book {
    containers: BTreeMap<Key, Entry>,
    /// All container IDs, in the order of their terminations.
    pub order: Vec<String>,
}

#[derive(Default)]
struct Entry {
    /// For each container ID, the type that the agent must report.
    ends: BTreeMap<String, &'static str>,
    /// The pod was deleted while the agent could not see it: unreported terminations can never be reported.
    blind: bool,
}

/// What the agent's lines report.
#[derive(Default)]
pub struct Tally {
    said: BTreeMap<Key, BTreeMap<String, String>>,
    unseen: BTreeMap<Key, i64>,
    doubled: Vec<String>,
    ids: BTreeSet<String>,
    lines: usize,
}

/// The result of comparing book and tally.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub ended: i64,
    pub seen: i64,
    pub unseen: i64,
    /// Neither reported nor counted as unseen.
    pub lost: i64,
    /// Counted as unseen although they were reported or never happened.
    pub overcounted: i64,
    /// Number of lines that repeat an incident already reported.
    pub doubled: usize,
    /// Reported with another type than the book's, or never terminated.
    pub misnamed: Vec<String>,
    /// The first containers whose numbers do not match.
    pub wrong: Vec<String>,
}

struct Pod {
    name: String,
    uid: String,
    started: Value,
    containers: Vec<Container>,
}

struct Container {
    name: String,
    /// Number of instances before the present one.
    restarts: u32,
    last: Option<Value>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Ended,
    BackingOff,
}

/// The pods of node1.
pub struct Workload {
    dice: Dice,
    pods: Vec<Pod>,
    made: u32,
    /// Whether pods are also deleted and created, not only crashed.
    pub churns: bool,
    /// One in this many terminations is of a kind that the agent holds back; 0 for none.
    pub held_one_in: usize,
    /// Terminations that no version of any object ever shows.
    pub skipped: i64,
    /// Deletions are blind: the agent sees neither them nor what was just before them.
    pub blind: bool,
}

impl Workload {
    /// Creates `pods` pods with one or two containers each.
    pub fn new(seed: u64, pods: usize) -> Self {
        let mut workload = Self {
            dice: Dice::new(seed),
            pods: Vec::new(),
            made: 0,
            churns: false,
            held_one_in: 0,
            skipped: 0,
            blind: false,
        };
        for n in 0..pods {
            workload.add(&format!("web-{n}"));
        }
        workload
    }

    fn add(&mut self, name: &str) -> usize {
        self.made += 1;
        let containers = 1 + self.dice.below(2);
        let containers = (0..containers).map(|n| Container {
            name: ["app", "side"][n].to_owned(),
            restarts: 0,
            last: None,
            state: State::Running,
        });
        self.pods.push(Pod {
            name: name.to_owned(),
            uid: format!("uid-{}", self.made),
            started: time(clock::unix_seconds()),
            containers: containers.collect(),
        });
        self.pods.len() - 1
    }

    /// Puts all pods into the store.
    pub fn create(&self, store: &Store) {
        for pod in &self.pods {
            store.apply(pod.object());
        }
    }

    /// Makes one step of one pod. A pod is deleted only if the agent has reported all of its terminations, or
    /// blindly.
    pub fn step(&mut self, store: &Store, book: &mut Book, tally: &Mutex<Tally>) {
        let at = self.dice.below(self.pods.len());
        if self.churns && self.dice.one_in(60) {
            self.churn(at, store, book, tally);
            return;
        }
        let container = self.dice.below(self.pods[at].containers.len());
        if self.pods[at].containers[container].state == State::Running {
            let instances = if self.dice.one_in(12) { 2 + self.dice.below(5) } else { 1 };
            self.end(at, container, instances, book);
        } else {
            let pod = &mut self.pods[at];
            let backs_off = pod.containers[container].state == State::Ended && self.dice.one_in(2);
            pod.containers[container].go_on(backs_off);
        }
        store.apply(self.pods[at].object());
    }

    /// Terminates every container once more, visibly for the agent; terminated containers are restarted first.
    pub fn flush(&mut self, store: &Store, book: &mut Book) {
        for at in 0..self.pods.len() {
            for container in 0..self.pods[at].containers.len() {
                if self.pods[at].containers[container].state != State::Running {
                    self.pods[at].containers[container].go_on(false);
                    store.apply(self.pods[at].object());
                }
                self.end(at, container, 1, book);
                store.apply(self.pods[at].object());
            }
        }
    }

    /// Terminates a container `instances` times before the next version of its pod is stored.
    pub fn end_unseen(&mut self, store: &Store, book: &mut Book, instances: usize) {
        if self.pods[0].containers[0].state != State::Running {
            self.pods[0].containers[0].go_on(false);
        }
        self.end(0, 0, instances, book);
        store.apply(self.pods[0].object());
    }

    /// Deletes a pod and creates another one in its place, sometimes with the same name.
    fn churn(&mut self, at: usize, store: &Store, book: &mut Book, tally: &Mutex<Tally>) {
        let is_settled = book.is_settled(&tally.lock().unwrap(), &self.pods[at].uid);
        if !is_settled && !self.blind {
            return;
        }
        let pod = self.pods.swap_remove(at);
        if self.blind {
            book.blind(&pod.uid);
        } else if self.dice.one_in(2) {
            // As in a rollout: marked for deletion, stopped, deleted.
            let mut object = pod.object();
            object["metadata"]["deletionTimestamp"] = time(clock::unix_seconds() + 30);
            object["metadata"]["deletionGracePeriodSeconds"] = json!(30);
            store.apply(object.clone());
            for (container, known) in object["status"]["containerStatuses"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .zip(&pod.containers)
            {
                if known.state == State::Running {
                    let id = known.id(&pod.uid, known.restarts);
                    container["state"] = terminated(143, "Error", &id);
                }
            }
            store.apply(object);
        }
        store.delete(Resource::Pods, "shop", &pod.name);
        let name = if self.dice.one_in(2) { pod.name } else { format!("web-n{}", self.made) };
        let at = self.add(&name);
        store.apply(self.pods[at].object());
    }

    /// Terminates `instances` instances of a container; the store shows at most the last two.
    fn end(&mut self, at: usize, container: usize, instances: usize, book: &mut Book) {
        // The container status has room for the two newest ones only.
        self.skipped += instances.saturating_sub(2) as i64;
        let pod = &mut self.pods[at];
        for n in 0..instances {
            let held = self.held_one_in > 0 && self.dice.one_in(self.held_one_in);
            let (code, reason, kind) = match held {
                true => HELD_ENDS[self.dice.below(HELD_ENDS.len())],
                false => ENDS[self.dice.below(ENDS.len())],
            };
            let c = &mut pod.containers[container];
            if n > 0 {
                c.restarts += 1;
            }
            let id = c.id(&pod.uid, c.restarts);
            c.state = State::Ended;
            c.last = match c.last.take() {
                Some(old) => Some(json!([old[1], terminated(code, reason, &id)])),
                None => Some(json!([null, terminated(code, reason, &id)])),
            };
            book.end(&pod.uid, &c.name, &id, kind);
        }
    }
}

impl Container {
    fn id(&self, uid: &str, instance: u32) -> String {
        format!("containerd://{uid}-{}-{instance}", self.name)
    }

    fn go_on(&mut self, backs_off: bool) {
        if backs_off {
            self.state = State::BackingOff;
        } else {
            self.state = State::Running;
            self.restarts += 1;
        }
    }

    fn status(&self, uid: &str) -> Value {
        let id = self.id(uid, self.restarts);
        let ends = self.last.clone().unwrap_or_else(|| json!([null, null]));
        let or_empty = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
        let (state, last) = match self.state {
            State::Running => {
                (json!({"running": {"startedAt": time(clock::unix_seconds())}}), &ends[1])
            }
            State::Ended => (ends[1].clone(), &ends[0]),
            State::BackingOff => (json!({"waiting": {"reason": "CrashLoopBackOff"}}), &ends[1]),
        };
        json!({"name": self.name, "restartCount": self.restarts, "containerID": id,
            "state": state, "lastState": or_empty(last)})
    }
}

impl Pod {
    fn object(&self) -> Value {
        let specs = self.containers.iter().map(|c| json!({"name": c.name}));
        let statuses = self.containers.iter().map(|c| c.status(&self.uid));
        json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": self.name, "namespace": "shop", "uid": self.uid,
                // Characters of two, three and four bytes, so that cuts fall inside them.
                "labels": {"note": "\u{e9}\u{4e2d}\u{1f642}".repeat(20)}},
            "spec": {"nodeName": "node1", "restartPolicy": "Always",
                "containers": specs.collect::<Vec<_>>()},
            "status": {"phase": "Running", "startTime": self.started,
                "containerStatuses": statuses.collect::<Vec<_>>()}
        })
    }
}

fn time(unix_seconds: i64) -> Value {
    json!(jiff::Timestamp::from_second(unix_seconds).unwrap().to_string())
}

fn terminated(code: i32, reason: &str, id: &str) -> Value {
    let now = clock::unix_seconds();
    json!({"terminated": {"exitCode": code, "reason": reason, "containerID": id,
        "startedAt": time(now - 1), "finishedAt": time(now)}})
}

impl Book {
    fn end(&mut self, uid: &str, container: &str, id: &str, kind: &'static str) {
        let entry = self.containers.entry((uid.to_owned(), container.to_owned())).or_default();
        assert!(entry.ends.insert(id.to_owned(), kind).is_none(), "{id} ended twice");
        self.order.push(id.to_owned());
    }

    fn blind(&mut self, uid: &str) {
        for (_, entry) in self.containers.iter_mut().filter(|((pod, _), _)| pod == uid) {
            entry.blind = true;
        }
    }

    /// Compares the agent's lines with what happened.
    pub fn balance(&self, tally: &Tally) -> Balance {
        let mut balance = Balance { doubled: tally.doubled.len(), ..Balance::default() };
        balance.wrong.clone_from(&tally.doubled);
        let nothing = BTreeMap::new();
        for (key, entry) in &self.containers {
            let said = tally.said.get(key).unwrap_or(&nothing);
            let unseen = tally.unseen.get(key).copied().unwrap_or(0);
            let (ended, seen) = (entry.ends.len() as i64, said.len() as i64);
            let missing = ended - seen - unseen;
            balance.ended += ended;
            balance.seen += seen;
            balance.unseen += unseen;
            if missing < 0 || missing > 0 && !entry.blind {
                balance.lost += missing.max(0);
                balance.overcounted += (-missing).max(0);
                let text = format!("{key:?}: {ended} ended, {seen} seen, {unseen} unseen");
                balance.wrong.push(text);
            } else if missing > 0 {
                balance.unseen += missing;
            }
            for (id, kind) in said {
                match entry.ends.get(id) {
                    Some(known) if known == kind => {}
                    Some(known) => balance.misnamed.push(format!("{id} is {known}, not {kind}")),
                    None => balance.misnamed.push(format!("{id} never ended")),
                }
            }
        }
        for key in tally.said.keys().filter(|key| !self.containers.contains_key(*key)) {
            balance.misnamed.push(format!("{key:?} never ended"));
        }
        balance.wrong.truncate(5);
        balance.misnamed.truncate(5);
        balance
    }

    /// Returns true if all terminations of a pod are accounted for.
    pub fn is_settled(&self, tally: &Tally, uid: &str) -> bool {
        let of_pod = self.containers.iter().filter(|((pod, _), _)| pod == uid);
        of_pod.into_iter().all(|(key, entry)| {
            let said = tally.said.get(key).map_or(0, BTreeMap::len) as i64;
            let unseen = tally.unseen.get(key).copied().unwrap_or(0);
            said + unseen == entry.ends.len() as i64
        })
    }
}

impl Tally {
    /// Adds a line of the agent.
    pub fn take(&mut self, line: &str) {
        let incident: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| incident[name].as_str().unwrap_or_default().to_owned();
        let key = (text("pod_uid"), text("container"));
        let (id, kind) = (text("container_id"), text("type"));
        *self.unseen.entry(key.clone()).or_default() +=
            incident["metadata"]["restarts"]["unseen"].as_i64().unwrap_or(0);
        self.lines += 1;
        if kind == "unseen" {
            if !self.ids.insert(text("id")) {
                self.doubled.push(format!("{key:?}: unseen ends were told twice"));
            }
            return;
        }
        if self.said.entry(key).or_default().insert(id.clone(), kind).is_some()
            || !self.ids.insert(text("id"))
        {
            self.doubled.push(format!("{id} was told twice"));
        }
    }

    /// Returns the number of lines added.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Returns true if the termination of this container ID was reported.
    pub fn has(&self, id: &str) -> bool {
        self.said.values().any(|said| said.contains_key(id))
    }
}

impl Balance {
    /// Returns true if every termination was accounted for exactly once, with the right type.
    pub fn is_even(&self) -> bool {
        self.lost == 0 && self.overcounted == 0 && self.doubled == 0 && self.misnamed.is_empty()
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} crashes, {} told, {} counted as unseen ({} too many), {} lost, {} doubled",
            self.ended, self.seen, self.unseen, self.overcounted, self.lost, self.doubled
        )?;
        for line in self.wrong.iter().chain(&self.misnamed) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}
