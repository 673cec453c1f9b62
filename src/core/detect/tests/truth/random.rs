//! A kubelet that ends instances for random reasons with random exit codes, and shows each end once or several times, in
//! any of its forms: the end of a pod that it stops also before the pod's phase.

use super::*;

/// What really ends an instance.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
    Own,
    Probe,
    Change,
    Oom,
    Lost,
    /// The sandbox was lost; the kubelet stops the container and starts it in a new one.
    Sandbox,
    /// The kubelet stopped the pod as a whole.
    Stopped,
}

/// Why the kubelet stops a pod as a whole.
#[derive(Debug)]
struct Stop {
    /// The pod's `status.reason`.
    reason: &'static str,
    /// The reason of its event, if there is one.
    event: Option<&'static str>,
    message: &'static str,
    /// True if the pod gets the condition `DisruptionTarget`.
    has_condition: bool,
    kind: &'static str,
}

const STOPS: [Stop; 4] = [
    Stop {
        reason: "Evicted",
        event: Some("Evicted"),
        message: "The node was low on resource: memory.",
        has_condition: true,
        kind: "evicted",
    },
    Stop {
        reason: "Preempting",
        event: Some("Preempting"),
        message: "Preempted in order to admit critical pod",
        has_condition: true,
        kind: "preempted",
    },
    Stop {
        reason: "Terminated",
        event: None,
        message: "Pod was terminated in response to imminent node shutdown.",
        has_condition: true,
        kind: "node_shutdown",
    },
    Stop {
        reason: "DeadlineExceeded",
        event: Some("DeadlineExceeded"),
        message: "Pod was active on the node longer than the specified deadline",
        has_condition: false,
        kind: "timeout",
    },
];

impl Reason {
    /// Returns the exit codes that fit.
    fn codes(self) -> &'static [i32] {
        match self {
            Self::Own => &[0, 1, 2, 3, 130, 137, 139, 143],
            Self::Probe => &[0, 1, 2, 130, 137, 143],
            Self::Change => &[0, 137, 143],
            Self::Sandbox | Self::Stopped => &[0, 1, 2, 130, 137, 139, 143],
            Self::Oom => &[137],
            Self::Lost => &[255],
        }
    }

    /// Returns the reason that the runtime gives.
    fn word(self, code: i32) -> &'static str {
        match self {
            Self::Oom => "OOMKilled",
            Self::Lost => "Unknown",
            _ if code == 0 => "Completed",
            _ => "Error",
        }
    }

    /// Returns the type of the container's line; `None` for a quiet end.
    fn truth(self, code: i32) -> Option<&'static str> {
        match self {
            Self::Own | Self::Sandbox => Some(classify::exit_code(code).0.name()),
            Self::Probe => Some("probe_failure"),
            Self::Oom => Some("oom"),
            Self::Lost => Some("runtime_lost"),
            Self::Change | Self::Stopped => None,
        }
    }
}

/// The conditions of a pod that the kubelet writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Conditions {
    /// All that a kubelet of version 1.29 or later writes.
    All,
    /// Those of a kubelet of version 1.25 or later, which does not show whether the sandbox is up.
    Ready,
    /// None.
    None,
}

/// The kubelet, the API server and the agent.
struct History {
    b: Bench,
    dice: Jitter,
    is_probed: bool,
    policy: &'static str,
    conditions: Conditions,
    /// Some lookups of events fail.
    fails: bool,
    /// The same words again raise the count of an event and move its end.
    events: Vec<PodEvent>,
    version: u64,
    at: i64,
    /// The state of the instance before, as the API shows it.
    last: Value,
    truths: Vec<(String, Option<&'static str>)>,
    /// Why the kubelet stopped the pod.
    stop: Option<&'static Stop>,
    /// The message of the condition `DisruptionTarget`.
    disruption: Option<&'static str>,
    /// The ids of the lines that this stop has to explain.
    explained: Vec<IncidentId>,
}

impl History {
    fn new(seed: u64, policy: &'static str) -> Self {
        let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self {
            b: Bench::new(),
            is_probed: dice.unit() < 0.5 && policy == "Always",
            policy,
            conditions: match (dice.unit() * 4.0) as u8 {
                0 => Conditions::None,
                1 => Conditions::Ready,
                _ => Conditions::All,
            },
            fails: dice.unit() < 0.3,
            dice,
            events: Vec::new(),
            version: 10,
            at: 5,
            last: json!({}),
            truths: Vec::new(),
            stop: None,
            disruption: None,
            explained: Vec::new(),
        }
    }

