//! SIGTERM and SIGINT: the first signal starts an orderly shutdown, the second terminates the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::Builder;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::limits::{SHUTDOWN_MARGIN, SHUTDOWN_MAX, THREAD_STACK_BYTES};
use crate::runtime::stop::Stop;

/// The exit code if a second signal terminates the process, or if the orderly shutdown hangs.
const IMPATIENT: i32 = 1;

/// Catches the signals from now on and passes the first one to `tell`, which returns true if the signal was
/// received.
///
/// # Errors
/// If the kernel refuses.
pub fn watch(tell: impl FnOnce(i32) -> bool + Send + 'static) -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // The order matters: the first signal finds the flag unset and sets it, the second one finds it set.
        // Both happen in the signal handler, so they work even if a thread hangs.
        flag::register_conditional_shutdown(signal, IMPATIENT, asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let run = move || {
        let Some(signal) = signals.forever().next() else { return };
        if !tell(signal) {
            return;
        }
        // The main thread may hang, for example on a log that nobody reads. Nothing below waits for anything
        // that could hang.
        Stop::default().wait(SHUTDOWN_MAX + SHUTDOWN_MARGIN);
        signal_hook::low_level::exit(IMPATIENT);
    };
    Builder::new().name("signal".to_owned()).stack_size(THREAD_STACK_BYTES).spawn(run).map(drop)
}
