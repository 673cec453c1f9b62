//! The `blackbox-daemon` command.

// Text from outside reaches the terminal through `complain` and the log's format, which escape it.
#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use log::{LevelFilter, warn};

use blackbox_daemon::agent as daemon;
use blackbox_daemon::commands::show::Terminal;
use blackbox_daemon::commands::{check, explain, help, options, replay, show};
use blackbox_daemon::config::{CommandConfig, Config, ConfigErrors, LogLevel, log_levels};
use blackbox_daemon::core::case::Severity;
use blackbox_daemon::core::text::escaped;
use blackbox_daemon::limits::{FATAL_FLUSH_MAX, LOG_FLUSH_MAX};
use blackbox_daemon::runtime::log_queue::LogQueue;

/// The allocator of the container image (musl builds); docs/dependencies.md gives the reason.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const VERSION: &str = concat!("blackbox-daemon ", env!("CARGO_PKG_VERSION"), "\n");

/// Exit code for a wrong command line or environment.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let log = LogQueue::default();
    let queued = log.start(io::stderr()).is_ok().then(|| log.clone());
    start_logger(queued.clone());
    // A panic ends the process.
    let panics = queued.clone();
    std::panic::set_hook(Box::new(move |panic| fatal(panics.as_ref(), panic)));
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let code = match (help::asked(&arguments), arguments.as_slice()) {
        (Some(command), _) => help(command),
        (_, []) => run(&log, queued.as_ref()),
        (_, ["check", words @ ..]) => check(words),
        (_, ["show", words @ ..]) => show(words),
        (_, ["explain", words @ ..]) => explain(words),
        (_, ["replay", words @ ..]) => replay(words),
        (_, ["--version" | "-V", ..]) => say(VERSION),
        (_, [word, ..]) => unknown(word),
    };
    log.flush_within(LOG_FLUSH_MAX);
    code
}

/// Starts the log, through the queue if that has a thread.
fn start_logger(queued: Option<LogQueue>) {
    let mut logger = env_logger::Builder::new();
    logger.filter_level(LevelFilter::Info);
    for LogLevel { module, level } in log_levels(&std::env::var_os("RUST_LOG").unwrap_or_default())
    {
        logger.filter(module.as_deref(), level);
    }
    if let Some(queue) = queued {
        logger.target(env_logger::Target::Pipe(Box::new(queue)));
    }
    logger.format(|out, record| {
        let (time, text) = (out.timestamp(), record.args().to_string());
        let (level, target) = (record.level(), record.target());
        writeln!(out, "[{time} {level:<5} {target}] {}", escaped(&text))
    });
    logger.init();
}

fn run(log: &LogQueue, queued: Option<&LogQueue>) -> ExitCode {
    let config = match Config::from_env(std::env::vars_os()) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    for warning in &config.warnings {
        warn!("{warning}");
    }
    match daemon::run(&config, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fatal(queued, &error);
            ExitCode::FAILURE
        }
    }
}

fn help(command: Option<&str>) -> ExitCode {
    match (help::page(command), command) {
        (Some(page), _) => say(&page),
        (None, command) => unknown(command.unwrap_or_default()),
    }
}

/// Prints every problem of the settings.
fn refuse(errors: &ConfigErrors) -> ExitCode {
    for problem in &errors.problems {
        complain(problem);
    }
    ExitCode::from(USAGE_ERROR)
}

/// Refuses a word that is no command.
fn unknown(word: &str) -> ExitCode {
    complain(&format_args!("{}; see blackbox-daemon --help", help::unknown_command(word)));
    ExitCode::from(USAGE_ERROR)
}

/// Prints every problem of a command's words.
fn refuse_words(command: &str, mut problems: Vec<String>) -> ExitCode {
    if let Some(last) = problems.last_mut() {
        last.push_str(&format!("; see blackbox-daemon help {command}"));
    }
    for problem in problems {
        complain(&format_args!("{command}: {problem}"));
    }
    ExitCode::from(USAGE_ERROR)
}

