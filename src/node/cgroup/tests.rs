//! Tests with cgroup trees made in a temporary folder.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::core::Now;
use crate::core::case::ContainerId;
use crate::limits::{
    CGROUP_ENTRIES_MAX, CGROUP_FILE_BYTES_MAX, CGROUP_SEARCH_DIRECTORIES_MAX, FAST_CONTAINERS_MAX,
    LIMIT_READ_EVERY, RECORDED_CONTAINERS_MAX, RECORDS_KEPT, SANDBOX_AFTER_SAMPLES,
    UNKNOWN_PODS_MAX,
};

const UID: &str = "0c1fa5e2-7d2b-4a5e-9f8e-2f6c2c9d1b0e";
const UID_SYSTEMD: &str = "0c1fa5e2_7d2b_4a5e_9f8e_2f6c2c9d1b0e";
const HASH: &str = "d41d8cd98f00b204e9800998ecf8427e";
pub(in crate::node) const MIB: u64 = 1 << 20;

pub(in crate::node) fn id(n: u64) -> String {
    format!("{n:064x}")
}

pub(in crate::node) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A folder laid out like `/sys/fs/cgroup`, removed when the test ends.
pub(in crate::node) struct Made(PathBuf);

impl Made {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        // As the kernel's own, it is in memory, if it can be.
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let root = base.join(format!("blackbox-cgroup-{}-{n}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    pub(in crate::node) fn v2() -> Self {
        let made = Self::new();
        made.write("cgroup.controllers", "cpu io memory pids");
        made
    }

    pub(in crate::node) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(in crate::node) fn remove(&self, path: &str) {
        fs::remove_dir_all(self.0.join(path)).unwrap();
    }

    pub(in crate::node) fn tree(&self) -> CgroupTree {
        CgroupTree::new(&self.0)
    }

    /// Makes a version 2 container with this memory use and limit.
    pub(in crate::node) fn container_v2(&self, path: &str, memory: u64, limit: &str) {
        self.write(&format!("{path}/memory.current"), format!("{memory}\n"));
        self.write(&format!("{path}/memory.stat"), "anon 1\nfile 2\ninactive_file 0\n");
        self.write(&format!("{path}/memory.max"), format!("{limit}\n"));
        self.write(&format!("{path}/memory.peak"), format!("{memory}\n"));
        self.kills(path, 0);
        self.write(&format!("{path}/cpu.stat"), "usage_usec 1000\nnr_periods 0\nnr_throttled 0\n");
        self.write(&format!("{path}/pids.current"), "3\n");
        for pressure in ["memory", "cpu", "io"] {
            let some = "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n";
            self.write(&format!("{path}/{pressure}.pressure"), some);
        }
    }

    pub(in crate::node) fn pod_v2(&self, path: &str) {
        self.write(&format!("{path}/memory.max"), "max\n");
        self.kills(path, 0);
    }

    pub(in crate::node) fn kills(&self, path: &str, kills: u64) {
        let events = format!("low 0\nhigh 0\nmax 9\noom {kills}\noom_kill {kills}\n");
        self.write(&format!("{path}/memory.events"), events);
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn parsed(id: &str) -> ContainerId {
    ContainerId::parse(id).unwrap()
}

fn wanted(uid: &str, ids: &[String]) -> WantedPod {
    WantedPod { uid: uid.into(), container_ids: ids.iter().map(|id| parsed(id)).collect() }
}

fn recorder(made: &Made) -> ContainerRecorder {
    ContainerRecorder::new(made.tree(), seconds(5), seconds(300))
}

fn now(monotonic: Duration) -> Now {
    Now { monotonic, wall: "2026-11-23T03:31:41Z".parse().unwrap() }
}

fn column<'h>(history: &'h ContainerHistory, name: &str) -> &'h [Option<f64>] {
    &history.samples.columns.iter().find(|(column, _)| *column == name).unwrap().1
}

/// Makes a version 2 pod as the cgroupfs driver does, and returns its path.
fn simple_pod(made: &Made, uid: &str, containers: &[u64]) -> String {
    let pod = format!("kubepods/burstable/pod{uid}");
    made.pod_v2(&pod);
    for n in containers {
        made.container_v2(&format!("{pod}/{}", id(*n)), 10 * MIB, "104857600");
    }
    pod
}

#[test]
fn the_layouts_of_version_2_are_found() {
    let scope = format!("cri-containerd-{}.scope", id(1));
    let crio = format!("crio-{}.scope", id(1));
    let docker = format!("docker-{}.scope", id(1));
    let guaranteed = format!("kubepods.slice/kubepods-pod{UID_SYSTEMD}.slice");
    let burstable = format!(
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_SYSTEMD}.slice"
    );
    let kind = format!(
        "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
         kubelet-kubepods-besteffort-pod{UID_SYSTEMD}.slice"
    );
    for path in [
        format!("{guaranteed}/{scope}"),
        format!("{burstable}/{scope}"),
        format!("{burstable}/{crio}"),
        format!("{burstable}/{docker}"),
        format!("{kind}/{scope}"),
        format!("docker/{}/{kind}/{scope}", id(9)),
        format!("kubepods/pod{UID}/{}", id(1)),
        format!("kubepods/besteffort/pod{UID}/{}", id(1)),
        format!("kubelet/kubepods/burstable/pod{UID}/crio-{}", id(1)),
    ] {
        let made = Made::v2();
        made.write("system.slice/kubelet.service/memory.current", "1\n");
        made.container_v2(&path, 10 * MIB, "max");
        let (pod, _) = path.rsplit_once('/').unwrap();
        made.pod_v2(pod);
        made.container_v2(&format!("{pod}/crio-conmon-{}.scope", id(2)), 1, "max");
        let mut tree = made.tree();
        let report = tree.scan(|uid| uid == UID);
        assert_eq!((report.pods, report.containers, report.is_cut), (1, 1, false), "{path}");
        assert_eq!(report.version, Some(CgroupVersion::V2));
        let reading = tree.read_container(&id(1)).unwrap();
        assert_eq!(reading.memory_bytes, Some(10 * MIB), "{path}");
        assert_eq!((reading.limit_bytes, reading.peak_bytes), (None, Some(10 * MIB)));
        assert_eq!((reading.oom_kills, reading.pids), (Some(0), Some(3)));
        assert_eq!(
            (reading.counters.cpu_us, reading.counters.io_pressure_us),
            (Some(1000), Some(5))
        );
        assert_eq!(tree.read_pod(UID), Some(PodReading { limit_bytes: None, oom_kills: Some(0) }));
        assert!(!tree.has_container(&id(2)) && !tree.has_pod(HASH));
        // The second scan already knows where the pods are.
        assert_eq!(tree.scan(|uid| uid == UID).pods, 1);
        assert_eq!(tree.scan(|_| false).pods, 0);
    }
}

