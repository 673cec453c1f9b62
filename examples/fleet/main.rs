//! The incident lines of a fleet, to try a store with: a few hundred workloads on two thousand nodes over seven days,
//! and a bad rollout whose beginning, image and extent are known.
//!
//! ```text
//! cargo run --release --example fleet -- 1000000 LINES.jsonl >fleet.jsonl 2>facts.json
//! ```
//!
//! LINES.jsonl has real lines of the agent. Each line of the fleet is one of them with the names, places, times and
//! identifiers of another pod; everything else stays as the agent wrote it, but for the order of the members. The same
//! arguments make the same lines. Every hundredth line is one that was written before, as by an agent that was
//! restarted. Standard error says, as one JSON object, what a store must find.

#![allow(clippy::expect_used, reason = "a generator that cannot work says why and ends")]

mod template;

use std::fs;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use template::{Place, Template};

const NODES: u64 = 2_000;
const CLUSTERS: u64 = 4;
const NAMESPACES: u64 = 40;
const WORKLOADS: usize = 400;
/// A workload has at most this many pods.
const PODS_MAX: u64 = 60;
/// The fleet's last moment. All lines are of the seven days before.
const UNTIL: &str = "2026-11-26T12:00:00Z";
const DAYS: i64 = 7;
/// The bad rollout begins this long before the end, and from then on makes one line of so many.
const ROLLOUT: SignedDuration = SignedDuration::from_hours(5);
const ROLLOUT_ONE_OF: u64 = 6;
/// The rollout reaches this many nodes. Two hours after it began, a second image follows that does not help.
const ROLLOUT_NODES: u64 = 300;
const SECOND_IMAGE: SignedDuration = SignedDuration::from_hours(3);
const BAD_IMAGE: &str = "registry.example/checkout:2.4";
const BAD_FINGERPRINT: &str = "badbadbadbadbad1";
const BAD_SEED: u64 = WORKLOADS as u64;
/// One line of so many is written a second time.
const REPEAT_ONE_OF: u64 = 100;

/// Pseudorandom numbers (SplitMix64): the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What the fleet runs, the part that crashes most first.
struct Workload {
    template: usize,
    namespace: String,
    name: String,
    image: String,
    pods: u64,
}

fn workloads(templates: usize) -> Vec<Workload> {
    (0..WORKLOADS)
        .map(|n| {
            let random = mixed(n as u64);
            Workload {
                template: n % templates,
                namespace: format!("team-{:02}", random % NAMESPACES),
                name: format!("app-{n:03}"),
                image: format!("registry.example/app-{n:03}:1.{}", random % 9),
                pods: 1 + (random >> 8) % PODS_MAX,
            }
        })
        .collect()
}

/// Running sums of the workloads' weights. The weight falls with the rank, as it does in a real fleet: few workloads
/// make most of the lines.
fn weights() -> Vec<u64> {
    (1..=WORKLOADS as u64)
        .scan(0, |sum, rank| {
            *sum += 1_000_000 / rank;
            Some(*sum)
        })
        .collect()
}

/// Fills in the place of the pod with this number of the workload with this seed. Two pods have each name, one after
/// the other, as those of a StatefulSet; and each cluster has nodes of the same names.
fn pod(place: &mut Place, seed: u64, number: u64, nodes: u64) {
    let random = mixed(seed << 32 | number);
    let node = random % nodes;
    place.pod_name = format!("{}-{}", place.name, number / 2);
    place.pod_uid = format!("00000000-0000-4000-8000-{:012x}", mixed(random) >> 16);
    place.node_name = format!("node-{:03}", node / CLUSTERS);
    place.cluster = format!("cluster-{}", node % CLUSTERS);
}

/// What the lines of the bad rollout have in common, as a store must find it.
#[derive(Default)]
struct Rollout {
    began_at: Option<Timestamp>,
    incidents: u64,
}

struct Fleet {
    templates: Vec<Template>,
    /// The template of the bad rollout: an OOM kill with its samples.
    leak: usize,
    workloads: Vec<Workload>,
    weights: Vec<u64>,
    random: Random,
    until: Timestamp,
    rollout: Rollout,
}

