//! Reboots of the node: what a reboot, a panic or a power cut ended is one incident of the node.
//!
//! After a reboot the runtime finds its containers dead and does not know how they ended (`is_lost_by_runtime` in
//! `classify.rs`). An instance that started before a boot of the node, and was found dead after it, was ended with the
//! boot before. The kernel is the witness: its boot ID and the time of the boot (`btime`, whole seconds, moved when the
//! clock is set). A board without a clock chip boots with an old time; there, an end of that form soon after the boot is
//! enough.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::core::Now;
use crate::core::case::{Case, IncidentType, NodeIdentity, PodFacts, Reboot, Severity, Subject};
use crate::core::journal::Ending;
use crate::core::recorder::{LastMinutes, key};
use crate::limits::{
    BOOT_TIME_MARGIN, REBOOT_HELD, REBOOT_NAMES_BYTES_MAX, SHUTDOWN_BEFORE_BOOT_MAX,
};

/// A boot of the node.
#[derive(Clone, Debug, PartialEq)]
pub struct Boot {
    /// The kernel's ID of the boot.
    pub id: String,
    /// When the node was booted, by its clock.
    pub booted_at: Timestamp,
    /// Until when (monotonic) every instance that the runtime lost counts as ended by the reboot, whatever the clock says:
    /// for some minutes after an agent that started soon after the boot, or that found the state of the boot before.
    /// Later, a runtime that loses containers was restarted alone.
    pub is_recent_until: Duration,
    /// What an earlier agent left, if it ran in the boot before: then there was a reboot, even if no container shows
    /// it.
    pub before: Option<BootBefore>,
    /// The last minutes of the boot before, if the recorder file has them.
    pub minutes: Option<Arc<LastMinutes>>,
}

impl Boot {
    /// Returns true if these are the last minutes of the boot before this one, as far as the state file tells.
    pub fn is_after(&self, minutes: &LastMinutes) -> bool {
        let is_it = |before: &BootBefore| key(&before.id) == minutes.boot;
        self.before.as_ref().is_none_or(is_it)
    }
}

/// What an earlier agent left about the boot that it ran in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootBefore {
    /// The kernel's ID of that boot.
    pub id: String,
    /// When that agent wrote its state the last time.
    pub seen_at: Option<Timestamp>,
    /// When that agent was asked to stop, if it was.
    pub stopped_at: Option<Timestamp>,
}

/// How the boot before this one ended, as far as the node's files show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootEnd {
    /// What the journal shows; `None` if it has nothing of that boot.
    pub journal: Option<Ending>,
    /// Why the kernel gave up, if a record of that was kept.
    pub panic: Option<String>,
}

/// Adds to the case of a reboot how the boot before ended. A record of a panic decides. A shutdown that the kubelet or the
/// agent saw stands above the journal, which may have been cut off after it.
pub fn weigh_boot_end(case: &mut Case, end: BootEnd) {
    let Subject::Node { reboot } = &mut case.subject else { return };
    let BootEnd { journal, panic } = end;
    match journal {
        Some(Ending::CutOff(last)) if panic.is_some() || reboot.is_orderly != Some(true) => {
            let second = i64::try_from(last.realtime_us / 1_000_000).ok();
            let at = second.and_then(|second| Timestamp::from_second(second).ok());
            // The recorder's last sample may be newer, or older.
            reboot.last_alive_at = reboot.last_alive_at.max(at);
            reboot.is_orderly = Some(false);
            case.evidence.push("the journal of the boot before was not closed".to_owned());
        }
        // journald also closes its file when nothing was logged for five minutes. So this is no proof of a shutdown.
        Some(Ending::Closed) if panic.is_none() => {
            case.evidence.push("the journal of the boot before was closed".to_owned());
        }
        _ => {}
    }
    if let Some(reason) = panic {
        reboot.is_orderly = Some(false);
        case.evidence.push("pstore has the last words of a kernel panic".to_owned());
        reboot.panic = Some(reason);
    }
    case.severity = severity_of(reboot.is_orderly);
}

/// Returns the severity of a reboot: a shutdown is the lower one.
fn severity_of(is_orderly: Option<bool>) -> Severity {
    let severities = IncidentType::NodeReboot.severities();
    if is_orderly == Some(true) { severities[1] } else { severities[0] }
}

/// The boots of the node, and what they ended.
#[derive(Debug, Default)]
pub struct Reboots {
    boots: Vec<Ended>,
    /// When the kubelet last failed a pod because the node shuts down.
    shutdown_at: Option<Timestamp>,
    /// When the newest object was seen.
    seen_at: Option<Timestamp>,
}

