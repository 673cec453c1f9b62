//! The fake API server itself: it answers, watches and fails like a real one.

#![allow(clippy::unwrap_used, reason = "a broken helper fails its test")]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod faults;
mod kubectl;
mod watch;

use std::time::Duration;

use support::{FakeApi, Options};

const PODS: &str = "/api/v1/pods";

/// Creates a fake without TLS that waits only briefly.
fn plain() -> FakeApi {
    FakeApi::start(Options {
        tls: false,
        bookmark_interval: Duration::from_millis(50),
        list_wait: Duration::from_millis(50),
        ..Options::default()
    })
}
