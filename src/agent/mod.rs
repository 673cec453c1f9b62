//! The wiring of the agent: all channels, all threads, and the order of the shutdown.
//!
//! ```text
//!  thread    owns                        receives from                  sends to
//!  watch     the stream's client         detection                      detection
//!  lookups   a client of its own         requests (64, never waited for) detection, flight
//!  detect    -                           detection: its deadlines       -
//!  sampler   -                           (its own clock)                flight, work
//!  enrich    what was gathered           work (256, never waited for)   sinks, requests
//!  kernel    the kernel's log in files      (its own clock, enrich)        flight
//!  stdout    standard output             its queue (10 MiB, oldest drop) ledger
//!  file      the incident file           its queue (10 MiB, oldest drop) ledger
//!  webhook   the collector's client      its queue (10 MiB, oldest drop) ledger
//!  otlp      the OTLP receiver's client  its queue (10 MiB, oldest drop) ledger
//!  alertmanager  Alertmanager's clients  its queue (10 MiB, oldest drop) ledger
//!  state     the state file              ledger                         -
//!  recorder  the recorder file           sampler (16 samples, newest drop) -
//!  handler   the embedder's handler      copies of calls (1,024, newest drop) -
//!  http      the listener                a thread for each request      -
//!  signal    -                           SIGTERM, SIGINT                main
//!  log       standard error              its queue (256 KiB, newest drop) -
//!  resolve   one lookup of a name        -                              the client that asked
//!  main      this wiring                 signals, terminated threads    -
//! ```
//!
//! The detection ([`Detection`]: the core, behind a lock) belongs to no thread: each thread that has news calls it at
//! once. It sends to flight, requests and work, and waits for none of them.
//!
//! Shutdown: the stop flag is set and requests in progress are interrupted. The detection reports what it holds back
//! and drops its channels. When the sampler and `enrich` have finished too, the sinks' queues are closed and the
//! sinks write what they have. The state file is written last. Past a deadline the process terminates anyway. Nothing
//! waits for `watch`, `lookups`, `kernel`, `recorder`, `http`, `signal` and `resolve`: they terminate with the process.

pub mod detection;
pub mod dispatch;
pub mod enrichment;
pub mod handler;
pub mod lookups;
pub mod messages;
pub mod publisher;
pub mod watch;
pub mod work_queue;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::slice;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use log::{info, warn};

use crate::agent::detection::Detection;
use crate::agent::dispatch::{LiveHandler, NoteLog, Pipeline};
use crate::agent::enrichment::{EnrichQueue, Enricher};
use crate::agent::handler::{Copying, EventHandler};
use crate::agent::lookups::Lookups;
use crate::agent::messages::{LookupRequest, Work};
use crate::agent::publisher::Publisher;
use crate::agent::watch::Watch;
use crate::config::receivers::alertmanager::Alertmanager;
use crate::config::receivers::webhook::Webhook;
use crate::config::{self, Config};
use crate::core::Now;
use crate::core::backoff::Jitter;
use crate::core::case::id;
use crate::core::detect::ledger::{Ledger, PreviousState};
use crate::core::detect::reboot::{Boot, BootBefore};
use crate::core::detect::{Detector, History, Patience};
use crate::core::journal::Id;
use crate::core::roster::Sender;
use crate::core::seen::Seen;
use crate::core::stream::Stream;
use crate::core::stream::reflector::Reflector;
use crate::kube::api::ApiClient;
use crate::kube::http::Interrupt;
use crate::limits::{
    BOOT_RECENT, CONTROL_MAX, EVENT_LOOKUP_TIMEOUT, EVENT_LOOKUPS_MAX, HANDLER_CALLS_MAX,
    SHUTDOWN_MAX, SHUTDOWN_POLL, SHUTDOWN_STATE, THREAD_STACK_BYTES,
};
use crate::metrics::health::Health;
use crate::metrics::{Metrics, SinkName};
use crate::node::cgroup::{CgroupTree, ContainerRecorder};
use crate::node::counters::KernelCounters;
use crate::node::flight::FlightRecorder;
use crate::node::kernel_log::{self, KernelLog, KernelLogSource, LastBoot};
use crate::node::logs::PodLogs;
use crate::node::procfs::{self, SystemRecorder, SystemSource};
use crate::node::sampler;
use crate::runtime::clock::Clock;
use crate::runtime::log_queue::LogQueue;
use crate::runtime::signal;
use crate::runtime::stop::Stop;
use crate::serve::http::HttpServer;
use crate::serve::recent::RecentIncidents;
use crate::serve::routes::{self, Known};
use crate::sinks::alertmanager::AlertsFor;
use crate::sinks::file::{self, IncidentFile};
use crate::sinks::otlp::LogRecords;
use crate::sinks::receiver::{Format, ReceiverSink, Surroundings};
use crate::sinks::recorder_file::{self, RecorderFile, SampleQueue};
use crate::sinks::state_file::{self, SharedLedger};
use crate::sinks::{SinkHandle, stdout, webhook};

