//! The last minutes of a boot, as an incident shows and tells them.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::reader::ReadRow;
use super::{AVAILABLE, COLUMNS, IO_FULL, MEMORY_SOME};
use crate::core::cgroup::sample::column::AGE_SECONDS;
use crate::core::ring::Columns;
use crate::core::text::{bytes, duration};
use crate::limits::{
    FALL_BEGINS_PART, FALL_TOLD_BYTES_MIN, FALL_TOLD_PART, RECORDER_CONTAINERS,
    RECORDER_ROWS_NEWEST, RECORDER_ROWS_SHOWN_MAX, TROUBLE_IO_FULL_PERCENT,
    TROUBLE_MEMORY_SOME_PERCENT,
};

/// The last samples of a boot.
#[derive(Clone, Debug, PartialEq)]
pub struct LastMinutes {
    /// The key of the boot.
    pub boot: u64,
    /// The samples, as the line has them.
    pub shown: BeforeReboot,
}

impl LastMinutes {
    /// `rows` are the newest first. `None` if there are none, or if they are of no time that exists.
    pub(super) fn new(boot: u64, mut rows: Vec<ReadRow>) -> Option<Self> {
        let newest_ms = rows.first()?.row.at_ms;
        // To the second, as the sentence says it.
        let ends_at = Timestamp::from_second(newest_ms.div_euclid(1000)).ok()?;
        thin(&mut rows);
        let containers = containers(&rows);
        rows.reverse();
        let seconds = |row: &ReadRow| newest_ms.saturating_sub(row.row.at_ms) as f64 / 1000.0;
        let names = [AGE_SECONDS].into_iter().chain(COLUMNS);
        let mut columns: Vec<_> =
            names.map(|name| (name, Vec::with_capacity(rows.len()))).collect();
        for row in &rows {
            let values = row.row.node.iter().map(|number| number.get());
            let values = [Some(seconds(row))].into_iter().chain(values);
            for ((_, column), value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
        }
        let interval_seconds = rows.iter().rev().nth(1).map_or(0.0, seconds);
        let samples = Columns { interval_seconds, ends_at, columns };
        Some(Self { boot, shown: BeforeReboot { samples, containers } })
    }

    /// Returns the minutes of a boot with one sample, of which nothing is known.
    #[cfg(test)]
    pub fn of_test(boot_id: &str, ends_at: Timestamp) -> Self {
        let columns = vec![(AGE_SECONDS, vec![Some(0.0)])];
        let samples = Columns { interval_seconds: 0.0, ends_at, columns };
        let shown = BeforeReboot { samples, containers: Vec::new() };
        Self { boot: super::key(boot_id), shown }
    }

    /// Returns when the last sample was taken, to the second.
    pub fn ends_at(&self) -> Timestamp {
        self.shown.samples.ends_at
    }

    /// Returns about how much memory this takes, in bytes.
    pub fn bytes(&self) -> usize {
        let BeforeReboot { samples, containers } = &self.shown;
        let values = samples.columns.len() + 2 * containers.len();
        size_of::<Self>() + values * samples.len() * size_of::<Option<f64>>()
    }

    /// Returns a column of the node, by its place in [`COLUMNS`].
    fn column(&self, at: usize) -> &[Option<f64>] {
        self.shown.samples.columns.get(1 + at).map_or(&[], |(_, values)| values)
    }

    /// Appends to a sentence what the last minutes show.
    pub fn tell(&self, out: &mut String) {
        if let Some((from, to, within)) = self.fall() {
            let (from, to) = (bytes(from as u64), bytes(to as u64));
            let within = duration(within);
            let _ = write!(out, "; memory available had fallen from {from} to {to} in {within}");
        }
        let last = |column: usize| *self.column(column).last()?;
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
        let (_, ages) = self.shown.samples.columns.first()?;
        let points = ages.iter().zip(self.column(AVAILABLE)).rev();
        let known = || points.clone().filter_map(|(age, bytes)| Some(((*age)?, (*bytes)?)));
        let (_, last) = known().next()?;
        let peak = known().map(|(_, bytes)| bytes).fold(0.0, f64::max);
        if last > peak * FALL_TOLD_PART || peak - last < FALL_TOLD_BYTES_MIN {
            return None;
        }
        let (age, from) = known().find(|(_, bytes)| *bytes >= peak * FALL_BEGINS_PART)?;
        Some((from, last, Duration::try_from_secs_f64(age).ok()?))
    }
}

/// Returns the containers of rows, which are the newest first: those of the newest rows, as far as there is room.
fn containers(rows: &[ReadRow]) -> Vec<ContainerMinutes> {
    let mut found: Vec<ContainerMinutes> = Vec::new();
    for (n, row) in rows.iter().enumerate() {
        let place = rows.len() - 1 - n;
        for (name, usage) in &row.containers {
            // The limit may have been changed; the newest is shown.
            let is_it = |known: &ContainerMinutes| {
                known.namespace == name.namespace
                    && known.pod_name == name.pod_name
                    && known.container == name.container
            };
            let known = found.iter().position(is_it).unwrap_or_else(|| {
                if found.len() < RECORDER_CONTAINERS {
                    let name = name.clone();
                    found.push(ContainerMinutes {
                        namespace: name.namespace,
                        pod_name: name.pod_name,
                        container: name.container,
                        memory_limit_bytes: name.limit_bytes,
                        memory_bytes: vec![None; rows.len()],
                        cpu_millicores: vec![None; rows.len()],
                    });
                    return found.len() - 1;
                }
                RECORDER_CONTAINERS
            });
            let Some(known) = found.get_mut(known) else { continue };
            known.memory_bytes[place] = usage.memory_kib.map(|kib| u64::from(kib) << 10);
            known.cpu_millicores[place] = usage.cpu_millicores.map(u64::from);
        }
    }
    found
}

/// Keeps the newest rows, which are first, and some of those before.
fn thin(rows: &mut Vec<ReadRow>) {
    let older = rows.len().saturating_sub(RECORDER_ROWS_NEWEST);
    let step = older.div_ceil(RECORDER_ROWS_SHOWN_MAX - RECORDER_ROWS_NEWEST).max(1);
    let mut n = 0;
    rows.retain(|_| {
        n += 1;
        n <= RECORDER_ROWS_NEWEST || (n - RECORDER_ROWS_NEWEST).is_multiple_of(step)
    });
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
        let names = [AGE_SECONDS].into_iter().chain(COLUMNS);
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
