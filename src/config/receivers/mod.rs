//! The receivers to which incidents are sent by HTTP, and the credentials that they and the agent accept from each other.
//! What the receivers have in common is read here; what differs, in the file of each.

pub mod alertmanager;
pub mod otlp;
pub mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::Uri;

use crate::limits;

use super::endpoint::{Credentials, Endpoint, Scheme, Secret, Server, TokenSource, Trust};
use super::environment::{Environment, allowed};
use super::files::{self, Pem};
use super::problem::Problem;
use super::settings::Setting;
use super::values::path;

/// Files in which systems keep their trusted CAs: Debian and Alpine, Fedora, SUSE, RHEL, and OpenSSL's own
/// place, which the BSDs also use.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The variable that names a bundle to use before all of these, as in OpenSSL.
const BUNDLE: &str = "SSL_CERT_FILE";

/// One receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The receiver's server, without a base path, and the credentials for it.
    pub server: Endpoint,
    /// Path and query of the URL. It is a secret, because many receivers identify their clients by nothing
    /// else.
    pub target: Secret,
    /// How long a request may take, from the name lookup to the head of the answer.
    pub timeout: Duration,
}

/// The settings of one kind of receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) url: Setting,
    pub(super) ca: Setting,
    pub(super) token_file: Setting,
    /// Settings that have no effect without a URL.
    pub(super) others: &'static [Setting],
    /// Path that is added to the path of the URL.
    pub(super) path: &'static str,
    /// True if there may be several URLs.
    pub(super) is_list: bool,
}

/// What was set for the receivers of one kind.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// The URLs; several are joined by a comma.
    pub(super) urls: Option<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
}

impl Given {
    /// Reads the settings.
    pub(super) fn read(env: &mut Environment, settings: &Settings) -> Self {
        Self {
            urls: env.value(settings.url.key, &allowed(&settings.url)),
            ca: env.optional(&settings.ca, path),
            token_file: env.optional(&settings.token_file, path),
        }
    }

    /// Returns the receiver, if one is configured and nothing is wrong with it.
    pub(super) fn receiver(self, env: &mut Environment, settings: &Settings) -> Option<Receiver> {
        self.receivers(env, settings)?.pop()
    }

    /// Returns the receivers, if any are configured and nothing is wrong with them.
    pub(super) fn receivers(
        self,
        env: &mut Environment,
        settings: &Settings,
    ) -> Option<Vec<Receiver>> {
        let Some(urls) = &self.urls else {
            self.warn_without_url(env, settings);
            return None;
        };
        let key = &settings.url;
        let wrong = |wrong| Problem::unset(key.key, wrong, allowed(key));
        let urls: Vec<&str> = match settings.is_list {
            true => urls.split(',').map(str::trim).collect(),
            false => vec![urls],
        };
        let parsed: Result<Vec<_>, _> = urls.iter().map(|url| parse(url, settings.path)).collect();
        let parsed = env.findings.note(parsed.map_err(wrong));
        let schemes = parsed.iter().flatten().map(|(server, _)| server.scheme);
        let schemes: Vec<Scheme> = schemes.collect();
        let token = read_token(env, settings, self.token_file, &schemes);
        let trust = trust(env, settings, self.ca, &schemes);
        let (parsed, token, trust) = (parsed?, token?, trust?);
        let receiver = |(server, target): (Server, Secret)| {
            let is_plain = server.scheme == Scheme::Http;
            let trust = if is_plain { Trust::Plaintext } else { trust.clone() };
            let credentials = Credentials { token: token.clone(), client_cert: None };
            let server = Endpoint { server, tls_server_name: None, trust, credentials };
            Receiver { server, target, timeout: limits::RECEIVER_TIMEOUT }
        };
        Some(parsed.into_iter().map(receiver).collect())
    }