    fn below(&mut self, n: usize) -> usize {
        (self.dice.unit() * n as f64) as usize % n
    }

    fn event(&mut self, at: i64, reason: &str, message: &str, is_own: bool) {
        let mut new = event(reason, message, is_own, (at, at));
        new.info.count = 1;
        let same = |known: &&mut PodEvent| {
            (&known.info.reason, &known.info.message) == (&new.info.reason, &new.info.message)
        };
        match self.events.iter_mut().find(same) {
            Some(known) => {
                known.info.count += 1;
                known.info.last_at = new.info.last_at;
            }
            None => self.events.push(new),
        }
    }

    fn show(&mut self, status: Value, changes: &[(&str, &str)]) -> Value {
        let reason = if status["state"]["running"].is_object() { "" } else { "ContainersNotReady" };
        self.show_with(status, changes, reason, true)
    }

    /// Shows the pod with this reason of `ContainersReady`.
    fn show_with(
        &mut self,
        status: Value,
        changes: &[(&str, &str)],
        reason: &str,
        is_sandbox_up: bool,
    ) -> Value {
        self.version += 1;
        let mut shown =
            if self.is_probed { probed(self.version, status) } else { pod(self.version, status) };
        shown["spec"]["restartPolicy"] = json!(self.policy);
        for (pointer, value) in changes {
            shown = with(shown, pointer, json!(value));
        }
        let sandbox = if is_sandbox_up { "True" } else { "False" };
        let sandbox = (self.conditions == Conditions::All).then_some(sandbox);
        if self.conditions != Conditions::None {
            shown = with_conditions(shown, reason, sandbox);
            let disruption = self.disruption.map(|message| {
                json!({"type": "DisruptionTarget", "status": "True", "message": message,
                    "reason": "TerminationByKubelet"})
            });
            let conditions = shown["status"]["conditions"].as_array_mut();
            conditions.expect("it has some").extend(disruption);
        }
        self.b.apply(self.at, &shown);
        shown
    }

    /// Lets the time pass until then, and answers the lookups.
    fn pass_until(&mut self, until: i64) {
        while let Some(deadline) = self.b.detector.next_deadline() {
            let at = i64::try_from(deadline.as_millis().div_ceil(1000)).unwrap();
            if at > until {
                break;
            }
            let before = self.b.lookups();
            self.b.pass(at);
            if self.b.lookups() > before {
                let lookup = match self.fails && self.dice.unit() < 0.4 {
                    true => Lookup::Failed("no answer".into()),
                    false => Lookup::Found(self.events.clone()),
                };
                self.b.detector.on_events("u1", &lookup, &mut self.b.out);
            }
        }
        self.b.pass(until);
        self.at = until;
    }

    /// Runs an instance and ends it. Returns false if the pod is over.
    fn instance(&mut self, n: i64, may_be_stopped: bool) -> bool {
        let (id, started) = (format!("c{n}"), self.at);
        self.event(started, "Started", "Started container app", true);
        self.show(status(n, &id, running(started), self.last.clone()), &[]);
        let finished = started + 20 + self.below(30) as i64;
        self.pass_until(finished);
        let reason = match self.below(7) {
            1 if self.is_probed => Reason::Probe,
            2 => Reason::Change,
            3 => Reason::Oom,
            4 => Reason::Lost,
            5 => Reason::Sandbox,
            6 if may_be_stopped => Reason::Stopped,
            _ => Reason::Own,
        };
        let codes = reason.codes();
        let code = codes[self.below(codes.len())];
        self.send_events(reason, code, finished);
        self.truths.push((id.clone(), reason.truth(code)));
        let end = ended(&id, code, reason.word(code), started, finished);
        self.at += 1;
        if reason == Reason::Stopped {
            self.fail(&status(n, &id, end, self.last.clone()), code);
            return false;
        }
        self.show_end(n, &id, &end, reason != Reason::Sandbox);
        self.last = end;
        true
    }

