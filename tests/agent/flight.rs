//! The minutes before a termination, in the lines of the real binary: the content of the node's files is part of the
//! incident and may change its type.

use std::fs;
use std::path::Path;

use crate::support::clock::{Stopper, eventually, unix_seconds};
use crate::support::collector::Collector;
use crate::support::crash::crash;
use crate::support::journal::write_journal;
use crate::support::replace::write;
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch, fixture};
use jiff::Timestamp;
use serde_json::{Value, json};

const POD: &str = "uid-web";

/// Returns the runtime's id of the n-th instance of the container.
fn id(instance: u32) -> String {
    format!("{:064x}", 0xabc0 + instance)
}

/// A node with one pod: the API server that knows the pod, and the files that the kernel would have.
struct Node {
    api: FakeApi,
    scratch: Scratch,
    agent: Agent,
}

impl Node {
    fn start(env: &[(&str, &str)]) -> Self {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("flight"));
        api.write_kubeconfig(&scratch.join("kubeconfig"));
        write(&scratch.join("cgroup/cgroup.controllers"), "cpu io memory pids\n");
        api.apply(json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node1"},
            "status": {"allocatable": {"memory": "480Mi", "cpu": "900m", "pods": "110"},
            "conditions": [{"type": "MemoryPressure", "status": "True"}]}}));
        let mut options = AgentOptions::kubeconfig(&scratch.join("kubeconfig"))
            .env("BLACKBOX_CGROUP", scratch.join("cgroup"))
            .env("BLACKBOX_POD_LOGS", scratch.join("pods"))
            .env("BLACKBOX_SAMPLE_INTERVAL", "1s")
            .env("BLACKBOX_WINDOW", "30s")
            .env("RUST_LOG", "info,blackbox_daemon=debug");
        for (key, value) in env {
            options = options.env(*key, *value);
        }
        let agent = options.start();
        agent.wait_ready();
        Self { api, scratch, agent }
    }

    fn cgroup(&self, path: &str) -> std::path::PathBuf {
        self.scratch.join("cgroup/kubepods/burstable").join(format!("pod{POD}")).join(path)
    }

    /// Writes the kernel's files of an instance with this memory usage.
    fn uses(&self, instance: u32, memory_mib: u64, kills: u64) {
        let file = |name: &str, text: &str| write(&self.cgroup(&id(instance)).join(name), text);
        file("memory.current", &format!("{}\n", memory_mib << 20));
        file("memory.max", &format!("{}\n", 64 << 20));
        file("memory.stat", "anon 1\ninactive_file 4096\n");
        file("memory.events", &format!("oom {kills}\noom_kill {kills}\n"));
        file("cpu.stat", "usage_usec 1000\nnr_periods 0\nnr_throttled 0\n");
        file("pids.current", "3\n");
        file("cgroup.events", "populated 1\nfrozen 0\n");
        write(&self.cgroup("memory.max"), "max\n");
        write(&self.cgroup("memory.events"), &format!("oom {kills}\noom_kill {kills}\n"));
    }

    /// Writes the log of an instance, in the format of a CRI runtime.
    fn writes(&self, instance: u32, lines: &[&str]) {
        let line = |text: &&str| format!("2026-11-23T04:00:59.5Z stderr F {text}\n");
        let text: String = lines.iter().map(line).collect();
        write(&self.log(instance), &text);
    }

    fn log(&self, instance: u32) -> std::path::PathBuf {
        self.scratch.join(&format!("pods/shop_web_{POD}/app/{instance}.log"))
    }

    /// Sets the container status to: the instance is running.
    fn runs(&self, instance: u32) {
        self.status(instance, json!({"running": {"startedAt": "2026-11-23T04:00:00Z"}}), json!({}));
    }

    /// Sets the container status to: the instance has terminated, and the next one is running.
    fn ends(&self, instance: u32, exit_code: i32, reason: &str) {
        let _ = fs::remove_dir_all(self.cgroup(&id(instance)));
        let (from, to) = ("2026-11-23T04:00:00Z", "2026-11-23T04:01:00Z");
        self.ends_at(instance, exit_code, reason, from, to);
    }

    /// The same, with the times of now.
    fn ends_now(&self, instance: u32, exit_code: i32) {
        let now = Timestamp::from_second(unix_seconds()).unwrap();
        let from = now.checked_sub(jiff::SignedDuration::from_secs(60)).unwrap();
        self.ends_at(instance, exit_code, "Error", &from.to_string(), &now.to_string());
    }

    fn ends_at(&self, instance: u32, exit_code: i32, reason: &str, from: &str, to: &str) {
        let end = json!({"terminated": {"exitCode": exit_code, "reason": reason,
            "containerID": format!("containerd://{}", id(instance)),
            "startedAt": from, "finishedAt": to}});
        let running = json!({"running": {"startedAt": "2026-11-23T04:01:01Z"}});
        self.status(instance + 1, running, end);
    }

    fn status(&self, instance: u32, state: Value, last: Value) {
        self.api.apply(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "web", "namespace": "shop", "uid": POD, "labels": {"app": "web"}},
            "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [
                {"name": "app", "resources": {"limits": {"memory": "64Mi"}}}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "127.0.0.1"}], "containerStatuses": [{
                "name": "app", "restartCount": instance, "state": state, "lastState": last,
                "containerID": format!("containerd://{}", id(instance))}]}
        }));
    }

    /// Waits for this many more rounds of the sampler.
    fn sample(&self, rounds: u64) {
        let taken = || self.agent.metric("blackbox_samples_total") as u64;
        let before = taken();
        assert!(eventually(PATIENCE, || taken() >= before + rounds), "no samples");
    }

    /// Waits for an incident after the first `seen` ones, and returns it.
    #[track_caller]
    fn incident(&self, seen: usize) -> Value {
        assert!(eventually(PATIENCE, || self.agent.incidents().len() > seen), "nothing is told");
        let lines = self.agent.lines_from(0);
        assert!(lines.iter().all(|line| line.len() < 16_000));
        self.agent.incidents().swap_remove(seen)
    }
}

