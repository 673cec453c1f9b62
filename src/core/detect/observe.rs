//! Applies the rules to one API object: finds what is new in it, and what follows from that.

use jiff::Timestamp;

use crate::core::case::{Case, ContainerKind, IncidentId, IncidentType};
use crate::core::detect::classify::{self, Episode, Quiet, TerminationFacts, Verdict};
use crate::core::detect::conditions;
use crate::core::detect::container::{
    Container, containers, finished, is_after_the_mains, mains_done, ran, started,
};
use crate::core::detect::deletion::Deletion;
use crate::core::detect::hang::{self, Hangs, Sight};
use crate::core::detect::open::CaseOpener;
use crate::core::detect::output::{Output, PodName, emit, report, report_folded, report_unseen};
use crate::core::detect::pods::{ContainerRecord, PodTable};
use crate::core::detect::reboot::Reboots;
use crate::core::detect::settle::{Awaits, Held, PodState, Settling, stopping_time};
use crate::core::detect::storm::{Fold, Storms};
use crate::core::wire;
use crate::limits::{EXPLAINED_MAX, SETTLE_STOPPING_MAX};

/// One API object while the rules are applied to it.
#[derive(Debug)]
pub(super) struct Observation<'d, 'p, 'a> {
    pub(super) key: &'p str,
    pub(super) opener: CaseOpener<'p, 'a>,
    pub(super) table: &'d mut PodTable,
    pub(super) settling: &'d mut Settling,
    pub(super) reboots: &'d mut Reboots,
    pub(super) hangs: &'d mut Hangs,
    pub(super) storms: &'d mut Storms,
    /// The cut-off, only in the first LIST: earlier terminations are history, except in containers that an earlier
    /// agent knew.
    pub(super) past: Option<Timestamp>,
    /// True in the first LIST: its pods did not start or stop just now.
    pub(super) is_baseline: bool,
    /// The deletion of the pod, as far as its objects have shown it.
    pub(super) deletion: Deletion,
    pub(super) pod_state: PodState,
}