/// Why the agent cannot start, or terminates without a signal.
#[derive(Debug)]
pub enum Error {
    /// A thread terminated by itself.
    Ended(&'static str),
    /// The address in `BLACKBOX_LISTEN` cannot be bound.
    Listen(SocketAddr, io::Error),
    /// The kernel refuses to start a thread.
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

/// What makes the agent terminate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// SIGTERM or SIGINT.
    Signal(i32),
    /// A thread terminated.
    Ended(&'static str),
}

/// Runs the agent until a signal; then shuts it down in order.
///
/// # Errors
/// The agent cannot start, or a thread terminates by itself. Nothing that the API server or the network does causes
/// an error here.
pub fn run(config: &Config, log: &LogQueue) -> Result<(), Error> {
    start(config, log, None, |_, own| Ok(own))
}

/// Runs the agent as [`run`] does, and also calls a handler with everything that is detected.
///
/// The handler's methods are called on a thread of its own, "handler", one after the other and in their order. They may
/// wait: nothing in the agent waits for them. If 1,024 calls are queued, further ones are dropped, counted and logged,
/// and the handler learns the number ([`EventHandler::on_missed`]). A handler that panics terminates the agent: the
/// process with `panic = "abort"`, else this function returns [`Error::Ended`]. At the shutdown, queued calls are still
/// made, as far as the shutdown's deadline allows; a handler that still waits then is left behind.
///
/// A [`Case`](crate::core::case::Case) is the verdict as it was detected. The logs, samples and the sentence of the line are
/// added later, with the same `id`.
///
/// # Errors
/// As [`run`], and when the handler panics.
pub fn run_with(
    config: &Config,
    log: &LogQueue,
    mut handler: Box<dyn EventHandler + Send>,
) -> Result<(), Error> {
    start(config, log, Some(HANDLER), |shared, own| {
        let (sender, calls) = mpsc::sync_channel(HANDLER_CALLS_MAX);
        shared.spawn(HANDLER, move || handler::run(&calls, handler.as_mut()))?;
        Ok(Copying::new(own, sender))
    })
}

/// The thread that calls an embedder's handler.
const HANDLER: &str = "handler";

/// Runs the agent with the handler that is made from its own one, and perhaps with a thread that is part of it.
fn start<H: EventHandler + Send + 'static>(
    config: &Config,
    log: &LogQueue,
    thread: Option<&'static str>,
    complete: impl FnOnce(&Shared, LiveHandler) -> Result<H, Error>,
) -> Result<(), Error> {
    let clock = Clock::start();
    let (control, ended) = mpsc::sync_channel(CONTROL_MAX);
    // Catch signals first: as PID 1 the process would otherwise ignore them.
    let signals = control.clone();
    signal::watch(move |signal| signals.send(Control::Signal(signal)).is_ok())
        .map_err(Error::Signals)?;
    let shared = Shared {
        metrics: Arc::default(),
        health: Arc::default(),
        stop: Stop::default(),
        clock,
        control,
    };
    let server = HttpServer::bind(config.listen).map_err(|e| Error::Listen(config.listen, e))?;
    announce(config, &server);
    let has_kernel_log = !config.kernel_log.is_empty() || config.pstore.is_some();
    let kernel_log = has_kernel_log.then(Arc::<KernelLog>::default);
    let flight = Arc::new(flight(config, kernel_log.clone()));
    let (roster, sidecars) = (flight.roster(), flight.sidecars());
    let recent = Arc::new(RecentIncidents::new(clock.wall()));
    let known =
        Known { health: shared.health.clone(), recent: recent.clone(), clock, log: log.clone() };
    let pages = routes::handler(&shared.metrics, known, config, &roster, &sidecars);
    let server = server.with_posts(routes::POSTS);
    let known = roster.clone();
    // A connection must not wait for the roster's lock; what is held up now is only treated like the others.
    let is_node = move |address| {
        known.try_lock().is_ok_and(|roster| matches!(roster.sender(address), Sender::Host))
    };
    shared.spawn("http", move || server.run(clock, is_node, pages))?;
    let mut detector = detector(config, clock);
    let (file, left) = recall(config, &shared.metrics, &mut detector);
    let mut boot = boot(config, clock, left.as_ref());
    if let Some(kernel_log) = kernel_log {
        shared.kernel_log(config, kernel_log, boot.as_ref())?;
    }
    let recorder = shared.recorder(config, boot.as_mut())?;
    let boot_id = boot.as_ref().map(|boot| boot.id.clone());
    detector.set_boots(boot.into_iter().collect());
    let mut sinks = vec![shared.stdout(config)?];
    if let Some(file) = file {
        sinks.push(shared.file(file, config)?);
    }
    sinks.extend(shared.receivers(config)?);
    let seen = seen(left.as_ref());
    let ledger = shared.state(config, left, &seen)?;
    if let (Some(ledger), Some(boot_id)) = (&ledger, &boot_id) {
        ledger.set_boot(boot_id);
    }
    let sink_names: Vec<SinkName> = sinks.iter().map(SinkHandle::name).collect();
    let lookups = LookupChannel::new();
    let metrics = shared.metrics.clone();
    let publisher =
        Publisher::new(sinks, ledger.clone(), config.min_severity, recent, metrics, seen);
    let sampling = Sampling { interval: config.sample_interval, recorder };
    let queue = shared.recording(&flight, publisher, lookups.sender.clone(), sampling)?;
    let own = LiveHandler { queue, ledger: ledger.clone(), metrics: shared.metrics.clone() };
    let results = Results { handler: complete(&shared, own)?, ledger: ledger.clone(), flight };
    let (detection, interrupts) = shared.detection(config, detector, results, lookups)?;

    let why = wait_for_shutdown(&ended);
    shared.stop.set();
    for interrupt in &interrupts {
        interrupt.interrupt();
    }
    let thread = thread.filter(|name| !matches!(why, Err(Error::Ended(ended)) if ended == *name));
    shared.shut_down(&detection, ledger.as_deref(), (&sink_names, thread), &ended);
    why
}

fn announce(config: &Config, server: &HttpServer) {
    info!(
        "blackbox-daemon {} watches node {} at {}; http on {}",
        env!("CARGO_PKG_VERSION"),
        config.node_name,
        config.api_server.server,
        server.local_addr()
    );
}

/// Returns what the node has seen, as far as an earlier agent left it.
fn seen(left: Option<&PreviousState>) -> Arc<Mutex<Seen>> {
    let mut seen = Seen::default();
    // An agent before this table left none, which does not mean that it saw nothing.
    if let Some(left) = left.filter(|left| !left.seen.is_empty()) {
        seen.restore(left.seen.clone());
    }
    Arc::new(Mutex::new(seen))
}

/// The queue of requests to the thread "lookups".
struct LookupChannel {
    sender: SyncSender<LookupRequest>,
    receiver: Receiver<LookupRequest>,
}

impl LookupChannel {
    fn new() -> Self {
        let (sender, receiver) = mpsc::sync_channel(EVENT_LOOKUPS_MAX);
        Self { sender, receiver }
    }
}

/// What the thread "sampler" needs to know.
struct Sampling {
    interval: Duration,
    /// The queue to the thread "recorder", if there is one.
    recorder: Option<Arc<SampleQueue>>,
}

/// Where the results of the detection go.
struct Results<H> {
    handler: H,
    ledger: Option<Arc<SharedLedger>>,
    flight: Arc<FlightRecorder>,
}

/// What the threads share.
struct Shared {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    stop: Stop,
    clock: Clock,
    control: SyncSender<Control>,
}

impl Shared {
    /// Starts the sink "stdout".
    fn stdout(&self, config: &Config) -> Result<SinkHandle, Error> {
        let sink = SinkHandle::new(SinkName::Stdout, config.node(), self.metrics.clone());
        let (queue, metrics, clock) = (sink.queue(), self.metrics.clone(), self.clock);
        let name = SinkName::Stdout.name();
        self.spawn(name, move || stdout::run(&queue, io::stdout(), &metrics, clock))?;
        Ok(sink)
    }