/// Returns the known values of a column.
fn column(section: &Value, name: &str) -> Vec<f64> {
    let values = section[name].as_array().unwrap_or_else(|| panic!("no {name} in {section}"));
    values.iter().filter_map(Value::as_f64).collect()
}

#[test]
fn an_oom_kill_carries_the_rising_memory_and_the_kernels_count() {
    let node = Node::start(&[]);
    node.uses(0, 20, 0);
    node.runs(0);
    node.sample(3);
    for memory_mib in [30, 45, 60] {
        node.uses(0, memory_mib, 0);
        node.sample(2);
    }
    node.uses(0, 64, 1);
    node.ends(0, 137, "OOMKilled");
    let incident = node.incident(0);
    assert_eq!((&incident["type"], &incident["severity"]), (&json!("oom"), &json!("critical")));
    assert_eq!(incident["metadata"]["confidence"], "confirmed", "{incident}");
    let evidence = incident["metadata"]["evidence"].to_string();
    assert!(evidence.contains("the kernel counted 1 OOM kill in its cgroup"), "{evidence}");
    let container = &incident["telemetry"]["container"];
    let memory = column(container, "memory_bytes");
    assert!(memory.is_sorted() && memory.len() > 3, "{memory:?}");
    assert!(memory.last().unwrap() - memory[0] >= f64::from(40 << 20), "{memory:?}");
    assert_eq!(container["memory_limit_bytes"], 64 << 20);
    let message = incident["message"].as_str().unwrap();
    assert!(message.contains("OOM-killed at its 64 MiB limit") && message.contains("memory grew"));
    assert!(!column(&incident["telemetry"]["system"], "memory_available_bytes").is_empty());
    assert_eq!(incident["metadata"]["labels"]["app"], "web");
}