impl<'p, 'a> Observation<'_, 'p, 'a> {
    /// Detects that the pod runs for the first time, and that it has completed.
    pub(super) fn lifecycle(&mut self, out: &mut Vec<Output>) {
        let Some(record) = self.table.get(self.key) else {
            return;
        };
        let name = || PodName { namespace: record.namespace.clone(), name: record.name.clone() };
        match &*self.opener.pod.status.phase {
            "Running" if !record.started => {
                if !self.is_baseline {
                    out.push(Output::Started(name()));
                }
                record.started = true;
            }
            phase @ ("Succeeded" | "Failed") => {
                self.pod_state = PodState::Ended;
                record.is_done |= phase == "Succeeded" || self.opener.pod.status.reason.is_empty();
                if !record.stopped && !self.is_baseline {
                    out.push(Output::Stopped(name()));
                }
                record.stopped = true;
            }
            _ => {}
        }
    }

    /// Detects that the pod as a whole failed, for a reason of its own.
    pub(super) fn pod_failure(&mut self, out: &mut Vec<Output>) {
        let status = &self.opener.pod.status;
        if self.pod_state != PodState::Ended {
            return;
        }
        let by_status = classify::pod_failure(&status.reason, &status.message)
            .filter(|_| &*status.phase == "Failed")
            .map(|verdict| (verdict, self.opener.pod_stop()));
        let Some((verdict, stop)) = by_status.or_else(|| conditions::disruption(status)) else {
            return;
        };
        if self.deletion.silences_pod_failure() {
            return;
        }
        let Some(record) = self.table.get(self.key) else {
            return;
        };
        if verdict.0 == IncidentType::AdmissionRejected && record.is_done {
            // A restarted kubelet admits a finished pod again, and may refuse it (kubernetes#117955, #124345). It was over.
            return;
        }
        self.pod_state = PodState::Failed;
        let started = record.started;
        if !self.table.learn_pod_failure(self.key, IncidentId::of_pod(self.key, verdict.0)) {
            return;
        }
        self.table.touch(self.key);
        let at = self.failed_at(started);
        if verdict.0 == IncidentType::NodeShutdown
            && let Some(at) = at
        {
            self.reboots.on_shutdown(at);
        }
        if self.is_past(at, false) {
            out.push(Output::Quiet(Quiet::History));
            return;
        }
        let explains = self.explained_by_pod_failure();
        let case = self.opener.pod_failure(verdict, stop, at, explains);
        let mut lines = Vec::new();
        let fold = self.storms.take(self.key, case, self.opener.now, &mut lines);
        for line in lines {
            report_folded(self.table, self.settling, line, out);
        }
        match fold {
            Fold::Report(case) => self.report(*case, out),
            Fold::Wait { workload, replaces } => {
                if let Some(record) = self.table.get(self.key) {
                    record.waits_in_storm = workload;
                }
                out.extend(replaces.then_some(Output::Folded));
            }
        }
    }

    /// Returns when the pod failed, as far as the object shows it. `started`: the pod was seen to run.
    fn failed_at(&self, started: bool) -> Option<Timestamp> {
        let pod = self.opener.pod;
        if !started && containers(pod).all(|c| c.status.container_id.is_empty()) {
            return pod.status.start_time.time();
        }
        // Init containers terminated long ago, so only app containers count. They may have ended long before as well, or
        // not have run; then the sandbox was stopped when the pod was.
        let apps = containers(pod).filter(|c| c.kind == ContainerKind::App);
        let ends = apps.filter_map(|c| c.status.state.terminated.as_ref());
        let last = ends.filter_map(finished).max();
        let down = conditions::sandbox_down_at(&pod.status);
        let is_near = |last: &Timestamp| {
            down.is_none_or(|down| down.duration_since(*last).unsigned_abs() <= SETTLE_STOPPING_MAX)
        };
        last.filter(is_near).or(down).or(Some(self.opener.now.wall))
    }

    /// Returns the incidents of containers, reported before, that ended with an exit code of their own shortly before the
    /// pod failed, or that waited in vain for the pod's phase. The kubelet shows the end of a container before it shows why
    /// it stopped the pod, and a program chooses its exit code after SIGTERM, so the failure of the pod probably ended
    /// them.
    fn explained_by_pod_failure(&mut self) -> Vec<IncidentId> {
        let pod = self.opener.pod;
        let mut explained = Vec::new();
        for container in containers(pod).filter(|c| c.kind != ContainerKind::Ephemeral) {
            let status = container.status;
            let Some(end) = &status.state.terminated else { continue };
            let id = IncidentId::of_termination(self.key, &status.name, &end.container_id);
            let Some(record) = self.record(&status.name) else { continue };
            let is_reported = record.reported_end == id.short() && record.own_end != id.short();
            let is_open = record.is_end_open;
            let grace = container.grace(pod.spec.termination_grace_period_seconds);
            let within = stopping_time(grace);
            let age = finished(end).map(|at| self.opener.now.wall.duration_since(at));
            if is_reported && (is_open || age.is_some_and(|age| age.unsigned_abs() <= within)) {
                explained.push(id);
            }
        }
        explained.truncate(EXPLAINED_MAX);
        explained
    }

    /// Detects that the pod, or one of its containers, hangs or gets on.
    pub(super) fn hangs(&mut self, is_first: bool, out: &mut Vec<Output>) {
        let sight = Sight {
            is_first,
            is_history: self.past == Some(Timestamp::MAX),
            is_deleted: self.deletion.silences_waiting(),
        };
        if !self.hangs.on_object(&self.opener, sight, self.table) {
            out.push(Output::NoRoom(PodName::of(&self.opener.pod.metadata)));
            // The next object is judged again, also if nothing has changed.
            if let Some(record) = self.table.get(self.key) {
                record.judged_fingerprint = None;
            }
        }
    }

    pub(super) fn container(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let mut settled = Vec::new();
        let is_deleted = self.deletion.is_requested();
        let (pod, state) = (self.opener.pod, self.pod_state);
        self.settling.on_container(self.key, container, pod, state, is_deleted, &mut settled);
        emit(self.table, self.settling, settled, out);
        self.count_unseen(container, out);
        self.terminations(container, out);
        self.waits(container, out);
        self.report_unseen(container, out);
    }

    /// Counts the terminations since the previous object that no object shows. An incident of the same object reports
    /// the count, or else a line of its own.
    fn count_unseen(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let status = container.status;
        let (mut shown, mut made_up) = (0, 0);
        let mut current_ended = false;
        let (last, current) = (&status.last_state.terminated, &status.state.terminated);
        for (end, is_current) in [(last, false), (current, true)] {
            let Some(end) = end else { continue };
            if classify::is_synthetic(&end.reason, &end.container_id) {
                // The kubelet increments the restart count for such a record too (kubelet
                // `convertToAPIContainerStatuses`).
                made_up += 1;
                continue;
            }
            let is_new = !self.table.knows_termination(self.key, &status.name, &end.container_id)
                || ran(end)
                    && self.table.awaits_real_termination(
                        self.key,
                        &status.name,
                        &end.container_id,
                    );
            shown += i64::from(is_new);
            let waits = status.state.waiting.is_some();
            current_ended |= is_current || (waits && *end.container_id == *status.container_id);
        }
        if status.state.waiting.is_some() && !current_ended && !status.container_id.is_empty() {
            // An instance that was learned by its waiting reason alone also counts as terminated.
            current_ended =
                self.table.knows_termination(self.key, &status.name, &status.container_id);
        }
        let past = self.past.is_some();
        let is_overfull = self.table.was_full();
        let Some(record) = self.record(&status.name) else { return };
        let total = status.restart_count.saturating_add(i64::from(current_ended));
        record.unjudged = shown;
        let before = record.ended_total.replace(total);
        let ended = match before {
            Some(before) => total.saturating_sub(before),
            None if past || is_overfull => 0,
            None => total,
        };
        let not_shown = ended.saturating_sub(shown).max(0);
        let synthetic = not_shown.min(made_up);
        for _ in 0..synthetic {
            out.push(Output::Quiet(Quiet::Synthetic));
        }
        let unseen = not_shown - synthetic;
        if unseen > 0 {
            out.push(Output::Unseen(unseen));
            record.unseen = record.unseen.saturating_add(unseen);
        }
        if before != Some(total) {
            self.table.touch(self.key);
        }
    }

    /// Judges the terminations that the object shows, the older one first.
    fn terminations(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let status = container.status;
        let last = status.last_state.terminated.as_ref().map(|end| (end, false));
        let current = status.state.terminated.as_ref().map(|end| (end, true));
        for (end, is_current) in last.into_iter().chain(current) {
            if classify::is_synthetic(&end.reason, &end.container_id) {
                continue;
            }
            let mut late = None;
            if self.table.learn_termination(self.key, &status.name, &end.container_id) {
                late = self.real_termination(container, end);
                if late.is_none() {
                    continue;
                }
            }
            // Whatever the container waited for before, an instance was created.
            let mut is_restored = false;
            if let Some(record) = self.record(&status.name) {
                record.leave_episodes();
                record.unjudged = (record.unjudged - 1).max(0);
                is_restored = record.is_restored;
            }
            if self.is_ended_by_reboot(container, end, is_restored) {
                out.push(Output::Quiet(Quiet::Reboot));
                continue;
            }
            match self.judge(container, end, is_current, is_restored) {
                Verdict::Quiet(quiet) if self.may_be_stopped(container, end, quiet, is_current) => {
                    let verdict = classify::exit_code(end.exit_code);
                    let case = self.opener.termination(container, end, verdict, 0);
                    self.hold(container, case, Held::Unless(quiet), is_current, out);
                }
                Verdict::Quiet(quiet) => out.push(Output::Quiet(quiet)),
                Verdict::Incident(kind, severity) => {
                    let verdict = (kind, severity);
                    let unseen = self.take_unseen(&status.name);
                    let case = self.opener.termination(container, end, verdict, unseen);
                    let case = Case { id: late.unwrap_or(case.id), ..case };
                    self.report_or_hold(container, case, is_current, out);
                }
            }
        }
    }

    /// Returns true if the runtime lost the instance and a reboot explains that. Its end is then part of the reboot's
    /// incident.
    fn is_ended_by_reboot(
        &mut self,
        container: &Container<'p, 'a>,
        end: &wire::Terminated<'_>,
        is_restored: bool,
    ) -> bool {
        let found = finished(end);
        // A recording begins with a LIST, in which a boot of the recording may show.
        let is_history = self.past != Some(Timestamp::MAX)
            && found.is_some()
            && self.is_past(found, is_restored);
        // Docker and CRI-O give the reason Error.
        if is_history || !matches!(end.exit_code, 255 | -1) {
            return false;
        }
        let found = found.or(Some(self.opener.now.wall));
        let is_lost = classify::is_lost_by_runtime(end.exit_code, &end.reason);
        let meta = &self.opener.pod.metadata;
        let name = || format!("{}/{}/{}", meta.namespace, meta.name, container.status.name);
        self.reboots.explain(started(end), found, is_lost, name, self.opener.now.monotonic)
    }

    /// Returns the id of the end of an instance whose failed start was reported, and which ran all the same, if that end
    /// is new: a runtime that is slower than the kubelet's timeout starts it later (kubernetes#39028).
    fn real_termination(
        &mut self,
        container: &Container<'p, 'a>,
        end: &wire::Terminated<'_>,
    ) -> Option<IncidentId> {
        if !ran(end) || container.start_failed(end) || classify::is_start_reason(&end.reason) {
            return None;
        }
        self.table.learn_real_termination(self.key, &container.status.name, &end.container_id)
    }

    fn judge(
        &self,
        container: &Container<'p, 'a>,
        end: &wire::Terminated<'_>,
        is_current: bool,
        is_restored: bool,
    ) -> Verdict {
        let finished = finished(end);
        if self.is_past(finished, is_restored) {
            return Verdict::Quiet(Quiet::History);
        }
        if is_current && self.pod_state == PodState::Failed {
            return Verdict::Quiet(Quiet::PodFailure);
        }
        classify::termination(&TerminationFacts {
            exit_code: end.exit_code,
            signal: end.signal,
            reason: &end.reason,
            kind: container.kind,
            restarts: container.restarts(end.exit_code),
            under_deletion: self.deletion.silences_termination(finished, end.exit_code),
            teardown: container.kind == ContainerKind::Sidecar
                && self.sidecars_are_done(finished, is_current),
            hook_failed: container.hook_failed(Some(&end.container_id)),
            start_failed: container.start_failed(end),
        })
    }

    /// Returns true if the kubelet stops the sidecars: the main containers are done, or will never start.
    fn sidecars_are_done(&self, finished: Option<Timestamp>, is_current: bool) -> bool {
        if is_current && self.pod_state == PodState::Ended {
            return is_after_the_mains(self.opener.pod, finished);
        }
        mains_done(self.opener.pod).is_some_and(|done| finished.is_none_or(|at| at >= done))
    }

    /// Returns true if a clean exit may be the kubelet's doing, so that it is held back until that is known. While its
    /// sandbox is up, the pod was not stopped as a whole.
    fn may_be_stopped(
        &mut self,
        container: &Container<'p, 'a>,
        end: &wire::Terminated<'_>,
        quiet: Quiet,
        is_current: bool,
    ) -> bool {
        if quiet != Quiet::CleanExit || container.kind != ContainerKind::App {
            return false;
        }
        finished(end).is_some()
            && (container.has_probe_or_hook() || is_current && self.sandbox() != Some(true))
            && self.settling.may_look_up_job(self.opener.now.monotonic)
    }

    /// Reports the case, unless it may still turn out to be something else; then the case is held back.
    fn report_or_hold(
        &mut self,
        container: &Container<'p, 'a>,
        case: Case,
        is_current: bool,
        out: &mut Vec<Output>,
    ) {
        let exit_code = case.termination().map_or(0, |end| end.exit_code);
        let id = case.id.short();
        if is_current
            && self.is_own_end()
            && let Some(record) = self.record(&container.status.name)
        {
            record.own_end = id;
        }
        let is_shown_stopped = is_current
            && (self.lacks_its_phase(container, exit_code) || self.sandbox() == Some(false));
        let is_held = match case.kind {
            IncidentType::HookFailure | IncidentType::StartError | IncidentType::RuntimeLost => {
                false
            }
            // Only a SIGKILL by the kubelet looks the same: after a failed probe, or in a stop of the whole pod.
            IncidentType::Oom => exit_code == 137 && (container.has_probe() || is_shown_stopped),
            _ => {
                container.may_be_a_stop(exit_code)
                    || container.has_probe_or_hook()
                    || conditions::disruption(&self.opener.pod.status).is_some()
                    || is_shown_stopped
                    || is_current && self.is_stopped_pod(container, exit_code)
            }
        };
        match is_held {
            true => self.hold(container, case, Held::Report, is_current, out),
            false => self.report(case, out),
        }
    }

    /// Returns true if the kubelet has decided the pod's last phase, but the object does not show it yet, and the pod may
    /// have been stopped as a whole. While the sandbox is up, a container that is not restarted has ended by itself, and
    /// that decided the phase.
    fn lacks_its_phase(&self, container: &Container<'p, 'a>, exit_code: i32) -> bool {
        self.pod_state == PodState::Alive
            && conditions::is_phase_decided(&self.opener.pod.status)
            && !self.deletion.is_requested()
            && (self.sandbox() != Some(true) || container.restarts(exit_code))
    }

    /// Returns true if the object shows that nothing stops the pod as a whole, so that a current end in it is the
    /// container's own.
    fn is_own_end(&self) -> bool {
        self.pod_state == PodState::Alive
            && self.sandbox() == Some(true)
            && !conditions::is_phase_decided(&self.opener.pod.status)
    }

    /// Returns whether the pod's sandbox is up, if that is shown and tells more than the pod's deletion.
    fn sandbox(&self) -> Option<bool> {
        conditions::sandbox(&self.opener.pod.status).filter(|_| !self.deletion.is_requested())
    }

    /// Returns true if the kubelet may have stopped the pod as a whole, which then only an event says: the pod is over
    /// although the container would be restarted. Where it is not restarted, that is the rule, and the lookup is taken
    /// from the budget of finished jobs.
    fn is_stopped_pod(&mut self, container: &Container<'p, 'a>, exit_code: i32) -> bool {
        self.pod_state == PodState::Ended
            && (container.restarts(exit_code)
                || self.settling.may_look_up_job(self.opener.now.monotonic))
    }

    fn hold(
        &mut self,
        container: &Container<'p, 'a>,
        case: Case,
        held: Held,
        is_current: bool,
        out: &mut Vec<Output>,
    ) {
        let awaits = self.awaits(container, &case, held, is_current);
        let mut settled = Vec::new();
        if held == Held::Report {
            // A clean exit is rarely reported, so its log is only read when it is.
            out.extend(case.instance().map(|instance| Output::Held(Box::new(instance))));
        }
        self.settling.hold(self.key, case, held, awaits, self.opener.now, &mut settled);
        emit(self.table, self.settling, settled, out);
    }

    /// Returns what decides the cause of a termination that is held back.
    fn awaits(
        &mut self,
        container: &Container<'p, 'a>,
        case: &Case,
        held: Held,
        is_current: bool,
    ) -> Awaits {
        let Some(end) = case.termination().filter(|_| is_current && held == Held::Report) else {
            return Awaits::Events;
        };
        if self.lacks_its_phase(container, end.exit_code) {
            // Where the container is restarted, only a stop of the whole pod decides the phase. Else the phase will mostly
            // say that the container ended by itself.
            let events = end.may_be_a_stop
                || container.has_probe_or_hook()
                || container.restarts(end.exit_code)
                || self.settling.may_look_up_job(self.opener.now.monotonic);
            return Awaits::Phase { events };
        }
        // A pod that the kubelet stops as a whole fails or goes later. Where its sandbox is still up, or the exit code cannot
        // come from a stop of the whole pod, only a stop of the container is in question, and the events name that.
        let may_be_stopped = match self.sandbox() {
            Some(is_up) => !is_up,
            None => end.may_be_a_stop,
        };
        match self.pod_state {
            PodState::Alive
                if may_be_stopped || conditions::disruption(&self.opener.pod.status).is_some() =>
            {
                Awaits::Pod
            }
            PodState::Ended if end.restarts && !self.deletion.is_requested() => Awaits::Stop,
            _ if self.is_own_end() => Awaits::OwnEvents,
            _ => Awaits::Events,
        }
    }

    /// Detects a waiting reason that is an incident by itself.
    fn waits(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let status = container.status;
        if self.hold_cache_sync(container) {
            return;
        }
        self.hangs.drop_cache_sync(self.key, &status.name);
        if status.state.running.is_some() {
            if let Some(record) = self.record(&status.name) {
                record.leave_episodes();
            }
            return;
        }
        let Some(waiting) = &status.state.waiting else {
            return;
        };
        if container.kind == ContainerKind::Ephemeral {
            return;
        }
        let Some(episode) = classify::waiting(&waiting.reason) else {
            return;
        };
        let last = status.last_state.terminated.as_ref();
        let is_reported = last.is_some_and(|end| {
            *end.container_id == *status.container_id && classify::is_start_reason(&end.reason)
        });
        if episode == Episode::StartError && is_reported {
            return;
        }
        // An instance was created and never ran. It is reported under its own key, so that a terminated record of the
        // same instance, which may come before or later, is recognized.
        if classify::is_made(&waiting.reason) && !status.container_id.is_empty() {
            if self.table.learn_failed_start(self.key, &status.name, &status.container_id) {
                return;
            }
            if let Some(record) = self.record(&status.name) {
                record.ended_total = record.ended_total.map(|total| total.saturating_add(1));
                record.leave_episodes();
            }
            let id = IncidentId::of_termination(self.key, &status.name, &status.container_id);
            self.report_waiting(container, waiting, id, episode, out);
            return;
        }
        if self.record(&status.name).is_none_or(|record| record.enter(episode)) {
            let kind = episode.kind();
            let id = IncidentId::of_episode(self.key, &status.name, kind, &status.container_id);
            if !self.table.learn_episode(self.key, Some(&status.name), id) {
                self.report_waiting(container, waiting, id, episode, out);
            }
        }
    }

    /// Holds back a configuration error that mostly passes in seconds. Returns true if the container waits for that.
    fn hold_cache_sync(&mut self, container: &Container<'p, 'a>) -> bool {
        let status = container.status;
        let Some(waiting) = &status.state.waiting else { return false };
        let is_one = classify::waiting(&waiting.reason) == Some(Episode::ConfigError)
            && hang::is_cache_sync(&waiting.message);
        if !is_one || self.past == Some(Timestamp::MAX) || self.deletion.silences_waiting() {
            return false;
        }
        let kind = IncidentType::ConfigError;
        let id = IncidentId::of_episode(self.key, &status.name, kind, &status.container_id);
        if self.table.knows_episode(self.key, Some(&status.name), id) {
            return false;
        }
        if self.record(&status.name).is_none_or(|record| record.is_in(Episode::ConfigError)) {
            return false;
        }
        let case = self.opener.waiting(container, waiting, id, kind, 0);
        self.hangs.hold_cache_sync(self.key, case, self.opener.now)
    }

    fn report_waiting(
        &mut self,
        container: &Container<'p, 'a>,
        waiting: &wire::Waiting<'_>,
        id: IncidentId,
        episode: Episode,
        out: &mut Vec<Output>,
    ) {
        if self.past == Some(Timestamp::MAX) || self.deletion.silences_waiting() {
            return;
        }
        let unseen = self.take_unseen(&container.status.name);
        let case = self.opener.waiting(container, waiting, id, episode.kind(), unseen);
        if classify::lacks_cause(&waiting.reason, &waiting.message) {
            let mut settled = Vec::new();
            let now = self.opener.now;
            let awaits = Awaits::Events;
            self.settling.hold(self.key, case, Held::Report, awaits, now, &mut settled);
            emit(self.table, self.settling, settled, out);
        } else {
            self.report(case, out);
        }
    }

    fn report(&mut self, case: Case, out: &mut Vec<Output>) {
        out.push(report(self.table, self.settling, self.key, Box::new(case), 0));
    }

    /// Reports the unseen terminations that no incident of this object reports.
    fn report_unseen(&mut self, container: &Container<'p, 'a>, out: &mut Vec<Output>) {
        let unseen = self.take_unseen(&container.status.name);
        if unseen > 0 {
            let case = self.opener.unseen(container, unseen);
            out.push(report_unseen(self.table, self.settling, self.key, case, 0));
        }
    }

    fn record(&mut self, container: &str) -> Option<&mut ContainerRecord> {
        self.table.get(self.key)?.container(container)
    }

    /// Takes the count of unseen terminations that an incident reports.
    fn take_unseen(&mut self, container: &str) -> i64 {
        self.record(container).map_or(0, |record| std::mem::take(&mut record.unseen))
    }

    /// Returns true if this time is before the cut-off. Without a time, a termination is history whenever there is a
    /// cut-off.
    fn is_past(&self, at: Option<Timestamp>, is_restored: bool) -> bool {
        let past = self.past.filter(|_| !is_restored);
        past.is_some_and(|cut_off| at.is_none_or(|at| at < cut_off))
    }
}
