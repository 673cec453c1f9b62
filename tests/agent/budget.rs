//! The worst pods that an API server lets anybody make, in a memory cgroup as the manifest gives it: the agent lives,
//! and tells every end.

use serde_json::{Value, json};

use crate::support::clock::eventually;
use crate::support::collector::{Collector, Reply};
use crate::support::losses;
use crate::support::memory::MemoryCgroup;
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch, whole_lines};

/// The limit in the manifest.
const LIMIT_BYTES: u64 = 32 << 20;

const CONTAINERS: usize = 128;

/// Texts of a container's status.
#[derive(Clone, Copy)]
struct Texts {
    name: usize,
    image: usize,
    reason: usize,
    message: usize,
}

const ORDINARY: Texts = Texts { name: 10, image: 60, reason: 5, message: 0 };

fn container_name(n: usize, bytes: usize) -> String {
    format!("{n:0bytes$}")
}

/// Returns a pod with this many containers, the first `ended` of which have terminated for the `end`th time.
fn pod(name: &str, containers: usize, texts: Texts, ended: usize, end: usize) -> Value {
    let image = format!("registry.example/{}", "i".repeat(texts.image));
    let (reason, message) = ("R".repeat(texts.reason), "m".repeat(texts.message));
    let at = "2026-11-27T04:00:00Z";
    let id = |n: usize, end: usize| format!("containerd://{name}-{n}-{end}");
    let statuses = (0..containers).map(|n| {
        let last = match n < ended {
            true => json!({"terminated": {"exitCode": 1, "reason": reason, "message": message,
                "startedAt": at, "finishedAt": at, "containerID": id(n, end)}}),
            false => json!({}),
        };
        json!({"name": container_name(n, texts.name), "image": image, "lastState": last,
            "state": {"running": {"startedAt": at}},
            "restartCount": if n < ended { end } else { end - 1 },
            "containerID": id(n, if n < ended { end + 1 } else { end })})
    });
    let specs = (0..containers).map(|n| json!({"name": container_name(n, texts.name)}));
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")},
        "spec": {"nodeName": "node1", "restartPolicy": "Always",
            "containers": specs.collect::<Vec<_>>()},
        "status": {"phase": "Running", "containerStatuses": statuses.collect::<Vec<_>>()}
    })
}

/// An agent in a memory cgroup. `None`: no memory cgroup can be made here.
struct Bed {
    api: FakeApi,
    agent: Agent,
    cgroup: MemoryCgroup,
    _scratch: Scratch,
}

impl Bed {
    fn start(listed: impl IntoIterator<Item = Value>) -> Option<Self> {
        Self::with(listed, |options| options)
    }

    fn with(
        listed: impl IntoIterator<Item = Value>,
        set: impl FnOnce(AgentOptions) -> AgentOptions,
    ) -> Option<Self> {
        let Some(cgroup) = MemoryCgroup::make(LIMIT_BYTES) else {
            assert!(std::env::var_os("BLACKBOX_NO_TEST_PASSED_BY").is_none(), "no memory cgroup");
            eprintln!("SKIPPED: no memory cgroup can be made here");
            return None;
        };
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("budget"));
        listed.into_iter().for_each(|pod| {
            api.apply(pod);
        });
        api.write_service_account(&scratch.join(""));
        let options = AgentOptions::in_pod(api.addr(), &scratch.join("")).in_memory_of(&cgroup);
        let agent = set(options).start();
        agent.wait_ready();
        Some(Self { api, agent, cgroup, _scratch: scratch })
    }

    /// Waits until this many ends are in lines of their own, or are counted in a line of what was lost.
    #[track_caller]
    fn wait_for_ends(&mut self, ends: usize) {
        let told = |agent: &Agent| -> usize {
            let lines = agent.lines_from(0);
            lines.iter().map(|line| ends_in(line)).sum()
        };
        let done = eventually(PATIENCE, || told(&self.agent) >= ends || !self.agent.is_running());
        assert!(self.agent.is_running(), "the agent was killed");
        assert!(done, "{} of {ends}", told(&self.agent));
        assert_eq!(told(&self.agent), ends);
    }

    fn report(&self, row: &str) {
        let (peak, anonymous) = (self.cgroup.peak_kib(), self.agent.proc_status("VmHWM"));
        eprintln!("{row}: cgroup peak {peak} KiB, resident peak {anonymous} KiB");
    }
}

/// Returns the number of ends that a line tells.
fn ends_in(line: &str) -> usize {
    losses::lost_in(line).unwrap_or(1)
}

