//! Kubeconfig files: their fields, and how several files are merged.
//!
//! Only fields that the agent uses or must refuse are listed here. Any field may be absent, `null` or empty,
//! which all mean the same. No type here implements `Debug`, because they hold tokens and keys.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

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
    clusters: Option<Vec<Option<RawEntry>>>,
    contexts: Option<Vec<Option<RawEntry>>>,
    users: Option<Vec<Option<RawEntry>>>,
}

/// An entry of any list. The field of the list's own kind is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RawEntry {
    name: Option<String>,
    cluster: Option<Fields>,
    context: Option<Fields>,
    user: Option<Fields>,
}

/// The fields of a cluster, a context or a user, each with its text if it is set. They have one type, because serde's
/// own code for three types with so many fields takes 20 kB of the binary.
#[derive(Default)]
pub(super) struct Fields(Vec<(&'static str, Option<String>)>);

/// What the value of a field is. Unless it is a text, the agent keeps only whether it is set.
enum Form {
    Text,
    Flag,
    List,
    Map,
    Anything,
}

/// The fields that are read, of all three.
const FIELDS: [(&str, Form); 22] = [
    ("server", Form::Text),
    ("tls-server-name", Form::Text),
    ("insecure-skip-tls-verify", Form::Flag),
    ("certificate-authority", Form::Text),
    ("certificate-authority-data", Form::Text),
    ("proxy-url", Form::Text),
    ("cluster", Form::Text),
    ("user", Form::Text),
    ("client-certificate", Form::Text),
    ("client-certificate-data", Form::Text),
    ("client-key", Form::Text),
    ("client-key-data", Form::Text),
    ("token", Form::Text),
    ("tokenFile", Form::Text),
    ("username", Form::Text),
    ("password", Form::Text),
    ("as", Form::Text),
    ("as-uid", Form::Text),
    ("as-groups", Form::List),
    ("as-user-extra", Form::Map),
    ("exec", Form::Anything),
    ("auth-provider", Form::Anything),
];

impl Fields {
    /// Returns the text of a field, if it is set.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        debug_assert!(FIELDS.iter().any(|(known, _)| *known == name), "{name} is not read");
        let (_, text) = self.0.iter().find(|(known, _)| *known == name)?;
        text.as_deref()
    }

    /// Returns true if a field of any form is set, and is not false.
    pub(super) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<String>()? {
            let Some((name, form)) = FIELDS.iter().find(|(known, _)| *known == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.0.iter().any(|(known, _)| known == name) {
                return Err(Error::duplicate_field(name));
            }
            let is_set = match form {
                Form::Text => {
                    let text = map.next_value::<Option<String>>()?;
                    fields.0.push((name, text.filter(|text| !text.is_empty())));
                    continue;
                }
                Form::Flag => map.next_value::<Option<bool>>()?.unwrap_or_default(),
                Form::List => map
                    .next_value::<Option<Vec<IgnoredAny>>>()?
                    .is_some_and(|list| !list.is_empty()),
                Form::Map => map
                    .next_value::<Option<BTreeMap<String, IgnoredAny>>>()?
                    .is_some_and(|map| !map.is_empty()),
                Form::Anything => map.next_value::<Option<IgnoredAny>>()?.is_some(),
            };
            fields.0.push((name, is_set.then(String::new)));
        }
        Ok(fields)
    }
}

/// A named entry and the file that contains it. Relative paths in the entry start from the folder of that file.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) fields: Fields,
}

/// All files of the list, in its order.
#[derive(Default)]
pub(super) struct Merged {
    /// Taken from the first file that sets it.
    pub(super) current_context: Option<String>,
    pub(super) clusters: Vec<Entry>,
    pub(super) contexts: Vec<Entry>,
    pub(super) users: Vec<Entry>,
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
fn add_entry(entries: &mut Vec<Entry>, path: &Path, name: Option<String>, fields: Option<Fields>) {
    entries.push(Entry {
        name: name.unwrap_or_default(),
        file: path.to_owned(),
        fields: fields.unwrap_or_default(),
    });
}
