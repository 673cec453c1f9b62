//! The API server and the credentials that kubeconfig files describe.
//!
//! The rules are those of client-go's `clientcmd`: which file wins, that data wins over a file, that a token
//! file is read again, where relative paths start. What the agent does not support (running programs for a
//! token, proxies, passwords, impersonation) is refused with an explanation, instead of failing later with a
//! 401. JSON is always supported; YAML needs the cargo feature `kubeconfig`.

mod credentials;
mod file;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::limits;

use self::credentials::credentials;
use self::file::{Entry, Merged};
use super::endpoint::{self, Endpoint, PemSource, Scheme, Server, Trust};
use super::files::{self, Pem};
use super::problem::{Findings, Problem};
use super::settings::KUBECONFIG;

/// Returns the cluster and the user of the current context of a `KUBECONFIG` list.
pub(super) fn api_server(list: &str, findings: &mut Findings) -> Option<Endpoint> {
    let merged = file::read_all(list, findings)?;
    let context = findings.note(current_context(&merged, list))?;
    let at_cluster = findings.note(named(
        "cluster",
        context.fields.text("cluster"),
        &merged.clusters,
        &context.file,
        &context.name,
    ));
    // A context without a user means anonymous access.
    let at_user = match context.fields.text("user") {
        None => Some(None),
        name => {
            let user = named("user", name, &merged.users, &context.file, &context.name);
            findings.note(user).map(Some)
        }
    };
    let reached = at_cluster.and_then(|entry| reach(entry, findings));
    let credentials = at_user.and_then(|entry| credentials(entry, findings));
    let (server, tls_server_name, trust) = reached?;
    Some(Endpoint { server, tls_server_name, trust, credentials: credentials? })
}

fn current_context<'a>(merged: &'a Merged, list: &str) -> Result<&'a Entry, Problem> {
    let known = known_names("contexts", &merged.contexts);
    let Some(name) = merged.current_context.as_deref() else {
        let wrong = format!("no current-context; {known}");
        let remedy = "choose one with kubectl config use-context";
        return Err(Problem::new(KUBECONFIG.key, list, wrong, remedy));
    };
    merged.contexts.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let wrong = format!("current-context {name:?} does not exist; {known}");
        let remedy = "choose another with kubectl config use-context";
        Problem::new(KUBECONFIG.key, list, wrong, remedy)
    })
}

/// Returns the entry that a context refers to.
fn named<'a>(
    kind: &str,
    name: Option<&str>,
    entries: &'a [Entry],
    file: &Path,
    context: &str,
) -> Result<&'a Entry, Problem> {
    let known = || known_names(&format!("{kind}s"), entries);
    let remedy = || format!("correct the {kind} of the context");
    let Some(name) = name else {
        let wrong = format!("context {context:?} names no {kind}; {}", known());
        return Err(problem_in(file, wrong, remedy()));
    };
    entries.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let wrong = format!("context {context:?} names {kind} {name:?}, which does not exist; ");
        problem_in(file, wrong + &known(), remedy())
    })
}

/// Lists the names that exist, to help a person who mistyped one.
fn known_names(kinds: &str, entries: &[Entry]) -> String {
    if entries.is_empty() {
        return format!("there are no {kinds}");
    }
    let shown = entries.iter().take(limits::NAMES_SHOWN_MAX);
    let shown: Vec<_> = shown.map(|entry| format!("{:?}", entry.name)).collect();
    let more = match entries.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("the {kinds} are {}{more}", shown.join(", "))
}

/// Returns the server, the name in its certificate, and how that certificate is verified.
fn reach(entry: &Entry, findings: &mut Findings) -> Option<(Server, Option<String>, Trust)> {
    let fields = &entry.fields;
    if fields.has("proxy-url") {
        let wrong = cluster_wrong(entry, "has a proxy-url, which this agent does not support");
        findings.problems.push(problem_in(
            &entry.file,
            wrong,
            "remove it, and give the agent a direct connection to the API server",
        ));
    }
    let tls_server_name = fields.text("tls-server-name");
    if tls_server_name.is_some_and(|name| !endpoint::is_server_name(name)) {
        let wrong = cluster_wrong(entry, "has an invalid tls-server-name");
        findings.problems.push(problem_in(
            &entry.file,
            wrong,
            "allowed: a DNS name or an IP address",
        ));
    }
    let server = findings.note(server(entry))?;
    let trust = trust(entry, &server, findings)?;
    Some((server, tls_server_name.map(str::to_owned), trust))
}

