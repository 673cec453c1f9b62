//! Every limit of the agent in one place, each with its reason.
//!
//! Memory does not grow with time, with the number of events, or with what a pod or a server sends: whatever is
//! buffered, queued, kept, read or retried stops at one of these limits.

mod agent;
mod api;
mod cause;
mod commands;
mod config;
mod detect;
mod groups;
mod incident;
mod journal;
mod kernel;
mod logs;
mod metrics;
mod node;
mod recorder;
mod serve;
mod sidecar;
mod sinks;

pub use self::agent::*;
pub use self::api::*;
pub use self::cause::*;
pub use self::commands::*;
pub use self::config::*;
pub use self::detect::*;
pub use self::groups::*;
pub use self::incident::*;
pub use self::journal::*;
pub use self::kernel::*;
pub use self::logs::*;
pub use self::metrics::*;
pub use self::node::*;
pub use self::recorder::*;
pub use self::serve::*;
pub use self::sidecar::*;
pub use self::sinks::*;
