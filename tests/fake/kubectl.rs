//! The real kubectl works with the fake as with a real API server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::clock::{eventually, now};
use crate::support::{FakeApi, Options, Pace, Recording, Scratch, fixture};

/// kubectl is slow to start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Kubectl {
    api: FakeApi,
    home: Scratch,
}

impl Kubectl {
    /// Returns `None`, with a message on stderr, if there is no kubectl.
    fn new(test: &str) -> Option<Self> {
        let version = Command::new("kubectl").args(["version", "--client"]).output();
        if !version.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: {test} needs kubectl in the PATH");
            return None;
        }
        let (api, home) = (FakeApi::start(Options::default()), Scratch::new("kubectl"));
        api.write_kubeconfig(&home.join("config"));
        Some(Self { api, home })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("kubectl");
        // kubectl caches discovery in its home, so each test has its own.
        command.env("HOME", self.home.path()).env_remove("KUBECONFIG");
        command.arg("--kubeconfig").arg(self.home.join("config")).args(line.split(' '));
        command.stdin(Stdio::null());
        command
    }

    fn output(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    fn stdout(&self, line: &str) -> String {
        let output = self.output(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {line}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Kills the process when the test is over, passed or failed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the fields of the rows of pod `name`.
fn rows<'a>(text: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let fields = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields.get(1) == Some(&name)).collect()
}

#[test]
fn kubectl_watches_the_zoo() {
    let Some(kubectl) = Kubectl::new("kubectl_watches_the_zoo") else {
        return;
    };
    let recording = Recording::load(&fixture("crash-zoo"));
    let mut child = kubectl.command("get pods -A -w").stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let child = Running(child);
    let (sender, lines) = mpsc::channel();
    thread::Builder::new()
        .spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)))
        .unwrap();
    assert!(eventually(PATIENCE, || kubectl.api.open_watches() == 1), "kubectl does not watch");
    recording.play(kubectl.api.store(), Pace::Fast).wait_done();

    // The last change in the recording is oom's sixth restart.
    let (mut text, deadline) = (String::new(), now() + PATIENCE);
    let last_restart = |text: &str| rows(text, "oom").iter().any(|row| row[4] == "6");
    while !last_restart(&text) && now() < deadline {
        if let Ok(line) = lines.recv_timeout(Duration::from_secs(1)) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    assert!(last_restart(&text), "{text}");
    drop(child);
    for (name, status) in [
        ("exit1", "CrashLoopBackOff"),
        ("oom", "OOMKilled"),
        ("liveness", "Running"),
        ("image-missing", "ErrImageNeverPull"),
        ("evicted", "Error"),
        ("out-of-cpu", "OutOfcpu"),
        ("graceful", "Terminating"),
    ] {
        assert!(rows(&text, name).iter().any(|row| row[3] == status), "{name} {status}: {text}");
    }
    let restarts = |name| rows(&text, name).iter().filter_map(|row| row[4].parse().ok()).max();
    assert!(restarts("exit1") >= Some(5), "{text}");
    assert!(restarts("liveness") >= Some(1), "{text}");
}

#[test]
fn kubectl_gets_what_there_is() {
    let Some(kubectl) = Kubectl::new("kubectl_gets_what_there_is") else {
        return;
    };
    Recording::load(&fixture("crash-zoo")).play(kubectl.api.store(), Pace::Fast).wait_done();

    let text = kubectl.stdout("get pods -A");
    assert_eq!(text.lines().count(), 42, "{text}");
    for (name, count) in [("exit1", 1), ("steady", 1), ("graceful", 0), ("forced", 0)] {
        assert_eq!(rows(&text, name).len(), count, "{name}: {text}");
    }
    let here = kubectl.stdout("get pods -A --field-selector spec.nodeName=node1");
    assert_eq!(here, text);
    let elsewhere = kubectl.output("get pods -A --field-selector spec.nodeName=node2");
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("No resources found"));

    let events = kubectl.stdout("get events -n shop");
    assert!(events.contains("BackOff") && events.contains("pod/exit1"), "{events}");
    assert!(kubectl.stdout("get nodes").contains("v1.36.0"));
    let json = kubectl.stdout("get pod exit1 -n shop -o json");
    let pod: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(pod["status"]["containerStatuses"][0]["name"], "app");
}

#[test]
fn kubectl_learns_what_it_may_do() {
    let Some(kubectl) = Kubectl::new("kubectl_learns_what_it_may_do") else {
        return;
    };
    assert_eq!(kubectl.stdout("auth can-i list pods").trim(), "yes");
    kubectl.api.access().deny("list", "pods");
    let output = kubectl.output("auth can-i list pods");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "no");
    let refused = kubectl.output("get pods -A");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("cannot list resource \"pods\""), "{stderr}");
}
