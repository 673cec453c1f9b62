//! The webhook to which incidents are posted, and the credentials that collector and agent accept from each
//! other.

use std::path::{Path, PathBuf};

use ureq::http::Uri;

use crate::limits;

use super::endpoint::{Credentials, Endpoint, Scheme, Secret, Server, TokenSource, Trust};
use super::environment::{Environment, allowed};
use super::files::{self, Pem};
use super::problem::Problem;
use super::settings::{WEBHOOK_CA, WEBHOOK_TOKEN_FILE, WEBHOOK_URL};
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

/// A collector of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The collector's server, without a base path, and the credentials for it.
    pub collector: Endpoint,
    /// Path and query of the URL. It is a secret, because many collectors identify their clients by nothing
    /// else.
    pub target: Secret,
}

/// Returns the collector, if one is configured and nothing is wrong with it.
pub(super) fn read(env: &mut Environment) -> Option<Webhook> {
    let problems = env.findings.problems.len();
    let url = env.value(WEBHOOK_URL.key, &allowed(&WEBHOOK_URL));
    let ca = env.optional(&WEBHOOK_CA, path);
    let token = env.optional(&WEBHOOK_TOKEN_FILE, path);
    let Some(url) = url else {
        if env.findings.problems.len() == problems {
            let set = [(WEBHOOK_CA.key, ca), (WEBHOOK_TOKEN_FILE.key, token)];
            for (key, _) in set.iter().filter(|(_, value)| value.is_some()) {
                let warning = format!(
                    "{key}: the setting has no effect, because {} is not set",
                    WEBHOOK_URL.key
                );
                env.findings.warnings.push(warning);
            }
        }
        return None;
    };
    let wrong = |wrong| Problem::unset(WEBHOOK_URL.key, wrong, allowed(&WEBHOOK_URL));
    let parsed = env.findings.note(parse(&url).map_err(wrong));
    let scheme = parsed.as_ref().map(|(server, _)| server.scheme);
    let token = read_token(env, token, scheme);
    let trust = trust(env, ca, scheme);
    let (server, target) = parsed?;
    let collector = Endpoint {
        server,
        tls_server_name: None,
        trust: trust?,
        credentials: Credentials { token: token?, client_cert: None },
    };
    Some(Webhook { collector, target })
}

/// Splits the URL into the server, and the path with the query. The error does not repeat the URL, which is a
/// secret with most collectors.
fn parse(url: &str) -> Result<(Server, Secret), &'static str> {
    if url.len() > limits::WEBHOOK_URL_BYTES_MAX {
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
    let slash = if target.starts_with('/') { "" } else { "/" };
    let target = format!("{slash}{target}");
    match format!("{server}{target}").parse::<Uri>() {
        Ok(_) => Ok((server, Secret::new(target))),
        Err(_) => Err("has an invalid path or query"),
    }
}

fn read_token(
    env: &mut Environment,
    file: Option<PathBuf>,
    scheme: Option<Scheme>,
) -> Option<TokenSource> {
    let Some(path) = file else {
        return Some(TokenSource::None);
    };
    let read = files::require_token(&path);
    let setting = WEBHOOK_TOKEN_FILE;
    let wrong = |wrong: String| Problem::unset(setting.key, &wrong, allowed(&setting));
    env.findings.note(read.map_err(wrong))?;
    if scheme == Some(Scheme::Http) {
        let warning = format!(
            "{}: {} is plain HTTP: anyone on the network path can read the token; use https://",
            setting.key, WEBHOOK_URL.key
        );
        env.findings.warnings.push(warning);
    }
    Some(TokenSource::File { path, seed: None })
}

