//! The wiring: every channel, every thread, and the order in which they end.
//!
//! ```text
//!  thread    owns                        hears                          tells
//!  watch     the stream's client         steps (1)                      messages (32, waits)
//!  detect    Stream: all of the core     messages (32)                  steps, wanted, sinks
//!  events    a client of its own         wanted (64, never waited for)  messages (32, waits)
//!  stdout    standard output             its queue (256, oldest drops)  -
//!  http      the listener                one thread a connection        -
//!  signal    -                           SIGTERM, SIGINT                main
//!  main      this page                   what ends the agent            -
//! ```
//!
//! The end: the word to stop is set, requests under way are broken, the detection is told, tells what
//! it holds and closes the sinks' queues, the sinks write what they have. Past a deadline the process
//! ends anyway. `http` and `signal` are not waited for: they end with the process.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::Builder;
use std::time::Duration;

use log::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::core::detector::{Detector, History};
use crate::core::reflector::Reflector;
use crate::core::stream::Stream;
use crate::detect::{Deliver, Detect, Message};
use crate::events::Events;
use crate::health::Health;
use crate::http::HttpServer;
use crate::kube::{Client, Interrupt};
use crate::limits::{
    BLOCKS_KEPT_MAX, CONTROL_MAX, EVENT_LOOKUP_TIMEOUT, EVENT_LOOKUPS_MAX, MESSAGES_MAX,
    SHUTDOWN_MAX, SHUTDOWN_POLL, THREAD_STACK_BYTES,
};
use crate::metrics::{Metrics, SinkName};
use crate::pages;
use crate::signal;
use crate::sink::{Outlet, stdout};
use crate::stop::Stop;
use crate::watch::{Watch, pods_path};

/// Why the agent cannot start, or ends without a signal.
#[derive(Debug)]
pub enum Error {
    /// A thread came to its end by itself.
    Ended(&'static str),
    /// The address of `BLACKBOX_LISTEN` cannot be had.
    Listen(SocketAddr, io::Error),
    /// The kernel gives no thread.
    Thread(&'static str, io::Error),
    /// Signals cannot be caught.
    Signals(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(name) => write!(f, "the thread {name} ended by itself"),
            Self::Listen(addr, e) => write!(f, "cannot listen on {addr} (BLACKBOX_LISTEN): {e}"),
            Self::Thread(name, e) => write!(f, "cannot start the thread {name}: {e}"),
            Self::Signals(e) => write!(f, "cannot catch signals: {e}"),
        }
    }
}

impl std::error::Error for Error {}

/// What ends the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// SIGTERM or SIGINT.
    Signal(i32),
    /// A thread came to its end.
    Ended(&'static str),
}

/// Runs the agent until a signal ends it in order.
///
/// # Errors
/// When it cannot start, or a thread ends by itself. Nothing that the API server or the network does
/// makes it end.
pub fn run(config: &Config) -> Result<(), Error> {
    let clock = Clock::start();
    let (control, ended) = mpsc::sync_channel(CONTROL_MAX);
    // First of all: as PID 1 the process would otherwise ignore its signals.
    signal::watch(control.clone()).map_err(Error::Signals)?;
    let shared = Shared {
        metrics: Arc::default(),
        health: Arc::default(),
        stop: Stop::default(),
        clock,
        control,
    };
    let server = HttpServer::bind(config.listen).map_err(|e| Error::Listen(config.listen, e))?;
    info!(
        "blackbox-daemon {} watches node {} at {}; http on {}",
        env!("CARGO_PKG_VERSION"),
        config.node_name,
        config.cluster.server,
        server.local_addr()
    );
    let pages = pages::handler(&shared.metrics, &shared.health, clock, config);
    shared.spawn("http", move || server.run(clock, pages))?;
    let outlets = vec![shared.stdout()?];
    let (messages, interrupts) = shared.detection(config, outlets)?;

    let why = wait_for_the_end(&ended);
    shared.stop.set();
    for interrupt in &interrupts {
        interrupt.interrupt();
    }
    end(&messages, &ended, &shared.metrics, clock);
    why
}

/// What every thread may have a part of.
struct Shared {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: Stop,
    clock: Clock,
    control: SyncSender<Control>,
}

impl Shared {
    /// Starts the sink "stdout".
    fn stdout(&self) -> Result<Outlet, Error> {
        let outlet = Outlet::new(SinkName::Stdout, self.metrics.clone());
        let (queue, metrics, clock) = (outlet.queue(), self.metrics.clone(), self.clock);
        let name = SinkName::Stdout.name();
        self.spawn(name, move || stdout::run(&queue, io::stdout(), &metrics, clock))?;
        Ok(outlet)
    }

