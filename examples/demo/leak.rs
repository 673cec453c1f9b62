//! A pod with a memory leak: its object at the API server, and the files that kernel and kubelet would have.
//!
//! The recorded pods ran on another machine, so nothing about them can be measured here. This pod grows to its limit of
//! 64 MiB, is killed, and starts again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use blackbox_daemon::runtime::clock::Clock;
use serde_json::json;

use crate::actor::{Actor, write};
use crate::support::FakeApi;

const LIMIT_BYTES: u64 = 64 << 20;

/// How often the pod must be moved on.
pub(crate) const TICK: Duration = Duration::from_millis(250);

pub(crate) struct Leak {
    actor: Actor,
    /// How long an instance runs until it is killed.
    life: Duration,
    /// When the instance began (monotonic).
    began: Duration,
    cpu_us: u64,
    kills: u64,
}

impl Leak {
    /// Starts the pod.
    pub(crate) fn start(api: &FakeApi, life: Duration, clock: Clock) -> Self {
        let mut actor = Actor::new(0xfeed, "checkout", "checkout:2.4", clock.wall());
        actor.spec = json!({"resources": {"limits": {"memory": "64Mi", "cpu": "1"}}});
        actor.run(api);
        Self { actor, life, began: clock.monotonic(), cpu_us: 0, kills: 0 }
    }

    /// Moves the pod on to the present.
    pub(crate) fn step(&mut self, api: &FakeApi, folder: &Path, clock: Clock) {
        if clock.monotonic() - self.began < self.life {
            self.live(folder, clock);
        } else {
            self.die(folder, clock);
            self.actor.run(api);
            self.began = clock.monotonic();
        }
    }

    /// The node went down with the container, and another one takes its place.
    pub(crate) fn lose(&mut self, api: &FakeApi, clock: Clock) {
        self.actor.lose(api, clock.wall());
        self.began = clock.monotonic();
    }

    fn cgroup(&self, folder: &Path) -> PathBuf {
        folder.join("cgroup/kubepods/burstable").join(format!("pod{}", self.actor.uid))
    }

    /// Simulates one moment of the running container.
    fn live(&mut self, folder: &Path, clock: Clock) {
        let age = clock.monotonic() - self.began;
        let share = (age.as_secs_f64() / self.life.as_secs_f64()).min(1.0);
        let bytes = (LIMIT_BYTES as f64 * (0.15 + 0.84 * share)) as u64;
        // CPU usage grows with memory, in waves.
        let busy = 0.15 + 0.5 * share + 0.15 * (age.as_secs_f64() / 3.0).sin();
        self.cpu_us += (TICK.as_micros() as f64 * busy) as u64;
        let (pod, own) = (self.cgroup(folder), self.cgroup(folder).join(self.actor.id()));
        write(&folder.join("cgroup/cgroup.controllers"), "cpu io memory pids\n");
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
            let text = format!("cache holds {orders} orders, {} MiB", bytes >> 20);
            self.actor.log(folder, "stdout", clock.wall(), &text);
        }
    }

    /// The kernel kills the container.
    fn die(&mut self, folder: &Path, clock: Clock) {
        let now = clock.wall();
        self.actor.log(folder, "stderr", now, "cannot reserve 8388608 bytes for the cache");
        self.kills += 1;
        let counted = format!("oom {0}\noom_kill {0}\n", self.kills);
        write(&self.cgroup(folder).join("memory.events"), &counted);
        let _ = fs::remove_dir_all(self.cgroup(folder).join(self.actor.id()));
        self.actor.end(137, "OOMKilled", now);
    }
}
