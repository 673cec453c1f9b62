//! Limits of the recorder file, which keeps the last minutes of a node that goes down without notice.

use std::time::Duration;

/// The size of a slot, and of the head of the file: a page of the page cache and a block of the file system. A write of
/// one is one block on the disk.
pub const RECORDER_SLOT_BYTES: usize = 4096;

/// The smallest recorder file: a head and 15 slots hold about half an hour.
pub const RECORDER_FILE_BYTES_MIN: u64 = 64 << 10;

/// The largest recorder file. All of its slots are read at the start, and 32 bytes are kept of each meanwhile.
pub const RECORDER_FILE_BYTES_MAX: u64 = 4 << 20;

/// How often the samples of before are written while nothing is wrong: what a power cut can take along. A write is one
/// slot, so 2,880 writes a day are 11.8 MB; some more come from slots that are full before their time.
pub const RECORDER_WRITE_INTERVAL: Duration = Duration::from_secs(30);

/// The most bytes that one agent writes in any 24 hours. Cheap flash storage bears some hundred times its size: a card of
/// 16 GB lasts 200 years at this rate, and still years if the card writes 128 KiB for each slot.
pub const RECORDER_DAY_BYTES_MAX: u64 = 20_000_000;

/// How many slots may be written at once after a quiet time: with a sample each five seconds, seven minutes of trouble
/// are written sample by sample. After that, a slot is written each 18 s.
pub const RECORDER_BURST_SLOTS: u64 = 64;

/// How many slots a new agent may write at once: an agent that starts again and again must not wear out the disk.
pub const RECORDER_START_SLOTS: u64 = 8;

/// Maximum number of samples that wait for a disk that hangs, over a minute of them. Later ones are dropped.
pub const RECORDER_QUEUE_MAX: usize = 16;

/// How many containers are recorded with each sample: half of them those nearest to their limits, the others the busiest.
pub const RECORDER_CONTAINERS: usize = 8;

/// Sequence numbers from here on are not believed. A writer starts below half of it, and needs a hundred thousand years
/// for the rest.
pub const RECORDER_SEQUENCE_MAX: u64 = 1 << 48;

/// How long before the last sample the last minutes begin.
pub const RECORDER_SHOWN: Duration = Duration::from_secs(600);

/// Maximum number of samples that are read of these minutes: more than one a second.
pub const RECORDER_ROWS_READ_MAX: usize = 1024;

/// Maximum number of samples that an incident shows of them: they and the containers take about 8 kB of the line.
pub const RECORDER_ROWS_SHOWN_MAX: usize = 40;

/// How many of those are the newest, without a gap: over a minute. Those before are thinned.
pub const RECORDER_ROWS_NEWEST: usize = 16;

/// Memory is nearly gone below this percentage.
pub const TROUBLE_AVAILABLE_PERCENT: u64 = 5;

/// Memory falls fast if it falls by this percentage of all memory from one sample to the next, and less than
/// [`TROUBLE_FALL_BELOW_PERCENT`] is left.
pub const TROUBLE_FALL_PERCENT: u64 = 5;

/// See [`TROUBLE_FALL_PERCENT`]. With more left, somebody merely started something large.
pub const TROUBLE_FALL_BELOW_PERCENT: u64 = 25;

/// All processes waited for memory for this share of the time: a node that begins to thrash has more.
pub const TROUBLE_MEMORY_FULL_PERCENT: f64 = 5.0;

/// Some process waited for memory for this share of the time.
pub const TROUBLE_MEMORY_SOME_PERCENT: f64 = 20.0;

/// All processes waited for a disk for this share of the time: a disk that hangs has 100. A slow disk under a build has
/// half of that.
pub const TROUBLE_IO_FULL_PERCENT: f64 = 60.0;

/// The fall of available memory is told if less than this part was left at the end.
pub const FALL_TOLD_PART: f64 = 0.5;

/// The fall is told if it was at least this large: nodes with little memory lose some MiB at any time.
pub const FALL_TOLD_BYTES_MIN: f64 = (64 << 20) as f64;

/// The fall began when the memory was last at this part of its peak.
pub const FALL_BEGINS_PART: f64 = 0.9;
