//! The real binary as a child process: its output, its HTTP endpoints and how it exits.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::clock::{self, eventually};
use super::memory::MemoryCgroup;
use super::schema;

/// Path of the binary; cargo sets it for tests only.
const BUILT: Option<&str> = option_env!("CARGO_BIN_EXE_blackbox-daemon");

/// Long enough for a slow machine; only a broken agent takes this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How to start an agent. It gets only the environment given here.
#[derive(Clone)]
pub struct AgentOptions {
    env: Vec<(OsString, OsString)>,
    stdout_is_read: bool,
    /// How many lines of the log are read before its reader stops; `None`: all.
    log_lines_read: Option<usize>,
    with_pid_1: bool,
    memory_procs: Option<PathBuf>,
    hosts: Option<PathBuf>,
}

impl AgentOptions {
    /// Options with a kubeconfig, a free port and the node `node1`.
    pub fn kubeconfig(path: &Path) -> Self {
        Self::new().env("KUBECONFIG", path)
    }

    /// Options as in a pod, with the files of a service account in a folder. The image's build needs them, because it
    /// reads no YAML.
    pub fn in_pod(server: SocketAddr, account: &Path) -> Self {
        Self::new()
            .env("KUBERNETES_SERVICE_HOST", server.ip().to_string())
            .env("KUBERNETES_SERVICE_PORT", server.port().to_string())
            .env("BLACKBOX_SERVICE_ACCOUNT", account)
    }

    fn new() -> Self {
        let options = Self {
            env: Vec::new(),
            stdout_is_read: true,
            log_lines_read: None,
            with_pid_1: false,
            memory_procs: None,
            hosts: None,
        };
        options.env("NODE_NAME", "node1").env("BLACKBOX_LISTEN", "127.0.0.1:0")
    }

    /// Sets a variable, or replaces its value.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let key = key.into();
        self.env.retain(|(known, _)| *known != key);
        self.env.push((key, value.into()));
        self
    }

    /// Leaves the agent's standard output unread, so that its pipe fills.
    pub fn with_stdout_unread(mut self) -> Self {
        self.stdout_is_read = false;
        self
    }

    /// Stops reading the agent's standard error after this many lines, and keeps it open, so that its pipe fills.
    pub fn with_log_read_for(mut self, lines: usize) -> Self {
        self.log_lines_read = Some(lines);
        self
    }

    /// Starts the agent as PID 1 of its own PID namespace, below a parent that only waits for it.
    pub fn with_pid_1(mut self) -> Self {
        self.with_pid_1 = true;
        self
    }

    /// Starts the agent in this memory cgroup.
    pub fn in_memory_of(mut self, cgroup: &MemoryCgroup) -> Self {
        self.memory_procs = Some(cgroup.procs());
        self
    }

    /// Replaces `/etc/hosts` by this file, in a mount namespace of the agent's own.
    pub fn with_hosts(mut self, hosts: &Path) -> Self {
        self.hosts = Some(hosts.to_owned());
        self
    }

    /// Runs a command in this environment to its end.
    pub fn run(self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BUILT.expect("a test has it"));
        command.args(arguments).env_clear().envs(self.env).output().unwrap()
    }

    pub fn start(self) -> Agent {
        // BLACKBOX_BINARY selects another build, for measurements. A program that is no test has only that.
        let other = std::env::var("BLACKBOX_BINARY").ok();
        let binary = other.as_deref().or(BUILT).expect("a test has a binary");
        let mut command = if self.with_pid_1 {
            let mut unshare = Command::new("/usr/bin/unshare");
            unshare.args(["--pid", "--fork", "--kill-child", binary]);
            unshare
        } else if let Some(procs) = &self.memory_procs {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "echo $$ > \"$0\" && exec \"$1\""]).arg(procs).arg(binary);
            shell
        } else if let Some(hosts) = &self.hosts {
            // Names are looked up in that file alone, so that no DNS query leaves the machine.
            let mut unshare = Command::new("/usr/bin/unshare");
            let script = "mount --bind \"$0\" /etc/hosts \
                && echo 'hosts: files' | cat > \"$0.nss\" \
                && mount --bind \"$0.nss\" /etc/nsswitch.conf && exec \"$1\"";
            unshare.args(["--mount", "/bin/sh", "-c", script]).arg(hosts).arg(binary);
            unshare
        } else {
            Command::new(binary)
        };
        let mut child = command
            .env_clear()
            .envs(self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let stderr = collect(child.stderr.take().unwrap(), self.log_lines_read);
        let flaws = Lines::default();
        let (stdout, unread) = match self.stdout_is_read {
            true => (collect_incidents(stdout, &flaws), None),
            false => (Lines::default(), Some(stdout)),
        };
        Agent { child, stdout, stderr, unread, flaws }
    }
}

type Lines = Arc<Mutex<Vec<String>>>;

fn collect(from: impl Read + Send + 'static, lines_max: Option<usize>) -> Lines {
    collect_each(from, lines_max, |_| {})
}

/// Checks every incident line of every test against the project's schema.
fn collect_incidents(from: impl Read + Send + 'static, flaws: &Lines) -> Lines {
    let flaws = flaws.clone();
    collect_each(from, None, move |line| flaws.lock().unwrap().extend(schema::flaw(line)))
}

