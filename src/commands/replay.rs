//! `replay DIR`: runs the detection over a recording folder, without a cluster.
//!
//! A recording contains `pods.list.json` (a LIST), `pods.watch.jsonl` (the WATCH that followed) and, optionally,
//! `events.watch.jsonl` (the pods' events in the same period) and `node.jsonl` (a line for each boot of the node). The
//! pieces of the LIST and the lines of the WATCH go into the same [`Stream`] as in the live agent, but each with a time
//! of its own. The live behaviour of the API server is simulated: lines of pods and of events are read in the order of
//! their resourceVersions (they share one counter), time advances by their timestamps, and a lookup of events returns
//! the events read so far.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::commands::options::Options;
use crate::core::Now;
use crate::core::case::{Case, Severity};
use crate::core::detect::evidence::PodEvent;
use crate::core::detect::reboot::Boot;
use crate::core::detect::settle::Lookup;
use crate::core::detect::{Detector, History, Output};
use crate::core::incident::recurrence::Recurrence;
use crate::core::incident::{Gathered, compose, line};
use crate::core::stream::decode::{Flaw, FlawKind};
use crate::core::stream::frame::FrameSplitter;
use crate::core::stream::list::{ListSplitter, Piece};
use crate::core::stream::reflector::Reflector;
use crate::core::stream::{Note, Stream};
use crate::core::text::cut;
use crate::core::wire::EventLine;
use crate::core::wire::json::{self, List, Text, members};
use crate::limits::{
    EVENTS_PER_POD_MAX, NAME_BYTES_MAX, READ_BLOCK_BYTES, REPLAY_BOOTS_MAX, REPLAY_EVENTS_MAX,
};

/// The options of the command.
pub const OPTIONS: Options = &[("--json", "print lines, also on a terminal")];

/// Why a recording cannot be replayed.
#[derive(Debug)]
pub enum Error {
    /// A file of the recording cannot be read.
    Read(PathBuf, io::Error),
    /// The folder does not exist, or has no recording.
    NoRecording(PathBuf),
    /// The incidents cannot be written.
    Write(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecording(folder) => {
                write!(
                    f,
                    "{} is not a recording: there is no pods.list.json in it",
                    folder.display()
                )
            }
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Write(error) => write!(f, "cannot write the incidents: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// The counts of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of pods in the LIST.
    pub listed: u64,
    /// Number of lines in the WATCH.
    pub lines: u64,
    /// Lines and items that were unusable, in whole or in part.
    pub flaws: Vec<Flaw>,
    /// Number of incidents written.
    pub incidents: u64,
}

/// Replays the recording in `folder` and writes its incidents to `out`, one line each, as they are found. Incidents
/// with a lower severity than `at_least` are left out.
///
/// # Errors
/// If a file of the folder cannot be read (the events file may be missing), or `out` cannot be written.
pub fn run(
    folder: &Path,
    node_name: &str,
    at_least: Severity,
    out: &mut dyn Write,
) -> Result<Summary, Error> {
    let mut replay = Replay {
        stream: Stream::new(
            // Nothing is requested, so how long to wait does not matter.
            Reflector::new(Duration::ZERO, Duration::ZERO, 0),
            Detector::new(node_name, &[], History::All),
        ),
        events: Vec::new(),
        clock: Clock::default(),
        outputs: Vec::new(),
        notes: Vec::new(),
        summary: Summary::default(),
        at_least,
        out,
    };
    replay.stream.detector.set_boots(boots(&folder.join("node.jsonl"))?);
    let list = folder.join("pods.list.json");
    if !list.exists() {
        return Err(Error::NoRecording(folder.to_owned()));
    }
    replay.list(&list)?;
    let pods = Lines::open(folder.join("pods.watch.jsonl"))?;
    let events = if_there(Lines::open(folder.join("events.watch.jsonl")))?;
    replay.watch(pods, events)?;
    replay.out.flush().map_err(Error::Write)?;
    Ok(replay.summary)
}

/// Returns `None` for a file that a recording need not have, and does not.
fn if_there(opened: Result<Lines, Error>) -> Result<Option<Lines>, Error> {
    match opened {
        Err(Error::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        lines => lines.map(Some),
    }
}

/// Reads the boots of the node, one per line, the oldest first. A recording need not have them.
fn boots(path: &Path) -> Result<Vec<Boot>, Error> {
    #[derive(Default)]
    struct Line<'a> {
        boot_id: Text<'a>,
        booted_at: Text<'a>,
    }

    members! { Line<'a> {
        b"boot_id" => boot_id,
        b"booted_at" => booted_at,
    } }
    let Some(mut lines) = if_there(Lines::open(path.to_owned()))? else { return Ok(Vec::new()) };
    let mut boots = Vec::new();
    while let Some(line) = lines.next(0)? {
        let Ok(line) = json::from_slice::<Line<'_>>(&line.bytes) else { continue };
        if let Some(booted_at) = line.booted_at.time()
            && boots.len() < REPLAY_BOOTS_MAX
        {
            let id = cut(&line.boot_id, NAME_BYTES_MAX);
            let is_recent_until = Duration::ZERO;
            boots.push(Boot { id, booted_at, is_recent_until, before: None, minutes: None });
        }
    }
    Ok(boots)
}

struct Replay<'o> {
    stream: Stream,
    events: Vec<(Box<str>, PodEvent)>,
    clock: Clock,
    outputs: Vec<Output>,
    notes: Vec<Note>,
    summary: Summary,
    at_least: Severity,
    out: &'o mut dyn Write,
}

