//! The whole product on a laptop, without a cluster: a fake API server on loopback plays seven recorded minutes of a
//! real one, and a simulated pod leaks memory until it is killed; the agent watches them over TLS.
//!
//! ```text
//! cargo run --release --example demo                        # as fast as it happened
//! cargo run --release --example demo -- --pace 20 --once    # faster, and exits after the last incident
//! cargo run --release --example demo -- --json              # prints the JSON lines
//! ```
//!
//! The agent gets the settings `BLACKBOX_…` of the demo's own environment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a demo that cannot start says why and ends"
)]

mod leak;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use blackbox_daemon::agent;
use blackbox_daemon::config::{Config, SETTINGS};
use blackbox_daemon::runtime::clock::Clock;
use blackbox_daemon::runtime::log_queue::LogQueue;
use serde_json::Value;
use support::clock::Stopper;
use support::{FakeApi, Options, Pace, Recording, Scratch, fixture};

/// The address of page and metrics, unless it is already in use.
const LISTEN: &str = "127.0.0.1:9464";

/// How long after the recording's end the last incident may arrive: terminations are held back for 12 s.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// The argument with which the demo starts itself as the agent.
const AS_AGENT: &str = "--as-agent";

struct Arguments {
    pace: f64,
    is_once: bool,
    is_json: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == AS_AGENT) {
        return agent();
    }
    match arguments(&words) {
        Some(arguments) => play(&arguments),
        None => {
            eprintln!("usage: demo [--pace TIMES] [--once] [--json]");
            ExitCode::from(2)
        }
    }
}

fn arguments(words: &[String]) -> Option<Arguments> {
    let mut arguments = Arguments { pace: 1.0, is_once: false, is_json: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pace" => {
                let pace = words.next()?.parse::<f64>().ok()?;
                arguments.pace = (pace.is_finite() && pace > 0.0).then_some(pace)?;
            }
            "--once" => arguments.is_once = true,
            "--json" => arguments.is_json = true,
            _ => return None,
        }
    }
    Some(arguments)
}

/// Runs the agent itself, like its binary does. It exits with the demo, however the demo exits.
fn agent() -> ExitCode {
    std::thread::Builder::new().spawn(end_with_parent).expect("a thread for the demo");
    env_logger::Builder::from_env(env_logger::Env::default()).init();
    let run = Config::from_env(std::env::vars_os()).map_err(|e| e.to_string());
    match run
        .and_then(|config| agent::run(&config, &LogQueue::default()).map_err(|e| e.to_string()))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Exits when standard input is closed: the parent holds its other end and writes nothing.
#[expect(clippy::disallowed_methods, reason = "the demo is over")]
fn end_with_parent() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    std::process::exit(0);
}

fn play(arguments: &Arguments) -> ExitCode {
    let clock = Clock::start();
    let api = FakeApi::start(Options::default());
    let scratch = Scratch::new("demo");
    let listen = free_address();
    let mut child = spawn(&api, scratch.path(), &listen);
    // Waiting for the child would close its standard input, and so terminate the child.
    let held = child.stdin.take();
    eprintln!(
        "A fake API server at {} plays what a real one recorded; the agent watches it.\n\n  \
         page       http://{listen}/\n  incidents  http://{listen}/incidents\n  \
         metrics    http://{listen}/metrics\n\nCtrl-C ends it.\n",
        api.url()
    );
    let told = print_incidents(&mut child, arguments.is_json);
    let api = Arc::new(api);
    let leak = leak::start(&api, scratch.path(), clock);
    // Moves the recording's times to the present.
    let recording = Recording::load(&fixture("crash-zoo"));
    let since = clock.wall().duration_since(recording.began().expect("a recording has times"));
    let player = recording.repeated(since).play(api.store(), Pace::Times(arguments.pace));
    let never = Stopper::default();
    while !player.is_done() {
        never.wait(Duration::from_millis(200));
        if let Some(status) = child.try_wait().unwrap() {
            eprintln!("the agent ended: {status}");
            return ExitCode::FAILURE;
        }
    }
    never.wait(LAST_WORDS);
    drop(leak);
    eprintln!("\n{} incidents were told.", told.load(Ordering::Relaxed));
    if !arguments.is_once {
        eprintln!("That was all; the page stays until Ctrl-C.");
        child.wait().unwrap();
    }
    drop(held);
    let _ = child.kill();
    ExitCode::SUCCESS
}

/// Returns the address of the environment, or the one that the README names, or any free one.
fn free_address() -> String {
    if let Ok(address) = std::env::var("BLACKBOX_LISTEN") {
        return address;
    }
    let listener = TcpListener::bind(LISTEN).or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Returns the agent's settings in the environment of the demo, except those that concern the cluster.
fn own_settings() -> impl Iterator<Item = (&'static str, OsString)> {
    let keys = SETTINGS.iter().map(|setting| setting.key);
    let keys = keys.filter(|key| key.starts_with("BLACKBOX_"));
    keys.filter_map(|key| Some((key, std::env::var_os(key)?)))
}

/// Starts this program again, as the agent.
fn spawn(api: &FakeApi, folder: &Path, listen: &str) -> Child {
    api.write_kubeconfig(&folder.join("kubeconfig"));
    Command::new(std::env::current_exe().unwrap())
        .arg(AS_AGENT)
        .env_clear()
        .env("NODE_NAME", "node1")
        .env("KUBECONFIG", folder.join("kubeconfig"))
        .env("BLACKBOX_LISTEN", listen)
        .env("BLACKBOX_CGROUP", folder.join("cgroup"))
        .env("BLACKBOX_POD_LOGS", folder.join("pods"))
        .env("BLACKBOX_SAMPLE_INTERVAL", "1s")
        .env("BLACKBOX_WINDOW", "2m")
        .env("RUST_LOG", "warn")
        .envs(own_settings())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Prints incidents as they arrive, as a sentence or as the line; returns the counter of incidents.
fn print_incidents(child: &mut Child, is_json: bool) -> Arc<AtomicUsize> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    std::thread::Builder::new()
        .spawn(move || {
            for line in lines.map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                let text = if is_json { line } else { sentence(&line) };
                // The reader of the output has closed it.
                if writeln!(io::stdout(), "{text}").is_err() {
                    return;
                }
            }
        })
        .unwrap();
    told
}

fn sentence(line: &str) -> String {
    let incident: Value = serde_json::from_str(line).unwrap_or_default();
    let word = |key: &str| incident[key].as_str().unwrap_or_default();
    let time = word("occurred_at").get(11..19).unwrap_or_default();
    let message: String =
        word("message").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{time}  {:<8}  {:<13}  {message}", word("severity"), word("type"))
}
