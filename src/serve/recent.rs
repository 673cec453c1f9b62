//! The most recent incidents, kept as the lines that went to the sinks; `/incidents` and the page show them.
//!
//! A line is shared with the sinks' queues, not copied. If there is no room for a new one, older lines are replaced by
//! copies without the node's samples, the oldest first; only when those are spent, the oldest line goes. The ring is
//! not an archive: older incidents are found only where the sinks wrote them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::core::incident::shorten::without_node_samples;
use crate::limits::{RECENT_BYTES_MAX, RECENT_MAX, RECENT_WHOLE_MIN};

/// The ring, shared by the thread that delivers incidents and the HTTP server's threads.
#[derive(Debug)]
pub struct RecentIncidents {
    since: Timestamp,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Arc<[u8]>>,
    /// How many of the oldest lines are as short as they get.
    shortened: usize,
    bytes: usize,
    seen_total: u64,
}

impl Kept {
    /// Makes the line at this place shorter, if it has samples of the node.
    fn shorten(&mut self, at: usize) {
        if let Some(line) = self.lines.get_mut(at)
            && let Some(short) = without_node_samples(line)
        {
            // The words about what is missing may be longer than that was.
            self.bytes = self.bytes - line.len() + short.len();
            *line = Arc::from(short.as_slice());
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.lines.pop_front() {
            self.bytes -= oldest.len();
        }
        self.shortened = self.shortened.saturating_sub(1);
    }
}

/// The content of the ring at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The incidents' lines, oldest first.
    pub lines: Vec<Arc<[u8]>>,
    /// Number of incidents reported since [`Snapshot::since`], including those no longer in the ring.
    pub seen_total: u64,
    /// When the agent started.
    pub since: Timestamp,
}

impl RecentIncidents {
    /// Creates an empty ring for an agent that starts at `since`.
    pub fn new(since: Timestamp) -> Self {
        Self { since, kept: Mutex::default() }
    }

    /// Adds an incident's line, and makes room for it.
    pub fn push(&self, line: Arc<[u8]>) {
        let mut kept = self.lock();
        kept.seen_total += 1;
        kept.bytes += line.len();
        kept.lines.push_back(line);
        while kept.lines.len() > RECENT_MAX {
            kept.drop_oldest();
        }
        while kept.bytes > RECENT_BYTES_MAX {
            let whole = kept.lines.len() - kept.shortened;
            if whole > RECENT_WHOLE_MIN {
                let oldest_whole = kept.shortened;
                kept.shorten(oldest_whole);
                kept.shortened += 1;
            } else {
                kept.drop_oldest();
            }
        }
    }

    /// Returns the content of the ring. The lock is held only for this copy, so a slow reader delays no delivery.
    pub fn snapshot(&self) -> Snapshot {
        let kept = self.lock();
        let lines = kept.lines.iter().cloned().collect();
        Snapshot { lines, seen_total: kept.seen_total, since: self.since }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::INCIDENT_LINE_BYTES_MAX;

    fn push(recent: &RecentIncidents, line: &str) {
        recent.push(line.as_bytes().into());
    }

    fn lines(recent: &RecentIncidents) -> Vec<String> {
        let lines = recent.snapshot().lines;
        lines.iter().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    /// Returns a line of this size, with samples of the node that are a part of it.
    fn full(n: usize, bytes: usize, system_bytes: usize) -> String {
        let system = "1".repeat(system_bytes - 9);
        let line = format!(
            "{{\"id\":\"{n}\",\"telemetry\":{{\"system\":{{\"a\":[{system}]}},\"gaps\":[]}},\"x\":\""
        );
        format!("{line}{:-<width$}\"}}\n", "", width = bytes - line.len() - 3)
    }

    #[test]
    fn the_oldest_goes_when_the_number_is_reached() {
        let recent = RecentIncidents::new(Timestamp::UNIX_EPOCH);
        for n in 0..=RECENT_MAX + 1 {
            push(&recent, &format!("{n}\n"));
        }
        let kept = lines(&recent);
        assert_eq!((kept.len(), kept[0].as_str()), (RECENT_MAX, "2\n"));
        assert_eq!(kept[RECENT_MAX - 1], format!("{}\n", RECENT_MAX + 1));
        assert_eq!(recent.snapshot().seen_total, RECENT_MAX as u64 + 2);
    }

    #[test]
    fn a_hundred_full_incidents_are_kept_and_the_newest_with_all_they_have() {
        let recent = RecentIncidents::new(Timestamp::UNIX_EPOCH);
        for n in 0..500 {
            // The size of a line with all telemetry, and the part of the node's samples, at the default settings.
            push(&recent, &full(n, 13_000, 5_600));
            let kept = lines(&recent);
            assert!(kept.iter().map(String::len).sum::<usize>() <= RECENT_BYTES_MAX);
            assert!(kept.len() == n + 1 || kept.len() >= 100, "{}", kept.len());
            // The oldest are the shorter ones, and there are no more of them than there must be.
            let whole = kept.iter().rev().take_while(|line| line.contains("\"system\"")).count();
            assert!(whole >= RECENT_WHOLE_MIN.min(n + 1), "{whole}");
            assert!(kept.len() == n + 1 || whole == RECENT_WHOLE_MIN, "{whole}");
            let is_short = |line: &String| line.contains("\"gaps\":[\"system: no longer");
            assert!(kept[..kept.len() - whole].iter().all(is_short));
            let newest = format!("{{\"id\":\"{n}\",");
            assert!(kept.last().unwrap().starts_with(&newest));
        }
    }

    #[test]
    fn a_line_that_becomes_longer_without_its_samples_is_counted_as_what_it_is() {
        let recent = RecentIncidents::new(Timestamp::UNIX_EPOCH);
        for n in 0..30_000 {
            push(&recent, &full(n, 13_000, 12));
        }
        let bytes: usize = lines(&recent).iter().map(String::len).sum();
        assert!(bytes <= RECENT_BYTES_MAX, "{bytes}");
    }

    #[test]
    fn the_longest_lines_leave_room_for_fewer_of_them() {
        let recent = RecentIncidents::new(Timestamp::UNIX_EPOCH);
        let most = RECENT_BYTES_MAX / INCIDENT_LINE_BYTES_MAX;
        for n in 0..3 * most {
            push(&recent, &format!("{n:0width$}", width = INCIDENT_LINE_BYTES_MAX));
            let bytes: usize = lines(&recent).iter().map(String::len).sum();
            assert!(bytes <= RECENT_BYTES_MAX, "{bytes}");
        }
        assert_eq!(lines(&recent).len(), most);
        push(&recent, "small");
        assert_eq!(lines(&recent).last().unwrap(), "small");
    }

    #[test]
    fn a_line_is_shared_and_goes_with_the_ring() {
        let recent = RecentIncidents::new(Timestamp::UNIX_EPOCH);
        let line: Arc<[u8]> = b"{}\n".as_slice().into();
        recent.push(line.clone());
        assert!(Arc::ptr_eq(&line, &recent.snapshot().lines[0]));
        for n in 0..RECENT_MAX {
            push(&recent, &n.to_string());
        }
        assert_eq!(Arc::strong_count(&line), 1);
    }
}