#[test]
fn a_nested_limit_is_found() {
    let made = Made::v2();
    let pod = format!("kubepods.slice/kubepods-pod{HASH}.slice");
    let scope = format!("{pod}/crio-{}.scope", id(1));
    made.container_v2(&scope, 10 * MIB, "max");
    made.write(&format!("{scope}/container/memory.max"), "33554432\n");
    let mut tree = made.tree();
    tree.scan(|uid| uid == HASH);
    assert_eq!(tree.read_container(&id(1)).unwrap().limit_bytes, Some(32 * MIB));
}

#[test]
fn limits_that_change_are_seen_a_few_readings_later_and_vanished_pods_at_once() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1]);
    let own = format!("{pod}/{}", id(1));
    let limits = |mib: u64| {
        made.write(&format!("{pod}/memory.max"), format!("{}\n", 2 * mib * MIB));
        made.write(&format!("{own}/memory.max"), format!("{}\n", mib * MIB));
    };
    limits(50);
    let mut tree = made.tree();
    tree.scan(|_| true);
    let mut read = || {
        let container = tree.read_container(&id(1)).map(|reading| reading.limit_bytes);
        (tree.read_pod(UID).map(|reading| reading.limit_bytes), container)
    };
    let old = (Some(Some(100 * MIB)), Some(Some(50 * MIB)));
    assert_eq!(read(), old);
    limits(60);
    for n in 1..LIMIT_READ_EVERY {
        assert_eq!(read(), old, "{n}");
    }
    assert_eq!(read(), (Some(Some(120 * MIB)), Some(Some(60 * MIB))));
    made.remove(&pod);
    assert_eq!(read(), (None, None));
}

fn container_v1(made: &Made, path: &str, controllers: [&str; 2]) {
    let [cpu, cpuacct] = controllers;
    let memory = format!("memory/{path}");
    made.write(&format!("{memory}/memory.usage_in_bytes"), "20971520\n");
    made.write(
        &format!("{memory}/memory.stat"),
        "rss 1\ntotal_rss 2\ntotal_inactive_file 1048576\n",
    );
    made.write(&format!("{memory}/memory.limit_in_bytes"), "33554432\n");
    made.write(&format!("{memory}/memory.max_usage_in_bytes"), "31457280\n");
    made.write(
        &format!("{memory}/memory.oom_control"),
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    );
    made.write(
        &format!("{cpu}/{path}/cpu.stat"),
        "nr_periods 4\nnr_throttled 1\nthrottled_time 7000\n",
    );
    made.write(&format!("{cpuacct}/{path}/cpuacct.usage"), "5000000\n");
    made.write(&format!("pids/{path}/pids.current"), "6\n");
}

