//! The `blackbox-daemon` command.

// Text from outside reaches the terminal through `complain` and the log's format, which escape it.
#![deny(clippy::print_stderr, clippy::print_stdout)]

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use log::{error, warn};

use blackbox_daemon::agent as daemon;
use blackbox_daemon::commands::show::Terminal;
use blackbox_daemon::commands::{check, explain, replay, show};
use blackbox_daemon::config::{CommandConfig, Config, ConfigErrors, SETTINGS};
use blackbox_daemon::core::case::Severity;
use blackbox_daemon::core::text::escaped;
use blackbox_daemon::limits::LOG_FLUSH_MAX;
use blackbox_daemon::runtime::log_queue::LogQueue;

/// The allocator of the container image (musl builds); docs/dependencies.md gives the reason.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Exit code for a wrong command line or environment.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let log = LogQueue::default();
    let is_queued = log.start(io::stderr()).is_ok();
    let logger = env_logger::Env::default().default_filter_or("info");
    let target = match is_queued {
        true => env_logger::Target::Pipe(Box::new(log.clone())),
        false => env_logger::Target::Stderr,
    };
    env_logger::Builder::from_env(logger)
        .target(target)
        .format(|out, record| {
            let (time, text) = (out.timestamp(), record.args().to_string());
            let (level, target) = (record.level(), record.target());
            writeln!(out, "[{time} {level:<5} {target}] {}", escaped(&text))
        })
        .init();
    // A panic ends the process. Its text takes the way of the log, which nobody can block.
    let flushed = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        error!("{panic}");
        flushed.flush_within(LOG_FLUSH_MAX);
    }));
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let code = match arguments.as_slice() {
        [] => run(&log),
        ["check"] => check(),
        ["show", words @ ..] => show(words),
        ["explain", words @ ..] => explain(words),
        ["replay", "--json", folder] | ["replay", folder, "--json"] => {
            replay(Path::new(folder), true)
        }
        ["replay", folder] if !folder.starts_with("--") => replay(Path::new(folder), false),
        ["--version" | "-V"] => say(concat!("blackbox-daemon ", env!("CARGO_PKG_VERSION"), "\n")),
        ["--help" | "-h"] => say(&help()),
        ["check", ..] => usage("check takes no arguments; it reads the agent's own settings"),
        ["replay", ..] => usage("replay takes a folder, and --json"),
        [first, ..] => usage(&format!("unknown command or option {first:?}")),
    };
    log.flush_within(LOG_FLUSH_MAX);
    code
}

fn run(log: &LogQueue) -> ExitCode {
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
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints every problem of the settings.
fn refuse(errors: &ConfigErrors) -> ExitCode {
    for problem in &errors.problems {
        complain(problem);
    }
    ExitCode::from(USAGE_ERROR)
}

fn check() -> ExitCode {
    match check::run(std::env::vars_os(), &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            error!("{error}");
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
        Err(show::Error::Usage(problems)) => {
            for problem in problems {
                complain(format_args!("show: {problem}"));
            }
            ExitCode::from(USAGE_ERROR)
        }
        Err(show::Error::Read(problem)) => {
            complain(format_args!("show: {problem}"));
            ExitCode::FAILURE
        }
        Err(show::Error::Write(error)) => {
            complain(format_args!("show: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn explain(words: &[&str]) -> ExitCode {
    match explain::run(words, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(explain::Error::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("explain: {error}"));
            match error {
                explain::Error::Usage(_) => ExitCode::from(USAGE_ERROR),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// On a terminal the incidents look as `show` shows them; elsewhere, and with `--json`, they are lines.
fn replay(folder: &Path, is_json: bool) -> ExitCode {
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
            note(&format!("{incidents} incidents in {listed} listed pods and {lines} watch lines"));
            if let Some(passed) = passed {
                note(&passed);
            }
            ExitCode::SUCCESS
        }
        // The reader closed the pipe because it has read enough.
        Err(replay::Error::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes a problem to standard error.
fn complain(problem: impl Display) {
    note(&format!("blackbox-daemon: {problem}"));
}

/// Writes a line to standard error. The text may contain what a server, a file or the command line says.
#[expect(clippy::print_stderr, reason = "this is the place")]
fn note(text: &str) {
    eprintln!("{}", escaped(text));
}

fn usage(problem: &str) -> ExitCode {
    complain(format_args!("{problem}; see blackbox-daemon --help"));
    ExitCode::from(USAGE_ERROR)
}

fn help() -> String {
    let mut help = "\
Crash flight recorder for Kubernetes nodes: one JSON line for every container that died, and why.

  blackbox-daemon               watch the pods of NODE_NAME; write incidents to stdout and the log to stderr
  blackbox-daemon check         check everything that the agent needs, and print what to do
  blackbox-daemon show [FILE]   show incidents, newest first; from FILE, stdin (-), BLACKBOX_INCIDENT_FILE, or the agent
                                on this host
"
    .to_owned();
    for (option, meaning) in show::OPTIONS {
        help.push_str(&format!("      {option:<24}  {meaning}\n"));
    }
    help.push_str(
        "\
  blackbox-daemon explain [FILE] find the cause of a crash in a log: FILE or stdin (-), as the kubelet or kubectl writes it
      --exit-code N             how the container ended; without it, 1
      --json                    print one object
  blackbox-daemon replay DIR    find the incidents in a folder with a recording, without a cluster; on a terminal as
                                show shows them
      --json                    lines, also on a terminal
  blackbox-daemon --version
  blackbox-daemon --help

Exit codes: 0 success or terminated by a signal, 1 failure, 2 wrong usage or configuration.

Settings (environment):
",
    );
    for setting in SETTINGS {
        help.push_str(&format!("\n  {}", setting.key));
        if !setting.default.is_empty() {
            help.push_str(&format!("={}", setting.default));
        }
        help.push_str(&format!(
            "\n      {}\n      allowed: {}\n",
            setting.meaning, setting.allowed
        ));
    }
    help
}
