//! The commands besides the agent itself: `check`, `show`, `explain`, `replay`, `help`.

pub mod check;
pub mod explain;
pub mod help;
pub mod options;
mod own_agent;
pub mod replay;
pub mod show;