#[test]
fn version_1_is_read_from_all_controllers() {
    for controllers in [["cpu,cpuacct", "cpu,cpuacct"], ["cpu", "cpuacct"]] {
        for above in ["", "kubelet/"] {
            let made = Made::new();
            let pod = format!("{above}kubepods/burstable/pod{UID}");
            container_v1(&made, &format!("{pod}/{}", id(1)), controllers);
            made.write(&format!("memory/{pod}/memory.limit_in_bytes"), "9223372036854771712\n");
            made.write(&format!("memory/{pod}/memory.oom_control"), "oom_kill 0\n");
            // A hybrid node also has version 2, but without memory.
            made.write("unified/cgroup.controllers", "\n");
            made.write("cgroup.controllers", "\n");
            let mut tree = made.tree();
            assert_eq!(tree.scan(|uid| uid == UID).version, Some(CgroupVersion::V1));
            let reading = tree.read_container(&id(1)).unwrap();
            assert_eq!(reading.memory_bytes, Some(20 * MIB));
            assert_eq!(reading.working_set_bytes(), Some(19 * MIB));
            assert_eq!((reading.limit_bytes, reading.peak_bytes), (Some(32 * MIB), Some(30 * MIB)));
            assert_eq!((reading.oom_kills, reading.pids), (Some(2), Some(6)));
            let counters = reading.counters;
            assert_eq!((counters.cpu_us, counters.periods), (Some(5000), Some(4)));
            assert_eq!((counters.throttled_periods, counters.memory_pressure_us), (Some(1), None));
            assert_eq!(
                tree.read_pod(UID),
                Some(PodReading { limit_bytes: None, oom_kills: Some(0) })
            );
        }
    }
}

#[test]
fn a_hybrid_whose_pods_are_in_version_2_is_found() {
    for unified in ["", "unified/"] {
        let made = Made::new();
        made.write("memory/system.slice/memory.usage_in_bytes", "1\n");
        made.write(&format!("{unified}cgroup.controllers"), "memory\n");
        made.container_v2(&format!("{unified}kubepods/pod{UID}/{}", id(1)), MIB, "max");
        let mut tree = made.tree();
        assert_eq!(tree.scan(|uid| uid == UID).version, Some(CgroupVersion::V2));
        assert_eq!(tree.read_container(&id(1)).unwrap().memory_bytes, Some(MIB));
    }
}

#[test]
fn nothing_there_is_no_failure() {
    let made = Made::new();
    for root in [made.0.clone(), made.0.join("missing")] {
        let mut tree = CgroupTree::new(&root);
        let report = tree.scan(|_| true);
        assert_eq!((report.version, report.pods), (None, 0));
        assert_eq!((tree.read_container(&id(1)), tree.read_pod(UID)), (None, None));
    }
}

#[test]
fn symbolic_links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (made, other) = (Made::v2(), Made::v2());
    let pod = simple_pod(&other, UID, &[1]);
    symlink(other.0.join("kubepods"), made.0.join("kubepods")).unwrap();
    fs::create_dir_all(made.0.join("a/kubepods/burstable")).unwrap();
    symlink(other.0.join(&pod), made.0.join(format!("a/{pod}"))).unwrap();
    fs::create_dir_all(made.0.join(format!("a/kubepods/pod{HASH}"))).unwrap();
    let link = made.0.join(format!("a/kubepods/pod{HASH}/{}", id(1)));
    symlink(other.0.join(format!("{pod}/{}", id(1))), link).unwrap();
    symlink(&made.0, made.0.join("a/loop")).unwrap();
    let report = made.tree().scan(|_| true);
    assert_eq!((report.pods, report.containers, report.is_cut), (1, 0, false));
}

#[test]
fn thousands_of_directories_are_bounded() {
    let made = Made::v2();
    for n in 0..CGROUP_ENTRIES_MAX + 500 {
        fs::create_dir_all(made.0.join(format!("system.slice/{n}.service/x"))).unwrap();
    }
    let report = made.tree().scan(|_| true);
    assert!(report.is_cut && report.directories <= CGROUP_SEARCH_DIRECTORIES_MAX, "{report:?}");
    // Pods near the root are found nevertheless, and are read first in the next scan.
    simple_pod(&made, UID, &[1]);
    let mut tree = made.tree();
    assert_eq!(tree.scan(|uid| uid == UID).pods, 1);
    let report = tree.scan(|uid| uid == UID);
    assert!(report.pods == 1 && report.directories < 10, "{report:?}");
}

#[test]
fn a_tree_without_end_is_read_to_a_depth() {
    let made = Made::v2();
    let deep = format!("{}kubepods/pod{UID}", "x/".repeat(40));
    fs::create_dir_all(made.0.join(deep)).unwrap();
    let report = made.tree().scan(|_| true);
    assert_eq!((report.pods, report.is_cut), (0, false));
}

