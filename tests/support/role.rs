//! The API calls that the agent may make, as `verb resource`. Every fake fails its test if the agent made another call.

use super::record::RequestRecord;

const AGENT: &str = "blackbox-daemon/";

/// What the role in `deploy/rbac.yaml` grants. `tests/agent/rbac.rs` compares this with the file.
pub const GRANTED: [&str; 4] = ["get nodes", "list events", "list pods", "watch pods"];

/// What every authenticated subject may do, by `system:basic-user` and `system:public-info-viewer`
/// (Kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go).
pub const GRANTED_TO_ALL: [&str; 2] = ["create selfsubjectaccessreviews", "get /version"];

/// Returns the call of a request, or `None` if the request is not the agent's.
pub fn call_of_the_agent(record: &RequestRecord) -> Option<String> {
    let is_own = record.user_agent.starts_with(AGENT);
    is_own.then(|| format!("{} {}", record.verb, record.resource))
}

/// Returns true if the agent may make this call.
pub fn grants(call: &str) -> bool {
    GRANTED.iter().chain(&GRANTED_TO_ALL).any(|granted| *granted == call)
}
