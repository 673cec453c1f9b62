//! The most recent incidents, kept as the lines that went to the sinks; `/incidents` and the page show them.
//!
//! A line is shared with the sinks' queues, not copied. The ring is not an archive: older incidents are found
//! only where the sinks wrote them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::limits::{RECENT_BYTES_MAX, RECENT_MAX};
use crate::sinks::Delivery;

/// The ring, shared by the thread that delivers incidents and the HTTP server's threads.
#[derive(Debug)]
pub struct RecentIncidents {
    since: Timestamp,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    items: VecDeque<Arc<Delivery>>,
    bytes: usize,
    seen_total: u64,
}

/// The content of the ring at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The incidents, oldest first.
    pub items: Vec<Arc<Delivery>>,
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

    /// Adds an incident; the oldest ones are removed when there is no room.
    pub fn push(&self, delivery: Arc<Delivery>) {
        let mut kept = self.lock();
        kept.seen_total += 1;
        kept.bytes += delivery.line.len();
        kept.items.push_back(delivery);
        while kept.items.len() > RECENT_MAX || kept.bytes > RECENT_BYTES_MAX {
            match kept.items.pop_front() {
                Some(oldest) => kept.bytes -= oldest.line.len(),
                None => break,
            }
        }
    }

    /// Returns the content of the ring. The lock is held only for this copy, so a slow reader delays no delivery.
    pub fn snapshot(&self) -> Snapshot {
        let kept = self.lock();
        let items = kept.items.iter().cloned().collect();
        Snapshot { items, seen_total: kept.seen_total, since: self.since }
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
        recent.push(Arc::new(Delivery::of_line(line, 1)));
    }

    fn lines(recent: &RecentIncidents) -> Vec<String> {
        let items = recent.snapshot().items;
        items.iter().map(|item| String::from_utf8(item.line.to_vec()).unwrap()).collect()
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
        let delivery = Arc::new(Delivery::of_line("{}\n", 1));
        recent.push(delivery.clone());
        assert!(Arc::ptr_eq(&delivery, &recent.snapshot().items[0]));
        for n in 0..RECENT_MAX {
            push(&recent, &n.to_string());
        }
        assert_eq!(Arc::strong_count(&delivery), 1);
    }
}
