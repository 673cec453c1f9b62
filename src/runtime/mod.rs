//! What every thread needs: clocks, the stop flag, signals, and warnings that are logged only once.

pub mod clock;
pub mod files;
pub mod log_queue;
pub mod signal;
pub mod stop;
pub mod trouble;