fn collect_each(
    from: impl Read + Send + 'static,
    lines_max: Option<usize>,
    each: impl Fn(&str) + Send + 'static,
) -> Lines {
    let lines = Lines::default();
    let sink = lines.clone();
    std::thread::Builder::new()
        .spawn(move || {
            let mut from = BufReader::new(from);
            let mut lines = from.by_ref().lines().map_while(Result::ok);
            for line in lines.by_ref().take(lines_max.unwrap_or(usize::MAX)) {
                each(&line);
                sink.lock().unwrap().push(line);
            }
            if lines_max.is_some() {
                // An open pipe that nobody reads, for the rest of the test.
                std::mem::forget(from);
            }
        })
        .unwrap();
    lines
}

/// Returns true if tests may create a namespace of this kind, and so mount and the like: root may, but not in every
/// container. Prints SKIPPED if they may not; the CI gate sets `BLACKBOX_NO_TEST_PASSED_BY`, which makes that a
/// failure.
pub fn may_unshare(kind: &str) -> bool {
    let tried = Command::new("/usr/bin/unshare").args([kind, "--fork", "true"]).output();
    let may = tried.is_ok_and(|output| output.status.success());
    if !may {
        assert!(std::env::var_os("BLACKBOX_NO_TEST_PASSED_BY").is_none(), "unshare {kind}");
        eprintln!("SKIPPED: no right to unshare {kind} here");
    }
    may
}

/// Returns the complete lines of a file that an agent may be writing to; none if there is no file. A reader may see a
/// write in part, so text without a newline does not count as a line yet.
pub fn whole_lines(path: &Path) -> Vec<String> {
    let mut bytes = std::fs::read(path).unwrap_or_default();
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

/// Connects to an agent; a read that takes too long fails.
pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A running agent; killed when dropped.
pub struct Agent {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    unread: Option<ChildStdout>,
    /// Violations of the schema in its incident lines.
    flaws: Lines,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        } else {
            assert_eq!(*self.flaws.lock().unwrap(), [""; 0], "against the schema");
        }
    }
}

impl Agent {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the incidents so far.
    pub fn incidents(&self) -> Vec<Value> {
        let lines = self.stdout.lock().unwrap();
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns all lines of an agent that has exited.
    pub fn last_lines(&self) -> Vec<String> {
        assert!(eventually(PATIENCE, || Arc::strong_count(&self.stdout) == 1), "stdout is open");
        self.lines_from(0)
    }

    /// Starts to read a standard output that was left unread.
    pub fn read_stdout(&mut self) {
        let unread = self.unread.take().expect("nobody reads it");
        self.stdout = collect_incidents(unread, &self.flaws);
    }

    /// Returns the lines after the first `from`.
    pub fn lines_from(&self, from: usize) -> Vec<String> {
        self.stdout.lock().unwrap()[from..].to_vec()
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().join("\n")
    }

    #[track_caller]
    pub fn wait_for_log(&self, words: &str) {
        assert!(eventually(PATIENCE, || self.log().contains(words)), "no {words:?}");
    }

    #[track_caller]
    pub fn wait_ready(&self) {
        assert!(eventually(PATIENCE, || self.get("/readyz").0 == 200), "never ready");
    }

    /// Returns the agent's HTTP address.
    pub fn http(&self) -> SocketAddr {
        let find = || {
            let log = self.log();
            let (_, rest) = log.split_once("http on ")?;
            rest.split_whitespace().next()?.parse().ok()
        };
        assert!(eventually(PATIENCE, || find().is_some()), "no address in the log");
        find().unwrap()
    }

    /// Returns the status and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = connect(self.http());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text[9..12].parse().unwrap();
        (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// POSTs JSON text; returns the status of the response.
    pub fn post(&self, path: &str, json: &str) -> u16 {
        let mut stream = connect(self.http());
        let length = json.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        write!(stream, "{head}{json}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text[9..12].parse().unwrap()
    }

    /// Returns the value of one series, named as on the metrics page.
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        let (_, page) = self.get("/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no series {series}")).parse().unwrap()
    }

    /// Returns the number in a line of `/proc/<pid>/status`, in the unit of that line.
    pub fn proc_status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Returns the number of open file descriptors.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Kills it without warning, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Returns the process that is PID 1 in its namespace.
    pub fn child_of_child(&self) -> u32 {
        let pid = self.child.id();
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = || std::fs::read_to_string(&path).unwrap_or_default();
        assert!(eventually(PATIENCE, || !children().is_empty()));
        children().split_whitespace().next().unwrap().parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        Self::signal_to(self.child.id(), name);
    }

    pub fn signal_to(pid: u32, name: &str) {
        let pid = pid.to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Sends the signal; returns the exit status, and how long the exit took.
    pub fn end(&mut self, signal: &str) -> (ExitStatus, Duration) {
        let sent = clock::now();
        self.signal(signal);
        let status = self.wait();
        (status, clock::now() - sent)
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        assert!(eventually(PATIENCE, || !self.is_running()), "it does not end");
        self.child.wait().unwrap()
    }
}

impl Agent {
    /// Waits until the pods of the reported incidents are exactly these, in any order.
    #[track_caller]
    pub fn wait_for_crashes_of(&self, pods: &[&str]) {
        let named = || {
            let incidents = self.incidents();
            let mut names: Vec<String> =
                incidents.iter().map(|i| i["pod_name"].as_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let mut want: Vec<String> = pods.iter().map(|p| (*p).to_owned()).collect();
        want.sort();
        assert!(eventually(PATIENCE, || named() == want), "{:?}, not {want:?}", named());
    }
}
