//! A crash flight recorder for Kubernetes nodes: watches the pods of one node through the API
//! server and writes one JSON line for every container that died, and why.
//!
//! # How the data flows
//!
//! ```text
//!                 ┌────────────── steps: LIST or WATCH, from which version ──────────────┐
//!                 ▼                                                                      │
//! API server ─▶ watch ──blocks of bytes──▶ detection: core::stream::Stream ──────────────┤
//!               kube::Client   (on the       ListSplitter / FrameSplitter  what is one   │
//!                               same         decode                        pod, or not   │
//!                               thread)      Reflector ──────────────────────────────────┘
//!                                            Detector
//!                                              PodTable   is it new?
//!                                              classify   what is it called?
//!                                              Settling   may it still be something else?
//!                                                │  ▲
//! API server ◀─── GET events of one pod ── events◀┘  │ (bounded, never waited for)
//!                                            └───────┘
//!                                          EventHandler
//!                                                │ Work (bounded, never waited for)
//! /proc, cgroups ─▶ sampler ─▶ Flight ─────────▶ enrich: the log's end, samples, counters, the node
//!                              rings, roster     │ Arc<Delivery>, one bounded queue a sink, oldest drops
//!                                                ▼
//!                                             stdout, file, webhook ─▶ Ledger ─▶ state
//!
//!                                                │       └▶ Recent ─▶ http ─▶ / and /incidents, to loopback
//! /metrics /healthz /readyz ◀── http ◀── POST /v1/telemetry     SIGTERM, SIGINT ──▶ signal ──▶ main (daemon)
//! ```
//!
//! [`commands::replay`] feeds a recording through the same [`core`] without any of the threads.
//!
//! # Where what is
//!
//! Imports point down this list, never up, and no two modules import each other (`tests/tidy/`).
//!
//! | folder | what |
//! | --- | --- |
//! | `main.rs` | the command line |
//! | [`commands`] | `check`, `show`, `replay` |
//! | [`agent`] | the threads and how they are wired: [`mod@agent::watch`], [`agent::detection`], [`agent::lookups`], [`agent::enrichment`] |
//! | [`serve`] | HTTP: metrics, health, the page, `/incidents`, posts of telemetry |
//! | [`sinks`] | who delivers incident lines, and the state file that remembers which were delivered |
//! | [`kube`], [`node`] | what asks the API server; what reads the node: procfs, control groups, logs |
//! | [`config`], [`metrics`], [`runtime`] | settings; the agent about itself; clocks, stop, signals |
//! | [`core`] | pure: bytes, values and the time in, values out |
//! | [`limits`] | every bound, with its reason |
//!
//! The core, in the order in which a crash passes through it: [`core::stream`] makes objects of bytes and says what
//! to ask next, [`core::wire`] is what of an object is read, [`core::detect`] has the rules and judges a
//! [`core::case`], [`core::incident`] composes of it what is written, [`core::display`] reads a line back for people.
//!
//! # What holds
//!
//! * [`core`] is pure: no clock, no I/O, no log. The time is an argument, failures are values.
//! * Whatever is buffered, queued, kept or retried has a bound in [`limits`].
//! * The thread that reads the watch waits for nothing else: neither does the detection, which it runs.
//! * There is no global state. What threads share are atomics, bounded queues, and what lies behind a lock
//!   that nobody keeps while waiting; a panic ends the process, and the kubelet starts it anew.
//! * Only [`runtime::clock`] asks what time it is, only [`agent`], [`mod@runtime::signal`], [`serve::http`] and
//!   [`kube`] start threads.
//!
//! # What is not here
//!
//! No async runtime, no Kubernetes client library, no write to the API server, no child process.

#![forbid(unsafe_code)]

pub mod agent;
pub mod commands;
pub mod config;
pub mod core;
pub mod kube;
pub mod limits;
pub mod metrics;
pub mod node;
pub mod runtime;
pub mod serve;
pub mod sinks;

#[cfg(test)]
#[path = "../tests/support/scratch.rs"]
#[allow(unreachable_pub, reason = "it is public where the tests share it")]
mod scratch;