impl Replay<'_> {
    fn list(&mut self, path: &Path) -> Result<(), Error> {
        let read = |error| Error::Read(path.to_owned(), error);
        let mut file = File::open(path).map_err(read)?;
        let mut block = vec![0; READ_BLOCK_BYTES];
        let mut splitter = ListSplitter::default();
        self.stream.next(Duration::ZERO);
        loop {
            let n = file.read(&mut block).map_err(read)?;
            if n == 0 {
                break;
            }
            let mut pieces = splitter.feed(&block[..n]);
            while let Some(piece) = pieces.next() {
                let piece = piece.map_err(|e| read(io::Error::other(e.to_string())))?;
                if let Piece::Item(item) = piece {
                    self.clock.see(item);
                    self.summary.listed += 1;
                }
                let now = self.clock.now();
                self.stream.on_list_piece(piece, now, &mut self.outputs, &mut self.notes);
            }
        }
        splitter.finish().map_err(|e| read(io::Error::other(e.to_string())))?;
        self.stream.on_list_complete(self.clock.now(), &mut self.outputs, &mut self.notes);
        self.deliver()
    }

    /// Reads both files line by line, in the order of their resourceVersions.
    fn watch(&mut self, mut pods: Lines, mut events: Option<Lines>) -> Result<(), Error> {
        let mut pod = pods.next(0)?;
        let mut event = next_of(&mut events, 0)?;
        while pod.is_some() || event.is_some() {
            let event_first = match (&pod, &event) {
                (Some(pod), Some(event)) => event.version <= pod.version,
                (None, _) => true,
                (_, None) => false,
            };
            if event_first {
                let Some(line) = event.take() else { continue };
                self.event_line(&line.bytes)?;
                event = next_of(&mut events, line.version)?;
            } else {
                let Some(line) = pod.take() else { continue };
                self.pod_line(&line.bytes)?;
                pod = pods.next(line.version)?;
            }
        }
        // What is due at the time of the last line still counts. After it, nothing is known: what hung until then may have
        // got on.
        self.pass(self.clock.elapsed)?;
        self.stream.detector.end_waits(&mut self.outputs);
        self.deliver()?;
        if let Some(end) = self.stream.detector.next_deadline() {
            // No more input: let every lookup get its answer and every wait for evidence run out.
            self.pass(end + crate::limits::SETTLE_STOPPING_MAX)?;
        }
        self.stream.detector.finish(self.clock.now(), &mut self.outputs);
        self.deliver()
    }

    fn pod_line(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let time = self.clock.ahead(bytes);
        self.pass(time)?;
        self.summary.lines += 1;
        let now = self.clock.now();
        // An ERROR event ends a live watch. A recording goes on behind it; the note says that it was there.
        let _ = self.stream.on_line(bytes, now, &mut self.outputs, &mut self.notes);
        self.deliver()
    }

    fn event_line(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let time = self.clock.ahead(bytes);
        self.pass(time)?;
        let Ok(line) = json::from_slice::<EventLine<'_>>(bytes) else {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
            self.summary
                .flaws
                .push(Flaw::new(FlawKind::Json, &format!("unreadable event: {text}")));
            return Ok(());
        };
        let Some(uid) = line.object.involved_object.uid.some() else { return Ok(()) };
        if self.events.len() >= REPLAY_EVENTS_MAX {
            self.events.remove(0);
        }
        self.events.push((uid.into(), PodEvent::from_wire(&line.object)));
        Ok(())
    }

    /// Advances the time to `until`, answering lookups on the way.
    fn pass(&mut self, until: Duration) -> Result<(), Error> {
        while let Some(deadline) = self.stream.detector.next_deadline().filter(|at| *at <= until) {
            self.clock.advance(deadline);
            self.stream.detector.on_time(self.clock.now(), &mut self.outputs);
            self.deliver()?;
        }
        self.clock.advance(until);
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), Error> {
        for note in self.notes.drain(..) {
            match note {
                Note::Flaw(flaw) => self.summary.flaws.push(flaw),
                Note::Error(_, text) => {
                    let text = format!("the watch contains an ERROR event: {text}");
                    self.summary.flaws.push(Flaw::new(FlawKind::UnknownType, &text));
                }
                Note::Line { .. }
                | Note::Listed { .. }
                | Note::ListFailed(_)
                | Note::WatchServed => {}
            }
        }
        while !self.outputs.is_empty() {
            for output in std::mem::take(&mut self.outputs) {
                match output {
                    Output::Crash(case) => self.write(*case)?,
                    Output::LookUp { key, .. } => {
                        let lookup = self.look_up(&key);
                        self.stream.detector.on_events(&key, &lookup, &mut self.outputs);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn look_up(&self, key: &str) -> Lookup {
        let own = self.events.iter().rev().filter(|(uid, _)| **uid == *key);
        Lookup::Found(own.take(EVENTS_PER_POD_MAX).map(|(_, event)| event.clone()).collect())
    }

    /// Writes the line of a case. A recording has nothing of the node to put around it.
    fn write(&mut self, case: Case) -> Result<(), Error> {
        if case.severity < self.at_least {
            return Ok(());
        }
        self.summary.incidents += 1;
        let incident = compose(case, Gathered::default(), Recurrence::default());
        self.out.write_all(&line::line(&incident)).map_err(Error::Write)
    }
}

/// The time of the recording: the latest time found in any line so far. It never goes back.
struct Clock {
    start: Option<Timestamp>,
    elapsed: Duration,
}

impl Default for Clock {
    fn default() -> Self {
        Self { start: None, elapsed: Duration::ZERO }
    }
}

impl Clock {
    fn now(&self) -> Now {
        let start = self.start.unwrap_or(Timestamp::UNIX_EPOCH);
        let wall = start.saturating_add(self.elapsed).unwrap_or(Timestamp::MAX);
        Now { monotonic: self.elapsed, wall }
    }

    fn advance(&mut self, to: Duration) {
        self.elapsed = self.elapsed.max(to);
    }

    fn see(&mut self, line: &[u8]) {
        let to = self.ahead(line);
        self.advance(to);
    }

    /// Returns the time of a line, counted from the start of the recording.
    fn ahead(&mut self, line: &[u8]) -> Duration {
        let Some(time) = time_of(line) else { return self.elapsed };
        let start = *self.start.get_or_insert(time);
        time.duration_since(start).try_into().unwrap_or(self.elapsed)
    }
}

/// Returns when the API server accepted this object: an event's `lastTimestamp`, otherwise the newest time in
/// `managedFields`, otherwise the creation time.
fn time_of(line: &[u8]) -> Option<Timestamp> {
    #[derive(Default)]
    struct Line<'a> {
        object: Object<'a>,
        metadata: Managed<'a>,
    }

    members! { Line<'a> {
        b"object" => object,
        b"metadata" => metadata,
    } }
    #[derive(Default)]
    struct Object<'a> {
        metadata: Managed<'a>,
        last_timestamp: Text<'a>,
    }

    members! { Object<'a> {
        b"metadata" => metadata,
        b"lastTimestamp" => last_timestamp,
    } }
    #[derive(Default)]
    struct Managed<'a> {
        managed_fields: List<Entry<'a>>,
        creation_timestamp: Text<'a>,
    }

    members! { Managed<'a> {
        b"managedFields" => managed_fields,
        b"creationTimestamp" => creation_timestamp,
    } }
    #[derive(Default)]
    struct Entry<'a> {
        time: Text<'a>,
    }

    members! { Entry<'a> {
        b"time" => time,
    } }
    let line: Line<'_> = json::from_slice(line).ok()?;
    if let Some(time) = line.object.last_timestamp.time() {
        return Some(time);
    }
    let of = |m: &Managed<'_>| {
        let managed = m.managed_fields.iter().filter_map(|entry| entry.time.time()).max();
        managed.or_else(|| m.creation_timestamp.time())
    };
    of(&line.object.metadata).or_else(|| of(&line.metadata))
}

