//! The kernel's log in the node's files: the system journal, or where there is none, a file of a syslog daemon.
//!
//! A thread of its own follows the files ([`run`]), because a read from a failing disk may hang, and then the kernel has
//! most to say. It keeps what matters of the last minutes ([`KernelRecord`]). A thread that reports an incident asks it
//! for one more round, since the line about the crash may be a moment old, and waits a moment at most
//! ([`KernelLog::words`]).
//!
//! The journal has everything that the node's services log. Only the kernel's entries are read.

mod ending;
mod journal;
mod plain;
mod pstore;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::core::case::{Gap, Part};
use crate::core::detect::reboot::BootEnd;
use crate::core::journal::{Id, Progress};
use crate::core::kernel::{Ended, KernelRecord, KernelWords, Origin, TroubleOf};
use crate::limits::{KERNEL_LOG_ASKED_MAX, KERNEL_LOG_INTERVAL, KERNEL_LOG_ROUNDS_MAX};
use crate::metrics::Metrics;
use crate::metrics::heartbeat::Worker;
use crate::runtime::clock::Clock;
use crate::runtime::trouble::Trouble;

pub use self::ending::LastBoot;
use self::journal::JournalFiles;
pub use self::journal::newest as newest_journal;
use self::plain::PlainFile;
pub use self::plain::first as first_plain;

/// A line of the kernel, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its time in microseconds since 1970.
    pub at_us: u64,
    /// The kernel's text.
    pub text: String,
    /// Who may write such a line.
    pub origin: Origin,
}

/// What the kernel's log said, shared by the thread that follows it and those that report incidents.
#[derive(Debug, Default)]
pub struct KernelLog {
    state: Mutex<State>,
    /// Notified when a round is asked for, and when one is over.
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    record: KernelRecord,
    /// How many rounds were asked for.
    asked: u64,
    /// The last of them that is over.
    served: u64,
    /// True if somebody waited for a round in vain, and none is over since: the thread may hang in a read.
    is_hanging: bool,
    /// True if no folder was named, so that nobody follows a log.
    is_off: bool,
    /// Why there is no log.
    trouble: Option<String>,
    /// How the boot before this one ended, once it was looked for.
    boot_end: Option<BootEnd>,
}

impl KernelLog {
    /// Returns what the log says about this end, and why it says nothing if it cannot be read. Waits at most
    /// [`KERNEL_LOG_ASKED_MAX`] for a round that begins now, and not at all if somebody did so in vain a moment ago.
    pub fn words(&self, ended: &Ended<'_>, window: Duration) -> (KernelWords, Option<Gap>) {
        let mut state = self.lock();
        if state.is_off {
            return (KernelWords::default(), None);
        }
        state.asked += 1;
        let wanted = state.asked;
        self.news.notify_all();
        if !state.is_hanging {
            let waits = |state: &mut State| state.served < wanted;
            let waited = self.news.wait_timeout_while(state, KERNEL_LOG_ASKED_MAX, waits);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.is_hanging = state.served < wanted;
        }
        let why = match &state.trouble {
            Some(trouble) => Some(trouble.clone()),
            None if state.served < wanted => Some("its files could not be read in time".to_owned()),
            None => None,
        };
        (state.record.words(ended, window), why.map(|why| Gap::new(Part::KernelLog, why)))
    }

    /// Returns the trouble of the node in the `window` before that time, as far as it was read.
    pub fn troubles(&self, at: Timestamp, window: Duration) -> Vec<TroubleOf> {
        self.lock().record.troubles(at, window)
    }

    /// Returns how the boot before this one ended. `None` until that was looked for.
    pub fn boot_end(&self) -> Option<BootEnd> {
        self.lock().boot_end.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the kernel's log is, and which boot is to be read.
#[derive(Clone, Debug)]
pub struct KernelLogSource {
    /// The folders in which logs are looked for (`BLACKBOX_KERNEL_LOG`).
    pub folders: Vec<PathBuf>,
    /// The folder with what the firmware kept of a kernel that panicked (`BLACKBOX_PSTORE`).
    pub pstore: Option<PathBuf>,
    /// The boot that the node runs in. Lines of others are left out.
    pub boot_id: Option<Id>,
    /// What is known about the boot before.
    pub last_boot: Option<LastBoot>,
}

/// Looks how the boot before ended, and then follows the log for ever.
pub fn run(log: &KernelLog, source: &KernelLogSource, metrics: &Metrics, clock: Clock) {
    let boot_end = ending::look(source);
    {
        let mut state = log.lock();
        state.boot_end = Some(boot_end);
        state.is_off = source.folders.is_empty();
    }
    while source.folders.is_empty() {
        // A thread that ends would end the agent.
        std::thread::park();
    }
    let mut follower = Follower::new(source.clone());
    let mut trouble = Trouble::new(module_path!(), "kernel log");
    loop {
        let serving = log.lock().asked;
        let busy = metrics.heartbeats.busy(Worker::Kernel);
        let mut lines = Vec::new();
        let read = follower.read(clock.monotonic(), clock.wall(), &mut lines);
        drop(busy);
        metrics.kernel_log_skipped.store(follower.skipped(), Ordering::Relaxed);
        match &read {
            Ok(_) => trouble.over("it can be read"),
            Err(why) => trouble.warn(why),
        }
        let mut state = log.lock();
        for line in &lines {
            state.record.on_line(line.at_us, &line.text, line.origin);
        }
        state.record.on_time(micros(clock.wall()));
        state.is_hanging = false;
        state.served = serving;
        state.trouble = read.as_ref().err().cloned();
        log.news.notify_all();
        if matches!(read, Ok(Progress::More)) {
            continue;
        }
        let is_idle = |state: &mut State| state.asked == serving;
        // The lock is given back while it waits.
        drop(log.news.wait_timeout_while(state, KERNEL_LOG_INTERVAL, is_idle));
    }
}

/// Reads the log's files, round by round.
#[derive(Debug)]
struct Follower {
    source: KernelLogSource,
    journal: JournalFiles,
    plain: Option<PlainFile>,
}

impl Follower {
    fn new(source: KernelLogSource) -> Self {
        Self { source, journal: JournalFiles::default(), plain: None }
    }

    /// Reads what is new. The error is a text for the operator.
    fn read(
        &mut self,
        now: Duration,
        wall: Timestamp,
        lines: &mut Vec<LogLine>,
    ) -> Result<Progress, String> {
        let folders = &self.source.folders;
        for _ in 0..KERNEL_LOG_ROUNDS_MAX {
            match self.journal.read(folders, self.source.boot_id, now, lines) {
                Some(Ok(Progress::More)) => {}
                Some(read) => {
                    self.plain = None;
                    return read;
                }
                None => return self.read_plain(wall, lines),
            }
        }
        Ok(Progress::More)
    }

    /// Reads a file of a syslog daemon, because there is no journal.
    fn read_plain(
        &mut self,
        wall: Timestamp,
        lines: &mut Vec<LogLine>,
    ) -> Result<Progress, String> {
        if self.plain.is_none() {
            let plain = PlainFile::open_first(&self.source.folders);
            self.plain = Some(plain.map_err(|why| self.journal.why().cloned().unwrap_or(why))?);
        }
        let Some(plain) = &mut self.plain else { return Ok(Progress::Done) };
        let read = plain.read(micros(wall), lines);
        if read.is_err() {
            self.plain = None;
        }
        read
    }

    fn skipped(&self) -> u64 {
        self.journal.skipped()
    }
}

fn micros(at: Timestamp) -> u64 {
    at.as_microsecond().try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests;
