//! What every thread needs: clocks, the word to stop, signals, a warning said once.

pub mod clock;
pub mod files;
pub mod signal;
pub mod stop;
pub mod trouble;
