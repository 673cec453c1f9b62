//! SIGTERM and SIGINT: the first ends the agent in order, the second at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::Builder;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::limits::{SHUTDOWN_MARGIN, SHUTDOWN_MAX, THREAD_STACK_BYTES};
use crate::runtime::stop::Stop;

/// The exit code when a second signal ends the process, or the end in order hangs.
const IMPATIENT: i32 = 1;

/// Catches the signals from now on, and tells of the first one; `tell` says whether anybody heard.
///
/// # Errors
/// When the kernel refuses.
pub fn watch(tell: impl FnOnce(i32) -> bool + Send + 'static) -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag down and raises it, the second finds it up.
        // That happens in the signal handler, so it works whatever hangs.
        flag::register_conditional_shutdown(signal, IMPATIENT, asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let run = move || {
        let Some(signal) = signals.forever().next() else { return };
        if !tell(signal) {
            return;
        }
        // Main may hang, on a log that nobody takes for one. Nothing is waited for here that could.
        Stop::default().wait(SHUTDOWN_MAX + SHUTDOWN_MARGIN);
        signal_hook::low_level::exit(IMPATIENT);
    };
    Builder::new().name("signal".to_owned()).stack_size(THREAD_STACK_BYTES).spawn(run).map(drop)
}
