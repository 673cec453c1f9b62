//! The fleet's questions about the demo's incident file, asked in DuckDB. It is a library, so no server is needed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::fixture;

/// Finds out whether there is a Python that has DuckDB.
///
/// # Errors
/// There is none. The error says how to get it.
pub(crate) fn must_answer() -> io::Result<()> {
    python().map(drop)
}

fn python() -> io::Result<PathBuf> {
    let pythons = [fixture("..").join("target/ci-tools/stores/bin/python"), "python3".into()];
    pythons.into_iter().find(|python| has_duckdb(python)).ok_or_else(|| {
        io::Error::other(
            "--store needs DuckDB, version 2.0 or later, for python3: `.ci/stores` installs it below target/, or\n  \
             python3 -m venv target/ci-tools/stores && target/ci-tools/stores/bin/pip install duckdb==2.0.1",
        )
    })
}

/// Asks the questions of `deploy/stores/duckdb`, with the first Python that has DuckDB.
pub(crate) fn ask(incident_file: &Path) -> io::Result<()> {
    let root = fixture("..");
    let status = Command::new(python()?)
        .arg(root.join("examples/demo/ask.py"))
        .arg(root.join("deploy/stores/duckdb"))
        .arg(incident_file)
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("DuckDB: {status}")))
}

fn has_duckdb(python: &Path) -> bool {
    let found = Command::new(python).args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
