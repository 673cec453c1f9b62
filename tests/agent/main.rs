//! The real binary against API servers, networks, collectors, disks and kernels of every kind.
//!
//! One program for all of them: they wait most of the time, and so can wait together.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod check;
mod connect;
mod delay;
mod ending;
mod faults_credentials;
mod faults_network;
mod faults_server;
mod faults_stream;
mod flight;
mod hostile;
mod kill;
mod live_zoo;
mod quiet;
#[cfg(feature = "kubeconfig")]
mod rbac;
mod sinks;
mod soak;
mod storm;
mod webhook;