#[test]
fn the_dead_instances_last_lines_come_with_it_masked_and_never_through_a_link() {
    let node = Node::start(&[]);
    node.runs(0);
    node.writes(0, &["starting", "db password=hunter2", "panic: no route"]);
    node.writes(1, &["the next one's"]);
    node.ends(0, 1, "Error");
    let logs = &node.incident(0)["telemetry"]["logs"];
    let texts: Vec<_> =
        logs["lines"].as_array().unwrap().iter().map(|l| l["text"].clone()).collect();
    assert_eq!(texts, ["starting", "db password=***", "panic: no route"]);
    assert_eq!(logs["file"], "app/0.log");
    assert_eq!(logs["lines"][0]["stream"], "stderr");

    fs::remove_file(node.log(1)).unwrap();
    let secret = node.scratch.join("secret");
    fs::write(&secret, "2026-11-23T04:00:59.5Z stderr F top secret\n").unwrap();
    std::os::unix::fs::symlink(&secret, node.log(1)).unwrap();
    node.ends(1, 1, "Error");
    let incident = node.incident(1);
    assert!(incident["telemetry"]["logs"].is_null(), "{incident}");
    let gaps = incident["telemetry"]["gaps"].to_string();
    assert!(gaps.contains("logs: ") && !incident.to_string().contains("top secret"), "{gaps}");
}

#[test]
fn what_a_pod_posts_of_itself_comes_with_its_crash() {
    let node = Node::start(&[]);
    node.runs(0);
    let posted = || {
        let body = r#"{"metrics": {"queue_depth": 12, "latency_ms": 3.5}}"#;
        node.agent.post("/v1/telemetry", body) == 204
    };
    // Refused until the agent has seen the pod's address.
    assert!(eventually(PATIENCE, posted));
    node.ends(0, 1, "Error");
    let sidecar = &node.incident(0)["telemetry"]["sidecar"];
    assert_eq!(column(&sidecar["queue_depth"], "values"), [12.0]);
    assert_eq!(column(&sidecar["latency_ms"], "values"), [3.5]);
}

#[test]
fn a_kill_that_the_runtime_calls_error_is_an_oom_kill_when_the_kernel_counted_one() {
    let node = Node::start(&[]);
    node.uses(0, 60, 0);
    node.runs(0);
    node.sample(3);
    node.uses(0, 64, 1);
    node.ends(0, 137, "Error");
    let incident = node.incident(0);
    assert_eq!((&incident["type"], &incident["severity"]), (&json!("oom"), &json!("critical")));
    assert_eq!(incident["metadata"]["confidence"], "confirmed");
    assert!(incident["message"].as_str().unwrap().contains("OOM-killed"), "{incident}");
}

#[test]
fn an_oom_kill_that_the_kernel_did_not_count_is_only_probable() {
    let node = Node::start(&[]);
    node.uses(0, 60, 0);
    node.runs(0);
    node.sample(3);
    node.ends(0, 137, "OOMKilled");
    let incident = node.incident(0);
    assert_eq!(incident["type"], "oom");
    assert_eq!(incident["metadata"]["confidence"], "probable", "{}", incident["metadata"]);
}

#[test]
fn a_killed_child_of_a_container_that_lives_on_is_told() {
    let node = Node::start(&[]);
    node.uses(0, 20, 0);
    node.runs(0);
    node.writes(0, &["lost a worker"]);
    node.sample(3);
    node.uses(0, 20, 1);
    let incident = node.incident(0);
    assert_eq!((&incident["type"], &incident["severity"]), (&json!("oom"), &json!("high")));
    assert_eq!(incident["metadata"]["survived"], true);
    assert_eq!(incident["container"], "app");
    assert_eq!(incident["container_id"], format!("containerd://{}", id(0)));
    assert!(!column(&incident["telemetry"]["container"], "memory_bytes").is_empty());
    assert_eq!(incident["telemetry"]["logs"]["lines"][0]["text"], "lost a worker");
    assert_eq!(incident["containers"][0]["name"], "app");
    // The same count again is not a new incident.
    node.sample(3);
    assert_eq!(node.agent.incidents().len(), 1);
}