fn server(entry: &Entry) -> Result<Server, Problem> {
    let parsed = entry.fields.text("server").ok_or("is missing").and_then(Server::parse);
    parsed.map_err(|wrong| {
        let wrong = cluster_wrong(entry, &format!("has an unusable server URL: the URL {wrong}"));
        problem_in(&entry.file, wrong, "allowed: a URL like https://10.0.0.1:6443")
    })
}

fn trust(entry: &Entry, server: &Server, findings: &mut Findings) -> Option<Trust> {
    let fields = &entry.fields;
    let skip = fields.has("insecure-skip-tls-verify");
    let has_authority =
        fields.has("certificate-authority") || fields.has("certificate-authority-data");
    let shown = server.url();
    if server.scheme == Scheme::Http {
        findings.warnings.push(format!(
            "the API server URL {shown} is plain HTTP: anyone on the network path can read the \
             token and all responses"
        ));
        return Some(Trust::Plaintext);
    }
    match (skip, has_authority) {
        (true, true) => {
            let wrong = "has both a certificate authority and insecure-skip-tls-verify";
            let wrong = cluster_wrong(entry, wrong);
            let remedy = "remove insecure-skip-tls-verify";
            findings.problems.push(problem_in(&entry.file, wrong, remedy));
            None
        }
        (true, false) => {
            findings.warnings.push(format!(
                "INSECURE: insecure-skip-tls-verify is set, so the agent does not verify the \
                 certificate of {shown}; any server that responds there gets the token. Use this \
                 for tests only"
            ));
            Some(Trust::SkipVerification)
        }
        (false, false) => {
            let wrong =
                "has no certificate authority, and this build contains no public root certificates";
            let wrong = cluster_wrong(entry, wrong);
            let remedy = "set certificate-authority or certificate-authority-data";
            findings.problems.push(problem_in(&entry.file, wrong, remedy));
            None
        }
        (false, true) => {
            let owner = format!("cluster {:?}", entry.name);
            let pem = read_pem(entry, "certificate-authority", Pem::Certificates, &owner);
            Some(match findings.note(pem)?? {
                PemSource::File(path) => Trust::CaFile(path),
                PemSource::Data(pem) => Trust::CaData(pem),
            })
        }
    }
}

/// Reads and checks the PEM text of a field, which has a second form with `-data` after its name. Data wins over a
/// file, as in client-go.
fn read_pem(
    entry: &Entry,
    name: &str,
    kind: Pem,
    owner: &str,
) -> Result<Option<PemSource>, Problem> {
    let fail = |wrong: String| {
        let remedy = "set it to PEM data, as kubectl config set-cluster and set-credentials do";
        problem_in(&entry.file, format!("{owner}: {wrong}"), remedy)
    };
    if let Some(data) = entry.fields.text(&format!("{name}-data")) {
        let text = decoded(data).ok_or_else(|| fail(format!("{name}-data is not base64")))?;
        files::check_pem(&text, kind).map_err(|wrong| fail(format!("{name}-data {wrong}")))?;
        return Ok(Some(PemSource::Data(text)));
    }
    let Some(path) = entry.fields.text(name) else {
        return Ok(None);
    };
    let path = beside(&entry.file, path);
    files::require_pem(&path, kind)
        .map_err(|wrong| fail(format!("{name} cannot be used: {wrong}")))?;
    Ok(Some(PemSource::File(path)))
}

/// Decodes the base64 of a `-data` field, in which YAML's block scalars and other tools put white space. Returns `None`
/// if the text is not base64.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}

/// Resolves a path in a kubeconfig, which starts from the folder of that file.
fn beside(file: &Path, path: &str) -> PathBuf {
    file.with_file_name(path)
}

fn cluster_wrong(entry: &Entry, wrong: &str) -> String {
    format!("cluster {:?} {wrong}", entry.name)
}

/// Makes a problem with one file of the list.
fn problem_in(path: &Path, wrong: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem::new(KUBECONFIG.key, path.display(), wrong, remedy)
}
