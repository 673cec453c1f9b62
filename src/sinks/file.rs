//! The file sink: one write per incident line, one `fsync` per batch, rotation by size.
//!
//! The file holds whole lines, each once. A line torn by a power cut or a full disk is cut off before the
//! next line is written. After a start the ids at the end of the file are read back, so that no line is
//! written twice. While the disk fails, lines wait here and in the queue and are written when the disk
//! works again; only lines that do not fit in the queue are lost, and they are counted.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::detect::ledger::{self, ReportedIncident};
use crate::core::stream::frame::FrameSplitter;
use crate::limits::{
    FILE_RETRY_MAX, FILE_RETRY_MIN, INCIDENT_BATCH_BYTES_MAX, INCIDENT_BATCH_MAX,
    INCIDENT_FILES_MAX, INCIDENT_REPAIR_BYTES, INCIDENT_REPAIRS_MAX, INCIDENT_TAIL_BYTES_MAX,
    READ_BLOCK_BYTES,
};
use crate::metrics::heartbeat::Worker;
use crate::metrics::{Metrics, SinkName};
use crate::runtime::files::{
    Links, file_id, open_regular, open_regular_with, rotated_name, rotated_names, sync_folder,
};
use crate::runtime::trouble::Trouble;
use crate::sinks::delivery::Delivery;
use crate::sinks::queue::Queue;

/// The incident file and its rotated predecessors.
#[derive(Debug)]
pub struct IncidentFile {
    path: PathBuf,
    bytes_max: u64,
    open: Option<Open>,
    /// Ids that earlier agents wrote; `None` until they have been read back.
    written_before: Option<HashSet<u64>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Open {
    file: File,
    len: u64,
}

impl IncidentFile {
    /// Creates the sink for this path; the file is rotated before it exceeds `bytes_max`. Opens nothing.
    pub fn new(path: &Path, bytes_max: u64, metrics: Arc<Metrics>) -> Self {
        Self { path: path.to_owned(), bytes_max, open: None, written_before: None, metrics }
    }

    /// Closes the file if the path no longer names it (it was removed or moved away). Otherwise updates the known
    /// length, which may have changed too.
    fn check(&mut self) {
        let Some(open) = self.open.take() else { return };
        if let (Ok(held), Ok(named)) = (open.file.metadata(), fs::metadata(&self.path))
            && file_id(&named) == file_id(&held)
        {
            self.open = Some(Open { len: held.len(), ..open });
        }
    }

