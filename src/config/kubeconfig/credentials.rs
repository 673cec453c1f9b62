//! The credentials that a kubeconfig's user gives the agent, and the fields that the agent refuses.

use crate::config::endpoint::{ClientCert, Credentials, Secret, TokenSource};
use crate::config::files::{self, Pem};
use crate::config::problem::{Findings, Problem};

use super::file::{Entry, UserFields};
use super::{PemField, beside, given, problem_in};

/// Returns the credentials of a context's user, or empty credentials if the context has no user. Returns `None`
/// if problems were recorded.
pub(super) fn credentials(
    entry: Option<&Entry<UserFields>>,
    findings: &mut Findings,
) -> Option<Credentials> {
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
fn refused(fields: &UserFields) -> Vec<(&'static str, &'static str)> {
    const TOKEN: &str =
        "create a token with kubectl create token, and set token or tokenFile instead";
    const OWN_RIGHTS: &str = "grant the rights to the user itself, and remove the field";
    let lists = fields.as_groups.as_ref().is_some_and(|groups| !groups.is_empty());
    let maps = fields.as_user_extra.as_ref().is_some_and(|extra| !extra.is_empty());
    [
        ("exec", fields.exec.is_some(), TOKEN),
        ("auth-provider", fields.auth_provider.is_some(), TOKEN),
        ("username", given(&fields.username).is_some(), TOKEN),
        ("password", given(&fields.password).is_some(), TOKEN),
        ("as", given(&fields.impersonate).is_some(), OWN_RIGHTS),
        ("as-uid", given(&fields.as_uid).is_some(), OWN_RIGHTS),
        ("as-groups", lists, OWN_RIGHTS),
        ("as-user-extra", maps, OWN_RIGHTS),
    ]
    .into_iter()
    .filter_map(|(field, there, remedy)| there.then_some((field, remedy)))
    .collect()
}

/// Returns the token's source. If both a token and a file are set, the token is used until the file has been
/// read, as in client-go.
fn token(entry: &Entry<UserFields>) -> Result<TokenSource, Problem> {
    let fail = |wrong: String| {
        let wrong = format!("user {:?}: {wrong}", entry.name);
        problem_in(&entry.file, wrong, "create a token with kubectl create token")
    };
    let inline = given(&entry.fields.token).map(|text| files::token(text.as_bytes().to_vec()));
    let inline: Option<Secret> =
        inline.transpose().map_err(|wrong| fail(format!("token {wrong}")))?;
    let path = given(&entry.fields.token_file).map(|path| beside(&entry.file, path));
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
fn client_cert(entry: &Entry<UserFields>, findings: &mut Findings) -> Option<Option<ClientCert>> {
    let (file, fields) = (&entry.file, &entry.fields);
    let owner = format!("user {:?}", entry.name);
    let certificate = PemField {
        name: "client-certificate",
        path: &fields.client_certificate,
        data: &fields.client_certificate_data,
        kind: Pem::Certificates,
    };
    let key = PemField {
        name: "client-key",
        path: &fields.client_key,
        data: &fields.client_key_data,
        kind: Pem::PrivateKey,
    };
    let certificate = findings.note(certificate.read(file, &owner));
    let key = findings.note(key.read(file, &owner));
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
            findings.problems.push(problem_in(file, wrong, remedy));
            None
        }
    }
}
