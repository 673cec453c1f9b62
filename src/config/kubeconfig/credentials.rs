//! The credentials that a kubeconfig's user gives the agent, and the fields that the agent refuses.

use crate::config::endpoint::{ClientCert, Credentials, Secret, TokenSource};
use crate::config::files::{self, Pem};
use crate::config::problem::{Findings, Problem};

use super::file::{Entry, Fields};
use super::{beside, problem_in, read_pem};

/// Returns the credentials of a context's user, or empty credentials if the context has no user. Returns `None`
/// if problems were recorded.
pub(super) fn credentials(entry: Option<&Entry>, findings: &mut Findings) -> Option<Credentials> {
    let Some(entry) = entry else {
        return Some(Credentials { token: TokenSource::None, client_cert: None });
    };
    for (field, remedy) in refused(&entry.fields) {
        let wrong = format!("user {:?} has {field}, which this agent does not support", entry.name);
        findings.problems.push(problem_in(&entry.file, wrong, remedy));
    }
    let token = findings.note(token(entry));
    let client_cert = client_cert(entry, findings);
    Some(Credentials { token: token?, client_cert: client_cert? })
}

/// Returns the fields with which the agent refuses to start, each with the remedy.
fn refused(fields: &Fields) -> Vec<(&'static str, &'static str)> {
    const TOKEN: &str =
        "create a token with kubectl create token, and set token or tokenFile instead";
    const OWN_RIGHTS: &str = "grant the rights to the user itself, and remove the field";
    [
        ("exec", TOKEN),
        ("auth-provider", TOKEN),
        ("username", TOKEN),
        ("password", TOKEN),
        ("as", OWN_RIGHTS),
        ("as-uid", OWN_RIGHTS),
        ("as-groups", OWN_RIGHTS),
        ("as-user-extra", OWN_RIGHTS),
    ]
    .into_iter()
    .filter(|(field, _)| fields.has(field))
    .collect()
}

/// Returns the token's source. If both a token and a file are set, the token is used until the file has been
/// read, as in client-go.
fn token(entry: &Entry) -> Result<TokenSource, Problem> {
    let fail = |wrong: String| {
        let wrong = format!("user {:?}: {wrong}", entry.name);
        problem_in(&entry.file, wrong, "create a token with kubectl create token")
    };
    let inline = entry.fields.text("token").map(|text| files::token(text.as_bytes().to_vec()));
    let inline: Option<Secret> =
        inline.transpose().map_err(|wrong| fail(format!("token {wrong}")))?;
    let path = entry.fields.text("tokenFile").map(|path| beside(&entry.file, path));
    Ok(match (inline, path) {
        (None, None) => TokenSource::None,
        (Some(token), None) => TokenSource::Inline(token),
        (seed, Some(path)) => {
            if seed.is_none() {
                files::require_token(&path).map_err(|wrong| fail(format!("tokenFile: {wrong}")))?;
            }
            TokenSource::File { path, seed }
        }
    })
}

/// Returns the client certificate, if there is one. The outer `None` means that problems were recorded.
fn client_cert(entry: &Entry, findings: &mut Findings) -> Option<Option<ClientCert>> {
    let owner = format!("user {:?}", entry.name);
    let certificate = read_pem(entry, "client-certificate", Pem::Certificates, &owner);
    let certificate = findings.note(certificate);
    let key = findings.note(read_pem(entry, "client-key", Pem::PrivateKey, &owner));
    match (certificate?, key?) {
        (None, None) => Some(None),
        (Some(certificate), Some(key)) => Some(Some(ClientCert { certificate, key })),
        (certificate, _) => {
            let (there, missing) = match certificate {
                Some(_) => ("client-certificate", "client-key"),
                None => ("client-key", "client-certificate"),
            };
            let wrong = format!("{owner} has a {there} without a {missing}");
            let remedy = format!("set {missing} or {missing}-data");
            findings.problems.push(problem_in(&entry.file, wrong, remedy));
            None
        }
    }
}
