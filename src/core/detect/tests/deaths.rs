//! The agent dies at random moments. With what it leaves in the incident file and in the state file, the next agent
//! goes on as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::core::case::IncidentId;
use crate::core::detect::ledger::{self, Ledger};
use crate::core::incident::line;
use crate::rounds;

/// What outlives the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    File,
    FileAndState,
    /// The state file; incidents go to stdout, which the agent cannot read back.
    State,
}

/// Everything around the detector, without threads and disks.
struct Node {
    leaves: Leaves,
    detector: Detector,
    ledger: Ledger,
    /// Lines that are not written yet.
    on_the_way: VecDeque<(IncidentId, Vec<u8>)>,
    /// Lines that consumers see.
    lines: Vec<Vec<u8>>,
    /// Ids of the lines that were there when the agent started.
    written_before: BTreeSet<u64>,
    page: Option<String>,
    now: Now,
}

impl Node {
    fn new(leaves: Leaves) -> Self {
        let mut node = Self {
            leaves,
            detector: Detector::new("", &[], History::All),
            ledger: Ledger::default(),
            on_the_way: VecDeque::new(),
            lines: Vec::new(),
            written_before: BTreeSet::new(),
            page: None,
            now: now(0),
        };
        node.start();
        node
    }

    /// Starts an agent in the same way as the daemon does.
    fn start(&mut self) {
        let history = History::Before { started: self.now.wall, lookback: Duration::MAX };
        self.detector = Detector::new("node1", &[], history);
        self.written_before.clear();
        if self.leaves != Leaves::State {
            for told in
                self.lines.iter().map(|line| ledger::reported(line).expect("a line of ours"))
            {
                self.detector.restore([&told.entry], false);
                self.written_before.insert(told.id);
            }
        }
        let page = self.page.as_ref().filter(|_| self.leaves != Leaves::File);
        let left = page.map(|page| ledger::parse(page.as_bytes(), "node1").unwrap());
        if let Some(left) = &left {
            self.detector.restore(&left.pods, true);
        }
        self.ledger = Ledger::new("node1", left);
    }

    fn die(&mut self) {
        self.on_the_way.clear();
        self.start();
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Crash(case) => {
                    let ends = case.terminations();
                    self.ledger.open(case.id, &case.pod.uid, case.container_name(), ends);
                    self.on_the_way.push_back((case.id, line::line(&written(&case))));
                }
                Output::Kept(entry) => assert!(self.ledger.keep(*entry)),
                Output::Forgotten(key) => self.ledger.forget(&key),
                _ => {}
            }
        }
    }

    fn list(&mut self, pods: &[Value]) {
        let mut out = Vec::new();
        self.detector.begin_list(false);
        for text in pods.iter().map(Value::to_string) {
            self.detector.on_listed(
                &json::from_slice(text.as_bytes()).unwrap(),
                self.now,
                &mut out,
            );
        }
        self.detector.end_list(&mut out);
        self.take(out);
        self.ledger.complete();
    }

    fn apply(&mut self, pod: &Value) {
        let (text, mut out) = (pod.to_string(), Vec::new());
        self.detector.on_applied(&json::from_slice(text.as_bytes()).unwrap(), self.now, &mut out);
        self.take(out);
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall = self.now.wall.saturating_add(time).unwrap();
        let mut out = Vec::new();
        self.detector.on_time(self.now, &mut out);
        self.take(out);
    }

    /// The sink writes this many lines.
    fn write(&mut self, lines: usize) {
        for _ in 0..lines.min(self.on_the_way.len()) {
            let (id, line) = self.on_the_way.pop_front().unwrap();
            if !self.written_before.contains(&id.short()) {
                self.lines.push(line);
            }
            self.ledger.settle(id);
        }
    }

    fn write_page(&mut self) {
        self.page = self.ledger.page(self.now.wall, Vec::new()).or_else(|| self.page.take());
    }

    /// Reports, writes and keeps everything.
    fn end_in_order(&mut self) {
        let mut out = Vec::new();
        self.detector.finish(self.now, &mut out);
        self.take(out);
        self.write(usize::MAX);
        self.write_page();
    }
}

/// Returns for each pod the number of terminations that were reported or counted as unseen, and the number of
/// repeated lines.
fn told(lines: &[Vec<u8>]) -> (BTreeMap<String, i64>, usize) {
    let (mut ends, mut ids) = (BTreeMap::new(), BTreeSet::new());
    for line in lines.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap()) {
        let count = ends.entry(line["pod_uid"].as_str().unwrap().to_owned()).or_insert(0);
        let unseen = line["metadata"]["restarts"]["unseen"].as_i64().unwrap();
        let is_new = ids.insert(line["id"].as_str().unwrap().to_owned());
        if line["type"] == "unseen" {
            assert!(unseen > 0 && line["container_id"].is_null());
            *count += if is_new { unseen } else { 0 };
        } else {
            *count += unseen + i64::from(is_new);
        }
    }
    (ends, lines.len() - ids.len())
}

