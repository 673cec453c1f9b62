//! The commands of the real binary that need no API server: their output and their exit codes.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod explain;
mod groups;
mod reports;
mod show;

const BINARY: &str = env!("CARGO_BIN_EXE_blackbox-daemon");

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
