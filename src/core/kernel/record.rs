//! What the kernel's log said in the last minutes, and what of it belongs to one container's end.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{
    Fault, FaultKind, Line, OomKill, OomKills, OomScope, Place, Trouble, TroubleKind, parse,
};
use crate::core::case::Confidence;
use crate::core::text::{cut, escaped, time};
use crate::limits::{
    API_TIME_STEP, FAULT_WITHIN, KERNEL_LINES_KEPT, KERNEL_LINES_KEPT_MAX, KERNEL_NAME_BYTES_MAX,
    KERNEL_TROUBLES_SHOWN_MAX, OOM_GROUP_WITHIN, OOM_RISES_RECENT,
};

/// What came to its limit when a process was killed for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitOf {
    /// The container.
    Container,
    /// The pod as a whole.
    Pod,
    /// Another control group above them, such as that of all pods.
    Cgroup,
    /// The node, which had no memory left.
    Node,
}

/// A process of the container that the kernel killed for want of memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OomVictim {
    /// When it was killed.
    #[serde(serialize_with = "time")]
    pub at: Timestamp,
    /// The name of the process.
    pub process: String,
    /// Its number on the node, not in its container.
    pub pid: u64,
    /// Its resident memory in bytes.
    pub resident_bytes: u64,
    /// What came to its limit; `None` if the log does not say.
    pub limit_of: Option<LimitOf>,
    /// The name of the process that needed memory; `None` if the log does not say.
    pub asked_by: Option<String>,
    /// How many processes of the container were killed at that time.
    pub processes: u64,
    /// Confirmed if the kernel's line named the container's control group.
    pub confidence: Confidence,
}

/// A fault of a process that ended by that signal at that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultOf {
    /// When it happened.
    #[serde(serialize_with = "time")]
    pub at: Timestamp,
    /// What the process did.
    #[serde(serialize_with = "kind_name")]
    pub kind: FaultKind,
    /// The name of the thread.
    pub process: String,
    /// Its number on the node, not in its container.
    pub pid: u64,
    /// The program or library whose code did it.
    pub file: Option<String>,
    /// Where in that file, in hexadecimal digits.
    pub offset: Option<String>,
    /// Always probable: the kernel does not name the container.
    pub confidence: Confidence,
}

/// Trouble of the node in the minutes before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TroubleOf {
    /// What is wrong.
    #[serde(serialize_with = "trouble_name")]
    pub kind: TroubleKind,
    /// With what: a device, an interface, a process, a CPU; `None` if the log does not say.
    pub subject: Option<String>,
    /// When the kernel said so first.
    #[serde(serialize_with = "time")]
    pub first_at: Timestamp,
    /// When the kernel said so last.
    #[serde(serialize_with = "time")]
    pub last_at: Timestamp,
    /// How often it said so.
    pub count: u64,
}

fn kind_name<S: Serializer>(kind: &FaultKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

fn trouble_name<S: Serializer>(kind: &TroubleKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

/// What the kernel's log says about one end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelWords {
    /// The process that the kernel killed for want of memory.
    pub oom_kill: Option<OomVictim>,
    /// The fault that probably ended the container.
    pub fault: Option<FaultOf>,
    /// Trouble of the node, the newest last.
    pub troubles: Vec<TroubleOf>,
}

/// A container instance that ended, or lost a process and goes on.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// The UID that the kubelet uses for the pod.
    pub pod_key: &'a str,
    /// The instance's ID, without the runtime's name.
    pub container_id: Option<&'a str>,
    /// True if the pod has no other container.
    pub is_alone: bool,
    /// When the instance started.
    pub started: Option<Timestamp>,
    /// When it ended, or lost the process.
    pub at: Timestamp,
    /// The number of the signal that its exit code tells.
    pub signal: Option<i32>,
}

/// How far a line can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody but the kernel writes such a line there.
    #[default]
    Kernel,
    /// Any process may write a line that looks like one of the kernel.
    Shared,
}

#[derive(Clone, Debug)]
struct Kill {
    victim: OomVictim,
    place: Place,
}

#[derive(Clone, Debug)]
struct SeenFault {
    at: Timestamp,
    kind: FaultKind,
    process: String,
    pid: u64,
    file: Option<String>,
    offset: Option<u64>,
}

