//! A node that goes down without notice: the last minutes before, in the line of the real binary of the next boot.

use std::fs;

use crate::support::clock::{eventually, unix_seconds};
use crate::support::replace::write;
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch, schema};
use serde_json::{Value, json};

const POD: &str = "uid-web";

/// A node with one pod, whose procfs and control groups are files, and with a recorder file.
struct Node {
    /// Runs as long as this value is there.
    _api: FakeApi,
    scratch: Scratch,
}

impl Node {
    fn new(name: &str) -> Self {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new(name));
        api.write_kubeconfig(&scratch.join("kubeconfig"));
        write(&scratch.join("cgroup/cgroup.controllers"), "cpu io memory pids\n");
        let id = format!("{:064x}", 0xabc0);
        let group = scratch.join(&format!("cgroup/kubepods/burstable/pod{POD}/{id}"));
        for (file, text) in [
            ("memory.current", "62914560\n"),
            ("memory.max", "67108864\n"),
            ("memory.stat", "anon 1\ninactive_file 4096\n"),
            ("memory.events", "oom 0\noom_kill 0\n"),
            ("cpu.stat", "usage_usec 1000\n"),
            ("pids.current", "3\n"),
            ("cgroup.events", "populated 1\nfrozen 0\n"),
            ("../memory.max", "max\n"),
            ("../memory.events", "oom 0\noom_kill 0\n"),
        ] {
            fs::create_dir_all(&group).unwrap();
            write(&group.join(file), text);
        }
        api.apply(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "web", "namespace": "shop", "uid": POD},
            "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [
                {"name": "app", "resources": {"limits": {"memory": "64Mi"}}}]},
            "status": {"phase": "Running", "containerStatuses": [{
                "name": "app", "restartCount": 0,
                "state": {"running": {"startedAt": "2026-11-23T04:00:00Z"}}, "lastState": {},
                "containerID": format!("containerd://{id}")}]}
        }));
        Self { _api: api, scratch }
    }

    /// The node boots with this ID, so many seconds ago.
    fn boots(&self, id: &str, ago: i64) {
        let at = unix_seconds() - ago;
        write(&self.scratch.join("proc/sys/kernel/random/boot_id"), &format!("{id}\n"));
        let stat = format!("cpu  10 0 10 900 0 0 0 0 0 0\nbtime {at}\n");
        write(&self.scratch.join("proc/stat"), &stat);
    }

    /// The node has 16 GiB, and this much of it is available.
    fn has_available(&self, mib: u64) {
        let text = format!("MemTotal: 16777216 kB\nMemAvailable: {} kB\n", mib << 10);
        write(&self.scratch.join("proc/meminfo"), &text);
    }

    fn start(&self, env: &[(&str, &str)]) -> Agent {
        let mut options = AgentOptions::kubeconfig(&self.scratch.join("kubeconfig"))
            .env("BLACKBOX_CGROUP", self.scratch.join("cgroup"))
            .env("BLACKBOX_PROC", self.scratch.join("proc"))
            .env("BLACKBOX_SAMPLE_INTERVAL", "1s")
            .env("BLACKBOX_WINDOW", "30s")
            .env("BLACKBOX_STATE_FILE", self.scratch.join("state"))
            .env("BLACKBOX_RECORDER_FILE", self.scratch.join("recorder"));
        for (key, value) in env {
            options = options.env(*key, *value);
        }
        let agent = options.start();
        agent.wait_ready();
        agent
    }

    /// Waits until this many more slots are written.
    fn writes(&self, agent: &Agent, slots: u32) {
        let written = || agent.metric("blackbox_recorder_bytes_total");
        let wanted = written() + f64::from(slots) * 4096.0;
        assert!(eventually(PATIENCE, || written() >= wanted), "{}", agent.log());
    }

    fn has_state_of(&self, boot: &str) -> bool {
        let state = || fs::read_to_string(self.scratch.join("state")).unwrap_or_default();
        eventually(PATIENCE, || state().contains(boot))
    }

    /// Ends the agent, which then reports the reboot, and returns that line.
    fn reboot(mut agent: Agent) -> Value {
        assert!(eventually(PATIENCE, || agent.metric("k8s_pods_watched_total") > 0.0));
        agent.end("TERM");
        let lines = agent.lines_from(0);
        let flaws: Vec<_> = lines.iter().filter_map(|line| schema::flaw(line)).collect();
        assert_eq!(flaws, [""; 0], "against the schema");
        let mut incidents = agent.incidents();
        incidents.retain(|incident| incident["type"] == "node_reboot");
        assert_eq!(incidents.len(), 1, "{lines:?}");
        incidents.remove(0)
    }
}

