//! The fake API server and the agent of one boot of the machine.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Agent, AgentOptions, FakeApi, Options, Resource, Scratch};

/// The API server and the agent, which is stopped when this is dropped.
pub(crate) struct Node {
    // The agent ends before the server does.
    pub(crate) agent: Agent,
    pub(crate) api: Arc<FakeApi>,
    _account: Scratch,
}

impl Node {
    /// Starts the server with these objects, and then the agent, with the settings of its components. The folder keeps
    /// what a power cut must not take along.
    pub(crate) fn start(objects: Vec<Value>, disk: Option<&Path>) -> Self {
        let api = FakeApi::start(Options::default());
        api.apply(with_boot_id(&api));
        for object in objects {
            api.apply(object);
        }
        let account = Scratch::new("account");
        api.write_service_account(account.path());
        let mut options = AgentOptions::in_pod(api.addr(), account.path())
            .env("RUST_LOG", "warn,blackbox=info")
            .env("BLACKBOX_KERNEL_LOG", "/var/log,/run/log");
        if let Some(disk) = disk {
            options = options
                .env("BLACKBOX_STATE_FILE", disk.join("state"))
                .env("BLACKBOX_RECORDER_FILE", disk.join("recorder"))
                .env("BLACKBOX_PSTORE", "/var/lib/systemd/pstore");
        }
        let agent = options.start();
        agent.wait_ready();
        Self { agent, api: Arc::new(api), _account: account }
    }

    /// Returns the agent's incidents, and of their telemetry, which is long, what the rows need.
    pub(crate) fn incidents(&self) -> Vec<Value> {
        let mut incidents = self.agent.incidents();
        for incident in &mut incidents {
            let telemetry = &incident["telemetry"];
            incident["telemetry"] = json!({"kernel": telemetry["kernel"], "gaps": telemetry["gaps"],
                "before_reboot": telemetry["before_reboot"]});
        }
        incidents
    }
}

/// Returns the node's object with the ID of this boot, which the kubelet writes at its start.
fn with_boot_id(api: &FakeApi) -> Value {
    let node = api.store().object(Resource::Nodes, "", "node1").expect("the server has a node");
    let mut node = Value::clone(&node);
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    node["status"]["nodeInfo"]["bootID"] = json!(id.trim());
    node
}
