//! Every kind of call that the agent made in any test: what its role has to grant, and nothing else.
//!
//! Each kind is an empty file in a folder that all test binaries share and that outlives them, so that
//! what is looked at last has seen all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::record::RequestRecord;

const AGENT: &str = "blackbox-daemon/";

/// `target/tmp/api-calls`. `None`: this is no test.
fn folder() -> Option<PathBuf> {
    Some(PathBuf::from(option_env!("CARGO_TARGET_TMPDIR")?).join("api-calls"))
}

/// Keeps the kind of a call, if it is the agent's.
pub fn note(record: &RequestRecord) {
    // Paths that are no resource: their slashes are not to be a folder's.
    let name = format!("{} {}", record.verb, record.resource.replace('/', "\\"));
    if !record.user_agent.starts_with(AGENT) || name.len() > 100 {
        return;
    }
    let Some(folder) = folder() else { return };
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), "").unwrap();
}

/// All kinds so far, as `verb resource`.
pub fn all() -> BTreeSet<String> {
    let entries = fs::read_dir(folder().unwrap()).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap().replace('\\', "/");
    entries.map(|entry| name(entry.unwrap())).collect()
}
