//! The single entry point of the core. Blocks of bytes from the API server go in; the next request and the
//! detected incidents come out. The live agent's detection is a lock around this. `replay` calls
//! [`Stream::on_list_piece`] and [`Stream::on_line`] directly, because each piece of a recording has its own time.

pub mod decode;
pub mod frame;
pub mod list;
pub mod reflector;
use std::time::Duration;

use crate::core::Now;
use crate::core::detect::{Detector, Output};
use crate::core::stream::decode::{Decoded, Flaw, FlawKind};
use crate::core::stream::frame::FrameSplitter;
use crate::core::stream::list::{ListSplitter, Piece};
use crate::core::stream::reflector::{Failure, Reflector, Step, WatchEnd};
use crate::core::wire::json;
use crate::core::wire::{self, is_older, is_usable};

/// What was read, apart from detected incidents; for metrics and the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    /// A line of the watch was read.
    Line {
        /// False for lines that cannot have come from an API server (no resourceVersion found).
        used: bool,
    },
    /// Something in the input was wrong.
    Flaw(Flaw),
    /// The server ended the watch with an `ERROR` event: the failure and its text.
    Error(Failure, String),
    /// The LIST is complete.
    Listed {
        /// True if the list's resourceVersion is older than one that was seen before.
        went_back: bool,
    },
    /// The LIST cannot be used; the text gives the reason.
    ListFailed(String),
    /// The server ended the watch at the requested timeout, so the server is alive and no event is missing.
    WatchServed,
}

/// Whether the reader continues with the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Read more of the response.
    Continue,
    /// Drop the response; its end has already been handled.
    Stop,
}

/// The kind of response that is being read.
#[derive(Debug)]
enum Reading {
    Nothing,
    List { version: String, begun: bool },
    Version { version: String },
    Watch,
}

/// The state of the list/watch stream.
#[derive(Debug)]
pub struct Stream {
    reflector: Reflector,
    /// The detection; the caller also uses it directly.
    pub detector: Detector,
    frames: FrameSplitter,
    list: ListSplitter,
    reading: Reading,
    scratch: String,
}

impl Stream {
    /// Creates a stream that has not started.
    pub fn new(reflector: Reflector, detector: Detector) -> Self {
        Self {
            reflector,
            detector,
            frames: FrameSplitter::default(),
            list: ListSplitter::default(),
            reading: Reading::Nothing,
            scratch: String::new(),
        }
    }

    /// Returns the next step. Call it only when no response is being read.
    pub fn next(&mut self, now: Duration) -> Step {
        let step = self.reflector.next(now);
        self.frames.reset();
        self.list = ListSplitter::default();
        self.reading = match &step {
            Step::List { .. } => Reading::List { version: String::new(), begun: false },
            Step::Version => Reading::Version { version: String::new() },
            Step::Watch { .. } => Reading::Watch,
            Step::Wait { .. } => Reading::Nothing,
        };
        step
    }

    /// Takes in one block of the response body. After [`Flow::Stop`] no more blocks of it may follow.
    pub fn on_block(
        &mut self,
        block: &[u8],
        now: Now,
        out: &mut Vec<Output>,
        notes: &mut Vec<Note>,
    ) -> Flow {
        match self.reading {
            Reading::Nothing => Flow::Stop,
            Reading::List { .. } => self.on_list_block(block, now, out, notes),
            Reading::Version { .. } => self.on_version_block(block, now),
            Reading::Watch => self.on_watch_block(block, now, out, notes),
        }
    }

    /// Reports that the response body ended, for whatever reason.
    pub fn on_end(
        &mut self,
        end: WatchEnd,
        now: Now,
        out: &mut Vec<Output>,
        notes: &mut Vec<Note>,
    ) {
        match &self.reading {
            Reading::Nothing => {}
            Reading::List { version, .. } => {
                let complete = match std::mem::take(&mut self.list).finish() {
                    Ok(()) if version.is_empty() => Err("the list has no resourceVersion".into()),
                    Ok(()) => Ok(()),
                    Err(error) => Err(error.to_string()),
                };
                match complete {
                    Ok(()) => self.on_list_complete(now, out, notes),
                    Err(why) => self.fail_list(why, now, notes),
                }
            }
            Reading::Version { version } => match std::mem::take(&mut self.list).finish() {
                Ok(()) => self.reflector.on_version(version),
                Err(_) => self.reflector.on_failure(Failure::Transient, now.monotonic),
            },
            Reading::Watch => {
                if self.frames.pending() > 0 {
                    let text = format!(
                        "the watch ended inside a line, after {} bytes of it",
                        self.frames.pending()
                    );
                    notes.push(Note::Flaw(Flaw::new(FlawKind::Truncated, &text)));
                    self.frames.reset();
                }
                if self.reflector.on_closed(end, now.monotonic) {
                    notes.push(Note::WatchServed);
                }
            }
        }
        self.reading = Reading::Nothing;
    }

    /// Reports that the request failed before a usable body arrived.
    pub fn on_failure(&mut self, failure: Failure, now: Now) {
        if !matches!(self.reading, Reading::Nothing) {
            self.reading = Reading::Nothing;
            self.reflector.on_failure(failure, now.monotonic);
        }
    }

    fn fail_list(&mut self, why: String, now: Now, notes: &mut Vec<Note>) {
        self.detector.abort_list();
        self.reading = Reading::Nothing;
        self.reflector.on_failure(Failure::Transient, now.monotonic);
        notes.push(Note::ListFailed(why));
    }