/// The shapes of one pod in which all 128 containers end at once. `BLACKBOX_BUDGET_SHAPES`: all of them.
fn shapes() -> Vec<(&'static str, Texts)> {
    let mut shapes = vec![
        ("ordinary", ORDINARY),
        ("images of 500 bytes", Texts { image: 500, ..ORDINARY }),
        ("messages of 4 KiB", Texts { message: 4096, ..ORDINARY }),
        ("reasons of 4 KiB", Texts { reason: 4096, ..ORDINARY }),
        ("names of 253 bytes", Texts { name: 253, ..ORDINARY }),
        ("all of it", Texts { name: 253, image: 3000, reason: 1000, message: 4096 }),
    ];
    if std::env::var_os("BLACKBOX_BUDGET_SHAPES").is_none() {
        shapes.drain(..shapes.len() - 1);
    }
    shapes
}

#[test]
fn one_pod_of_128_containers_that_all_end_is_told_whole_within_the_limit() {
    for (shape, texts) in shapes() {
        // In the first LIST, as after a restart of the agent, and as an event.
        let Some(mut bed) = Bed::start([pod("first", CONTAINERS, texts, 0, 1)]) else {
            return;
        };
        for end in 1..=3 {
            bed.api.apply(pod("first", CONTAINERS, texts, CONTAINERS, end));
        }
        bed.wait_for_ends(3 * CONTAINERS);
        bed.report(shape);
    }
}

#[test]
fn a_node_full_of_pods_of_128_containers_fits_and_an_end_is_told() {
    let pods = 1024;
    let listed = (0..pods).map(|n| pod(&format!("pod-{n}"), CONTAINERS, ORDINARY, 0, 1));
    let Some(mut bed) = Bed::start(listed) else { return };
    bed.report(&format!("{pods} pods of {CONTAINERS} containers, listed"));
    for n in [0, pods / 2, pods - 1] {
        bed.api.apply(pod(&format!("pod-{n}"), CONTAINERS, ORDINARY, 1, 1));
    }
    bed.wait_for_ends(3);
    bed.report(&format!("{pods} pods of {CONTAINERS} containers"));
}

#[test]
fn ten_thousand_ends_within_a_second_are_all_told() {
    let name = |n: usize| format!("pod-{n}");
    let listed = (0..100).map(|n| pod(&name(n), 100, ORDINARY, 0, 1));
    let (collector, files) = (Collector::start(None), Scratch::new("burst"));
    let batches = Collector::start(None);
    let file = files.join("incidents.jsonl");
    let set = |options: AgentOptions| {
        options
            .env("BLACKBOX_WEBHOOK_URL", collector.url())
            .env("BLACKBOX_OTLP_ENDPOINT", batches.url())
            .env("BLACKBOX_ALERTMANAGER_URL", batches.url())
            .env("BLACKBOX_ALERT_MIN_SEVERITY", "low")
            .env("BLACKBOX_INCIDENT_FILE", &file)
            .env("BLACKBOX_STATE_FILE", files.join("state"))
    };
    let Some(mut bed) = Bed::with(listed, set) else { return };
    for n in 0..100 {
        bed.api.apply(pod(&name(n), 100, ORDINARY, 100, 1));
    }
    bed.wait_for_ends(10_000);
    let lines = bed.agent.lines_from(0);
    let bytes: usize = lines.iter().map(String::len).sum();
    eprintln!("{} lines of {} bytes on average", lines.len(), bytes / lines.len());
    assert!(eventually(PATIENCE, || whole_lines(&file).len() >= 10_000));
    assert!(eventually(PATIENCE, || collector.count() >= 10_000));
    for sink in ["stdout", "file", "webhook", "otlp", "alertmanager"] {
        let of_sink = |name: &str| bed.agent.metric(&format!("{name}{{sink=\"{sink}\"}}"));
        let written = || of_sink("blackbox_sink_written_total") >= 10_000.0;
        assert!(eventually(PATIENCE, written), "{sink}");
        assert_eq!(of_sink("blackbox_sink_dropped_total"), 0.0, "{sink}");
    }
    bed.report("10,000 ends at once");
}

/// Returns a pod whose JSON has almost 9.4 MiB, and whose container has terminated once: an annotation that etcd stores in
/// 1.5 MiB, each byte of which JSON writes in six.
fn largest(name: &str) -> Value {
    let mut large = pod(name, 1, ORDINARY, 1, 1);
    large["metadata"]["annotations"] = json!({"pad": "\u{1}".repeat(3 << 19)});
    large
}