#[test]
fn a_crash_loop_gets_brief_and_the_node_is_asked_for_once_a_minute() {
    let node = Node::start(&[]);
    for instance in 0..7 {
        node.uses(instance, 20, 0);
        node.runs(instance);
        node.sample(3);
        node.ends(instance, 1, "Error");
        node.incident(instance as usize);
    }
    let incidents = node.agent.incidents();
    let brief: Vec<_> = incidents.iter().map(|i| i["telemetry"]["brief"] == true).collect();
    assert_eq!(brief, [false, false, false, false, false, true, true]);
    assert!(incidents[6]["telemetry"]["system"].is_null());
    let allocatable =
        |n: usize| incidents[n]["telemetry"]["node"]["allocatable"]["memory_bytes"].as_i64();
    assert_eq!(allocatable(4), Some(480 << 20));
    assert_eq!(incidents[4]["telemetry"]["node"]["conditions"][0]["type"], "MemoryPressure");
    assert_eq!(node.api.count("get", "nodes"), 1);
    assert!(incidents[4]["message"].as_str().unwrap().contains("fifth crash in 10 min"));
    assert_eq!(node.agent.metric("blackbox_crash_loop_incidents_total"), 5.0);
}

#[test]
fn what_the_kernel_counted_in_the_minutes_before_is_in_the_line_and_in_the_metrics() {
    let kernel = Scratch::new("kernel");
    let file = |name: &str, text: &str| write(&kernel.join(name), text);
    file("proc/vmstat", "nr_free_pages 9\noom_kill 4\n");
    file("sys/block/sda/device/ioerr_cnt", "0x1\n");
    file("sys/kernel/oops_count", "7\n");
    let (proc, sys) = (kernel.join("proc"), kernel.join("sys"));
    let (proc, sys) = (proc.to_str().unwrap(), sys.to_str().unwrap());
    let node = Node::start(&[("BLACKBOX_PROC", proc), ("BLACKBOX_SYS", sys)]);
    node.runs(0);
    node.sample(3);
    node.ends(0, 1, "Error");
    // What was there before the agent is no news.
    assert!(node.incident(0)["telemetry"]["kernel"].is_null());
    file("proc/vmstat", "nr_free_pages 9\noom_kill 6\n");
    file("sys/block/sda/device/ioerr_cnt", "0x10\n");
    node.sample(2);
    node.runs(1);
    node.ends(1, 1, "Error");
    let counters = node.incident(1)["telemetry"]["kernel"]["counters"].clone();
    assert_eq!(counters, json!({"oom_kills": 2, "disk_errors": 15}));
    let metric = |counter: &str| {
        node.agent.metric(&format!("blackbox_kernel_events_total{{counter=\"{counter}\"}}"))
    };
    assert_eq!([metric("oom_kills"), metric("disk_errors"), metric("oopses")], [2.0, 15.0, 0.0]);
    // A lying counter is a number like any other.
    file("proc/vmstat", &"oom_kill 18446744073709551615\n".repeat(3));
    node.sample(2);
    node.runs(2);
    node.ends(2, 1, "Error");
    let line = node.incident(2);
    assert_eq!(line["telemetry"]["kernel"]["counters"]["oom_kills"], u64::MAX - 4);
}

/// Returns the lines that the kernel writes about an OOM kill in the control group of that instance.
fn oom_lines(instance: u32) -> String {
    let id = id(instance);
    let cgroup = format!("/kubepods/burstable/pod{POD}/{id}");
    format!(
        "java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=985\n\
         Memory cgroup stats for {cgroup}:\n\
         Memory cgroup out of memory: Killed process 4312 (java) total-vm:900000kB, anon-rss:509000kB, file-rss:952kB, shmem-rss:0kB, UID:0\n\
         Tasks in {cgroup} are going to be killed due to memory.oom.group set\n\
         Memory cgroup out of memory: Killed process 4313 (sh) total-vm:900kB, anon-rss:90kB, file-rss:0kB, shmem-rss:0kB, UID:0\n"
    )
}

/// Appends lines of the kernel to a plain log, with the time of now, as rsyslog does.
fn log_kernel(file: &Path, lines: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let now = Timestamp::from_second(unix_seconds()).unwrap();
    let lines: String =
        lines.lines().map(|line| format!("{now} node1 kernel: [ 1234.567890] {line}\n")).collect();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
}

