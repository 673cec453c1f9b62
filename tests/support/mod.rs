//! A fake Kubernetes API server for tests and the demo: real TLS, real HTTP/1.1, real list and
//! watch semantics, and faults on demand.
//!
//! ```text
//! FakeApi ── accept ── one thread per connection
//!               │            conn      socket, TLS, the four ways to close it
//!               │            http      reads the request, writes the response head
//!               │            answer    path -> list | watch | get | review | discovery
//!               │            exchange  writes the response, modified by the script's Behaviour
//!               └─ store (pods, events, nodes; one version counter) <- apply, delete, Player
//! ```
//!
//! Its responses were checked against recordings of a Kubernetes 1.36 server (`fixtures/http`).

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#![allow(unreachable_pub, reason = "pub is the interface to the test that includes this module")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken fake fails its test")]

pub mod access;
pub mod agent;
pub mod answer;
pub mod base64;
pub mod bed;
pub mod change;
pub mod client;
pub mod clock;
pub mod collector;
pub mod conn;
pub mod crash;
pub mod discovery;
pub mod exchange;
pub mod html;
pub mod http;
pub mod journal;
pub mod kubeconfig;
pub mod list;
pub mod losses;
pub mod memory;
pub mod player;
pub mod protobuf;
pub mod proxy;
pub mod record;
pub mod replace;
pub mod role;
pub mod runs;
pub mod sample;
pub mod schema;
pub mod scratch;
pub mod script;
pub mod selector;
pub mod serve;
pub mod server;
pub mod status;
pub mod store;
pub mod table;
pub mod tls;
pub mod watch;
pub mod workload;
pub mod zoo;

pub use agent::{Agent, AgentOptions, PATIENCE, may_unshare, whole_lines};
pub use bed::{Bed, BedOptions};
pub use change::Resource;
pub use player::{Pace, Player, Recording};
pub use proxy::{Link, Proxy};
pub use record::RequestRecord;
pub use scratch::Scratch;
pub use script::{Behaviour, Ending, Point, Target};
pub use server::{FakeApi, Options};
pub use store::Store;

use std::path::PathBuf;

/// Returns the path of a file or folder below `fixtures/`.
pub fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}