fn check(words: &[&str]) -> ExitCode {
    match check::run(words, std::env::vars_os(), &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(check::Error::Usage(problem)) => refuse_words("check", vec![problem]),
        Err(check::Error::Write(error)) => {
            complain(&format_args!("check: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn show(words: &[&str]) -> ExitCode {
    let config = match CommandConfig::from_env(std::env::vars_os()) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    let defaults = show::Defaults { incident_file: config.incident_file, listen: config.listen };
    let mut out = io::BufWriter::new(io::stdout().lock());
    match show::run(words, Terminal::of_process(), defaults, &mut out) {
        Ok(passed) => {
            if let Some(passed) = passed {
                note(&passed);
            }
            ExitCode::SUCCESS
        }
        Err(show::Error::Usage(problems)) => refuse_words("show", problems),
        Err(show::Error::Read(problem)) => {
            complain(&format_args!("show: {problem}"));
            ExitCode::FAILURE
        }
        Err(show::Error::Write(error)) => {
            complain(&format_args!("show: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn explain(words: &[&str]) -> ExitCode {
    match explain::run(words, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(explain::Error::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(explain::Error::Usage(problem)) => refuse_words("explain", vec![problem]),
        Err(error) => {
            complain(&format_args!("explain: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// On a terminal the incidents look as `show` shows them; elsewhere, and with `--json`, they are lines.
fn replay(words: &[&str]) -> ExitCode {
    let is_json = words.contains(&"--json");
    let rest: Vec<&str> = words.iter().copied().filter(|word| *word != "--json").collect();
    let folder = match rest[..] {
        [folder] if !folder.starts_with('-') => Path::new(folder),
        _ => {
            let option = rest.iter().find(|word| word.starts_with('-'));
            let problem = match option {
                Some(option) => options::unknown(option, replay::OPTIONS),
                None => "it takes one argument, a folder".to_owned(),
            };
            return refuse_words("replay", vec![problem]);
        }
    };
    let config = match CommandConfig::from_env(std::env::vars_os()) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    let node_name = config.node_name.unwrap_or_else(|| "recorded".to_owned());
    let is_shown = !is_json && io::stdout().is_terminal();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = if is_shown {
        let mut screen = show::Screen::new(Terminal::of_process(), &mut out);
        let result = replay::run(folder, &node_name, Severity::Low, &mut screen);
        result.and_then(|summary| Ok((summary, screen.end().map_err(replay::Error::Write)?)))
    } else {
        replay::run(folder, &node_name, Severity::Low, &mut out).map(|summary| (summary, None))
    };
    match result {
        Ok((summary, passed)) => {
            for flaw in &summary.flaws {
                warn!("bad input ({:?}): {}", flaw.kind, flaw.text);
            }
            let replay::Summary { listed, lines, incidents, .. } = summary;
            let order = if is_shown { ", the newest at the top" } else { "" };
            note(&format!(
                "incidents: {incidents}{order}; the recording has {listed} pods at its start and {lines} changes after it"
            ));
            if let Some(passed) = passed {
                note(&passed);
            }
            ExitCode::SUCCESS
        }
        // The reader closed the pipe because it has read enough.
        Err(replay::Error::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("replay: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes why the process ends, whatever `RUST_LOG` says. It takes the way of the log, because nobody may read standard
/// error, and the process must end all the same.
fn fatal(queued: Option<&LogQueue>, problem: &dyn Display) {
    let Some(queue) = queued else { return complain(problem) };
    let line = format!("{}\n", escaped(&format!("blackbox-daemon: {problem}")));
    // The queue takes every line.
    let _ = queue.clone().write(line.as_bytes());
    queue.flush_within(FATAL_FLUSH_MAX);
}

/// Writes a problem to standard error.
fn complain(problem: &dyn Display) {
    note(&format!("blackbox-daemon: {problem}"));
}

/// Writes a line to standard error. The text may contain what a server, a file or the command line says.
fn note(text: &str) {
    // If standard error is closed, there is nobody to tell.
    let _ = writeln!(io::stderr(), "{}", escaped(text));
}
