//! The configuration: reads environment variables and returns one checked value.
//!
//! [`Config::from_env`] reads the settings of the agent, [`CommandConfig::from_env`] the few that `show` and `replay`
//! have. Both read all of them before they fail, so that one failed start shows every mistake ([`ConfigErrors`], one
//! line each). An empty value counts as unset, because manifests with an optional variable set it that way. The
//! environment contains no secrets, and none is ever shown: tokens and keys come from files.
//!
//! | file | what of `BLACKBOX_*` |
//! | --- | --- |
//! | `settings.rs` | the names, defaults and meanings ([`SETTINGS`]; docs/configuration.md and `--help` show this table) |
//! | `environment.rs` | reads one variable, and collects what is wrong |
//! | `values.rs`, `duration.rs` | parse the text of one value |
//! | this file | reads every variable: `read` |
//! | `receivers/`, `service_account.rs`, `kubeconfig/` | read what belongs to their subject |

pub mod duration;
pub mod endpoint;
mod environment;
pub(crate) mod files;
mod kubeconfig;
mod problem;
pub mod receivers;
mod service_account;
mod settings;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::case::{NodeIdentity, Severity};
use crate::limits;

use self::endpoint::Endpoint;
use self::environment::{Environment, allowed};
pub use self::problem::{ConfigErrors, Problem};
use self::receivers::alertmanager::{self, Alertmanager};
use self::receivers::otlp::{self, Otlp};
use self::receivers::webhook::{self, Webhook};
pub use self::settings::{SETTINGS, Setting};
pub use self::values::LogLevel;

