//! Says a trouble once, and when it is over.

use log::{debug, info, warn};

/// One kind of trouble. The same words again are not worth another line of an operator's log.
#[derive(Debug)]
pub struct Once {
    about: &'static str,
    said: Option<String>,
    repeats: u64,
}

impl Once {
    /// A trouble that was not met yet.
    pub fn new(about: &'static str) -> Self {
        Self { about, said: None, repeats: 0 }
    }

    /// Warns, unless these words were the last ones.
    pub fn say(&mut self, text: &str) {
        if self.said.as_deref() == Some(text) {
            self.repeats += 1;
            debug!("{}: {text} (again, {} times)", self.about, self.repeats);
            return;
        }
        warn!("{}: {text}", self.about);
        self.said = Some(text.to_owned());
        self.repeats = 0;
    }

    /// The trouble is over.
    pub fn over(&mut self, text: &str) {
        if self.said.take().is_some() {
            info!("{}: {text}", self.about);
        }
    }
}
