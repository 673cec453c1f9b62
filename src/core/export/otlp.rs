//! Incidents as OpenTelemetry log records: the body of `POST /v1/logs`, in Protocol Buffers (opentelemetry-proto 1.x,
//! `logs/v1` and `collector/logs/v1`), by the semantic conventions 1.44.
//!
//! The resource is the container that died, and not the agent, because a reporter must name what crashed. The agent is the
//! scope. What has no name in the conventions is named `blackbox.…`. docs/receivers.md lists every attribute.

use jiff::Timestamp;

use super::line::ParsedLine;
use super::protobuf::{self, Field, Message};
use crate::core::display::parsed::Value;

/// The conventions that the names come from.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Pairs that the operator adds to each resource.
pub type Resource = Vec<(String, String)>;

/// The body of a request that is being put together: one `ResourceLogs` for each line.
#[derive(Debug, Default)]
pub struct Request {
    message: Message,
    records: usize,
}

impl Request {
    /// Adds a line. `added` are attributes that each resource gets unless the line has them. Returns false if the line is
    /// not an incident; then nothing is added.
    pub fn add(&mut self, line: &[u8], added: &Resource) -> bool {
        let Some(line) = ParsedLine::parse(line) else { return false };
        let out = &mut self.message;
        let resource_logs = out.begin(1);
        resource(out, &line, added);
        let scope_logs = out.begin(2);
        let scope = out.begin(1);
        out.text(1, "blackbox-daemon");
        out.text(2, line.at(&["metadata"]).text("agent_version"));
        out.end(scope);
        let log_record = out.begin(2);
        record(out, &line);
        out.end(log_record);
        out.end(scope_logs);
        out.text(3, SCHEMA_URL);
        out.end(resource_logs);
        self.records += 1;
        true
    }

    /// Returns the number of records.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Returns the body.
    pub fn into_body(self) -> Vec<u8> {
        self.message.into_bytes()
    }
}

/// What a receiver refused of a request that it otherwise accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Number of records.
    pub records: u64,
    /// Why, in the receiver's words; empty if it does not say.
    pub message: String,
}

/// Reads the answer to a request, which may say that records were refused (`partial_success`).
pub fn rejected(mut answer: &[u8]) -> Rejected {
    let mut rejected = Rejected::default();
    let Some((1, Field::Bytes(mut rest))) = protobuf::next(&mut answer) else { return rejected };
    while let Some(field) = protobuf::next(&mut rest) {
        match field {
            // A negative number is none.
            (1, Field::Number(records)) => rejected.records = (records as i64).max(0) as u64,
            (2, Field::Bytes(text)) => {
                rejected.message = String::from_utf8_lossy(text).into_owned()
            }
            _ => {}
        }
    }
    rejected
}

/// The field numbers of an attribute, in a resource and in a record.
const IN_RESOURCE: u64 = 1;
const IN_RECORD: u64 = 6;

/// The value of an attribute.
enum Attribute<'a> {
    Text(&'a str),
    Number(Option<f64>),
    Flag(bool),
    Texts(Vec<&'a str>),
}
use Attribute::{Flag, Number, Text, Texts};

/// Attributes that are being written. What is empty is left out.
struct Attributes<'m> {
    out: &'m mut Message,
    field: u64,
    names: Vec<String>,
}

impl Attributes<'_> {
    fn add(&mut self, name: &str, value: Attribute<'_>) {
        let is_empty = match &value {
            Text(text) => text.is_empty(),
            Number(number) => number.is_none(),
            Flag(flag) => !flag,
            Texts(texts) => texts.iter().all(|text| text.is_empty()),
        };
        // The names in one list are unique, by the protocol.
        if is_empty || self.names.iter().any(|known| known == name) {
            return;
        }
        self.names.push(name.to_owned());
        let out = &mut *self.out;
        let pair = out.begin(self.field);
        out.text(1, name);
        let any = out.begin(2);
        match value {
            Text(text) => out.text(1, text),
            Flag(flag) => out.uint(2, u64::from(flag)),
            // Only whole numbers are exported.
            Number(number) => out.int(3, number.unwrap_or_default() as i64),
            Texts(texts) => {
                let array = out.begin(5);
                for text in texts {
                    let item = out.begin(1);
                    out.text(1, text);
                    out.end(item);
                }
                out.end(array);
            }
        }
        out.end(any);
        out.end(pair);
    }
}

