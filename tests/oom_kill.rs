//! Tests the container sampler with the kernel's own OOM killer.
//!
//! Creates memory cgroups of version 1, with the layout of the kubelet's cgroupfs driver, below a root of the test's
//! own. Needs root and a node with version 1; otherwise it prints that and is skipped.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod support;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use blackbox_daemon::core::Now;
use blackbox_daemon::core::case::ContainerId;
use blackbox_daemon::node::cgroup::{
    CgroupTree, CgroupVersion, ContainerHistory, ContainerRecorder, OomKill, WantedPod,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use support::clock::eventually;
use support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch};

const HIERARCHIES: &str = "/sys/fs/cgroup";
const LIMIT_BYTES: u64 = 32 << 20;

/// Grows by 1 MiB every 20 ms, to three times the limit. The data is in a shell variable, so that the shell process
/// itself grows and not a child.
const GROW: &str = "n=0; x=; mib=$(head -c 1048576 /dev/zero | tr '\\0' x); \
    while [ $n -lt 96 ]; do x=$x$mib; n=$((n+1)); sleep 0.02; done";

/// A container's control groups, removed with the test.
struct Container {
    uid: String,
    id: String,
    /// The test's own root below each controller.
    roots: Vec<PathBuf>,
}

impl Container {
    fn make(name: &str, n: u64) -> io::Result<Self> {
        let unique = format!("blackbox-oom-{}-{name}", std::process::id());
        let uid = format!("{n:08x}-7d2b-4a5e-9f8e-{:012x}", std::process::id());
        let id = format!("{n:064x}");
        let root = |controller| Path::new(HIERARCHIES).join(controller).join(&unique);
        let mut made = Self { uid, id, roots: Vec::new() };
        for controller in ["memory", "cpu", "cpuacct", "pids"] {
            let root = root(controller);
            fs::create_dir_all(made.below(&root))?;
            made.roots.push(root);
        }
        fs::write(made.file("memory.limit_in_bytes"), LIMIT_BYTES.to_string())?;
        // If swap is accounted, it must be limited too: with free swap there would be no OOM kill.
        let _ = fs::write(made.file("memory.memsw.limit_in_bytes"), LIMIT_BYTES.to_string());
        Ok(made)
    }

    fn below(&self, root: &Path) -> PathBuf {
        root.join(format!("kubepods/burstable/pod{}/{}", self.uid, self.id))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.below(&self.roots[0]).join(name)
    }

