//! The recorder file, and the thread "recorder" that writes it: a disk that hangs holds up no other thread.
//!
//! The file has its full size from the start, filled with zeros, so that a write changes one block in place: it needs no
//! room on a full disk, and the file system's own tables stay as they are. Nothing is renamed.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use log::warn;

use crate::core::recorder::{Block, Head, LastMinutes, Recorder, Sample, SlotIndex, key};
use crate::limits::{RECORDER_FILE_BYTES_MAX, RECORDER_QUEUE_MAX, RECORDER_SLOT_BYTES};
use crate::metrics::Metrics;
use crate::metrics::heartbeat::Worker;
use crate::runtime::clock::Clock;
use crate::runtime::files::{Links, file_id, open_regular_with, sync_folder};
use crate::runtime::trouble::Trouble;

const SLOT: u64 = RECORDER_SLOT_BYTES as u64;

/// The recorder file.
#[derive(Debug)]
pub struct RecorderFile {
    path: PathBuf,
    bytes: u64,
    head: Head,
    /// The key of the present boot.
    boot: u64,
    open: Option<File>,
    trouble: Trouble,
    metrics: Arc<Metrics>,
}

impl RecorderFile {
    /// Creates the file at this path with this size. Opens nothing.
    pub fn new(
        path: &Path,
        bytes: u64,
        node_name: &str,
        boot_id: &str,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            bytes: bytes / SLOT * SLOT,
            head: Head { node: key(node_name) },
            boot: key(boot_id),
            open: None,
            trouble: Trouble::new(module_path!(), "BLACKBOX_RECORDER_FILE"),
            metrics,
        }
    }

    /// Opens the file and reads what earlier agents left. If that fails, it is logged, and tried again with the next
    /// sample.
    pub fn start(&mut self, clock: Clock) -> (Recorder, Option<LastMinutes>) {
        let (index, minutes) = self.open().unwrap_or_default();
        let slots = u32::try_from(self.bytes / SLOT - 1).unwrap_or(u32::MAX);
        (Recorder::new(self.boot, slots, &index, clock.monotonic()), minutes)
    }

    /// `None`: the file cannot be opened, which was counted and logged.
    fn open(&mut self) -> Option<(SlotIndex, Option<LastMinutes>)> {
        match self.try_open() {
            Ok(read) => Some(read),
            Err(error) => {
                self.note(&error);
                None
            }
        }
    }

    fn try_open(&mut self) -> io::Result<(SlotIndex, Option<LastMinutes>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = open_regular_with(options, &self.path, Links::Refuse)?;
        let len = file.metadata()?.len();
        let is_own = read(&file, 0).is_some_and(|block| Head::decode(&block) == Some(self.head));
        let mut index = SlotIndex::default();
        if is_own {
            let blocks = len.min(RECORDER_FILE_BYTES_MAX) / SLOT;
            for place in 0..u32::try_from(blocks).unwrap_or(0).saturating_sub(1) {
                if let Some(block) = read(&file, place + 1) {
                    index.note(place, &block);
                }
            }
        }
        let minutes = index.last_minutes(self.boot, |place| read(&file, place.checked_add(1)?));
        if !is_own || len != self.bytes || index.is_exhausted() {
            if len > 0 {
                let path = self.path.display();
                warn!(
                    "{path}: it is no recorder file of this node with {} bytes; the agent writes \
                     it anew",
                    self.bytes
                );
            }
            self.initialise(&file)?;
            index = SlotIndex::default();
        }
        self.open = Some(file);
        Ok((index, minutes))
    }

    /// Writes an empty file. Its head comes last: without it, the next agent does the same again.
    fn initialise(&self, file: &File) -> io::Result<()> {
        let mut block: Box<Block> = Box::new([0; RECORDER_SLOT_BYTES]);
        file.set_len(self.bytes)?;
        for at in (0..self.bytes).step_by(RECORDER_SLOT_BYTES) {
            file.write_all_at(&block[..], at)?;
        }
        file.sync_all()?;
        self.head.encode(&mut block);
        file.write_all_at(&block[..], 0)?;
        file.sync_data()?;
        sync_folder(&self.path);
        self.metrics.recorder_bytes.fetch_add(self.bytes + SLOT, Ordering::Relaxed);
        Ok(())
    }

    /// Returns true if the path still names the open file, with its size.
    fn is_current(&self) -> bool {
        let Some(file) = &self.open else { return false };
        let (Ok(held), Ok(named)) = (file.metadata(), fs::symlink_metadata(&self.path)) else {
            return false;
        };
        file_id(&held) == file_id(&named) && held.len() == self.bytes
    }

    /// Writes a slot; returns true if it is on the disk.
    fn write(&mut self, place: u32, block: &Block) -> bool {
        let Some(file) = &self.open else { return false };
        let at = (u64::from(place) + 1) * SLOT;
        let written = file.write_all_at(block, at).and_then(|()| file.sync_data());
        self.metrics.recorder_bytes.fetch_add(SLOT, Ordering::Relaxed);
        match &written {
            Ok(()) => self.trouble.over("the agent can write the recorder file again"),
            Err(error) => {
                self.open = None;
                self.note(error);
            }
        }
        written.is_ok()
    }

    fn note(&mut self, error: &io::Error) {
        self.metrics.recorder_errors.fetch_add(1, Ordering::Relaxed);
        let path = self.path.display();
        self.trouble.warn(&format!(
            "cannot write {path} ({error}): after a reboot without a shutdown the agent may not \
             know the last minutes"
        ));
    }
}

fn read(file: &File, number: u32) -> Option<Box<Block>> {
    let mut block: Box<Block> = Box::new([0; RECORDER_SLOT_BYTES]);
    file.read_exact_at(&mut block[..], u64::from(number) * SLOT).ok()?;
    Some(block)
}

/// The samples on their way to the thread "recorder". Nobody waits to put one in.
#[derive(Debug, Default)]
pub struct SampleQueue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    samples: VecDeque<Sample>,
    is_closed: bool,
}

impl SampleQueue {
    /// Appends a sample; returns false if there is no room, because the disk hangs.
    pub fn push(&self, sample: Sample) -> bool {
        let mut waiting = self.lock();
        let has_room = waiting.samples.len() < RECORDER_QUEUE_MAX;
        if has_room {
            waiting.samples.push_back(sample);
            self.changed.notify_one();
        }
        has_room
    }

    /// Ends the thread once it has taken what waits.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Waits for the next sample. `None`: the queue is closed.
    fn next(&self) -> Option<Sample> {
        let is_idle = |waiting: &mut Waiting| waiting.samples.is_empty() && !waiting.is_closed;
        let waited = self.changed.wait_while(self.lock(), is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).samples.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records samples until the queue is closed.
pub fn run(samples: &SampleQueue, mut file: RecorderFile, mut recorder: Recorder, clock: Clock) {
    let metrics = file.metrics.clone();
    while let Some(sample) = samples.next() {
        let _busy = metrics.heartbeats.busy(Worker::Recorder);
        if !file.is_current() {
            file.open = None;
            if let Some((index, _)) = file.open() {
                recorder.go_on_behind(&index);
            }
        }
        recorder.take(&sample, clock.monotonic(), &mut |place, block| file.write(place, block));
    }
    recorder.end(clock.monotonic(), &mut |place, block| file.write(place, block));
}

#[cfg(test)]
mod tests;