#[test]
fn garbage_in_files_costs_only_its_own_numbers() {
    let made = Made::v2();
    let path = format!("kubepods/pod{UID}/{}", id(1));
    made.container_v2(&path, MIB, "max");
    made.write(&format!("{path}/memory.current"), b"\xff\0garbage");
    made.write(&format!("{path}/memory.events"), vec![b'x'; 1 << 20]);
    // A number that is cut off by the buffer must not be read as its first half.
    let mut stat = vec![b'\n'; CGROUP_FILE_BYTES_MAX - "inactive_file 12".len()];
    stat.extend_from_slice(b"inactive_file 1234567\n");
    made.write(&format!("{path}/memory.stat"), stat);
    fs::remove_file(made.0.join(format!("{path}/pids.current"))).unwrap();
    fs::create_dir_all(made.0.join(format!("{path}/pids.current"))).unwrap();
    let mut tree = made.tree();
    tree.scan(|_| true);
    let reading = tree.read_container(&id(1)).unwrap();
    assert_eq!((reading.memory_bytes, reading.inactive_file_bytes), (None, None));
    assert_eq!((reading.oom_kills, reading.pids), (None, None));
    assert_eq!(reading.counters.cpu_us, Some(1000));
}

#[test]
fn history_shows_columns_and_the_lower_limit() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1]);
    made.write(&format!("{pod}/memory.max"), "52428800\n");
    let path = format!("{pod}/{}", id(1));
    let pods = [wanted(UID, &[format!("containerd://{}", id(1))])];
    let mut recorder = recorder(&made);
    assert_eq!(recorder.history(UID, &parsed(&id(1)), now(seconds(0))), None);
    for n in 0..4 {
        made.write(&format!("{path}/memory.current"), format!("{}\n", (n + 1) * MIB));
        made.write(&format!("{path}/cpu.stat"), format!("usage_usec {}\n", n * 500_000));
        assert!(recorder.sample(seconds(100 + 5 * n), &pods).is_empty());
    }
    assert_eq!(recorder.next_sample_in(seconds(116)), seconds(4));
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(118))).unwrap();
    let memory: Vec<_> = (1..5).map(|n| Some((n * MIB) as f64)).collect();
    assert_eq!(column(&history, "memory_bytes"), memory);
    let ages = [Some(15.0), Some(10.0), Some(5.0), Some(0.0)];
    assert_eq!(column(&history, "age_seconds"), ages);
    let cpu = [None, Some(100.0), Some(100.0), Some(100.0)];
    assert_eq!(column(&history, "cpu_millicores"), cpu);
    assert_eq!(history.samples.ends_at.to_string(), "2026-11-23T03:31:38Z");
    assert_eq!((history.limit_bytes, history.peak_bytes), (Some(50 * MIB), Some(10 * MIB)));
    assert_eq!((history.oom_kills, history.is_oom_count_whole), (0, true));
    assert_eq!(recorder.history(HASH, &parsed(&id(1)), now(seconds(118))), None);
    assert_eq!(recorder.history(UID, &parsed(&id(2)), now(seconds(118))), None);
}

#[test]
fn a_ring_holds_the_window_and_no_more() {
    let made = Made::v2();
    simple_pod(&made, UID, &[1]);
    let pods = [wanted(UID, &[id(1)])];
    let mut recorder = recorder(&made);
    for n in 0..200 {
        recorder.sample(seconds(5 * n), &pods);
    }
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(995))).unwrap();
    assert_eq!(history.samples.len(), 60);
    assert_eq!(column(&history, "age_seconds")[0], Some(295.0));
}

#[test]
fn near_its_limit_a_container_is_sampled_faster() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1, 2]);
    let near =
        |bytes: u64| made.write(&format!("{pod}/{}/memory.current", id(1)), format!("{bytes}\n"));
    let pods = [wanted(UID, &[id(1), id(2)])];
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    assert_eq!(recorder.next_sample_in(seconds(0)), seconds(5));
    near(95 * MIB);
    recorder.sample(seconds(5), &pods);
    assert_eq!(recorder.next_sample_in(seconds(5)), Duration::from_millis(500));
    let half = Duration::from_millis(500);
    for n in 1..10 {
        near((95 + u64::from(n) / 3) * MIB);
        recorder.sample(seconds(5) + half * n, &pods);
    }
    let at = now(seconds(10));
    let history = recorder.history(UID, &parsed(&id(1)), at).unwrap();
    assert_eq!(column(&history, "age_seconds")[..4], [Some(9.5), Some(4.5), Some(4.0), Some(3.5)]);
    assert_eq!(history.samples.len(), 11);
    assert_eq!(recorder.history(UID, &parsed(&id(2)), at).unwrap().samples.len(), 2);
    // Regular samples still come every interval, and a container that stays near its limit keeps its window.
    for n in 10..800 {
        recorder.sample(seconds(5) + half * n, &pods);
    }
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(5) + half * 799)).unwrap();
    assert_eq!(history.samples.len(), 60 + 16);
    near(10 * MIB);
    recorder.sample(seconds(600), &pods);
    assert_eq!(recorder.next_sample_in(seconds(600)), seconds(5));
}

