//! The fault bed: the real binary, a proxy, the fake API server, and pods that crash all the time. At the end the
//! agent's lines are compared with the book of what happened: every crash of the whole run must be reported exactly
//! once, or counted as unseen if no object shows it.
//!
//! `cargo test --test agent faults_ -- --nocapture | grep '^|'` prints the table: fault, seconds until a crash after
//! the fault is reported, crashes, number of these unseen, lost, doubled.

use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::agent::{Agent, AgentOptions};
use super::clock::{self, Stopper, eventually};
use super::proxy::{Link, Proxy};
use super::scratch::Scratch;
use super::server::{FakeApi, Options};
use super::workload::{Balance, Book, Tally, Workload};

/// Longest accepted recovery time; several times the agent's longest backoff here.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// Time between two steps of the workload.
const PACE: Duration = Duration::from_millis(10);

/// Placeholder in a value of [`BedOptions::env`] for the bed's own folder.
pub const FOLDER: &str = "{folder}";

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);

/// Returns a duration in milliseconds.
pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The configuration of a bed.
pub struct BedOptions {
    /// The fake's options.
    pub api: Options,
    /// The seed of the workload's random numbers.
    pub seed: u64,
    /// Number of pods.
    pub pods: usize,
    /// Additional environment variables of the agent.
    pub env: Vec<(&'static str, String)>,
    /// Time between two steps of the workload.
    pub pace: Duration,
    /// The address on which the proxy listens.
    pub proxy: SocketAddr,
    /// Whether the agent's standard output is read.
    pub stdout_is_read: bool,
    /// The API server's name, looked up in the bed's own `hosts` file, instead of an address.
    pub host: Option<&'static str>,
}

impl Default for BedOptions {
    fn default() -> Self {
        Self {
            api: Options {
                bookmark_interval: Duration::from_millis(300),
                list_wait: Duration::from_millis(300),
                history_max: 100_000,
                ..Options::default()
            },
            seed: 1,
            pods: 6,
            env: Vec::new(),
            pace: PACE,
            proxy: "127.0.0.1:0".parse().unwrap(),
            stdout_is_read: true,
            host: None,
        }
    }
}

/// The system resources that the agent uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    pub resident_kib: u64,
    pub threads: u64,
    pub open_files: usize,
}

/// A running bed.
pub struct Bed {
    pub api: Arc<FakeApi>,
    pub proxy: Proxy,
    pub agent: Agent,
    pub scratch: Scratch,
    command: AgentOptions,
    shared: Arc<Shared>,
    driver: Option<JoinHandle<()>>,
    row: String,
    healed: Option<(Instant, usize)>,
    recovery: Option<Duration>,
}

struct Shared {
    workload: Mutex<Workload>,
    book: Mutex<Book>,
    tally: Mutex<Tally>,
    run: Stopper,
    paused: Mutex<bool>,
}

impl Bed {
    /// Starts everything and waits until crashes are reported. `row` names the fault in the printed table.
    pub fn start(row: &str) -> Self {
        Self::with(row, BedOptions::default())
    }

