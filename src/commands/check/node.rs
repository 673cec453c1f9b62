//! Checks what the agent reads on its node (logs, control groups, procfs) and the files it writes.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Config;
use crate::core::case::ContainerId;
use crate::core::text::duration;
use crate::limits::CHECK_LOGS_MAX;
use crate::node::cgroup::{CgroupTree, CgroupVersion};
use crate::node::counters::KernelCounters;
use crate::node::kernel_log::{first_plain, newest_journal};
use crate::node::logs::PodLogs;
use crate::node::procfs::SystemSource;

use crate::commands::check::say::Report;

/// A container that is running on this node according to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// The namespace of its pod.
    pub(super) namespace: String,
    /// The name of its pod.
    pub(super) pod_name: String,
    /// The UID of its pod as the kubelet uses it.
    pub(super) pod_uid: String,
    /// The container's name.
    pub(super) name: String,
    /// The container id as in the container status.
    pub(super) id: String,
    /// The restart count. The log file of the instance has this number as its name.
    pub(super) restart_count: i64,
}

/// Checks that the log folder has readable logs of these containers.
pub(super) fn pod_logs(report: &mut Report<'_>, config: &Config, running: &[Running]) {
    let (subject, root) = ("pod logs", config.pod_logs.display());
    if config.log_lines == 0 {
        return report.ok(subject, "turned off (BLACKBOX_LOG_LINES=0)");
    }
    if let Err(error) = fs::read_dir(&config.pod_logs) {
        let text = format!(
            "{root}: {error}; incidents will have no log lines: mount the node's /var/log/pods there, \
             or set BLACKBOX_POD_LOGS; only root can read the folder, so run the agent as user 0"
        );
        return report.warning(subject, &text);
    }
    let logs = PodLogs::new(&config.pod_logs, 1, true);
    let looked_at = running.len().min(CHECK_LOGS_MAX);
    let (mut read, mut why) = (0, None);
    for c in &running[..looked_at] {
        match logs.last_words(&c.namespace, &c.pod_name, &c.pod_uid, &c.name, c.restart_count) {
            Ok(_) => read += 1,
            Err(gap) => why = Some(gap),
        }
    }
    match why {
        Some(why) if read == 0 => {
            let text = format!("{root}: none of {looked_at} containers has a readable log; {why}");
            report.warning(subject, &text);
        }
        _ => report
            .ok(subject, &format!("{root}: {read} of {looked_at} containers have a readable log")),
    }
}

/// Checks that the control groups of these containers exist.
pub(super) fn control_groups(report: &mut Report<'_>, config: &Config, running: &[Running]) {
    let (subject, root) = ("cgroups", config.cgroup.display());
    let mut tree = CgroupTree::new(&config.cgroup);
    tree.scan(|uid| running.iter().any(|c| c.pod_uid == uid));
    let has =
        |c: &&Running| ContainerId::parse(&c.id).is_some_and(|id| tree.has_container(id.as_str()));
    let (found, all) = (running.iter().filter(has).count(), running.len());
    let version = match tree.version() {
        Some(CgroupVersion::V1) => "version 1",
        Some(CgroupVersion::V2) => "version 2",
        None => {
            let text = format!(
                "{root}: no cgroups of pods; incidents will have no memory and CPU history, and the agent \
                 cannot confirm OOM kills: mount the node's /sys/fs/cgroup there, or set BLACKBOX_CGROUP"
            );
            return report.warning(subject, &text);
        }
    };
    let text = format!("{root}: {version}, {found} of {all} running containers found");
    if found == 0 && all > 0 {
        let advice = "; this may be another node's cgroup tree, or the agent's own view of it: mount \
                      the node's /sys/fs/cgroup with a hostPath volume";
        return report.warning(subject, &(text + advice));
    }
    report.ok(subject, &text);
}

/// Checks that the node's procfs files are readable.
pub(super) fn procfs(report: &mut Report<'_>, config: &Config) {
    let (subject, root) = ("proc", config.proc.display());
    let mut source = SystemSource::new(&config.proc);
    source.read();
    let missing: Vec<_> = source.missing().map(|(name, why)| format!("{name} ({why})")).collect();
    if missing.is_empty() {
        return report.ok(subject, &format!("{root}: all files are readable"));
    }
    let missing = missing.join(", ");
    // A kernel without PSI has no pressure files; nothing can be done about that.
    if source.missing().all(|(name, _)| name.starts_with("pressure/")) {
        return report.ok(subject, &format!("{root}: all files are readable except {missing}"));
    }
    let text = format!(
        "{root}: cannot use {missing}; incidents will contain less about the node: mount the node's \
         /proc there, or set BLACKBOX_PROC"
    );
    report.warning(subject, &text);
}

/// Checks which of the kernel's counters can be read. None of them is needed.
pub(super) fn kernel_counters(report: &mut Report<'_>, config: &Config) {
    let mut counters = KernelCounters::new(&config.proc, &config.sys);
    counters.sample(Duration::ZERO);
    let text = match counters.names() {
        none if none.is_empty() => format!(
            "none below {} and {}: incidents will not say what the kernel counted",
            config.proc.display(),
            config.sys.display()
        ),
        names => names.join(", "),
    };
    report.ok("kernel counters", &text);
}

/// Checks whether there is a log of the kernel. None is needed.
pub(super) fn kernel_log(report: &mut Report<'_>, config: &Config, now: Timestamp) {
    let (subject, folders) = ("kernel log", &config.kernel_log);
    let advice = "see deploy/components/kernel-log";
    if folders.is_empty() {
        let text = format!("not read: BLACKBOX_KERNEL_LOG is not set ({advice})");
        report.ok(subject, &text);
    } else {
        let journal = newest_journal(folders);
        let why = match (journal, first_plain(folders)) {
            (Ok((path, newest_us)), _) => {
                let us = newest_us.try_into().ok();
                let newest = us.and_then(|us| Timestamp::from_microsecond(us).ok());
                let age = newest.and_then(|at| Duration::try_from(now.duration_since(at)).ok());
                let age = duration(age.unwrap_or_default());
                Ok(format!("{}: newest entry {age} ago", path.display()))
            }
            (_, Ok(path)) => Ok(format!("{}: read, because there is no journal", path.display())),
            (Err(denied), Err(none)) => Err(denied.unwrap_or(none)),
        };
        match why {
            Ok(text) => report.ok(subject, &text),
            Err(why) => {
                let text = format!("{why}; incidents will not have the kernel's words ({advice})");
                report.warning(subject, &text);
            }
        }
    }
    if let Some(folder) = &config.pstore {
        match fs::read_dir(folder) {
            Ok(_) => report.ok("pstore", &format!("{}: readable", folder.display())),
            Err(error) => {
                report.warning("pstore", &format!("{}: {error} ({advice})", folder.display()))
            }
        }
    }
}

/// Checks that a file could be written: creates a file in the same folder and removes it again.
pub(super) fn writable(report: &mut Report<'_>, subject: &str, key: &str, path: &Path) {
    let probe = path.with_file_name(format!(".blackbox-check-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&probe);
    let made = made.and_then(|_| fs::remove_file(&probe));
    match made.and_then(|()| opens(path)) {
        Ok(()) => report.ok(subject, &format!("{}: writable", path.display())),
        Err(error) => {
            let text = format!(
                "{}: {error}; {key} needs a mounted and writable folder of the node \
                 (see deploy/components/incident-file)",
                path.display()
            );
            report.failure(subject, &text);
        }
    }
}

/// Checks that the file, if it exists, can be opened for appending. The file is not changed.
fn opens(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
