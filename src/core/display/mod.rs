//! An incident line read back, for people.

pub mod line;
pub mod timeline;
pub mod units;