    /// Starts the sink "file" with a file that was read back.
    fn file(&self, file: IncidentFile, config: &Config) -> Result<SinkHandle, Error> {
        let sink = SinkHandle::new(SinkName::File, config.node(), self.metrics.clone());
        let queue = sink.queue();
        self.spawn(SinkName::File.name(), move || file::run(&queue, file))?;
        Ok(sink)
    }

    /// Starts the sinks that send incidents by HTTP, as far as they are configured.
    fn receivers(&self, config: &Config) -> Result<Vec<SinkHandle>, Error> {
        let mut sinks = Vec::new();
        if let Some(Webhook { receiver, format }) = &config.webhook {
            let (receivers, format) = (slice::from_ref(receiver), webhook::format(*format));
            sinks.push(self.receiver(SinkName::Webhook, receivers, format, config)?);
        }
        if let Some(otlp) = &config.otlp {
            let (receivers, format) = (slice::from_ref(&otlp.receiver), LogRecords::new(otlp));
            sinks.push(self.receiver(SinkName::Otlp, receivers, Box::new(format), config)?);
        }
        if let Some(Alertmanager { receivers, min_severity, duration }) = &config.alertmanager {
            let format = Box::new(AlertsFor(*duration));
            let sink = self.receiver(SinkName::Alertmanager, receivers, format, config)?;
            sinks.push(sink.with_min_severity(*min_severity));
        }
        Ok(sinks)
    }

