//! The last minutes of a boot, as an incident shows and tells them.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::reader::ReadRow;
use super::{AVAILABLE, COLUMNS, ContainerName, IO_FULL, MEMORY_SOME, Number, Usage};
use crate::core::ring::Columns;
use crate::core::text::{bytes, duration};
use crate::limits::{
    FALL_BEGINS_PART, FALL_TOLD_BYTES_MIN, FALL_TOLD_PART, RECORDER_CONTAINERS,
    RECORDER_ROWS_NEWEST, RECORDER_ROWS_SHOWN_MAX, TROUBLE_IO_FULL_PERCENT,
    TROUBLE_MEMORY_SOME_PERCENT,
};

/// The last samples of a boot, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastMinutes {
    /// The key of the boot.
    pub boot: u64,
    ends_at: Timestamp,
    rows: Vec<Numbers>,
    containers: Vec<Used>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers {
    age_ms: i64,
    node: [Number; COLUMNS.len()],
}

/// A container, and what it used at each sample.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Used {
    name: ContainerName,
    usage: Vec<Option<Usage>>,
}

impl LastMinutes {
    /// `rows` are the newest first. `None` if there are none, or if they are of no time that exists.
    pub(super) fn new(boot: u64, rows: Vec<ReadRow>) -> Option<Self> {
        let newest_ms = rows.first()?.row.at_ms;
        let ends_at = Timestamp::from_millisecond(newest_ms).ok()?;
        let rows: Vec<ReadRow> = thinned(rows).collect();
        let mut containers: Vec<Used> = Vec::new();
        for (n, row) in rows.iter().enumerate() {
            for (name, usage) in &row.containers {
                let same = |used: &Used| is_same(&used.name, name);
                let at = containers.iter().position(same);
                // The newest row names its containers first; there is room for these.
                let at = at.or_else(|| {
                    let has_room = containers.len() < RECORDER_CONTAINERS;
                    let usage = vec![None; rows.len()];
                    has_room.then(|| containers.push(Used { name: name.clone(), usage }))?;
                    Some(containers.len() - 1)
                });
                if let Some(used) = at.and_then(|at| containers.get_mut(at)) {
                    used.usage[n] = Some(*usage);
                }
            }
        }
        containers.iter_mut().for_each(|used| used.usage.reverse());
        let numbers = |row: &ReadRow| Numbers {
            age_ms: newest_ms.saturating_sub(row.row.at_ms),
            node: row.row.node,
        };
        Some(Self { boot, ends_at, rows: rows.iter().rev().map(numbers).collect(), containers })
    }

    /// Returns the minutes of a boot with one sample, of which nothing is known.
    #[cfg(test)]
    pub fn of_test(boot_id: &str, ends_at: Timestamp) -> Self {
        let node = [Number::new(None); COLUMNS.len()];
        let rows = vec![Numbers { age_ms: 0, node }];
        Self { boot: super::key(boot_id), ends_at, rows, containers: Vec::new() }
    }

    /// Returns when the last sample was taken, to the second.
    pub fn ends_at(&self) -> Timestamp {
        Timestamp::from_second(self.ends_at.as_second()).unwrap_or(self.ends_at)
    }

