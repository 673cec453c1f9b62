//! The commands besides the agent itself: `check`, `show`, `replay`.

pub mod check;
pub mod explain;
pub mod replay;
pub mod show;
