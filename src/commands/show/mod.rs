//! The command `show`: incident lines in readable form.
//!
//! It shows incidents, the newest first by the time at which they occurred, or (with `--follow`) as they arrive. They
//! come from a file and its rotated predecessors, from standard input, or from the agent on this host. With `--by` it
//! shows groups of them; the lines may then come from many nodes. Lines that are not incidents are skipped and counted,
//! since `kubectl logs` mixes the agent's log with its incident lines.

pub(crate) mod arguments;
mod details;
mod filter;
mod held;
mod input;
mod render;
mod screen;
mod table;
mod terminal;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::commands::own_agent;
use crate::core::display::groups::Groups;
use crate::core::display::parsed::Value;
use crate::core::stream::frame::{FrameSplitter, OverLong};
use crate::core::text::is_harmful;
use crate::kube::http::ResponseTimeout;
use crate::limits::{
    GROUP_IDS_MAX, READ_BLOCK_BYTES, SHOW_COLUMNS, SHOW_COLUMNS_MIN, SHOW_FOLLOW_INTERVAL,
    SHOW_HELD_BYTES_MAX, SHOW_LINE_BYTES_MAX, SHOWN_MAX,
};
use crate::runtime::clock::Clock;
use crate::runtime::files::{file_id, rotated_names};
use crate::runtime::stop::Stop;

pub use self::arguments::OPTIONS;
use self::arguments::{Arguments, Source};
use self::held::{Body, Entry, Held};
use self::render::{HEAD, Style};
use self::screen::Colours;
pub use self::terminal::Terminal;

/// Why not all incidents are shown.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong; one sentence per problem.
    Usage(Vec<String>),
    /// The input cannot be read; a sentence that names it.
    Read(String),
    /// The output cannot be written. A closed pipe is not an error.
    Write(io::Error),
}

/// The defaults from the environment.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// `BLACKBOX_INCIDENT_FILE`.
    pub incident_file: Option<PathBuf>,
    /// `BLACKBOX_LISTEN`.
    pub listen: Option<SocketAddr>,
}

/// Shows incidents. Returns a sentence for standard error about what was not shown, if there is any.
///
/// # Errors
/// An [`Error`] if the arguments are wrong, or if reading or writing fails.
pub fn run(
    words: &[&str],
    terminal: Terminal,
    defaults: Defaults,
    out: &mut dyn Write,
) -> Result<Option<String>, Error> {
    let clock = Clock::start();
    let arguments = arguments::read(words, defaults.incident_file, clock.wall());
    let mut show = Show::new(arguments.map_err(Error::Usage)?, terminal, out);
    let result = show.source(defaults.listen, clock).and_then(|()| show.end());
    match result {
        Err(Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(error),
        Ok(()) => show.summary(),
    }
}

/// Shows the incidents that are written as lines to what this returns.
pub struct Screen<'o> {
    show: Show<'o>,
    lines: FrameSplitter,
}

impl<'o> Screen<'o> {
    /// Starts without any.
    pub fn new(terminal: Terminal, out: &'o mut dyn Write) -> Self {
        Self { show: Show::new(Arguments::of(Source::Unnamed), terminal, out), lines: lines() }
    }

    /// Writes them to the terminal. Returns a sentence about those that are not shown.
    ///
    /// # Errors
    /// If the terminal cannot be written.
    pub fn end(mut self) -> io::Result<Option<String>> {
        match self.show.end() {
            Err(Error::Write(error)) => Err(error),
            _ => Ok(joined(&self.show.skipped())),
        }
    }
}