/// A boot, and what its reboot ended.
#[derive(Debug)]
struct Ended {
    boot: Boot,
    /// When the first end was seen (monotonic). `None`: there is nothing to report so far.
    since: Option<Duration>,
    is_reported: bool,
    containers: u64,
    names: Vec<String>,
    names_bytes: usize,
}

impl Reboots {
    /// Creates the table of these boots, the oldest first.
    pub fn new(boots: Vec<Boot>) -> Self {
        let ended = |boot| Ended {
            boot,
            since: None,
            is_reported: false,
            containers: 0,
            names: Vec::new(),
            names_bytes: 0,
        };
        Self { boots: boots.into_iter().map(ended).collect(), shutdown_at: None, seen_at: None }
    }

    /// Records that an object was seen: a reboot that the earlier agent's state proves is reported some time later, and so
    /// is one that happened since the object before (in a recording).
    pub fn on_object(&mut self, now: Now) {
        let before = self.seen_at.replace(now.wall);
        let is_between = |at: Timestamp| before.is_some_and(|before| before < at) && at <= now.wall;
        for ended in &mut self.boots {
            if ended.boot.before.is_some() || is_between(ended.boot.booted_at) {
                ended.since.get_or_insert(now.monotonic);
            }
        }
    }

    /// Records that the kubelet failed a pod because the node shuts down.
    pub fn on_shutdown(&mut self, at: Timestamp) {
        self.shutdown_at = self.shutdown_at.max(Some(at));
    }

    /// Returns true if a reboot ended an instance that the runtime lost, and adds the container to that reboot's
    /// incident.
    pub fn explain(
        &mut self,
        started: Option<Timestamp>,
        found: Option<Timestamp>,
        is_lost: bool,
        name: impl FnOnce() -> String,
        now: Duration,
    ) -> bool {
        let spans = |ended: &&mut Ended| {
            let boot = &ended.boot;
            let at = boot.booted_at;
            let (from, to) =
                (at.saturating_sub(BOOT_TIME_MARGIN), at.saturating_add(BOOT_TIME_MARGIN));
            let (Ok(from), Ok(to)) = (from, to) else { return false };
            (is_lost && now < boot.is_recent_until)
                || started.is_some_and(|started| started < to)
                    && found.is_some_and(|found| found >= from)
        };
        let Some(ended) = self.boots.iter_mut().find(spans) else { return false };
        ended.since.get_or_insert(now);
        ended.containers += 1;
        let name = name();
        if ended.names_bytes + name.len() <= REBOOT_NAMES_BYTES_MAX {
            ended.names_bytes += name.len();
            ended.names.push(name);
        }
        true
    }

    /// Returns when [`Reboots::due`] has something to report (monotonic).
    pub fn next_deadline(&self) -> Option<Duration> {
        let waiting = self.boots.iter().filter(|ended| !ended.is_reported);
        waiting.filter_map(|ended| ended.since).map(|since| since + REBOOT_HELD).min()
    }

    /// Returns the incidents that are due. They wait because the statuses of the containers come one by one after a
    /// boot. Ends that come later are not reported any more; the incident that explains them was.
    pub fn due(&mut self, node: &Arc<NodeIdentity>, now: Now) -> Vec<Case> {
        let is_due = |since: Duration| since + REBOOT_HELD <= now.monotonic;
        self.report(node, now, is_due)
    }

    /// Returns the incidents that wait, because the agent terminates.
    pub fn finish(&mut self, node: &Arc<NodeIdentity>, now: Now) -> Vec<Case> {
        self.report(node, now, |_| true)
    }

    fn report(
        &mut self,
        node: &Arc<NodeIdentity>,
        now: Now,
        is_due: impl Fn(Duration) -> bool,
    ) -> Vec<Case> {
        let shutdown_at = self.shutdown_at;
        let due = self.boots.iter_mut().filter(|ended| !ended.is_reported);
        let due = due.filter(|ended| ended.since.is_some_and(&is_due));
        due.map(|ended| {
            ended.is_reported = true;
            ended.case(node, shutdown_at, now)
        })
        .collect()
    }
}

