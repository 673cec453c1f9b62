//! The other commands beside the agent: `check`, `show`, `replay`.

pub mod check;
pub mod replay;
pub mod show;