#[test]
fn a_pods_own_limit_counts_as_well() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1, 2]);
    made.write(&format!("{pod}/memory.max"), format!("{}\n", 21 * MIB));
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &[wanted(UID, &[id(1), id(2)])]);
    assert_eq!(recorder.next_sample_in(seconds(0)), Duration::from_millis(500));
}

#[test]
fn fast_containers_have_a_budget() {
    let made = Made::v2();
    let ids: Vec<_> = (0..30).collect();
    let pod = simple_pod(&made, UID, &ids);
    for n in &ids {
        made.write(
            &format!("{pod}/{}/memory.current", id(*n)),
            format!("{}\n", (95 + n / 10) * MIB),
        );
    }
    let pods = [wanted(UID, &ids.iter().map(|n| id(*n)).collect::<Vec<_>>())];
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    recorder.sample(Duration::from_millis(500), &pods);
    let samples =
        |n: u64| recorder.history(UID, &parsed(&id(n)), now(seconds(1))).unwrap().samples.len();
    let fast: Vec<_> = ids.iter().filter(|n| samples(**n) == 2).collect();
    assert_eq!(fast.len(), FAST_CONTAINERS_MAX);
    assert!(fast.iter().all(|n| **n >= 20), "the nearest: {fast:?}");
}

#[test]
fn a_killed_child_is_told_once_with_its_container() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1, 2]);
    let path = format!("{pod}/{}", id(2));
    // These kills happened before the agent started.
    made.kills(&pod, 5);
    made.kills(&path, 5);
    let pods = [wanted(UID, &[id(1), id(2)])];
    let mut recorder = recorder(&made);
    assert_eq!(recorder.sample(seconds(0), &pods), []);
    made.kills(&pod, 7);
    made.kills(&path, 7);
    let kill = OomKill { pod_uid: UID.into(), container_id: Some(id(2).into()), kills: 2 };
    assert_eq!(recorder.sample(seconds(5), &pods), [kill]);
    assert_eq!(recorder.sample(seconds(10), &pods), []);
    let history = recorder.history(UID, &parsed(&id(2)), now(seconds(12))).unwrap();
    assert_eq!((history.oom_kills, history.pod_oom_kills), (2, 2));
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(12))).unwrap();
    assert_eq!((history.oom_kills, history.pod_oom_kills), (0, 2));
    assert_eq!(recorder.pod_oom_kills(UID, seconds(12), seconds(10)), 2);
    assert_eq!(recorder.pod_oom_kills(UID, seconds(100), seconds(10)), 0);
}

#[test]
fn a_kill_that_took_the_container_shows_in_the_pods_counter() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1, 2]);
    let pods = [wanted(UID, &[id(1), id(2)])];
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    made.remove(&format!("{pod}/{}", id(1)));
    made.kills(&pod, 1);
    let kill = OomKill { pod_uid: UID.into(), container_id: Some(id(1).into()), kills: 1 };
    // Between two samples, as when the API reports a termination.
    assert_eq!(recorder.check_pod(seconds(2), UID), [kill]);
    assert_eq!(recorder.sample(seconds(5), &pods), []);
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(6))).unwrap();
    assert_eq!((history.oom_kills, history.is_oom_count_whole), (1, true));
    // Both containers are gone: the kill cannot be attributed to one.
    made.remove(&format!("{pod}/{}", id(2)));
    made.kills(&pod, 2);
    let kill = OomKill { pod_uid: UID.into(), container_id: Some(id(2).into()), kills: 1 };
    assert_eq!(recorder.sample(seconds(10), &pods), [kill]);
    made.kills(&pod, 4);
    let kill = OomKill { pod_uid: UID.into(), container_id: None, kills: 2 };
    assert_eq!(recorder.sample(seconds(15), &pods), [kill]);
    made.remove(&pod);
    recorder.sample(seconds(20), &pods);
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(20))).unwrap();
    assert_eq!((history.oom_kills, history.is_oom_count_whole), (1, false));
}