#[test]
fn a_node_that_goes_down_without_notice_tells_its_last_minutes() {
    let node = Node::new("recorder");
    node.boots("boot-a", 3600);
    node.has_available(412);
    let mut agent = node.start(&[]);
    node.writes(&agent, 3);
    node.has_available(9);
    node.writes(&agent, 2);
    assert!(node.has_state_of("boot-a"));
    agent.kill();

    node.boots("boot-b", 0);
    node.has_available(9000);
    let agent = node.start(&[]);
    let line = Node::reboot(agent);
    let (before, message) =
        (&line["telemetry"]["before_reboot"], line["message"].as_str().unwrap());
    assert!(message.contains("no shutdown was seen; the node was last alive at "), "{message}");
    let fall = "memory available had fallen from 412 MiB to 9 MiB in ";
    assert!(message.contains(fall), "{message}");
    assert_eq!(line["metadata"]["reboot"]["last_alive_at"], before["ends_at"]);
    assert_eq!(line["metadata"]["reboot"]["previous_boot_id"], "boot-a");
    let available = before["memory_available_bytes"].as_array().unwrap();
    assert_eq!((&available[0], available.last().unwrap()), (&json!(412 << 20), &json!(9 << 20)));
    assert_eq!(before["age_seconds"].as_array().unwrap().last().unwrap(), 0);
    let container = &before["containers"][0];
    let names = ["namespace", "pod_name", "container"].map(|name| container[name].as_str());
    assert_eq!(names, [Some("shop"), Some("web"), Some("app")]);
    assert_eq!(container["memory_limit_bytes"], 64 << 20);
    assert_eq!(container["memory_bytes"].as_array().unwrap().last().unwrap(), 60 << 20);
}

#[test]
fn a_foreign_file_and_a_link_cost_the_minutes_and_nothing_else() {
    let node = Node::new("recorder-foreign");
    node.boots("boot-a", 3600);
    node.has_available(412);
    fs::write(node.scratch.join("recorder"), "not a recorder file\n".repeat(100_000)).unwrap();
    let mut agent = node.start(&[]);
    agent.wait_for_log("the agent writes it anew");
    node.writes(&agent, 2);
    assert_eq!(fs::metadata(node.scratch.join("recorder")).unwrap().len(), 512 << 10);
    assert!(node.has_state_of("boot-a"));
    agent.kill();

    // Whoever can write to the folder cannot make the agent write elsewhere.
    fs::rename(node.scratch.join("recorder"), node.scratch.join("elsewhere")).unwrap();
    let whole = fs::read(node.scratch.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", node.scratch.join("recorder")).unwrap();
    node.boots("boot-b", 0);
    let agent = node.start(&[]);
    agent.wait_for_log("cannot write");
    assert!(agent.metric("blackbox_recorder_errors_total") > 0.0);
    assert_eq!(agent.get("/healthz").0, 200);
    let line = Node::reboot(agent);
    assert!(line["telemetry"]["before_reboot"].is_null());
    assert!(line["metadata"]["reboot"]["last_alive_at"].is_null());
    assert_eq!(fs::read(node.scratch.join("elsewhere")).unwrap(), whole);
}
