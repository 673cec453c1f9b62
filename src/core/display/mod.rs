//! Parses an incident line for display to people, and groups incidents.

pub mod groups;
pub mod parsed;
pub mod timeline;
pub mod units;
