//! The terminal on which `show` writes.

use std::io::{self, IsTerminal};
#[cfg(not(target_env = "musl"))]
use std::process::{Command, Stdio};

/// What is known about standard output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// True if it shows colours.
    pub has_colours: bool,
    /// Its width; `None` if that is not known.
    pub columns: Option<usize>,
}

impl Terminal {
    /// Looks at standard output and the environment.
    pub fn of_process() -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_terminal = io::stdout().is_terminal();
        let is_dumb = var("TERM").is_some_and(|term| term == "dumb");
        // Programs that do not know the width say 0.
        let columns = var("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
        let columns = columns.filter(|columns| *columns > 0);
        Self {
            has_colours: is_terminal && var("NO_COLOR").is_none() && !is_dumb,
            columns: columns.or_else(|| if is_terminal { asked() } else { None }),
        }
    }
}

/// Asks the terminal for its width. Only a call to the kernel that is `unsafe` in Rust tells it, so the program `stty`
/// makes it.
#[cfg(not(target_env = "musl"))]
fn asked() -> Option<usize> {
    let mut stty = Command::new("stty");
    stty.arg("size").stdin(io::stdout()).stderr(Stdio::null());
    let size = stty.output().ok()?.stdout;
    let columns = str::from_utf8(&size).ok()?.split_whitespace().nth(1)?;
    columns.parse().ok().filter(|columns| *columns > 0)
}

/// The image has no `stty`, and what starts programs would make its binary larger.
#[cfg(target_env = "musl")]
fn asked() -> Option<usize> {
    None
}
