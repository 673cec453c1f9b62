//! Tables as the server prints them; without a table, kubectl shows only names and ages.

use std::sync::Arc;

use serde_json::{Value, json};

use super::change::Resource;
use super::clock;
use super::http::Request;
use super::selector::field;

/// Returns true if the client prefers a table.
pub fn is_wanted(request: &Request) -> bool {
    request.header("accept").is_some_and(|accept| accept.contains("as=Table"))
}

/// Builds a table of these objects. In a watch only the first event has columns.
pub fn table(
    resource: Resource,
    objects: &[Arc<Value>],
    version: &str,
    with_columns: bool,
) -> Value {
    let columns: Vec<Value> = columns(resource)
        .iter()
        .map(|name| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({
                "name": name, "type": "string", "format": format, "description": "", "priority": 0,
            })
        })
        .collect();
    let rows: Vec<Value> = objects.iter().map(|object| row(resource, object)).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": if with_columns { json!(columns) } else { Value::Null },
        "rows": rows,
    })
}

fn columns(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Events => &["Last Seen", "Type", "Reason", "Object", "Message"],
        Resource::Nodes => &["Name", "Status", "Age", "Version"],
        Resource::Pods => &["Name", "Ready", "Status", "Restarts", "Age"],
    }
}

fn row(resource: Resource, object: &Value) -> Value {
    let text = |path| field(object, path).to_owned();
    let created = age(field(object, "metadata.creationTimestamp"));
    let cells = match resource {
        Resource::Events => vec![
            age(field(object, "lastTimestamp")),
            text("type"),
            text("reason"),
            format!(
                "{}/{}",
                text("involvedObject.kind").to_lowercase(),
                text("involvedObject.name")
            ),
            text("message").trim().to_owned(),
        ],
        Resource::Nodes => {
            let version = text("status.nodeInfo.kubeletVersion");
            vec![text("metadata.name"), "Ready".to_owned(), created, version]
        }
        Resource::Pods => {
            let PodCells { ready, status, restarts } = pod_cells(object);
            vec![text("metadata.name"), ready, status, restarts.to_string(), created]
        }
    };
    json!({
        "cells": cells,
        "object": {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        },
    })
}

struct PodCells {
    ready: String,
    status: String,
    restarts: u64,
}

/// Follows the server's `printPod`, without the details for sidecars.
fn pod_cells(pod: &Value) -> PodCells {
    let statuses = |name: &str| pod["status"][name].as_array().cloned().unwrap_or_default();
    let containers = statuses("containerStatuses");
    let total = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let ready = containers.iter().filter(|status| status["ready"] == true).count();
    let restarts = |all: &[Value]| all.iter().filter_map(|s| s["restartCount"].as_u64()).sum();
    let mut cells = PodCells {
        ready: format!("{ready}/{total}"),
        status: match field(pod, "status.reason") {
            "" => field(pod, "status.phase").to_owned(),
            reason => reason.to_owned(),
        },
        restarts: restarts(&containers),
    };
    let inits = statuses("initContainerStatuses");
    let unfinished = inits.iter().enumerate().find(|(_, status)| {
        status["state"]["terminated"]["exitCode"] != 0 && status["started"] != true
    });
    if let Some((index, init)) = unfinished {
        cells.restarts = restarts(&inits);
        cells.status = match state_reason(init).as_deref() {
            Some("PodInitializing") | None => format!("Init:{index}/{}", inits.len()),
            Some(reason) => format!("Init:{reason}"),
        };
    } else if let Some(reason) = containers.iter().find_map(state_reason) {
        let running = containers.iter().any(|status| status["state"]["running"].is_object());
        cells.status = if reason == "Completed" && running { "Running".to_owned() } else { reason };
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        cells.status = "Terminating".to_owned();
    }
    cells
}

fn state_reason(status: &Value) -> Option<String> {
    let state = &status["state"];
    let reason =
        state["waiting"]["reason"].as_str().or_else(|| state["terminated"]["reason"].as_str());
    let exit_code = || state["terminated"]["exitCode"].as_i64().map(|c| format!("ExitCode:{c}"));
    reason.map(ToOwned::to_owned).or_else(exit_code)
}

fn age(timestamp: &str) -> String {
    let Ok(then) = timestamp.parse::<jiff::Timestamp>() else {
        return "<unknown>".to_owned();
    };
    let seconds = clock::unix_seconds() - then.as_second();
    match seconds {
        ..0 => "<invalid>".to_owned(),
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
