//! Follows a file of a syslog daemon.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::LogLine;
use super::journal::OpenFile;
use crate::core::journal::{Progress, Source};
use crate::core::kernel::{Origin, plain};
use crate::core::stream::frame::{FrameSplitter, OverLong};
use crate::limits::{PLAIN_LOG_BLOCK_BYTES, PLAIN_LOG_LINE_BYTES_MAX};
use crate::runtime::files::{Links, file_id, open_regular};

/// The names of the files, the one that only the kernel's lines go to first, and who may write such lines there.
const NAMES: [(&str, Origin); 3] =
    [("kern.log", Origin::Kernel), ("messages", Origin::Shared), ("syslog", Origin::Shared)];

/// A plain log that is followed.
#[derive(Debug)]
pub(super) struct PlainFile {
    path: PathBuf,
    origin: Origin,
    file: OpenFile,
    offset: u64,
    lines: FrameSplitter,
    /// True until the end was reached once: the lines before it may be old.
    is_behind: bool,
}

/// Returns the path of the file that would be followed.
///
/// # Errors
/// Why there is none: a text for the operator.
pub fn first(folders: &[PathBuf]) -> Result<PathBuf, String> {
    PlainFile::open_first(folders).map(|plain| plain.path)
}

impl PlainFile {
    /// Opens the first file that there is, near its end.
    pub(super) fn open_first(folders: &[PathBuf]) -> Result<Self, String> {
        let mut why = None;
        for (name, origin) in NAMES {
            for folder in folders {
                let path = folder.join(name);
                match Self::open(&path, origin) {
                    Ok(plain) => return Ok(plain),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => {
                        why.get_or_insert_with(|| format!("{}: {error}", path.display()));
                    }
                }
            }
        }
        Err(why.unwrap_or_else(|| {
            let folders: Vec<_> =
                folders.iter().map(|folder| folder.display().to_string()).collect();
            format!("no journal, kern.log, messages or syslog in {}", folders.join(", "))
        }))
    }

    fn open(path: &Path, origin: Origin) -> std::io::Result<Self> {
        let file = open_regular(path, Links::Refuse)?;
        let offset = file.metadata()?.len().saturating_sub(PLAIN_LOG_BLOCK_BYTES as u64);
        let mut plain = Self::of(path, origin, OpenFile(file));
        (plain.offset, plain.is_behind) = (offset, true);
        Ok(plain)
    }

    fn of(path: &Path, origin: Origin, file: OpenFile) -> Self {
        let lines = FrameSplitter::new(PLAIN_LOG_LINE_BYTES_MAX, OverLong::Skip);
        Self { path: path.to_owned(), origin, file, offset: 0, lines, is_behind: false }
    }

    /// Reads what is new, one block. The error is a text for the operator.
    pub(super) fn read(
        &mut self,
        now_us: u64,
        lines: &mut Vec<LogLine>,
    ) -> Result<Progress, String> {
        let mut block = vec![0; PLAIN_LOG_BLOCK_BYTES];
        let len = self.file.read_at(self.offset, &mut block);
        self.offset += len as u64;
        let mut frames = self.lines.feed(&block[..len]);
        while let Some(frame) = frames.next() {
            // A line that is too long is none of the kernel.
            let Some(line) = frame.ok().and_then(|line| str::from_utf8(line).ok()) else {
                continue;
            };
            let Some(line) = plain::parse(line) else { continue };
            // The old form of a time has neither a year nor a zone. A line that was not there a round ago is new.
            let at = line.time.parse::<Timestamp>().ok();
            let at_us = at.and_then(|at| at.as_microsecond().try_into().ok());
            if let Some(at_us) = at_us.or_else(|| (!self.is_behind).then_some(now_us)) {
                lines.push(LogLine { at_us, text: line.text.to_owned(), origin: self.origin });
            }
        }
        if len == PLAIN_LOG_BLOCK_BYTES {
            return Ok(Progress::More);
        }
        self.is_behind = false;
        self.follow()?;
        Ok(Progress::Done)
    }

    /// Goes on with the file that has the name now, if this one was rotated or emptied.
    fn follow(&mut self) -> Result<(), String> {
        let (Ok(opened), Ok(named)) = (self.file.0.metadata(), fs::symlink_metadata(&self.path))
        else {
            return Err(format!("{} is gone", self.path.display()));
        };
        if file_id(&opened) != file_id(&named) {
            let file = open_regular(&self.path, Links::Refuse)
                .map_err(|error| format!("{}: {error}", self.path.display()))?;
            *self = Self::of(&self.path, self.origin, OpenFile(file));
        } else if opened.len() < self.offset {
            self.offset = 0;
            self.lines.reset();
        }
        Ok(())
    }
}