    /// Returns about how much memory this takes, in bytes.
    pub fn bytes(&self) -> usize {
        let used = |used: &Used| {
            let ContainerName { namespace, pod_name, container, .. } = &used.name;
            let texts = namespace.len() + pod_name.len() + container.len();
            size_of::<Used>() + texts + size_of_val(&*used.usage)
        };
        size_of_val(&*self.rows) + self.containers.iter().map(used).sum::<usize>()
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if there is no sample, which does not happen.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the minutes as the line has them.
    pub fn before_reboot(&self) -> BeforeReboot {
        let age = |row: &Numbers| Some(row.age_ms as f64 / 1000.0);
        let mut columns = vec![("age_seconds", self.rows.iter().map(age).collect::<Vec<_>>())];
        for (n, name) in COLUMNS.into_iter().enumerate() {
            columns.push((name, self.rows.iter().map(|row| row.node[n].get()).collect()));
        }
        let interval = self.rows.iter().rev().nth(1).map_or(0, |row| row.age_ms);
        let samples = Columns {
            interval_seconds: interval as f64 / 1000.0,
            ends_at: self.ends_at(),
            columns,
        };
        let minutes = |used: &Used| ContainerMinutes {
            namespace: used.name.namespace.clone(),
            pod_name: used.name.pod_name.clone(),
            container: used.name.container.clone(),
            memory_limit_bytes: used.name.limit_bytes,
            memory_bytes: used
                .usage
                .iter()
                .map(|u| Some(u64::from((*u)?.memory_kib?) << 10))
                .collect(),
            cpu_millicores: used.usage.iter().map(|u| Some((*u)?.cpu_millicores?.into())).collect(),
        };
        BeforeReboot { samples, containers: self.containers.iter().map(minutes).collect() }
    }

    /// Appends to a sentence what the last minutes show.
    pub fn tell(&self, out: &mut String) {
        if let Some((from, to, within)) = self.fall() {
            let (from, to) = (bytes(from as u64), bytes(to as u64));
            let within = duration(within);
            let _ = write!(out, "; memory available had fallen from {from} to {to} in {within}");
        }
        let last = |column: usize| self.rows.last()?.node.get(column)?.get();
        for (column, most, who) in [
            (MEMORY_SOME, TROUBLE_MEMORY_SOME_PERCENT, "processes waited for memory"),
            (IO_FULL, TROUBLE_IO_FULL_PERCENT, "all processes waited for disks"),
        ] {
            if let Some(percent) = last(column).filter(|percent| *percent >= most) {
                let _ = write!(out, "; {who} {} % of the time", percent.min(100.0).round() as u64);
            }
        }
    }

    /// Returns from what to what the available memory fell, and in which time, if it fell markedly.
    fn fall(&self) -> Option<(f64, f64, Duration)> {
        let known = |row: &Numbers| Some((row.age_ms, row.node[AVAILABLE].get()?));
        let points: Vec<_> = self.rows.iter().filter_map(known).collect();
        let (_, last) = *points.last()?;
        let peak = points.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max);
        if last > peak * FALL_TOLD_PART || peak - last < FALL_TOLD_BYTES_MIN {
            return None;
        }
        let (age_ms, from) = points.iter().rfind(|(_, bytes)| *bytes >= peak * FALL_BEGINS_PART)?;
        Some((*from, last, Duration::from_secs(u64::try_from(age_ms / 1000).ok()?)))
    }
}

fn is_same(a: &ContainerName, b: &ContainerName) -> bool {
    // The limit may have been changed; the newest is shown.
    (&a.namespace, &a.pod_name, &a.container) == (&b.namespace, &b.pod_name, &b.container)
}

/// Keeps the newest rows, and some of those before.
fn thinned(rows: Vec<ReadRow>) -> impl Iterator<Item = ReadRow> {
    let older = rows.len().saturating_sub(RECORDER_ROWS_NEWEST);
    let step = older.div_ceil(RECORDER_ROWS_SHOWN_MAX - RECORDER_ROWS_NEWEST).max(1);
    let is_kept = move |n: usize| {
        n < RECORDER_ROWS_NEWEST || (n + 1 - RECORDER_ROWS_NEWEST).is_multiple_of(step)
    };
    rows.into_iter().enumerate().filter(move |(n, _)| is_kept(*n)).map(|(_, row)| row)
}

/// The last minutes of the boot before, in columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BeforeReboot {
    /// The samples of the node.
    #[serde(flatten)]
    pub samples: Columns,
    /// The containers that mattered.
    pub containers: Vec<ContainerMinutes>,
}

/// What a container used in the last minutes, with as many values as the node has samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerMinutes {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod_name: String,
    /// The container's name.
    pub container: String,
    /// The lower of the memory limits of the container and its pod.
    pub memory_limit_bytes: Option<u64>,
    /// The memory in use.
    pub memory_bytes: Vec<Option<u64>>,
    /// The CPU time used since the sample before, in thousandths of a core.
    pub cpu_millicores: Vec<Option<u64>>,
}

impl BeforeReboot {
    /// Returns minutes with as many samples and containers as there can be, of this size.
    #[cfg(test)]
    pub fn full_of_test(value: f64, name_bytes: usize) -> Self {
        let rows = RECORDER_ROWS_SHOWN_MAX;
        let names = ["age_seconds"].into_iter().chain(COLUMNS);
        let container = ContainerMinutes {
            namespace: "n".repeat(name_bytes.min(63)),
            pod_name: "p".repeat(name_bytes),
            container: "c".repeat(name_bytes.min(63)),
            memory_limit_bytes: Some(value as u64),
            memory_bytes: vec![Some(value as u64); rows],
            cpu_millicores: vec![Some(value as u64); rows],
        };
        let columns = names.map(|name| (name, vec![Some(value); rows])).collect();
        let ends_at = Timestamp::UNIX_EPOCH;
        let samples = Columns { interval_seconds: 5.0, ends_at, columns };
        Self { samples, containers: vec![container; RECORDER_CONTAINERS] }
    }

    /// Keeps the newest `samples`; returns true if any were dropped.
    pub fn keep_newest(&mut self, samples: usize) -> bool {
        let dropped = self.samples.len().saturating_sub(samples);
        self.samples.keep_newest(samples);
        for container in &mut self.containers {
            container.memory_bytes.drain(..dropped.min(container.memory_bytes.len()));
            container.cpu_millicores.drain(..dropped.min(container.cpu_millicores.len()));
        }
        dropped > 0
    }
}
