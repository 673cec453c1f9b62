//! Collects every kind of API call that the agent made in any test: exactly what its role has to grant.
//!
//! Each kind is an empty file in a folder that all test binaries share and that outlives them, so that the
//! test that runs last sees the calls of all tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::record::RequestRecord;

const AGENT: &str = "blackbox-daemon/";

/// Returns `target/tmp/api-calls`, or `None` outside of tests.
fn folder() -> Option<PathBuf> {
    Some(PathBuf::from(option_env!("CARGO_TARGET_TMPDIR")?).join("api-calls"))
}

/// Stores the kind of a call if the agent made it.
pub fn note(record: &RequestRecord) {
    // A path that is not a resource contains slashes, which must not become folders.
    let name = format!("{} {}", record.verb, record.resource.replace('/', "\\"));
    if !record.user_agent.starts_with(AGENT) || name.len() > 100 {
        return;
    }
    let Some(folder) = folder() else { return };
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), "").unwrap();
}

/// Returns all kinds so far, as `verb resource`.
pub fn all() -> BTreeSet<String> {
    let entries = fs::read_dir(folder().unwrap()).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap().replace('\\', "/");
    entries.map(|entry| name(entry.unwrap())).collect()
}