fn trust(env: &mut Environment, ca: Option<PathBuf>, scheme: Option<Scheme>) -> Option<Trust> {
    if scheme == Some(Scheme::Http) {
        if ca.is_some() {
            let (key, url) = (WEBHOOK_CA.key, WEBHOOK_URL.key);
            let warning = format!("{key}: the setting has no effect, because {url} is plain HTTP");
            env.findings.warnings.push(warning);
        }
        return Some(Trust::Plaintext);
    }
    let file = match ca {
        Some(file) => Ok(file),
        // If the URL is invalid, its scheme is unknown, and so is whether it needs a bundle.
        None if scheme.is_none() => return None,
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
    let wrong = |wrong: String| Problem::unset(WEBHOOK_CA.key, &wrong, allowed(&WEBHOOK_CA));
    env.findings.note(checked.map_err(wrong))
}

fn first_file<'a>(mut files: impl Iterator<Item = &'a str>) -> Option<PathBuf> {
    files.find(|file| Path::new(file).is_file()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{CERTIFICATE, Folder};

    fn read_with(vars: &[(&str, &str)]) -> (Option<Webhook>, Vec<String>, Vec<String>) {
        let mut env = Environment::new(vars.iter().map(|(key, value)| (key.into(), value.into())));
        let webhook = read(&mut env);
        let problems = env.findings.problems.iter().map(ToString::to_string).collect();
        (webhook, problems, env.findings.warnings)
    }

    #[test]
    fn a_url_is_split_behind_its_host_and_keeps_path_and_query_as_they_are() {
        for (url, server, target) in [
            ("https://c.example.com", "https://c.example.com:443", "/"),
            ("https://c.example.com/", "https://c.example.com:443", "/"),
            ("http://127.0.0.1:8080/a/b/", "http://127.0.0.1:8080", "/a/b/"),
            ("HTTPS://[::1]:8443/a?b=c%20d&e=/f", "https://[::1]:8443", "/a?b=c%20d&e=/f"),
            ("https://c?key=1", "https://c:443", "/?key=1"),
            ("https://c//a", "https://c:443", "//a"),
        ] {
            let parsed = parse(url).map(|(s, t)| (s.url(), t.expose().to_owned()));
            assert_eq!(parsed, Ok((server.to_owned(), target.to_owned())), "{url}");
        }
    }

    #[test]
    fn a_url_that_no_collector_has_is_refused_without_repeating_it() {
        let long = format!("https://c/{}", "secret".repeat(limits::WEBHOOK_URL_BYTES_MAX / 6));
        for url in [
            "c.example.com/secret",
            "ftp://c/secret",
            "https://",
            "https:///secret",
            "https://user:secret@c/",
            "https://c/#secret",
            "https://c#secret",
            "https://c/a b?secret",
            "https://c/\u{e9}secret",
            "https://c:0/secret",
            "https://c:https/secret",
            "/secret",
            "?secret",
            &long,
        ] {
            let (webhook, problems, warnings) = read_with(&[(WEBHOOK_URL.key, url)]);
            assert_eq!((webhook, problems.len(), warnings.len()), (None, 1, 0), "{problems:?}");
            assert!(problems[0].starts_with("BLACKBOX_WEBHOOK_URL: "), "{problems:?}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
        assert!(format!("{}", limits::WEBHOOK_URL_BYTES_MAX) == "4096", "the words name it");
    }

    #[test]
    fn a_collector_has_a_ca_and_perhaps_a_token() {
        let folder = Folder::new(&[("ca", CERTIFICATE), ("token", "abc\n")]);
        let (ca, token) = (folder.text("ca"), folder.text("token"));
        let (webhook, problems, warnings) = read_with(&[
            (WEBHOOK_URL.key, "https://c/hook?key=secret"),
            (WEBHOOK_CA.key, &ca),
            (WEBHOOK_TOKEN_FILE.key, &token),
        ]);
        assert_eq!((problems.len(), warnings.len()), (0, 0), "{problems:?} {warnings:?}");
        let webhook = webhook.unwrap();
        assert!(!format!("{webhook:?}").contains("secret"));
        assert_eq!(webhook.collector.trust, Trust::CaFile(folder.path("ca")));
        let file = TokenSource::File { path: folder.path("token"), seed: None };
        assert_eq!(webhook.collector.credentials.token, file);

        let vars = [(WEBHOOK_URL.key, "https://c/"), (BUNDLE, &*ca)];
        let webhook = read_with(&vars).0.unwrap();
        assert_eq!(webhook.collector.trust, Trust::CaFile(folder.path("ca")), "the system's");
        assert_eq!(webhook.collector.credentials.token, TokenSource::None);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let folder = Folder::new(&[("ca", "x"), ("token", "a b")]);
        let (ca, token) = (folder.text("ca"), folder.text("token"));
        let files = [(WEBHOOK_CA.key, &*ca), (WEBHOOK_TOKEN_FILE.key, &*token)];
        let (webhook, problems, _) =
            read_with(&[(WEBHOOK_URL.key, "https://u@c"), files[0], files[1]]);
        assert_eq!(webhook, None);
        let starts = ["URL: contains a user name; ", "TOKEN_FILE: ", "CA: "];
        assert_eq!(problems.len(), starts.len(), "{problems:?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(&format!("BLACKBOX_WEBHOOK_{start}")), "{problem}");
        }
        let none = (WEBHOOK_CA.key, "/nowhere");
        let (_, problems, _) = read_with(&[(WEBHOOK_URL.key, "https://c"), none]);
        assert!(problems.len() == 1 && problems[0].contains("/nowhere"), "{problems:?}");
    }

    #[test]
    fn what_has_no_effect_and_what_shows_the_token_is_warned_about() {
        let folder = Folder::new(&[("ca", CERTIFICATE), ("token", "abc")]);
        let (ca, token) = (folder.text("ca"), folder.text("token"));
        let files = [(WEBHOOK_CA.key, &*ca), (WEBHOOK_TOKEN_FILE.key, &*token)];
        let (webhook, problems, warnings) = read_with(&files);
        assert_eq!((webhook, problems.len(), warnings.len()), (None, 0, 2), "{warnings:?}");
        assert!(warnings.iter().all(|w| w.contains("has no effect")), "{warnings:?}");
        let (webhook, problems, warnings) =
            read_with(&[(WEBHOOK_URL.key, "http://c/"), files[0], files[1]]);
        assert_eq!((problems.len(), warnings.len()), (0, 2), "{problems:?} {warnings:?}");
        assert!(warnings[0].contains("can read the token"), "{warnings:?}");
        assert_eq!(webhook.unwrap().collector.trust, Trust::Plaintext);
    }

    #[test]
    fn of_several_bundles_the_first_that_exists_serves() {
        let folder = Folder::new(&[("a", ""), ("b", "")]);
        let (a, b) = (folder.text("a"), folder.text("b"));
        let first = first_file(["/nowhere", &*b, &*a].into_iter());
        assert_eq!(first, Some(folder.path("b")));
        assert_eq!(first_file(["/nowhere", "/"].into_iter()), None);
    }
}
