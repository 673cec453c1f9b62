//! The scenarios: containers that the kernel's OOM killer or a signal ends, and a status that comes late.

use std::thread;
use std::time::Duration;

use blackbox_daemon::runtime::clock::Clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::journal::{Deaths, Journal};
use crate::judge::{Report, Row, Want};
use crate::machine::{Container, Limits, PodGroup, make_victims};
use crate::node::Node;
use crate::pods::{Pod, Status, running, terminated};
use crate::support::FakeApi;
use crate::support::clock::Stopper;
use crate::words::victim_flaws;

/// How often the runtime looks for an exit.
const TICK: Duration = Duration::from_millis(100);
/// The time between the starts of two pods, so that they do not need their memory at once.
const STAGGER: Duration = Duration::from_millis(1500);
/// How long a container runs without trouble: two samples of the agent.
const QUIET_SECONDS: u64 = 12;
/// How long a container that survives is observed after its status was reported.
const SURVIVOR_OBSERVED: Duration = Duration::from_secs(40);
/// How long after the last status the agent may report: it holds a termination for at most 12 s.
const LAST_INCIDENTS: Duration = Duration::from_secs(20);

/// Which cgroup has the memory limit.
#[derive(Clone, Copy, PartialEq)]
enum LimitOf {
    Container,
    Pod,
}

/// What happens to one container.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// What the container runs after the quiet time. In place of `LEAK` and `CRASH` comes the program that takes
    /// memory, or that uses an address that is not its own, by a name that no other container has.
    script: &'static str,
    quiet_seconds: u64,
    limit_of: LimitOf,
    limit_mib: u64,
    is_killed_as_group: bool,
    is_init: bool,
    /// The container gets SIGKILL after this time.
    killed_after: Option<Duration>,
    /// The exit code that the container must have; none if it must continue to run.
    exit_code: Option<i32>,
    /// The least and the greatest number of OOM kills that the kernel may count. In a group, it counts the process that
    /// it chose twice: once by itself and once as a part of the group.
    oom_kills: [u64; 2],
    want: Want,
}

/// When the API server shows the kubelet's reports.
#[derive(Clone, Copy)]
struct Late {
    name: &'static str,
    /// How late the running container is shown. None: never, because the next report replaces this one.
    running_seconds: Option<u64>,
    /// How late the terminated container is shown.
    end_seconds: u64,
    /// How late the runtime removes the container's cgroup. Until then it is there, without any process.
    removal_seconds: u64,
}

const BASE: Scenario = Scenario {
    name: "",
    script: "exec LEAK grow 200",
    quiet_seconds: QUIET_SECONDS,
    limit_of: LimitOf::Container,
    limit_mib: 64,
    is_killed_as_group: true,
    is_init: false,
    killed_after: None,
    exit_code: Some(137),
    oom_kills: [1, 2],
    want: Want::Oom { limit_mib: 64 },
};

const SCENARIOS: [Scenario; 9] = [
    Scenario { name: "pid-1", ..BASE },
    Scenario {
        name: "child-survived",
        script: "LEAK grow 200; exec sleep 1000000",
        limit_mib: 32,
        is_killed_as_group: false,
        exit_code: None,
        oom_kills: [1, 1],
        want: Want::Survived,
        ..BASE
    },
    Scenario {
        name: "shell-and-child",
        script: "LEAK grow 200; exit 3",
        limit_mib: 40,
        oom_kills: [2, 3],
        want: Want::Oom { limit_mib: 40 },
        ..BASE
    },
    Scenario {
        name: "init",
        limit_mib: 40,
        is_init: true,
        want: Want::Oom { limit_mib: 40 },
        ..BASE
    },
    Scenario {
        name: "pod-limit",
        limit_mib: 48,
        limit_of: LimitOf::Pod,
        want: Want::Oom { limit_mib: 48 },
        ..BASE
    },
    Scenario {
        name: "first-second",
        limit_mib: 16,
        quiet_seconds: 0,
        want: Want::Oom { limit_mib: 16 },
        ..BASE
    },
    Scenario {
        name: "sigkill",
        script: "exec sleep 1000000",
        killed_after: Some(Duration::from_secs(QUIET_SECONDS)),
        oom_kills: [0, 0],
        want: Want::Killed,
        ..BASE
    },
    Scenario {
        name: "worker",
        script: "LEAK grow 200; exit 1",
        limit_mib: 32,
        is_killed_as_group: false,
        exit_code: Some(1),
        oom_kills: [1, 1],
        want: Want::WorkerOom,
        ..BASE
    },
    Scenario {
        name: "segfault",
        script: "exec CRASH",
        exit_code: Some(139),
        oom_kills: [0, 0],
        want: Want::Fault,
        ..BASE
    },
];

