//! Makes an incident from a case: the only place where the sentence and the parts of the line are put together.

use std::sync::Arc;

use crate::core::case::{
    Case, ContainerInfo, Gap, IncidentType, OomCount, Part, PodFacts, SCHEMA, Subject,
};
use crate::core::cause::Cause;
use crate::core::incident::reason;
use crate::core::incident::recurrence::Recurrence;
use crate::core::incident::schema::{
    ContainerTelemetry, Incident, KernelTelemetry, Metadata, Telemetry,
};
use crate::core::incident::sentence::{self, Course};
use crate::core::kernel::KernelWords;
use crate::core::kernel::counters::Rises;
use crate::core::logs::last_words::LastWords;
use crate::core::node::NodeInfo;
use crate::core::recorder::BeforeReboot;
use crate::core::ring::Columns;
use crate::core::seen::Sighting;
use crate::core::sidecar::SidecarSection;
use crate::limits::{
    BRIEF_AFTER, BRIEF_LOG_LINES, BRIEF_SAMPLES, GROWTH_MIN_BYTES_PER_SECOND, GROWTH_MIN_SECONDS,
    GROWTH_STEADY_PART, GROWTH_WITHIN, RECENT_CRASHES_WITHIN,
};

/// What was gathered on the node about a case.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The samples and counters of the container.
    pub container: Option<ContainerTelemetry>,
    /// The samples of the node.
    pub system: Option<Columns>,
    /// Which of the kernel's counters rose.
    pub kernel: Rises,
    /// What the kernel's log says.
    pub words: KernelWords,
    /// The node, as the API server has it.
    pub node: Option<Arc<NodeInfo>>,
    /// The cause, as the container's last log lines tell it.
    pub cause: Option<Cause>,
    /// True if `cause` is decided: the termination message and the status were asked as well.
    pub is_judged: bool,
    /// The container's last log lines.
    pub logs: Option<LastWords>,
    /// The numbers that the pod posted about itself.
    pub sidecar: Option<SidecarSection>,
    /// The kernel's count of OOM kills.
    pub oom: OomCount,
    /// What could not be had, and why.
    pub gaps: Vec<Gap>,
    /// True if there was no time to gather anything: so many incidents come at once that their lines have to be short, and
    /// the pod's containers are left out.
    pub is_rushed: bool,
}

/// Makes the incident of a case whose verdict is final.
pub fn compose(mut case: Case, mut gathered: Gathered, recurrence: Recurrence) -> Incident {
    let told = gathered.cause.take();
    let cause = if gathered.is_judged { told } else { reason::cause(&case, told) };
    let fingerprint = reason::fingerprint_of(&case, cause.as_ref());
    let growth = gathered.container.as_ref().and_then(|c| memory_growth(&c.samples));
    let course = Course {
        memory_growth_bytes_per_second: growth.filter(|_| case.kind == IncidentType::Oom),
        recent_ends: recurrence.recent,
        recent_within: RECENT_CRASHES_WITHIN,
        first: recurrence.seen.and_then(|seen| seen.first),
        words: Some(&gathered.words),
    };
    let message = sentence::sentence(&case, cause.as_ref(), &course);
    let containers = containers(&case, gathered.is_rushed);
    let metadata = metadata(&mut case, recurrence.seen);
    let is_brief = recurrence.within_hour >= BRIEF_AFTER
        || recurrence.seen.is_some_and(|seen| seen.within_hour >= BRIEF_AFTER);
    let telemetry = telemetry(&mut case, gathered, is_brief, containers.len());
    let pod = &case.pod;
    let end = case.termination();
    Incident {
        schema: SCHEMA,
        id: case.id,
        timestamp: case.detected_at,
        occurred_at: case.occurred_at,
        severity: case.severity,
        kind: case.kind,
        message,
        fingerprint,
        cause,
        cluster: metadata.cluster.clone(),
        namespace: pod.namespace.clone(),
        workload: metadata.workload.as_ref().map(ToString::to_string),
        pod_name: pod.name.clone(),
        pod_uid: pod.uid.clone(),
        node_name: pod.node.name.clone(),
        container: case.container_name().map(str::to_owned),
        container_id: case.container_id().map(str::to_owned),
        image: case.container().map(|container| container.image.clone()),
        exit_code: end.map(|end| end.exit_code),
        signal: end.and_then(|end| end.signal),
        reason: case.reason().map(str::to_owned),
        containers,
        metadata,
        telemetry,
    }
}

/// Returns what was gathered, and the events. Takes the events and the gaps out of the case. `described` is the number of
/// containers that the line describes.
fn telemetry(case: &mut Case, gathered: Gathered, is_brief: bool, described: usize) -> Telemetry {
    let mut telemetry = Telemetry {
        brief: is_brief,
        container: gathered.container,
        system: gathered.system,
        before_reboot: before_reboot(case),
        kernel: kernel_telemetry(gathered.kernel, gathered.words),
        logs: gathered.logs,
        sidecar: gathered.sidecar,
        node: gathered.node,
        events: std::mem::take(&mut case.events),
        gaps: std::mem::take(&mut case.gaps),
    };
    telemetry.gaps.extend(gathered.gaps);
    telemetry.gaps.extend(left_out(&case.pod, described));
    if is_brief {
        telemetry.shorten();
    }
    telemetry
}

/// Returns the last minutes of the boot before.
fn before_reboot(case: &Case) -> Option<BeforeReboot> {
    let Subject::Node { reboot } = &case.subject else { return None };
    Some(reboot.minutes.as_ref()?.shown.clone())
}