#[test]
fn a_kill_in_a_new_container_is_told_once() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1]);
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &[wanted(UID, &[id(1)])]);
    // The second container lost a child process before the API listed it.
    made.container_v2(&format!("{pod}/{}", id(2)), MIB, "max");
    made.kills(&pod, 1);
    made.kills(&format!("{pod}/{}", id(2)), 1);
    let named = OomKill { pod_uid: UID.into(), container_id: Some(id(2).into()), kills: 1 };
    assert_eq!(recorder.sample(seconds(5), &[wanted(UID, &[id(1)])]), [named]);
    let pods = [wanted(UID, &[id(1), id(2)])];
    assert_eq!(recorder.sample(seconds(10), &pods), []);
    made.kills(&pod, 3);
    made.kills(&format!("{pod}/{}", id(2)), 3);
    let named = OomKill { pod_uid: UID.into(), container_id: Some(id(2).into()), kills: 2 };
    assert_eq!(recorder.sample(seconds(15), &pods), [named]);
    // The API lists the third container before its first sample.
    made.container_v2(&format!("{pod}/{}", id(3)), MIB, "max");
    made.kills(&pod, 4);
    made.kills(&format!("{pod}/{}", id(3)), 1);
    let named = OomKill { pod_uid: UID.into(), container_id: Some(id(3).into()), kills: 1 };
    assert_eq!(recorder.sample(seconds(20), &[wanted(UID, &[id(1), id(2), id(3)])]), [named]);
}

#[test]
fn in_version_1_the_containers_counters_are_added_up() {
    let made = Made::new();
    let pod = format!("kubepods/burstable/pod{UID}");
    for n in [1, 2] {
        container_v1(&made, &format!("{pod}/{}", id(n)), ["cpu", "cpuacct"]);
    }
    made.write(&format!("memory/{pod}/memory.oom_control"), "oom_kill 0\n");
    let pods = [wanted(UID, &[id(1), id(2)])];
    let mut recorder = recorder(&made);
    assert_eq!(recorder.sample(seconds(0), &pods), []);
    made.write(&format!("memory/{pod}/{}/memory.oom_control", id(1)), "oom_kill 3\n");
    let kill = OomKill { pod_uid: UID.into(), container_id: Some(id(1).into()), kills: 1 };
    assert_eq!(recorder.sample(seconds(5), &pods), [kill]);
    assert!(recorder.history(UID, &parsed(&id(1)), now(seconds(5))).unwrap().is_oom_count_whole);
    for controller in ["memory", "cpu", "cpuacct", "pids"] {
        made.remove(&format!("{controller}/{pod}/{}", id(1)));
    }
    assert_eq!(recorder.sample(seconds(10), &pods), []);
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(10))).unwrap();
    assert_eq!((history.oom_kills, history.pod_oom_kills), (1, 1));
    assert!(!history.is_oom_count_whole);
}

#[test]
fn counters_of_garbage_make_no_panic() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1, 2]);
    let pods = [wanted(UID, &[id(1), id(2)])];
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    for (n, kills) in [u64::MAX, 0, u64::MAX, 7, u64::MAX].into_iter().enumerate() {
        for path in [pod.clone(), format!("{pod}/{}", id(1)), format!("{pod}/{}", id(2))] {
            made.kills(&path, kills);
        }
        recorder.sample(seconds(5 * n as u64 + 5), &pods);
    }
    let _ = recorder.history(UID, &parsed(&id(1)), now(seconds(20)));
}

#[test]
fn what_is_gone_is_kept_for_a_while_and_not_looked_for() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1]);
    let pods = [wanted(UID, &[id(1)])];
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    made.remove(&format!("{pod}/{}", id(1)));
    let kept = RECORDS_KEPT.as_secs();
    for n in 1..kept / 5 {
        recorder.sample(seconds(5 * n), &pods);
        assert!(recorder.history(UID, &parsed(&id(1)), now(seconds(5 * n))).is_some(), "{n}");
    }
    recorder.sample(seconds(kept + 10), &pods);
    assert_eq!(recorder.history(UID, &parsed(&id(1)), now(seconds(kept + 10))), None);
    // The API still lists the container.
    let scan = recorder.last_scan();
    made.pod_v2(&format!("kubepods/burstable/pod{HASH}"));
    for n in 1..20 {
        recorder.sample(seconds(kept + 10 + 5 * n), &pods);
    }
    assert_eq!((recorder.last_scan(), recorder.recorded()), (scan, 1));
    // The API no longer lists it.
    recorder.sample(seconds(kept + 200), &[]);
    recorder.sample(seconds(2 * kept + 201), &[]);
    assert_eq!(recorder.recorded(), 0);
}

#[test]
fn a_pod_that_is_wanted_again_goes_on() {
    let made = Made::v2();
    simple_pod(&made, UID, &[1]);
    let pods = [wanted(UID, &[id(1)])];
    let mut recorder = recorder(&made);
    for (n, pods) in [&pods[..], &[], &pods].into_iter().enumerate() {
        recorder.sample(seconds(5 * n as u64), pods);
    }
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(10))).unwrap();
    assert_eq!(column(&history, "age_seconds"), [Some(10.0), Some(0.0)]);
}

#[test]
fn a_container_that_comes_later_is_found() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[]);
    let pods = [wanted(UID, &[id(1)])];
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    made.container_v2(&format!("{pod}/{}", id(1)), MIB, "max");
    recorder.sample(seconds(5), &pods);
    assert!(recorder.history(UID, &parsed(&id(1)), now(seconds(5))).is_some());
}

