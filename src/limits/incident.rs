//! What an incident holds.

use std::time::Duration;

use crate::limits::logs::LOG_BYTES_MAX;
use crate::limits::sinks::INCIDENT_REPAIR_BYTES;

/// A Kubernetes event's message in the agent's memory and in the incident (upstream allows 1 kB).
pub const EVENT_MESSAGE_BYTES_MAX: usize = 512;

/// Labels of a pod that an incident carries: those that Kubernetes recommends are six.
pub const LABELS_MAX: usize = 12;

/// Of a label's name and of its value: Kubernetes allows 317 and 63, and nearly all are short.
pub const LABEL_BYTES_MAX: usize = 64;

/// Of all labels as the API writes them; past that none is read.
pub const LABELS_BYTES_MAX: usize = 64 << 10;

/// Of all owners as the API writes them; past that none is read. Pods have one, of 200 bytes. They are read
/// for each incident, of which one object may hold hundreds.
pub const OWNERS_BYTES_MAX: usize = 64 << 10;

/// From this incident of one container on within [`BRIEF_WITHIN`], its telemetry is brief: a crash loop
/// says the same again and again.
pub const BRIEF_AFTER: usize = 6;

/// See [`BRIEF_AFTER`].
pub const BRIEF_WITHIN: Duration = Duration::from_secs(3600);

/// Samples of a container in brief telemetry: the last minute at the default interval.
pub const BRIEF_SAMPLES: usize = 12;

/// Log lines in brief telemetry.
pub const BRIEF_LOG_LINES: usize = 5;

/// Containers of which it is known when they crashed: each takes about 120 bytes, and a node that has
/// more of them in crash loops has other worries.
pub const RECURRENCES_MAX: usize = 2048;

/// Crashes of one container of which it is known when they were: enough to count to "tenth".
pub const RECURRENCE_TIMES_MAX: usize = 10;

const _: () = assert!(RECURRENCE_TIMES_MAX >= BRIEF_AFTER);

/// The time in which the sentence counts restarts: a crash loop's back-off is at most five minutes.
pub const RESTARTS_TOLD_WITHIN: Duration = Duration::from_secs(600);

/// From this incident of one container on within [`CRASH_LOOP_WITHIN`] it counts as one of a crash loop:
/// one crash may be chance, and a second one its consequence.
pub const CRASH_LOOP_AFTER: usize = 3;

/// See [`CRASH_LOOP_AFTER`]: the kubelet waits at most five minutes, and forgets that it waited once a
/// container ran for ten. Whatever it holds back thus ends each fifteen minutes or more often.
pub const CRASH_LOOP_WITHIN: Duration = Duration::from_secs(1800);

const _: () = assert!(CRASH_LOOP_WITHIN.as_secs() <= BRIEF_WITHIN.as_secs());

const _: () = assert!(RECURRENCE_TIMES_MAX >= CRASH_LOOP_AFTER);

/// The time before the end in which the memory's growth is looked at.
pub const GROWTH_WITHIN: Duration = Duration::from_secs(60);

/// Growth that is worth a word.
pub const GROWTH_MIN_BYTES_PER_SECOND: f64 = 65_536.0;

/// Names, reasons, images and IDs in an incident. Kubernetes allows 253 for a name; images are the
/// longest, at 255 and a digest.
pub const NAME_BYTES_MAX: usize = 384;

/// A container's or pod's own message in an incident: a termination message is 4 kB at most, and
/// the line has 16,000 bytes for everything.
pub const STATUS_MESSAGE_BYTES_MAX: usize = 4096;

/// What the sentence quotes of it.
pub const SENTENCE_QUOTE_BYTES_MAX: usize = 200;

/// Kubernetes events in one incident.
pub const EVENTS_PER_INCIDENT_MAX: usize = 10;

/// An incident line with its newline. Container runtimes split log lines at 16 KiB; below that a
/// line arrives whole, with some room for what a log pipeline puts around it.
pub const INCIDENT_LINE_BYTES_MAX: usize = 16_000;

const _: () = assert!(INCIDENT_REPAIR_BYTES > INCIDENT_LINE_BYTES_MAX);

const _: () = assert!(LOG_BYTES_MAX < INCIDENT_LINE_BYTES_MAX / 2);
