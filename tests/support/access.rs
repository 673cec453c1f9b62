//! Authentication and authorization: accepted tokens and denied verbs.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::answer::Call;
use super::http::{Request, Response};
use super::protobuf;
use super::status;

/// The user of every accepted token.
pub const USER: &str = "system:serviceaccount:blackbox:blackbox-daemon";

/// The accepted tokens and the denials; everything else is allowed.
pub struct Access {
    rules: Mutex<Rules>,
}

struct Rules {
    tokens: BTreeSet<String>,
    denied: BTreeSet<(String, String)>,
}

impl Access {
    /// Accepts one token and denies nothing.
    pub fn new(token: &str) -> Self {
        let tokens = BTreeSet::from([token.to_owned()]);
        Self { rules: Mutex::new(Rules { tokens, denied: BTreeSet::new() }) }
    }

    /// Accepts this token too.
    pub fn accept_token(&self, token: &str) {
        self.rules.lock().unwrap().tokens.insert(token.to_owned());
    }

    /// Rejects this token with 401.
    pub fn revoke_token(&self, token: &str) {
        self.rules.lock().unwrap().tokens.remove(token);
    }

    /// Denies `verb` on `resource` with 403; an access review returns "denied".
    pub fn deny(&self, verb: &str, resource: &str) {
        self.rules.lock().unwrap().denied.insert((verb.to_owned(), resource.to_owned()));
    }

    /// Removes a denial.
    pub fn allow(&self, verb: &str, resource: &str) {
        self.rules.lock().unwrap().denied.remove(&(verb.to_owned(), resource.to_owned()));
    }

    /// Returns the refusal of a request, if it is refused.
    pub fn refusal(&self, call: &Call, request: &Request) -> Option<Response> {
        if call.is_public() {
            return None;
        }
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !token.is_some_and(|token| self.rules.lock().unwrap().tokens.contains(token)) {
            return Some(status::unauthorized());
        }
        self.is_denied(call.verb, &call.resource).then(|| forbidden(call))
    }

    /// Answers a SelfSubjectAccessReview.
    pub fn review(&self, request: &Request) -> Response {
        let json =
            || serde_json::from_slice(&request.body).map(|review: Value| review["spec"].clone());
        let Some(spec) = protobuf::review_spec(&request.body).or_else(|| json().ok()) else {
            return status::bad_request("the object provided is unrecognized");
        };
        let asked = &spec["resourceAttributes"];
        let text = |name: &str| asked[name].as_str().unwrap_or_default();
        let allowed = !self.is_denied(text("verb"), text("resource"));
        let answer = json!({
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": spec,
            "status": {"allowed": allowed},
        });
        Response::json(201, &answer)
    }

    fn is_denied(&self, verb: &str, resource: &str) -> bool {
        let rule = (verb.to_owned(), resource.to_owned());
        self.rules.lock().unwrap().denied.contains(&rule)
    }
}

fn forbidden(call: &Call) -> Response {
    let Call { verb, resource, namespace, name, .. } = call;
    let subject = match name {
        Some(name) => format!("{resource} \"{name}\""),
        None => resource.clone(),
    };
    let scope = match namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let message = format!(
        "{subject} is forbidden: User \"{USER}\" cannot {verb} resource \"{resource}\" \
         in API group \"\" {scope}"
    );
    let mut body = status::status(403, "Forbidden", &message);
    body["details"] = json!({"kind": resource});
    if let Some(name) = name {
        body["details"]["name"] = json!(name);
    }
    status::response(&body)
}