#[test]
fn the_kernels_log_names_the_victim_of_an_oom_kill_that_the_runtime_calls_error() {
    let logs = Scratch::new("kernel-log");
    let node = Node::start(&[("BLACKBOX_KERNEL_LOG", logs.join("").to_str().unwrap())]);
    node.runs(0);
    log_kernel(&logs.join("kern.log"), &oom_lines(0));
    node.ends_now(0, 137);
    let line = node.incident(0);
    assert_eq!((&line["type"], &line["severity"]), (&json!("oom"), &json!("critical")), "{line}");
    assert_eq!(line["metadata"]["confidence"], "confirmed");
    let message = line["message"].as_str().unwrap();
    let killed = "; the kernel killed java (pid 4312, 498 MiB resident) and 1 more process";
    assert!(message.contains(killed), "{message}");
    let victim = &line["telemetry"]["kernel"]["oom_kill"];
    assert_eq!((&victim["limit_of"], &victim["asked_by"]), (&json!("container"), &json!("java")));
    assert_eq!(victim["confidence"], "confirmed");
    let evidence = line["metadata"]["evidence"].to_string();
    assert!(evidence.contains("the kernel's log names its cgroup in an OOM kill"), "{evidence}");
    // Another container's kill is not this one's.
    node.runs(1);
    log_kernel(&logs.join("kern.log"), &oom_lines(7));
    node.ends_now(1, 137);
    let line = node.incident(1);
    assert_eq!(line["type"], "killed");
    assert!(line["telemetry"]["kernel"]["oom_kill"].is_null(), "{line}");
}

#[test]
fn a_fault_and_a_failing_disk_come_with_the_crash_that_they_fit() {
    let logs = Scratch::new("kernel-fault");
    let node = Node::start(&[("BLACKBOX_KERNEL_LOG", logs.join("").to_str().unwrap())]);
    let file = logs.join("kern.log");
    node.runs(0);
    let disk = "EXT4-fs error (device sda1): ext4_lookup:1855: inode #2: comm ls: deleted inode\n";
    let fault = "crash[4312]: segfault at 0 ip 000055d0c0a01139 sp 00007ffd3c0e5d50 error 4 in libshop.so[55d0c0a01000+1000]";
    log_kernel(&file, &format!("{disk}{disk}{fault}"));
    node.ends_now(0, 139);
    let line = node.incident(0);
    let message = line["message"].as_str().unwrap();
    let words = "; probably the segfault of crash (pid 4312) in libshop.so at 0x139";
    assert!(message.contains(words), "{message}");
    let kernel = &line["telemetry"]["kernel"];
    assert_eq!(
        (&kernel["fault"]["kind"], &kernel["fault"]["confidence"]),
        (&json!("segfault"), &json!("probable"))
    );
    let trouble = &kernel["troubles"][0];
    assert_eq!(
        (&trouble["kind"], &trouble["subject"], &trouble["count"]),
        (&json!("file_system"), &json!("sda1"), &json!(2))
    );
    // An end by another signal is none of that fault.
    node.runs(1);
    log_kernel(&file, fault);
    node.ends_now(1, 134);
    assert!(node.incident(1)["telemetry"]["kernel"]["fault"].is_null());
}

#[test]
fn a_line_that_any_process_may_have_written_decides_nothing() {
    let logs = Scratch::new("kernel-messages");
    let node = Node::start(&[("BLACKBOX_KERNEL_LOG", logs.join("").to_str().unwrap())]);
    node.runs(0);
    log_kernel(&logs.join("messages"), &oom_lines(0));
    node.ends_now(0, 137);
    let line = node.incident(0);
    assert_eq!(
        (&line["type"], &line["metadata"]["confidence"]),
        (&json!("killed"), &json!("probable"))
    );
    assert_eq!(line["telemetry"]["kernel"]["oom_kill"]["confidence"], "probable");
    let message = line["message"].as_str().unwrap();
    assert!(!message.contains("the kernel killed"), "{message}");
}

