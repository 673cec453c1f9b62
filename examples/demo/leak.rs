//! A pod with a memory leak: its objects at the API server, and the files that kernel and kubelet would have.
//!
//! The recorded pods ran on another machine, so nothing about them can be measured here. This pod runs for
//! 40 seconds, grows to its limit of 64 MiB, is killed, and starts again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use blackbox_daemon::runtime::clock::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::FakeApi;

const UID: &str = "4c1b0b1e-0000-4000-8000-00000000feed";
const LIMIT_BYTES: u64 = 64 << 20;
const LIFE: Duration = Duration::from_secs(40);
const TICK: Duration = Duration::from_millis(250);

/// Stops the simulated pod when dropped.
pub(crate) struct Leak {
    _end: mpsc::Sender<()>,
}

/// Starts the simulated pod, on its own thread.
pub(crate) fn start(api: &Arc<FakeApi>, folder: &Path, clock: Clock) -> Leak {
    let (end, ended) = mpsc::channel();
    let mut pod =
        Pod { api: api.clone(), folder: folder.to_owned(), restarts: 0, cpu_us: 0, kills: 0 };
    std::thread::Builder::new()
        .spawn(move || {
            let mut last = json!({});
            loop {
                let (started, began) = (clock.wall(), clock.monotonic());
                pod.apply(started, &last);
                while clock.monotonic() - began < LIFE {
                    pod.live(clock.monotonic() - began, clock.wall());
                    if ended.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Disconnected) {
                        return;
                    }
                }
                last = pod.die(started, clock.wall());
            }
        })
        .expect("a thread for the demo");
    Leak { _end: end }
}

struct Pod {
    api: Arc<FakeApi>,
    folder: PathBuf,
    restarts: u64,
    cpu_us: u64,
    kills: u64,
}

impl Pod {
    fn id(&self) -> String {
        format!("{:064x}", 0xfeed_0000_u64 + self.restarts)
    }

    fn cgroup(&self) -> PathBuf {
        self.folder.join("cgroup/kubepods/burstable").join(format!("pod{UID}"))
    }

    /// Simulates one moment of the running container.
    fn live(&mut self, age: Duration, now: Timestamp) {
        let share = (age.as_secs_f64() / LIFE.as_secs_f64()).min(1.0);
        let bytes = (LIMIT_BYTES as f64 * (0.15 + 0.84 * share)) as u64;
        // CPU usage grows with memory, in waves.
        let busy = 0.15 + 0.5 * share + 0.15 * (age.as_secs_f64() / 3.0).sin();
        self.cpu_us += (TICK.as_micros() as f64 * busy) as u64;
        let (pod, own) = (self.cgroup(), self.cgroup().join(self.id()));
        write(&self.folder.join("cgroup/cgroup.controllers"), "cpu io memory pids\n");
        write(&own.join("memory.current"), &format!("{bytes}\n"));
        write(&own.join("memory.max"), &format!("{LIMIT_BYTES}\n"));
        write(&own.join("memory.stat"), "anon 1\ninactive_file 4096\n");
        write(&own.join("memory.events"), "oom 0\noom_kill 0\n");
        let cpu = format!("usage_usec {}\nnr_periods 0\nnr_throttled 0\n", self.cpu_us);
        write(&own.join("cpu.stat"), &cpu);
        write(&own.join("pids.current"), "12\n");
        write(&pod.join("memory.max"), "max\n");
        write(&pod.join("memory.events"), &format!("oom {0}\noom_kill {0}\n", self.kills));
        if age.as_millis() % 2000 < TICK.as_millis() {
            let orders = (share * 4000.0) as u64;
            self.log(&format!("{now} stdout F cache holds {orders} orders, {} MiB\n", bytes >> 20));
        }
    }

    fn log(&self, line: &str) {
        let path = format!("pods/shop_checkout_{UID}/app/{}.log", self.restarts);
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("the demo's own folder");
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the demo's own folder");
    }

    /// The kernel kills the container; returns the termination as the kubelet reports it. The next instance may
    /// start.
    fn die(&mut self, started: Timestamp, now: Timestamp) -> Value {
        self.log(&format!("{now} stderr F cannot reserve 8388608 bytes for the cache\n"));
        self.kills += 1;
        let counted = format!("oom {0}\noom_kill {0}\n", self.kills);
        write(&self.cgroup().join("memory.events"), &counted);
        let _ = fs::remove_dir_all(self.cgroup().join(self.id()));
        let end = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "containerID":
            format!("containerd://{}", self.id()), "startedAt": second(started), "finishedAt": second(now)}});
        self.restarts += 1;
        end
    }

    fn apply(&self, started: Timestamp, last: &Value) {
        self.api.apply(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "checkout", "namespace": "shop", "uid": UID,
                "labels": {"app.kubernetes.io/name": "checkout"}},
            "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [{"name": "app",
                "image": "registry.example/checkout:2.4",
                "resources": {"limits": {"memory": "64Mi", "cpu": "1"}}}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "127.0.0.1"}], "qosClass": "Burstable",
                "containerStatuses": [{"name": "app", "image": "registry.example/checkout:2.4",
                    "restartCount": self.restarts, "containerID": format!("containerd://{}", self.id()),
                    "state": {"running": {"startedAt": second(started)}}, "lastState": last}]}
        }));
    }
}

/// Formats a time in whole seconds, as Kubernetes does.
fn second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it has one")).expect("the demo's own folder");
    // Replaced atomically: a reader sees the old content or the new one.
    let next = path.with_extension("next");
    fs::write(&next, text).and_then(|()| fs::rename(&next, path)).expect("the demo's own folder");
}
