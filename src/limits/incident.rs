//! Limits of what an incident contains.

use std::time::Duration;

use crate::limits::logs::LOG_BYTES_MAX;
use crate::limits::sinks::INCIDENT_REPAIR_BYTES;

/// Maximum length of a Kubernetes event's message in the agent's memory and in the incident (upstream allows 1
/// kB).
pub const EVENT_MESSAGE_BYTES_MAX: usize = 512;

/// Maximum number of pod labels in an incident. Kubernetes recommends six.
pub const LABELS_MAX: usize = 12;

/// Maximum length of a label's name and of its value. Kubernetes allows 317 and 63 bytes; nearly all are short.
pub const LABEL_BYTES_MAX: usize = 64;

/// Maximum size of all labels as the API writes them. If they are larger, none is read.
pub const LABELS_BYTES_MAX: usize = 64 << 10;

/// Maximum size of all owner references as the API writes them. If they are larger, none is read. Pods have
/// one, of 200 bytes. They are read for each incident, and one object may cause hundreds of incidents.
pub const OWNERS_BYTES_MAX: usize = 64 << 10;

/// The number of incidents of one container within [`BRIEF_WITHIN`] from which on its telemetry is brief: a
/// crash loop repeats the same telemetry again and again.
pub const BRIEF_AFTER: usize = 6;

/// The period in which incidents are counted for [`BRIEF_AFTER`].
pub const BRIEF_WITHIN: Duration = Duration::from_secs(3600);

/// Samples of a container in brief telemetry: the last minute at the default interval.
pub const BRIEF_SAMPLES: usize = 12;

/// Log lines in brief telemetry.
pub const BRIEF_LOG_LINES: usize = 5;

/// Maximum number of containers whose crash times are remembered. Each takes about 120 bytes, and a node with
/// more containers in crash loops has other worries.
pub const RECURRENCES_MAX: usize = 2048;

/// Crash times remembered for one container: enough to count to "tenth".
pub const RECURRENCE_TIMES_MAX: usize = 10;

const _: () = assert!(RECURRENCE_TIMES_MAX >= BRIEF_AFTER);

/// The period in which the incident's sentence counts restarts. The backoff of a crash loop is at most five
/// minutes.
pub const RECENT_CRASHES_WITHIN: Duration = Duration::from_secs(600);

/// The number of incidents of one container within [`CRASH_LOOP_WITHIN`] from which on an incident counts as
/// part of a crash loop. One crash may be chance, and a second one its consequence.
pub const CRASH_LOOP_AFTER: usize = 3;

/// The period in which incidents are counted for [`CRASH_LOOP_AFTER`]. The kubelet delays a restart by at most
/// five minutes and resets its backoff once a container ran for ten. A container in backoff therefore
/// terminates at least every fifteen minutes.
pub const CRASH_LOOP_WITHIN: Duration = Duration::from_secs(1800);

const _: () = assert!(CRASH_LOOP_WITHIN.as_secs() <= BRIEF_WITHIN.as_secs());

const _: () = assert!(RECURRENCE_TIMES_MAX >= CRASH_LOOP_AFTER);

/// The period before the termination in which memory growth is measured.
pub const GROWTH_WITHIN: Duration = Duration::from_secs(60);

/// The shortest time over which memory growth is measured: one fast sample.
pub const GROWTH_MIN_SECONDS: f64 = 0.5;

/// Samples that grew by less than this part of the growth after them belong to the time before it. In the sample in
/// which the growth began, it lasted for only a part of the time.
pub const GROWTH_STEADY_PART: f64 = 0.75;

/// The smallest memory growth that the sentence mentions.
pub const GROWTH_MIN_BYTES_PER_SECOND: f64 = 65_536.0;

/// Maximum length of names, reasons, images and IDs in an incident. Kubernetes allows 253 for a name; images
/// are the longest, with 255 and a digest.
pub const NAME_BYTES_MAX: usize = 384;

/// Maximum length of a container's or pod's own message in an incident. A termination message has at most 4 kB,
/// and the line has 16,000 bytes for everything.
pub const STATUS_MESSAGE_BYTES_MAX: usize = 4096;

/// How much is kept of the message of a container that the incident is not about.
pub const OTHER_MESSAGE_BYTES_MAX: usize = 256;

/// The memory of the containers in the description of one pod, which its incidents and the roster share. A line has
/// 16,000 bytes for everything, so more would not be written. About thirty containers fit; the container that an incident
/// is about always has its place.
pub const POD_FACTS_BYTES_MAX: usize = 16 << 10;

/// How much of that message the incident's sentence quotes.
pub const SENTENCE_QUOTE_BYTES_MAX: usize = 200;

/// How many containers the sentence of a reboot names. The line's `metadata.reboot` names more.
pub const REBOOT_NAMES_IN_SENTENCE: usize = 3;

/// Maximum number of Kubernetes events in one incident.
pub const EVENTS_PER_INCIDENT_MAX: usize = 10;

/// Maximum length of an incident line with its newline. Container runtimes split log lines at 16 KiB. Below
/// that a line arrives whole, with some room for what a log pipeline puts around it.
pub const INCIDENT_LINE_BYTES_MAX: usize = 16_000;

const _: () = assert!(INCIDENT_REPAIR_BYTES > INCIDENT_LINE_BYTES_MAX);

const _: () = assert!(LOG_BYTES_MAX < INCIDENT_LINE_BYTES_MAX / 2);

/// Memory of the table of fingerprints that were seen on the node, in bytes. Each takes about 200, so some 300 fit; a node has
/// a few dozen.
pub const SEEN_BYTES_MAX: usize = 64 << 10;

/// A crash this soon after its pod was made makes the sentence say so, if it is the first of its kind: then the pod's release
/// is the first suspect.
pub const NEW_POD_WITHIN: Duration = Duration::from_secs(600);

/// How much of the place of a cause the sentence tells: a file name with a folder or two.
pub const SENTENCE_PLACE_BYTES_MAX: usize = 80;