    fn receiver(
        &self,
        name: SinkName,
        receivers: &[config::receivers::Receiver],
        format: Box<dyn Format>,
        config: &Config,
    ) -> Result<SinkHandle, Error> {
        let sink = SinkHandle::new(name, config.node(), self.metrics.clone());
        let queue = sink.queue();
        let surroundings = Surroundings {
            seed: seed(config, self.clock),
            metrics: self.metrics.clone(),
            clock: self.clock,
            stop: self.stop.clone(),
        };
        let worker = ReceiverSink::new(name, receivers, format, surroundings);
        self.spawn(name.name(), move || worker.run(&queue))?;
        Ok(sink)
    }

    /// Starts the thread "state" with what an earlier agent left.
    fn state(
        &self,
        config: &Config,
        left: Option<PreviousState>,
        seen: &Arc<Mutex<Seen>>,
    ) -> Result<Option<Arc<SharedLedger>>, Error> {
        let Some(path) = config.state_file.clone() else {
            return Ok(None);
        };
        let ledger =
            Arc::new(SharedLedger::new(Ledger::new(&config.node_name, left), seen.clone()));
        let (shared, metrics, clock) = (ledger.clone(), self.metrics.clone(), self.clock);
        self.spawn("state", move || state_file::run(&shared, &path, &metrics, clock))?;
        Ok(Some(ledger))
    }

