//! Kubeconfigs as people have them. Most are JSON, so that they run in builds with and without YAML.

use super::decoded;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::Config;
use crate::config::endpoint::{
    ClientCert, Credentials, Endpoint, PemSource, Scheme, Secret, Server, TokenSource, Trust,
};
use crate::config::problem::Findings;
use crate::config::tests::{CERTIFICATE, Folder};
use crate::limits;

/// [`CERTIFICATE`] in base64.
const CERTIFICATE_DATA: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElG\
                                SUNBVEUtLS0tLQo=";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
/// [`KEY`] in base64.
const KEY_DATA: &str =
    "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCkFBQUEKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo=";

/// Returns a kubeconfig with one context and these fields for its cluster and its user.
fn config(cluster: &str, user: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "main", "preferences": {{}},
            "contexts": [{{"name": "main", "context": {{"cluster": "home", "user": "me"}}}}],
            "clusters": [{{"name": "home", "cluster": {{{cluster}}}}}],
            "users": [{{"name": "me", "user": {{{user}}}}}]}}"#
    )
}

/// Returns the fields of a valid cluster, for tests of users.
fn good_cluster() -> String {
    format!(
        r#""server": "https://10.0.0.1:6443", "certificate-authority-data": "{CERTIFICATE_DATA}""#
    )
}

fn load(folder: &Folder, names: &[&str]) -> (Option<Endpoint>, Findings) {
    let list: Vec<_> = names.iter().map(|name| folder.text(name)).collect();
    let mut findings = Findings::default();
    let cluster = super::api_server(&list.join(":"), &mut findings);
    (cluster, findings)
}

#[track_caller]
fn good(files: &[(&str, &str)]) -> (Endpoint, Vec<String>) {
    let folder = Folder::new(files);
    let (cluster, findings) = load(&folder, &["config"]);
    assert_eq!(findings.problems, []);
    (cluster.unwrap(), findings.warnings)
}

