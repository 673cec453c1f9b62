//! What the threads hand to each other.

use std::time::Duration;

use jiff::Timestamp;

use crate::core::case::{Case, InstanceRef};
use crate::node::cgroup::OomKill;

/// What is to be looked up.
#[derive(Debug)]
pub enum Wanted {
    /// A pod's events.
    Events {
        /// Its namespace.
        namespace: Box<str>,
        /// The UID that its events name.
        key: Box<str>,
        /// Since when (monotonic).
        since: Duration,
    },
    /// The node itself.
    Node,
}

/// What the enrichment hears.
#[derive(Debug)]
pub enum Work {
    /// A container ended; what it was is told later.
    Held(Box<InstanceRef>),
    /// An incident, to be told, handed over at that time (monotonic).
    Crash(Box<Case>, Duration),
    /// The pod of that key is gone, and all its incidents were handed over.
    Gone(Box<str>),
    /// The sampler saw counters rise, at that time.
    OomKills(Vec<OomKill>, Timestamp),
}