const LATES: [Late; 5] = [
    Late { name: "0s", running_seconds: Some(0), end_seconds: 0, removal_seconds: 0 },
    Late { name: "20s", running_seconds: Some(20), end_seconds: 20, removal_seconds: 0 },
    Late { name: "120s", running_seconds: None, end_seconds: 120, removal_seconds: 0 },
    Late { name: "end-20s", running_seconds: Some(0), end_seconds: 20, removal_seconds: 10 },
    Late { name: "end-120s", running_seconds: Some(0), end_seconds: 120, removal_seconds: 0 },
];

/// What happened to the container of one scenario.
struct Outcome {
    pod: Pod,
    scenario: Scenario,
    container_id: String,
    /// The name of the process that the kernel ended.
    victim: Option<String>,
    facts: String,
    flaws: Vec<String>,
}

/// Plays all scenarios at once, and judges what the agent reports.
pub(crate) fn run() -> Report {
    let clock = Clock::start();
    let mut journal = Journal::open();
    let node = Node::start(Vec::new(), None);
    let never = Stopper::default();
    let mut threads = Vec::new();
    let plays = LATES.into_iter().rev().flat_map(|late| SCENARIOS.map(|scenario| (scenario, late)));
    for (number, (scenario, late)) in (1..).zip(plays) {
        if scenario.exit_code.is_none() && late.name.starts_with("end") {
            // Nothing ends, so this is the same as another one.
            continue;
        }
        let api = node.api.clone();
        let play = move || play(scenario, late, number, &api, clock);
        threads.push(thread::Builder::new().name(scenario.name.to_owned()).spawn(play).unwrap());
        never.wait(STAGGER);
    }
    let outcomes: Vec<Outcome> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    never.wait(LAST_INCIDENTS);

    let deaths = journal.deaths();
    let mut incidents = node.incidents();
    let mut rows = Vec::new();
    for mut outcome in outcomes {
        let own = incidents.extract_if(.., |line| line["pod_name"] == outcome.pod.name.as_str());
        let own: Vec<Value> = own.collect();
        let words = own.iter().flat_map(|incident| outcome.words_flaws(incident));
        let flaws: Vec<String> = words.chain(outcome.journal_flaw(&deaths)).collect();
        outcome.flaws.extend(flaws);
        let mut facts = outcome.facts;
        if !outcome.flaws.is_empty()
            && let Some(kills) = deaths.oom_kills.get(outcome.victim.as_deref().unwrap_or_default())
        {
            facts = format!("{facts}; {kills:?}");
        }
        let row = Row::new(outcome.pod.name, outcome.scenario.want, facts, own, outcome.flaws);
        rows.push(row);
    }
    rows.sort_by_key(|row| {
        SCENARIOS.iter().position(|scenario| row.name.starts_with(scenario.name))
    });
    let facts = format!("the journal's reader: {:?}", deaths.skipped);
    rows.push(Row::new("other".into(), Want::Nothing, facts, incidents, Vec::new()));
    Report { rows, log: node.agent.log() }
}

