//! Checks what the agent needs of the API server: that it responds and is the right one, the permissions, the node,
//! the pods.

use std::time::Duration;

use crate::agent::watch::pods_path;
use crate::config::Config;
use crate::config::cluster::Trust;
use crate::core::detect::pods;
use crate::core::node;
use crate::core::stream::decode;
use crate::core::stream::list::{ListSplitter, Piece};
use crate::core::text::duration;
use crate::core::wire::Pod;
use crate::core::wire::json::{self, Text, members};
use crate::kube::{Client, Error, Patience};
use crate::limits::{
    CHECK_ANSWER_BYTES_MAX, CLOCK_SKEW_TOLERATED_SECONDS, LIST_ITEMS_MAX, NODE_BYTES_MAX,
    READ_BLOCK_BYTES,
};
use crate::runtime::clock::Clock;

use crate::commands::check::node::Running;
use crate::commands::check::say::{Report, Verdict};

/// A permission that the agent uses, and the effect of its absence.
struct Right {
    verb: &'static str,
    resource: &'static str,
    without: Verdict,
    consequence: &'static str,
}

/// The permissions that the ClusterRole grants.
const RIGHTS: [Right; 4] = [
    Right {
        verb: "list",
        resource: "pods",
        without: Verdict::Failure,
        consequence: "the agent cannot detect any crash",
    },
    Right {
        verb: "watch",
        resource: "pods",
        without: Verdict::Failure,
        consequence: "the agent cannot detect any crash",
    },
    Right {
        verb: "list",
        resource: "events",
        without: Verdict::Warning,
        consequence: "for a kill after a failed probe or hook, incidents name only the exit code",
    },
    Right {
        verb: "get",
        resource: "nodes",
        without: Verdict::Warning,
        consequence: "incidents do not contain the node's conditions",
    },
];

const GRANT: &str = "run kubectl apply -k on your overlay of deploy/ to grant the right, and check \
                     that the binding names this service account and namespace";

/// The checks against the API server.
pub(super) struct Api<'c> {
    pub(super) client: Client,
    pub(super) config: &'c Config,
    pub(super) clock: Clock,
}

impl Api<'_> {
    /// Runs all checks, if the API server responds. Returns the containers that run on the node.
    pub(super) fn check(&mut self, report: &mut Report<'_>) -> Vec<Running> {
        if !self.version(report) {
            return Vec::new();
        }
        for right in &RIGHTS {
            self.right(report, right);
        }
        self.node(report);
        self.pods(report)
    }

    /// Checks that the API server can be reached and trusted; returns false if not, since the other checks need it.
    fn version(&mut self, report: &mut Report<'_>) -> bool {
        #[derive(Default)]
        struct Version<'a> {
            git_version: Text<'a>,
        }

        members! { Version<'a> {
            b"gitVersion" => git_version,
        } }
        let server = self.config.cluster.server.url();
        let asked = self.clock.monotonic();
        let answer = self.client.get("/version", Patience::Answer);
        let wall = self.clock.wall();
        let date = answer.as_ref().ok().and_then(|body| body.date());
        let read = answer.and_then(|body| body.read_all(CHECK_ANSWER_BYTES_MAX));
        let took_ms = self.clock.monotonic().saturating_sub(asked).as_millis();
        match read {
            Ok(json) => {
                let version: Version<'_> = json::from_slice(&json).unwrap_or_default();
                let trust = match self.config.cluster.trust {
                    Trust::CaFile(_) | Trust::CaData(_) => "its certificate is valid",
                    Trust::SkipVerification => "its certificate is NOT verified",
                    Trust::Plaintext => "without TLS",
                };
                let version = version.git_version.some().unwrap_or("unknown version");
                report.ok(
                    "API server",
                    &format!("{version} at {server}, {trust}; responded in {took_ms} ms"),
                );
            }
            // An authorizer may deny access to the version; the API server was reached all the same.
            Err(Error::Status { code: 403, .. }) => {
                report.ok("API server", &format!("at {server}; responded in {took_ms} ms"));
            }
            Err(error) => {
                report.failure("API server", &format!("{server}: {error}; {}", advice(&error)));
                report.failure(
                    "permissions",
                    "not checked, because the request to the API server failed",
                );
                return false;
            }
        }
        if let Some(date) = date {
            clock(report, wall.as_second() - date.as_second());
        }
        true
    }

    /// Checks whether a permission is granted, by asking the API server.
    fn right(&mut self, report: &mut Report<'_>, right: &Right) {
        #[derive(Default)]
        struct Review<'a> {
            status: Judgement<'a>,
        }

        members! { Review<'a> {
            b"status" => status,
        } }
        #[derive(Default)]
        struct Judgement<'a> {
            allowed: bool,
            reason: Text<'a>,
        }

        members! { Judgement<'a> {
            b"allowed" => allowed,
            b"reason" => reason,
        } }
        let Right { verb, resource, without, consequence } = right;
        let subject = format!("{verb} {resource}");
        let question = format!(
            r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{{"resourceAttributes":{{"verb":"{verb}","resource":"{resource}"}}}}}}"#
        );
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self.client.create(path, question.as_bytes());
        match answer.and_then(|body| body.read_all(CHECK_ANSWER_BYTES_MAX)) {
            Ok(json) => {
                let review: Review<'_> = json::from_slice(&json).unwrap_or_default();
                if review.status.allowed {
                    return report.ok(&subject, "granted");
                }
                let reason =
                    review.status.reason.some().map(|r| format!(" ({r})")).unwrap_or_default();
                report.say(*without, &subject, &format!("denied{reason}: {consequence}; {GRANT}"));
            }
            Err(error) => {
                let text = format!("cannot be checked: {error}; {}", advice(&error));
                let nobody = error.code() == Some(401);
                report.say(
                    if nobody { Verdict::Failure } else { Verdict::Warning },
                    &subject,
                    &text,
                );
            }
        }
    }

    /// Checks that the node exists and is healthy.
    fn node(&mut self, report: &mut Report<'_>) {
        let name = &self.config.node_name;
        let path = format!("/api/v1/nodes/{name}?resourceVersion=0");
        let answer = self.client.get(&path, Patience::Answer);
        let read = answer.and_then(|body| body.read_all(NODE_BYTES_MAX));
        match read {
            Ok(json) => {
                let Some(node) = node::parse(&json, self.clock.wall()) else {
                    return report
                        .warning("node", &format!("{name}: the API server did not return a node"));
                };
                // Ready must be True, and every pressure condition must not.
                let bad =
                    node.conditions.iter().find(|c| (c.kind == "Ready") != (c.status == "True"));
                match bad {
                    None => report.ok("node", &format!("{name} exists and is healthy")),
                    Some(bad) => {
                        let text = format!(
                            "{name}: the kubelet reports {}={}; run kubectl describe node {name}",
                            bad.kind, bad.status
                        );
                        report.warning("node", &text);
                    }
                }
            }
            Err(Error::Status { code: 404, .. }) => {
                let text = format!(
                    "the node {name} does not exist; set NODE_NAME from the field spec.nodeName, not \
                     from the host name"
                );
                report.failure("node", &text);
            }
            Err(error) => report.warning("node", &format!("{name}: {error}; {}", advice(&error))),
        }
    }

    /// Lists the pods of the node as the agent does; returns their running containers.
    fn pods(&mut self, report: &mut Report<'_>) -> Vec<Running> {
        let path = format!("{}&resourceVersion=0", pods_path(&self.config.node_name));
        let mut seen = Seen::default();
        let read = self.client.get(&path, Patience::Answer).and_then(|mut body| {
            let mut splitter = ListSplitter::default();
            let mut block = vec![0; READ_BLOCK_BYTES];
            loop {
                match body.read(&mut block)? {
                    0 => break,
                    n => seen.take(&mut splitter, &block[..n])?,
                }
            }
            splitter.finish().map_err(|e| Error::Protocol(e.to_string()))
        });
        let Seen { pods, running } = seen;
        let node = &self.config.node_name;
        let text = format!("pods on {node}: {pods}, running containers: {}", running.len());
        match read {
            Err(error) => report.failure("pods", &format!("{error}; {}", advice(&error))),
            Ok(()) if pods == 0 => {
                let text =
                    format!("{text}; check that NODE_NAME is the node on which this command runs");
                report.warning("pods", &text);
            }
            Ok(()) => report.ok("pods", &text),
        }
        running
    }
}