/// What the kernel's log said in the last minutes.
#[derive(Debug, Default)]
pub struct KernelRecord {
    parts: OomKills,
    /// The origin of the newest line about an OOM kill.
    origin: Origin,
    kills: VecDeque<Kill>,
    faults: VecDeque<SeenFault>,
    troubles: VecDeque<TroubleOf>,
}

impl KernelRecord {
    /// Takes in a line of the kernel, with its time in microseconds since 1970.
    pub fn on_line(&mut self, at_us: u64, text: &str, origin: Origin) {
        match parse(text) {
            Some(Line::Oom(line)) => {
                self.origin = origin;
                let kill = self.parts.on_line(at_us, &line);
                self.keep_kill(kill);
            }
            Some(Line::Fault(fault)) => self.keep_fault(at_us, &fault),
            Some(Line::Trouble(trouble)) => self.keep_trouble(at_us, &trouble),
            None => {}
        }
    }

    /// Completes an OOM kill that has no further line, and forgets what is old.
    pub fn on_time(&mut self, now_us: u64) {
        let kill = self.parts.on_time(now_us);
        self.keep_kill(kill);
        let oldest = timestamp(now_us).and_then(|at| at.checked_sub(KERNEL_LINES_KEPT).ok());
        let Some(oldest) = oldest else { return };
        self.kills.retain(|kill| kill.victim.at >= oldest);
        self.faults.retain(|fault| fault.at >= oldest);
        self.troubles.retain(|trouble| trouble.last_at >= oldest);
    }

    /// Returns what belongs to this end, and the trouble of the node in the `window` before it.
    pub fn words(&self, ended: &Ended<'_>, window: Duration) -> KernelWords {
        KernelWords {
            oom_kill: self.victim(ended),
            fault: self.fault(ended),
            troubles: self.troubles(ended.at, window),
        }
    }

    /// Returns the trouble of the node in the `window` before that time, the newest last.
    pub fn troubles(&self, at: Timestamp, window: Duration) -> Vec<TroubleOf> {
        let is_near = |trouble: &&TroubleOf| {
            is_between(trouble.last_at, at, window, API_TIME_STEP + API_TIME_STEP)
        };
        let mut near: Vec<_> = self.troubles.iter().filter(is_near).cloned().collect();
        near.drain(..near.len().saturating_sub(KERNEL_TROUBLES_SHOWN_MAX));
        near
    }

    fn keep_kill(&mut self, kill: Option<OomKill>) {
        if let Some(kill) = kill.and_then(|kill| Kill::new(&kill, self.origin)) {
            push(&mut self.kills, kill);
        }
    }

    fn keep_fault(&mut self, at_us: u64, fault: &Fault<'_>) {
        let Some(at) = timestamp(at_us) else { return };
        let fault = SeenFault {
            at,
            kind: fault.kind,
            process: shown(fault.comm),
            pid: fault.pid,
            file: fault.file.map(shown),
            offset: fault.offset,
        };
        push(&mut self.faults, fault);
    }

    fn keep_trouble(&mut self, at_us: u64, trouble: &Trouble<'_>) {
        let Some(at) = timestamp(at_us) else { return };
        let subject = trouble.subject.map(shown);
        let is_same = |known: &TroubleOf| known.kind == trouble.kind && known.subject == subject;
        let known = self.troubles.iter().position(is_same);
        let mut trouble = known.and_then(|at| self.troubles.remove(at)).unwrap_or(TroubleOf {
            kind: trouble.kind,
            subject,
            first_at: at,
            last_at: at,
            count: 0,
        });
        trouble.last_at = trouble.last_at.max(at);
        trouble.count = trouble.count.saturating_add(1);
        push(&mut self.troubles, trouble);
    }

    /// Returns the process of the container that was killed last, of those that were killed at once the first: that one the
    /// kernel had chosen.
    fn victim(&self, ended: &Ended<'_>) -> Option<OomVictim> {
        let held = self.parts.held().and_then(|kill| Kill::new(kill, self.origin));
        let all = self.kills.iter().chain(&held);
        let own = all.filter(|kill| kill.is_of(ended)).map(|kill| &kill.victim);
        let newest = own.clone().map(|victim| victim.at).max()?;
        let is_last = |victim: &&OomVictim| {
            newest.duration_since(victim.at).unsigned_abs() <= OOM_GROUP_WITHIN
        };
        let last = own.filter(is_last);
        let processes = last.clone().count() as u64;
        last.min_by_key(|victim| victim.at).map(|victim| OomVictim { processes, ..victim.clone() })
    }

