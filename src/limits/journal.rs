//! Limits of what is read of the node's system journal.

use std::time::Duration;

/// Maximum number of reads in one round. An entry of the kernel takes a read for itself and one for each of its 8 to 20
/// fields, so this is enough for a full round of [`JOURNAL_ENTRIES_PER_ROUND_MAX`] of them.
pub const JOURNAL_READS_PER_ROUND_MAX: u32 = 8192;

/// Maximum number of bytes read in one round. A read of an entry has about a kilobyte, one of a field half of that.
pub const JOURNAL_BYTES_PER_ROUND_MAX: u32 = 6 << 20;

/// Maximum number of lines returned from one round. The kernel writes a hundred lines about one OOM kill.
pub const JOURNAL_ENTRIES_PER_ROUND_MAX: usize = 256;

/// Maximum number of the kernel's newest lines that are looked at in a file that was not followed from its start: ten
/// OOM kills, or the end of a boot.
pub const JOURNAL_NEWEST_MAX: u64 = 1024;

/// The largest header. systemd 257 writes 272 bytes; each version adds a few.
pub const JOURNAL_HEADER_BYTES_MAX: u64 = 4096;

/// The largest table of field names, in bytes. systemd makes 333 (until version 252) or 1,023 buckets of 16 bytes.
pub const JOURNAL_FIELD_TABLE_BYTES_MAX: u64 = 64 << 10;

/// Maximum number of field names that are looked at to find the one of the transport. A node's journal has some 150
/// names, and services may add their own.
pub const JOURNAL_FIELDS_MAX: u32 = 2048;

/// Maximum number of values of the transport's field that are looked at. There are six: audit, driver, journal, kernel,
/// stdout, syslog.
pub const JOURNAL_TRANSPORTS_MAX: u32 = 16;

/// Maximum number of arrays in the list of the kernel's entries. Each is twice as large as the one before it, so 64
/// hold more than a file can.
pub const JOURNAL_ARRAYS_MAX: u32 = 64;

/// Maximum number of fields of one entry. The kernel's have 8, and up to 20 more if they name a device.
pub const JOURNAL_ITEMS_MAX: usize = 64;

/// The longest field of an entry that is read. The kernel cuts its lines at about a kilobyte
/// (`PRINTKRB_RECORD_MAX`).
pub const JOURNAL_FIELD_BYTES_MAX: usize = 2 << 10;

/// How much of a field is read at once. Fields from 512 bytes on are compressed, and the head before the text has at
/// most 72, so one read is enough for almost all.
pub const JOURNAL_FIELD_BYTES_READ: usize = 600;

const _: () = assert!(JOURNAL_FIELD_BYTES_READ <= JOURNAL_FIELD_BYTES_MAX);

/// Maximum number of files of the system journal that are compared. journald keeps a hundred (`SystemMaxFiles`).
pub const JOURNAL_FILES_MAX: usize = 256;

/// How often the agent looks for new files of the journal. One that replaces the file that is read is found at once.
pub const JOURNAL_SEARCHED_EVERY: Duration = Duration::from_secs(60);