    fn warn_without_url(&self, env: &mut Environment, settings: &Settings) {
        // A URL that is set and unusable is a problem already.
        if env.findings.problems.iter().any(|problem| problem.key == settings.url.key) {
            return;
        }
        let mut set = vec![
            (settings.ca.key, self.ca.is_some()),
            (settings.token_file.key, self.token_file.is_some()),
        ];
        for other in settings.others {
            set.push((other.key, env.is_set(other.key)));
        }
        for (key, _) in set.iter().filter(|(_, is_set)| *is_set) {
            env.findings.warnings.push(format!(
                "{key}: the setting has no effect, because {} is not set",
                settings.url.key
            ));
        }
    }
}

/// Splits the URL into the server, and the path with the query. `added` is appended to the path. The error does not repeat
/// the URL, which is a secret with most receivers.
fn parse(url: &str, added: &str) -> Result<(Server, Secret), &'static str> {
    if url.len() > limits::RECEIVER_URL_BYTES_MAX {
        return Err("is longer than 4096 bytes");
    }
    if url.contains('#') {
        return Err("contains a fragment");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("contains spaces or characters that are not ASCII");
    }
    let host = url.find("://").map_or(0, |at| at + "://".len());
    let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
    let (server, target) = url.split_at(end);
    let server = Server::parse(server)?;
    let path_end = target.find('?').unwrap_or(target.len());
    let (path, query) = target.split_at(path_end);
    let path = if added.is_empty() { path } else { path.trim_end_matches('/') };
    let slash = if format!("{path}{added}").starts_with('/') { "" } else { "/" };
    let target = format!("{slash}{path}{added}{query}");
    match format!("{server}{target}").parse::<Uri>() {
        Ok(_) => Ok((server, Secret::new(target))),
        Err(_) => Err("has an invalid path or query"),
    }
}

fn read_token(
    env: &mut Environment,
    settings: &Settings,
    file: Option<PathBuf>,
    schemes: &[Scheme],
) -> Option<TokenSource> {
    let Some(path) = file else {
        return Some(TokenSource::None);
    };
    let read = files::require_token(&path);
    let setting = settings.token_file;
    let wrong = |wrong: String| Problem::unset(setting.key, &wrong, allowed(&setting));
    env.findings.note(read.map_err(wrong))?;
    if schemes.contains(&Scheme::Http) {
        let warning = format!(
            "{}: {} is plain HTTP: anyone on the network path can read the token; use https://",
            setting.key, settings.url.key
        );
        env.findings.warnings.push(warning);
    }
    Some(TokenSource::File { path, seed: None })
}

/// Returns what the receivers with TLS are verified with.
fn trust(
    env: &mut Environment,
    settings: &Settings,
    ca: Option<PathBuf>,
    schemes: &[Scheme],
) -> Option<Trust> {
    let is_known = !schemes.is_empty();
    if is_known && !schemes.contains(&Scheme::Https) {
        if ca.is_some() {
            let (key, url) = (settings.ca.key, settings.url.key);
            let warning = format!("{key}: the setting has no effect, because {url} is plain HTTP");
            env.findings.warnings.push(warning);
        }
        return Some(Trust::Plaintext);
    }
    let file = match ca {
        Some(file) => Ok(file),
        // If a URL is invalid, its scheme is unknown, and so is whether it needs a bundle.
        None if !is_known => return None,
        None => {
            let named = env.value(BUNDLE, "set it to a PEM file, or unset it");
            let files = named.iter().map(String::as_str).chain(BUNDLES);
            first_file(files).ok_or_else(|| "not set, and this system has no CA bundle".to_owned())
        }
    };
    let checked = file.and_then(|file| {
        files::require_pem(&file, Pem::Certificates)?;
        Ok(Trust::CaFile(file))
    });
    let wrong = |wrong: String| Problem::unset(settings.ca.key, &wrong, allowed(&settings.ca));
    env.findings.note(checked.map_err(wrong))
}

fn first_file<'a>(mut files: impl Iterator<Item = &'a str>) -> Option<PathBuf> {
    files.find(|file| Path::new(file).is_file()).map(PathBuf::from)
}

#[cfg(test)]
mod tests;
