//! Runs the real binary against all kinds of API servers, networks, collectors, readers, pods, disks and kernels.
//!
//! All these tests are in one program: they wait most of the time, so they can wait in parallel.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod budget;
mod cause;
mod check;
mod connect;
mod delay;
mod ending;
mod faults_credentials;
mod faults_network;
mod faults_server;
mod faults_stream;
mod flight;
mod flood;
mod hang;
mod hostile;
mod kill;
mod liars;
mod live_zoo;
mod page;
mod quiet;
#[cfg(feature = "kubeconfig")]
mod rbac;
mod reboot;
mod receivers;
mod receivers_real;
#[cfg(feature = "kubeconfig")]
mod recorder;
mod sinks;
mod soak;
mod stalls;
mod stop;
mod storm;
mod telemetry;
mod webhook;
