//! Health, version and discovery: what `kubectl` requests before anything else.
//!
//! kubectl prefers aggregated discovery (an Accept header with `as=APIGroupDiscoveryList`); a plain
//! `application/json` response makes it read the old documents.

use serde_json::{Value, json};

use super::http::Response;

/// Returns the document at a path that is not a resource.
pub fn document(path: &str) -> Option<Response> {
    let body = match path.trim_end_matches('/') {
        "/healthz" | "/livez" | "/readyz" => return Some(Response::text(200, "ok")),
        "/version" => json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.0", "platform": "linux/amd64",
        }),
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => groups(),
        "/api/v1" => core_resources(),
        "/apis/authorization.k8s.io/v1" => review_resources(),
        _ => return None,
    };
    Some(Response::json(200, &body))
}

fn groups() -> Value {
    let version = json!({"groupVersion": "authorization.k8s.io/v1", "version": "v1"});
    json!({
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{
            "name": "authorization.k8s.io",
            "versions": [version],
            "preferredVersion": version,
        }],
    })
}

fn core_resources() -> Value {
    let resource = |name: &str, singular: &str, kind: &str, namespaced: bool, short: &str| {
        json!({
            "name": name, "singularName": singular, "namespaced": namespaced, "kind": kind,
            "verbs": ["get", "list", "watch"], "shortNames": [short],
        })
    };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "v1",
        "resources": [
            resource("events", "event", "Event", true, "ev"),
            resource("nodes", "node", "Node", false, "no"),
            resource("pods", "pod", "Pod", true, "po"),
        ],
    })
}

fn review_resources() -> Value {
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "authorization.k8s.io/v1",
        "resources": [{
            "name": "selfsubjectaccessreviews",
            "singularName": "selfsubjectaccessreview",
            "namespaced": false,
            "kind": "SelfSubjectAccessReview",
            "verbs": ["create"],
        }],
    })
}
