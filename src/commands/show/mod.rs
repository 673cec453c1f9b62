//! The command `show`: incident lines in readable form.
//!
//! It shows incidents newest first, from the incident file and its rotated predecessors or from standard input, or
//! (with `--follow`) as they arrive. With `--by` it shows groups of them; the lines may then come from many nodes. Lines that are not incidents are skipped and counted, since `kubectl logs`
//! mixes the agent's log with its incident lines.

mod arguments;
mod render;
mod screen;
mod table;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::core::display::groups::Groups;
use crate::core::display::parsed::Value;
use crate::core::stream::frame::{FrameSplitter, OverLong};
use crate::limits::{
    GROUP_IDS_MAX, READ_BLOCK_BYTES, SHOW_COLUMNS, SHOW_COLUMNS_MIN, SHOW_FOLLOW_INTERVAL,
    SHOW_HELD_BYTES_MAX, SHOW_LINE_BYTES_MAX,
};
use crate::runtime::clock::Clock;
use crate::runtime::files::{file_id, rotated_names};
use crate::runtime::stop::Stop;

use self::arguments::Arguments;
use self::render::Style;
use self::screen::Colours;

/// Why not all incidents are shown.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong; one sentence per problem.
    Usage(Vec<String>),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// The output cannot be written. A closed pipe is not an error.
    Write(io::Error),
}

/// The output terminal and the defaults from the environment.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    /// True if standard output shows colours.
    pub has_colours: bool,
    /// `COLUMNS`.
    pub columns: Option<usize>,
    /// `BLACKBOX_INCIDENT_FILE`.
    pub incident_file: Option<PathBuf>,
}

/// Shows incidents. Returns a sentence for standard error about skipped lines, if there were any.
///
/// # Errors
/// An [`Error`] if the arguments are wrong, or if reading or writing fails.
pub fn run(
    words: &[&str],
    terminal: Terminal,
    out: &mut dyn Write,
) -> Result<Option<String>, Error> {
    let now = Clock::start().wall();
    let arguments = arguments::read(words, terminal.incident_file, now).map_err(Error::Usage)?;
    let style = Style {
        columns: terminal.columns.unwrap_or(SHOW_COLUMNS).max(SHOW_COLUMNS_MIN),
        colours: Colours(terminal.has_colours),
        is_full: arguments.is_full,
    };
    let mut show = Show {
        groups: arguments.by.map(Groups::new),
        arguments,
        style,
        held: VecDeque::new(),
        held_bytes: 0,
        out,
        skipped: Skipped::default(),
    };
    let result = show.all();
    match result {
        Err(Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(show.skipped.summary()),
    }
}

/// The counts of what was not shown.
#[derive(Debug, Default)]
struct Skipped {
    /// Lines that are not incidents.
    other: u64,
    /// Incidents older than those shown.
    older: u64,
    /// Incidents that were counted before, in groups.
    repeated: u64,
    /// True if there were more incidents than ids can be kept, in groups.
    has_forgotten: bool,
}

impl Skipped {
    fn summary(&self) -> Option<String> {
        let other = (self.other > 0).then(|| format!("{} lines are not incidents", self.other));
        let older = (self.older > 0).then(|| {
            format!(
                "{} older incidents are not shown; use --since, --pod or --type to select fewer",
                self.older
            )
        });
        let repeated = (self.repeated > 0).then(|| {
            format!("{} lines repeat an incident and are not counted again", self.repeated)
        });
        let forgotten = self.has_forgotten.then(|| {
            format!("an incident that came again after {GROUP_IDS_MAX} others is counted twice")
        });
        let summary: Vec<String> =
            [other, older, repeated, forgotten].into_iter().flatten().collect();
        (!summary.is_empty()).then(|| summary.join("; "))
    }
}

struct Show<'o> {
    arguments: Arguments,
    style: Style,
    /// Rendered incidents, newest last. They are written at the end, because the newest comes first.
    held: VecDeque<String>,
    held_bytes: usize,
    /// The groups, if they are asked for instead of incidents.
    groups: Option<Groups>,
    out: &'o mut dyn Write,
    skipped: Skipped,
}