    /// Runs a script in the container; the shell joins the control groups first.
    fn run(&self, script: &str) -> Child {
        let enter: String = self
            .roots
            .iter()
            .map(|root| format!("echo $$ > {}; ", self.below(root).join("cgroup.procs").display()))
            .collect();
        Command::new("/bin/sh")
            .args(["-c", &format!("{enter}{script}")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn wanted(&self) -> WantedPod {
        WantedPod { uid: self.uid.as_str().into(), container_ids: vec![parsed(&self.id)] }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        for root in &self.roots {
            let mut path = self.below(root);
            // The kernel needs a moment to release a process that has exited.
            for _ in 0..50 {
                if fs::remove_dir(&path).is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
            while path.pop() && path.starts_with(root) {
                let _ = fs::remove_dir(&path);
            }
        }
    }
}

fn parsed(id: &str) -> ContainerId {
    ContainerId::parse(id).unwrap()
}

/// Returns `None`, with a message, if this machine cannot run the test.
fn container(name: &str, n: u64) -> Option<Container> {
    let memory = Path::new(HIERARCHIES).join("memory");
    if !memory.join("memory.limit_in_bytes").exists() {
        eprintln!("SKIPPED: {} is no memory controller of version 1", memory.display());
        return None;
    }
    Container::make(name, n)
        .inspect_err(|error| eprintln!("SKIPPED: cannot make a cgroup in {HIERARCHIES}: {error}"))
        .ok()
}

struct Watched {
    recorder: ContainerRecorder,
    began: Instant,
    kills: Vec<OomKill>,
}

impl Watched {
    fn new(container: &Container) -> Self {
        let mut tree = CgroupTree::new(Path::new(HIERARCHIES));
        let report = tree.scan(|uid| uid == container.uid);
        assert_eq!((report.version, report.pods), (Some(CgroupVersion::V1), 1), "{report:?}");
        let recorder =
            ContainerRecorder::new(tree, Duration::from_millis(100), Duration::from_secs(30));
        Self { recorder, began: Instant::now(), kills: Vec::new() }
    }

    /// Samples like the agent until `is_done` returns true or a time limit has passed.
    fn sample_until(&mut self, container: &Container, mut is_done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let kills = self.recorder.sample(self.began.elapsed(), &[container.wanted()]);
            self.kills.extend(kills);
            if is_done(self) {
                return;
            }
            thread::sleep(self.recorder.next_sample_in(self.began.elapsed()));
        }
        panic!("nothing happened; kills so far: {:?}", self.kills);
    }

    fn history(&self, container: &Container) -> ContainerHistory {
        let now = Now { monotonic: self.began.elapsed(), wall: Timestamp::now() };
        self.recorder.history(&container.uid, &parsed(&container.id), now).unwrap()
    }
}

fn memory(history: &ContainerHistory) -> Vec<f64> {
    let columns = &history.samples.columns;
    let (_, values) = columns.iter().find(|(name, _)| *name == "memory_bytes").unwrap();
    values.iter().flatten().copied().collect()
}

fn assert_told(watched: &Watched, container: &Container) {
    let want = OomKill {
        pod_uid: container.uid.as_str().into(),
        container_id: Some(container.id.as_str().into()),
        kills: 1,
    };
    assert_eq!(watched.kills, [want]);
    let history = watched.history(container);
    assert_eq!((history.oom_kills, history.pod_oom_kills), (1, 1));
    assert!(history.is_oom_count_whole);
    assert_eq!(history.limit_bytes, Some(LIMIT_BYTES));
    assert!(history.peak_bytes.unwrap() > LIMIT_BYTES / 10 * 9, "{:?}", history.peak_bytes);
    let memory = memory(&history);
    let most = memory.iter().copied().fold(0.0, f64::max);
    assert!(memory.len() >= 3 && most > memory[0] + 8e6, "no rise: {memory:?}");
}

#[test]
fn a_process_that_outgrows_its_limit_is_seen_to_rise_and_be_killed() {
    let Some(container) = container("main", 1) else { return };
    let mut watched = Watched::new(&container);
    let mut process = container.run(GROW);
    watched.sample_until(&container, |watched| !watched.kills.is_empty());
    let status = process.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    // No kill is reported twice.
    let now = watched.began.elapsed() + Duration::from_secs(1);
    assert_eq!(watched.recorder.sample(now, &[container.wanted()]), []);
    assert_told(&watched, &container);
}

#[test]
fn a_killed_child_is_told_while_its_parent_lives_on() {
    let Some(container) = container("child", 2) else { return };
    let mut watched = Watched::new(&container);
    let script = format!("sh -c '{}'; sleep 60 & wait", GROW.replace('\'', "'\\''"));
    let mut parent = container.run(&script);
    watched.sample_until(&container, |watched| !watched.kills.is_empty());
    assert_eq!(parent.try_wait().unwrap(), None, "the parent died");
    assert_told(&watched, &container);
    let procs = fs::read_to_string(container.file("cgroup.procs")).unwrap();
    for pid in procs.lines().rev() {
        let _ = Command::new("/bin/kill").args(["-9", pid]).status();
    }
    parent.wait().unwrap();
}

#[test]
fn a_container_that_went_keeps_its_curve() {
    let Some(container) = container("gone", 3) else { return };
    let mut watched = Watched::new(&container);
    let mut process = container.run(GROW);
    watched.sample_until(&container, |watched| !watched.kills.is_empty());
    process.wait().unwrap();
    let (wanted, uid, id) = (container.wanted(), container.uid.clone(), container.id.clone());
    drop(container);
    let later = watched.began.elapsed() + Duration::from_secs(30);
    assert_eq!(watched.recorder.sample(later, &[wanted]), []);
    let now = Now { monotonic: later, wall: Timestamp::now() };
    let history = watched.recorder.history(&uid, &parsed(&id), now).unwrap();
    assert!(memory(&history).len() >= 3);
    assert!(!history.is_oom_count_whole, "the counter went with the directory");
    assert_eq!(history.oom_kills, 1);
}

/// The real binary, the real kernel, and an API server that reports what a kubelet would.
struct Node {
    api: FakeApi,
    agent: Agent,
    _scratch: Scratch,
}

impl Node {
    fn start(container: &Container) -> Self {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("oom"));
        api.write_kubeconfig(&scratch.join("kubeconfig"));
        let agent = AgentOptions::kubeconfig(&scratch.join("kubeconfig"))
            .env("BLACKBOX_CGROUP", HIERARCHIES)
            .env("BLACKBOX_SAMPLE_INTERVAL", "1s")
            .start();
        agent.wait_ready();
        let node = Self { api, agent, _scratch: scratch };
        node.says(container, json!({"running": {"startedAt": "2026-11-23T04:00:00Z"}}));
        let sampled = || node.agent.metric("blackbox_containers_sampled") == 1.0;
        assert!(eventually(PATIENCE, sampled), "the container is not found");
        node
    }

    fn says(&self, container: &Container, state: Value) {
        let id = format!("containerd://{}", container.id);
        self.api.apply(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "web", "namespace": "shop", "uid": container.uid},
            "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [
                {"name": "app", "resources": {"limits": {"memory": "32Mi"}}}]},
            "status": {"phase": "Running", "containerStatuses": [{
                "name": "app", "restartCount": 0, "state": state, "containerID": id}]}
        }));
    }

    fn incident(&self) -> Value {
        assert!(eventually(PATIENCE, || !self.agent.incidents().is_empty()), "nothing is told");
        self.agent.incidents().swap_remove(0)
    }
}