    /// Returns the fault that fits in time and signal. Several may: then none is known to be the one, unless they are of one
    /// program.
    fn fault(&self, ended: &Ended<'_>) -> Option<FaultOf> {
        let signal = ended.signal?;
        let fits = |fault: &&SeenFault| {
            let is_signal = match fault.kind.signal() {
                Some(of_kind) => i32::from(of_kind) == signal,
                None => TRAPS.contains(&signal),
            };
            is_signal && is_between(fault.at, ended.at, FAULT_WITHIN, FAULT_WITHIN)
        };
        let mut fitting = self.faults.iter().filter(fits).rev();
        let newest = fitting.next()?;
        let is_one = fitting.all(|other| other.process == newest.process);
        is_one.then(|| FaultOf {
            at: newest.at,
            kind: newest.kind,
            process: newest.process.clone(),
            pid: newest.pid,
            file: newest.file.clone(),
            offset: newest.offset.map(|offset| format!("{offset:#x}")),
            confidence: Confidence::Probable,
        })
    }
}

/// The signals that the kernel sends for what a processor could not do: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV.
const TRAPS: [i32; 5] = [4, 5, 7, 8, 11];

impl Kill {
    fn new(kill: &OomKill, origin: Origin) -> Option<Self> {
        let limit_of = match (kill.scope, &kill.limit) {
            (Some(OomScope::Node), _) => Some(LimitOf::Node),
            (_, None) => None,
            (_, Some(path)) => Some(match Place::of(path) {
                Place { container_id: Some(_), .. } => LimitOf::Container,
                Place { pod_uid: Some(_), .. } => LimitOf::Pod,
                Place { .. } => LimitOf::Cgroup,
            }),
        };
        let victim = OomVictim {
            at: timestamp(kill.at_us)?,
            process: kill.comm.clone(),
            pid: kill.pid,
            resident_bytes: kill.rss_kib.saturating_mul(1024),
            limit_of,
            asked_by: kill.asked_by.clone(),
            processes: 1,
            confidence: match origin {
                Origin::Kernel => Confidence::Confirmed,
                Origin::Shared => Confidence::Probable,
            },
        };
        Some(Self { victim, place: kill.place() })
    }

    /// Returns true if the process was one of this container, and was killed while it lived and shortly before its end.
    fn is_of(&self, ended: &Ended<'_>) -> bool {
        let is_own = match (&self.place.container_id, ended.container_id) {
            (Some(killed), Some(ended)) => killed == ended,
            _ => ended.is_alone && self.place.pod_uid.as_deref() == Some(ended.pod_key),
        };
        let at = self.victim.at;
        let is_after_start = ended.started.is_none_or(|started| at >= started);
        is_own && is_after_start && is_between(at, ended.at, OOM_RISES_RECENT, FAULT_WITHIN)
    }
}

/// Returns true if `at` is not longer before `end` than `before`, and not longer behind it than `behind`.
fn is_between(at: Timestamp, end: Timestamp, before: Duration, behind: Duration) -> bool {
    let apart = at.duration_since(end);
    apart.unsigned_abs() <= if apart.is_negative() { before } else { behind }
}

fn timestamp(us: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(us.try_into().ok()?).ok()
}

/// Returns a name as it is shown: what a terminal obeys is escaped.
fn shown(name: &str) -> String {
    cut(&escaped(name), 2 * KERNEL_NAME_BYTES_MAX)
}

