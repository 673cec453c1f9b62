//! The whole product on a laptop, without a cluster: a fake API server on loopback, the agent that watches it over TLS,
//! and pods that crash.
//!
//! ```text
//! cargo run --release --example demo                # a story of six events, in less than a minute
//! cargo run --release --example demo -- --store     # and then six questions to DuckDB about its incident file
//! cargo run --release --example demo -- --pace 1    # seven recorded minutes of a real cluster, as fast as they were
//! cargo run --release --example demo -- --pace 20 --once --json    # faster; JSON lines; exits after the last one
//! ```
//!
//! The recording keeps its own distances between times. At a pace above 1, they run ahead of this machine's clock.
//!
//! The agent gets the settings `BLACKBOX_…` of the demo's own environment.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a demo that cannot start says why and ends"
)]

mod actor;
mod leak;
mod machine;
mod node;
mod store;
mod story;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use blackbox_daemon::agent;
use blackbox_daemon::config::Config;
use blackbox_daemon::runtime::clock::Clock;
use blackbox_daemon::runtime::log_queue::LogQueue;
use leak::{Leak, TICK};
use node::Node;
use support::clock::Stopper;
use support::{Pace, Recording, fixture};

/// How long after the recording's end the last incident may arrive: terminations are held back for 12 s.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// How long the leaking container lives beside the recording.
const LIFE: Duration = Duration::from_secs(40);

/// The argument with which the demo starts itself as the agent.
const AS_AGENT: &str = "--as-agent";

const USAGE: &str = "\
usage: demo [--pace TIMES] [--once] [--json] [--store]
  --pace TIMES  play seven recorded minutes so many times faster, in place of the story
  --once        end after the last incident; otherwise the page stays until Ctrl-C
  --json        print the lines as they are
  --store       ask DuckDB about the incidents at the end";

#[derive(Default)]
struct Arguments {
    /// How much faster than it was to play the recording; `None`: the story.
    pace: Option<f64>,
    is_once: bool,
    is_json: bool,
    asks_store: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == AS_AGENT) {
        return agent();
    }
    let Some(arguments) = arguments(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match play(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(words: &[String]) -> Option<Arguments> {
    let mut arguments = Arguments::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pace" => {
                let pace = words.next()?.parse::<f64>().ok()?;
                arguments.pace = Some((pace.is_finite() && pace > 0.0).then_some(pace)?);
            }
            "--once" => arguments.is_once = true,
            "--json" => arguments.is_json = true,
            "--store" => arguments.asks_store = true,
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

fn play(arguments: &Arguments) -> io::Result<()> {
    if arguments.asks_store {
        store::must_answer()?;
    }
    let clock = Clock::start();
    let mut node = Node::new(arguments.is_json);
    eprintln!(
        "A fake API server at {} shows what happens on a node; the agent watches it.\n\n  \
         page       http://{listen}/\n  incidents  http://{listen}/incidents\n  \
         metrics    http://{listen}/metrics\n\nCtrl-C ends it.\n",
        node.api.url(),
        listen = node.listen
    );
    if arguments.asks_store || arguments.pace.is_none() {
        node.set("BLACKBOX_INCIDENT_FILE", "incidents.jsonl");
        node.set("BLACKBOX_STATE_FILE", "state.json");
    }
    match arguments.pace {
        None => {
            node.set("BLACKBOX_PROC", "proc");
            node.set("BLACKBOX_RECORDER_FILE", "recorder");
            story::tell(&mut node, clock)?;
        }
        Some(pace) => play_recording(&mut node, clock, pace)?,
    }
    eprintln!("\nThe agent reported {} incidents.", node.lines().len());
    if arguments.asks_store {
        store::ask(&node.incident_file())?;
    }
    if !arguments.is_once {
        if arguments.pace.is_none() {
            eprintln!(
                "All of them: target/release/blackbox-daemon show --full {}\n\
                 The agent since its upgrade keeps the last one for its page.",
                node.incident_file().display()
            );
        }
        eprintln!("That was all; the page stays until Ctrl-C.");
        node.wait();
    }
    Ok(())
}

/// Plays the recording so many times as fast as it was, beside a pod that leaks memory.
fn play_recording(node: &mut Node, clock: Clock, pace: f64) -> io::Result<()> {
    node.start_agent()?;
    let mut leak = Leak::start(&node.api, LIFE, clock);
    // Moves the recording's times to the present.
    let recording = Recording::load(&fixture("crash-zoo"));
    let since = clock.wall().duration_since(recording.began().expect("a recording has times"));
    let player = recording.repeated(since).play(node.api.store(), Pace::Times(pace));
    let never = Stopper::default();
    let mut ended_at = None;
    loop {
        leak.step(&node.api, node.folder(), clock);
        never.wait(TICK);
        node.must_run()?;
        if player.is_done() {
            let ended_at = *ended_at.get_or_insert_with(|| clock.monotonic());
            if clock.monotonic() - ended_at >= LAST_WORDS {
                return Ok(());
            }
        }
    }
}
