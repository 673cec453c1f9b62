//! A crash flight recorder for Kubernetes nodes.

#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod core;
pub mod daemon;
pub mod detect;
pub mod events;
pub mod handler;
pub mod health;
pub mod http;
pub mod kube;
pub mod limits;
pub mod metrics;
pub mod once;
pub mod pages;
pub mod process;
pub mod replay;
pub mod signal;
pub mod sink;
pub mod stop;
pub mod watch;