#[test]
fn containers_of_a_node_are_bounded() {
    let made = Made::v2();
    let pods: Vec<_> = (0..RECORDED_CONTAINERS_MAX as u64 / 10)
        .map(|n| wanted(&format!("pod{n}"), &(0..11).map(|c| id(100 * n + c)).collect::<Vec<_>>()))
        .collect();
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    assert_eq!(recorder.recorded(), RECORDED_CONTAINERS_MAX);
    assert_eq!(recorder.left_out(), pods.len() * 11 - RECORDED_CONTAINERS_MAX);
    // Containers that are not wanted any more make room.
    let other = wanted(UID, &[id(1 << 40)]);
    recorder.sample(seconds(5), &pods[1..]);
    recorder.sample(seconds(10), &[&pods[1..], &[other]].concat());
    assert_eq!(recorder.recorded(), RECORDED_CONTAINERS_MAX);
    assert!(recorder.left_out() < pods.len() * 11 - RECORDED_CONTAINERS_MAX);
}

#[test]
fn a_pod_holds_no_more_containers_than_are_watched() {
    let made = Made::v2();
    let ids: Vec<_> = (0..500).map(id).collect();
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &[wanted(UID, &ids), wanted(UID, &ids)]);
    assert_eq!(recorder.recorded(), crate::limits::CONTAINERS_PER_POD_MAX);
}

#[test]
fn containers_that_the_api_does_not_list_are_found_and_sampled() {
    let made = Made::v2();
    simple_pod(&made, HASH, &[9]);
    let (mut recorder, pods) = (recorder(&made), [wanted(UID, &[])]);
    recorder.sample(seconds(0), &pods);
    let pod = simple_pod(&made, UID, &[]);
    recorder.sample(seconds(5), &pods);
    made.container_v2(&format!("{pod}/{}", id(1)), 30 * MIB, "max");
    recorder.sample(seconds(10), &pods);
    made.kills(&format!("{pod}/{}", id(1)), 2);
    made.kills(&pod, 2);
    let kill = |n, kills| OomKill { pod_uid: UID.into(), container_id: Some(id(n).into()), kills };
    assert_eq!(recorder.sample(seconds(15), &pods), [kill(1, 2)]);
    let history = recorder.history(UID, &parsed(&id(1)), now(seconds(15))).unwrap();
    assert_eq!(column(&history, "memory_bytes").len(), 2);
    // One goes and another comes: the folder has as many entries as before.
    made.remove(&format!("{pod}/{}", id(1)));
    made.container_v2(&format!("{pod}/{}", id(2)), 30 * MIB, "max");
    made.kills(&pod, 3);
    assert_eq!(recorder.sample(seconds(20), &pods), [kill(1, 1)]);
    assert!(recorder.history(UID, &parsed(&id(2)), now(seconds(20))).is_some());
    // What ran before the agent did is not taken for new: the API lists it, or it is a sandbox.
    assert_eq!(recorder.recorded(), 2);
    recorder.sample(seconds(25), &[wanted(UID, &[]), wanted(HASH, &[])]);
    assert_eq!(recorder.recorded(), 2);
}

#[test]
fn a_sandbox_is_dropped_after_a_minute_and_a_container_that_grows_is_kept() {
    let sample = usize::from(SANDBOX_AFTER_SAMPLES) as u64;
    // Memory in MiB, processes, whether the API lists it in the end, and whether it is kept.
    for (mib, pids, is_listed, is_kept) in
        [(1, 1, false, false), (1, 3, false, true), (40, 1, false, true), (1, 1, true, true)]
    {
        let made = Made::v2();
        simple_pod(&made, HASH, &[9]);
        let (mut recorder, mut pods) = (recorder(&made), [wanted(UID, &[])]);
        recorder.sample(seconds(0), &pods);
        let pod = simple_pod(&made, UID, &[]);
        made.container_v2(&format!("{pod}/{}", id(1)), mib * MIB, "max");
        made.write(&format!("{pod}/{}/pids.current", id(1)), format!("{pids}\n"));
        for n in 1..sample {
            recorder.sample(seconds(5 * n), &pods);
            assert_eq!(recorder.recorded(), 1);
        }
        if is_listed {
            pods = [wanted(UID, &[id(1)])];
        }
        for n in sample..2 * sample {
            recorder.sample(seconds(5 * n), &pods);
        }
        assert_eq!(recorder.recorded() == 1, is_kept, "{mib} MiB, {pids} processes, {is_listed}");
    }
}