/// Returns the pods and terminations that have a line.
fn containers_told(lines: &[Vec<u8>]) -> BTreeSet<(usize, i64)> {
    let number = |text: &Value| text.as_str().unwrap()[1..].parse::<i64>().unwrap();
    let of_line = |line: &Vec<u8>| {
        let line = serde_json::from_slice::<Value>(line).unwrap();
        (number(&line["pod_uid"]) as usize, number(&line["container_id"]))
    };
    let is_seen = |line: &&Vec<u8>| !line.windows(15).any(|part| part == b"\"type\":\"unseen\"");
    lines.iter().filter(is_seen).map(of_line).collect()
}

fn object(version: u64, n: usize, truth: &mut Truth) -> Value {
    let mut p = pod(version, truth.status());
    p["metadata"]["uid"] = format!("u{n}").into();
    p["status"]["startTime"] = t(0).into();
    p
}

/// Runs a random history of three pods, in which the agent dies several times. `only_orderly`: the agent always shuts
/// down in order.
fn run(seed: u64, leaves: Leaves, only_orderly: bool) {
    let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut below = |n: u32| (dice.unit() * f64::from(n)) as u32;
    let mut node = Node::new(leaves);
    let mut truths: Vec<Truth> =
        (0..3).map(|_| Truth { alive: true, stops: true, ..Truth::default() }).collect();
    let mut version = 10;
    let list = |node: &mut Node, truths: &mut [Truth], version: u64| {
        let all: Vec<_> =
            truths.iter_mut().enumerate().map(|(n, t)| object(version, n, t)).collect();
        node.list(&all);
    };
    list(&mut node, &mut truths, version);
    node.write_page();
    for _ in 0..60 {
        version += 1;
        for truth in &mut truths {
            truth.hides = below(4) == 0;
            for _ in 0..below(4) {
                truth.ends += i64::from(truth.alive);
                truth.alive = !truth.alive;
            }
        }
        let which = below(3) as usize;
        match below(8) {
            0 => list(&mut node, &mut truths, version),
            1 => node.pass(SETTLE_MAX * (1 + below(2)) / 2),
            2 => {
                if only_orderly || below(3) == 0 {
                    node.end_in_order();
                }
                node.die();
                truths.iter_mut().for_each(|truth| truth.shown.clear());
                list(&mut node, &mut truths, version);
            }
            3 => node.write_page(),
            4 => node.write(below(4) as usize),
            _ => node.apply(&object(version, which, &mut truths[which])),
        }
    }
    // No crash has to follow for what was unseen to be reported.
    for (n, truth) in truths.iter_mut().enumerate() {
        version += 1;
        node.apply(&object(version, n, truth));
        node.pass(SETTLE_MAX * 2);
    }
    node.end_in_order();
    let containers = containers_told(&node.lines);
    for (n, truth) in truths.iter().enumerate() {
        let missing = truth.shown.iter().find(|end| !containers.contains(&(n, **end)));
        assert_eq!(missing, None, "seed {seed}, {leaves:?}: shown to the last agent and not told");
    }
    let (ends, repeats) = told(&node.lines);
    let want: BTreeMap<_, _> =
        truths.iter().enumerate().map(|(n, truth)| (format!("u{n}"), truth.ends)).collect();
    if leaves == Leaves::State && !only_orderly {
        // What was delivered after the last page is reported again; nothing is lost.
        assert!(want.iter().all(|(uid, n)| ends[uid] >= *n), "{seed}: {ends:?} {want:?}");
    } else {
        assert_eq!((ends, repeats), (want, 0), "seed {seed}, {leaves:?}");
    }
}

#[test]
fn every_end_is_in_the_file_once_or_counted_however_often_the_agent_dies() {
    for seed in 1..=rounds(80) {
        run(seed, Leaves::File, false);
        run(seed, Leaves::FileAndState, false);
    }
}

#[test]
fn with_a_state_file_alone_nothing_is_left_out() {
    (1..=rounds(80)).for_each(|seed| run(seed, Leaves::State, false));
}

#[test]
fn with_a_state_file_an_agent_that_ends_in_order_repeats_nothing() {
    (1..=rounds(80)).for_each(|seed| run(seed, Leaves::State, true));
}