    /// Starts the thread "kernel".
    fn kernel_log(
        &self,
        config: &Config,
        log: Arc<KernelLog>,
        boot: Option<&Boot>,
    ) -> Result<(), Error> {
        let source = KernelLogSource {
            folders: config.kernel_log.clone(),
            pstore: config.pstore.clone(),
            boot_id: boot.and_then(|boot| Id::parse(&boot.id)),
            last_boot: boot.map(|boot| LastBoot {
                booted_at: boot.booted_at,
                seen_at: boot.before.as_ref().and_then(|before| before.seen_at),
            }),
        };
        let (metrics, clock) = (self.metrics.clone(), self.clock);
        self.spawn("kernel", move || kernel_log::run(&log, &source, &metrics, clock))
    }

    /// Reads what the recorder file has of the boot before, and starts the thread "recorder".
    fn recorder(
        &self,
        config: &Config,
        boot: Option<&mut Boot>,
    ) -> Result<Option<Arc<SampleQueue>>, Error> {
        let Some(path) = &config.recorder_file else {
            return Ok(None);
        };
        let Some(boot) = boot else {
            warn!("BLACKBOX_RECORDER_FILE: not written, BLACKBOX_PROC does not show the boot");
            return Ok(None);
        };
        let (bytes, metrics) = (config.recorder_file_bytes, self.metrics.clone());
        let mut file = RecorderFile::new(path, bytes, &config.node_name, &boot.id, metrics);
        let (recorder, minutes) = file.start(self.clock);
        boot.minutes = minutes.filter(|minutes| boot.is_after(minutes)).map(Arc::new);
        let (queue, clock) = (Arc::new(SampleQueue::default()), self.clock);
        let samples = queue.clone();
        self.spawn("recorder", move || recorder_file::run(&samples, file, recorder, clock))?;
        Ok(Some(queue))
    }

    /// Starts the threads "sampler" and "enrich", and creates the channel to "enrich".
    fn recording(
        &self,
        flight: &Arc<FlightRecorder>,
        publisher: Publisher,
        requests: SyncSender<LookupRequest>,
        Sampling { interval, recorder }: Sampling,
    ) -> Result<EnrichQueue, Error> {
        let (work_sender, work) = work_queue::queue(self.clock);
        let publisher = Arc::new(publisher);
        let enrich = Enricher {
            work,
            flight: flight.clone(),
            publisher: publisher.clone(),
            requests,
            metrics: self.metrics.clone(),
            clock: self.clock,
        };
        self.spawn("enrich", move || enrich.run())?;
        let (sampled, sampler_work) = (flight.clone(), work_sender.clone());
        let (metrics, clock, stop) = (self.metrics.clone(), self.clock, self.stop.clone());
        self.spawn("sampler", move || {
            // If the queue is full, so many incidents are in progress that this one would not be missed.
            let report = |kills, now: Now| {
                let _ = sampler_work.send(Work::OomKills(kills, now.wall), now.monotonic);
            };
            let record = |now| {
                let Some(recorder) = &recorder else { return };
                if sampled.recorded(now).is_some_and(|sample| !recorder.push(sample)) {
                    metrics.recorder_dropped.fetch_add(1, Ordering::Relaxed);
                }
            };
            sampler::run(&sampled, report, record, &metrics, clock, interval, &stop);
            if let Some(recorder) = &recorder {
                recorder.close();
            }
        })?;
        Ok(EnrichQueue { work: work_sender, clock: self.clock, publisher })
    }