#[test]
fn containers_that_the_api_lists_take_the_place_of_those_that_it_does_not() {
    let made = Made::v2();
    simple_pod(&made, HASH, &[1 << 40]);
    let (mut recorder, per_pod) = (recorder(&made), 100);
    let uid = |n: u64| format!("pod-{n}");
    let pods: Vec<_> = (0..20).map(|n| wanted(&uid(n), &[])).collect();
    recorder.sample(seconds(0), &pods);
    for n in 0..20 {
        simple_pod(&made, &uid(n), &(0..per_pod).map(|c| 1000 * n + c).collect::<Vec<_>>());
    }
    recorder.sample(seconds(5), &pods);
    assert_eq!((recorder.recorded(), recorder.left_out()), (RECORDED_CONTAINERS_MAX, 0));
    let pods: Vec<_> =
        (0..20).map(|n| wanted(&uid(n), &[id(1000 * n), id(1000 * n + 99)])).collect();
    recorder.sample(seconds(10), &pods);
    assert_eq!((recorder.recorded(), recorder.left_out()), (RECORDED_CONTAINERS_MAX, 0));
    for n in 0..20 {
        let history = recorder.history(&uid(n), &parsed(&id(1000 * n + 99)), now(seconds(10)));
        assert!(history.is_some(), "{n}");
    }
}

#[test]
fn a_new_pods_counter_begins_at_0_even_before_the_api_shows_the_pod() {
    let made = Made::v2();
    let old = simple_pod(&made, HASH, &[9]);
    made.kills(&old, 4);
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &[]);
    let pod = simple_pod(&made, UID, &[1]);
    recorder.sample(seconds(5), &[]);
    made.remove(&format!("{pod}/{}", id(1)));
    made.kills(&pod, 2);
    let kill = OomKill { pod_uid: UID.into(), container_id: None, kills: 2 };
    assert_eq!(recorder.sample(seconds(10), &[]), [kill]);
    made.remove(&pod);
    recorder.sample(seconds(15), &[wanted(UID, &[]), wanted(HASH, &[])]);
    let span = |since, until| OomSpan { since: seconds(since), until: seconds(until) };
    let kills = |uid, since, until| recorder.oom_kills(uid, None, span(since, until));
    let unnamed = |kills| OomKills { unnamed: kills, ..OomKills::default() };
    assert_eq!(kills(UID, 0, 7), unnamed(2));
    // It ended before the kill, and it began after it.
    assert_eq!((kills(UID, 0, 4), kills(UID, 11, 20)), (unnamed(0), unnamed(0)));
    // The old pod's kills may be anyone's; later ones cannot be missed.
    assert_eq!(kills(HASH, 0, 7), OomKills { before: 4, ..unnamed(0) });
    assert_eq!(kills(HASH, 0, 20), OomKills { is_whole: true, ..unnamed(0) });
}

#[test]
fn unknown_pods_are_bounded_and_make_room() {
    let made = Made::v2();
    simple_pod(&made, HASH, &[9]);
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &[]);
    for n in 0..UNKNOWN_PODS_MAX as u64 + 10 {
        simple_pod(&made, &format!("pod-{n}"), &[n]);
    }
    recorder.sample(seconds(5), &[]);
    assert_eq!(recorder.pods(), UNKNOWN_PODS_MAX);
    recorder.sample(seconds(6 + RECORDS_KEPT.as_secs()), &[]);
    assert_eq!(recorder.pods(), 0);
}

#[test]
fn a_directory_made_again_counts_from_0() {
    let made = Made::v2();
    let pod = simple_pod(&made, UID, &[1]);
    let pods = [wanted(UID, &[id(1)])];
    made.kills(&pod, 5);
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    made.remove(&pod);
    let pod = simple_pod(&made, UID, &[2]);
    made.kills(&pod, 1);
    let kill = OomKill { pod_uid: UID.into(), container_id: None, kills: 1 };
    assert!(recorder.sample(seconds(5), &pods).iter().all(|told| told.kills == kill.kills));
}

/// Not a test: measures figures for the README. `cargo test --release --lib round_of -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn a_round_of_220_containers() {
    let made = Made::v2();
    let pods: Vec<_> = (0..110)
        .map(|n| {
            let uid = format!("{n:08}-7d2b-4a5e-9f8e-2f6c2c9d1b0e");
            simple_pod(&made, &uid, &[2 * n, 2 * n + 1]);
            wanted(&uid, &[id(2 * n), id(2 * n + 1)])
        })
        .collect();
    let mut recorder = recorder(&made);
    recorder.sample(seconds(0), &pods);
    let clock = crate::runtime::clock::Clock::start();
    let mut rounds: Vec<_> = (1..100)
        .map(|n| {
            let began = clock.monotonic();
            recorder.sample(seconds(5 * n), &pods);
            clock.monotonic() - began
        })
        .collect();
    rounds.sort();
    println!("round of 220 containers: {:?} (median), {:?} (worst)", rounds[49], rounds[98]);
}