    /// Returns the open file, opening it if needed. Opening cuts off an incomplete last line.
    fn current(&mut self) -> io::Result<&mut Open> {
        if let Some(open) = self.open.take() {
            return Ok(self.open.insert(open));
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = open_regular_with(options, &self.path, Links::Follow)?;
        let len = self.repair(&file)?;
        file.sync_all()?;
        sync_folder(&self.path);
        Ok(self.open.insert(Open { file, len }))
    }

    /// Cuts off an incomplete last line; returns the file's length.
    fn repair(&self, file: &File) -> io::Result<u64> {
        let mut len = file.metadata()?.len();
        for _ in 0..INCIDENT_REPAIRS_MAX {
            let start = len.saturating_sub(INCIDENT_REPAIR_BYTES as u64);
            let mut tail = vec![0; usize::try_from(len - start).unwrap_or(0)];
            file.read_exact_at(&mut tail, start)?;
            if tail.last().is_none_or(|byte| *byte == b'\n') {
                return Ok(len);
            }
            self.metrics.incident_file_torn.fetch_add(1, Ordering::Relaxed);
            match ledger::torn_bytes(&tail) {
                Some(torn) => {
                    len -= torn as u64;
                    file.set_len(len)?;
                }
                None => {
                    // Foreign text: keep it, and start the next line on a line of its own.
                    let mut file = file;
                    file.write_all(b"\n")?;
                    return Ok(len + 1);
                }
            }
        }
        Ok(len)
    }

    /// Reads back the end of the file and of its rotated predecessors, oldest line first.
    ///
    /// # Errors
    /// If a file cannot be read, or the current one cannot be opened. Reading back stops at a rotated file that
    /// cannot be opened or is no regular file, without an error.
    pub fn read_back(&mut self, mut each: impl FnMut(&ReportedIncident)) -> io::Result<()> {
        self.current()?;
        let mut ids = HashSet::new();
        let mut parts = Vec::new();
        let mut left = INCIDENT_TAIL_BYTES_MAX;
        for (n, name) in rotated_names(&self.path).enumerate() {
            let file = match open_regular(&name, Links::Follow) {
                Ok(file) => file,
                Err(error) if n == 0 => return Err(error),
                // A folder or a pipe with the name of a rotated file is not the agent's, and must not keep it from
                // writing.
                Err(_) => break,
            };
            let len = file.metadata()?.len();
            parts.push((name, file, len.saturating_sub(left)));
            left = left.saturating_sub(len);
            if left == 0 {
                break;
            }
        }
        for (name, file, start) in parts.into_iter().rev() {
            for_each_line(file, start, &mut |line| {
                if let Some(reported) = ledger::reported(line) {
                    ids.insert(reported.id);
                    each(&reported);
                } else {
                    // The line of a node has an account in the state file, too, and must not count as lost.
                    ids.extend(ledger::reported_id(line));
                }
            })
            .map_err(|error| about(&format!("cannot read {}", name.display()), &error))?;
        }
        self.written_before = Some(ids);
        Ok(())
    }

    /// Returns true if a line with this id was found when the file was read back.
    pub fn holds(&self, id: u64) -> bool {
        self.written_before.as_ref().is_some_and(|ids| ids.contains(&id))
    }

    /// Returns true if an incomplete last line was found.
    pub fn was_torn(&self) -> bool {
        self.metrics.incident_file_torn.load(Ordering::Relaxed) > 0
    }

    /// Writes as much of the batch as it can. Lines that are now in the file, or were already, are removed from
    /// the batch.
    ///
    /// # Errors
    /// The error that stopped the write.
    fn write(&mut self, batch: &mut VecDeque<Arc<Delivery>>) -> io::Result<()> {
        if self.written_before.is_none() {
            self.read_back(|_| {})?;
        }
        self.check();
        let (mut written, mut known) = (0, 0);
        let result = batch.iter().try_for_each(|delivery| {
            if self.holds(delivery.id.short()) {
                known += 1;
            } else {
                self.write_line(&delivery.line)?;
                written += 1;
            }
            Ok(())
        });
        if written > 0
            && let Some(Err(error)) = self.open.as_ref().map(|open| open.file.sync_data())
        {
            // The lines are in the file and readers see them; writing them again would duplicate them.
            self.metrics.sink_errors.add(SinkName::File);
            log::warn!(
                "BLACKBOX_INCIDENT_FILE: cannot sync {} to the disk: {error}",
                self.path.display()
            );
        }
        if result.is_err() {
            // A partial line is cut off when the file is opened again.
            self.open = None;
        }
        self.metrics.sink_written.add_many(SinkName::File, written);
        for delivery in batch.drain(..(written + known) as usize) {
            delivery.done();
            self.metrics.sink_queued.take(SinkName::File);
        }
        result
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let bytes_max = self.bytes_max;
        let mut open = self.current()?;
        if open.len > 0 && open.len + line.len() as u64 > bytes_max {
            self.rotate()?;
            open = self.current()?;
        }
        // Usually one write. After a partial write, a second one returns the reason.
        open.file.write_all(line)?;
        open.len += line.len() as u64;
        Ok(())
    }

    /// Renames the file and its predecessors by one number; the oldest is overwritten.
    fn rotate(&mut self) -> io::Result<()> {
        if let Some(open) = self.open.take() {
            open.file.sync_data()?;
        }
        // What has the name of a rotated file and is none is not the agent's to move.
        let is_other = |name: &PathBuf| fs::metadata(name).is_ok_and(|m| !m.is_file());
        if let Some(name) = rotated_names(&self.path).skip(1).find(is_other) {
            let text = format!("{} is not a regular file", name.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        for n in (1..INCIDENT_FILES_MAX).rev() {
            let (old, new) = (rotated_name(&self.path, n - 1), rotated_name(&self.path, n));
            match fs::rename(&old, &new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let what = format!("cannot rename {} to {}", old.display(), new.display());
                    return Err(about(&what, &error));
                }
                _ => {}
            }
        }
        self.metrics.incident_file_rotations.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Returns the error with what could not be done: it may concern another file than the one that the caller names.
fn about(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Calls `each` for the lines of the file from offset `start`. The first line may be only the end of a line.
fn for_each_line(file: File, start: u64, each: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = file.take(start.saturating_add(INCIDENT_TAIL_BYTES_MAX));
    file.get_mut().seek(SeekFrom::Start(start))?;
    let (mut splitter, mut block) = (FrameSplitter::default(), vec![0; READ_BLOCK_BYTES]);
    loop {
        let len = file.read(&mut block)?;
        if len == 0 {
            return Ok(());
        }
        let mut lines = splitter.feed(&block[..len]);
        loop {
            match lines.next() {
                Some(Ok(line)) => each(line),
                // Far longer than any incident line, so the rest of the file is not incident lines either.
                Some(Err(_)) => return Ok(()),
                None => break,
            }
        }
    }
}

/// Writes queued lines until the queue is closed and empty, or until a write fails while the agent shuts down.
pub fn run(queue: &Queue, mut file: IncidentFile) {
    let mut trouble = Trouble::new(module_path!(), "BLACKBOX_INCIDENT_FILE");
    let (mut batch, mut pause) = (VecDeque::new(), FILE_RETRY_MIN);
    let mut is_ending = false;
    loop {
        if batch.is_empty() {
            let Some(delivery) = queue.pop() else { return };
            batch.push_back(delivery);
        }
        let bytes =
            |batch: &VecDeque<Arc<Delivery>>| batch.iter().map(|d| d.line.len()).sum::<usize>();
        while batch.len() < INCIDENT_BATCH_MAX
            && bytes(&batch) < INCIDENT_BATCH_BYTES_MAX
            && let Some(delivery) = queue.try_pop()
        {
            batch.push_back(delivery);
        }
        let metrics = file.metrics.clone();
        let busy = metrics.heartbeats.busy(Worker::File);
        let written = file.write(&mut batch);
        drop(busy);
        match written {
            Ok(()) => {
                trouble.over("incidents are written again");
                pause = FILE_RETRY_MIN;
            }
            Err(_) if is_ending => return,
            Err(error) => {
                file.metrics.sink_errors.add(SinkName::File);
                let path = file.path.display();
                trouble.warn(&format!(
                    "cannot write {path} ({error}): incidents stay in the queue, and the agent \
                     retries"
                ));
                is_ending = queue.wait_closed(pause);
                pause = (pause * 2).min(FILE_RETRY_MAX);
            }
        }
    }
}

#[cfg(test)]
mod tests;
