//! Incident sinks. Each sink has its own thread and its own bounded queue, so a sink that hangs or fails
//! delays neither the watch nor the other sinks.

pub mod alertmanager;
mod delivery;
pub mod file;
mod handle;
mod losses;
pub mod otlp;
pub mod queue;
pub mod receiver;
pub mod recorder_file;
pub mod state_file;
pub mod stdout;
pub mod webhook;

pub use self::delivery::Delivery;
pub use self::handle::SinkHandle;
