//! The lines of an OOM kill, and what they say together.
//!
//! In the order in which the kernel writes them (mm/oom_kill.c, mm/memcontrol.c):
//!
//! ```text
//! python3 invoked oom-killer: gfp_mask=…            who asked for memory
//! Memory cgroup stats for PATH:                     the control group at its limit
//! oom-kill:constraint=CONSTRAINT_MEMCG,…            all of it, mostly compressed in the journal
//! Memory cgroup out of memory: Killed process …     the process: always written, the others only so often
//! Tasks in PATH are going to be killed due to …     before more lines of killed processes
//! ```

use std::time::Duration;

use super::{named, number, parts};
use crate::core::cgroup::names::{container_id, pod_uid};
use crate::core::text::{cut, escaped};
use crate::limits::{
    KERNEL_CGROUP_BYTES_MAX, KERNEL_NAME_BYTES_MAX, OOM_GROUP_LINE_WITHIN, OOM_LINES_WITHIN,
};

/// Whose memory was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomScope {
    /// A control group came to its limit.
    Cgroup,
    /// The node has no more memory.
    Node,
}

/// One of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomLine<'a> {
    /// A process needs memory.
    Asked {
        /// Its name.
        comm: &'a str,
    },
    /// A control group is at its limit.
    Limit {
        /// Its path.
        cgroup: &'a str,
    },
    /// The line with everything. Before 5.0 it was `Task in … killed as a result of limit of …`, without a process.
    Facts {
        /// The control group of the process.
        cgroup: &'a str,
        /// The one at its limit; `None` if it is the node.
        limit: Option<&'a str>,
        /// The number of the process.
        pid: Option<u64>,
    },
    /// A process is killed.
    Killed {
        /// Its number on the node.
        pid: u64,
        /// Its name.
        comm: &'a str,
        /// Its resident memory in KiB.
        rss_kib: u64,
        /// Whose memory was used up. In older kernels another line says so.
        scope: Option<OomScope>,
    },
    /// All processes of a control group are killed.
    Group {
        /// Its path.
        cgroup: &'a str,
    },
}

/// Parses a line about an OOM kill.
pub(super) fn parse(text: &str) -> Option<OomLine<'_>> {
    if let Some([before, task, _, rest]) =
        parts(text, "oom-kill:constraint=*,task_memcg=*,task=%,pid=*")
    {
        // The name may have commas. Where the node has no more memory, there is `global_oom` in place of a path.
        let limit = parts(before, "~,oom_memcg=*").and_then(|[path, ..]| cgroup(path));
        return Some(OomLine::Facts {
            cgroup: cgroup(task)?,
            limit,
            pid: Some(number(rest, 10)?.0),
        });
    }
    // In older kernels the numbers follow in the same line.
    if let Some([path, ..]) = parts(text, "Memory cgroup stats for *:") {
        return Some(OomLine::Limit { cgroup: cgroup(path)? });
    }
    let group = "Tasks in * are going to be killed due to memory.oom.group set";
    if let Some([path, ..]) = parts(text, group) {
        return Some(OomLine::Group { cgroup: cgroup(path)? });
    }
    if let Some([task, limit, ..]) = parts(text, "Task in * killed as a result of limit of *") {
        return Some(OomLine::Facts { cgroup: cgroup(task)?, limit: cgroup(limit), pid: None });
    }
    if let Some([comm, ..]) = parts(text, "* invoked oom-killer: ") {
        return Some(OomLine::Asked { comm: named(comm)? });
    }
    killed(text)
}

/// `Memory cgroup out of memory: Killed process 4312 (java) total-vm:9kB, anon-rss:9kB, file-rss:9kB, shmem-rss:9kB, UID:0 …`
fn killed(text: &str) -> Option<OomLine<'_>> {
    // The name may have brackets. Red Hat's kernels of 3.10 have `(NAME), UID N, total-vm:…`.
    let [before, pid, comm, rest] = parts(text, "*Killed process * (%) total-vm:*")
        .or_else(|| parts(text, "*Killed process * (%), UID *"))?;
    let scope = match before {
        "" => None,
        "Memory cgroup out of memory: " => Some(OomScope::Cgroup),
        _ if before.starts_with("Out of memory") => Some(OomScope::Node),
        _ => return None,
    };
    let kib = |form: &str| Some(number(parts(rest, form)?[0], 10)?.0);
    let rss_kib = kib("~anon-rss:*")?
        .saturating_add(kib("~file-rss:*").unwrap_or(0))
        .saturating_add(kib("~shmem-rss:*").unwrap_or(0));
    Some(OomLine::Killed { pid: number(pid, 10)?.0, comm: named(comm)?, rss_kib, scope })
}

fn cgroup(path: &str) -> Option<&str> {
    let is_path = path.starts_with('/') && path.len() <= KERNEL_CGROUP_BYTES_MAX;
    is_path.then_some(path)
}

