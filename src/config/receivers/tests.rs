use super::webhook::Webhook;
use super::*;
use crate::config::settings::{WEBHOOK_CA, WEBHOOK_TOKEN_FILE, WEBHOOK_URL};
use crate::config::tests::{CERTIFICATE, Folder};

fn read_with(vars: &[(&str, &str)]) -> (Option<Webhook>, Vec<String>, Vec<String>) {
    let mut env = Environment::new(vars.iter().map(|(key, value)| (key.into(), value.into())));
    let webhook = webhook::read(&mut env);
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
        let parsed = parse(url, "").map(|(s, t)| (s.url(), t.expose().to_owned()));
        assert_eq!(parsed, Ok((server.to_owned(), target.to_owned())), "{url}");
    }
}

#[test]
fn what_the_files_for_stores_set_is_accepted() {
    let folder = Folder::new(&[("ca", CERTIFICATE)]);
    let ca = folder.text("ca");
    for (store, has_webhook, has_otlp) in
        [("clickhouse", true, false), ("victorialogs", true, true), ("loki", false, true)]
    {
        let path = format!("{}/deploy/stores/{store}/README.md", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("BLACKBOX_"));
        let vars = lines.filter_map(|line| line.split_once('=')).chain([(BUNDLE, &*ca)]);
        let mut env = Environment::new(vars.map(|(key, value)| (key.into(), value.into())));
        let (webhook, otlp) = (webhook::read(&mut env), otlp::read(&mut env));
        assert!(env.findings.problems.is_empty(), "{store}: {:?}", env.findings.problems);
        assert_eq!((webhook.is_some(), otlp.is_some()), (has_webhook, has_otlp), "{store}");
    }
}

#[test]
fn a_url_that_no_collector_has_is_refused_without_repeating_it() {
    let long = format!("https://c/{}", "secret".repeat(limits::RECEIVER_URL_BYTES_MAX / 6));
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
    assert!(format!("{}", limits::RECEIVER_URL_BYTES_MAX) == "4096", "the words name it");
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
    assert_eq!(webhook.receiver.server.trust, Trust::CaFile(folder.path("ca")));
    let file = TokenSource::File { path: folder.path("token"), seed: None };
    assert_eq!(webhook.receiver.server.credentials.token, file);

    let vars = [(WEBHOOK_URL.key, "https://c/"), (BUNDLE, &*ca)];
    let webhook = read_with(&vars).0.unwrap();
    assert_eq!(webhook.receiver.server.trust, Trust::CaFile(folder.path("ca")), "the system's");
    assert_eq!(webhook.receiver.server.credentials.token, TokenSource::None);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let folder = Folder::new(&[("ca", "x"), ("token", "a b")]);
    let (ca, token) = (folder.text("ca"), folder.text("token"));
    let files = [(WEBHOOK_CA.key, &*ca), (WEBHOOK_TOKEN_FILE.key, &*token)];
    let (webhook, problems, _) = read_with(&[(WEBHOOK_URL.key, "https://u@c"), files[0], files[1]]);
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
    assert_eq!(webhook.unwrap().receiver.server.trust, Trust::Plaintext);
}

#[test]
fn of_several_bundles_the_first_that_exists_serves() {
    let folder = Folder::new(&[("a", ""), ("b", "")]);
    let (a, b) = (folder.text("a"), folder.text("b"));
    let first = first_file(["/nowhere", &*b, &*a].into_iter());
    assert_eq!(first, Some(folder.path("b")));
    assert_eq!(first_file(["/nowhere", "/"].into_iter()), None);
}

#[test]
fn what_the_agent_appends_goes_between_path_and_query() {
    for (url, target) in [
        ("http://c", "/v1/logs"),
        ("http://c/", "/v1/logs"),
        ("http://c/otlp", "/otlp/v1/logs"),
        ("http://c/otlp//?key=1/", "/otlp/v1/logs?key=1/"),
        ("http://c?key=1", "/v1/logs?key=1"),
    ] {
        let parsed = parse(url, "/v1/logs").map(|(_, target)| target.expose().to_owned());
        assert_eq!(parsed.as_deref(), Ok(target), "{url}");
    }
}