impl Write for Screen<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.show.take(&mut self.lines, bytes) {
            Err(Error::Write(error)) => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Show<'o> {
    arguments: Arguments,
    style: Style,
    /// The incidents, if not groups of them are asked for.
    held: Held,
    /// The groups, if they are asked for instead of incidents.
    groups: Option<Groups>,
    /// The node of the first incident, to see whether there are more.
    node: Option<String>,
    out: &'o mut dyn Write,
    /// How many lines are incidents, and how many of them match.
    read: u64,
    taken: u64,
    /// Lines that are not incidents.
    other: u64,
    /// Lines that repeat an incident, in groups.
    repeated: u64,
    /// True if there were more incidents than ids can be kept, in groups.
    has_forgotten: bool,
    /// What to tell about the source.
    told: Option<String>,
}

impl<'o> Show<'o> {
    fn new(arguments: Arguments, terminal: Terminal, out: &'o mut dyn Write) -> Self {
        let style = Style {
            columns: terminal.columns.unwrap_or(SHOW_COLUMNS).max(SHOW_COLUMNS_MIN),
            colours: Colours(terminal.has_colours),
            is_full: arguments.is_full,
            has_all_logs: arguments.has_all_logs,
            has_node: false,
        };
        Self {
            groups: arguments.by.map(Groups::new),
            held: Held::new(arguments.limit.unwrap_or(SHOWN_MAX), SHOW_HELD_BYTES_MAX),
            arguments,
            style,
            node: None,
            out,
            read: 0,
            taken: 0,
            other: 0,
            repeated: 0,
            has_forgotten: false,
            told: None,
        }
    }

    fn source(&mut self, listen: Option<SocketAddr>, clock: Clock) -> Result<(), Error> {
        match self.arguments.source.clone() {
            Source::File(file) => self.files(&file),
            Source::Stdin => self.stdin().map(drop),
            // Without `-i`, kubectl exec gives a standard input that ends at once.
            Source::Unnamed => match io::stdin().is_terminal() || self.stdin()? == 0 {
                true => self.agent(listen, clock),
                false => Ok(()),
            },
        }
    }

    /// Reads standard input; returns the number of bytes.
    fn stdin(&mut self) -> Result<u64, Error> {
        let mut lines = lines();
        let read = self.read(&mut io::stdin().lock(), &mut lines, "standard input", 0);
        self.take(&mut lines, b"\n")?;
        read
    }

    /// Reads what the agent on this host keeps.
    fn agent(&mut self, listen: Option<SocketAddr>, clock: Clock) -> Result<(), Error> {
        if self.arguments.is_following {
            let text = "--follow needs a file, or - for standard input: \
                        kubectl logs -f POD | blackbox-daemon show --follow -";
            return Err(Error::Usage(vec![text.to_owned()]));
        }
        let Some(listen) = listen else { return Ok(()) };
        let (mut client, at) = own_agent::client(listen, clock);
        let answer = client.get("/incidents", ResponseTimeout::Answer);
        let mut answer = answer.map_err(|error| {
            Error::Read(format!(
                "no file is named, and the agent at {at} cannot be asked ({error}); name a file, or - for standard input"
            ))
        })?;
        let (mut lines, mut block) = (lines(), vec![0; READ_BLOCK_BYTES]);
        loop {
            match answer.read(&mut block) {
                Ok(0) => break,
                Ok(len) => self.take(&mut lines, &block[..len])?,
                Err(error) => return Err(Error::Read(format!("the agent at {at}: {error}"))),
            }
        }
        self.take(&mut lines, b"\n")?;
        self.told = Some(match self.read {
            0 => format!("the agent at {at} has no incident yet"),
            _ => format!("these are the last incidents that the agent at {at} keeps"),
        });
        Ok(())
    }

