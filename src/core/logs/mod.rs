//! The last lines of a dead container.

pub mod cri;
pub mod last_words;
pub mod mask;