/// Plays one scenario until the kubelet has reported everything.
fn play(scenario: Scenario, late: Late, number: u32, api: &FakeApi, clock: Clock) -> Outcome {
    let mut pod = Pod::new(&format!("{}-{}", scenario.name, late.name), number);
    let limit = |of: LimitOf| (scenario.limit_of == of).then_some(scenario.limit_mib);
    (pod.limit_mib, pod.pod_limit_mib) = (limit(LimitOf::Container), limit(LimitOf::Pod));
    pod.init = scenario.is_init.then_some("load");
    let name = pod.init.unwrap_or("app");
    let id = format!("{:064x}", 0xc0de_0000_u64 + u64::from(number));

    api.apply(pod.object("Pending", &[]));
    let sandbox = format!("{:064x}", 0x5a4d_0000_u64 + u64::from(number));
    let group = PodGroup::make(&pod.uid, &sandbox, limit(LimitOf::Pod));
    let limits = Limits {
        memory_mib: limit(LimitOf::Container),
        is_killed_as_group: scenario.is_killed_as_group,
    };
    let (script, victim) = scenario.commands(number);
    let (began, started) = (clock.monotonic(), clock.wall());
    let container = group.start(&id, limits, &script);
    let removal = Duration::from_secs(late.removal_seconds);
    let mut life = Life {
        clock,
        began,
        container,
        killed_after: scenario.killed_after,
        end: None,
        removal,
        is_removed: false,
    };

    let say = |phase: &str, state| {
        let status = Status { name, id: id.clone(), restarts: 0, state, last_state: json!({}) };
        api.apply(pod.object(phase, &[status]));
    };
    let phase = if scenario.is_init { "Pending" } else { "Running" };
    let running_seconds =
        late.running_seconds.or_else(|| scenario.exit_code.is_none().then_some(120));
    if let Some(seconds) = running_seconds {
        life.wait_until(began + Duration::from_secs(seconds));
        say(phase, running(started));
    }
    let mut flaws = Vec::new();
    let facts = match scenario.exit_code {
        None => {
            life.wait_until(clock.monotonic() + SURVIVOR_OBSERVED);
            if life.end.is_some() {
                flaws.push("TEST: the container ended".to_owned());
            }
            format!("{} killed, lives on", group.oom_kills())
        }
        Some(expected) => {
            let end = life.wait_for_end();
            life.wait_until(end.at + Duration::from_secs(late.end_seconds));
            say(phase, terminated(&id, (end.exit_code, "Error"), (started, end.time)));
            if end.exit_code != expected {
                flaws.push(format!("TEST: exit code {}, not {expected}", end.exit_code));
            }
            let seconds = (end.at - began).as_secs_f64();
            format!("{} killed, lived {seconds:.1} s", group.oom_kills())
        }
    };
    let ([least, most], kills) = (scenario.oom_kills, group.oom_kills());
    if kills < least || kills > most {
        flaws.push(format!("TEST: {kills} OOM kills, not {least} to {most}"));
    }
    Outcome { pod, scenario, container_id: id, victim, facts, flaws }
}

impl Scenario {
    /// Returns the script, and the name of the process that the kernel will end.
    fn commands(&self, number: u32) -> (String, Option<String>) {
        let [leak, crash] = make_victims(number);
        let script = self.script.replace("LEAK", &leak).replace("CRASH", &crash);
        let victim = [leak, crash].into_iter().find(|name| script.contains(name));
        match self.quiet_seconds {
            0 => (script, victim),
            seconds => (format!("sleep {seconds}; {script}"), victim),
        }
    }
}

impl Outcome {
    /// Returns what is wrong with what an incident says of the victim.
    fn words_flaws(&self, incident: &Value) -> Vec<String> {
        let limit_of = match self.scenario.limit_of {
            LimitOf::Container => "container",
            LimitOf::Pod => "pod",
        };
        victim_flaws(self.scenario.want, self.victim.as_deref(), limit_of, incident)
    }

    /// Returns what is wrong with the kernel's own words about the victim.
    fn journal_flaw(&self, deaths: &Deaths) -> Option<String> {
        let victim = self.victim.as_deref()?;
        match self.scenario.want {
            Want::Fault => deaths.fault_flaw(victim),
            _ => deaths.oom_flaw(victim, &self.container_id),
        }
    }
}

/// A container that is being waited for.
struct Life {
    clock: Clock,
    began: Duration,
    container: Container,
    killed_after: Option<Duration>,
    end: Option<End>,
    /// How long after the end the cgroup is removed.
    removal: Duration,
    is_removed: bool,
}

/// How a container ended.
#[derive(Clone, Copy)]
struct End {
    at: Duration,
    time: Timestamp,
    exit_code: i32,
}

impl Life {
    /// Waits. If the container ends meanwhile, its cgroup is removed.
    fn wait_until(&mut self, until: Duration) {
        while self.clock.monotonic() < until {
            self.tick();
        }
    }

    fn wait_for_end(&mut self) -> End {
        loop {
            if let Some(end) = self.end {
                return end;
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        Stopper::default().wait(TICK);
        let (at, time) = (self.clock.monotonic(), self.clock.wall());
        if self.killed_after.is_some_and(|after| at >= self.began + after) {
            self.killed_after = None;
            self.container.kill();
        }
        if self.end.is_none() {
            self.end = self.container.ended().map(|exit_code| End { at, time, exit_code });
        }
        if !self.is_removed && self.end.is_some_and(|end| at >= end.at + self.removal) {
            self.container.remove();
            self.is_removed = true;
        }
    }
}
