//! A power cut under running pods: before it and after it.
//!
//! The disk keeps the agent's state file, and the API server's objects: a real API server is on another machine.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use blackbox_daemon::runtime::clock::Clock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::judge::{Report, Row, Want};
use crate::machine::{Container, Limits, PodGroup};
use crate::node::Node;
use crate::pods::{Pod, Status, running, terminated};
use crate::support::clock::{Stopper, eventually};

const STATE_FILE: &str = "/disk/state";
const OBJECTS: &str = "/disk/objects.json";
/// How long the pods run before the cut. The agent writes its state file meanwhile.
const BEFORE_CUT: Duration = Duration::from_secs(15);
/// How long the agent sees the objects of the time before the cut.
const OLD_STATUS: Duration = Duration::from_secs(5);
/// How long the agent may take to report, and also to report too much: it holds the incident of a reboot for 60 s.
const OBSERVED: Duration = Duration::from_secs(75);

/// What the disk keeps beside the state file.
#[derive(Deserialize, Serialize)]
struct Saved {
    /// When the containers started.
    started: String,
    objects: Vec<Value>,
    /// The incidents before the cut.
    incidents: Vec<Value>,
}

/// The pods that run at the cut, and one that ended before it.
fn pods() -> [Pod; 4] {
    let pair = Pod { apps: vec!["app", "proxy"], ..Pod::new("pair", 2) };
    let job = Pod { restart_policy: "OnFailure", ..Pod::new("job", 3) };
    [Pod::new("web", 1), pair, job, Pod { restart_policy: "Never", ..Pod::new("done", 4) }]
}

fn id(pod: &Pod, container: usize, boot: u64) -> String {
    let number = u64::from_str_radix(&pod.uid[..8], 16).unwrap();
    format!("{:064x}", (boot << 32) + (number << 8) + container as u64)
}

/// Runs some pods, and asks the host for the power cut.
pub(crate) fn before_the_cut() -> ExitCode {
    let clock = Clock::start();
    let node = Node::start(Vec::new(), Some(Path::new(STATE_FILE)));
    let started = clock.wall();
    let mut held = Vec::new();
    for pod in pods() {
        held.push(run(&pod, 1, if pod.name == "done" { "sleep 3; exit 1" } else { FOREVER }));
        node.api.apply(pod.object("Running", &statuses(&pod, 1, started)));
    }
    let done = &mut held[3].1[0];
    assert!(eventually(BEFORE_CUT, || done.ended() == Some(1)), "the container does not end");
    done.remove();
    let [.., pod] = pods();
    let end = terminated(&id(&pod, 0, 1), (1, "Error"), (started, clock.wall()));
    let status =
        Status { name: "app", id: id(&pod, 0, 1), restarts: 0, state: end, last_state: json!({}) };
    node.api.apply(pod.object("Failed", &[status]));
    Stopper::default().wait(BEFORE_CUT);

    let (objects, _) = node.api.store().snapshot(crate::support::Resource::Pods);
    let objects = objects.iter().map(|object| Value::clone(object)).collect();
    save(&Saved { started: started.to_string(), objects, incidents: node.incidents() });
    println!("VM CUT {}", clock.wall().as_second());
    loop {
        Stopper::default().wait(BEFORE_CUT);
    }
}

/// Shows the pods as the kubelet reports them after a reboot, and judges what the agent reports.
pub(crate) fn after_the_cut() -> Report {
    let clock = Clock::start();
    let booted = clock.wall();
    let saved: Saved = serde_json::from_slice(&fs::read(OBJECTS).unwrap()).unwrap();
    let node = Node::start(saved.objects, Some(Path::new(STATE_FILE)));
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

    let rows = vec![
        Row::new("before-cut".into(), Want::Error, "pod done".into(), saved.incidents, Vec::new()),
        Row::new(
            "after-cut".into(),
            Want::Reboot,
            "3 pods, 4 containers".into(),
            node.incidents(),
            Vec::new(),
        ),
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

/// Writes the file so that it survives the cut.
fn save(saved: &Saved) {
    let mut file = File::create(OBJECTS).unwrap();
    file.write_all(&serde_json::to_vec(saved).unwrap()).unwrap();
    file.sync_all().unwrap();
    File::open("/disk").unwrap().sync_all().unwrap();
}
