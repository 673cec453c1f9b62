//! Logs a problem once, and logs when it is over.

use log::{debug, info, warn};

/// One kind of problem. The same message again is not worth another line in an operator's log.
#[derive(Debug)]
pub struct Trouble {
    /// The module that has the problem: what `RUST_LOG` selects log lines by.
    module: &'static str,
    about: &'static str,
    warned: Option<String>,
    repeats: u64,
}

impl Trouble {
    /// Creates the log of a problem that has not occurred yet. `module` is the caller's `module_path!()`.
    pub fn new(module: &'static str, about: &'static str) -> Self {
        Self { module, about, warned: None, repeats: 0 }
    }

    /// Logs a warning, unless the message is the same as the last one.
    pub fn warn(&mut self, text: &str) {
        if self.warned.as_deref() == Some(text) {
            self.repeats += 1;
            let (about, repeats) = (self.about, self.repeats);
            debug!(target: self.module, "{about}: {text} (repeated {repeats} times)");
            return;
        }
        warn!(target: self.module, "{}: {text}", self.about);
        self.warned = Some(text.to_owned());
        self.repeats = 0;
    }

    /// Logs that the problem is over, if it had occurred.
    pub fn over(&mut self, text: &str) {
        if self.warned.take().is_some() {
            info!(target: self.module, "{}: {text}", self.about);
        }
    }
}