/// The result of a LIST.
#[derive(Default)]
struct Seen {
    pods: usize,
    running: Vec<Running>,
}

impl Seen {
    fn take(&mut self, splitter: &mut ListSplitter, block: &[u8]) -> Result<(), Error> {
        let mut pieces = splitter.feed(block);
        while let Some(piece) = pieces.next() {
            let piece = piece.map_err(|e| Error::Protocol(e.to_string()))?;
            let Piece::Item(item) = piece else { continue };
            let mut scratch = String::new();
            if let (Some(pod), _) = decode::item(item, &mut scratch) {
                self.pods += 1;
                self.see(&pod);
            }
        }
        Ok(())
    }

    fn see(&mut self, pod: &Pod<'_>) {
        let metadata = &pod.metadata;
        let uid = pods::static_uid(metadata).unwrap_or(&metadata.uid);
        let containers = pod.status.container_statuses.iter();
        for c in containers.filter(|c| c.state.running.is_some()) {
            if self.running.len() < LIST_ITEMS_MAX {
                self.running.push(Running {
                    namespace: metadata.namespace.to_string(),
                    pod_name: metadata.name.to_string(),
                    pod_uid: uid.to_owned(),
                    name: c.name.to_string(),
                    id: c.container_id.to_string(),
                    restart_count: c.restart_count,
                });
            }
        }
    }
}

/// Reports how far this node's clock is ahead of the API server's.
fn clock(report: &mut Report<'_>, ahead_seconds: i64) {
    let far = duration(Duration::from_secs(ahead_seconds.unsigned_abs()));
    let which = if ahead_seconds < 0 { "behind" } else { "ahead of" };
    if ahead_seconds.abs() <= CLOCK_SKEW_TOLERATED_SECONDS {
        return report.ok("clock", &format!("{far} {which} the API server's clock"));
    }
    let text = format!(
        "{far} {which} the API server's clock; tokens and certificates may be rejected, and the \
         times in incidents come from the node's clock: set up time synchronisation on both"
    );
    report.warning("clock", &text);
}

/// Returns what to do about a failed request.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::Connect(_) | Error::Timeout(_) | Error::Io(_) => {
            "check whether a NetworkPolicy, a firewall or a proxy blocks the connection, and \
             whether kube-proxy runs on this node"
        }
        Error::Tls(_) => {
            "the CA must be the cluster's own, and the certificate must name this address: see \
             BLACKBOX_TLS_SERVER_NAME, and look for a proxy that intercepts TLS"
        }
        Error::Status { code: 401, .. } => {
            "the API server rejects the token: check that it belongs to this cluster and that its \
             service account still exists"
        }
        Error::Status { code: 403, .. } => GRANT,
        Error::Status { .. } => "the API server is failing or overloaded; try again",
        Error::Protocol(_) => {
            "check that this address is an API server, and that no proxy is in between"
        }
    }
}
