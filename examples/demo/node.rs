//! The demo's node: a fake API server, a folder, and the agent as a process of its own.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use blackbox_daemon::config::SETTINGS;
use blackbox_daemon::core::reader::Incident;

use crate::AS_AGENT;
use crate::support::{Agent, FakeApi, Options, Scratch};

/// The address of page and metrics, unless it is already in use.
const LISTEN: &str = "127.0.0.1:9464";

pub(crate) struct Node {
    pub(crate) api: FakeApi,
    pub(crate) listen: String,
    scratch: Scratch,
    is_json: bool,
    settings: Vec<(&'static str, OsString)>,
    agent: Option<Running>,
    lines: Arc<Mutex<Vec<String>>>,
}

struct Running {
    child: Child,
    /// The agent exits when this is closed.
    _held: Option<ChildStdin>,
    printer: JoinHandle<()>,
}

impl Node {
    pub(crate) fn new(is_json: bool) -> Self {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("demo"));
        api.write_kubeconfig(&scratch.join("kubeconfig"));
        let listen = free_address();
        let lines = Arc::default();
        Self { api, listen, scratch, is_json, settings: Vec::new(), agent: None, lines }
    }

    /// Adds a setting of the agent whose value is a file or folder below the demo's folder.
    pub(crate) fn set(&mut self, key: &'static str, name: &str) {
        self.settings.push((key, self.scratch.join(name).into_os_string()));
    }

    pub(crate) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn incident_file(&self) -> PathBuf {
        self.scratch.join("incidents.jsonl")
    }

    /// Returns the lines that were written so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no thread has panicked").clone()
    }

    /// Starts this program again, as the agent.
    pub(crate) fn start_agent(&mut self) -> io::Result<()> {
        let folder = self.folder();
        let mut child = Command::new(std::env::current_exe()?)
            .arg(AS_AGENT)
            .env_clear()
            .env("NODE_NAME", "node1")
            .env("KUBECONFIG", folder.join("kubeconfig"))
            .env("BLACKBOX_LISTEN", &self.listen)
            .env("BLACKBOX_CGROUP", folder.join("cgroup"))
            .env("BLACKBOX_POD_LOGS", folder.join("pods"))
            .env("BLACKBOX_SAMPLE_INTERVAL", "1s")
            .env("BLACKBOX_WINDOW", "2m")
            .env("RUST_LOG", "warn")
            .envs(self.settings.iter().cloned())
            .envs(own_settings())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let held = child.stdin.take();
        let printer = self.print_lines(&mut child);
        self.agent = Some(Running { child, _held: held, printer });
        Ok(())
    }

    /// Ends the agent as a power failure does.
    pub(crate) fn kill_agent(&mut self) {
        self.end_agent(|child| child.kill().expect("it is a child of this process"));
    }

    /// Ends the agent as the kubelet does, and starts it again.
    pub(crate) fn upgrade_agent(&mut self) -> io::Result<()> {
        self.end_agent(|child| Agent::signal_to(child.id(), "TERM"));
        self.start_agent()
    }

    fn end_agent(&mut self, end: impl FnOnce(&mut Child)) {
        let Some(mut agent) = self.agent.take() else { return };
        end(&mut agent.child);
        let _ = agent.child.wait();
        // Its last lines come before those of the next agent.
        let _ = agent.printer.join();
    }

    /// Fails if the agent has ended by itself.
    pub(crate) fn must_run(&mut self) -> io::Result<()> {
        let agent = self.agent.as_mut().map(|agent| agent.child.try_wait()).transpose()?;
        match agent.flatten() {
            Some(status) => Err(io::Error::other(format!("the agent ended: {status}"))),
            None => Ok(()),
        }
    }

    /// Waits until the agent ends by itself, or with this process.
    pub(crate) fn wait(&mut self) {
        if let Some(agent) = &mut self.agent {
            let held = agent._held.take();
            let _ = agent.child.wait();
            drop(held);
        }
    }

    /// Prints incidents as they arrive, as a sentence or as the line.
    fn print_lines(&self, child: &mut Child) -> JoinHandle<()> {
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (told, is_json) = (self.lines.clone(), self.is_json);
        std::thread::Builder::new()
            .spawn(move || {
                for line in lines.map_while(Result::ok) {
                    let text = if is_json { line.clone() } else { sentence(&line) };
                    told.lock().expect("no thread has panicked").push(line);
                    // The reader of the output has closed it.
                    if writeln!(io::stdout(), "{text}").is_err() {
                        return;
                    }
                }
            })
            .expect("a thread for the demo")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill_agent();
    }
}

/// Returns the address of the environment, or the one that the README names, or any free one.
fn free_address() -> String {
    if let Ok(address) = std::env::var("BLACKBOX_LISTEN") {
        return address;
    }
    let listener = TcpListener::bind(LISTEN).or_else(|_| TcpListener::bind("127.0.0.1:0"));
    listener.and_then(|listener| listener.local_addr()).expect("a free port").to_string()
}

/// Returns the agent's settings in the environment of the demo, except those that concern the cluster.
fn own_settings() -> impl Iterator<Item = (&'static str, OsString)> {
    let keys = SETTINGS.iter().map(|setting| setting.key);
    let keys = keys.filter(|key| key.starts_with("BLACKBOX_"));
    keys.filter_map(|key| Some((key, std::env::var_os(key)?)))
}

fn sentence(line: &str) -> String {
    let Ok(incident) = Incident::parse(line.as_bytes()) else { return line.to_owned() };
    let time = incident.occurred_at.strftime("%H:%M:%S");
    let control_free = |c: char| if c.is_control() { ' ' } else { c };
    let message: String = incident.message.chars().map(control_free).collect();
    format!("{time}  {:<8}  {:<13}  {message}", incident.severity, incident.kind)
}
