//! What is said about the end of a container, and about one that lives on, from a made tree of cgroups.

use serde_json::{Value, json};

use super::*;
use crate::core::case::{ContainerId, IncidentId, IncidentType};
use crate::core::detect::{Detector, History, Output};
use crate::core::wire::json as wire_json;
use crate::node::cgroup::CgroupTree;
use crate::node::cgroup::tests::{MIB, Made, id, seconds};
use crate::node::counters::KernelCounters;
use crate::node::procfs::SystemSource;

const UID: &str = "0c1fa5e2-7d2b-4a5e-9f8e-2f6c2c9d1b0e";
const POD: &str = "kubepods/burstable/pod0c1fa5e2-7d2b-4a5e-9f8e-2f6c2c9d1b0e";

fn now(n: u64) -> Now {
    let wall = Timestamp::from_second(1_795_000_000 + i64::try_from(n).unwrap()).unwrap();
    Now { monotonic: seconds(n), wall }
}

/// A node with one pod, whose time goes in seconds; a sample is taken every five.
struct Node {
    made: Made,
    flight: FlightRecorder,
    next: u64,
}

impl Node {
    /// The agent starts at second 0, on a node that already has a pod.
    fn new() -> Self {
        let made = Made::v2();
        made.pod_v2("kubepods/burstable/podd41d8cd98f00b204e9800998ecf8427e");
        Self::on(made)
    }

    fn on(made: Made) -> Self {
        let path = std::path::Path::new("/nowhere");
        let (every, window) = (seconds(5), seconds(300));
        let tree: CgroupTree = made.tree();
        let system = SystemRecorder::new(
            SystemSource::new(path),
            KernelCounters::new(path, path),
            window,
            every,
        );
        let flight = FlightRecorder::new(ContainerRecorder::new(tree, every, window), system, None);
        Self { made, flight, next: 0 }
    }

    /// The API shows the pod: its containers, and the instances that run, each with its restart count.
    fn shows(&self, init: &[&str], apps: &[&str], running: &[(&str, u64, i64)]) {
        let named = |names: &[&str]| -> Vec<Value> {
            names.iter().map(|name| json!({"name": name})).collect()
        };
        let statuses = |names: &[&str]| -> Vec<Value> {
            let status = |name: &&str| {
                let found = running.iter().find(|(running, ..)| running == name);
                let (state, id, n) = match found {
                    Some((_, n, count)) => {
                        let since = json!({"running": {"startedAt": now(*n).wall.to_string()}});
                        (since, format!("containerd://{}", id(*n)), *count)
                    }
                    None => (json!({"waiting": {"reason": "PodInitializing"}}), String::new(), 0),
                };
                json!({"name": name, "restartCount": n, "containerID": id, "state": state})
            };
            names.iter().map(status).collect()
        };
        let pod = json!({
            "metadata": {"namespace": "shop", "name": "web", "uid": UID, "resourceVersion": "2"},
            "spec": {"restartPolicy": "Always", "initContainers": named(init), "containers": named(apps)},
            "status": {"phase": "Running", "initContainerStatuses": statuses(init),
                "containerStatuses": statuses(apps)}
        })
        .to_string();
        let (mut detector, mut out) = (Detector::new("node1", &[], History::All), Vec::new());
        detector.on_applied(&wire_json::from_slice(pod.as_bytes()).unwrap(), now(0), &mut out);
        let place = out.into_iter().find_map(|output| match output {
            Output::Placed(place) => Some(*place),
            _ => None,
        });
        self.flight.place(place.unwrap());
    }

    fn sample_until(&mut self, second: u64) {
        while self.next <= second {
            self.flight.containers().sample(seconds(self.next), &self.flight.wanted());
            self.next += 5;
        }
    }

    fn container(&self, n: u64) -> String {
        let path = format!("{POD}/{}", id(n));
        self.made.container_v2(&path, 30 * MIB, "max");
        self.made.write(&format!("{path}/cgroup.events"), "populated 1\nfrozen 0\n");
        path
    }