    /// Starts "watch", "events" and "detect", and the channels between them.
    fn detection(
        &self,
        config: &Config,
        outlets: Vec<Outlet>,
    ) -> Result<(SyncSender<Message>, [Interrupt; 2]), Error> {
        let (message_sender, messages) = mpsc::sync_channel(MESSAGES_MAX);
        let (step_sender, steps) = mpsc::sync_channel(1);
        let (block_sender, blocks) = mpsc::sync_channel(BLOCKS_KEPT_MAX);
        let (wanted_sender, wanted) = mpsc::sync_channel(EVENT_LOOKUPS_MAX);
        let client = |timeout| Client::new(&config.cluster, timeout, self.clock);
        let watch = Watch {
            client: client(config.api_timeout),
            path: pods_path(&config.node_name),
            idle_timeout: config.watch_idle_timeout,
            steps,
            messages: message_sender.clone(),
            blocks,
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            clock: self.clock,
            stop: self.stop.clone(),
        };
        let events = Events {
            client: client(config.api_timeout.min(EVENT_LOOKUP_TIMEOUT)),
            wanted,
            messages: message_sender.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock,
            stop: self.stop.clone(),
        };
        let interrupts = [watch.client.interrupt(), events.client.interrupt()];
        let ignored: Vec<String> = config.ignore_namespaces.iter().cloned().collect();
        let started = self.clock.now();
        let history = History::Before {
            started: started.wall.saturating_sub(started.monotonic).unwrap_or(started.wall),
            lookback: config.lookback,
        };
        let detector = Detector::new(&config.node_name, &ignored, history);
        let reflector = Reflector::new(config.retry_interval, seed(config, self.clock));
        let detect = Detect {
            stream: Stream::new(reflector, detector),
            messages,
            steps: step_sender,
            blocks: block_sender,
            interrupt: interrupts[0].clone(),
            wanted: wanted_sender,
            handler: Deliver {
                outlets,
                min_severity: config.min_severity,
                metrics: self.metrics.clone(),
            },
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            clock: self.clock,
            stop: self.stop.clone(),
        };
        self.spawn("watch", move || watch.run())?;
        self.spawn("events", move || events.run())?;
        self.spawn("detect", move || detect.run())?;
        Ok((message_sender, interrupts))
    }

    fn spawn(&self, name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let control = self.control.clone();
        let run = move || {
            body();
            // Nobody listens any more when the agent ends anyway.
            let _ = control.try_send(Control::Ended(name));
        };
        let builder = Builder::new().name(name.to_owned()).stack_size(THREAD_STACK_BYTES);
        builder.spawn(run).map(drop).map_err(|e| Error::Thread(name, e))
    }
}

/// Agents that start together must not ask together: the node's name and the time make the seed.
fn seed(config: &Config, clock: Clock) -> u64 {
    let words = [config.node_name.as_str(), &clock.wall().to_string()];
    crate::core::incident::IncidentId::new(&words).short()
}

/// Waits for a signal. A thread that ends without one has lost its partner: the agent ends too, and
/// the kubelet starts it anew.
fn wait_for_the_end(ended: &Receiver<Control>) -> Result<(), Error> {
    match ended.recv() {
        Ok(Control::Signal(signal)) => {
            info!("signal {signal}: ending");
            Ok(())
        }
        Ok(Control::Ended(name)) => Err(Error::Ended(name)),
        Err(_) => Err(Error::Ended("signal")),
    }
}

/// Has the detection tell what it holds, and the sinks write what they have.
fn end(messages: &SyncSender<Message>, ended: &Receiver<Control>, metrics: &Metrics, clock: Clock) {
    let deadline = clock.monotonic() + SHUTDOWN_MAX;
    let left = || deadline.saturating_sub(clock.monotonic());
    // The channel may be full of blocks for a moment; the detection empties it.
    let (mut told, mut waiting) = (false, vec!["detect", SinkName::Stdout.name()]);
    while !waiting.is_empty() && left() > Duration::ZERO {
        if !told {
            told = messages.try_send(Message::Stop).is_ok();
        }
        match ended.recv_timeout(left().min(SHUTDOWN_POLL)) {
            Ok(Control::Ended(name)) => waiting.retain(|w| *w != name),
            Ok(Control::Signal(_)) | Err(_) => {}
        }
    }
    let lost = metrics.sink_queued.get(SinkName::Stdout);
    if !waiting.is_empty() {
        warn!("{} did not end in time; {lost} incidents are not written", waiting.join(", "));
    }
}
