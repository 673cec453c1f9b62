//! Where incidents go. Each sink has a thread and a bounded queue of its own: one that hangs or
//! fails holds up neither the watch nor the others.

mod delivery;
pub mod file;
mod outlet;
pub mod queue;
pub mod state_file;
pub mod stdout;
pub mod webhook;

pub use self::delivery::Delivery;
pub use self::outlet::Outlet;