    /// Starts the threads "watch", "lookups" and "detect", and creates the channels between them.
    fn detection<H: EventHandler + Send + 'static>(
        &self,
        config: &Config,
        detector: Detector,
        Results { handler, ledger, flight }: Results<H>,
        requests: LookupChannel,
    ) -> Result<(Arc<Detection<H>>, [Interrupt; 2]), Error> {
        let reflector = Reflector::new(
            config.retry_interval,
            config.watch_idle_timeout,
            seed(config, self.clock),
        );
        let detection = Arc::new(Detection::new(Pipeline {
            stream: Stream::new(reflector, detector),
            requests: requests.sender,
            ledger,
            handler,
            flight: flight.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            clock: self.clock,
            log: NoteLog::default(),
        }));
        let client = |timeout| {
            let metrics = self.metrics.clone();
            ApiClient::new(&config.api_server, timeout, &config.node_name, metrics, self.clock)
        };
        let watch = Watch {
            client: client(config.api_timeout),
            idle_timeout: config.watch_idle_timeout,
            detection: detection.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            clock: self.clock,
            stop: self.stop.clone(),
        };
        let lookups = Lookups {
            client: client(config.api_timeout.min(EVENT_LOOKUP_TIMEOUT)),
            requests: requests.receiver,
            detection: detection.clone(),
            flight,
            jitter: Jitter::new(seed(config, self.clock)),
            metrics: self.metrics.clone(),
            clock: self.clock,
            stop: self.stop.clone(),
        };
        let interrupts = [watch.client.interrupt(), lookups.client.interrupt()];
        let deadlines = detection.clone();
        self.spawn("detect", move || deadlines.run())?;
        self.spawn("watch", move || watch.run())?;
        self.spawn("lookups", move || lookups.run())?;
        Ok((detection, interrupts))
    }