#[test]
fn a_kernel_log_that_is_missing_or_hangs_delays_no_crash_and_is_named() {
    let logs = Scratch::new("kernel-none");
    assert!(
        std::process::Command::new("mkfifo").arg(logs.join("kern.log")).status().unwrap().success()
    );
    let node = Node::start(&[("BLACKBOX_KERNEL_LOG", logs.join("").to_str().unwrap())]);
    node.runs(0);
    node.ends(0, 137, "Error");
    let gaps = node.incident(0)["telemetry"]["gaps"].to_string();
    assert!(
        gaps.contains("kernel log:") && gaps.contains("kern.log: not a regular file"),
        "{gaps}"
    );
}

#[test]
fn a_node_whose_files_cannot_be_read_says_so_and_tells_all_crashes() {
    let node = Node::start(&[("BLACKBOX_PROC", "/nowhere"), ("BLACKBOX_CGROUP", "/nowhere")]);
    node.runs(0);
    node.sample(3);
    node.ends(0, 1, "Error");
    let gaps = node.incident(0)["telemetry"]["gaps"].to_string();
    assert!(gaps.contains("BLACKBOX_PROC") && gaps.contains("BLACKBOX_CGROUP"), "{gaps}");
}

#[test]
fn a_container_that_is_gone_lives_on_in_no_line_however_late_its_status() {
    let node = Node::start(&[]);
    node.uses(0, 20, 0);
    node.runs(0);
    node.sample(3);
    // Its processes are killed as a group; the directory goes, and the status comes later than such a line would.
    node.uses(0, 64, 3);
    node.sample(2);
    fs::remove_dir_all(node.cgroup(&id(0))).unwrap();
    node.sample(17);
    assert_eq!(node.agent.incidents().len(), 0);
    let time = |n| Timestamp::from_second(unix_seconds() - n).unwrap().to_string();
    node.ends_at(0, 137, "Error", &time(25), &time(17));
    let incident = node.incident(0);
    assert_eq!((&incident["type"], &incident["severity"]), (&json!("oom"), &json!("critical")));
    assert_eq!(incident["metadata"]["confidence"], "confirmed");
    let evidence = incident["metadata"]["evidence"].to_string();
    assert!(evidence.contains("its counter rose by 3"), "{evidence}");
    assert_eq!(node.agent.incidents().len(), 1);
}