/// The pod and the container to which the path of a control group belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The pod's UID, or for a static pod its hash.
    pub pod_uid: Option<String>,
    /// The container's ID.
    pub container_id: Option<String>,
}

impl Place {
    /// Reads a path. A process may have made control groups of its own below the container's.
    pub fn of(path: &str) -> Self {
        Self {
            pod_uid: path.rsplit('/').find_map(pod_uid),
            container_id: path.rsplit('/').find_map(container_id).map(str::to_owned),
        }
    }
}

/// A process that the kernel killed for want of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OomKill {
    /// When, in the time of the lines.
    pub at_us: u64,
    /// Its number on the node, not in its container.
    pub pid: u64,
    /// Its name, in which what a terminal obeys is escaped.
    pub comm: String,
    /// Its resident memory in KiB.
    pub rss_kib: u64,
    /// Whose memory was used up.
    pub scope: Option<OomScope>,
    /// The name of the process that needed memory.
    pub asked_by: Option<String>,
    /// The control group of the process.
    pub cgroup: Option<String>,
    /// The control group at its limit: that of the container, or one above it.
    pub limit: Option<String>,
    /// All processes of the control group were killed with it.
    pub is_group: bool,
}

impl OomKill {
    /// Returns the pod and the container of the process, as far as the lines named them.
    pub fn place(&self) -> Place {
        let path = self.cgroup.as_deref().or(self.limit.as_deref());
        path.map(Place::of).unwrap_or_default()
    }

    fn of_group(&mut self, cgroup: &str) {
        self.is_group = true;
        if self.cgroup.is_none() {
            keep(&mut self.cgroup, cgroup);
        }
    }
}

/// Puts the lines of OOM kills together. It holds one kill back until the next line of one, or for a second.
#[derive(Debug, Default)]
pub struct OomKills {
    /// What the lines before that of the killed process say. They belong to that one only.
    draft: OomKill,
    held: Option<OomKill>,
    /// The control group of which all processes are being killed, and since when.
    group: Option<(u64, String)>,
}

impl OomKills {
    /// Takes in the next line, with its time in microseconds. Returns the kill that is complete with it; it may be the one
    /// before.
    pub fn on_line(&mut self, at_us: u64, line: &OomLine<'_>) -> Option<OomKill> {
        let is_first = matches!(line, OomLine::Asked { .. });
        if is_first || !is_within(self.draft.at_us, at_us, OOM_LINES_WITHIN) {
            self.draft = OomKill { at_us, ..OomKill::default() };
        }
        match *line {
            OomLine::Asked { comm } => {
                keep(&mut self.draft.asked_by, &shown(comm));
                self.group = None;
                return self.held.take();
            }
            OomLine::Limit { cgroup } => keep(&mut self.draft.limit, cgroup),
            OomLine::Facts { cgroup, limit, pid } => {
                self.draft.scope = Some(limit.map_or(OomScope::Node, |_| OomScope::Cgroup));
                if let Some(limit) = limit {
                    keep(&mut self.draft.limit, limit);
                }
                keep(&mut self.draft.cgroup, cgroup);
                self.draft.pid = pid.unwrap_or(0);
            }
            OomLine::Killed { pid, comm, rss_kib, scope } => {
                let mut kill = std::mem::take(&mut self.draft);
                // Another process than the chosen one, such as its child, may be in another control group.
                if kill.pid != 0 && kill.pid != pid {
                    kill.cgroup = None;
                }
                (kill.at_us, kill.pid, kill.rss_kib) = (at_us, pid, rss_kib);
                kill.comm = shown(comm);
                kill.scope = scope.or(kill.scope);
                if let Some((since, cgroup)) = &self.group
                    && is_within(*since, at_us, OOM_LINES_WITHIN)
                {
                    kill.of_group(cgroup);
                }
                return self.held.replace(kill);
            }
            OomLine::Group { cgroup } => {
                self.group = Some((at_us, cgroup.to_owned()));
                let mut held = self.held.take()?;
                if is_within(held.at_us, at_us, OOM_GROUP_LINE_WITHIN) {
                    held.of_group(cgroup);
                }
                return Some(held);
            }
        }
        None
    }

    /// Returns the kill that is held back.
    pub fn held(&self) -> Option<&OomKill> {
        self.held.as_ref()
    }

    /// Returns the kill that was held back, if no line about its control group came.
    pub fn on_time(&mut self, now_us: u64) -> Option<OomKill> {
        self.held.take_if(|held| !is_within(held.at_us, now_us, OOM_GROUP_LINE_WITHIN))
    }
}

fn is_within(one_us: u64, other_us: u64, within: Duration) -> bool {
    Duration::from_micros(one_us.abs_diff(other_us)) <= within
}

// One function for all uses is smaller.
#[inline(never)]
fn keep(place: &mut Option<String>, text: &str) {
    *place = Some(text.to_owned());
}

/// Returns a name as it is kept.
fn shown(name: &str) -> String {
    cut(&escaped(name), KERNEL_NAME_BYTES_MAX)
}