impl Show<'_> {
    fn all(&mut self) -> Result<(), Error> {
        match self.arguments.file.clone() {
            None => {
                let mut lines = lines();
                let read = self.read(&mut io::stdin().lock(), &mut lines, Path::new("-"));
                self.take(&mut lines, b"\n")?;
                read?;
            }
            Some(file) => self.files(&file)?,
        }
        if let Some(groups) = self.groups.take() {
            let mut table = groups.into_table();
            (self.skipped.repeated, self.skipped.has_forgotten) =
                (table.repeated, table.has_forgotten);
            table.keep(self.arguments.limit);
            let mut text = String::new();
            self.style.table(&mut text, &table);
            self.out.write_all(text.as_bytes()).map_err(Error::Write)?;
        }
        while let Some(newest) = self.held.pop_back() {
            self.out.write_all(newest.as_bytes()).map_err(Error::Write)?;
        }
        self.out.flush().map_err(Error::Write)
    }

    /// Reads the file and its rotated predecessors, oldest first.
    fn files(&mut self, path: &Path) -> Result<(), Error> {
        for old in rotated_names(path).skip(1).rev() {
            match File::open(&old) {
                Ok(mut file) => self.whole(&mut file, &old)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::Read(old, error)),
            }
        }
        let open = || File::open(path).map_err(|error| Error::Read(path.to_owned(), error));
        if !self.arguments.is_following {
            return self.whole(&mut open()?, path);
        }
        let never = Stop::default();
        let (mut file, mut lines, mut len) = (open()?, lines(), 0);
        loop {
            len += self.read(&mut file, &mut lines, path)?;
            // Rotated: the name points to a new file. Truncated by another tool: the file is shorter than before.
            let is_same = |now: &std::fs::Metadata| {
                file.metadata().is_ok_and(|own| file_id(&own) == file_id(now))
            };
            match std::fs::metadata(path) {
                Ok(now) if !is_same(&now) || now.len() < len => {
                    // Lines written to the old file between the last read and the rotation.
                    self.read(&mut file, &mut lines, path)?;
                    self.take(&mut lines, b"\n")?;
                    (file, len) = (open()?, 0);
                }
                // The file is missing (it may come back) or unchanged: wait.
                _ => drop(never.wait(SHOW_FOLLOW_INTERVAL)),
            }
        }
    }

    fn whole(&mut self, file: &mut File, path: &Path) -> Result<(), Error> {
        let mut lines = lines();
        self.read(file, &mut lines, path)?;
        self.take(&mut lines, b"\n")
    }

    /// Reads to the current end of the input; returns the number of bytes.
    fn read(
        &mut self,
        from: &mut dyn Read,
        lines: &mut FrameSplitter,
        path: &Path,
    ) -> Result<u64, Error> {
        let (mut block, mut bytes) = (vec![0; READ_BLOCK_BYTES], 0);
        loop {
            match from.read(&mut block) {
                Ok(0) => return Ok(bytes),
                Ok(len) => {
                    bytes += len as u64;
                    self.take(lines, &block[..len])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(path.to_owned(), error)),
            }
        }
    }

    fn take(&mut self, lines: &mut FrameSplitter, block: &[u8]) -> Result<(), Error> {
        let mut lines = lines.feed(block);
        // Only the minutes before an incident need its telemetry.
        let parse = if self.style.is_full { Value::parse } else { Value::parse_head };
        while let Some(line) = lines.next() {
            // kubectl may prefix a line with the pod's name or the time.
            let incident = line.ok().and_then(|line| {
                let start = line.iter().position(|b| *b == b'{')?;
                parse(&line[start..])
            });
            let Some(incident) = incident else {
                self.skipped.other += 1;
                continue;
            };
            if !self.arguments.filter.takes(&incident) {
                continue;
            }
            if let Some(groups) = &mut self.groups {
                groups.add(&incident, 0);
            } else {
                let mut text = String::new();
                self.style.write(&mut text, &incident);
                self.hold(text)?;
            }
        }
        Ok(())
    }

    fn hold(&mut self, text: String) -> Result<(), Error> {
        if self.arguments.is_following {
            let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
            return written.map_err(Error::Write);
        }
        self.held_bytes += text.len();
        self.held.push_back(text);
        while self.held.len() > self.arguments.limit || self.held_bytes > SHOW_HELD_BYTES_MAX {
            match self.held.pop_front() {
                Some(oldest) => self.held_bytes -= oldest.len(),
                None => break,
            }
            self.skipped.older += 1;
        }
        Ok(())
    }
}

fn lines() -> FrameSplitter {
    FrameSplitter::new(SHOW_LINE_BYTES_MAX, OverLong::Skip)
}