    /// Like [`Bed::start`], with options.
    pub fn with(row: &str, options: BedOptions) -> Self {
        let api = Arc::new(FakeApi::start(options.api));
        let proxy = Proxy::listen(options.proxy, api.addr());
        let scratch = Scratch::new("bed");
        api.write_service_account(scratch.path());
        let mut agent = AgentOptions::in_pod(proxy.addr(), scratch.path())
            .env("BLACKBOX_K8S_RETRY_INTERVAL", "200ms")
            .env("RUST_LOG", "info,blackbox_daemon=debug")
            .env("BLACKBOX_K8S_TIMEOUT", "1s")
            .env("BLACKBOX_WATCH_IDLE_TIMEOUT", "1s");
        if !options.stdout_is_read {
            agent = agent.with_stdout_unread();
        }
        if let Some(host) = options.host {
            let line = format!("{} {host}\n", proxy.addr().ip());
            fs::write(scratch.join("hosts"), line).unwrap();
            agent = agent.env("KUBERNETES_SERVICE_HOST", host).with_hosts(&scratch.join("hosts"));
        }
        for (key, value) in &options.env {
            agent = agent.env(*key, value.replace(FOLDER, scratch.path().to_str().unwrap()));
        }
        let workload = Workload::new(options.seed, options.pods);
        workload.create(api.store());
        let command = agent;
        let agent = command.clone().start();
        let shared = Arc::new(Shared {
            workload: Mutex::new(workload),
            book: Mutex::default(),
            tally: Mutex::default(),
            run: Stopper::default(),
            paused: Mutex::new(true),
        });
        let driver = drive(&api, Arc::clone(&shared), options.pace);
        let bed = Self {
            api,
            proxy,
            agent,
            scratch,
            command,
            shared,
            driver: Some(driver),
            row: row.to_owned(),
            healed: None,
            recovery: None,
        };
        bed.agent.wait_ready();
        assert!(eventually(RECOVERY_MAX, || bed.api.open_watches() == 1), "no watch");
        bed.resume();
        let told = || !options.stdout_is_read || bed.take_in() > 5;
        assert!(eventually(RECOVERY_MAX, told), "no crash is told");
        bed
    }

    /// Changes the workload's settings.
    pub fn workload(&self, change: impl FnOnce(&mut Workload)) {
        change(&mut self.shared.workload.lock().unwrap());
    }

    /// Terminates a container this many times between two status updates of the kubelet.
    pub fn end_unseen(&self, instances: usize) {
        let mut workload = self.shared.workload.lock().unwrap();
        let mut book = self.shared.book.lock().unwrap();
        workload.end_unseen(self.api.store(), &mut book, instances);
    }

    /// Returns how many terminations the workload has hidden so far.
    pub fn skipped(&self) -> i64 {
        self.shared.workload.lock().unwrap().skipped
    }

    /// Pauses the workload until [`Bed::resume`].
    pub fn pause(&self) {
        *self.shared.paused.lock().unwrap() = true;
        // Wait for the step that is in progress.
        drop(self.shared.workload.lock().unwrap());
    }

    /// Resumes the crashes.
    pub fn resume(&self) {
        *self.shared.paused.lock().unwrap() = false;
    }

    /// Leaves the fault in place for this long, while crashes continue.
    pub fn wait(&self, time: Duration) {
        Stopper::default().wait(time);
    }

    /// Clears the server's history while the agent is disconnected, so that the agent's version is too old.
    pub fn forget_history(&self) {
        let seen = self.api.store().version();
        self.proxy.set(Link::Refused);
        assert!(eventually(RECOVERY_MAX, || self.api.store().version() > seen + 5));
        self.api.store().compact();
        self.proxy.set(Link::Open);
    }

    /// Marks the end of the fault: the time until a later crash is reported is the recovery time.
    pub fn heal(&mut self) {
        let mark = self.shared.book.lock().unwrap().order.len();
        self.healed = Some((clock::now(), mark));
    }

    /// Waits for the recovery after [`Bed::heal`].
    #[track_caller]
    pub fn recover(&mut self) -> Duration {
        let (since, mark) = self.healed.take().expect("healed before");
        let recovered = eventually(RECOVERY_MAX, || {
            self.take_in();
            let book = self.shared.book.lock().unwrap();
            let tally = self.shared.tally.lock().unwrap();
            book.order[mark.min(book.order.len())..].iter().any(|id| tally.has(id))
        });
        assert!(recovered, "{}: no recovery", self.row);
        let took = clock::now() - since;
        self.recovery = Some(self.recovery.map_or(took, |longest| longest.max(took)));
        took
    }

    /// Adds the new lines to the tally; returns the total number of lines.
    pub fn take_in(&self) -> usize {
        let mut tally = self.shared.tally.lock().unwrap();
        for line in self.agent.lines_from(tally.lines()) {
            tally.take(&line);
        }
        tally.lines()
    }

