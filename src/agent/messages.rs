//! The messages that the threads send to each other.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::case::{Case, InstanceRef};
use crate::node::cgroup::OomKill;

/// A request to the thread "lookups".
#[derive(Debug)]
pub enum LookupRequest {
    /// Look up the events of a pod.
    Events {
        /// The pod's namespace.
        namespace: Box<str>,
        /// The UID that the events name as their object.
        key: Box<str>,
        /// When the lookup was requested (monotonic).
        since: Duration,
    },
    /// Look up the node itself.
    Node,
}

/// A message to the thread "enrich".
#[derive(Debug)]
pub enum Work {
    /// A container terminated; the verdict follows later.
    Held(Box<InstanceRef>),
    /// An incident to be reported.
    Crash {
        /// The case.
        case: Box<Case>,
        /// What it takes in memory.
        bytes: usize,
        /// When it was handed over (monotonic).
        since: Duration,
    },
    /// The pod with this key is gone, and all its incidents were handed over before this message.
    Gone(Box<str>),
    /// The sampler saw OOM counters rise, at this time.
    OomKills(Vec<OomKill>, Timestamp),
}