/// Returns the problems, without the name of the file that each of them starts with.
#[track_caller]
fn bad(files: &[(&str, &str)]) -> Vec<String> {
    let folder = Folder::new(files);
    let (_, findings) = load(&folder, &["config"]);
    let start = format!("KUBECONFIG={:?}: ", folder.text("config"));
    let lines = findings.problems.iter().map(|problem| {
        let line = problem.to_string();
        assert!(!line.contains("hunter2"), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        line.strip_prefix(&start).unwrap_or_else(|| panic!("{line}")).to_owned()
    });
    lines.collect()
}

#[test]
fn a_context_leads_to_a_server_and_its_credentials() {
    let cluster = format!(r#"{}, "tls-server-name": "kubernetes""#, good_cluster());
    let text = config(&cluster, r#""token": "hunter2""#);
    let (cluster, warnings) = good(&[("config", &text)]);
    let expected = Endpoint {
        server: Server {
            scheme: Scheme::Https,
            host: "10.0.0.1".to_owned(),
            port: 6443,
            base_path: String::new(),
        },
        tls_server_name: Some("kubernetes".to_owned()),
        trust: Trust::CaData(CERTIFICATE.as_bytes().to_vec()),
        credentials: Credentials {
            token: TokenSource::Inline(Secret::new("hunter2")),
            client_cert: None,
        },
    };
    assert_eq!(cluster, expected);
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn paths_start_from_the_folder_of_the_file() {
    let text = config(
        r#""server": "https://h", "certificate-authority": "pki/ca.crt""#,
        r#""tokenFile": "../token", "client-certificate": "pki/me.crt", "client-key": "pki/me.key""#,
    );
    let folder = Folder::new(&[
        ("token", "hunter2"),
        ("kube/config", &text),
        ("kube/pki/ca.crt", CERTIFICATE),
        ("kube/pki/me.crt", CERTIFICATE),
        ("kube/pki/me.key", KEY),
    ]);
    let (cluster, findings) = load(&folder, &["kube/config"]);
    assert_eq!(findings.problems, []);
    let Endpoint { trust, credentials, .. } = cluster.unwrap();
    assert_eq!(trust, Trust::CaFile(folder.path("kube/pki/ca.crt")));
    let path = folder.path("kube/../token");
    assert_eq!(credentials.token, TokenSource::File { path, seed: None });
    let client_cert = ClientCert {
        certificate: PemSource::File(folder.path("kube/pki/me.crt")),
        key: PemSource::File(folder.path("kube/pki/me.key")),
    };
    assert_eq!(credentials.client_cert, Some(client_cert));
}

#[test]
fn an_absolute_path_stays_as_it_is() {
    let other = Folder::new(&[("ca.crt", CERTIFICATE)]);
    let ca = other.text("ca.crt");
    let cluster = format!(r#""server": "https://h", "certificate-authority": {ca:?}"#);
    let (cluster, _) = good(&[("config", &config(&cluster, ""))]);
    assert_eq!(cluster.trust, Trust::CaFile(PathBuf::from(ca)));
}

#[test]
fn data_wins_over_a_file() {
    let user = format!(
        r#""client-certificate": "none", "client-certificate-data": "{CERTIFICATE_DATA}",
           "client-key": "none", "client-key-data": "{KEY_DATA}""#
    );
    let cluster = format!(r#"{}, "certificate-authority": "none""#, good_cluster());
    let (cluster, _) = good(&[("config", &config(&cluster, &user))]);
    assert_eq!(cluster.trust, Trust::CaData(CERTIFICATE.as_bytes().to_vec()));
    let client_cert = ClientCert {
        certificate: PemSource::Data(CERTIFICATE.as_bytes().to_vec()),
        key: PemSource::Data(KEY.as_bytes().to_vec()),
    };
    assert_eq!(cluster.credentials.client_cert, Some(client_cert));
}

#[test]
fn a_token_beside_a_token_file_is_its_seed() {
    let text = config(&good_cluster(), r#""token": "hunter2", "tokenFile": "later""#);
    let folder = Folder::new(&[("config", &text)]);
    let (cluster, _) = load(&folder, &["config"]);
    let source =
        TokenSource::File { path: folder.path("later"), seed: Some(Secret::new("hunter2")) };
    assert_eq!(cluster.unwrap().credentials.token, source);
}

#[test]
fn null_and_empty_mean_absent() {
    let text = format!(
        r#"{{"kind": null, "current-context": "main", "preferences": null,
            "contexts": [null, {{"name": "main", "context": {{"cluster": "home", "user": null}}}}],
            "clusters": [{{"name": "x", "cluster": null}}, {{"name": "home", "cluster": {{
                {}, "tls-server-name": null, "proxy-url": "", "certificate-authority": null,
                "insecure-skip-tls-verify": null}}}}],
            "users": null}}"#,
        good_cluster()
    );
    let (cluster, _) = good(&[("config", &text)]);
    assert_eq!(cluster.tls_server_name, None);
    let anonymous = Credentials { token: TokenSource::None, client_cert: None };
    assert_eq!(cluster.credentials, anonymous);

    let user = r#""token": null, "tokenFile": "", "exec": null, "auth-provider": null, "as": "",
        "as-uid": null, "as-groups": [], "as-user-extra": {}, "username": "", "password": null,
        "client-certificate": "", "client-certificate-data": null, "client-key": null"#;
    let (cluster, _) = good(&[("config", &config(&good_cluster(), user))]);
    assert_eq!(cluster.credentials, anonymous);
}

#[test]
fn what_the_agent_does_not_do_is_refused_with_a_way_out() {
    let (token, rights) = ("kubectl create token", "grant the rights to the user itself");
    for (user, field, remedy) in [
        (r#""exec": {"command": "aws", "env": null}"#, "exec", token),
        (r#""auth-provider": {"name": "oidc"}"#, "auth-provider", token),
        (r#""username": "hunter2""#, "username", token),
        (r#""password": "hunter2""#, "password", token),
        (r#""as": "admin""#, "as", rights),
        (r#""as-uid": "1""#, "as-uid", rights),
        (r#""as-groups": ["a"]"#, "as-groups", rights),
        (r#""as-user-extra": {"a": ["b"]}"#, "as-user-extra", rights),
    ] {
        let lines = bad(&[("config", &config(&good_cluster(), user))]);
        let start = format!("user \"me\" has {field}, which this agent does not support; ");
        assert!(lines.len() == 1 && lines[0].starts_with(&start), "{lines:?}");
        assert!(lines[0].contains(remedy), "{lines:?}");
    }
    let cluster = format!(r#"{}, "proxy-url": "http://proxy:3128""#, good_cluster());
    let lines = bad(&[("config", &config(&cluster, ""))]);
    assert!(lines.len() == 1 && lines[0].contains("proxy-url"), "{lines:?}");
}

#[test]
fn a_cluster_that_cannot_be_trusted_is_refused() {
    let server = r#""server": "https://h""#;
    for (cluster, wrong) in [
        (String::new(), "has an unusable server URL: the URL is missing; allowed: a URL like"),
        (
            r#""server": "https://u:hunter2@h""#.to_owned(),
            "has an unusable server URL: the URL contains a user name; allowed: a URL like",
        ),
        (
            server.to_owned(),
            "has no certificate authority, and this build contains no public root certificates; set certificate-",
        ),
        (
            format!(r#"{}, "insecure-skip-tls-verify": true"#, good_cluster()),
            "has both a certificate authority and insecure-skip-tls-verify; remove",
        ),
        (
            format!(r#"{}, "tls-server-name": "a b""#, good_cluster()),
            "has an invalid tls-server-name; allowed: a DNS name",
        ),
    ] {
        let lines = bad(&[("config", &config(&cluster, ""))]);
        let start = format!("cluster \"home\" {wrong}");
        assert!(lines.len() == 1 && lines[0].starts_with(&start), "{lines:?}");
    }
}

#[test]
fn an_unchecked_or_plain_connection_is_warned_about() {
    let text = config(r#""server": "https://h", "insecure-skip-tls-verify": true"#, "");
    let (cluster, warnings) = good(&[("config", &text)]);
    assert_eq!(cluster.trust, Trust::SkipVerification);
    assert!(warnings.len() == 1 && warnings[0].starts_with("INSECURE: "), "{warnings:?}");

    let text = config(r#""server": "http://127.0.0.1:8001""#, "");
    let (cluster, warnings) = good(&[("config", &text)]);
    assert_eq!(cluster.trust, Trust::Plaintext);
    assert!(warnings.len() == 1 && warnings[0].contains("plain HTTP"), "{warnings:?}");
}

#[test]
fn broken_credentials_are_described_and_not_shown() {
    let certificate_only = format!(r#""client-certificate-data": "{CERTIFICATE_DATA}""#);
    let key_only = format!(r#""client-key-data": "{KEY_DATA}""#);
    let swapped = format!(
        r#""client-certificate-data": "{KEY_DATA}", "client-key-data": "{CERTIFICATE_DATA}""#
    );
    let spoilt = r#""client-certificate-data": "hunter2!", "client-key-data": "hunter2""#;
    for (user, expected) in [
        (r#""token": "hunter2 hunter2""#, vec!["token does not contain a token"]),
        (r#""tokenFile": "none""#, vec!["tokenFile: cannot read"]),
        (r#""tokenFile": "empty""#, vec!["tokenFile: \""]),
        (&certificate_only, vec!["has a client-certificate without a client-key; set client-key"]),
        (&key_only, vec!["has a client-key without a client-certificate; set client-certificate"]),
        (
            &swapped,
            vec![
                "client-certificate-data contains no certificate",
                "client-key-data contains no private",
            ],
        ),
        (spoilt, vec!["client-certificate-data is not base64", "client-key-data is not base64"]),
        (r#""client-key": "none""#, vec!["client-key cannot be used: cannot read"]),
    ] {
        let lines = bad(&[("empty", " \n"), ("config", &config(&good_cluster(), user))]);
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with("user \"me\"") && line.contains(expected), "{line}");
        }
    }
}

#[test]
fn all_problems_of_a_context_are_told() {
    let user = r#""exec": {}, "token": "a b", "client-key": "none""#;
    let lines = bad(&[("config", &config(r#""server": "h", "proxy-url": "p""#, user))]);
    assert_eq!(lines.len(), 5, "{lines:?}");
}

#[test]
fn a_wrong_reference_names_what_exists() {
    let text = config(&good_cluster(), "");
    for (from, to, expected) in [
        (
            r#""current-context": "main""#,
            r#""current-context": "mian""#,
            r#"current-context "mian" does not exist; the contexts are "main"; choose another"#,
        ),
        (
            r#""current-context": "main""#,
            r#""current-context": """#,
            r#"no current-context; the contexts are "main"; choose one"#,
        ),
        (
            r#""cluster": "home""#,
            r#""cluster": "away""#,
            r#"context "main" names cluster "away", which does not exist; the clusters are "home"; "#,
        ),
        (
            r#""cluster": "home", "user""#,
            r#""user""#,
            r#"context "main" names no cluster; the clusters are "home"; correct the cluster"#,
        ),
        (
            r#""user": "me"}}]"#,
            r#""user": "you"}}]"#,
            r#"context "main" names user "you", which does not exist; the users are "me"; correct"#,
        ),
    ] {
        let lines = bad(&[("config", &text.replace(from, to))]);
        assert!(lines.len() == 1 && lines[0].starts_with(expected), "{lines:?}");
    }
    assert!(bad(&[("config", "{}")])[0].starts_with("no current-context; there are no contexts"));
}

#[test]
fn a_list_of_names_ends() {
    let count = limits::NAMES_SHOWN_MAX + 3;
    let contexts: Vec<_> = (0..count).map(|n| format!(r#"{{"name": "c{n}"}}"#)).collect();
    let text = format!(r#"{{"contexts": [{}]}}"#, contexts.join(","));
    let lines = bad(&[("config", &text)]);
    assert!(lines[0].contains(r#""c11" and 3 more; "#), "{lines:?}");
}

#[test]
fn several_files_are_merged_with_the_first_winning() {
    let folder = Folder::new(&[
        ("empty", ""),
        ("a", r#"{"users": [{"name": "me", "user": {"token": "from-a"}}]}"#),
        (
            "b/config",
            r#"{"current-context": "main",
                "clusters": [{"name": "home", "cluster": {"server": "https://b",
                    "certificate-authority": "ca.crt"}}]}"#,
        ),
        ("b/ca.crt", CERTIFICATE),
        (
            "c",
            r#"{"current-context": "other",
                "contexts": [{"name": "main", "context": {"cluster": "home", "user": "me"}}],
                "clusters": [{"name": "home", "cluster": {"server": "https://c"}}],
                "users": [{"name": "me", "user": {"token": "from-c"}}]}"#,
        ),
    ]);
    let (cluster, findings) = load(&folder, &["missing", "empty", "a", "b/config", "c"]);
    assert_eq!(findings.problems, []);
    let cluster = cluster.unwrap();
    assert_eq!(cluster.server.url(), "https://b:443");
    assert_eq!(cluster.trust, Trust::CaFile(folder.path("b/ca.crt")));
    assert_eq!(cluster.credentials.token, TokenSource::Inline(Secret::new("from-a")));
}

#[test]
fn a_list_without_any_file_is_a_problem() {
    let folder = Folder::new(&[]);
    let (cluster, findings) = load(&folder, &["missing", "gone"]);
    assert_eq!(cluster, None);
    assert_eq!(findings.problems.len(), 1);
    assert!(findings.problems[0].to_string().contains("no such file; set it to a kubeconfig file"));

    let many = vec!["x"; limits::KUBECONFIG_FILES_MAX + 1];
    let (_, findings) = load(&folder, &many);
    assert!(findings.problems[0].to_string().contains("too many files; allowed: up to 16"));
}

#[test]
fn a_file_that_is_no_kubeconfig_is_placed_and_not_quoted() {
    let big = " ".repeat(limits::CONFIG_FILE_BYTES_MAX + 1);
    for (text, expected) in [
        (r#"{"kind": "Secret"}"#, "is of kind \"Secret\", not Config"),
        ("{\n\"users\": \"hunter2\"}", "not a valid kubeconfig: error at line 2, column "),
        ("{\"token\": \"hunter2\"", "not a valid kubeconfig: error at line 1, column "),
        (&big, "cannot be read: larger than 1048576 bytes"),
    ] {
        let lines = bad(&[("config", text)]);
        assert!(lines.len() == 1 && lines[0].starts_with(expected), "{lines:?}");
    }
    let lines = bad(&[("config/x", "")]);
    assert!(lines.len() == 1 && lines[0].starts_with("cannot be read: "), "{lines:?}");
}

#[test]
fn a_field_that_occurs_twice_or_has_a_wrong_form_is_placed_and_not_quoted() {
    for (cluster, user) in [
        ("", r#""token": "hunter2", "token": "hunter2""#),
        ("", r#""token": null, "token": "hunter2""#),
        ("", r#""token": ["hunter2"]"#),
        ("", r#""as-groups": {"hunter2": 1}"#),
        ("", r#""as-user-extra": ["hunter2"]"#),
        (r#""insecure-skip-tls-verify": ["hunter2"]"#, ""),
    ] {
        let lines = bad(&[("config", &config(cluster, user))]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let place = lines[0].strip_prefix("not a valid kubeconfig: error at line ").unwrap();
        assert!(place.starts_with(['2', '3', '4']), "{lines:?}");
    }
}

#[test]
fn the_environment_leads_to_the_kubeconfig_and_its_server_name_wins() {
    let cluster = format!(r#"{}, "tls-server-name": "from-file""#, good_cluster());
    let folder = Folder::new(&[("config", &config(&cluster, "")), ("namespace", "tools")]);
    let mut vars = BTreeMap::from([
        ("NODE_NAME", "node-1".to_owned()),
        ("KUBECONFIG", folder.text("config")),
        // Read for the namespace only.
        ("BLACKBOX_SERVICE_ACCOUNT", folder.text("")),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1".to_owned()),
        ("KUBERNETES_SERVICE_PORT", "443".to_owned()),
    ]);
    let read = |vars: &BTreeMap<&str, String>| {
        Config::from_env(vars.iter().map(|(key, value)| (key.into(), value.into()))).unwrap()
    };
    let config = read(&vars);
    assert_eq!(config.api_server.server.host, "10.0.0.1");
    assert_eq!(config.api_server.tls_server_name.as_deref(), Some("from-file"));
    assert_eq!(config.pod_namespace.as_deref(), Some("tools"));
    vars.insert("BLACKBOX_TLS_SERVER_NAME", "from-env".to_owned());
    assert_eq!(read(&vars).api_server.tls_server_name.as_deref(), Some("from-env"));
}

#[cfg(not(feature = "kubeconfig"))]
#[test]
fn a_build_without_yaml_says_so() {
    let lines = bad(&[("config", "apiVersion: v1\nkind: Config\n")]);
    assert!(lines.len() == 1 && lines[0].starts_with("not JSON, and this build reads only JSON "));
}

#[cfg(feature = "kubeconfig")]
mod yaml {
    use super::*;

    #[test]
    fn a_yaml_file_as_kubectl_writes_it_is_read() {
        let text = format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: \
             {CERTIFICATE_DATA}\n    server: https://[fd00::1]:6443\n  name: kind-kind\ncontexts:\n\
             - context:\n    cluster: kind-kind\n    user: kind-kind\n  name: kind-kind\n\
             current-context: kind-kind\nkind: Config\npreferences: {{}}\nusers:\n- name: \
             kind-kind\n  user:\n    client-certificate-data: {CERTIFICATE_DATA}\n    \
             client-key-data: |\n      {}\n      {}\n",
            &KEY_DATA[..40],
            &KEY_DATA[40..],
        );
        let (cluster, _) = good(&[("config", &text)]);
        assert_eq!(cluster.server.host, "fd00::1");
        let key = cluster.credentials.client_cert.unwrap().key;
        assert_eq!(key, PemSource::Data(KEY.as_bytes().to_vec()));
    }

    #[test]
    fn yaml_oddities_are_read_as_kubectl_reads_them() {
        let text = "---\n# a comment\n\ncurrent-context: \"main\"\ncontexts:\n  - name: main\n    \
                    context: {cluster: home, user: ~}\nclusters:\n  - name: home\n    cluster:\n      \
                    server: 'https://h'\n      insecure-skip-tls-verify: yes\n      proxy-url:\n\
                    users:\nextensions: [{a: b}, ~]\n";
        let (cluster, _) = good(&[("config", text)]);
        assert_eq!(cluster.trust, Trust::SkipVerification);

        let text = config(&good_cluster(), "").replace('"', "");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
        let (cluster, _) = good(&[("config", &text)]);
        assert_eq!(cluster.server.host, "10.0.0.1");
    }

    #[test]
    fn broken_yaml_is_placed_and_not_quoted() {
        for text in [
            "users:\n- name: me\n  user:\n    token: [hunter2]\n",
            "users: hunter2\n",
            "users:\n\t- hunter2\n",
            "current-context: a\ncurrent-context: hunter2\n",
            "hunter2",
            "a: &a [*a, hunter2]",
        ] {
            let lines = bad(&[("config", text)]);
            assert!(lines.len() == 1, "{text:?}: {lines:?}");
        }
    }

    #[test]
    fn a_yaml_bomb_ends_early() {
        let mut text = "a: &a0 [x]\n".to_owned();
        for level in 0..40 {
            let refs = vec![format!("*a{level}"); 10].join(", ");
            text.push_str(&format!("b{level}: &a{} [{refs}]\n", level + 1));
        }
        assert_eq!(bad(&[("config", &text)]).len(), 1);
    }
}

/// With the parser's own limits the first file took eight seconds and the second one half a gigabyte.
#[cfg(feature = "kubeconfig")]
#[test]
fn aliases_of_aliases_are_refused_before_they_grow() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/kubeconfig/");
    for file in ["alias_bomb.yaml", "merge_bomb.yaml"] {
        let text = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
        let problems = bad(&[("config", &text)]);
        assert!(problems[0].starts_with("not a valid kubeconfig: error at"), "{problems:?}");
    }
}

#[cfg(feature = "kubeconfig")]
#[test]
fn a_few_aliases_and_merges_are_read() {
    let text = "
current-context: main
shared: &tls {server: 'http://h', tls-server-name: kubernetes}
clusters: [{name: home, cluster: {<<: *tls, server: 'http://other'}}]
contexts: [{name: main, context: &home {cluster: home}}, {name: copy, context: *home}]
";
    let (cluster, _) = good(&[("config", text)]);
    assert_eq!(cluster.server.url(), "http://other:80");
    assert_eq!(cluster.tls_server_name.as_deref(), Some("kubernetes"));
}

#[test]
fn data_fields_are_base64_with_white_space_in_it() {
    for (text, expected) in [
        ("", ""),
        ("Zg==", "f"),
        ("Zm8=", "fo"),
        ("Zm9v", "foo"),
        ("Zm9vYg==", "foob"),
        ("Zm9vYmE=", "fooba"),
        ("Zm9vYmFy", "foobar"),
        (" Zm9v\r\n\tYmFy\n", "foobar"),
        ("Zm9vYg=\n=", "foob"),
    ] {
        assert_eq!(decoded(text), Some(expected.as_bytes().to_vec()), "{text:?}");
    }
}

#[test]
fn a_data_field_that_is_not_base64_is_refused() {
    for text in [
        "Z",
        "Zg",
        "Zm8",
        "Zg=",
        "Zg===",
        "Zm8==",
        "Zm9v=",
        "=",
        "====",
        "Zg==Zg==",
        "Zm9-",
        "Zm9_",
        "Zm9v!",
        "Zm9v\u{e9}",
        "Zh==",
        "Zm9=",
    ] {
        assert_eq!(decoded(text), None, "{text:?}");
    }
}
