//! Cgroups of pods and containers: the names of their directories, the format of their files, and the
//! samples that are kept.

pub mod files;
pub mod names;
pub mod sample;

#[cfg(test)]
mod tests;
