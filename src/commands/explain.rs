//! `explain [FILE|-] --exit-code N`: finds the cause of a crash in any log, by the same rules as the agent.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};

use serde_json::json;

use crate::commands::options::{self, Options};
use crate::core::cause::{Cause, Source, find_in};
use crate::core::fingerprint;
use crate::core::logs::last_words::{LastWords, LogEnd, Tail};
use crate::core::text::escaped;
use crate::limits::{EXPLAIN_BYTES_MAX, EXPLAIN_LINES};

/// Why a log cannot be explained.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong.
    Usage(String),
    /// The log cannot be read.
    Read(String, io::Error),
    /// The answer cannot be written.
    Write(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problem) => f.write_str(problem),
            Self::Read(name, error) => write!(f, "cannot read {name}: {error}"),
            Self::Write(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// The command line.
#[derive(Debug, Default)]
struct Arguments {
    file: Option<String>,
    exit_code: Option<i32>,
    is_json: bool,
}

/// The options of the command.
pub const OPTIONS: Options = &[
    ("--exit-code N", "how the container ended; without it, 1"),
    ("--json", "print one JSON object"),
];

impl Arguments {
    fn parse(words: &[&str]) -> Result<Self, Error> {
        let mut parsed = Self::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (word, None),
            };
            match name {
                "--json" if value.is_none() => parsed.is_json = true,
                "--exit-code" => {
                    let value = value.or_else(|| words.next()).unwrap_or("");
                    let code = value.parse().ok().filter(|code| (0..=255).contains(code));
                    let wrong = || {
                        Error::Usage(format!(
                            "--exit-code takes a number from 0 to 255, not {value:?}"
                        ))
                    };
                    parsed.exit_code = Some(code.ok_or_else(wrong)?);
                }
                option if option.starts_with('-') && option != "-" => {
                    return Err(Error::Usage(options::unknown(option, OPTIONS)));
                }
                file if parsed.file.is_none() => parsed.file = Some(file.to_owned()),
                second => {
                    return Err(Error::Usage(format!("one log at a time, not {second:?} as well")));
                }
            }
        }
        Ok(parsed)
    }
}

/// Reads the log that the words name (standard input without a name, or with `-`), and writes what its end says to `out`. The log
/// is one that the kubelet wrote, or plain text.
///
/// # Errors
/// The command line is wrong, the log cannot be read, or `out` cannot be written.
pub fn run(words: &[&str], out: &mut dyn Write) -> Result<(), Error> {
    let Arguments { file, exit_code, is_json } = Arguments::parse(words)?;
    // Without an exit code the log is taken for that of a program that failed.
    let exit_code = exit_code.unwrap_or(1);
    let bytes = match file.as_deref() {
        None | Some("-") => end_of(io::stdin().lock())
            .map_err(|error| Error::Read("standard input".to_owned(), error)),
        Some(name) => {
            File::open(name).and_then(end_of).map_err(|error| Error::Read(name.to_owned(), error))
        }
    }?;
    let end = match LogEnd::has_format(&bytes) {
        true => LogEnd::read(&[Tail { bytes: &bytes, is_cut: false }], true),
        false => LogEnd::read_plain(&bytes, true),
    };
    let cause = find_in(&end, exit_code, Source::Log);
    let lines = end.last_words(EXPLAIN_LINES);
    let text = match is_json {
        true => as_json(cause.as_ref(), &lines),
        false => as_text(cause.as_ref()),
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Write)
}

/// Reads the end of a log, in bounded memory.
fn end_of(mut log: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut block = vec![0; EXPLAIN_BYTES_MAX];
    loop {
        match log.read(&mut block)? {
            0 => return Ok(bytes),
            n => bytes.extend_from_slice(&block[..n]),
        }
        // The kubelet compresses all but the newest two files of a log.
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let text = "it is compressed with gzip; use: zcat FILE | blackbox-daemon explain -";
            return Err(io::Error::other(text));
        }
        if bytes.len() > 2 * EXPLAIN_BYTES_MAX {
            let from = bytes.len() - EXPLAIN_BYTES_MAX;
            // A line that is cut could be read as another one.
            let from = bytes[from..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(from, |end| from + end + 1);
            bytes.drain(..from);
        }
    }
}

fn as_json(cause: Option<&Cause>, lines: &LastWords) -> String {
    let answer = json!({
        "cause": cause.map(Cause::text),
        "error_type": cause.and_then(|cause| cause.error_type.as_deref()),
        "message": cause.map(|cause| cause.message.as_str()),
        "context": cause.and_then(|cause| cause.context.as_deref()),
        "location": cause.and_then(|cause| cause.location.as_deref()),
        "signature": cause.map(|cause| fingerprint::of_log(cause.signature()).to_string()),
        "lines": lines.lines,
    });
    format!("{answer}\n")
}

fn as_text(cause: Option<&Cause>) -> String {
    let Some(cause) = cause else { return "the log does not say why\n".to_owned() };
    let signature = fingerprint::of_log(cause.signature()).to_string();
    let rows = [
        ("context", cause.context.as_deref()),
        ("location", cause.location.as_deref()),
        ("line", Some(cause.line.as_str())),
        ("signature", Some(signature.as_str())),
    ];
    let mut text = format!("{}\n", escaped(&cause.text()));
    for (name, value) in rows {
        if let Some(value) = value {
            text.push_str(&format!("  {name:<10}{}\n", escaped(value)));
        }
    }
    text
}