    /// Sends what the kubelet says of the end, as far as its spam filter lets it.
    fn send_events(&mut self, reason: Reason, code: i32, finished: i64) {
        if reason == Reason::Probe {
            self.event(finished - 4, "Unhealthy", "Liveness probe failed: x", true);
            self.event(finished - 2, "Unhealthy", "Liveness probe failed: x", true);
        }
        if reason == Reason::Stopped {
            let stop = &STOPS[self.below(STOPS.len())];
            self.stop = Some(stop);
            if let Some(event) = stop.event {
                self.event(finished - 2, event, stop.message, false);
            }
        }
        if reason == Reason::Sandbox {
            let message = "Pod sandbox changed, it will be killed and re-created.";
            self.event(finished - 1, "SandboxChanged", message, false);
        }
        let stop = match reason {
            Reason::Probe => "Container app failed liveness probe, will be restarted",
            Reason::Change => "Container app definition changed, will be restarted",
            Reason::Sandbox | Reason::Stopped => "Stopping container app",
            Reason::Own | Reason::Oom | Reason::Lost => return,
        };
        // For these codes, the failed probe alone must do.
        let may_miss = reason == Reason::Probe && matches!(code, 137 | 143);
        if !may_miss || self.dice.unit() < 0.6 {
            self.event(finished - 1, "Killing", stop, true);
        }
    }

    /// Shows that the kubelet stopped the pod; before that perhaps only that its container ended, and that its sandbox is
    /// down, unless it could not be stopped.
    fn fail(&mut self, status: &Value, code: i32) {
        let stop = self.stop.expect("the pod was stopped for a reason");
        if self.dice.unit() < 0.5 {
            let before = self.b.incidents().count();
            // Of a pod that is not restarted this looks like the end of the program by itself.
            let is_sandbox_up = self.policy == "Always" && self.dice.unit() < 0.2;
            self.show_with(status.clone(), &[], "PodFailed", is_sandbox_up);
            let longest = match self.conditions {
                // Without a condition, an end with a code of its own that comes before the phase cannot be told from a
                // crash, so it has a line. The line of the pod has to name it: see docs/incident.md.
                Conditions::None if !self.is_probed && !classify::may_be_a_stop(code) => {
                    let line = self.b.incidents().nth(before).expect("the end has a line at once");
                    if classify::signal(code, 0).is_none() {
                        self.explained.push(line.id);
                    }
                    let end = self.truths.last_mut().expect("the instance has an end");
                    end.1 = Reason::Own.truth(code);
                    1
                }
                Conditions::None => 1,
                Conditions::Ready | Conditions::All => {
                    10 + SETTLE_STOPPING_MARGIN.as_secs() as usize - 1
                }
            };
            let shown_at = self.at + 1 + self.below(longest) as i64;
            self.pass_until(shown_at);
        }
        // The reason is lost where the phase changed with it. The condition stays.
        let is_lost =
            stop.has_condition && self.conditions != Conditions::None && self.dice.unit() < 0.3;
        let phase = if is_lost && code == 0 { "Succeeded" } else { "Failed" };
        let reason = if is_lost { "" } else { stop.reason };
        let changes = [("/status/phase", phase), ("/status/reason", reason)];
        self.disruption = stop.has_condition.then_some(stop.message);
        self.show_with(status.clone(), &changes, "PodFailed", false);
    }