fn push<T>(kept: &mut VecDeque<T>, new: T) {
    if kept.len() >= KERNEL_LINES_KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const START: u64 = 1_764_000_000 * SECOND;
    const POD: &str = "e3b0c442-98fc-1c14-9afb-f4c8996fb924";
    const WINDOW: Duration = Duration::from_secs(300);

    fn id(n: u8) -> String {
        format!("{n:02x}").repeat(32)
    }

    fn cgroup(container: u8) -> String {
        let (pod, id) = (POD.replace('-', "_"), id(container));
        format!("/kubepods.slice/kubepods-pod{pod}.slice/cri-containerd-{id}.scope")
    }

    fn pod_cgroup() -> String {
        format!("/kubepods.slice/kubepods-pod{}.slice", POD.replace('-', "_"))
    }

    /// Takes in lines of the kernel that it wrote this many milliseconds after the start.
    fn record(lines: &[(u64, String)], origin: Origin) -> KernelRecord {
        let mut record = KernelRecord::default();
        for (ms, line) in lines {
            record.on_line(START + ms * 1000, line, origin);
        }
        record
    }

    fn limit(ms: u64, path: &str) -> (u64, String) {
        (ms, format!("Memory cgroup stats for {path}:"))
    }

    fn killed(ms: u64, pid: u64, comm: &str) -> (u64, String) {
        let rest = "total-vm:9kB, anon-rss:100kB, file-rss:20kB, shmem-rss:4kB, UID:0";
        (ms, format!("Memory cgroup out of memory: Killed process {pid} ({comm}) {rest}"))
    }

    /// Returns what the record says of an end this many milliseconds after the start.
    fn words(record: &KernelRecord, container: Option<u8>, alone: bool, ms: u64) -> KernelWords {
        let id = container.map(id);
        let ended = Ended {
            pod_key: POD,
            container_id: id.as_deref(),
            is_alone: alone,
            started: timestamp(START - 60 * SECOND),
            at: timestamp(START + ms * 1000).unwrap(),
            signal: Some(11),
        };
        record.words(&ended, WINDOW)
    }

    #[test]
    fn a_kill_is_bound_by_the_control_group_that_its_lines_name() {
        let own = record(&[limit(0, &cgroup(1)), killed(1, 7, "java")], Origin::Kernel);
        let of_pod = record(&[limit(0, &pod_cgroup()), killed(1, 7, "java")], Origin::Kernel);
        let unnamed = record(&[killed(1, 7, "java")], Origin::Kernel);
        for (record, container, alone, ms, is_bound) in [
            (&own, Some(1), false, 500, true),
            // The API shows the end late; what counts is when it was.
            (&own, Some(1), false, 59_000, true),
            (&own, Some(1), false, 62_000, false),
            (&own, Some(2), false, 500, false),
            (&own, Some(2), true, 500, false),
            // Its ID is not known.
            (&own, None, true, 500, true),
            (&own, None, false, 500, false),
            (&of_pod, Some(1), true, 500, true),
            (&of_pod, Some(1), false, 500, false),
            (&unnamed, Some(1), true, 500, false),
        ] {
            let victim = words(record, container, alone, ms).oom_kill;
            assert_eq!(victim.is_some(), is_bound, "{container:?} {alone} {ms}");
        }
        let victim = words(&own, Some(1), false, 500).oom_kill.unwrap();
        assert_eq!((&*victim.process, victim.pid, victim.resident_bytes), ("java", 7, 124 << 10));
        assert_eq!(victim.confidence, Confidence::Confirmed);
    }

    #[test]
    fn of_a_group_that_was_killed_the_first_process_is_named() {
        let group = |path: &str| {
            (2, format!("Tasks in {path} are going to be killed due to memory.oom.group set"))
        };
        let lines = [
            (0, "nginx invoked oom-killer: gfp_mask=0x1".to_owned()),
            limit(0, &cgroup(1)),
            killed(1, 7, "java"),
            group(&cgroup(1)),
            killed(3, 8, "sh"),
            killed(4, 9, "sleep"),
        ];
        let victim = words(&record(&lines, Origin::Shared), Some(1), false, 500).oom_kill.unwrap();
        assert_eq!((&*victim.process, victim.processes), ("java", 3));
        assert_eq!(victim.asked_by.as_deref(), Some("nginx"));
        assert_eq!(
            (victim.limit_of, victim.confidence),
            (Some(LimitOf::Container), Confidence::Probable)
        );
    }

    #[test]
    fn what_came_to_its_limit_is_named_by_its_path() {
        let facts = |limit: &str| {
            let task = cgroup(1);
            (
                0,
                format!(
                    "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),{limit},task_memcg={task},task=java,pid=7,uid=0"
                ),
            )
        };
        for (limit, want) in [
            ("global_oom".to_owned(), LimitOf::Node),
            (format!("oom_memcg={}", cgroup(1)), LimitOf::Container),
            (format!("oom_memcg={}", pod_cgroup()), LimitOf::Pod),
            ("oom_memcg=/kubepods.slice".to_owned(), LimitOf::Cgroup),
        ] {
            let mut end = killed(1, 7, "java");
            if want == LimitOf::Node {
                end.1 = end.1.replace("Memory cgroup out", "Out");
            }
            let record = record(&[facts(&limit), end], Origin::Kernel);
            let victim = words(&record, Some(1), false, 500).oom_kill.unwrap();
            assert_eq!(victim.limit_of, Some(want), "{limit}");
        }
    }

    #[test]
    fn a_fault_is_bound_by_time_and_signal_if_no_other_program_had_one() {
        let fault = |ms: u64, comm: &str| {
            (
                ms,
                format!(
                    "{comm}[42]: segfault at 0 ip 0000000000001139 sp 0 error 4 in lib.so[1000+1000]"
                ),
            )
        };
        let div = (0, "traps: app[42] trap divide error ip:1139 sp:0 error:0".to_owned());
        for (lines, ms, want) in [
            (vec![fault(0, "app")], 1000, Some("app")),
            (vec![fault(0, "app")], 2001, None),
            (vec![fault(1900, "app")], 0, Some("app")),
            (vec![fault(0, "app"), fault(9, "app")], 1000, Some("app")),
            (vec![fault(0, "app"), fault(9, "other")], 1000, None),
            (vec![fault(0, "app"), fault(5000, "other")], 1000, Some("app")),
            (vec![div], 1000, None),
        ] {
            let found = words(&record(&lines, Origin::Kernel), Some(1), false, ms).fault;
            assert_eq!(found.as_ref().map(|fault| &*fault.process), want, "{lines:?}");
            if let Some(fault) = found {
                let place = (fault.file.as_deref(), fault.offset.as_deref());
                assert_eq!(place, (Some("lib.so"), Some("0x139")));
            }
        }
    }

    #[test]
    fn trouble_is_counted_by_kind_and_subject_and_shown_within_the_window() {
        let hung =
            |ms: u64, n: u32| (ms, format!("INFO: task dd:{n} blocked for more than 120 seconds."));
        let mut lines = vec![hung(0, 1), hung(1000, 2), hung(2000, 1)];
        let found = words(&record(&lines, Origin::Kernel), None, false, 3000).troubles;
        let shown: Vec<_> =
            found.iter().map(|t| (t.subject.as_deref().unwrap(), t.count)).collect();
        assert_eq!(shown, [("dd:2", 1), ("dd:1", 2)]);
        let last = found.last().unwrap();
        assert_eq!(last.last_at.duration_since(last.first_at).as_secs(), 2);
        assert_eq!(words(&record(&lines, Origin::Kernel), None, false, 303_000).troubles.len(), 0);
        lines.extend((10..1000).map(|n| hung(2000 + u64::from(n), n)));
        let mut record = record(&lines, Origin::Kernel);
        let found = words(&record, None, false, 4000).troubles;
        assert_eq!(found.len(), KERNEL_TROUBLES_SHOWN_MAX);
        assert_eq!(found.last().unwrap().subject.as_deref(), Some("dd:999"));
        assert_eq!(record.troubles.len(), KERNEL_LINES_KEPT_MAX);
        record.on_time(START + 1803 * SECOND);
        assert_eq!(record.troubles.len(), 0);
    }

    #[test]
    fn memory_does_not_grow_with_the_log() {
        let mut record = KernelRecord::default();
        for n in 0..10_000 {
            for (ms, line) in [limit(n, &cgroup(1)), killed(n, n, &"x".repeat(64))] {
                record.on_line(START + ms * 1000, &line, Origin::Kernel);
            }
        }
        assert_eq!(record.kills.len(), KERNEL_LINES_KEPT_MAX);
        record.on_time(START + 3600 * SECOND);
        assert_eq!((record.kills.len(), record.faults.len()), (0, 0));
        assert_eq!(words(&record, Some(1), true, 3_600_000), KernelWords::default());
    }
}
