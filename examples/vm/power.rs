//! A node that falls under running pods: before it and after it.
//!
//! The disk keeps the agent's state file, the journal, what systemd-pstore saves, and the API server's objects: a real
//! API server is on another machine.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use blackbox_daemon::core::journal::Ending;
use blackbox_daemon::runtime::clock::Clock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::journal;
use crate::judge::{Report, Row, Want};
use crate::machine::{Container, Limits, PodGroup, start_hog};
use crate::node::Node;
use crate::pods::{Pod, Status, running, terminated};
use crate::support::clock::{Stopper, eventually};
use crate::words::fall_flaws;

const DISK: &str = "/disk";
const OBJECTS: &str = "/disk/objects.json";
/// The folder in which systemd-pstore saves what the kernel wrote when it panicked.
const PSTORE: &str = "/var/lib/systemd/pstore";
/// How long the pods run before the fall. The agent writes its state file meanwhile.
const BEFORE_FALL: Duration = Duration::from_secs(15);
/// How often the node says that it lives, while its memory is used up.
const ALIVE: Duration = Duration::from_secs(1);
/// How long the agent sees the objects of the time before the fall.
const OLD_STATUS: Duration = Duration::from_secs(5);
/// How long the agent may take to report, and also to report too much: it holds the incident of a reboot for 60 s.
const OBSERVED: Duration = Duration::from_secs(75);

/// How the node falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fall {
    /// The power is cut.
    Cut,
    /// The power is cut when nothing was logged since journald synced its file, which is therefore closed.
    Quiet,
    /// The kernel panics, and starts the node again.
    Panic,
    /// A process that the OOM killer must not kill takes all memory, until nothing runs and somebody presses reset.
    Hang,
}

impl Fall {
    /// Returns the fall of `before-FALL` and `after-FALL`.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let all = [
            ("cut", Self::Cut),
            ("quiet", Self::Quiet),
            ("panic", Self::Panic),
            ("hang", Self::Hang),
        ];
        all.into_iter().find_map(|(word, fall)| (word == name).then_some(fall))
    }

    /// Lets the node fall. Each line with `VM CUT` has the time, and the last one is the last sign of life.
    fn happen(self, node: &Node, clock: Clock) -> ! {
        if self == Self::Quiet {
            close_journal();
        }
        // Otherwise the disk has all of the journal only half a minute later.
        assert!(Command::new("sync").status().unwrap().success(), "sync");
        println!("VM CUT {}", clock.wall().as_second());
        let _hog = match self {
            Self::Cut | Self::Quiet => None,
            Self::Panic => {
                fs::write("/proc/sysrq-trigger", "c").unwrap();
                None
            }
            Self::Hang => {
                // As it is by default, the kernel stands still when there is nothing left to kill.
                fs::write("/proc/sys/kernel/panic", "0").unwrap();
                Some(start_hog(node.agent.pid()))
            }
        };
        loop {
            Stopper::default().wait(ALIVE);
            if self == Self::Hang {
                println!("VM CUT {}", clock.wall().as_second());
            }
        }
    }

    /// Returns what is wrong with what the fall left on the disk. `saved` is when the node was certainly alive.
    fn flaws(self, saved: Timestamp, booted: Timestamp) -> Vec<String> {
        let mut flaws = Vec::new();
        let us = |time: Timestamp| u64::try_from(time.as_microsecond()).unwrap();
        let ending = journal::ending(us(booted));
        // The newest entry is of a service that writes each second.
        let least = us(saved - Duration::from_secs(5));
        let is_right = |last: u64| (least..us(booted)).contains(&last);
        let is_as_left = match ending {
            Some(Ending::CutOff(last)) => self != Self::Quiet && is_right(last.realtime_us),
            Some(Ending::Closed) => self == Self::Quiet,
            None => false,
        };
        if !is_as_left {
            flaws.push(format!("TEST: the journal says {ending:?}, and the node lived at {saved}"));
        }
        let dumps = pstore_texts(Path::new(PSTORE));
        let is_told = dumps.iter().any(|text| text.contains("sysrq triggered crash"));
        if is_told != (self == Self::Panic) || dumps.len() > 1 {
            flaws.push(format!("TEST: pstore has {} texts, the panic {is_told}", dumps.len()));
        }
        flaws
    }
}

/// Ends the service that logs each second, and lets journald sync its file, as it does by itself after five minutes.
fn close_journal() {
    let script = "killall logger; sleep 1; kill -35 $(pidof systemd-journald)";
    assert!(Command::new("sh").args(["-c", script]).status().unwrap().success(), "{script}");
    Stopper::default().wait(Duration::from_secs(2));
}

/// Returns the texts that systemd-pstore put together.
fn pstore_texts(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let texts = entries.map(|entry| fs::read_to_string(entry.path().join("dmesg.txt")));
    texts.filter_map(Result::ok).collect()
}

/// What the disk keeps beside the state file.
#[derive(Deserialize, Serialize)]
struct Saved {
    /// When the containers started.
    started: String,
    /// When this was saved.
    saved: String,
    objects: Vec<Value>,
    /// The incidents before the fall.
    incidents: Vec<Value>,
}