    /// Runs the only instance of a pod that is not restarted, and ends it and the pod.
    fn job(&mut self) {
        let started = self.at;
        self.event(started, "Started", "Started container app", true);
        self.show(status(0, "c0", running(started), json!({})), &[]);
        let finished = started + 20;
        self.pass_until(finished);
        let reason = [Reason::Own, Reason::Oom, Reason::Stopped][self.below(3)];
        let codes = reason.codes();
        let code = codes[self.below(codes.len())];
        self.send_events(reason, code, finished);
        let truth = reason.truth(code).filter(|_| code != 0);
        self.truths.push(("c0".to_owned(), truth));
        let end = ended("c0", code, reason.word(code), started, finished);
        let end = status(0, "c0", end, json!({}));
        self.at += 1;
        if reason == Reason::Stopped {
            self.fail(&end, code);
            return;
        }
        // The kubelet shows the end, stops the sandbox, and shows the phase. It may be late, and skip all but the last.
        if self.dice.unit() < 0.2 {
            let shown_at = self.at + self.below(40) as i64;
            self.pass_until(shown_at);
        }
        let (word, phase) = match code {
            0 => ("PodCompleted", "Succeeded"),
            _ => ("PodFailed", "Failed"),
        };
        for is_sandbox_up in [true, false] {
            if self.dice.unit() < 0.5 {
                self.show_with(end.clone(), &[], word, is_sandbox_up);
                let shown_at = self.at + self.below(5) as i64;
                self.pass_until(shown_at);
            }
        }
        self.show_with(end, &[("/status/phase", phase)], word, false);
    }

    fn show_end(&mut self, n: i64, id: &str, end: &Value, is_sandbox_up: bool) {
        if self.dice.unit() < 0.5 {
            let dead = status(n, id, end.clone(), self.last.clone());
            self.show_with(dead, &[], "ContainersNotReady", is_sandbox_up);
        }
        self.at += 1;
        if self.dice.unit() < 0.5 {
            let waits = status(n, id, waiting("CrashLoopBackOff"), end.clone());
            let shown = self.show(waits, &[]);
            if self.dice.unit() < 0.3 {
                self.b.list(self.at, &[shown]);
            }
        }
        let until = self.at + 1 + self.below(20) as i64;
        self.pass_until(until);
    }

    /// Each end is one line or one quiet end; where every lookup is answered, each has its true type.
    fn check(&self, seed: u64) {
        let truths = &self.truths;
        let lines: Vec<(Option<String>, &str)> =
            self.b.incidents().map(|i| (i.container_id, i.kind.name())).collect();
        let of_pod = lines.iter().filter(|(id, _)| id.is_none());
        let of_pod: Vec<&str> = of_pod.map(|(_, kind)| *kind).collect();
        let stop: Vec<&str> = self.stop.iter().map(|stop| stop.kind).collect();
        assert_eq!(of_pod, stop, "seed {seed}");
        let explained: Vec<IncidentId> =
            self.b.incidents().flat_map(|i| i.metadata.explains).collect();
        assert_eq!(explained, self.explained, "seed {seed}");
        let own = lines.len() - of_pod.len();
        assert_eq!(own + self.b.quiets().len(), truths.len(), "seed {seed}: {lines:?} {truths:?}");
        for (id, want) in truths {
            let of_end = lines.iter().filter(|(line, _)| line.as_deref() == Some(id));
            let named: Vec<&str> = of_end.map(|(_, kind)| *kind).collect();
            match self.fails {
                false => assert_eq!(named, Vec::from_iter(*want), "seed {seed}: {id} {truths:?}"),
                true => assert!(named.len() <= 1, "seed {seed}: {id} {named:?}"),
            }
        }
    }
}

#[test]
fn random_ends_are_each_named_once_by_what_ended_them() {
    const INSTANCES: i64 = 6;
    for seed in 1..=rounds(4000) {
        let mut history = History::new(seed, "Always");
        if (0..INSTANCES).all(|n| history.instance(n, n == INSTANCES - 1)) {
            history.event(history.at, "Started", "Started container app", true);
            let runs = running(history.at);
            history.show(status(INSTANCES, "c6", runs, history.last.clone()), &[]);
        }
        history.pass_until(history.at + 300);
        assert_eq!(history.b.detector.held(), 0, "seed {seed}");
        history.check(seed);
    }
}

#[test]
fn random_ends_of_jobs_are_each_named_once_by_what_ended_them() {
    for seed in 1..=rounds(4000) {
        let mut history = History::new(seed, "Never");
        history.job();
        history.pass_until(history.at + 300);
        assert_eq!(history.b.detector.held(), 0, "seed {seed}");
        history.check(seed);
    }
}
