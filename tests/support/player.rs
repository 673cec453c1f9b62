//! Plays a recording folder into a store: the same objects, versions, bytes and, optionally, pace.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::change::object_version;
use super::clock::{self, Stopper};
use super::store::Store;

/// How fast a recording is played.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Without waiting.
    Fast,
    /// This many times as fast as it happened.
    Times(f64),
}

/// A recording folder in memory.
pub struct Recording {
    /// The pods that existed when the recording began.
    listed: Vec<Value>,
    list_version: u64,
    /// The watch lines of pods and events in the order of their versions.
    steps: Vec<Step>,
    /// Whether changes get the store's next versions instead of their recorded ones.
    is_repeated: bool,
}

struct Step {
    version: u64,
    bookmark: bool,
    /// Time of the step, after the recording's first step.
    at: Duration,
    line: String,
}

/// A recording being played.
pub struct Player {
    thread: Option<JoinHandle<()>>,
    stopper: Arc<Stopper>,
}

impl Recording {
    /// Reads `pods.list.json`, `pods.watch.jsonl` and, if it exists, `events.watch.jsonl`.
    pub fn load(dir: &Path) -> Self {
        let list: Value =
            serde_json::from_slice(&fs::read(dir.join("pods.list.json")).unwrap()).unwrap();
        let mut listed = list["items"].as_array().cloned().unwrap_or_default();
        for item in &mut listed {
            item["kind"] = "Pod".into();
            item["apiVersion"] = "v1".into();
        }
        let pods = fs::read_to_string(dir.join("pods.watch.jsonl")).unwrap();
        let events = fs::read_to_string(dir.join("events.watch.jsonl")).unwrap_or_default();
        let mut steps: Vec<(Option<Timestamp>, Step)> =
            pods.lines().chain(events.lines()).map(step).collect();
        // A bookmark covers everything up to its version, so it comes after a change with that version.
        steps.sort_by_key(|(_, step)| (step.version, step.bookmark));
        let list_version = object_version(&list);
        Self { listed, list_version, steps: timed(steps, list_version), is_repeated: false }
    }

    /// Moves the recording by this time: every timestamp is changed, and the changes get the store's next versions,
    /// so that other writers can change the store meanwhile.
    pub fn repeated(mut self, by: SignedDuration) -> Self {
        self.is_repeated = true;
        for item in &mut self.listed {
            *item = serde_json::from_str(&times_moved(&item.to_string(), by)).unwrap();
        }
        for step in &mut self.steps {
            step.line = times_moved(&step.line, by);
        }
        self
    }

    /// Returns the time of the first change after the list.
    pub fn began(&self) -> Option<Timestamp> {
        let first = self.steps.iter().find(|step| step.version > self.list_version)?;
        happened(&serde_json::from_str::<Value>(&first.line).unwrap()["object"])
    }

    /// Returns the number of pod and event changes in the recording.
    pub fn changes(&self) -> usize {
        self.steps.iter().filter(|step| !step.bookmark).count()
    }

    /// Returns the number of changes after the recording's list.
    pub fn changes_after_list(&self) -> usize {
        let is_played = |step: &&Step| !step.bookmark && step.version > self.list_version;
        self.steps.iter().filter(is_played).count()
    }

    /// Returns the version of the list that the recording begins with.
    pub fn list_version(&self) -> u64 {
        self.list_version
    }

    /// Returns the last version in the recording.
    pub fn last_version(&self) -> u64 {
        self.steps.last().map_or(self.list_version, |step| step.version)
    }

    /// Puts the objects into the store that existed before the recording's watch began.
    pub fn install(&self, store: &Store) {
        let before = self.steps.iter().take_while(|step| step.version <= self.list_version);
        before.for_each(|step| self.apply(store, step));
        let version = if self.is_repeated { store.version() } else { self.list_version };
        store.preload(self.listed.iter().cloned(), version);
    }

    fn apply(&self, store: &Store, step: &Step) {
        if self.is_repeated {
            store.repeat_recorded(&step.line);
        } else {
            store.apply_recorded(&step.line);
        }
    }

    /// Installs the recording, then plays the rest on its own thread.
    pub fn play(self, store: &Arc<Store>, pace: Pace) -> Player {
        self.install(store);
        let stopper = Arc::new(Stopper::default());
        let (store, stop) = (Arc::clone(store), Arc::clone(&stopper));
        let thread = thread::Builder::new()
            .name("fake-player".to_owned())
            .spawn(move || {
                let start = clock::now();
                self.play_steps(&store, pace, |at| {
                    let wait = at.saturating_sub(clock::now() - start);
                    !stop.is_stopped() && (wait.is_zero() || !stop.wait(wait))
                });
            })
            .unwrap();
        Player { thread: Some(thread), stopper }
    }

    /// Plays what came after the list. Before each step `wait` gets the time at which it is due, after the start, and
    /// returns whether to continue.
    pub fn play_steps(&self, store: &Store, pace: Pace, mut wait: impl FnMut(Duration) -> bool) {
        for step in self.steps.iter().filter(|step| step.version > self.list_version) {
            let at = match pace {
                Pace::Fast => Duration::ZERO,
                Pace::Times(speed) => step.at.div_f64(speed),
            };
            if !wait(at) {
                return;
            }
            self.apply(store, step);
        }
    }
}

impl Player {
    /// Waits for the end of the recording.
    pub fn wait_done(mut self) {
        self.join();
    }

    /// Returns true if all of it has been played.
    pub fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stopper.stop();
        if !thread::panicking() {
            self.join();
        }
    }
}

/// Moves every string that is a Kubernetes timestamp by this time; 1970 is left alone, runtimes write it for "never".
fn times_moved(json: &str, by: SignedDuration) -> String {
    let mut parts: Vec<String> = json.split('"').map(str::to_owned).collect();
    for part in parts.iter_mut().filter(|part| part.len() >= 20 && part.ends_with('Z')) {
        if let Ok(time) = part.parse::<Timestamp>()
            && time > Timestamp::UNIX_EPOCH
        {
            *part = (time + by).to_string();
        }
    }
    parts.join("\"")
}

fn step(line: &str) -> (Option<Timestamp>, Step) {
    let event: Value = serde_json::from_str(line).unwrap();
    let object = &event["object"];
    let step = Step {
        version: object_version(object),
        bookmark: event["type"] == "BOOKMARK",
        at: Duration::ZERO,
        line: line.to_owned(),
    };
    (happened(object), step)
}

/// Returns when a line was written: the newest managed-fields time, or for an event its last timestamp.
fn happened(object: &Value) -> Option<Timestamp> {
    let parse = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    match object["kind"].as_str() {
        Some("Event") => parse(&object["lastTimestamp"]),
        _ => {
            let writes = object["metadata"]["managedFields"].as_array();
            writes.into_iter().flatten().filter_map(|write| parse(&write["time"])).max()
        }
    }
}

/// Gives each step its time after the list; a step is never earlier than the one before it.
fn timed(steps: Vec<(Option<Timestamp>, Step)>, list_version: u64) -> Vec<Step> {
    let mut played = steps.iter().filter(|(_, step)| step.version > list_version);
    let Some(start) = played.find_map(|(time, _)| *time) else {
        return steps.into_iter().map(|(_, step)| step).collect();
    };
    let mut last = Duration::ZERO;
    let place = |(time, mut step): (Option<Timestamp>, Step)| {
        let after = time.and_then(|time| Duration::try_from(time.duration_since(start)).ok());
        last = last.max(after.unwrap_or_default());
        step.at = last;
        step
    };
    steps.into_iter().map(place).collect()
}
