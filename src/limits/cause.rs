//! Limits for finding the cause of a crash in a container's last words.

/// How many log lines, the newest, are searched. Of 488 real crashes the cause lay farther from the end in none but
/// dumps of all goroutines.
pub const CAUSE_LINES_MAX: usize = 2000;

/// How many bytes of these lines are searched: as much as is read of a log file.
pub const CAUSE_TEXT_BYTES_MAX: usize = 256 << 10;

/// How much of one line is searched. What a program says about its end stands at the line's start; a JSON record with the
/// request that failed has tens of kilobytes.
pub const CAUSE_LINE_BYTES_MAX: usize = 64 << 10;

/// How much of a line is examined for what stands before the message: time, level, thread, logger.
pub const CAUSE_PREFIX_BYTES_MAX: usize = 256;

/// How much of a line is searched for a place in a file, the file name included. The kernel's longest path has as much.
pub const CAUSE_FILE_BYTES_MAX: usize = 4096;

/// How many parts of such a prefix are taken off. Spring's has eight.
pub const CAUSE_PREFIX_PARTS_MAX: usize = 14;

/// Maximum length of the cause's message. The sentence quotes less.
pub const CAUSE_MESSAGE_BYTES_MAX: usize = 400;

/// Maximum length of the cause's error type. The longest class names have a hundred bytes.
pub const CAUSE_TYPE_BYTES_MAX: usize = 128;

/// Maximum length of the cause's location.
pub const CAUSE_LOCATION_BYTES_MAX: usize = 192;

/// Maximum length of the log line that is quoted with the cause.
pub const CAUSE_LINE_QUOTE_BYTES_MAX: usize = 256;

/// How many lines before a stack trace may belong to its headline: a message of several lines.
pub const CAUSE_HEADLINE_LINES_MAX: usize = 12;

/// How far from the end a logged error may be that nothing else speaks for. A program that goes on for longer got over it.
pub const CAUSE_ERROR_WITHIN_LINES: usize = 25;

/// How far from the end, or from the line that says that the program gives up, a logged stack trace may be.
pub const CAUSE_TRACE_WITHIN_LINES: usize = 60;

/// How far from the end a crash may be that nothing else speaks for: threads that live on, and dumps at the end. A program that
/// says more than this after it goes on.
pub const CAUSE_CRASH_WITHIN_LINES: usize = 200;

/// Lines that were written within this time, in milliseconds, tell of one thing: a program that ends writes what it has kept for
/// its streams, and its threads stop.
pub const CAUSE_MOMENT_MS: i64 = 2000;

/// A program that was asked to stop within this time after an error, in milliseconds, sent the signal to itself.
pub const CAUSE_OWN_SIGNAL_MS: i64 = 500;

/// How many lines of its progress a program writes in one moment between two errors that have nothing to do with each other. A
/// program that ends writes fewer.
pub const CAUSE_WORK_LINES: usize = 10;

/// Lines of one stream that are this close together tell one thing, and the first of them tells most.
pub const CAUSE_CLUSTER_LINES: usize = 5;

/// How deep the members of a JSON record are searched for the error.
pub const CAUSE_RECORD_DEPTH_MAX: usize = 5;

/// How many members of a JSON record are searched for the error.
pub const CAUSE_RECORD_MEMBERS_MAX: usize = 256;

/// How many JSON records of level error or worse are read in full, from the end of the log.
pub const CAUSE_RECORDS_MAX: usize = 16;

/// How many lines of a stack trace are searched for the call that logged a record: it is above all but the logger's own.
pub const CAUSE_LOGGING_CALL_LINES_MAX: usize = 64;

/// How much of a message its template is made of.
pub const TEMPLATE_BYTES_MAX: usize = 512;

/// How many words a template has at most.
pub const TEMPLATE_WORDS_MAX: usize = 24;

/// How many bytes of these records are read in full. The last one, which tells most, may take nearly all of it.
pub const CAUSE_RECORD_BYTES_MAX: usize = CAUSE_LINE_BYTES_MAX + 1;

/// How many lines of stack traces within these records are searched in all. The JVM prints 1,024 frames of an error.
pub const CAUSE_RECORD_LINES_MAX: usize = 1200;

/// How much of each end of a text is put into one line: far more than the cause keeps of it.
pub const CAUSE_ENDS_BYTES_MAX: usize = 2048;

/// How much of the end of a container's log the kubelet takes for a termination message (`MaxContainerTerminationMessageLogLength`).
pub const TERMINATION_LOG_BYTES: usize = 2048;
