//! A crash flight recorder for Kubernetes nodes.

#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
pub mod core;
pub mod kube;
pub mod limits;
pub mod once;
pub mod replay;
pub mod stop;
