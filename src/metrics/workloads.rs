//! Incidents by workload, so that an alert can name what crashes: a table of fixed size.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::family::Info;
use crate::core::incident::Incident;
use crate::core::text::{cut, is_harmful};
use crate::limits::{WORKLOAD_AT_ZERO, WORKLOAD_KEPT, WORKLOAD_LABEL_BYTES_MAX, WORKLOADS_MAX};
use crate::runtime::clock::Clock;

/// The table of all threads. Incidents of the node itself have no workload and are not in it.
#[derive(Debug)]
pub struct Workloads {
    clock: Clock,
    table: Mutex<Table>,
}

impl Default for Workloads {
    fn default() -> Self {
        Self { clock: Clock::start(), table: Mutex::default() }
    }
}

impl Workloads {
    /// Counts an incident.
    pub fn add(&self, incident: &Incident, in_crash_loop: bool) {
        let Some(workload) = &incident.workload else { return };
        let now = self.clock.monotonic();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.add([&incident.namespace, workload, incident.kind.name()], in_crash_loop, now);
    }

    /// Writes the family of all incidents and that of crash loops.
    pub(super) fn render(&self, all: &Info, loops: &Info, out: &mut String) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.render(all, loops, self.clock.monotonic(), out);
    }
}

/// One series of each family.
#[derive(Debug)]
struct Entry {
    /// The label pairs, as they are written between the braces.
    pairs: String,
    /// Until when 0 is shown.
    at_zero_until: Duration,
    last: Duration,
    all: u64,
    loops: u64,
}

/// At most [`WORKLOADS_MAX`] entries, and one more of each type for what has no room. A counter never falls: an entry
/// only goes as a whole, after an hour without an incident, and only if another one needs its place. If it comes back, it
/// begins at 0, which Prometheus takes for a restart of the counter.
#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    /// Somebody has read the table.
    is_read: bool,
}

impl Table {
    /// Counts an incident of this namespace, workload and type.
    fn add(&mut self, [namespace, workload, kind]: [&str; 3], in_crash_loop: bool, now: Duration) {
        let mut pairs = pairs(namespace, workload, kind);
        let mut at = self.position(&pairs);
        if at.is_none() && self.entries.len() >= WORKLOADS_MAX {
            let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.last);
            match oldest.filter(|(_, entry)| now.saturating_sub(entry.last) >= WORKLOAD_KEPT) {
                Some((oldest, _)) => drop(self.entries.swap_remove(oldest)),
                None => {
                    pairs = self::pairs("", "other", kind);
                    at = self.position(&pairs);
                }
            }
        }
        let at = at.unwrap_or_else(|| {
            // What is counted before the first scrape is no increase: a new agent may repeat reports of the one before.
            let at_zero_until = if self.is_read { now + WORKLOAD_AT_ZERO } else { now };
            self.entries.push(Entry { pairs, at_zero_until, last: now, all: 0, loops: 0 });
            self.entries.len() - 1
        });
        let entry = &mut self.entries[at];
        entry.last = now;
        entry.all += 1;
        entry.loops += u64::from(in_crash_loop);
    }

    fn position(&self, pairs: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.pairs == pairs)
    }

    fn render(&mut self, all: &Info, loops: &Info, now: Duration, out: &mut String) {
        self.is_read = true;
        for (info, is_all) in [(all, true), (loops, false)] {
            info.head(out);
            for entry in &self.entries {
                let value = if is_all { entry.all } else { entry.loops };
                info.sample(out, &entry.pairs, if now < entry.at_zero_until { 0 } else { value });
            }
        }
    }
}

/// Returns the label pairs. No name of Kubernetes contains a character that would need escaping.
fn pairs(namespace: &str, workload: &str, kind: &str) -> String {
    let plain = |text| cut(text, WORKLOAD_LABEL_BYTES_MAX).replace(is_special, "?");
    let (namespace, workload) = (plain(namespace), plain(workload));
    format!("namespace=\"{namespace}\",workload=\"{workload}\",type=\"{kind}\"")
}