/// Returns a script that grows slowly enough for samples every second to show it.
fn grow_slowly() -> String {
    GROW.replace("sleep 0.02", "sleep 0.12")
}

#[test]
fn the_incident_of_a_true_oom_kill_is_confirmed_and_shows_the_rise() {
    let Some(container) = container("agent", 4) else { return };
    let node = Node::start(&container);
    let status = container.run(&grow_slowly()).wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled",
        "containerID": format!("containerd://{}", container.id),
        "startedAt": "2026-11-23T04:00:00Z", "finishedAt": "2026-11-23T04:00:04Z"}});
    node.says(&container, ended);
    let incident = node.incident();
    assert_eq!(
        (&incident["type"], &incident["metadata"]["confidence"]),
        (&json!("oom"), &json!("confirmed"))
    );
    let evidence = incident["metadata"]["evidence"].to_string();
    assert!(evidence.contains("the kernel counted 1 OOM kill in its cgroup"), "{evidence}");
    let section = &incident["telemetry"]["container"];
    let memory: Vec<f64> =
        section["memory_bytes"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    let most = memory.iter().copied().fold(0.0, f64::max);
    assert!(memory.len() >= 3 && most > memory[0] + 8e6, "no rise: {memory:?}");
    assert_eq!(
        (&section["memory_limit_bytes"], &section["oom_kills"]),
        (&json!(LIMIT_BYTES), &json!(1))
    );
    println!("{}", incident["message"]);
}

#[test]
fn the_incident_of_a_killed_child_says_that_the_container_lives_on() {
    let Some(container) = container("survivor", 5) else { return };
    let node = Node::start(&container);
    let script = format!("sh -c '{}'; sleep 120 & wait", GROW.replace('\'', "'\\''"));
    let mut parent = container.run(&script);
    let incident = node.incident();
    assert_eq!((&incident["type"], &incident["severity"]), (&json!("oom"), &json!("high")));
    assert_eq!(incident["metadata"]["survived"], true);
    assert_eq!(parent.try_wait().unwrap(), None, "the parent died");
    let procs = fs::read_to_string(container.file("cgroup.procs")).unwrap();
    for pid in procs.lines().rev() {
        let _ = Command::new("/bin/kill").args(["-9", pid]).status();
    }
    parent.wait().unwrap();
}
