//! LIST: resourceVersion, limit and continue.

use serde_json::{Value, json};

use super::base64;
use super::change::Resource;
use super::http::{Request, Response};
use super::selector::{Selector, field};
use super::server::Shared;
use super::status;
use super::table;

/// Answers a list.
pub fn list(
    shared: &Shared,
    resource: Resource,
    selector: &Selector,
    request: &Request,
) -> Response {
    let (version, token) = (request.param("resourceVersion"), request.param("continue"));
    if !token.is_empty() && !version.is_empty() && version != "0" {
        let message = "specifying resource version is not allowed when using continue";
        return status::bad_request(message);
    }
    if let Some(refusal) = wait_for(shared, &version) {
        return refusal;
    }
    let after = match continue_from(shared, resource, &token) {
        Ok(after) => after,
        Err(refusal) => return refusal,
    };
    let (mut objects, current) = shared.store.snapshot(resource);
    objects.retain(|object| selector.matches(object) && place(object) > after);
    // A list from the watch cache (version 0) is never split into pages.
    let limit = request.param("limit").parse().unwrap_or(0);
    let mut next = String::new();
    if limit > 0 && version != "0" && objects.len() > limit {
        objects.truncate(limit);
        let start = place(&objects[limit - 1]);
        next = base64::encode(json!({"rv": current, "start": start}).to_string().as_bytes());
    }
    if table::is_wanted(request) {
        let mut body = table::table(resource, &objects, &current.to_string(), true);
        body["metadata"]["continue"] = json!(next);
        return Response::json(200, &body);
    }
    let items: Vec<Value> = objects.iter().map(|object| without_type(object)).collect();
    let mut metadata = json!({"resourceVersion": current.to_string()});
    if !next.is_empty() {
        metadata["continue"] = json!(next);
    }
    let kind = format!("{}List", resource.kind());
    // The same order as the API server's: metadata, and so the version, before the first item.
    let items = Value::from(items);
    let body =
        format!(r#"{{"kind":"{kind}","apiVersion":"v1","metadata":{metadata},"items":{items}}}"#);
    Response::text(200, body)
}

/// Returns the refusal for a version that is not a number or that the store does not reach in time.
fn wait_for(shared: &Shared, version: &str) -> Option<Response> {
    if version.is_empty() {
        return None;
    }
    let Ok(asked) = version.parse() else {
        return Some(status::bad_request(&format!("invalid resource version: {version}")));
    };
    let current = shared.store.wait_for_version(asked, shared.options.list_wait);
    (current < asked).then(|| status::too_large_version(asked, current))
}

/// Returns the place (`namespace/name`) after which the page starts.
fn continue_from(shared: &Shared, resource: Resource, token: &str) -> Result<String, Response> {
    if token.is_empty() {
        return Ok(String::new());
    }
    let decoded = base64::decode(token).and_then(|json| serde_json::from_slice(&json).ok());
    let decoded: Value = decoded.unwrap_or_default();
    let (Some(version), Some(start)) = (decoded["rv"].as_u64(), decoded["start"].as_str()) else {
        return Err(status::bad_request(
            "invalid continue token: continue key is not valid: \
             invalid character 'i' looking for beginning of value",
        ));
    };
    if version < shared.store.horizon(resource) {
        let message = "The provided continue parameter is too old to display a consistent list \
                       result. You must start a new list without the continue parameter.";
        return Err(status::response(&status::status(410, "Expired", message)));
    }
    Ok(start.to_owned())
}

fn place(object: &Value) -> String {
    format!("{}/{}", field(object, "metadata.namespace"), field(object, "metadata.name"))
}

/// Removes kind and apiVersion, which a list's items do not have.
fn without_type(object: &Value) -> Value {
    let mut item = object.clone();
    if let Some(fields) = item.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    item
}
