//! Kubeconfig files: their fields, and how several files are merged.
//!
//! Only fields that the agent uses or must refuse are listed here. Any field may be absent, `null` or empty,
//! which all mean the same. No type here implements `Debug`, because they hold tokens and keys.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::config::files;
use crate::config::problem::{Findings, Problem};
use crate::limits;

use super::problem_in;

/// One file, as it is written.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawFile {
    kind: Option<String>,
    #[serde(rename = "current-context")]
    current_context: Option<String>,
    clusters: Option<Vec<Option<RawCluster>>>,
    contexts: Option<Vec<Option<RawContext>>>,
    users: Option<Vec<Option<RawUser>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawCluster {
    name: Option<String>,
    cluster: Option<ClusterFields>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawContext {
    name: Option<String>,
    context: Option<ContextFields>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawUser {
    name: Option<String>,
    user: Option<UserFields>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct ClusterFields {
    pub(super) server: Option<String>,
    pub(super) tls_server_name: Option<String>,
    pub(super) insecure_skip_tls_verify: Option<bool>,
    pub(super) certificate_authority: Option<String>,
    pub(super) certificate_authority_data: Option<String>,
    pub(super) proxy_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ContextFields {
    pub(super) cluster: Option<String>,
    pub(super) user: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct UserFields {
    pub(super) client_certificate: Option<String>,
    pub(super) client_certificate_data: Option<String>,
    pub(super) client_key: Option<String>,
    pub(super) client_key_data: Option<String>,
    pub(super) token: Option<String>,
    #[serde(rename = "tokenFile")]
    pub(super) token_file: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    #[serde(rename = "as")]
    pub(super) impersonate: Option<String>,
    pub(super) as_uid: Option<String>,
    pub(super) as_groups: Option<Vec<IgnoredAny>>,
    pub(super) as_user_extra: Option<BTreeMap<String, IgnoredAny>>,
    pub(super) exec: Option<IgnoredAny>,
    pub(super) auth_provider: Option<IgnoredAny>,
}

/// A named entry and the file that contains it. Relative paths in the entry start from the folder of that file.
pub(super) struct Entry<T> {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) fields: T,
}

/// All files of the list, in its order.
#[derive(Default)]
pub(super) struct Merged {
    /// Taken from the first file that sets it.
    pub(super) current_context: Option<String>,
    pub(super) clusters: Vec<Entry<ClusterFields>>,
    pub(super) contexts: Vec<Entry<ContextFields>>,
    pub(super) users: Vec<Entry<UserFields>>,
}

/// Reads the files of a `KUBECONFIG` list. As in client-go's `ClientConfigLoadingRules.Load`, missing files are
/// skipped, and of entries with the same name the first one counts.
pub(super) fn read_all(list: &str, findings: &mut Findings) -> Option<Merged> {
    let paths: Vec<_> =
        env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect();
    if paths.len() > limits::KUBECONFIG_FILES_MAX {
        let remedy = format!("allowed: up to {} files", limits::KUBECONFIG_FILES_MAX);
        findings.problems.push(Problem::new("KUBECONFIG", list, "too many files", remedy));
        return None;
    }
    let mut merged = Merged::default();
    let (mut found, mut failed) = (false, false);
    for path in paths {
        match read_one(&path) {
            Ok(Some(file)) => {
                found = true;
                merged.add(&path, file);
            }
            Ok(None) => {}
            Err(problem) => {
                failed = true;
                findings.problems.push(problem);
            }
        }
    }
    if !found && !failed {
        let remedy = "set it to a kubeconfig file, or unset it to use the service account";
        findings.problems.push(Problem::new("KUBECONFIG", list, "no such file", remedy));
    }
    // A broken file is missing from the merge, so other apparent problems may not be real ones.
    (found && !failed).then_some(merged)
}

/// Reads one file. Returns `None` if it does not exist.
fn read_one(path: &Path) -> Result<Option<RawFile>, Problem> {
    let bytes = match files::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let wrong = format!("cannot be read: {error}");
            return Err(problem_in(path, wrong, "set it to a readable kubeconfig file"));
        }
    };
    let remedy = "use the format that kubectl config writes";
    let text = std::str::from_utf8(&bytes).map_err(|_| problem_in(path, "not UTF-8", remedy))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(Some(RawFile::default()));
    }
    let file = parse(path, text)?.unwrap_or_default();
    match file.kind.as_deref() {
        None | Some("" | "Config") => Ok(Some(file)),
        Some(kind) => Err(problem_in(path, format!("is of kind {kind:?}, not Config"), remedy)),
    }
}

/// Parses a kubeconfig. Errors name only the position: the parsers' own messages quote the text found there,
/// which may be a token.
#[cfg(feature = "kubeconfig")]
fn parse(path: &Path, text: &str) -> Result<Option<RawFile>, Problem> {
    if let Ok(file) = serde_json::from_slice(text.as_bytes()) {
        return Ok(file);
    }
    // JSON is also YAML, so the YAML parser's error is reported even for a file that starts with a brace.
    serde_saphyr::from_str_with_options(text, yaml_options()).map_err(|error| {
        match error.location() {
            Some(at) => malformed(path, at.line(), at.column()),
            None => malformed(path, 1, 1),
        }
    })
}

/// Returns the limits for YAML aliases. A few lines of nested aliases can expand to gigabytes. The parser's own
/// limits let that take seconds and hundreds of megabytes, but the agent has only a few tens of megabytes.
#[cfg(feature = "kubeconfig")]
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_recorded_anchor_events: limits::YAML_ALIASED_NODES_MAX,
            max_recorded_anchor_bytes: limits::CONFIG_FILE_BYTES_MAX,
            max_merge_keys: limits::YAML_MERGES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::YAML_ALIASED_NODES_MAX,
        },
    }
}

#[cfg(not(feature = "kubeconfig"))]
fn parse(path: &Path, text: &str) -> Result<Option<RawFile>, Problem> {
    serde_json::from_slice(text.as_bytes()).map_err(|error| {
        if text.trim_start().starts_with('{') {
            malformed(path, error.line() as u64, error.column() as u64)
        } else {
            let wrong = "not JSON, and this build reads only JSON kubeconfigs";
            let remedy = "convert it with kubectl config view --raw --flatten --output json";
            problem_in(path, wrong, remedy)
        }
    })
}

fn malformed(path: &Path, line: u64, column: u64) -> Problem {
    let wrong = format!("not a valid kubeconfig: error at line {line}, column {column}");
    problem_in(path, wrong, "look there for a typing error or a value of the wrong type")
}

impl Merged {
    fn add(&mut self, path: &Path, file: RawFile) {
        let current = file.current_context.filter(|name| !name.is_empty());
        self.current_context = self.current_context.take().or(current);
        for raw in file.clusters.into_iter().flatten().flatten() {
            add_entry(&mut self.clusters, path, raw.name, raw.cluster);
        }
        for raw in file.contexts.into_iter().flatten().flatten() {
            add_entry(&mut self.contexts, path, raw.name, raw.context);
        }
        for raw in file.users.into_iter().flatten().flatten() {
            add_entry(&mut self.users, path, raw.name, raw.user);
        }
    }
}

/// Appends an entry. Duplicates need no handling: lookups take the first entry with a name.
fn add_entry<T: Default>(
    entries: &mut Vec<Entry<T>>,
    path: &Path,
    name: Option<String>,
    fields: Option<T>,
) {
    entries.push(Entry {
        name: name.unwrap_or_default(),
        file: path.to_owned(),
        fields: fields.unwrap_or_default(),
    });
}