/// Writes the resource: the container that died, or the pod, or the node.
fn resource(out: &mut Message, line: &ParsedLine<'_>, added: &Resource) {
    let resource = out.begin(1);
    let mut to = Attributes { out, field: IN_RESOURCE, names: Vec::new() };
    let label = |key| line.at(&["metadata", "labels", key]).as_text();
    let (workload, owner) = (line.kind_and_name("workload"), line.kind_and_name("owner"));
    // The order of the conventions: "How service.name should be calculated". The agent reads no annotations.
    let service = [
        label("app.kubernetes.io/instance"),
        label("app.kubernetes.io/name"),
        workload.1,
        line.text("pod_name"),
    ];
    let service = service.into_iter().find(|name| !name.is_empty());
    to.add("service.name", Text(service.unwrap_or("kubernetes-node")));
    to.add("service.namespace", Text(line.text("namespace")));
    for (name, member) in [
        ("k8s.cluster.name", "cluster"),
        ("k8s.namespace.name", "namespace"),
        ("k8s.pod.name", "pod_name"),
        ("k8s.pod.uid", "pod_uid"),
        ("k8s.node.name", "node_name"),
        ("k8s.container.name", "container"),
    ] {
        to.add(name, Text(line.text(member)));
    }
    for (kind, name) in [workload, owner] {
        let attribute = match kind {
            "Deployment" => "k8s.deployment.name",
            "ReplicaSet" => "k8s.replicaset.name",
            "StatefulSet" => "k8s.statefulset.name",
            "DaemonSet" => "k8s.daemonset.name",
            "CronJob" => "k8s.cronjob.name",
            "Job" => "k8s.job.name",
            _ => continue,
        };
        to.add(attribute, Text(name));
    }
    to.add(
        "k8s.container.restart_count",
        Number(line.at(&["metadata", "restarts"]).number("total")),
    );
    if let Some((runtime, id)) = line.text("container_id").split_once("://") {
        to.add("container.id", Text(id));
        to.add("container.runtime.name", Text(runtime));
    }
    let (name, tag) = image(line.text("image"));
    to.add("container.image.name", Text(name));
    to.add("container.image.tags", Texts(vec![tag]));
    let image_id = line.own_container().text("image_id");
    // Docker's begin with `docker://` or `docker-pullable://`.
    match image_id.split_once("://").map_or(image_id, |(_, id)| id) {
        digest if digest.contains('@') => {
            to.add("container.image.repo_digests", Texts(vec![digest]))
        }
        id => to.add("container.image.id", Text(id)),
    }
    for (key, value) in line.at(&["metadata", "labels"]).fields() {
        to.add(&format!("k8s.pod.label.{key}"), Text(value.as_text()));
    }
    for (key, value) in added {
        to.add(key, Text(value));
    }
    out.end(resource);
}

/// Splits an image into its name and its tag. A digest belongs to neither.
fn image(image: &str) -> (&str, &str) {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        // A colon before a slash is that of a registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, ""),
    }
}

/// Writes the log record.
fn record(out: &mut Message, line: &ParsedLine<'_>) {
    out.fixed(1, nanoseconds(line.time("occurred_at")));
    out.fixed(11, nanoseconds(line.time("timestamp")));
    let severity = line.text("severity");
    out.uint(
        2,
        match severity {
            "critical" => 21,
            "high" => 17,
            "medium" => 13,
            _ => 9,
        },
    );
    out.text(3, severity);
    out.text(12, event_name(line));
    let body = out.begin(5);
    out.text(1, line.text("message"));
    out.end(body);
    let mut to = Attributes { out, field: IN_RECORD, names: Vec::new() };
    to.add("log.record.uid", Text(line.text("id")));
    to.add("error.type", Text(line.text("type")));
    for (name, member) in
        [("schema", "schema"), ("fingerprint", "fingerprint"), ("workload", "workload")]
    {
        to.add(&format!("blackbox.{name}"), Text(line.text(member)));
    }
    cause(&mut to, line.at(&["cause"]));
    container(&mut to, line);
    metadata(&mut to, line);
    telemetry(&mut to, line);
}

