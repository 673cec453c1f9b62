//! Tests of the whole configuration: defaults, every mistake reported at once, and the configuration inside a
//! pod.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use super::endpoint::{Credentials, Scheme, Server, TokenSource, Trust};
use super::*;

/// Looks like a certificate until TLS parses it.
pub(super) const CERTIFICATE: &str =
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// A folder of files that is deleted when the test ends.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("config-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        for (name, content) in files {
            fs::create_dir_all(folder.path(name).parent().unwrap()).unwrap();
            fs::write(folder.path(name), content).unwrap();
        }
        folder
    }

    pub(super) fn service_account() -> Self {
        let files =
            [("token", "abc.def\n"), ("ca.crt", CERTIFICATE), ("namespace", "monitoring\n")];
        Self::new(&files)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn from_vars(vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::from_env(vars.iter().map(|(key, value)| (key.into(), value.into())))
}

/// Reads a valid environment of a pod, overridden by `vars`.
fn in_pod(folder: &Folder, vars: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let account = folder.text("");
    // `vars` come first, because the first of two values counts.
    let mut all = vars.to_vec();
    all.extend([
        ("NODE_NAME", "node-1"),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
        ("BLACKBOX_SERVICE_ACCOUNT", &account),
    ]);
    from_vars(&all)
}

#[track_caller]
fn problem_lines(result: Result<Config, ConfigErrors>) -> Vec<String> {
    result.unwrap_err().to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_pod_needs_no_more_than_its_node_name() {
    let folder = Folder::service_account();
    let config = in_pod(&folder, &[]).unwrap();
    let expected = Config {
        node_name: "node-1".to_owned(),
        cluster: None,
        pod_namespace: Some("monitoring".to_owned()),
        api_server: Endpoint {
            server: Server {
                scheme: Scheme::Https,
                host: "10.96.0.1".to_owned(),
                port: 443,
                base_path: String::new(),
            },
            tls_server_name: None,
            trust: Trust::CaFile(folder.path("ca.crt")),
            credentials: Credentials {
                token: TokenSource::File { path: folder.path("token"), seed: None },
                client_cert: None,
            },
        },
        api_timeout: Duration::from_secs(30),
        retry_interval: Duration::from_secs(5),
        watch_idle_timeout: Duration::from_secs(90),
        listen: "0.0.0.0:9464".parse().unwrap(),
        incident_file: None,
        incident_file_bytes_max: 16 * 1024 * 1024,
        state_file: None,
        recorder_file: None,
        recorder_file_bytes: 512 * 1024,
        webhook: None,
        otlp: None,
        alertmanager: None,
        lookback: Duration::from_secs(300),
        stuck_after: limits::STUCK_AFTER,
        unready_after: limits::UNREADY_AFTER,
        window: Duration::from_secs(300),
        sample_interval: Duration::from_secs(5),
        log_lines: 50,
        log_mask: true,
        pod_logs: PathBuf::from("/var/log/pods"),
        proc: PathBuf::from("/proc"),
        sys: PathBuf::from("/sys"),
        cgroup: PathBuf::from("/sys/fs/cgroup"),
        kernel_log: Vec::new(),
        pstore: None,
        ignore_namespaces: BTreeSet::new(),
        min_severity: Severity::Low,
        warnings: Vec::new(),
    };
    assert_eq!(config, expected);
}

#[test]
fn every_setting_can_be_set() {
    let folder = Folder::service_account();
    let vars = [
        ("BLACKBOX_CLUSTER", "prod-eu"),
        ("POD_NAMESPACE", "tools"),
        ("KUBECONFIG", ""),
        ("BLACKBOX_K8S_TIMEOUT", "10s"),
        ("BLACKBOX_K8S_RETRY_INTERVAL", "200ms"),
        ("BLACKBOX_WATCH_IDLE_TIMEOUT", "2m"),
        ("BLACKBOX_TLS_SERVER_NAME", "kubernetes.default.svc"),
        ("BLACKBOX_LISTEN", "[::1]:0"),
        ("BLACKBOX_INCIDENT_FILE", "/data/incidents"),
        ("BLACKBOX_INCIDENT_FILE_MAX_BYTES", "64Ki"),
        ("BLACKBOX_STATE_FILE", "/data/state"),
        ("BLACKBOX_RECORDER_FILE", "/data/recorder"),
        ("BLACKBOX_RECORDER_FILE_SIZE", "1Mi"),
        ("BLACKBOX_LOOKBACK", "0"),
        ("BLACKBOX_STUCK_AFTER", "0"),
        ("BLACKBOX_UNREADY_AFTER", "1h"),
        ("BLACKBOX_WINDOW", "1m"),
        ("BLACKBOX_SAMPLE_INTERVAL", "1m"),
        ("BLACKBOX_LOG_LINES", "0"),
        ("BLACKBOX_LOG_MASK", "false"),
        ("BLACKBOX_POD_LOGS", "/host/logs"),
        ("BLACKBOX_PROC", "/host/proc"),
        ("BLACKBOX_SYS", "/host/sys"),
        ("BLACKBOX_CGROUP", " /host/cgroup\n"),
        ("BLACKBOX_IGNORE_NAMESPACES", "dev"),
        ("BLACKBOX_MIN_SEVERITY", "high"),
        ("RUST_LOG", "debug"),
    ];
    let config = in_pod(&folder, &vars).unwrap();
    assert_eq!(config.cluster.as_deref(), Some("prod-eu"));
    assert_eq!(config.node().cluster, config.cluster);
    assert_eq!(config.pod_namespace.as_deref(), Some("tools"));
    assert_eq!(config.api_timeout, Duration::from_secs(10));
    assert_eq!(config.retry_interval, Duration::from_millis(200));
    assert_eq!(config.watch_idle_timeout, Duration::from_secs(120));
    assert_eq!(config.api_server.tls_server_name.as_deref(), Some("kubernetes.default.svc"));
    assert_eq!(config.listen, "[::1]:0".parse().unwrap());
    assert_eq!(config.incident_file.as_deref(), Some(Path::new("/data/incidents")));
    assert_eq!(config.incident_file_bytes_max, 65536);
    assert_eq!(config.state_file.as_deref(), Some(Path::new("/data/state")));
    assert_eq!(config.recorder_file.as_deref(), Some(Path::new("/data/recorder")));
    assert_eq!(config.recorder_file_bytes, 1 << 20);
    assert_eq!(config.lookback, Duration::ZERO);
    assert_eq!(config.stuck_after, Duration::ZERO);
    assert_eq!(config.unready_after, Duration::from_secs(3600));
    assert_eq!((config.window, config.sample_interval), (Duration::from_secs(60), config.window));
    assert_eq!(config.log_lines, 0);
    assert!(!config.log_mask);
    assert_eq!(config.pod_logs, Path::new("/host/logs"));
    assert_eq!(config.proc, Path::new("/host/proc"));
    assert_eq!(config.sys, Path::new("/host/sys"));
    assert_eq!(config.cgroup, Path::new("/host/cgroup"));
    assert_eq!(config.ignore_namespaces, BTreeSet::from(["dev".to_owned()]));
    assert_eq!(config.min_severity, Severity::High);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn an_empty_value_is_an_unset_one() {
    let folder = Folder::service_account();
    let read_elsewhere = ["NODE_NAME", "BLACKBOX_SERVICE_ACCOUNT"];
    let keys = SETTINGS.iter().map(|setting| setting.key);
    let empty: Vec<_> =
        keys.filter(|key| !read_elsewhere.contains(key)).map(|key| (key, "")).collect();
    assert_eq!(in_pod(&folder, &empty), in_pod(&folder, &[]));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let folder = Folder::service_account();
    let vars = [
        ("NODE_NAME", "Node 1"),
        ("BLACKBOX_CLUSTER", "prod\teu"),
        ("BLACKBOX_K8S_TIMEOUT", "30"),
        ("BLACKBOX_LISTEN", "localhost:9464"),
        ("BLACKBOX_INCIDENT_FILE_MAX_BYTES", "2Gi"),
        ("BLACKBOX_LOOKBACK", "5 minutes"),
        ("BLACKBOX_STUCK_AFTER", "25h"),
        ("BLACKBOX_UNREADY_AFTER", "10"),
        ("BLACKBOX_LOG_LINES", "many"),
        ("BLACKBOX_LOG_MASK", "no"),
        ("BLACKBOX_IGNORE_NAMESPACES", "a,B"),
        ("BLACKBOX_MIN_SEVERITY", "Low"),
    ];
    let expected = r#"NODE_NAME="Node 1": not a DNS-1123 subdomain; allowed: a node name (lowercase letters, digits, '-' and '.'); required
BLACKBOX_CLUSTER="prod\teu": contains a control character; allowed: a name of at most 253 bytes, without control characters
BLACKBOX_K8S_TIMEOUT="30": not a duration: a number needs a unit; allowed: 1s to 5m, written like 90s, 5m or 1h30m
BLACKBOX_LISTEN="localhost:9464": not an address and a port; allowed: an IP address and a port, written like 0.0.0.0:9464, [::]:9464 or :9464
BLACKBOX_INCIDENT_FILE_MAX_BYTES="2Gi": out of range; allowed: 64Ki to 1Gi, in bytes or written like 512Ki, 16Mi or 1Gi
BLACKBOX_LOOKBACK="5 minutes": not a duration; allowed: 0s to 24h, written like 90s, 5m or 1h30m
BLACKBOX_STUCK_AFTER="25h": out of range; allowed: 0s to 24h, written like 90s, 5m or 1h30m
BLACKBOX_UNREADY_AFTER="10": not a duration: a number needs a unit; allowed: 0s to 24h, written like 90s, 5m or 1h30m
BLACKBOX_LOG_LINES="many": not a whole number; allowed: 0 to 500
BLACKBOX_LOG_MASK="no": neither true nor false; allowed: true or false
BLACKBOX_IGNORE_NAMESPACES="a,B": "B" is not a DNS-1123 label; allowed: up to 256 namespace names, separated by ','
BLACKBOX_MIN_SEVERITY="Low": not a severity; allowed: critical, high, medium or low"#;
    assert_eq!(in_pod(&folder, &vars).unwrap_err().to_string(), expected);
}

#[test]
fn a_node_name_is_required() {
    let folder = Folder::service_account();
    let lines = problem_lines(in_pod(&folder, &[("NODE_NAME", " ")]));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("NODE_NAME: not set; allowed: a node name"), "{lines:?}");
}

#[test]
fn every_setting_is_read_and_has_to_be_utf8() {
    let folder = Folder::service_account();
    for Setting { key, .. } in SETTINGS {
        let vars = [
            (key.into(), OsString::from_vec(vec![0xff])),
            ("NODE_NAME".into(), "node-1".into()),
            ("KUBERNETES_SERVICE_HOST".into(), "10.96.0.1".into()),
            ("KUBERNETES_SERVICE_PORT".into(), "443".into()),
            ("BLACKBOX_SERVICE_ACCOUNT".into(), folder.text("").into()),
        ];
        let lines = problem_lines(Config::from_env(vars));
        assert!(lines[0].starts_with(&format!("{key}: not UTF-8; allowed: ")), "{lines:?}");
    }
}

#[test]
fn the_ranges_in_the_table_are_those_of_the_limits() {
    let folder = Folder::service_account();
    // The last two columns are just out of range: by a nanosecond, a byte or a line.
    for (key, least, most, under, over) in [
        ("BLACKBOX_K8S_TIMEOUT", "1s", "5m", "0.999999999s", "5m1ns"),
        ("BLACKBOX_K8S_RETRY_INTERVAL", "100ms", "5m", "99.999999ms", "5m1ns"),
        ("BLACKBOX_WATCH_IDLE_TIMEOUT", "1s", "10m", "0.999999999s", "10m1ns"),
        ("BLACKBOX_INCIDENT_FILE_MAX_BYTES", "64Ki", "1Gi", "65535", "1073741825"),
        ("BLACKBOX_LOOKBACK", "0s", "24h", "-1ns", "24h1ns"),
        ("BLACKBOX_STUCK_AFTER", "0s", "24h", "-1ns", "24h1ns"),
        ("BLACKBOX_UNREADY_AFTER", "0s", "24h", "-1ns", "24h1ns"),
        ("BLACKBOX_ALERT_DURATION", "1m", "24h", "59.999999999s", "24h1ns"),
        ("BLACKBOX_WINDOW", "1s", "1h", "0.999999999s", "1h1ns"),
        ("BLACKBOX_SAMPLE_INTERVAL", "1s", "1m", "0.999999999s", "1m1ns"),
        ("BLACKBOX_LOG_LINES", "0", "500", "-1", "501"),
    ] {
        let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        assert!(setting.allowed.starts_with(&format!("{least} to {most}")), "{setting:?}");
        for (value, ok) in [(least, true), (most, true), (under, false), (over, false)] {
            // Keeps the limits that window and sample interval set each other out of this test.
            let pair = match key {
                "BLACKBOX_WINDOW" if value == most => ("BLACKBOX_SAMPLE_INTERVAL", "1m"),
                "BLACKBOX_WINDOW" => ("BLACKBOX_SAMPLE_INTERVAL", "1s"),
                _ => ("RUST_LOG", ""),
            };
            let result = in_pod(&folder, &[(key, value), pair]);
            assert_eq!(result.is_ok(), ok, "{key}={value}");
        }
    }
    let namespaces = SETTINGS.iter().find(|s| s.key == "BLACKBOX_IGNORE_NAMESPACES").unwrap();
    assert!(namespaces.allowed.contains(&limits::IGNORED_NAMESPACES_MAX.to_string()));
    let cluster = SETTINGS.iter().find(|s| s.key == "BLACKBOX_CLUSTER").unwrap();
    assert!(cluster.allowed.contains(&limits::CLUSTER_BYTES_MAX.to_string()));
}

#[test]
fn the_table_is_fit_for_documentation() {
    for (index, setting) in SETTINGS.iter().enumerate() {
        assert!(!setting.allowed.is_empty() && !setting.meaning.is_empty(), "{setting:?}");
        let texts = [setting.default, setting.allowed, setting.meaning];
        assert!(texts.iter().all(|text| !text.contains(['\n', '|'])), "{setting:?}");
        assert!(!SETTINGS[..index].iter().any(|earlier| earlier.key == setting.key), "{setting:?}");
    }
}

#[test]
fn window_and_sample_interval_fit_together() {
    let folder = Folder::service_account();
    for (window, interval, wrong) in [
        ("1m", "1m", ""),
        ("5m", "1s", ""),
        ("1h", "12s", ""),
        ("59s", "1m", "shorter than BLACKBOX_SAMPLE_INTERVAL=\"1m\"; allowed: 1 to 300 sample"),
        ("1s", "", "shorter than BLACKBOX_SAMPLE_INTERVAL=\"5s\"; allowed: 1 to 300 sample"),
        ("1h", "11s", "more than 300 times BLACKBOX_SAMPLE_INTERVAL=\"11s\"; allowed: 1 to 300"),
    ] {
        let vars = [("BLACKBOX_WINDOW", window), ("BLACKBOX_SAMPLE_INTERVAL", interval)];
        let shown = in_pod(&folder, &vars).map_or_else(|errors| errors.to_string(), |_| "".into());
        if wrong.is_empty() {
            assert_eq!(shown, "", "{vars:?}");
        } else {
            assert!(shown.starts_with(&format!("BLACKBOX_WINDOW={window:?}: {wrong}")), "{shown}");
        }
    }
}

#[test]
fn the_recorder_file_is_a_file_of_its_own_and_of_a_size_that_is_allowed() {
    let folder = Folder::service_account();
    for other in ["BLACKBOX_INCIDENT_FILE", "BLACKBOX_STATE_FILE"] {
        let vars = [(other, "/data/x"), ("BLACKBOX_RECORDER_FILE", "/data/x")];
        let lines = problem_lines(in_pod(&folder, &vars));
        let start = format!(r#"BLACKBOX_RECORDER_FILE="/data/x": the same file as {other};"#);
        assert!(lines.len() == 1 && lines[0].starts_with(&start), "{lines:?}");
    }
    for (size, want) in
        [("64Ki", true), ("65535", false), ("4Mi", true), ("4194305", false), ("0", false)]
    {
        let vars = [("BLACKBOX_RECORDER_FILE_SIZE", size)];
        assert_eq!(in_pod(&folder, &vars).is_ok(), want, "{size}");
    }
}

#[test]
fn one_file_cannot_hold_both_incidents_and_state() {
    let folder = Folder::service_account();
    let vars = [("BLACKBOX_INCIDENT_FILE", "/data/x"), ("BLACKBOX_STATE_FILE", "/data/x")];
    let lines = problem_lines(in_pod(&folder, &vars));
    assert_eq!(
        lines,
        [
            r#"BLACKBOX_STATE_FILE="/data/x": the same file as BLACKBOX_INCIDENT_FILE; allowed: a file other than BLACKBOX_INCIDENT_FILE"#
        ]
    );
}

#[test]
fn a_typing_error_in_a_name_is_warned_about() {
    let folder = Folder::service_account();
    let vars = [
        ("BLACKBOX_LOOKBAK", "5m"),
        ("BLACKBOX_SERVICE_HOST", "10.0.0.7"),
        ("BLACKBOX_DAEMON_PORT_9464_TCP_ADDR", "10.0.0.7"),
        ("PATH", "/bin"),
    ];
    let warnings = in_pod(&folder, &vars).unwrap().warnings;
    assert_eq!(
        warnings,
        ["BLACKBOX_LOOKBAK: this version has no such setting; the agent ignores it; did you mean \
          BLACKBOX_LOOKBACK?"]
    );
}

#[test]
fn an_idle_timeout_below_the_pace_of_bookmarks_is_warned_about() {
    let folder = Folder::service_account();
    for (value, warned) in [("64s", true), ("65s", false), ("90s", false)] {
        let config = in_pod(&folder, &[("BLACKBOX_WATCH_IDLE_TIMEOUT", value)]).unwrap();
        assert_eq!(!config.warnings.is_empty(), warned, "{value}: {:?}", config.warnings);
    }
}

#[test]
fn outside_a_pod_one_line_says_what_to_do() {
    let lines = problem_lines(from_vars(&[("NODE_NAME", "node-1")]));
    assert_eq!(
        lines,
        [
            "KUBERNETES_SERVICE_HOST: not set; Kubernetes sets it in every pod: run the agent in a pod, or set \
          KUBECONFIG"
        ]
    );
}

#[test]
fn the_service_address_is_checked() {
    let folder = Folder::service_account();
    for (host, port, shown) in [
        ("10.96.0.1", "6443", "https://10.96.0.1:6443"),
        ("fd00::1", "443", "https://[fd00::1]:443"),
        ("kubernetes.default.svc", "443", "https://kubernetes.default.svc:443"),
    ] {
        let vars = [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)];
        assert_eq!(in_pod(&folder, &vars).unwrap().api_server.server.url(), shown);
    }
    for (host, port, start) in [
        ("", "443", "KUBERNETES_SERVICE_HOST: not set"),
        ("10.96.0.1", "", "KUBERNETES_SERVICE_PORT: not set"),
        ("10.96.0.1", "0", "KUBERNETES_SERVICE_PORT=\"0\": not a port"),
        ("10.96.0.1", "https", "KUBERNETES_SERVICE_PORT=\"https\": not a port"),
        ("[fd00::1]", "443", "KUBERNETES_SERVICE_HOST=\"[fd00::1]\": neither"),
    ] {
        let vars = [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)];
        let lines = problem_lines(in_pod(&folder, &vars));
        assert!(lines.len() == 1 && lines[0].starts_with(start), "{lines:?}");
    }
}

#[test]
fn a_service_account_without_its_files_is_a_problem_with_a_remedy() {
    let big = "a".repeat(limits::CONFIG_FILE_BYTES_MAX + 1);
    let none = "No such file";
    for (files, wrong) in [
        (vec![], vec![("token", none), ("ca.crt", none)]),
        (vec![("token", "abc")], vec![("ca.crt", none)]),
        (vec![("token", ""), ("ca.crt", CERTIFICATE)], vec![("token", "is empty")]),
        (
            vec![("token", "a b"), ("ca.crt", CERTIFICATE)],
            vec![("token", "does not contain a token")],
        ),
        (vec![("token", "abc"), ("ca.crt", "x")], vec![("ca.crt", "contains no certificate")]),
        (vec![("token", &*big), ("ca.crt", CERTIFICATE)], vec![("token", "larger than 1048576")]),
        (vec![("token/x", ""), ("ca.crt", CERTIFICATE)], vec![("token", "directory")]),
    ] {
        let folder = Folder::new(&files);
        let lines = problem_lines(in_pod(&folder, &[]));
        assert_eq!(lines.len(), wrong.len(), "{lines:?}");
        for (line, (file, wrong)) in lines.iter().zip(wrong) {
            assert!(line.starts_with("BLACKBOX_SERVICE_ACCOUNT="), "{line}");
            assert!(line.contains(&format!("{:?}", folder.path(file))), "{line}");
            assert!(line.contains(wrong), "{line}");
            assert!(line.contains("automountServiceAccountToken"), "{line}");
        }
    }
}

#[test]
fn a_namespace_file_that_is_missing_or_odd_is_passed_over() {
    for namespace in ["", "Not A Name", "\u{e9}"] {
        let files = [("token", "abc"), ("ca.crt", CERTIFICATE), ("namespace", namespace)];
        let count = if namespace.is_empty() { 2 } else { 3 };
        let folder = Folder::new(&files[..count]);
        assert_eq!(in_pod(&folder, &[]).unwrap().pod_namespace, None);
    }
}

#[test]
fn the_commands_settings_are_checked_by_the_same_rules() {
    let read = |pairs: &[(&str, &str)]| {
        let os = |text: &str| OsString::from(text);
        CommandConfig::from_env(pairs.iter().map(|(key, value)| (os(key), os(value))))
    };
    let listen = "0.0.0.0:9464".parse().ok();
    assert_eq!(read(&[]).unwrap(), CommandConfig { listen, ..CommandConfig::default() });
    assert!(read(&[("BLACKBOX_LISTEN", "nonsense")]).is_err());
    let both = read(&[("NODE_NAME", " edge-7\n"), ("BLACKBOX_INCIDENT_FILE", "/var/i")]).unwrap();
    assert_eq!(both.node_name.as_deref(), Some("edge-7"));
    assert_eq!(both.incident_file, Some(PathBuf::from("/var/i")));
    let problems = read(&[("NODE_NAME", "no name")]).unwrap_err().problems;
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("NODE_NAME"), "{}", problems[0]);
}