    /// Returns the agent's resident memory in KiB, threads and open files.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            resident_kib: self.agent.proc_status("VmRSS"),
            threads: self.agent.proc_status("Threads"),
            open_files: self.agent.open_files(),
        }
    }

    /// Starts another agent in place of one that has exited.
    pub fn start_agent(&mut self) {
        self.agent = self.command.clone().start();
    }

    /// Returns the number of crashes so far.
    pub fn crashes(&self) -> usize {
        self.shared.book.lock().unwrap().order.len()
    }

    /// Stops the workload and makes every container crash visibly once more.
    #[track_caller]
    pub fn flush(&self) {
        self.pause();
        let ready = eventually(RECOVERY_MAX, || {
            self.api.open_watches() == 1 && self.agent.get("/readyz").0 == 200
        });
        assert!(ready, "{}: not ready at the end", self.row);
        let mut workload = self.shared.workload.lock().unwrap();
        workload.flush(self.api.store(), &mut self.shared.book.lock().unwrap());
    }

    /// Compares the book with these lines.
    pub fn balance_of<'l>(&self, lines: impl IntoIterator<Item = &'l str>) -> Balance {
        let mut tally = Tally::default();
        lines.into_iter().for_each(|line| tally.take(line));
        self.shared.book.lock().unwrap().balance(&tally)
    }

    /// Compares the book with the lines so far.
    pub fn balance(&self) -> Balance {
        self.take_in();
        let book = self.shared.book.lock().unwrap();
        book.balance(&self.shared.tally.lock().unwrap())
    }

    /// Stops the workload, makes every container crash visibly once more, and waits until the lines report everything
    /// that happened. Prints the table row.
    #[track_caller]
    pub fn finish(mut self) -> Balance {
        if self.healed.is_some() {
            self.recover();
        }
        self.flush();
        let even = eventually(RECOVERY_MAX, || self.balance().is_even());
        let balance = self.balance();
        assert!(even, "{}: {balance}\n{}\n{:#?}", self.row, self.agent.log(), self.last_requests());
        // A duplicate report would have arrived by then.
        self.wait(Duration::from_millis(300));
        assert_eq!(self.balance().doubled, 0, "{}", self.row);
        assert!(self.agent.is_running(), "{}: the agent ended", self.row);
        assert_eq!(self.agent.metric("blackbox_sink_dropped_total{sink=\"stdout\"}"), 0.0);
        let recovery =
            self.recovery.map_or_else(String::new, |r| format!("{:.1}", r.as_secs_f64()));
        println!(
            "| {} | {recovery} | {} | {} | {} | {} |",
            self.row, balance.ended, balance.unseen, balance.lost, balance.doubled
        );
        balance
    }

    /// Returns the last requests, for a failure's message.
    pub fn last_requests(&self) -> Vec<String> {
        let all = self.api.requests();
        let last = all.iter().skip(all.len().saturating_sub(20));
        last.map(|r| format!("{} {} {}", r.verb, r.resource, r.query)).collect()
    }

    /// Writes the service account's files again.
    pub fn write_service_account(&self) {
        self.api.write_service_account(self.scratch.path());
    }

    /// Writes one of the service account's files.
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.scratch.join(file), text).unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.shared.run.stop();
        if let Some(driver) = self.driver.take() {
            let _ = driver.join();
        }
    }
}

fn drive(api: &Arc<FakeApi>, shared: Arc<Shared>, pace: Duration) -> JoinHandle<()> {
    let store = Arc::clone(api.store());
    let run = move || {
        while !shared.run.wait(pace) {
            let mut workload = shared.workload.lock().unwrap();
            if *shared.paused.lock().unwrap() {
                continue;
            }
            let mut book = shared.book.lock().unwrap();
            workload.step(&store, &mut book, &shared.tally);
        }
    };
    Builder::new().name("workload".to_owned()).spawn(run).unwrap()
}
