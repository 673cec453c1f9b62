//! The commands besides the agent itself: `check`, `show`, `replay`.

pub mod check;
pub mod explain;
mod own_agent;
pub mod replay;
pub mod show;
