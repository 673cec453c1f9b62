//! The state file, which carries what was delivered over to the next agent, and the thread "state" that writes it.
//!
//! The detection and the sinks change the ledger in memory. Soon after a change the whole ledger is written to
//! disk as one page, atomically.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use log::{info, warn};

use crate::core::case::{Case, IncidentId};
use crate::core::detect::ledger::{self, Ledger, PodEntry, PreviousState};
use crate::core::seen::Seen;
use crate::limits::{STATE_FILE_BYTES_MAX, STATE_RETRY, STATE_WRITE_INTERVAL};
use crate::metrics::heartbeat::Worker;
use crate::metrics::{Metrics, StateWrite};
use crate::runtime::clock::Clock;
use crate::runtime::files::{Links, open_regular, open_regular_with, sync_folder};
use crate::runtime::trouble::Trouble;

/// The ledger, shared between threads.
#[derive(Debug)]
pub struct SharedLedger {
    inner: Mutex<Inner>,
    changed: Condvar,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    is_changed: bool,
    is_closed: bool,
    has_room: bool,
}

impl SharedLedger {
    /// Makes the ledger usable by several threads.
    pub fn new(ledger: Ledger, seen: Arc<Mutex<Seen>>) -> Self {
        let inner = Inner { ledger, is_changed: false, is_closed: false, has_room: true };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), seen }
    }

    /// Calls [`Ledger::keep`]; warns at the first pod for which the ledger has no room.
    pub fn keep(&self, entry: PodEntry) {
        let mut inner = self.change();
        let fits = inner.ledger.keep(entry);
        if !fits && std::mem::replace(&mut inner.has_room, false) {
            warn!(
                "the state file has no room for all containers: after a restart the agent may \
                 report some crashes twice"
            );
        }
    }

    /// Calls [`Ledger::forget`].
    pub fn forget(&self, key: &str) {
        self.change().ledger.forget(key);
    }

    /// Calls [`Ledger::set_boot`].
    pub fn set_boot(&self, boot_id: &str) {
        self.change().ledger.set_boot(boot_id);
    }

    /// Calls [`Ledger::set_partial`].
    pub fn set_partial(&self) {
        self.change().ledger.set_partial();
    }

    /// Calls [`Ledger::stop`].
    pub fn stop(&self, now: Timestamp) {
        self.change().ledger.stop(now);
    }

    /// Calls [`Ledger::complete`].
    pub fn complete(&self) {
        self.change().ledger.complete();
    }

    /// Records that the incident is on its way to the sinks.
    pub fn open(&self, case: &Case) {
        let ends = case.terminations();
        // No write is due: an incident still on its way does not count as delivered.
        self.lock().ledger.open(case.id, case.pod.key(), case.container_name(), ends);
    }

    /// Records that every sink has written or dropped the incident.
    pub fn settle(&self, id: IncidentId) {
        self.change().ledger.settle(id);
    }

    /// Shuts the writer down after the sinks have finished: it writes the last page and returns.
    pub fn close(&self) {
        self.change().is_closed = true;
    }

    fn change(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        inner.is_changed = true;
        self.changed.notify_one();
        inner
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; returns the page and whether it is the last one.
    fn next_page(&self, clock: Clock) -> (Option<String>, bool) {
        let inner = self.lock();
        let mut inner = self
            .changed
            .wait_while(inner, |inner| !inner.is_changed)
            .unwrap_or_else(PoisonError::into_inner);
        inner.is_changed = false;
        let is_closed = inner.is_closed;
        // Nobody waits for one of the locks under the other.
        drop(inner);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).entries();
        (self.lock().ledger.page(clock.wall(), seen), is_closed)
    }

    /// Waits for this duration, or until the ledger is closed; returns true if it is closed.
    fn pause(&self, duration: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), duration, |i| !i.is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }
}

/// Writes a page after each change, at most one per [`STATE_WRITE_INTERVAL`], until the ledger is closed.
pub fn run(ledger: &SharedLedger, path: &Path, metrics: &Metrics, clock: Clock) {
    let mut trouble = Trouble::new(module_path!(), "BLACKBOX_STATE_FILE");
    loop {
        let (page, is_last) = ledger.next_page(clock);
        let mut pause = STATE_WRITE_INTERVAL;
        let busy = metrics.heartbeats.busy(Worker::State);
        let written = page.map(|page| write(path, &page));
        drop(busy);
        match written {
            None => {}
            Some(Ok(())) => {
                metrics.state_writes.add(StateWrite::Ok);
                trouble.over("the agent can write the state file again");
            }
            Some(Err(error)) => {
                metrics.state_writes.add(StateWrite::Error);
                let path = path.display();
                trouble.warn(&format!(
                    "cannot write {path} ({error}): after a restart the agent may report some \
                     crashes twice"
                ));
                // Retry even if nothing changes in the meantime.
                ledger.lock().is_changed = true;
                pause = STATE_RETRY;
            }
        }
        if is_last {
            return;
        }
        ledger.pause(pause);
    }
}

/// Writes the page to a second file and renames it over the first, so the path always names a complete page.
fn write(path: &Path, page: &str) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = open_regular_with(options, &new, Links::Refuse)?;
    file.write_all(page.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(path);
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Reads the state an earlier agent left. An unusable file is renamed and logged. Returns `None` if there is no
/// usable state.
pub fn read(path: &Path, node_name: &str) -> Option<PreviousState> {
    let why = match read_page(path) {
        Ok(None) => return None,
        Ok(Some(bytes)) if bytes.len() as u64 > STATE_FILE_BYTES_MAX => {
            format!("it is larger than {STATE_FILE_BYTES_MAX} bytes")
        }
        Ok(Some(bytes)) => match ledger::parse(&bytes, node_name) {
            Ok(left) => {
                info!("{}: the agent read the state of {} pods", path.display(), left.pods.len());
                return Some(left);
            }
            Err(unusable) => unusable.to_string(),
        },
        Err(error) => {
            warn!("BLACKBOX_STATE_FILE: cannot read {}: {error}; {INSTEAD}", path.display());
            return None;
        }
    };
    let aside = beside(path, ".unusable");
    let kept = match fs::rename(path, &aside) {
        Ok(()) => format!("the agent renamed it to {}", aside.display()),
        Err(error) => format!("the agent cannot rename it ({error}) and will overwrite it"),
    };
    warn!("BLACKBOX_STATE_FILE: {} cannot be used: {why}; {kept}; {INSTEAD}", path.display());
    None
}

const INSTEAD: &str = "the agent reports the crashes within BLACKBOX_LOOKBACK instead";

/// Reads the file, but at most one byte more than the limit, so that the caller can detect a file that is too large.
fn read_page(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match open_regular(path, Links::Follow) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(STATE_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
