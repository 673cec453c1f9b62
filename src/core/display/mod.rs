//! Parses an incident line for display to people.

pub mod line;
pub mod timeline;
pub mod units;