/// The lines of a file, each with the resourceVersion that orders it.
struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    frames: FrameSplitter,
    ready: std::collections::VecDeque<Vec<u8>>,
}

struct Line {
    bytes: Vec<u8>,
    version: u64,
}

fn next_of(lines: &mut Option<Lines>, before: u64) -> Result<Option<Line>, Error> {
    lines.as_mut().map_or(Ok(None), |lines| lines.next(before))
}

impl Lines {
    fn open(path: PathBuf) -> Result<Self, Error> {
        match File::open(&path) {
            Ok(file) => Ok(Self {
                path,
                reader: BufReader::with_capacity(READ_BLOCK_BYTES, file),
                frames: FrameSplitter::default(),
                ready: std::collections::VecDeque::new(),
            }),
            Err(error) => Err(Error::Read(path, error)),
        }
    }

    /// Returns the next line. A line without a resourceVersion gets the version `before`, of the line before it.
    fn next(&mut self, before: u64) -> Result<Option<Line>, Error> {
        while self.ready.is_empty() {
            let read = |error| Error::Read(self.path.clone(), error);
            let block = self.reader.fill_buf().map_err(read)?;
            let len = block.len();
            // The last line of the file may lack its newline.
            let mut frames = self.frames.feed(if len == 0 { b"\n" } else { block });
            while let Some(line) = frames.next() {
                let line = line.map_err(|e| read(io::Error::other(e.to_string())))?;
                self.ready.push_back(line.to_vec());
            }
            self.reader.consume(len);
            if len == 0 && self.ready.is_empty() {
                return Ok(None);
            }
        }
        let Some(bytes) = self.ready.pop_front() else { return Ok(None) };
        let salvage: crate::core::wire::Salvage<'_> = json::from_slice(&bytes).unwrap_or_default();
        let version = salvage.object.metadata.resource_version.parse().unwrap_or(before);
        Ok(Some(Line { version, bytes }))
    }
}