/// All settings that an operator can choose, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `NODE_NAME`: the node whose pods are watched. A DNS-1123 subdomain, safe in a field selector.
    pub node_name: String,
    /// `BLACKBOX_CLUSTER`: the name of the cluster, for the incidents.
    pub cluster: Option<String>,
    /// `POD_NAMESPACE`, or else the service account's namespace: the namespace that the agent itself runs in.
    pub pod_namespace: Option<String>,
    /// The API server: from `KUBECONFIG` if that is set, or else the API server of the cluster that the pod
    /// runs in.
    pub api_server: Endpoint,
    /// `BLACKBOX_K8S_TIMEOUT`: the timeout for connecting, and for receiving the head of an answer.
    pub api_timeout: Duration,
    /// `BLACKBOX_K8S_RETRY_INTERVAL`: scales the backoff.
    pub retry_interval: Duration,
    /// `BLACKBOX_WATCH_IDLE_TIMEOUT`: how long a watch may be silent before it is closed.
    pub watch_idle_timeout: Duration,
    /// `BLACKBOX_LISTEN`: the address of the HTTP server. Port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// `BLACKBOX_INCIDENT_FILE`: the file to which incidents are written, in addition to stdout.
    pub incident_file: Option<PathBuf>,
    /// `BLACKBOX_INCIDENT_FILE_MAX_BYTES`: the size, in bytes, at which that file is rotated.
    pub incident_file_bytes_max: u64,
    /// `BLACKBOX_STATE_FILE`: the file that remembers, across restarts, what was reported.
    pub state_file: Option<PathBuf>,
    /// `BLACKBOX_RECORDER_FILE`: the file that keeps the node's last minutes.
    pub recorder_file: Option<PathBuf>,
    /// `BLACKBOX_RECORDER_FILE_SIZE`: the size of that file, in bytes.
    pub recorder_file_bytes: u64,
    /// `BLACKBOX_WEBHOOK_URL` and the settings that belong to it: a collector of incidents.
    pub webhook: Option<Webhook>,
    /// `BLACKBOX_OTLP_ENDPOINT` and the settings that belong to it: a receiver of log records.
    pub otlp: Option<Otlp>,
    /// `BLACKBOX_ALERTMANAGER_URL` and the settings that belong to it.
    pub alertmanager: Option<Alertmanager>,
    /// `BLACKBOX_LOOKBACK`: how old a crash may be when the agent starts. May be zero.
    pub lookback: Duration,
    /// `BLACKBOX_STUCK_AFTER`: how long a pod may take to start or to go. Zero: it is not reported.
    pub stuck_after: Duration,
    /// `BLACKBOX_UNREADY_AFTER`: how long a running container may not be ready. Zero: it is not reported.
    pub unready_after: Duration,
    /// `BLACKBOX_WINDOW`: the length of the history in an incident. At least one sample interval, at most
    /// [`limits::WINDOW_SAMPLES_MAX`] of them.
    pub window: Duration,
    /// `BLACKBOX_SAMPLE_INTERVAL`: the time between two samples.
    pub sample_interval: Duration,
    /// `BLACKBOX_LOG_LINES`: the maximum number of log lines in an incident. May be zero.
    pub log_lines: usize,
    /// `BLACKBOX_LOG_MASK`: whether text in log lines that looks like a credential is replaced.
    pub log_mask: bool,
    /// `BLACKBOX_POD_LOGS`: the kubelet's log folder.
    pub pod_logs: PathBuf,
    /// `BLACKBOX_PROC`: the node's procfs.
    pub proc: PathBuf,
    /// `BLACKBOX_SYS`: sysfs. A container's own shows the node's devices.
    pub sys: PathBuf,
    /// `BLACKBOX_KERNEL_LOG`: the folders in which the kernel's log is looked for. Empty: it is not read.
    pub kernel_log: Vec<PathBuf>,
    /// `BLACKBOX_PSTORE`: the folder with the last words of a kernel that panicked.
    pub pstore: Option<PathBuf>,
    /// `BLACKBOX_CGROUP`: the node's cgroup filesystem.
    pub cgroup: PathBuf,
    /// `BLACKBOX_IGNORE_NAMESPACES`: the namespaces whose pods are not reported.
    pub ignore_namespaces: BTreeSet<String>,
    /// `BLACKBOX_MIN_SEVERITY`: the lowest severity that is reported.
    pub min_severity: Severity,
    /// What an operator should know before trusting this configuration, to be logged, one line each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Returns the node that the agent watches, as its incidents name it.
    pub fn node(&self) -> NodeIdentity {
        NodeIdentity { name: self.node_name.clone(), cluster: self.cluster.clone() }
    }

    /// Reads the settings from `vars` (in the daemon: `std::env::vars_os()`), and the kubeconfig, token, CA and
    /// namespace files that they name from the disk.
    pub fn from_env(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let mut environment = Environment::new(vars);
        let config = read(&mut environment);
        check_log_levels(&mut environment);
        environment.warn_of_unknown();
        let findings = environment.findings;
        match config {
            Some(config) if findings.problems.is_empty() => {
                Ok(Self { warnings: findings.warnings, ..config })
            }
            _ => Err(ConfigErrors { problems: findings.problems }),
        }
    }
}

/// Returns what this value of `RUST_LOG` sets, or nothing if it is wrong. [`Config`] and [`CommandConfig`] tell what is
/// wrong with it.
pub fn log_levels(value: &OsStr) -> Vec<LogLevel> {
    value.to_str().and_then(|text| values::log_levels(text).ok()).unwrap_or_default()
}

fn check_log_levels(env: &mut Environment) {
    env.optional(&settings::RUST_LOG, |text| values::log_levels(text).map(drop));
}

/// The settings that the commands beside the agent read, checked by the same rules. None of them is required.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandConfig {
    /// `NODE_NAME`: the name that `replay` writes into the lines.
    pub node_name: Option<String>,
    /// `BLACKBOX_INCIDENT_FILE`: the file that `show` reads if no file is named.
    pub incident_file: Option<PathBuf>,
    /// `BLACKBOX_LISTEN`: where `show` finds the agent on this host.
    pub listen: Option<SocketAddr>,
}

