//! Checks what the agent needs of the API server: that it responds and is the right one, the permissions, the node,
//! the pods.

use std::time::Duration;

use crate::config::Config;
use crate::config::endpoint::{Endpoint, Trust};
use crate::core::detect::pods;
use crate::core::node::is_bad_condition;
use crate::core::stream::decode;
use crate::core::text::duration;
use crate::core::wire::Pod;
use crate::kube::api::{ApiClient, ApiError};
use crate::kube::http::HttpError;
use crate::limits::{CLOCK_SKEW_TOLERATED_SECONDS, LIST_ITEMS_MAX};
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
    pub(super) client: ApiClient,
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
        let server = self.config.api_server.server.url();
        let asked = self.clock.monotonic();
        let answer = self.client.server();
        let wall = self.clock.wall();
        let took_ms = self.clock.monotonic().saturating_sub(asked).as_millis();
        let info = match answer {
            // An authorizer may deny access to the version; the API server was reached all the same.
            Ok(info) => {
                let trust = trust(&self.config.api_server);
                let version = info.version.as_deref().unwrap_or("unknown version");
                let text = format!("{version} at {server}, {trust}; responded in {took_ms} ms");
                report.ok("API server", &text);
                info
            }
            Err(error) => {
                report.failure("API server", &format!("{server}: {error}; {}", advice(&error)));
                report.failure(
                    "permissions",
                    "not checked, because the request to the API server failed",
                );
                return false;
            }
        };
        if let Some(date) = info.date {
            clock(report, wall.as_second() - date.as_second());
        }
        true
    }

    /// Checks whether a permission is granted, by asking the API server.
    fn right(&mut self, report: &mut Report<'_>, right: &Right) {
        let Right { verb, resource, without, consequence } = right;
        let subject = format!("{verb} {resource}");
        match self.client.review(verb, resource) {
            Ok(review) => {
                if review.is_allowed {
                    return report.ok(&subject, "granted");
                }
                let reason = review.reason.map(|r| format!(" ({r})")).unwrap_or_default();
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
        match self.client.get_node() {
            Ok(node) => {
                let bad = node.conditions.iter().find(|c| is_bad_condition(&c.kind, &c.status));
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
            Err(error) if error.code() == Some(404) => {
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
        let mut seen = Seen::default();
        let read = self.client.list_pods("0");
        let read = read.and_then(|mut answer| answer.read_items(|item| seen.take(item)));
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
    fn take(&mut self, item: &[u8]) {
        let mut scratch = String::new();
        if let (Some(pod), _) = decode::item(item, &mut scratch) {
            self.pods += 1;
            self.see(&pod);
        }
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

/// Returns how much the identity of a server was verified when it was connected to.
pub(super) fn trust(endpoint: &Endpoint) -> &'static str {
    match endpoint.trust {
        Trust::CaFile(_) | Trust::CaData(_) => "its certificate is valid",
        Trust::SkipVerification => "its certificate is NOT verified",
        Trust::Plaintext => "without TLS",
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
fn advice(error: &ApiError) -> &'static str {
    match error {
        ApiError::Http(HttpError::Connect(_) | HttpError::Timeout(_) | HttpError::Io(_)) => {
            "check whether a NetworkPolicy, a firewall or a proxy blocks the connection, and \
             whether kube-proxy runs on this node"
        }
        ApiError::Http(HttpError::NotTls) => {
            "the API server always speaks TLS: check the port in KUBERNETES_SERVICE_PORT or in the \
             kubeconfig, or write http:// there for kubectl proxy"
        }
        ApiError::Http(HttpError::Tls(_)) => {
            "the CA must be the cluster's own, and the certificate must name this address: see \
             BLACKBOX_TLS_SERVER_NAME, and look for a proxy that intercepts TLS"
        }
        ApiError::Refused { code: 401, .. } => {
            "the API server rejects the token: check that it belongs to this cluster and that its \
             service account still exists"
        }
        ApiError::Refused { code: 403, .. } => GRANT,
        ApiError::Refused { .. } => "the API server is failing or overloaded; try again",
        ApiError::Content(_) | ApiError::Http(HttpError::Protocol(_) | HttpError::Status(_)) => {
            "check that this address is an API server, and that no proxy is in between"
        }
    }
}
