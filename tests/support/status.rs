//! The Status objects of a Kubernetes API server, as recorded in `fixtures/http`.

use serde_json::{Value, json};

use super::http::Response;

/// Returns a failure Status.
pub fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

/// Returns the response with `status`; retryAfterSeconds also becomes a header, as in the server.
pub fn response(status: &Value) -> Response {
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
    let answer = Response::text(code, serde_json::to_string_pretty(status).unwrap());
    match status["details"]["retryAfterSeconds"].as_u64() {
        Some(seconds) => answer.header("Retry-After", &seconds.to_string()),
        None => answer,
    }
}

/// Returns a 400 response.
pub fn bad_request(message: &str) -> Response {
    response(&status(400, "BadRequest", message))
}

/// Returns a 401 response: no token, or one that is not accepted.
pub fn unauthorized() -> Response {
    response(&status(401, "Unauthorized", "Unauthorized"))
}

/// Returns a 404 response for an object.
pub fn not_found(resource: &str, name: &str) -> Response {
    let mut body = status(404, "NotFound", &format!("{resource} \"{name}\" not found"));
    body["details"] = json!({"name": name, "kind": resource});
    response(&body)
}

/// Returns a 404 response for a path.
pub fn no_such_path() -> Response {
    let message = "the server could not find the requested resource";
    response(&status(404, "NotFound", message))
}

/// Returns a 405 response.
pub fn method_not_allowed() -> Response {
    let message = "the server does not allow this method on the requested resource";
    response(&status(405, "MethodNotAllowed", message))
}

/// Returns a 422 response: parameters that contradict each other.
pub fn invalid(message: &str) -> Response {
    response(&status(422, "Invalid", message))
}

/// Returns the Status of a version that is too old (410): an ERROR event's object, or a list's response.
pub fn expired(asked: u64, oldest: u64) -> Value {
    status(410, "Expired", &format!("too old resource version: {asked} ({oldest})"))
}

/// Returns a 504 response for a list at a version that the server has not reached.
pub fn too_large_version(asked: u64, current: u64) -> Response {
    let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
    let mut body = status(504, "Timeout", &message);
    body["details"] = json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    });
    response(&body)
}