/// Not a test: figures for docs/cost.md. `BLACKBOX_BINARY` names the build, such as the image's;
/// `BLACKBOX_COST_SECONDS` how long (60; all rings are full after 300), `BLACKBOX_COST_PODS` with how many
/// pods (110).
#[test]
#[ignore = "measures"]
fn what_recording_costs_with_pods_of_two_containers() {
    let pods = std::env::var("BLACKBOX_COST_PODS").map_or(110, |s| s.parse().unwrap());
    let seconds = std::env::var("BLACKBOX_COST_SECONDS").map_or(60, |s| s.parse().unwrap());
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("cost"));
    let collector = Collector::start(None);
    api.write_service_account(scratch.path());
    write(&scratch.join("cgroup/cgroup.controllers"), "cpu io memory pids\n");
    write_journal("online", &scratch.join("log/journal/machine/system.journal"));
    for pod in 0..pods {
        let uid = format!("{pod:08}-7d2b-4a5e-9f8e-2f6c2c9d1b0e");
        let folder = scratch.join(&format!("cgroup/kubepods/burstable/pod{uid}"));
        let mut statuses = Vec::new();
        for n in 0..2 {
            let id = format!("{:064x}", 0xc000 + 2 * pod + n);
            for (name, text) in [
                ("memory.current", "50000000\n"),
                ("memory.max", "268435456\n"),
                ("memory.peak", "60000000\n"),
                ("memory.stat", "anon 1\nfile 2\ninactive_file 4096\n"),
                ("memory.events", "oom 0\noom_kill 0\n"),
                ("memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"),
                ("cpu.stat", "usage_usec 1000\nnr_periods 0\nnr_throttled 0\n"),
                ("pids.current", "3\n"),
            ] {
                write(&folder.join(&id).join(name), text);
            }
            statuses.push(json!({"name": format!("c{n}"), "restartCount": 0,
                "containerID": format!("containerd://{id}"),
                "state": {"running": {"startedAt": "2026-11-23T04:00:00Z"}}, "lastState": {}}));
        }
        write(&folder.join("memory.max"), "max\n");
        write(&folder.join("memory.events"), "oom 0\noom_kill 0\n");
        api.apply(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": format!("p{pod}"), "namespace": "shop", "uid": uid},
            "spec": {"nodeName": "node1", "restartPolicy": "Always",
                "containers": [{"name": "c0"}, {"name": "c1"}]},
            "status": {"phase": "Running", "containerStatuses": statuses}}));
    }
    let agent = AgentOptions::in_pod(api.addr(), scratch.path())
        .env("BLACKBOX_CGROUP", scratch.join("cgroup"))
        .env("BLACKBOX_KERNEL_LOG", scratch.join("log"))
        .env("BLACKBOX_PSTORE", scratch.join("log"))
        .env("BLACKBOX_RECORDER_FILE", scratch.join("recorder"))
        .env("BLACKBOX_INCIDENT_FILE", scratch.join("incidents"))
        .env("BLACKBOX_STATE_FILE", scratch.join("state"))
        .env("BLACKBOX_ALERT_MIN_SEVERITY", "low");
    let agent = ["WEBHOOK_URL", "OTLP_ENDPOINT", "ALERTMANAGER_URL"]
        .into_iter()
        .fold(agent, |agent, key| agent.env(format!("BLACKBOX_{key}"), collector.url()))
        .start();
    agent.wait_ready();
    crash(&api, "one-crash");
    assert!(eventually(PATIENCE, || collector.count() == 3), "each receiver is connected");
    let sampled = || agent.metric("blackbox_containers_sampled") >= f64::from(2 * pods);
    assert!(eventually(PATIENCE, sampled), "not all are sampled");
    let cpu_seconds = || agent.metric("process_cpu_seconds_total");
    let before = cpu_seconds();
    Stopper::default().wait(std::time::Duration::from_secs(seconds));
    let percent = (cpu_seconds() - before) * 100.0 / seconds as f64;
    let (peak, now) = (agent.proc_status("VmHWM"), agent.proc_status("VmRSS"));
    println!(
        "{} containers: {percent:.2} % of a core; {peak} KiB at most, {now} KiB now",
        2 * pods
    );
}

#[test]
fn no_credential_of_a_log_is_in_an_incident() {
    let cases = fs::read_to_string(fixture("mask/lines.jsonl")).unwrap();
    let cases: Vec<Value> = cases.lines().map(|case| serde_json::from_str(case).unwrap()).collect();
    let texts = |case: &Value, name: &str| -> Vec<String> {
        let texts = case[name].as_array().unwrap().iter();
        texts.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let node = Node::start(&[]);
    for (n, case) in cases.iter().enumerate() {
        let line = |text: &String| format!("2026-11-23T04:00:59.5Z stderr F {text}\n");
        let log: String = texts(case, "lines").iter().map(line).collect();
        write(&node.scratch.join(&format!("pods/shop_case-{n}_uid-case-{n}/app/0.log")), &log);
        crash(&node.api, &format!("case-{n}"));
    }
    assert!(eventually(PATIENCE, || node.agent.incidents().len() == cases.len()));
    let (mut shown, mut altered) = (0, 0);
    for (n, case) in cases.iter().enumerate() {
        let incidents = node.agent.incidents();
        let name = format!("case-{n}");
        let incident = incidents.iter().find(|incident| incident["pod_name"] == *name).unwrap();
        let logs = incident["telemetry"]["logs"]["lines"].as_array().unwrap();
        let said: Vec<&str> = logs.iter().map(|line| line["text"].as_str().unwrap()).collect();
        assert_eq!(said.len(), texts(case, "lines").len());
        let (said, hidden) = (said.join("\n"), texts(case, "hidden"));
        shown += usize::from(hidden.iter().any(|secret| said.contains(secret)));
        altered += usize::from(hidden.is_empty() && said.contains("***"));
    }
    assert_eq!((shown, altered), (0, 0), "of {}", cases.len());
}
