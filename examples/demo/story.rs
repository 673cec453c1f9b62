//! The story: what the agent says about six things that happen on a node, and what it is silent about.

use std::fs;
use std::io;
use std::time::Duration;

use blackbox_daemon::core::reader::Incident;
use blackbox_daemon::runtime::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::actor::Actor;
use crate::leak::{Leak, TICK};
use crate::machine::Machine;
use crate::node::Node;
use crate::support::clock::Stopper;

/// How long the leaking container lives.
const LIFE: Duration = Duration::from_secs(14);

struct Story<'n> {
    node: &'n mut Node,
    clock: Clock,
    machine: Machine,
    leak: Leak,
    /// The pods of the Deployment that is rolled out.
    web: Vec<Actor>,
    search: Actor,
}

/// Tells the story, in less than a minute. Fails if the agent ended by itself.
pub(crate) fn tell(node: &mut Node, clock: Clock) -> io::Result<()> {
    let now = clock.wall();
    let machine = Machine::boot(node.folder(), now - SignedDuration::from_hours(200));
    let leak = Leak::start(&node.api, LIFE, clock);
    let search = Actor::new(0x10, "search-6f7d8c9b54-r8n6d", "search:1.7", now);
    let mut search = search.of("search", "6f7d8c9b54");
    search.spec = json!({"livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080},
        "periodSeconds": 2, "failureThreshold": 3}});
    let web = replicas(0x20, ("web", "5d4f7c8b9d"), "web:3.1", now);
    web.iter().chain([&search]).for_each(|actor| actor.run(&node.api));
    node.start_agent()?;
    let mut story = Story { node, clock, machine, leak, web, search };
    story.play()
}

impl Story<'_> {
    fn play(&mut self) -> io::Result<()> {
        say(
            "1. The container of checkout leaks memory. The kernel kills it in about 14 s; its line comes then.",
        );
        self.live(3)?;
        say(
            "2. A rollout replaces the three pods of web. The old ones exit with 143. No line follows.",
        );
        self.roll_out();
        self.live(5)?;
        say("3. The liveness probe of search fails, and the kubelet kills the container.");
        self.fail_probe();
        self.live(4)?;
        say("4. Release 5.0 of orders lacks a setting. Three pods crash: one fingerprint.");
        let mut orders = replicas(0x40, ("orders", "7c6b5d4f98"), "orders:5.0", self.clock.wall());
        orders.iter().for_each(|pod| pod.run(&self.node.api));
        self.live(2)?;
        self.crash(&mut orders);
        self.live(8)?;
        say("5. The node loses its power, with the agent, and boots again.");
        self.lose_power()?;
        self.live(6)?;
        say(
            "6. The agent is upgraded. It reports what it still held back, the reboot, and repeats nothing.",
        );
        self.node.upgrade_agent()?;
        self.live(3)?;
        say("   A pod of orders crashes again. Its fingerprint is known, and counted on.");
        orders.truncate(1);
        orders[0].restart(&self.node.api, self.clock.wall());
        self.live(2)?;
        self.crash(&mut orders);
        self.live(3)?;
        self.sum_up();
        Ok(())
    }

    /// Lets so many seconds pass.
    fn live(&mut self, seconds: u64) -> io::Result<()> {
        let (never, until) =
            (Stopper::default(), self.clock.monotonic() + Duration::from_secs(seconds));
        while self.clock.monotonic() < until {
            self.machine.step();
            self.leak.step(&self.node.api, self.node.folder(), self.clock);
            never.wait(TICK);
            self.node.must_run()?;
        }
        Ok(())
    }

    fn roll_out(&mut self) {
        let (api, now) = (&self.node.api, self.clock.wall());
        let next = replicas(0x30, ("web", "66b7f4d5c8"), "web:3.2", now);
        for (new, old) in next.iter().zip(&self.web) {
            new.run(api);
            old.stop(api, now);
        }
    }

    fn fail_probe(&mut self) {
        let (api, now) = (&self.node.api, self.clock.wall());
        let words = "Liveness probe failed: HTTP probe failed with statuscode: 503";
        self.search.event(api, "Unhealthy", words, now);
        let words = "Container app failed liveness probe, will be restarted";
        self.search.event(api, "Killing", words, now);
        self.search.end(137, "Error", now);
        self.search.run(api);
    }

    fn crash(&self, orders: &mut [Actor]) {
        let (api, now) = (&self.node.api, self.clock.wall());
        for pod in orders {
            for line in [
                "Traceback (most recent call last):",
                "  File \"/app/settings.py\", line 12, in <module>",
                "    DATABASE = os.environ[\"DATABASE_URL\"]",
                "KeyError: 'DATABASE_URL'",
            ] {
                pod.log(self.node.folder(), "stderr", now, line);
            }
            pod.end(1, "Error", now);
            pod.wait(api);
        }
    }

    /// Ends the boot without notice. In the next one, the runtime finds its containers dead.
    fn lose_power(&mut self) -> io::Result<()> {
        self.node.kill_agent();
        let _ = fs::remove_dir_all(self.node.folder().join("cgroup"));
        let now = self.clock.wall();
        self.machine.reboot(now);
        self.node.start_agent()?;
        self.leak.lose(&self.node.api, self.clock);
        self.search.lose(&self.node.api, now);
        Ok(())
    }

    fn sum_up(&self) {
        let lines = self.node.lines();
        let read = |line: &String| Incident::parse(line.as_bytes()).ok();
        let incidents: Vec<Incident> = lines.iter().filter_map(read).collect();
        let of_orders = |one: &&Incident| one.workload.as_deref() == Some("Deployment/orders");
        let pods = incidents.iter().filter(of_orders);
        let Some(first) = pods.clone().next() else { return };
        let same = pods.filter(|one| one.fingerprint == first.fingerprint).count();
        say(&format!("{same} crashes of orders have the fingerprint {}.", first.fingerprint));
    }
}

/// Returns the three pods of a revision of a Deployment.
fn replicas(
    first: u32,
    (name, revision): (&'static str, &'static str),
    image: &str,
    now: Timestamp,
) -> Vec<Actor> {
    let names = ["4kx2p", "9bt7w", "mz5hq"].map(|end| format!("{name}-{revision}-{end}"));
    let pods = (first..).zip(names);
    pods.map(|(n, pod)| Actor::new(n, &pod, image, now).of(name, revision)).collect()
}

/// Tells the person, beside the lines.
fn say(text: &str) {
    eprintln!("\n{text}");
}