fn is_special(c: char) -> bool {
    matches!(c, '"' | '\\') || is_harmful(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Info = Info { name: "all", kind: "counter", help: "All." };
    const LOOPS: Info = Info { name: "loops", kind: "counter", help: "Loops." };
    const MINUTE: Duration = Duration::from_secs(60);

    /// Returns the samples that are not 0.
    fn counted(table: &mut Table, now: Duration) -> Vec<String> {
        let mut out = String::new();
        table.render(&ALL, &LOOPS, now, &mut out);
        let samples = out.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0"));
        samples.map(str::to_owned).collect()
    }

    fn api(name: &str) -> String {
        format!("Deployment/{name}")
    }

    #[test]
    fn a_new_series_shows_0_for_a_minute_so_that_every_prometheus_sees_the_increase() {
        let mut table = Table::default();
        let mut out = String::new();
        table.render(&ALL, &LOOPS, MINUTE, &mut out);
        assert_eq!(
            out,
            "# HELP all All.\n# TYPE all counter\n# HELP loops Loops.\n# TYPE loops counter\n"
        );
        for n in 0..3 {
            table.add(["shop", "Deployment/api", "oom"], n == 2, MINUTE);
        }
        for now in [MINUTE, 2 * MINUTE - Duration::from_millis(1)] {
            let mut out = String::new();
            table.render(&ALL, &LOOPS, now, &mut out);
            let pairs = "namespace=\"shop\",workload=\"Deployment/api\",type=\"oom\"";
            assert!(out.contains(&format!("all{{{pairs}}} 0\n")), "{out}");
            assert!(out.contains(&format!("loops{{{pairs}}} 0\n")), "{out}");
        }
        let want = ["all", "loops"].map(|name| {
            format!("{name}{{namespace=\"shop\",workload=\"Deployment/api\",type=\"oom\"}} ")
        });
        let samples = counted(&mut table, 2 * MINUTE);
        assert_eq!(samples, [format!("{}3", want[0]), format!("{}1", want[1])]);
    }

    #[test]
    fn what_is_reported_before_the_first_scrape_is_no_increase() {
        let mut table = Table::default();
        table.add(["shop", "Deployment/api", "oom"], false, MINUTE);
        assert_eq!(counted(&mut table, MINUTE).len(), 1);
    }

    #[test]
    fn workloads_without_room_share_a_series_until_one_has_been_quiet_for_an_hour() {
        let mut table = Table::default();
        for n in 0..WORKLOADS_MAX + 20 {
            table.add(["shop", &api(&n.to_string()), "oom"], false, MINUTE);
        }
        table.add(["shop", &api("late"), "error"], true, MINUTE);
        let samples = counted(&mut table, MINUTE);
        assert_eq!(
            samples[WORKLOADS_MAX..],
            [
                "all{namespace=\"\",workload=\"other\",type=\"oom\"} 20",
                "all{namespace=\"\",workload=\"other\",type=\"error\"} 1",
                "loops{namespace=\"\",workload=\"other\",type=\"error\"} 1",
            ]
        );
        // All but the first crash again.
        for n in 1..WORKLOADS_MAX {
            table.add(["shop", &api(&n.to_string()), "oom"], false, 2 * MINUTE);
        }
        table.add(["shop", &api("new"), "oom"], false, MINUTE + WORKLOAD_KEPT);
        let later = 2 * MINUTE + WORKLOAD_KEPT;
        let samples = counted(&mut table, later);
        let has =
            |name: &str| samples.iter().any(|line| line.contains(&format!("{}\"", api(name))));
        assert!(has("new") && !has("0") && has("1"), "{samples:?}");
        assert_eq!(table.entries.len(), WORKLOADS_MAX + 2);
    }

    #[test]
    fn a_name_that_kubernetes_would_not_allow_breaks_no_line() {
        let mut table = Table::default();
        table.add(["a\"} 9\nb", &"\\".repeat(1000), "oom"], false, MINUTE);
        let samples = counted(&mut table, MINUTE);
        let name = "?".repeat(WORKLOAD_LABEL_BYTES_MAX - 3);
        let want = format!("all{{namespace=\"a?}} 9?b\",workload=\"{name}…\",type=\"oom\"}} 1");
        assert_eq!(samples, [want]);
    }
}
