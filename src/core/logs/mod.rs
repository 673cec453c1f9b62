//! Finds the last log lines of a terminated container.

pub mod cri;
pub mod last_words;
pub mod mask;
