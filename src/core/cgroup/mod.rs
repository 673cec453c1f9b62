//! Control groups of pods and containers: what their directories are called, what their files say, and
//! the samples that are kept of them.

pub mod files;
pub mod names;
pub mod sample;

#[cfg(test)]
mod tests;