/// The pods that run at the fall, and one that ended before it.
fn pods() -> [Pod; 4] {
    let pair = Pod { apps: vec!["app", "proxy"], ..Pod::new("pair", 2) };
    let job = Pod { restart_policy: "OnFailure", ..Pod::new("job", 3) };
    [Pod::new("web", 1), pair, job, Pod { restart_policy: "Never", ..Pod::new("done", 4) }]
}

fn id(pod: &Pod, container: usize, boot: u64) -> String {
    let number = u64::from_str_radix(&pod.uid[..8], 16).unwrap();
    format!("{:064x}", (boot << 32) + (number << 8) + container as u64)
}

/// Runs some pods, and lets the node fall.
pub(crate) fn before(fall: Fall) -> ! {
    let clock = Clock::start();
    let node = Node::start(Vec::new(), Some(Path::new(DISK)));
    let started = clock.wall();
    let mut held = Vec::new();
    for pod in pods() {
        held.push(run(&pod, 1, if pod.name == "done" { "sleep 3; exit 1" } else { FOREVER }));
        node.api.apply(pod.object("Running", &statuses(&pod, 1, started)));
    }
    let done = &mut held[3].1[0];
    assert!(eventually(BEFORE_FALL, || done.ended() == Some(1)), "the container does not end");
    done.remove();
    let [.., pod] = pods();
    let end = terminated(&id(&pod, 0, 1), (1, "Error"), (started, clock.wall()));
    let status =
        Status { name: "app", id: id(&pod, 0, 1), restarts: 0, state: end, last_state: json!({}) };
    node.api.apply(pod.object("Failed", &[status]));
    Stopper::default().wait(BEFORE_FALL);

    let (objects, _) = node.api.store().snapshot(crate::support::Resource::Pods);
    let objects = objects.iter().map(|object| Value::clone(object)).collect();
    let (started, saved) = (started.to_string(), clock.wall().to_string());
    save(&Saved { started, saved, objects, incidents: node.incidents() });
    fall.happen(&node, clock)
}

/// Shows the pods as the kubelet reports them after a reboot, and judges what the agent reports.
pub(crate) fn after(fall: Fall) -> Report {
    let clock = Clock::start();
    let booted = clock.wall();
    let saved: Saved = serde_json::from_slice(&fs::read(OBJECTS).unwrap()).unwrap();
    let alive = saved.saved.parse().unwrap();
    let mut flaws = fall.flaws(alive, booted);
    let node = Node::start(saved.objects, Some(Path::new(DISK)));
    let never = Stopper::default();
    never.wait(OLD_STATUS);

    let restarted = clock.wall();
    let started = saved.started.parse().unwrap();
    let lost = |pod: &Pod, n| terminated(&id(pod, n, 1), (255, "Unknown"), (started, booted));
    let mut held = Vec::new();
    let pods = pods();
    // The kubelet may first report that the old containers ended, and later that the new ones run.
    for pod in pods.iter().filter(|pod| pod.name == "pair") {
        let mut old = statuses(pod, 1, started);
        for (n, status) in old.iter_mut().enumerate() {
            status.state = lost(pod, n);
        }
        node.api.apply(pod.object("Running", &old));
    }
    never.wait(Duration::from_secs(2));
    for pod in pods.iter().filter(|pod| pod.name != "done") {
        held.push(run(pod, 2, FOREVER));
        let mut new = statuses(pod, 2, restarted);
        for (n, status) in new.iter_mut().enumerate() {
            (status.restarts, status.last_state) = (1, lost(pod, n));
        }
        node.api.apply(pod.object("Running", &new));
    }
    never.wait(OBSERVED);

    let row = |name: &str, want, facts: &str, incidents, flaws| {
        let name = format!("{name}-{}", format!("{fall:?}").to_lowercase());
        Row::new(name, want, facts.to_owned(), incidents, flaws)
    };
    let incidents = node.incidents();
    flaws.extend(incidents.iter().flat_map(|incident| fall_flaws(fall, alive, incident)));
    let rows = vec![
        row("before", Want::Error, "pod done", saved.incidents, Vec::new()),
        row("after", Want::Reboot, "3 pods, 4 containers", incidents, flaws),
    ];
    Report { rows, log: node.agent.log() }
}

const FOREVER: &str = "exec sleep 1000000";

/// Starts the containers of a pod.
fn run(pod: &Pod, boot: u64, script: &str) -> (PodGroup, Vec<Container>) {
    let group = PodGroup::make(&pod.uid, &id(pod, 99, boot), None);
    let start = |n| group.start(&id(pod, n, boot), Limits::default(), script);
    let containers = (0..pod.apps.len()).map(start).collect();
    (group, containers)
}

fn statuses(pod: &Pod, boot: u64, started: Timestamp) -> Vec<Status> {
    let status = |(n, name): (usize, &&'static str)| Status {
        name,
        id: id(pod, n, boot),
        restarts: 0,
        state: running(started),
        last_state: json!({}),
    };
    pod.apps.iter().enumerate().map(status).collect()
}

/// Writes the file so that it survives the fall.
fn save(saved: &Saved) {
    let mut file = File::create(OBJECTS).unwrap();
    file.write_all(&serde_json::to_vec(saved).unwrap()).unwrap();
    file.sync_all().unwrap();
    File::open("/disk").unwrap().sync_all().unwrap();
}