    /// Reads an instance that ran from and to these seconds, at the second `at`.
    fn read(&self, name: &str, n: u64, from: u64, to: u64, at: u64, is_alone: bool) -> Gathered {
        let instance = InstanceRef {
            id: IncidentId::of_pod(UID, IncidentType::Oom),
            namespace: "shop".into(),
            pod_name: "web".into(),
            pod_key: UID.into(),
            container: name.into(),
            container_id: ContainerId::parse(&format!("containerd://{}", id(n))),
            instance: 0,
            started: Some(now(from).wall),
            finished: Some(now(to).wall),
            is_alone,
            exit_code: Some(1),
        };
        self.flight.read_instance(&instance, now(at))
    }
}

fn gaps(gathered: &Gathered) -> Vec<String> {
    gathered.gaps.iter().map(ToString::to_string).collect()
}

#[test]
fn an_init_container_that_no_status_showed_in_time_has_samples_and_its_kills() {
    for late in [0, 20, 150] {
        let mut node = Node::new();
        node.shows(&["load"], &["app"], &[]);
        node.sample_until(0);
        node.made.pod_v2(POD);
        let path = node.container(1);
        node.sample_until(5);
        node.made.remove(&path);
        node.made.kills(POD, 3);
        node.sample_until(9 + late);
        let gathered = node.read("load", 1, 1, 9, 9 + late, false);
        assert_eq!(gathered.oom, OomCount::Some(3), "{late}");
        assert_eq!(gathered.container.unwrap().oom_kills, 3, "{late}");
        assert_eq!(gathered.gaps, [], "{late}");
    }
}

#[test]
fn the_pods_counter_tells_of_a_container_that_no_sample_shows() {
    let shorter = ["container: it did not live for a sample"];
    let unseen = ["container: its cgroup was not found before it was gone"];
    let late = ["container: its end was shown when its samples were no longer kept"];
    let before = ["container: it ended before the agent's first sample"];
    let app: &[_] = &[("app", 20, 0)];
    let none: &[(&str, u64, i64)] = &[];
    // Kills, containers, what runs of them, its start, its end and the time of its status.
    for (kills, name, apps, running, from, to, at, oom, want) in [
        (2, "app", &["app"][..], none, 6, 9, 9, OomCount::Some(2), shorter),
        (2, "app", &["app"], none, 6, 9, 150, OomCount::Some(2), shorter),
        (0, "app", &["app"], none, 6, 9, 150, OomCount::None, shorter),
        // Its times are whole seconds: it may have lived for five.
        (2, "app", &["app"], none, 5, 10, 11, OomCount::Some(2), unseen),
        (2, "app", &["app"], none, 6, 9, 400, OomCount::Some(2), late),
        // The kill was after its end, and before its start.
        (2, "app", &["app"], none, 0, 2, 11, OomCount::None, shorter),
        (2, "app", &["app"], none, 14, 17, 18, OomCount::None, shorter),
        // Of two containers, one runs on, or none is known to.
        (1, "log", &["app", "log"], app, 6, 9, 30, OomCount::Some(1), shorter),
        (1, "log", &["app", "log"], none, 6, 9, 30, OomCount::Unknown, shorter),
        (0, "log", &["app", "log"], none, 6, 9, 30, OomCount::None, shorter),
        (0, "app", &["app"], none, 0, 0, 30, OomCount::None, before),
    ] {
        let mut node = Node::new();
        node.shows(&[], apps, running);
        node.sample_until(0);
        node.made.pod_v2(POD);
        if !running.is_empty() {
            node.container(20);
        }
        node.sample_until(5);
        node.made.kills(POD, kills);
        node.sample_until(at);
        let gathered = node.read(name, 1, from, to, at, apps.len() == 1);
        assert_eq!(gathered.oom, oom, "{kills} {apps:?} {running:?} {from} {to} {at}");
        assert_eq!(gaps(&gathered), want, "{kills} {apps:?} {running:?} {from} {to} {at}");
    }
}

#[test]
fn a_second_kill_within_a_minute_is_told_without_the_first() {
    let mut node = Node::new();
    node.shows(&[], &["app"], &[]);
    node.sample_until(0);
    node.made.pod_v2(POD);
    for (n, kills, until) in [(1, 2, 10), (2, 3, 25)] {
        let path = node.container(n);
        node.sample_until(until);
        node.made.remove(&path);
        node.made.kills(POD, kills);
    }
    node.sample_until(40);
    assert_eq!(node.read("app", 1, 1, 11, 40, true).oom, OomCount::Some(2));
    assert_eq!(node.read("app", 2, 20, 26, 40, true).oom, OomCount::Some(1));
}