/// Returns the facts about the pod and the verdict. Takes the evidence out of the case.
fn metadata(case: &mut Case, seen: Option<Sighting>) -> Metadata {
    let (reboot, lost) = match &case.subject {
        Subject::Node { reboot } => (Some(reboot.clone()), None),
        Subject::Lost { losses } => (None, Some(losses.clone())),
        _ => (None, None),
    };
    let evidence = std::mem::take(&mut case.evidence);
    let pod = &case.pod;
    Metadata {
        cluster: pod.node.cluster.clone(),
        // The node has none.
        workload: Some(pod.workload.clone()).filter(|workload| !workload.kind.is_empty()),
        revision: pod.revision.clone(),
        pod_created_at: pod.created_at,
        owner: pod.owner.clone(),
        labels: pod.labels.clone(),
        qos_class: pod.qos_class.clone(),
        restart_policy: Some(case.restart_policy.clone()).filter(|policy| !policy.is_empty()),
        confidence: case.confidence,
        evidence,
        restarts: case.restarts,
        static_pod_uid: pod.static_uid.clone(),
        agent_version: env!("CARGO_PKG_VERSION"),
        repeats: case.repeats(),
        explains: case.explains().to_vec(),
        seen,
        lost,
        survived: matches!(case.subject, Subject::Survivor { .. }),
        reboot,
    }
}

/// Returns what the kernel counted and said, if it is anything.
fn kernel_telemetry(counters: Rises, words: KernelWords) -> Option<KernelTelemetry> {
    let KernelWords { oom_kill, fault, troubles } = words;
    let kernel = KernelTelemetry { counters, oom_kill, fault, troubles };
    (kernel != KernelTelemetry::default()).then_some(kernel)
}

/// Returns the gap of the pod's containers beyond those that are described.
fn left_out(pod: &PodFacts, described: usize) -> Option<Gap> {
    let all = pod.containers.len() + pod.containers_left_out;
    let left_out = all.saturating_sub(described);
    let part = if described == 0 { Part::Containers } else { Part::OtherContainers };
    let how = || format!("{left_out} left out, there was no room");
    (left_out > 0).then(|| Gap::new(part, how()))
}

/// Returns all containers of the pod; the one of the case shows the instance that terminated. In a rush there are none: what
/// is known about the instance stands at the top of the line as well, and a queue has room for half as many lines more.
fn containers(case: &Case, is_rushed: bool) -> Vec<ContainerInfo> {
    if is_rushed {
        return Vec::new();
    }
    let mut containers = case.pod.containers.clone();
    let Some(own) = case.container() else { return containers };
    let known = containers.iter().position(|info| info.name == own.name);
    let at = known.unwrap_or(containers.len());
    match known {
        Some(at) => containers[at] = own.clone(),
        None => containers.push(own.clone()),
    }
    if let Subject::Termination { end, .. } = &case.subject {
        let info = &mut containers[at];
        // The container's status may show another instance by now.
        info.exit_code = Some(end.exit_code);
        info.signal = end.signal;
        info.exit_class = Some(case.kind.name());
        info.reason = Some(end.reason.clone()).filter(|reason| !reason.is_empty());
        info.message = Some(end.message.clone()).filter(|message| !message.is_empty());
        (info.started_at, info.finished_at) = (end.started, end.finished);
    }
    containers
}

impl Telemetry {
    /// Leaves out what the previous incidents have already shown.
    fn shorten(&mut self) {
        (self.system, self.node) = (None, None);
        if let Some(container) = &mut self.container {
            container.samples.keep_newest(BRIEF_SAMPLES);
        }
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.keep_newest(BRIEF_SAMPLES);
        }
        if let Some(logs) = &mut self.logs {
            logs.keep_newest(BRIEF_LOG_LINES);
        }
    }
}

/// Returns how fast the memory grew before the termination, in bytes per second; `None` if that is not worth
/// mentioning.
fn memory_growth(samples: &Columns) -> Option<f64> {
    let column =
        |name: &str| samples.columns.iter().find(|(n, _)| *n == name).map(|(_, values)| values);
    let (memory, age) = (column("memory_bytes")?, column("age_seconds")?);
    let mut points: Vec<(f64, f64)> = memory
        .iter()
        .zip(age)
        .filter_map(|(memory, age)| Some(((*age)?, (*memory)?)))
        .filter(|(age, _)| *age <= GROWTH_WITHIN.as_secs_f64())
        .collect();
    // A sample may have been taken while the process was already being removed; it shows only the remaining memory.
    while let [.., before, last] = points[..]
        && last.1 < before.1 / 2.0
    {
        points.pop();
    }
    // Start at the lowest point: if the container's memory was freed in between, the growth began there.
    let lowest = points.iter().enumerate().reduce(|a, b| if b.1.1 <= a.1.1 { b } else { a })?.0;
    let mut points = points.get(lowest..)?;
    let slope = |from: &(f64, f64), to: &(f64, f64)| (to.1 - from.1) / (from.0 - to.0);
    // Before the growth the memory may have been steady for a while, and the growth began between two samples.
    while let [first, second, .., newest] = points
        && second.0 - newest.0 >= GROWTH_MIN_SECONDS
        && slope(first, second) < slope(second, newest) * GROWTH_STEADY_PART
    {
        points = points.get(1..)?;
    }
    let (first, newest) = (points.first()?, points.last()?);
    let growth = slope(first, newest);
    let is_long = first.0 - newest.0 >= GROWTH_MIN_SECONDS;
    (is_long && growth >= GROWTH_MIN_BYTES_PER_SECOND).then_some(growth)
}

#[cfg(test)]
pub(super) mod tests;