/// Returns pods that fill one object with as many elements as there is room for, each with one end.
fn crowded() -> Vec<(&'static str, Value)> {
    let filled = |pointer: &str, member: &str, values: Value| {
        let mut large = pod(&format!("crowded-{member}").to_lowercase(), 1, ORDINARY, 1, 1);
        large.pointer_mut(pointer).unwrap()[member] = values;
        large
    };
    let many = |n: usize, of: &dyn Fn(usize) -> Value| Value::Array((0..n).map(of).collect());
    let labels: serde_json::Map<String, Value> =
        (0..12_000).map(|n| (format!("example.com/label-{n}"), json!("v".repeat(63)))).collect();
    let env = many(20_000, &|n| json!({"name": format!("E{n}"), "value": "v".repeat(40)}));
    vec![
        ("labels", filled("/metadata", "labels", Value::Object(labels.clone()))),
        ("annotations", filled("/metadata", "annotations", Value::Object(labels))),
        (
            "owners",
            filled(
                "/metadata",
                "ownerReferences",
                many(10_000, &|n| json!({"kind": "Job", "name": n})),
            ),
        ),
        ("environment", filled("/spec/containers/0", "env", env)),
        (
            "conditions",
            filled(
                "/status",
                "conditions",
                many(
                    10_000,
                    &|n| json!({"type": format!("T{n}"), "status": "True", "reason": "r".repeat(60), "message": "m"}),
                ),
            ),
        ),
        (
            "addresses",
            filled("/status", "podIPs", many(50_000, &|n| json!({"ip": format!("fd00::{n:x}")}))),
        ),
        (
            "init containers",
            filled(
                "/status",
                "initContainerStatuses",
                many(
                    4000,
                    &|n| json!({"name": format!("i{n}"), "image": "i".repeat(200), "state": {"waiting": {"reason": "PodInitializing"}}}),
                ),
            ),
        ),
        ("one long name", filled("/spec/containers/0", "image", json!("i".repeat(1_400_000)))),
        ("nesting", filled("/metadata", "managedFields", nested(100))),
    ]
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("x".repeat(1 << 20)), |inner, _| json!({"f": inner}))
}

#[test]
fn the_largest_objects_of_every_shape_are_read_within_the_limit() {
    let Some(mut bed) = Bed::start([largest("listed")]) else { return };
    bed.wait_for_ends(0);
    bed.report("an object of 9.4 MiB, listed");
    bed.api.apply(largest("watched"));
    bed.wait_for_ends(1);
    bed.report("an object of 9.4 MiB, watched");
    let crowded = crowded();
    for (told, (shape, pod)) in crowded.into_iter().enumerate() {
        bed.api.apply(pod);
        bed.wait_for_ends(told + 2);
        bed.report(shape);
    }
}

#[test]
fn refused_pods_that_fill_the_list_hide_no_crash() {
    let refused = |n: usize| {
        json!({"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": format!("refused-{n}"), "namespace": "evil",
                "uid": format!("uid-refused-{n}")},
            "spec": {"nodeName": "node1", "containers": [{"name": "app"}]},
            "status": {"phase": "Failed", "reason": "OutOfpods", "startTime": "2026-11-27T04:00:00Z"}})
    };
    let listed = (0..5000).map(refused).chain([pod("victim", 2, ORDINARY, 0, 1)]);
    let Some(mut bed) = Bed::start(listed) else { return };
    for end in 1..=3 {
        bed.api.apply(pod("victim", 2, ORDINARY, 2, end));
    }
    bed.wait_for_ends(6);
    assert_eq!(bed.agent.metric("blackbox_pods_refused_total"), 0.0);
    bed.report("5,000 refused pods");
}

#[test]
fn everything_at_once_while_no_sink_is_read_is_told_when_they_are_read_again() {
    let name = |n: usize| format!("pod-{n}");
    let texts = Texts { name: 60, image: 200, reason: 60, message: 1000 };
    let listed = (0..200).map(|n| pod(&name(n), CONTAINERS, texts, 0, 1));
    let hangs = Collector::start(None);
    hangs.answer(Reply::Silence);
    let set = |options: AgentOptions| {
        options
            .with_stdout_unread()
            .env("BLACKBOX_WEBHOOK_URL", hangs.url())
            .env("BLACKBOX_OTLP_ENDPOINT", hangs.url())
            .env("BLACKBOX_ALERTMANAGER_URL", hangs.url())
    };
    let Some(mut bed) = Bed::with(listed, set) else { return };
    for n in 0..200 {
        bed.api.apply(pod(&name(n), CONTAINERS, texts, CONTAINERS, 1));
    }
    bed.api.apply(largest("largest"));
    let crashes = "k8s_pod_events_total{type=\"crash\"}";
    let ends = 200 * CONTAINERS + 1;
    let told = || bed.agent.metric(crashes) as usize;
    assert!(eventually(PATIENCE, || told() == ends), "{} of {ends}", told());
    bed.report("everything at once");
    bed.agent.read_stdout();
    bed.wait_for_ends(ends);
    bed.report("everything at once, and read");
}