#[test]
fn kills_before_the_agent_belong_to_the_first_end_of_the_pod() {
    // The pod's count when the agent starts, that of the next instance, and its restart count.
    for (of_pod, of_next, restarts, oom) in [
        (2, 0, 1, OomCount::Some(2)),
        // The next instance lost the processes itself, or another one ended as well.
        (2, 2, 1, OomCount::Unknown),
        (2, 0, 2, OomCount::Unknown),
        (0, 0, 1, OomCount::None),
    ] {
        let mut node = Node::on(Made::v2());
        node.shows(&[], &["app"], &[("app", 2, restarts)]);
        node.made.pod_v2(POD);
        let path = node.container(2);
        node.made.kills(POD, of_pod);
        node.made.kills(&path, of_next);
        node.next = 20;
        node.sample_until(25);
        let gathered = node.read("app", 1, 5, 10, 26, true);
        assert_eq!(gathered.oom, oom, "{of_pod} {of_next} {restarts}");
        assert_eq!(gaps(&gathered), ["container: it ended before the agent's first sample"]);
    }
}

#[test]
fn a_kill_that_may_be_of_the_container_that_went_is_no_proof_for_another() {
    let mut node = Node::new();
    node.shows(&["load"], &["app"], &[]);
    node.sample_until(0);
    node.made.pod_v2(POD);
    let path = node.container(1);
    node.sample_until(5);
    // Both ended since the last sample, and the second one was never sampled.
    node.made.remove(&path);
    node.made.kills(POD, 1);
    node.sample_until(10);
    assert_eq!(node.read("load", 1, 1, 6, 12, false).oom, OomCount::Some(1));
    assert_eq!(node.read("app", 2, 7, 9, 12, false).oom, OomCount::Unknown);
}

#[test]
fn before_the_first_scan_nothing_is_said_about_missing_cgroups() {
    let mut node = Node::on(Made::v2());
    node.shows(&[], &["app"], &[]);
    let unread = node.read("app", 1, 0, 0, 0, true);
    assert_eq!(gaps(&unread), ["container: the agent had not looked for cgroups yet"]);
    node.sample_until(0);
    let missing = node.read("app", 1, 0, 0, 0, true);
    assert_eq!(gaps(&missing), ["container: no cgroup of any pod was found below BLACKBOX_CGROUP"]);
}

#[test]
fn whether_a_container_lives_on_is_seen_on_the_node() {
    // The processes at the samples and after the kill, `populated` after it, and whether it lives on.
    for (before, after, events, lives) in [
        ("700\n701\n", "700\n", Some("populated 1\n"), true),
        ("700\n701\n", "700\n", Some("populated 0\n"), false),
        // Processes that are not in the agent's PID namespace.
        ("0\n0\n", "0\n", Some("populated 1\n"), true),
        ("0\n0\n", "0\n", Some("populated 0\n"), false),
        // The first process is gone, and others of a shared PID namespace are left.
        ("700\n701\n", "701\n", Some("populated 1\n"), false),
        ("700\n701\n", "700\n", Some("garbage\n"), false),
        ("700\n701\n", "700\n", None, false),
    ] {
        let mut node = Node::new();
        node.shows(&[], &["app"], &[("app", 1, 3)]);
        node.sample_until(0);
        node.made.pod_v2(POD);
        let path = node.container(1);
        node.made.write(&format!("{path}/cgroup.procs"), before);
        node.sample_until(20);
        node.made.write(&format!("{path}/cgroup.procs"), after);
        node.made.kills(&path, 1);
        node.made.kills(POD, 1);
        match events {
            Some(events) => node.made.write(&format!("{path}/cgroup.events"), events),
            None => node.made.remove(&path),
        }
        node.sample_until(40);
        let kill = OomKill { pod_uid: UID.into(), container_id: Some(id(1).into()), kills: 1 };
        let told = node.flight.survived(&kill, now(40), now(25).wall);
        assert_eq!(told.is_some(), lives, "{before:?} {after:?} {events:?}");
        if let Some((case, gathered)) = told {
            assert_eq!(case.container_id(), Some(&*format!("containerd://{}", id(1))));
            assert_eq!(gathered.container.unwrap().oom_kills, 1);
            assert_eq!(gathered.gaps, []);
        }
    }
}

