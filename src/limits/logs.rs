//! The last lines of a dead container.

/// What is read of a log file's end. Five hundred lines of half a kilobyte; a container may write
/// gigabytes, and the file before it is read as well where this one is short.
pub const LOG_TAIL_BYTES_MAX: usize = 256 << 10;

/// What is kept of one line while its parts are joined, as the container wrote it. Runtimes cut at
/// 16 KiB, so that a line in one part is never cut here; what is shown of it is far less.
pub const LOG_JOIN_BYTES_MAX: usize = 16 << 10;

/// What is shown of one log line, in bytes of its readable form: a structured line with a stack trace
/// in it has one or two kilobytes, and at least two of the longest have to fit.
pub const LOG_LINE_BYTES_MAX: usize = 2 << 10;

/// Log lines in one incident, in bytes of the incident line, quotes and times included. The rest of
/// the 16,000 is for the facts, the containers, the events and the samples.
pub const LOG_BYTES_MAX: usize = 6 << 10;

// Every byte of a line may need a backslash in JSON, and some 70 stand around it.
const _: () = assert!(2 * LOG_LINE_BYTES_MAX + 128 <= LOG_BYTES_MAX);

const _: () = assert!(LOG_LINE_BYTES_MAX < LOG_JOIN_BYTES_MAX);

/// Entries of a container's log folder that are looked at: five files for each of the instances kept
/// (the kubelet's default), and 50 where an operator keeps more.
pub const LOG_FOLDER_ENTRIES_MAX: usize = 1024;

/// How often a log file is opened anew that was replaced between being looked at and being opened:
/// the kubelet rotates once in ten seconds at most.
pub const LOG_OPEN_TRIES_MAX: usize = 3;

/// The longest name on the way to a log file. File systems allow 255 bytes.
pub const LOG_NAME_BYTES_MAX: usize = 255;

/// Lines of a private key behind its first one that are masked while its end does not come: a key of
/// 16,384 bits has 200.
pub const MASK_KEY_LINES_MAX: usize = 256;

/// How far the `@` of a URL may be from its `://`, for a password before it to be masked. It keeps
/// the time for a line of nothing but `://` in bounds.
pub const MASK_USERINFO_BYTES_MAX: usize = 512;