impl Ended {
    fn case(&mut self, node: &Arc<NodeIdentity>, shutdown_at: Option<Timestamp>, now: Now) -> Case {
        let minutes = self.boot.minutes.take();
        let Boot { id, booted_at, before, .. } = &self.boot;
        let mut evidence = vec![format!("boot {id} began at {booted_at}")];
        let stopped_at = before.as_ref().and_then(|before| before.stopped_at);
        // A shutdown stops pods and the agent shortly before the node goes down.
        let is_before = |at: &Timestamp| {
            let wait = booted_at.duration_since(*at);
            !wait.is_negative() && wait.unsigned_abs() <= SHUTDOWN_BEFORE_BOOT_MAX
        };
        let mut is_orderly = None;
        if let Some(at) = shutdown_at.filter(is_before) {
            is_orderly = Some(true);
            evidence.push(format!("the kubelet ended pods for a shutdown at {at}"));
        }
        if let Some(at) = stopped_at.filter(is_before) {
            is_orderly = Some(true);
            evidence.push(format!("the agent was asked to stop at {at}"));
        }
        if let Some(before) = before {
            evidence.push(format!("the agent before ran in boot {}", before.id));
        }
        // What a shutdown ended needs no explanation.
        let minutes = minutes.filter(|_| is_orderly != Some(true));
        let severity = severity_of(is_orderly);
        let reboot = Reboot {
            boot_id: id.clone(),
            booted_at: *booted_at,
            previous_boot_id: before.as_ref().map(|before| before.id.clone()),
            last_seen_at: before.as_ref().and_then(|before| before.seen_at),
            is_orderly,
            panic: None,
            containers: self.containers,
            names: std::mem::take(&mut self.names),
            last_alive_at: minutes.as_ref().map(|minutes| minutes.ends_at()),
            minutes,
        };
        Case::reboot(Arc::new(PodFacts::of_node(node.clone())), reboot, severity, evidence, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Arc<NodeIdentity> {
        Arc::new("n".into())
    }
    use crate::core::case::Severity;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-26T{text}Z").parse().unwrap()
    }

    fn boot(id: &str, booted_at: &str) -> Boot {
        Boot {
            id: id.to_owned(),
            booted_at: at(booted_at),
            is_recent_until: Duration::ZERO,
            before: None,
            minutes: None,
        }
    }

    fn now(seconds: u64) -> Now {
        Now { monotonic: Duration::from_secs(seconds), wall: at("18:05:00") }
    }

    fn explains(reboots: &mut Reboots, started: &str, found: &str) -> bool {
        let name = || "shop/web/app".to_owned();
        reboots.explain(Some(at(started)), Some(at(found)), true, name, Duration::ZERO)
    }

    #[test]
    fn a_boot_explains_what_started_before_it_and_was_found_dead_after_it() {
        for (started, found, want) in [
            ("17:00:00", "18:00:15", true),
            ("17:59:51", "18:00:15", true),
            ("17:59:53", "18:00:15", false),
            ("17:00:00", "17:59:48", true),
            ("17:00:00", "17:59:40", false),
            ("18:10:00", "18:20:00", false),
        ] {
            let mut reboots = Reboots::new(vec![boot("b", "17:59:50")]);
            assert_eq!(explains(&mut reboots, started, found), want, "{started} {found}");
        }
        let until = Duration::from_secs(600);
        let recent = Boot { is_recent_until: until, ..boot("b", "17:59:50") };
        assert!(explains(&mut Reboots::new(vec![recent]), "19:00:00", "18:00:00"), "no clock chip");
        let recent = || Boot { is_recent_until: until, ..boot("b", "17:59:50") };
        let name = String::new;
        for (is_lost, seconds, want) in [(true, 599, true), (false, 599, false), (true, 600, false)]
        {
            let mut reboots = Reboots::new(vec![recent()]);
            let now = Duration::from_secs(seconds);
            assert_eq!(
                reboots.explain(None, None, is_lost, name, now),
                want,
                "{is_lost} {seconds}"
            );
        }
    }

    #[test]
    fn each_boot_is_one_incident_with_what_it_ended() {
        let mut reboots = Reboots::new(vec![boot("a", "17:55:53"), boot("b", "17:59:50")]);
        assert_eq!(reboots.next_deadline(), None);
        for _ in 0..3 {
            assert!(explains(&mut reboots, "17:40:00", "17:56:20"));
        }
        assert!(explains(&mut reboots, "17:57:00", "18:00:15"));
        assert!(reboots.due(&node(), now(59)).is_empty());
        assert_eq!(reboots.next_deadline(), Some(REBOOT_HELD));
        let cases = reboots.due(&node(), now(60));
        let counts: Vec<_> = cases
            .iter()
            .map(|case| match &case.subject {
                Subject::Node { reboot } => {
                    (reboot.boot_id.clone(), reboot.containers, reboot.names.len())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [("a".to_owned(), 3, 3), ("b".to_owned(), 1, 1)]);
        assert_ne!(cases[0].id, cases[1].id);
        assert!(explains(&mut reboots, "17:40:00", "17:56:20"), "it still explains");
        assert!(reboots.finish(&node(), now(99)).is_empty(), "and is reported once");
    }

    #[test]
    fn names_are_bounded_and_counted() {
        let mut reboots = Reboots::new(vec![boot("b", "17:59:50")]);
        for _ in 0..1000 {
            let name = || "n".repeat(100);
            let (started, found) = (Some(at("17:00:00")), Some(at("18:00:00")));
            assert!(reboots.explain(started, found, true, name, Duration::ZERO));
        }
        let case = reboots.finish(&node(), now(1)).remove(0);
        let Subject::Node { reboot } = case.subject else { panic!() };
        assert_eq!(reboot.containers, 1000);
        assert!(reboot.names.concat().len() <= REBOOT_NAMES_BYTES_MAX);
    }

    #[test]
    fn a_shutdown_that_was_seen_is_orderly_and_less_severe() {
        let stopped = |at: &str| BootBefore {
            id: "a".into(),
            seen_at: None,
            stopped_at: Some(format!("2026-11-26T{at}Z").parse().unwrap()),
        };
        for (shutdown, before, want) in [
            (None, None, Severity::High),
            (Some("17:58:06"), None, Severity::Medium),
            (Some("16:58:06"), None, Severity::High),
            (None, Some(stopped("17:58:06")), Severity::Medium),
            (None, Some(stopped("12:00:00")), Severity::High),
            (None, Some(stopped("18:04:00")), Severity::High),
        ] {
            let mut reboots =
                Reboots::new(vec![Boot { before: before.clone(), ..boot("b", "17:59:50") }]);
            if let Some(shutdown) = shutdown {
                reboots.on_shutdown(at(shutdown));
            }
            assert!(explains(&mut reboots, "17:40:00", "18:00:20"));
            let case = reboots.finish(&node(), now(1)).remove(0);
            assert_eq!(case.severity, want, "{shutdown:?} {before:?}");
        }
    }

    #[test]
    fn the_last_minutes_are_told_if_there_was_no_shutdown_and_once() {
        for (stopped_at, want) in [(None, true), (Some(at("17:58:06")), false)] {
            let minutes = Some(Arc::new(LastMinutes::of_test("a", at("17:55:25"))));
            let before = Some(BootBefore { id: "a".into(), seen_at: None, stopped_at });
            let mut reboots = Reboots::new(vec![Boot { before, minutes, ..boot("b", "17:59:50") }]);
            reboots.on_object(now(5));
            let case = reboots.finish(&node(), now(9)).remove(0);
            let bytes = case.own_bytes();
            let Subject::Node { mut reboot } = case.subject else { panic!() };
            assert_eq!(reboot.last_alive_at, want.then(|| at("17:55:25")));
            let minutes = reboot.minutes.take();
            assert_eq!(minutes.is_some(), want);
            assert!(minutes.is_none_or(|minutes| bytes > minutes.bytes() && minutes.bytes() > 64));
        }
    }

    #[test]
    fn minutes_of_another_boot_than_the_one_before_are_too_old() {
        let minutes = LastMinutes::of_test("a", at("17:55:25"));
        for (before, want) in [(None, true), (Some("a"), true), (Some("x"), false)] {
            let left = |id: &str| BootBefore { id: id.into(), seen_at: None, stopped_at: None };
            let boot = Boot { before: before.map(left), ..boot("b", "17:59:50") };
            assert_eq!(boot.is_after(&minutes), want, "{before:?}");
        }
    }

    #[test]
    fn a_reboot_that_ended_nothing_is_reported_if_the_state_proves_it() {
        let before = BootBefore { id: "a".into(), seen_at: None, stopped_at: None };
        let mut reboots =
            Reboots::new(vec![Boot { before: Some(before), ..boot("b", "17:59:50") }]);
        assert_eq!(reboots.next_deadline(), None);
        reboots.on_object(now(5));
        reboots.on_object(now(50));
        assert_eq!(reboots.due(&node(), now(65)).len(), 1);
        let mut quiet = Reboots::new(vec![boot("b", "17:59:50")]);
        quiet.on_object(now(0));
        assert!(quiet.finish(&node(), now(99)).is_empty());
    }

    #[test]
    fn a_reboot_between_two_objects_of_a_recording_is_reported() {
        let seen = |seconds: u64, wall: &str| Now { wall: at(wall), ..now(seconds) };
        for (first, second, want) in
            [("17:50:00", "18:01:00", 1), ("17:50:00", "17:59:00", 0), ("18:00:00", "18:01:00", 0)]
        {
            let mut reboots = Reboots::new(vec![boot("b", "17:59:50")]);
            reboots.on_object(seen(0, first));
            reboots.on_object(seen(5, second));
            assert_eq!(reboots.finish(&node(), now(9)).len(), want, "{first} {second}");
        }
    }
}