impl Fleet {
    fn new(templates: Vec<Template>) -> Self {
        let leak = templates
            .iter()
            .position(Template::has_peak)
            .expect("no OOM kill with samples among the lines");
        Self {
            workloads: workloads(templates.len()),
            templates,
            leak,
            weights: weights(),
            random: Random(1),
            until: UNTIL.parse().expect("a time"),
            rollout: Rollout::default(),
        }
    }

    /// Writes the next incident that happened at this time into the place; returns its template.
    fn incident(&mut self, at: Timestamp, place: &mut Place) -> usize {
        place.occurred_at = at.to_string();
        place.timestamp = (at + SignedDuration::from_secs(1)).to_string();
        place.id = format!("{:016x}{:016x}", self.random.next(), self.random.next());
        place.memory_peak_bytes = 60_000_000 + self.random.below(7_000_000);
        let is_bad = at >= self.until - ROLLOUT && self.random.below(ROLLOUT_ONE_OF) == 0;
        if is_bad { self.bad(at, place) } else { self.usual(place) }
    }

    fn usual(&mut self, place: &mut Place) -> usize {
        let dice = self.random.below(self.weights[WORKLOADS - 1]);
        let rank = self.weights.partition_point(|sum| *sum <= dice);
        let workload = &self.workloads[rank];
        place.namespace.clone_from(&workload.namespace);
        place.name.clone_from(&workload.name);
        place.image.clone_from(&workload.image);
        place.fingerprint = format!("{:016x}", mixed(rank as u64 ^ 0xf1f1));
        let number = self.random.below(workload.pods);
        pod(place, rank as u64, number, NODES);
        workload.template
    }

    fn bad(&mut self, at: Timestamp, place: &mut Place) -> usize {
        let is_second = at >= self.until - SECOND_IMAGE;
        place.namespace = "shop".to_owned();
        place.name = "checkout".to_owned();
        place.image = format!("{BAD_IMAGE}{}", if is_second { ".1" } else { "" });
        place.fingerprint = BAD_FINGERPRINT.to_owned();
        let number = self.random.below(ROLLOUT_NODES * 2);
        pod(place, BAD_SEED, number, ROLLOUT_NODES);
        self.rollout.began_at.get_or_insert(at);
        self.rollout.incidents += 1;
        self.leak
    }

    /// Writes so many lines in the order of time. Returns the number of different ids among them.
    fn write(&mut self, lines: u64, out: &mut impl Write) -> io::Result<u64> {
        let from = self.until - SignedDuration::from_hours(24 * DAYS);
        let step_micros = DAYS * 86_400_000_000 / i64::try_from(lines).expect("a number of lines");
        let mut place = Place::default();
        let mut template = 0;
        let mut ids = 0;
        for n in 0..lines {
            if n % REPEAT_ONE_OF == REPEAT_ONE_OF - 1 {
                place.timestamp = self.until.to_string();
            } else {
                let at = from + SignedDuration::from_micros(step_micros * n as i64);
                template = self.incident(at, &mut place);
                ids += 1;
            }
            self.templates[template].write(&place, out)?;
        }
        Ok(ids)
    }

    /// What a store must find.
    fn facts(&self, lines: u64, ids: u64) -> Value {
        let rollout = &self.rollout;
        json!({
            "until": UNTIL, "lines": lines, "ids": ids,
            "rollout": {
                "fingerprint": BAD_FINGERPRINT,
                "workload": "Deployment/checkout",
                "image": BAD_IMAGE,
                "began_at": rollout.began_at.map(|at| at.to_string()),
                "incidents": rollout.incidents,
            },
        })
    }
}

fn generate(lines: u64, files: &[String]) -> io::Result<()> {
    let mut templates = Vec::new();
    for file in files {
        templates.extend(fs::read_to_string(file)?.lines().filter_map(Template::new));
    }
    let mut fleet = Fleet::new(templates);
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let ids = fleet.write(lines, &mut out)?;
    out.flush()?;
    eprintln!("{}", fleet.facts(lines, ids));
    Ok(())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((Ok(lines), files)) = words.split_first().map(|(first, rest)| (first.parse(), rest))
    else {
        eprintln!("usage: fleet LINES FILE...");
        return ExitCode::from(2);
    };
    match generate(lines, files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}