    fn on_list_block(
        &mut self,
        block: &[u8],
        now: Now,
        out: &mut Vec<Output>,
        notes: &mut Vec<Note>,
    ) -> Flow {
        let mut list = std::mem::take(&mut self.list);
        let mut pieces = list.feed(block);
        while let Some(piece) = pieces.next() {
            match piece {
                Ok(piece) => self.on_list_piece(piece, now, out, notes),
                Err(error) => {
                    self.fail_list(error.to_string(), now, notes);
                    return Flow::Stop;
                }
            }
        }
        self.list = list;
        Flow::Continue
    }

    /// Takes in one piece of a LIST: its metadata, or one pod.
    pub fn on_list_piece(
        &mut self,
        piece: Piece<'_>,
        now: Now,
        out: &mut Vec<Output>,
        notes: &mut Vec<Note>,
    ) {
        let Reading::List { version, begun } = &mut self.reading else { return };
        match piece {
            Piece::Metadata(bytes) => *version = version_of(bytes),
            Piece::Item(bytes) => {
                if !std::mem::replace(begun, true) {
                    // The API server writes `metadata` first. If a list does not, an older resourceVersion
                    // cannot be noticed in time, and older pods in the list are treated as stale.
                    let went_back = is_older(version, self.reflector.version());
                    self.detector.begin_list(went_back);
                }
                let (pod, flaw) = decode::item(bytes, &mut self.scratch);
                match pod {
                    Some(pod) => self.detector.on_listed(&pod, now, out),
                    None => decode::named(bytes, |meta| self.detector.on_unreadable(meta)),
                }
                notes.extend(flaw.map(Note::Flaw));
            }
        }
    }

    /// Reports that every piece of the LIST was taken in: a pod that it does not contain is gone.
    pub fn on_list_complete(&mut self, now: Now, out: &mut Vec<Output>, notes: &mut Vec<Note>) {
        let Reading::List { version, begun } = &self.reading else { return };
        if !begun {
            self.detector.begin_list(false);
        }
        self.detector.end_list(out);
        let went_back = self.reflector.on_listed(version, now.monotonic);
        notes.push(Note::Listed { went_back });
        self.reading = Reading::Nothing;
    }

    /// Reads only the list's version. Items are skipped: the request asked for none.
    fn on_version_block(&mut self, block: &[u8], now: Now) -> Flow {
        let Reading::Version { version } = &mut self.reading else { return Flow::Stop };
        let mut pieces = self.list.feed(block);
        while let Some(piece) = pieces.next() {
            match piece {
                Ok(Piece::Metadata(bytes)) => *version = version_of(bytes),
                Ok(Piece::Item(_)) => {}
                Err(_) => {
                    self.on_failure(Failure::Transient, now);
                    return Flow::Stop;
                }
            }
        }
        Flow::Continue
    }

    fn on_watch_block(
        &mut self,
        block: &[u8],
        now: Now,
        out: &mut Vec<Output>,
        notes: &mut Vec<Note>,
    ) -> Flow {
        let mut splitter = std::mem::take(&mut self.frames);
        let mut frames = splitter.feed(block);
        let failure = loop {
            let done = match frames.next() {
                None => break None,
                Some(Ok(line)) => self.on_line(line, now, out, notes),
                Some(Err(error)) => {
                    let flaw = Flaw::new(FlawKind::LineTooLong, &error.to_string());
                    notes.push(Note::Flaw(flaw));
                    Err(Failure::Transient)
                }
            };
            if let Err(failure) = done {
                break Some(failure);
            }
        };
        self.frames = splitter;
        match failure {
            None => Flow::Continue,
            Some(failure) => {
                self.frames.reset();
                self.on_failure(failure, now);
                Flow::Stop
            }
        }
    }

    /// Takes in one line of a WATCH.
    ///
    /// # Errors
    /// If the line is an `ERROR` event, with which a server ends a watch.
    pub fn on_line(
        &mut self,
        line: &[u8],
        now: Now,
        out: &mut Vec<Output>,
        notes: &mut Vec<Note>,
    ) -> Result<(), Failure> {
        let known = |meta: &wire::Metadata<'_>, fingerprint| self.detector.knows(meta, fingerprint);
        let (decoded, flaw) = decode::line(line, &mut self.scratch, known);
        let used = !matches!(&decoded, Decoded::Nothing(version) if version.is_empty());
        notes.push(Note::Line { used });
        notes.extend(flaw.map(Note::Flaw));
        let is_position = match decoded {
            Decoded::Applied(pod) => {
                self.detector.on_applied(&pod, now, out);
                self.reflector.on_line(&pod.metadata.resource_version)
            }
            Decoded::Deleted(pod) => {
                self.detector.on_deleted(&pod, now, out);
                self.reflector.on_line(&pod.metadata.resource_version)
            }
            Decoded::Known(meta) => {
                self.detector.on_known(&meta);
                self.reflector.on_line(&meta.resource_version)
            }
            Decoded::Bookmark(meta) => self.reflector.on_line(&meta.resource_version),
            Decoded::Nothing(version) => self.reflector.on_line(&version),
            Decoded::Error(failure, text) => {
                notes.push(Note::Error(failure, text));
                return Err(failure);
            }
        };
        if !is_position {
            let text = "a resourceVersion from which no watch can begin; the one before it stays";
            notes.push(Note::Flaw(Flaw::new(FlawKind::Field, text)));
        }
        Ok(())
    }
}

/// Returns the resourceVersion in a list's metadata; an empty string if there is none with which a request can be made.
fn version_of(metadata: &[u8]) -> String {
    let metadata: wire::Metadata<'_> = json::from_slice(metadata).unwrap_or_default();
    let version = &*metadata.resource_version;
    if is_usable(version) { version.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests;
