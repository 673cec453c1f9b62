//! Parses an incident line for display to people.

pub mod parsed;
pub mod timeline;
pub mod units;
