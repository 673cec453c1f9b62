//! Lines as kernels write them, and OOM kills of which some lines are missing.

use super::FaultKind::*;
use super::TroubleKind::*;
use super::*;

const ID: &str = "a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3a3";

fn pod() -> String {
    "/kubepods.slice/kubepods-burstable.slice/\
     kubepods-burstable-pode3b0c442_98fc_1c14_9afb_f4c8996fb924.slice"
        .to_owned()
}

fn scope() -> String {
    format!("{}/cri-containerd-{ID}.scope", pod())
}

/// A line, and the kind, process, number, file and offset in it.
type FaultLine = (&'static str, FaultKind, &'static str, u64, Option<&'static str>, Option<u64>);

const FAULTS: &[FaultLine] = &[
    (
        "crash[4312]: segfault at 0 ip 000055d0c0a01139 sp 00007ffd3c0e5d50 error 4 in crash[55d0c0a01000+1000] likely on CPU 1 (core 1, socket 0)",
        Segfault,
        "crash",
        4312,
        Some("crash"),
        Some(0x139),
    ),
    (
        "crash[4312]: segfault at 0 ip 000055d0c0a01139 sp 00007ffd3c0e5d50 error 4 in crash[1139,55d0c0a01000+1000] likely on CPU 1 (core 1, socket 0)",
        Segfault,
        "crash",
        4312,
        Some("crash"),
        Some(0x1139),
    ),
    (
        "a b[c]: d[7]: segfault at ffff ip 00007f1 sp 1 error 6 in libc.so.6 (deleted)[7f0+1c5000]",
        Segfault,
        "a b[c]: d",
        7,
        Some("libc.so.6 (deleted)"),
        Some(1),
    ),
    (
        "node[1]: segfault at 10 ip 0000000000000010 sp 00007ffd error 14",
        Segfault,
        "node",
        1,
        None,
        None,
    ),
    (
        "node[1]: segfault at 10 ip 10 sp 7f error 14 in node[400000+1000]",
        Segfault,
        "node",
        1,
        Some("node"),
        None,
    ),
    (
        "traps: crash[4312] general protection fault ip:55d0c0a01139 sp:7ffd3c0e5d50 error:0 in crash[55d0c0a01000+1000]",
        GeneralProtection,
        "crash",
        4312,
        Some("crash"),
        Some(0x139),
    ),
    (
        "traps: x[2] trap invalid opcode ip:401136 sp:7ffc error:0 in x[401000+1000]",
        InvalidOpcode,
        "x",
        2,
        Some("x"),
        Some(0x136),
    ),
    (
        "traps: x[2] trap divide error ip:401136 sp:7ffc error:0 in x[401000+1000]",
        DivideError,
        "x",
        2,
        Some("x"),
        Some(0x136),
    ),
    ("traps: x[2] trap int3 ip:401136 sp:7ffc error:0", Trap, "x", 2, None, None),
    (
        "MCE: Killing java:4312 due to hardware memory corruption fault at 7f0012345000",
        LostMemory,
        "java",
        4312,
        None,
        None,
    ),
    (
        "Memory failure: 0x12345: Sending SIGBUS to java:4312 due to hardware memory corruption",
        LostMemory,
        "java",
        4312,
        None,
        None,
    ),
];

#[test]
fn faults_name_the_process_and_the_code() {
    for (text, kind, comm, pid, file, offset) in FAULTS.iter().copied() {
        let want = Line::Fault(Fault { kind, comm, pid, file, offset });
        assert_eq!(parse(text), Some(want), "{text}");
    }
    assert_eq!((Segfault.signal(), LostMemory.signal(), Trap.signal()), (Some(11), Some(7), None));
}

const TROUBLES: &[(&str, TroubleKind, Option<&str>)] = &[
    ("Kernel panic - not syncing: Fatal exception", Panic, Some("Fatal exception")),
    (
        "INFO: task kworker/0:1:4312 blocked for more than 120 seconds.",
        HungTask,
        Some("kworker/0:1:4312"),
    ),
    ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [java:4312]", Lockup, Some("CPU#3")),
    ("watchdog: Watchdog detected hard LOCKUP on cpu 5", Lockup, Some("cpu 5")),
    ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", Lockup, None),
    ("rcu: INFO: rcu_sched self-detected stall on CPU", Lockup, None),
    ("BUG: kernel NULL pointer dereference, address: 0000000000000008", Oops, None),
    ("BUG: unable to handle page fault for address: ffffffffc0000000", Oops, None),
    ("Unable to handle kernel paging request at virtual address dead000000000100", Oops, None),
    ("kernel BUG at mm/slub.c:321!", Oops, Some("mm/slub.c:321")),
    ("Internal error: Oops: 0000000096000004 [#1] SMP", Oops, None),
    ("general protection fault, probably for non-canonical address 0xdead: 0000 [#1]", Oops, None),
    (
        "I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
        IoError,
        Some("sda"),
    ),
    (
        "blk_update_request: critical medium error, dev nvme0n1, sector 2048 op 0x0:(READ)",
        IoError,
        Some("nvme0n1"),
    ),
    ("Buffer I/O error on dev sda1, logical block 0, async page read", IoError, Some("sda1")),
    ("Buffer I/O error on device sda1, logical block 0", IoError, Some("sda1")),
    (
        "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10",
        DiskTimeout,
        Some("nvme0"),
    ),
    ("nvme nvme1: I/O 12 QID 3 timeout, aborting", DiskTimeout, Some("nvme1")),
    (
        "EXT4-fs error (device sda1): ext4_lookup:1855: inode #2: comm ls: deleted inode",
        FileSystem,
        Some("sda1"),
    ),
    (
        "EXT4-fs error (device sda1): ext4_lookup:1855: inode #2: comm Oops: : deleted",
        FileSystem,
        Some("sda1"),
    ),
    ("EXT4-fs (mmcblk0p2): Remounting filesystem read-only", ReadOnly, Some("mmcblk0p2")),
    ("BTRFS info (device sdb state E): forced readonly", ReadOnly, Some("sdb state E")),
    ("BTRFS error (device sdb state EA): bdev /dev/sdb errs: wr 1", FileSystem, Some("sdb")),
    ("Aborting journal on device sda1-8.", FileSystem, Some("sda1-8")),
    ("XFS (dm-0): Log I/O Error Detected. Shutting down filesystem", FileSystem, Some("dm-0")),
    ("XFS (dm-0): Metadata corruption detected at xfs_agf_verify", FileSystem, Some("dm-0")),
    ("NETDEV WATCHDOG: eth0 (e1000e): transmit queue 0 timed out", NetworkTimeout, Some("eth0")),
    (
        "e1000e 0000:00:1f.6 eno1: NETDEV WATCHDOG: CPU: 3: transmit queue 0 timed out 5376 ms",
        NetworkTimeout,
        Some("eno1"),
    ),
    ("hwmon hwmon1: Undervoltage detected!", Undervoltage, None),
    ("rpi_firmware: Under-voltage detected! (0x00050005)", Undervoltage, None),
    (
        "CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)",
        Throttled,
        None,
    ),
    (
        "CPU3: Package temperature is above threshold, cpu clock is throttled (total events = 9)",
        Throttled,
        None,
    ),
    ("EDAC MC0: 1 UE memory read error on CPU_SrcID#0", MachineCheck, Some("MC0")),
    ("mce: [Hardware Error]: Machine check events logged", MachineCheck, None),
    ("{1}[Hardware Error]: event severity: corrected", MachineCheck, Some("corrected")),
];

#[test]
fn troubles_name_their_subject() {
    for (text, kind, subject) in TROUBLES.iter().copied() {
        assert_eq!(parse(text), Some(Line::Trouble(Trouble { kind, subject })), "{text}");
    }
    let reason = "x".repeat(63);
    let line = format!("Kernel panic - not syncing: {reason}\u{e9} and more");
    let panic = Trouble { kind: Panic, subject: Some(&*reason) };
    assert_eq!(parse(&line), Some(Line::Trouble(panic)));
    assert_eq!(HungTask.name(), "hung_task");
}

#[test]
fn other_lines_say_nothing() {
    for text in [
        "",
        "oom_reaper: reaped process 4312 (java), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
        "Out of memory: Kill process 4312 (java) score 900 or sacrifice child",
        "oom-kill:constraint=CONSTRAINT_MEMCG",
        "Killed process 1 (x) total-vm:1kB",
        "Killed process x (x) total-vm:1kB, anon-rss:1kB",
        "Somebody said: Killed process 1 (x) total-vm:1kB, anon-rss:1kB",
        "Killed process 99999999999999999999999 (x) total-vm:1kB, anon-rss:1kB",
        "Memory cgroup stats for /",
        "Memory cgroup stats for nowhere:",
        "Tasks in /a are going home",
        "x[y]: segfault at 0 ip 1 sp 1 error 4",
        "x[1]: segfault at 0",
        "traps: x[2] fell ip:1 sp:1 error:0",
        "traps: ",
        "Killing java due to hardware memory corruption",
        "EXT4-fs (sda1): mounted filesystem with ordered data mode",
        "EDAC MC0: 1 CE memory read error",
        "hwmon hwmon1: Voltage normalised",
        "nvme nvme0: 8/0/0 default/read/poll queues",
        "usb 1-1: new high-speed USB device number 2 using xhci_hcd",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
    let long = "x".repeat(65);
    assert_eq!(parse(&format!("{long}[1]: segfault at 0 ip 1 sp 1 error 4")), None);
    let path = format!("/{}", "x".repeat(1024));
    assert_eq!(parse(&format!("Memory cgroup stats for {path}:")), None);
}

/// The lines of an OOM kill in a container with the systemd driver, and who was killed.
fn lines() -> [String; 5] {
    let scope = scope();
    [
        "python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=985".into(),
        format!("Memory cgroup stats for {scope}:"),
        format!(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-{ID}.scope,\
             mems_allowed=0,oom_memcg={scope},task_memcg={scope},task=a,pid=1,b,pid=4312,uid=0"
        ),
        "Memory cgroup out of memory: Killed process 4312 (a,pid=1,b) total-vm:256780kB, \
         anon-rss:100056kB, file-rss:264kB, shmem-rss:8kB, UID:0 pgtables:300kB oom_score_adj:985"
            .into(),
        format!("Tasks in {scope} are going to be killed due to memory.oom.group set"),
    ]
}

/// What the lines say, each a millisecond after the one before it.
fn kills<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<OomKill> {
    let (mut kills, mut at_us) = (OomKills::default(), 50_000_000);
    let mut found = Vec::new();
    for line in lines {
        at_us += 1000;
        let Some(Line::Oom(line)) = parse(line) else { panic!("{line}") };
        found.extend(kills.on_line(at_us, &line));
        assert_eq!(kills.on_time(at_us), None);
    }
    found.extend(kills.on_time(at_us + 2_000_000));
    assert_eq!(kills.on_time(u64::MAX), None);
    found
}

#[test]
fn the_lines_of_one_kill_are_put_together_whichever_are_missing() {
    let lines = lines();
    for present in 0..32_u32 {
        let is_there = |n: usize| present & 1 << n != 0;
        let some = lines.iter().enumerate().filter(|(n, _)| is_there(*n)).map(|(_, l)| &**l);
        let found = kills(some);
        if !is_there(3) {
            assert_eq!(found, []);
            continue;
        }
        let (limit, group) = (is_there(1) || is_there(2), is_there(4));
        let want = OomKill {
            at_us: 50_000_000 + 1000 * u64::from((present & 15).count_ones()),
            pid: 4312,
            comm: "a,pid=1,b".into(),
            rss_kib: 100_328,
            scope: Some(OomScope::Cgroup),
            asked_by: is_there(0).then(|| "python3".to_owned()),
            cgroup: (is_there(2) || group).then(scope),
            limit: limit.then(scope),
            is_group: group,
        };
        assert_eq!(found, [want], "{present:b}");
        let place = Place {
            pod_uid: Some("e3b0c442-98fc-1c14-9afb-f4c8996fb924".into()),
            container_id: Some(ID.into()),
        };
        let place = if limit || group { place } else { Place::default() };
        assert_eq!(found[0].place(), place, "{present:b}");
    }
}

fn killed(of: &str, pid: u64) -> String {
    format!("{of}Killed process {pid} (p{pid}) total-vm:9kB, anon-rss:7kB, file-rss:2kB")
}

#[test]
fn the_others_of_a_group_are_in_its_container() {
    let lines = lines();
    let more = [1, 2].map(|pid| killed("Memory cgroup out of memory: ", pid));
    let found = kills(lines.iter().chain(&more).map(|line| &**line));
    assert_eq!(found.iter().map(|kill| kill.pid).collect::<Vec<_>>(), [4312, 1, 2]);
    for kill in &found {
        assert!(kill.is_group && kill.cgroup == Some(scope()), "{kill:?}");
    }
    assert_eq!(found[1].asked_by, None);
    // The next kill has nothing to do with the group.
    let next = ["x invoked oom-killer: y".to_owned(), killed("Out of memory: ", 9)];
    let found = kills(lines.iter().chain(&more).chain(&next).map(|line| &**line));
    assert!(!found[3].is_group && found[3].cgroup.is_none());
    assert_eq!(found[3].scope, Some(OomScope::Node));
}

#[test]
fn kills_of_older_kernels_and_of_the_node_are_known() {
    let path = format!("/kubepods/burstable/pod1-2/{ID}");
    let facts = format!(
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
         task_memcg={path},task=p7,pid=7,uid=1000"
    );
    let found = kills([&*facts, &killed("Out of memory (oom_kill_allocating_task): ", 7)]);
    assert_eq!(found[0].scope, Some(OomScope::Node));
    assert_eq!((found[0].limit.as_deref(), found[0].cgroup.as_deref()), (None, Some(&*path)));
    assert_eq!(found[0].place().pod_uid.as_deref(), Some("1-2"));
    // The facts are of another process.
    let found = kills([&*facts, &killed("", 8)]);
    assert_eq!((found[0].scope, found[0].cgroup.as_deref()), (Some(OomScope::Node), None));
    // Before 5.0.
    let found = kills([
        "java invoked oom-killer: gfp_mask=0xd0, order=0, oom_score_adj=999",
        &*format!("Task in {path} killed as a result of limit of /kubepods/burstable/pod1-2"),
        &*format!("Memory cgroup stats for {path}: cache:0KB rss:9KB"),
        "Killed process 4312 (java), UID 1000, total-vm:9kB, anon-rss:7kB, file-rss:2kB, shmem-rss:1kB",
    ]);
    assert_eq!((found[0].scope, found[0].rss_kib), (Some(OomScope::Cgroup), 10));
    assert_eq!(found[0].place().container_id.as_deref(), Some(ID));
}

#[test]
fn lines_that_are_far_apart_are_not_of_one_kill() {
    let mut kills = OomKills::default();
    let lines = lines();
    let mut at_us = 0;
    let mut found = Vec::new();
    for line in &lines {
        at_us += 11_000_000;
        let Some(Line::Oom(line)) = parse(line) else { panic!("{line}") };
        found.extend(kills.on_line(at_us, &line));
    }
    let OomKill { asked_by, cgroup, limit, is_group, .. } = &found[0];
    assert_eq!((asked_by, cgroup, limit, *is_group), (&None, &None, &None, false));
}

#[test]
fn a_name_cannot_write_to_a_terminal() {
    let found = kills(["Killed process 1 (a\x1b[2J) total-vm:1kB) total-vm:9kB, anon-rss:7kB"]);
    assert_eq!(found[0].comm, "a\\x1b[2J) total-vm:1kB");
}

#[test]
fn places_are_read_from_the_paths_of_all_drivers() {
    let uid = "e3b0c442-98fc-1c14-9afb-f4c8996fb924";
    for (path, pod, container) in [
        (scope(), Some(uid), Some(ID)),
        (format!("{}/container/inner", scope()), Some(uid), Some(ID)),
        (pod(), Some(uid), None),
        (format!("/kubepods/pod{uid}/{ID}"), Some(uid), Some(ID)),
        (format!("/kubelet/kubepods/besteffort/pod{uid}/crio-{ID}"), Some(uid), Some(ID)),
        ("/system.slice/kubelet.service".into(), None, None),
        ("/".into(), None, None),
    ] {
        let place = Place::of(&path);
        let found = (place.pod_uid.as_deref(), place.container_id.as_deref());
        assert_eq!(found, (pod, container), "{path}");
    }
}

#[test]
fn any_part_of_a_line_is_read_without_a_panic() {
    let mut all: Vec<String> = lines().into();
    all.push("traps: \u{e9}[4312] trap \u{e9} ip:55 sp:7 error:0 in c[1,5+1]".into());
    all.push("x[4312]: segfault at 0 ip 0 sp 0 error 4 in crash[1139,55d0+1000] likely".into());
    for line in all {
        let borders: Vec<usize> =
            (0..=line.len()).filter(|at| line.is_char_boundary(*at)).collect();
        for (n, from) in borders.iter().enumerate().step_by(29) {
            for to in &borders[n..] {
                let _ = parse(&line[*from..*to]);
            }
        }
    }
}