    /// Reads the file and its rotated predecessors, oldest first.
    fn files(&mut self, path: &Path) -> Result<(), Error> {
        for old in rotated_names(path).skip(1).rev() {
            match File::open(&old) {
                Ok(mut file) => self.whole(&mut file, &old)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&old, &error)),
            }
        }
        let open = || File::open(path).map_err(|error| unreadable(path, &error));
        if !self.arguments.is_following {
            return self.whole(&mut open()?, path);
        }
        let never = Stop::default();
        let (mut file, mut lines, mut len) = (open()?, lines(), 0);
        let name = path.display().to_string();
        loop {
            len += self.read(&mut file, &mut lines, &name, len)?;
            // Rotated: the name points to a new file. Truncated by another tool: the file is shorter than before.
            let is_same = |now: &std::fs::Metadata| {
                file.metadata().is_ok_and(|own| file_id(&own) == file_id(now))
            };
            match std::fs::metadata(path) {
                Ok(now) if !is_same(&now) || now.len() < len => {
                    // Lines written to the old file between the last read and the rotation.
                    self.read(&mut file, &mut lines, &name, len)?;
                    self.take(&mut lines, b"\n")?;
                    (file, len) = (open()?, 0);
                }
                // The file is missing (it may come back) or unchanged: wait.
                _ => drop(never.wait(SHOW_FOLLOW_INTERVAL)),
            }
        }
    }

    fn whole(&mut self, file: &mut File, path: &Path) -> Result<(), Error> {
        if path.is_dir() {
            let text =
                format!("{0} is a folder; a recording: blackbox-daemon replay {0}", path.display());
            return Err(Error::Read(text));
        }
        let mut lines = lines();
        self.read(file, &mut lines, &path.display().to_string(), 0)?;
        self.take(&mut lines, b"\n")
    }

    /// Reads to the current end of the input, of which `before` bytes were read already. Returns the number of bytes.
    fn read(
        &mut self,
        from: &mut dyn Read,
        lines: &mut FrameSplitter,
        name: &str,
        before: u64,
    ) -> Result<u64, Error> {
        let (mut block, mut bytes) = (vec![0; READ_BLOCK_BYTES], 0);
        loop {
            match from.read(&mut block) {
                Ok(0) => return Ok(bytes),
                Ok(len) => {
                    if before + bytes == 0
                        && let Some((what, command)) = input::misfit(&block[..len])
                    {
                        return Err(Error::Read(format!(
                            "{name}: {what}; use: {command} FILE | blackbox-daemon show -"
                        )));
                    }
                    bytes += len as u64;
                    self.take(lines, &block[..len])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(format!("{name}: {error}"))),
            }
        }
    }

    fn take(&mut self, lines: &mut FrameSplitter, block: &[u8]) -> Result<(), Error> {
        let mut lines = lines.feed(block);
        // What is passed on as JSON is JSON.
        let parse = match self.arguments.is_json {
            true => Value::parse_strict_head,
            false => Value::parse_head,
        };
        while let Some(line) = lines.next() {
            // kubectl may prefix a line with the pod's name or the time.
            let line = line.ok().and_then(|line| {
                let start = line.iter().position(|b| *b == b'{')?;
                Some(&line[start..])
            });
            let incident = line.and_then(|line| Some((line, parse(line)?)));
            let Some((line, head)) = incident else {
                self.other += 1;
                continue;
            };
            self.read += 1;
            if self.arguments.filter.takes(&head) {
                self.taken += 1;
                self.add(line, head)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, line: &[u8], head: Value) -> Result<(), Error> {
        if let Some(groups) = &mut self.groups {
            groups.add(&head, 0);
            return Ok(());
        }
        let at = head.time("occurred_at");
        let is_streaming = self.arguments.is_streaming();
        if !is_streaming && !self.held.wants(at) {
            return Ok(());
        }
        let [id, node] = ["id", "node_name"].map(|name| head.text(name).to_owned());
        // Most of a line is telemetry. Only what is sure to be shown is worth to be parsed in whole.
        let body = match self.arguments.is_full || self.arguments.is_json {
            true => Body::Line(line.into()),
            false => Body::Head(head.with_only(&HEAD)),
        };
        if !is_streaming {
            self.held.add(Entry { at, id, node, body });
            return Ok(());
        }
        self.style.has_node |= self.node.get_or_insert_with(|| node.clone()) != &node;
        self.write(body)?;
        match self.arguments.is_following {
            true => self.out.flush().map_err(Error::Write),
            false => Ok(()),
        }
    }

    fn write(&mut self, body: Body) -> Result<(), Error> {
        let mut text = String::new();
        match body {
            Body::Line(line) if self.arguments.is_json => push_line(&mut text, &line),
            Body::Line(line) => match Value::parse(&line) {
                Some(incident) => self.style.write(&mut text, &incident),
                None => self.other += 1,
            },
            Body::Head(head) => self.style.write(&mut text, &head),
        }
        self.out.write_all(text.as_bytes()).map_err(Error::Write)
    }

    /// Writes what was held back until all lines were read.
    fn end(&mut self) -> Result<(), Error> {
        if let Some(groups) = self.groups.take() {
            let mut table = groups.into_table();
            (self.repeated, self.has_forgotten) = (table.repeated, table.has_forgotten);
            table.keep(self.arguments.limit.unwrap_or(SHOWN_MAX));
            let mut text = String::new();
            self.style.table(&mut text, &table);
            self.out.write_all(text.as_bytes()).map_err(Error::Write)?;
        }
        self.style.has_node |= self.held.has_nodes();
        while let Some(newest) = self.held.pop_newest() {
            self.write(newest.body)?;
        }
        self.out.flush().map_err(Error::Write)
    }

    /// Returns what standard error says at the end.
    fn summary(&self) -> Result<Option<String>, Error> {
        if let Some(id) = &self.arguments.filter.id
            && self.taken == 0
        {
            let text = format!("no id among {} incidents begins with {id:?}", self.read);
            return Err(Error::Read(text));
        }
        let mut summary = self.skipped();
        match (self.read, &self.told) {
            (0, None) => summary.push("no incident found".to_owned()),
            (1, _) if self.taken == 0 => summary.push("the one incident does not match".to_owned()),
            (2.., _) if self.taken == 0 => {
                summary.push(format!("none of {} incidents matches", self.read));
            }
            _ => {}
        }
        summary.extend(self.told.clone());
        Ok(joined(&summary))
    }

    /// Returns a sentence for each reason why something is not shown.
    fn skipped(&self) -> Vec<String> {
        const OLDER: [&str; 2] = ["older incident is not shown", "older incidents are not shown"];
        const REPEATED: [&str; 2] = [
            "line repeats an incident and was left out",
            "lines repeat an incident and were left out",
        ];
        let mut sentences = Vec::new();
        for (count, [one, more]) in [
            (self.other, ["line is not an incident", "lines are not incidents"]),
            (self.held.older, OLDER),
            (self.repeated + self.held.repeated, REPEATED),
        ] {
            if count > 0 {
                sentences.push(format!("{count} {}", if count == 1 { one } else { more }));
            }
        }
        // A limit that was asked for needs no advice.
        if self.held.older > 0 && self.arguments.limit.is_none() {
            let advice = "use --since, --pod, --type or another filter to select fewer";
            sentences.push(advice.to_owned());
        }
        if self.has_forgotten {
            sentences.push(format!(
                "an incident that came again after {GROUP_IDS_MAX} others is counted twice"
            ));
        }
        sentences
    }
}

fn joined(sentences: &[String]) -> Option<String> {
    (!sentences.is_empty()).then(|| sentences.join("; "))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Read(format!("{}: {error}", path.display()))
}

/// Appends a line of JSON. In its strings, characters that a terminal would obey are escaped; there are none elsewhere.
fn push_line(out: &mut String, line: &[u8]) {
    let line = String::from_utf8_lossy(line.trim_ascii());
    if line.bytes().all(|b| matches!(b, b' '..=b'~')) {
        out.push_str(&line);
    } else {
        for c in line.chars() {
            if !is_harmful(c) || c.is_ascii_whitespace() {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out.push('\n');
}

fn lines() -> FrameSplitter {
    FrameSplitter::new(SHOW_LINE_BYTES_MAX, OverLong::Skip)
}

#[cfg(test)]
mod tests;