/// Returns the name of the event: one for each kind of what can happen.
fn event_name(line: &ParsedLine<'_>) -> &'static str {
    let is_of_container = !line.text("container").is_empty();
    match line.text("type") {
        "node_reboot" => "blackbox.node.reboot",
        "lost" => "blackbox.sink.loss",
        "stuck" => "blackbox.pod.stuck",
        "unready" => "blackbox.container.unready",
        "image_pull" | "config_error" if is_of_container => "blackbox.container.waiting",
        _ if is_of_container => "blackbox.container.crash",
        _ => "blackbox.pod.failure",
    }
}

fn cause(to: &mut Attributes<'_>, cause: &Value) {
    for name in ["message", "error_type", "context", "location", "source"] {
        to.add(&format!("blackbox.cause.{name}"), Text(cause.text(name)));
    }
    // The kubelet's words are no exception of the application.
    if cause.text("source") != "status" && !cause.text("error_type").is_empty() {
        to.add("exception.type", Text(cause.text("error_type")));
        to.add("exception.message", Text(cause.text("message")));
    }
}

fn container(to: &mut Attributes<'_>, line: &ParsedLine<'_>) {
    let container = line.own_container();
    let (state, reason) = (container.text("state"), line.text("reason"));
    to.add("process.exit.code", Number(line.number("exit_code")));
    to.add("blackbox.signal", Number(line.number("signal")));
    to.add("k8s.container.status.state", Text(state));
    // Once the container waits or runs again, the reason is that of the instance before.
    let is_of_last = state != "terminated" && line.number("exit_code").is_some();
    let reason_of = match line.text("container") {
        "" => "k8s.pod.status.reason",
        _ if is_of_last => "k8s.container.status.last_terminated_reason",
        _ => "k8s.container.status.reason",
    };
    to.add(reason_of, Text(reason));
    if line.number("exit_code").is_some() {
        to.add("process.creation.time", Text(container.text("started_at")));
        to.add("process.exit.time", Text(container.text("finished_at")));
    }
    let resources = container.at(&["resources"]);
    for (name, member) in [
        ("memory.limit", "memory_limit_bytes"),
        ("memory.request", "memory_request_bytes"),
        ("cpu.limit_millicores", "cpu_limit_millicores"),
        ("cpu.request_millicores", "cpu_request_millicores"),
    ] {
        to.add(&format!("blackbox.container.{name}"), Number(resources.number(member)));
    }
    if line.at(&["containers"]).items().len() > 1 {
        to.add("blackbox.containers", Text(line.containers.as_str()));
    }
}

fn metadata(to: &mut Attributes<'_>, line: &ParsedLine<'_>) {
    let metadata = line.at(&["metadata"]);
    for name in ["confidence", "qos_class", "restart_policy", "revision", "pod_created_at"] {
        to.add(&format!("blackbox.{name}"), Text(metadata.text(name)));
    }
    to.add("blackbox.static_pod_uid", Text(metadata.text("static_pod_uid")));
    to.add("blackbox.evidence", Texts(texts(metadata.at(&["evidence"]))));
    to.add("blackbox.explains", Texts(texts(metadata.at(&["explains"]))));
    to.add("blackbox.repeats", Number(metadata.number("repeats")));
    to.add("blackbox.survived", Flag(metadata.is_true("survived")));
    let restarts = metadata.at(&["restarts"]);
    to.add("blackbox.restarts.unseen", Number(restarts.number("unseen")));
    to.add("blackbox.restarts.ended", Number(restarts.number("ended")));
    to.add("blackbox.crash_loop", Flag(restarts.is_true("crash_loop")));
    let seen = metadata.at(&["seen"]);
    to.add("blackbox.seen.count", Number(seen.number("count")));
    to.add("blackbox.seen.first_at", Text(seen.text("first_at")));
    to.add("blackbox.reboot", Text(line.metadata.reboot.as_str()));
    to.add("blackbox.lost", Text(line.metadata.lost.as_str()));
}

fn telemetry(to: &mut Attributes<'_>, line: &ParsedLine<'_>) {
    let parts = line.telemetry();
    let samples = Value::of_json(parts.container.as_str());
    to.add("blackbox.container.memory.peak", Number(samples.number("memory_peak_bytes")));
    let node = Value::of_json(parts.node.as_str());
    let conditions = node.at(&["conditions"]).items().iter().filter(|c| c.is_bad_condition());
    to.add("blackbox.node.conditions", Texts(conditions.map(|c| c.text("type")).collect()));
    to.add("blackbox.logs", Text(&line.last_lines(usize::MAX, usize::MAX)));
    to.add("log.file.path", Text(line.log_file()));
    to.add("blackbox.telemetry", Text(&parts.without_logs()));
}

fn texts(list: &Value) -> Vec<&str> {
    list.items().iter().map(Value::as_text).collect()
}

/// Returns the time since 1970; 0, which means unknown, for a time before it.
fn nanoseconds(time: Option<Timestamp>) -> u64 {
    time.and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