    /// Stops the threads in their order: each writes what it has before the next loses its input.
    fn shut_down<H: EventHandler>(
        &self,
        detection: &Detection<H>,
        ledger: Option<&SharedLedger>,
        (sinks, thread): (&[SinkName], Option<&'static str>),
        ended: &Receiver<Control>,
    ) {
        if let Some(ledger) = ledger {
            ledger.stop(self.clock.wall());
        }
        let deadline = self.clock.monotonic() + SHUTDOWN_MAX;
        let shutdown = Shutdown { ended, clock: self.clock };
        let names = sinks
            .iter()
            .map(|sink| sink.name())
            .chain(["detect", "enrich", "sampler"])
            .chain(thread);
        detection.end();
        shutdown.wait(names.collect(), deadline - SHUTDOWN_STATE);
        for sink in sinks {
            match self.metrics.sink_queued.get(*sink) {
                0 => {}
                lost => warn!("{}: {lost} incidents could not be written in time", sink.name()),
            }
        }
        if let Some(ledger) = ledger {
            ledger.close();
            shutdown.wait(vec!["state"], deadline);
        }
    }

    fn spawn(&self, name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let end = End { name, control: self.control.clone() };
        let run = move || {
            let _end = end;
            body();
        };
        let builder = Builder::new().name(name.to_owned()).stack_size(THREAD_STACK_BYTES);
        builder.spawn(run).map(drop).map_err(|e| Error::Thread(name, e))
    }
}

/// Reports that a thread terminated, also by a panic that unwinds: then others would wait for it for ever.
struct End {
    name: &'static str,
    control: SyncSender<Control>,
}

impl Drop for End {
    fn drop(&mut self) {
        // During the shutdown nothing may receive this any more.
        let _ = self.control.try_send(Control::Ended(self.name));
    }
}

fn flight(config: &Config, kernel_log: Option<Arc<KernelLog>>) -> FlightRecorder {
    let (interval, window) = (config.sample_interval, config.window);
    let containers = ContainerRecorder::new(CgroupTree::new(&config.cgroup), interval, window);
    let kernel = KernelCounters::new(&config.proc, &config.sys);
    let system = SystemRecorder::new(SystemSource::new(&config.proc), kernel, window, interval);
    let logs = (config.log_lines > 0)
        .then(|| PodLogs::new(&config.pod_logs, config.log_lines, config.log_mask));
    let flight = FlightRecorder::new(containers, system, logs);
    match kernel_log {
        Some(kernel_log) => flight.with_kernel_log(kernel_log, window),
        None => flight,
    }
}

fn detector(config: &Config, clock: Clock) -> Detector {
    let ignored: Vec<String> = config.ignore_namespaces.iter().cloned().collect();
    let history = History::Before { started: clock.wall(), lookback: config.lookback };
    let patience = Patience { stuck: config.stuck_after, unready: config.unready_after };
    Detector::new(config.node(), &ignored, history).with_patience(patience)
}

/// Returns the boot that the node runs in. `left` shows whether an earlier agent ran in another one.
fn boot(config: &Config, clock: Clock, left: Option<&PreviousState>) -> Option<Boot> {
    let (id, booted_at) = procfs::boot(&config.proc)?;
    let before = left.filter(|left| !left.boot_id.is_empty() && left.boot_id != id);
    let before = before.map(|left| BootBefore {
        id: left.boot_id.clone(),
        seen_at: left.written_at,
        stopped_at: left.stopped_at,
    });
    let is_recent = clock.wall().duration_since(booted_at).unsigned_abs() < BOOT_RECENT;
    let is_recent_until = match is_recent || before.is_some() {
        true => clock.monotonic() + BOOT_RECENT,
        false => Duration::ZERO,
    };
    Some(Boot { id, booted_at, is_recent_until, before, minutes: None })
}

/// Restores into the detector what an earlier agent reported, from the incident file and the state file.
fn recall(
    config: &Config,
    metrics: &Arc<Metrics>,
    detector: &mut Detector,
) -> (Option<IncidentFile>, Option<PreviousState>) {
    let state = config.state_file.as_deref();
    let mut left = state.and_then(|path| state_file::read(path, &config.node_name));
    let file = config.incident_file.as_deref().map(|path| {
        let bytes_max = config.incident_file_bytes_max;
        let mut file = IncidentFile::new(path, bytes_max, metrics.clone());
        let mut lines = 0_u64;
        let read = file.read_back(|reported| {
            lines += 1;
            detector.restore([&reported.entry], false);
        });
        match read {
            Ok(()) => info!("{}: {lines} incidents of before are known", path.display()),
            Err(e) => warn!("BLACKBOX_INCIDENT_FILE: cannot open {}: {e}", path.display()),
        }
        let lost = left
            .as_mut()
            .map_or(0, |left| left.take_back_lost(|id| file.holds(id), file.was_torn()));
        if lost > 0 {
            warn!(
                "{}: lost the last {lost} incidents; the agent reports them again",
                path.display()
            );
        }
        file
    });
    // After the file: entries that only the state file has must not be pushed out by the others.
    if let Some(left) = &left {
        detector.restore(&left.pods, !left.is_partial);
    }
    (file, left)
}

/// Returns a seed made of the node's name and the time, so that agents that start together do not send their requests
/// together.
fn seed(config: &Config, clock: Clock) -> u64 {
    let words = [config.node_name.as_str(), &clock.wall().to_string()];
    id::fold(id::fnv128(&words))
}

/// Waits for a signal. If a thread terminates without one, the other threads cannot go on without it: the agent
/// terminates too, and the kubelet restarts it.
fn wait_for_shutdown(ended: &Receiver<Control>) -> Result<(), Error> {
    match ended.recv() {
        Ok(Control::Signal(signal)) => {
            info!("signal {signal}: ending");
            Ok(())
        }
        Ok(Control::Ended(name)) => Err(Error::Ended(name)),
        Err(_) => Err(Error::Ended("signal")),
    }
}

/// What is needed to wait for threads during the shutdown.
struct Shutdown<'a> {
    ended: &'a Receiver<Control>,
    clock: Clock,
}

impl Shutdown<'_> {
    /// Waits until these threads have terminated, or until the deadline.
    fn wait(&self, mut names: Vec<&'static str>, deadline: Duration) {
        let left = || deadline.saturating_sub(self.clock.monotonic());
        while !names.is_empty() && left() > Duration::ZERO {
            match self.ended.recv_timeout(left().min(SHUTDOWN_POLL)) {
                Ok(Control::Ended(name)) => names.retain(|n| *n != name),
                Ok(Control::Signal(_)) | Err(_) => {}
            }
        }
        if !names.is_empty() {
            warn!("did not end in time: {}", names.join(", "));
        }
    }
}