#[test]
fn a_container_that_the_api_lists_late_is_waited_for_while_it_runs() {
    let mut node = Node::new();
    node.shows(&[], &["app"], &[]);
    node.sample_until(0);
    node.made.pod_v2(POD);
    let path = node.container(1);
    node.sample_until(5);
    node.made.kills(&path, 1);
    node.made.kills(POD, 1);
    node.sample_until(25);
    let kill = OomKill { pod_uid: UID.into(), container_id: Some(id(1).into()), kills: 1 };
    let survived = |node: &Node| node.flight.survived(&kill, now(25), now(10).wall).is_some();
    assert!(!survived(&node) && node.flight.is_running_unlisted(&kill));
    node.shows(&[], &["app"], &[("app", 1, 0)]);
    assert!(survived(&node) && !node.flight.is_running_unlisted(&kill));
    node.shows(&[], &["app"], &[]);
    node.made.write(&format!("{path}/cgroup.events"), "populated 0\n");
    assert!(!survived(&node) && !node.flight.is_running_unlisted(&kill));
}

#[test]
fn a_kill_that_is_found_at_another_containers_end_is_reported() {
    let mut node = Node::new();
    node.shows(&[], &["app", "log"], &[("app", 1, 0), ("log", 2, 0)]);
    node.sample_until(0);
    node.made.pod_v2(POD);
    let paths = [1, 2].map(|n| node.container(n));
    node.sample_until(5);
    for path in paths.iter().map(|path| &**path).chain([POD]) {
        node.made.kills(path, if path == POD { 2 } else { 1 });
    }
    node.made.remove(&paths[0]);
    assert_eq!(node.read("app", 1, 1, 7, 8, false).oom, OomCount::Some(1));
    let kills = node.flight.containers().sample(seconds(10), &node.flight.wanted());
    assert_eq!(
        kills,
        [OomKill { pod_uid: UID.into(), container_id: Some(id(2).into()), kills: 1 }]
    );
}

#[test]
fn the_containers_nearest_to_their_limits_and_the_busiest_are_recorded_with_their_names() {
    let mut node = Node::new();
    node.made.pod_v2(POD);
    let names: Vec<String> = (0..12).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let running: Vec<_> = names.iter().zip(0..).map(|(name, n)| (*name, n, 0)).collect();
    node.shows(&[], &names, &running);
    // The first four are near their limits, the more the higher their number; the others are the busier.
    let uses = |n: u64, second: u64| {
        node.made.container_v2(&format!("{POD}/{}", id(n)), (30 + n) * MIB, "max");
        let limit = if n < 4 { (40 * MIB).to_string() } else { "max".to_owned() };
        node.made.write(&format!("{POD}/{}/memory.max", id(n)), &limit);
        let text = format!("usage_usec {}\n", second * n * 1000);
        node.made.write(&format!("{POD}/{}/cpu.stat", id(n)), &text);
    };
    for n in 0..12 {
        uses(n, 0);
    }
    assert!(node.flight.recorded(now(0)).is_none(), "there is no sample of the node");
    node.flight.containers().sample(seconds(0), &node.flight.wanted());
    for n in 0..12 {
        uses(n, 5);
    }
    node.flight.containers().sample(seconds(5), &node.flight.wanted());
    node.flight.system().sample(seconds(5));
    node.next = 10;
    let sample = node.flight.recorded(now(5)).unwrap();
    let recorded: Vec<_> =
        sample.containers.iter().map(|(name, _)| name.container.as_str()).collect();
    assert_eq!(recorded, ["c3", "c2", "c1", "c0", "c11", "c10", "c9", "c8"]);
    let (name, usage) = &sample.containers[0];
    assert_eq!((&*name.namespace, &*name.pod_name), ("shop", "web"));
    assert_eq!(name.limit_bytes, Some(40 * MIB));
    assert_eq!(usage.memory_kib, Some(33 << 10));
    assert_eq!(sample.containers[4].1.cpu_millicores, Some(11));
    assert_eq!(sample.at_ms, now(5).wall.as_millisecond());
}