impl CommandConfig {
    /// Reads the settings from `vars`.
    pub fn from_env(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigErrors> {
        let mut env = Environment::new(vars);
        let node_name = env.optional(&settings::NODE_NAME, values::node_name);
        let incident_file = env.optional(&settings::INCIDENT_FILE, values::path);
        let listen = env.required(&settings::LISTEN, values::listen_address);
        check_log_levels(&mut env);
        let problems = env.findings.problems;
        if problems.is_empty() {
            Ok(Self { node_name, incident_file, listen })
        } else {
            Err(ConfigErrors { problems })
        }
    }
}

/// Reads every setting first, and only then returns `None` if a required one has no value.
fn read(env: &mut Environment) -> Option<Config> {
    let node_name = env.required(&settings::NODE_NAME, values::node_name);
    let cluster = env.optional(&settings::CLUSTER, values::cluster);
    let pod_namespace = env.optional(&settings::POD_NAMESPACE, values::namespace);
    let service_account = env.required(&settings::SERVICE_ACCOUNT, values::path);
    let api_server = service_account.as_ref().and_then(|folder| read_api_server(env, folder));

    let api_timeout =
        duration(env, &settings::K8S_TIMEOUT, limits::API_TIMEOUT_MIN..=limits::API_TIMEOUT_MAX);
    let retry_interval = duration(
        env,
        &settings::K8S_RETRY_INTERVAL,
        limits::RETRY_INTERVAL_MIN..=limits::RETRY_INTERVAL_MAX,
    );
    let watch_idle_timeout = read_watch_idle_timeout(env);
    let listen = env.required(&settings::LISTEN, values::listen_address);

    let files = read_files(env);
    let webhook = webhook::read(env);
    let otlp = otlp::read(env);
    let alertmanager = alertmanager::read(env);

    let lookback = duration(env, &settings::LOOKBACK, Duration::ZERO..=limits::LOOKBACK_MAX);
    let patience = Duration::ZERO..=limits::PATIENCE_MAX;
    let stuck_after = duration(env, &settings::STUCK_AFTER, patience.clone());
    let unready_after = duration(env, &settings::UNREADY_AFTER, patience);
    let history = read_history(env);
    let log_lines = env.required(&settings::LOG_LINES, |text| {
        values::count_in(text, &(0..=limits::LOG_LINES_MAX))
    });
    let log_mask = env.required(&settings::LOG_MASK, values::yes_or_no);
    let [pod_logs, proc, sys, cgroup] =
        [&settings::POD_LOGS, &settings::PROC, &settings::SYS, &settings::CGROUP]
            .map(|folder| env.required(folder, values::path));
    let kernel_log = env.optional(&settings::KERNEL_LOG, values::folders);
    let pstore = env.optional(&settings::PSTORE, values::path);
    let ignore_namespaces = env.optional(&settings::IGNORE_NAMESPACES, values::namespaces);
    let min_severity = env.required(&settings::MIN_SEVERITY, values::severity);

    let (window, sample_interval) = history?;
    Some(Config {
        node_name: node_name?,
        cluster,
        pod_namespace: pod_namespace
            .or_else(|| service_account.as_deref().and_then(service_account::namespace)),
        api_server: api_server?,
        api_timeout: api_timeout?,
        retry_interval: retry_interval?,
        watch_idle_timeout: watch_idle_timeout?,
        listen: listen?,
        incident_file: files.incident,
        incident_file_bytes_max: files.incident_bytes_max?,
        state_file: files.state,
        recorder_file: files.recorder,
        recorder_file_bytes: files.recorder_bytes?,
        webhook,
        otlp,
        alertmanager,
        lookback: lookback?,
        stuck_after: stuck_after?,
        unready_after: unready_after?,
        window,
        sample_interval,
        log_lines: log_lines?,
        log_mask: log_mask?,
        pod_logs: pod_logs?,
        proc: proc?,
        sys: sys?,
        cgroup: cgroup?,
        kernel_log: kernel_log.unwrap_or_default(),
        pstore,
        ignore_namespaces: ignore_namespaces.unwrap_or_default(),
        min_severity: min_severity?,
        warnings: Vec::new(),
    })
}

/// The files that the agent writes.
struct Files {
    incident: Option<PathBuf>,
    incident_bytes_max: Option<u64>,
    state: Option<PathBuf>,
    recorder: Option<PathBuf>,
    recorder_bytes: Option<u64>,
}

fn read_files(env: &mut Environment) -> Files {
    let incident = env.optional(&settings::INCIDENT_FILE, values::path);
    let incident_bytes_max = env.required(&settings::INCIDENT_FILE_MAX_BYTES, |text| {
        let range = limits::INCIDENT_FILE_BYTES_MIN..=limits::INCIDENT_FILE_BYTES_MAX;
        values::bytes_in(text, &range)
    });
    let state = env.optional(&settings::STATE_FILE, |text| match values::path(text) {
        Ok(state) if Some(&state) == incident.as_ref() => {
            Err("the same file as BLACKBOX_INCIDENT_FILE".to_owned())
        }
        state => state,
    });
    let recorder = env.optional(&settings::RECORDER_FILE, |text| {
        let file = values::path(text)?;
        for (other, taken) in
            [(&settings::INCIDENT_FILE, &incident), (&settings::STATE_FILE, &state)]
        {
            if taken.as_ref() == Some(&file) {
                return Err(format!("the same file as {}", other.key));
            }
        }
        Ok(file)
    });
    let recorder_bytes = env.required(&settings::RECORDER_FILE_SIZE, |text| {
        let range = limits::RECORDER_FILE_BYTES_MIN..=limits::RECORDER_FILE_BYTES_MAX;
        values::bytes_in(text, &range)
    });
    Files { incident, incident_bytes_max, state, recorder, recorder_bytes }
}

fn read_api_server(env: &mut Environment, service_account: &Path) -> Option<Endpoint> {
    let remedy = allowed(&settings::KUBECONFIG);
    let tls_server_name = env.optional(&settings::TLS_SERVER_NAME, values::server_name);
    let api_server = match env.value(settings::KUBECONFIG.key, &remedy) {
        Some(list) => kubeconfig::api_server(&list, &mut env.findings)?,
        None => service_account::api_server(env, service_account)?,
    };
    let tls_server_name = tls_server_name.or(api_server.tls_server_name);
    Some(Endpoint { tls_server_name, ..api_server })
}

fn read_watch_idle_timeout(env: &mut Environment) -> Option<Duration> {
    let setting = &settings::WATCH_IDLE_TIMEOUT;
    let range = limits::WATCH_IDLE_TIMEOUT_MIN..=limits::WATCH_IDLE_TIMEOUT_MAX;
    let timeout = duration(env, setting, range)?;
    if timeout < limits::BOOKMARK_DUE {
        let warning = format!(
            "{0}: below {1} s, the agent ends every watch early, even if bookmarks arrive about once \
             a minute, and sends more requests; set {1} s or more",
            setting.key,
            limits::BOOKMARK_DUE.as_secs(),
        );
        env.findings.warnings.push(warning);
    }
    Some(timeout)
}

/// Reads the window and the sample interval, which limit each other.
fn read_history(env: &mut Environment) -> Option<(Duration, Duration)> {
    let window = duration(env, &settings::WINDOW, limits::WINDOW_MIN..=limits::WINDOW_MAX);
    let interval = duration(
        env,
        &settings::SAMPLE_INTERVAL,
        limits::SAMPLE_INTERVAL_MIN..=limits::SAMPLE_INTERVAL_MAX,
    );
    let (window, interval) = (window?, interval?);
    let samples_max = limits::WINDOW_SAMPLES_MAX;
    let other = env.text(&settings::SAMPLE_INTERVAL);
    let wrong = if window < interval {
        format!("shorter than {}={other:?}", settings::SAMPLE_INTERVAL.key)
    } else if window > interval * samples_max {
        format!("more than {samples_max} times {}={other:?}", settings::SAMPLE_INTERVAL.key)
    } else {
        return Some((window, interval));
    };
    let text = env.text(&settings::WINDOW);
    let remedy = format!("allowed: 1 to {samples_max} sample intervals");
    env.findings.problems.push(Problem::new(settings::WINDOW.key, text, wrong, remedy));
    None
}

fn duration(
    env: &mut Environment,
    setting: &Setting,
    range: RangeInclusive<Duration>,
) -> Option<Duration> {
    env.required(setting, |text| values::duration_in(text, &range))
}
