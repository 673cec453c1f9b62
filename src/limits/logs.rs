//! Limits for the last log lines of a dead container.

/// How much is read from the end of a log file: five hundred lines of half a kilobyte. A container may write
/// gigabytes. If this file is short, the rotated file before it is read as well.
pub const LOG_TAIL_BYTES_MAX: usize = 256 << 10;

/// How many bytes of one line, as the container wrote it, are kept while its parts are joined. Runtimes split
/// at 16 KiB, so a line in one part is never cut here; much less of it is shown. A JSON record is only understood whole.
pub const LOG_JOIN_BYTES_MAX: usize = 64 << 10;

/// How much of one log line is shown, in bytes of its readable form. A structured line with a stack trace has
/// one or two kilobytes, and at least two of the longest lines have to fit.
pub const LOG_LINE_BYTES_MAX: usize = 2 << 10;

/// Space for log lines in one incident, in bytes of the incident line, including quotes and times. The rest of
/// the 16,000 bytes is for the facts, the containers, the events and the samples.
pub const LOG_BYTES_MAX: usize = 6 << 10;

// Every byte of a line may need a backslash in JSON, and some 70 bytes surround the line.
const _: () = assert!(2 * LOG_LINE_BYTES_MAX + 128 <= LOG_BYTES_MAX);

const _: () = assert!(LOG_LINE_BYTES_MAX < LOG_JOIN_BYTES_MAX);

/// Maximum number of entries read from a container's log folder: five files for each retained instance (the
/// kubelet's default), and 50 where an operator keeps more.
pub const LOG_FOLDER_ENTRIES_MAX: usize = 1024;

/// How often opening a log file is tried if the file is replaced between being examined and being opened. The
/// kubelet rotates at most once in ten seconds.
pub const LOG_OPEN_TRIES_MAX: usize = 3;

/// The longest name in the path to a log file. File systems allow 255 bytes.
pub const LOG_NAME_BYTES_MAX: usize = 255;

/// How many lines after the first line of a private key are masked while the end marker of the key is missing.
/// A key of 16,384 bits has 200.
pub const MASK_KEY_LINES_MAX: usize = 256;

/// How far the `@` of a URL may be from its `://` for a password before the `@` to be masked. This bounds the
/// time spent on a line that consists only of `://`. It also bounds how far the text of an XML element is read.
pub const MASK_USERINFO_BYTES_MAX: usize = 512;

/// How much of a value decides whether it is a credential: a sentence of a few dozen words. What is decided is then
/// masked to its end, however far that is, so each byte is read a bounded number of times.
pub const MASK_VALUE_BYTES_MAX: usize = 256;

/// How much of one word decides what the word looks like.
pub const MASK_WORD_BYTES_MAX: usize = 128;

/// How often a line is read again after something in it was masked, until nothing more is. Twice is enough for all
/// but random bytes.
pub const MASK_ROUNDS_MAX: usize = 4;

/// How many words of a value decide whether it is a sentence or a passphrase.
pub const MASK_PHRASE_WORDS_MAX: usize = 16;
