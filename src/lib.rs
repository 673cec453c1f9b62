//! A crash flight recorder for Kubernetes nodes.

#![forbid(unsafe_code)]

pub mod config;
pub mod core;
pub mod limits;
pub mod replay;
