//! The table of all settings: the one source for `--help`, docs/configuration.md and the parser.

/// One environment variable that the agent reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The variable's name.
    pub key: &'static str,
    /// The value used if the variable is unset or empty, as an operator would write it. Empty: no default.
    pub default: &'static str,
    /// The allowed values, described for a person; errors quote this text after `allowed:`.
    pub allowed: &'static str,
    /// What the setting does, in one line.
    pub meaning: &'static str,
}

pub(super) const fn setting(
    key: &'static str,
    default: &'static str,
    allowed: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { key, default, allowed, meaning }
}

pub(super) const NODE_NAME: Setting = setting(
    "NODE_NAME",
    "",
    "a node name (lowercase letters, digits, '-' and '.'); required",
    "the node whose pods the agent watches; set it from the field spec.nodeName",
);
pub(super) const CLUSTER: Setting = setting(
    "BLACKBOX_CLUSTER",
    "",
    "a name of at most 253 bytes, without control characters",
    "the name of the cluster, for cluster and metadata.cluster of each incident; Kubernetes itself knows none",
);
pub(super) const POD_NAMESPACE: Setting = setting(
    "POD_NAMESPACE",
    "",
    "a namespace name (lowercase letters, digits and '-')",
    "the agent's own namespace; if unset, the agent reads it from the service account folder",
);
pub(super) const KUBECONFIG: Setting = setting(
    "KUBECONFIG",
    "",
    "kubeconfig files, separated by ':'",
    "how the agent reaches the API server when it runs outside a pod",
);
pub(super) const K8S_TIMEOUT: Setting = setting(
    "BLACKBOX_K8S_TIMEOUT",
    "30s",
    "1s to 5m, written like 90s, 5m or 1h30m",
    "longest wait for a connection to the API server, and for a response to begin",
);
pub(super) const K8S_RETRY_INTERVAL: Setting = setting(
    "BLACKBOX_K8S_RETRY_INTERVAL",
    "5s",
    "100ms to 5m, written like 90s, 5m or 1h30m",
    "pace of retries: the wait starts at 0.8s (or at this value if it is shorter), doubles up to six times this value, and gets a random extra of up to its own length; after a refused connection, the wait is 0.3 to 0.6 of this value",
);
pub(super) const WATCH_IDLE_TIMEOUT: Setting = setting(
    "BLACKBOX_WATCH_IDLE_TIMEOUT",
    "90s",
    "1s to 10m, written like 90s, 5m or 1h30m",
    "longest silence on a watch before the agent treats the connection as dead; if nothing happens, a watch ends a little earlier than this, so a longer value costs fewer requests",
);
pub(super) const SERVICE_ACCOUNT: Setting = setting(
    "BLACKBOX_SERVICE_ACCOUNT",
    "/var/run/secrets/kubernetes.io/serviceaccount",
    "a folder",
    "the folder with the files token, ca.crt and namespace of the pod's service account",
);
pub(super) const TLS_SERVER_NAME: Setting = setting(
    "BLACKBOX_TLS_SERVER_NAME",
    "",
    "a DNS name or an IP address",
    "the name to expect in the API server's certificate, instead of the host in its URL",
);
pub(super) const LISTEN: Setting = setting(
    "BLACKBOX_LISTEN",
    "0.0.0.0:9464",
    "an IP address and a port, written like 0.0.0.0:9464, [::]:9464 or :9464",
    "the address on which the agent serves metrics, health and telemetry",
);
pub(super) const INCIDENT_FILE: Setting = setting(
    "BLACKBOX_INCIDENT_FILE",
    "",
    "a file",
    "the file to which the agent writes each incident, in addition to stdout",
);
pub(super) const INCIDENT_FILE_MAX_BYTES: Setting = setting(
    "BLACKBOX_INCIDENT_FILE_MAX_BYTES",
    "16Mi",
    "64Ki to 1Gi, in bytes or written like 512Ki, 16Mi or 1Gi",
    "size at which the agent rotates the incident file",
);
pub(super) const KERNEL_LOG: Setting = setting(
    "BLACKBOX_KERNEL_LOG",
    "",
    "folders, separated by ','",
    "the folders in which the agent looks for the kernel's log: the system journal, or else kern.log, messages or syslog",
);
pub(super) const PSTORE: Setting = setting(
    "BLACKBOX_PSTORE",
    "",
    "a folder",
    "the folder with the last words of a kernel that panicked: that of systemd-pstore, or the kernel's own",
);
pub(super) const STATE_FILE: Setting = setting(
    "BLACKBOX_STATE_FILE",
    "",
    "a file other than BLACKBOX_INCIDENT_FILE",
    "the file in which the agent records the crashes that it reported, so that it does not report them again after a restart",
);
pub(super) const RECORDER_FILE: Setting = setting(
    "BLACKBOX_RECORDER_FILE",
    "",
    "a file other than BLACKBOX_INCIDENT_FILE and BLACKBOX_STATE_FILE",
    "the file in which the agent keeps the node's last minutes, for the incident of a reboot that came without a shutdown",
);
pub(super) const RECORDER_FILE_SIZE: Setting = setting(
    "BLACKBOX_RECORDER_FILE_SIZE",
    "512Ki",
    "64Ki to 4Mi, in bytes or written like 512Ki or 1Mi",
    "size of the recorder file, which does not grow",
);
pub(super) const WEBHOOK_URL: Setting = setting(
    "BLACKBOX_WEBHOOK_URL",
    "",
    "an http:// or https:// URL without a user name or a fragment",
    "the collector to which the agent sends each incident by POST, in addition to stdout",
);
pub(super) const WEBHOOK_CA: Setting = setting(
    "BLACKBOX_WEBHOOK_CA",
    "",
    "a PEM file with certificates",
    "the CA certificates that the agent trusts for the collector; if unset, the system's CA bundle",
);
pub(super) const WEBHOOK_TOKEN_FILE: Setting = setting(
    "BLACKBOX_WEBHOOK_TOKEN_FILE",
    "",
    "a file with a token",
    "the bearer token that the agent sends to the collector",
);
pub(super) const WEBHOOK_FORMAT: Setting = setting(
    "BLACKBOX_WEBHOOK_FORMAT",
    "incident",
    "incident or slack",
    "what the agent posts to BLACKBOX_WEBHOOK_URL: the incident as it is, or a message for people as Slack's incoming webhooks take it",
);
pub(super) const OTLP_ENDPOINT: Setting = setting(
    "BLACKBOX_OTLP_ENDPOINT",
    "",
    "an http:// or https:// URL without a user name or a fragment",
    "the OpenTelemetry receiver to which the agent sends each incident as a log record (OTLP/HTTP, protobuf); the agent appends /v1/logs",
);
pub(super) const OTLP_HEADERS: Setting = setting(
    "BLACKBOX_OTLP_HEADERS",
    "",
    "pairs like x-tenant=shop, separated by ','; other characters in a value written like %20",
    "further headers of the requests to the OpenTelemetry receiver",
);
pub(super) const OTLP_CA: Setting = setting(
    "BLACKBOX_OTLP_CA",
    "",
    "a PEM file with certificates",
    "the CA certificates that the agent trusts for the OpenTelemetry receiver; if unset, the system's CA bundle",
);
pub(super) const OTLP_TOKEN_FILE: Setting = setting(
    "BLACKBOX_OTLP_TOKEN_FILE",
    "",
    "a file with a token",
    "the bearer token that the agent sends to the OpenTelemetry receiver",
);
pub(super) const ALERTMANAGER_URL: Setting = setting(
    "BLACKBOX_ALERTMANAGER_URL",
    "",
    "http:// or https:// URLs without a user name or a fragment, separated by ','",
    "the Alertmanager to which the agent sends incidents as alerts, or all instances of its cluster; the agent appends /api/v2/alerts",
);
pub(super) const ALERTMANAGER_CA: Setting = setting(
    "BLACKBOX_ALERTMANAGER_CA",
    "",
    "a PEM file with certificates",
    "the CA certificates that the agent trusts for Alertmanager; if unset, the system's CA bundle",
);
pub(super) const ALERTMANAGER_TOKEN_FILE: Setting = setting(
    "BLACKBOX_ALERTMANAGER_TOKEN_FILE",
    "",
    "a file with a token",
    "the bearer token that the agent sends to Alertmanager",
);
pub(super) const ALERT_MIN_SEVERITY: Setting = setting(
    "BLACKBOX_ALERT_MIN_SEVERITY",
    "high",
    "critical, high, medium or low",
    "the lowest severity of which an incident becomes an alert",
);
pub(super) const ALERT_DURATION: Setting = setting(
    "BLACKBOX_ALERT_DURATION",
    "30m",
    "1m to 24h, written like 90s, 5m or 1h30m",
    "after this time, Alertmanager considers an alert resolved; an incident has no end",
);
pub(super) const LOOKBACK: Setting = setting(
    "BLACKBOX_LOOKBACK",
    "5m",
    "0s to 24h, written like 90s, 5m or 1h30m",
    "after its start, the agent also reports earlier crashes up to this age",
);
pub(super) const STUCK_AFTER: Setting = setting(
    "BLACKBOX_STUCK_AFTER",
    "5m",
    "0s to 24h, written like 90s, 5m or 1h30m",
    "how long a pod may take to start, or to terminate after its grace period, before the agent reports it as stuck; 0 turns this off",
);
pub(super) const UNREADY_AFTER: Setting = setting(
    "BLACKBOX_UNREADY_AFTER",
    "10m",
    "0s to 24h, written like 90s, 5m or 1h30m",
    "how long a running container may fail its readiness probe before the agent reports it as unready; 0 turns this off",
);
pub(super) const WINDOW: Setting = setting(
    "BLACKBOX_WINDOW",
    "5m",
    "1s to 1h, written like 90s, 5m or 1h30m",
    "how much memory and CPU history an incident contains",
);
pub(super) const SAMPLE_INTERVAL: Setting = setting(
    "BLACKBOX_SAMPLE_INTERVAL",
    "5s",
    "1s to 1m, written like 90s, 5m or 1h30m",
    "time between two samples of the memory and CPU history",
);
pub(super) const LOG_LINES: Setting = setting(
    "BLACKBOX_LOG_LINES",
    "50",
    "0 to 500",
    "maximum number of the terminated container's last log lines in an incident",
);
pub(super) const LOG_MASK: Setting = setting(
    "BLACKBOX_LOG_MASK",
    "true",
    "true or false",
    "whether the agent replaces text in log lines that looks like a credential with ***",
);
pub(super) const POD_LOGS: Setting = setting(
    "BLACKBOX_POD_LOGS",
    "/var/log/pods",
    "a folder",
    "the folder in which the kubelet keeps pod logs",
);
pub(super) const PROC: Setting =
    setting("BLACKBOX_PROC", "/proc", "a folder", "the folder where the node's procfs is mounted");
pub(super) const SYS: Setting = setting(
    "BLACKBOX_SYS",
    "/sys",
    "a folder",
    "the folder where sysfs is mounted, from which the agent reads the kernel's counters",
);
pub(super) const CGROUP: Setting = setting(
    "BLACKBOX_CGROUP",
    "/sys/fs/cgroup",
    "a folder",
    "the folder where the node's cgroup file system is mounted",
);
pub(super) const IGNORE_NAMESPACES: Setting = setting(
    "BLACKBOX_IGNORE_NAMESPACES",
    "",
    "up to 256 namespace names, separated by ','",
    "namespaces whose pods the agent does not report",
);
pub(super) const MIN_SEVERITY: Setting = setting(
    "BLACKBOX_MIN_SEVERITY",
    "low",
    "critical, high, medium or low",
    "the lowest severity that the agent reports",
);
pub(super) const RUST_LOG: Setting = setting(
    "RUST_LOG",
    "info",
    "error, warn, info, debug or off; others for modules, like info,blackbox_daemon::sinks=debug",
    "how much the agent logs about itself on stderr",
);

/// Every setting, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    NODE_NAME,
    CLUSTER,
    POD_NAMESPACE,
    KUBECONFIG,
    K8S_TIMEOUT,
    K8S_RETRY_INTERVAL,
    WATCH_IDLE_TIMEOUT,
    SERVICE_ACCOUNT,
    TLS_SERVER_NAME,
    LISTEN,
    INCIDENT_FILE,
    INCIDENT_FILE_MAX_BYTES,
    STATE_FILE,
    RECORDER_FILE,
    RECORDER_FILE_SIZE,
    WEBHOOK_URL,
    WEBHOOK_CA,
    WEBHOOK_TOKEN_FILE,
    WEBHOOK_FORMAT,
    OTLP_ENDPOINT,
    OTLP_HEADERS,
    OTLP_CA,
    OTLP_TOKEN_FILE,
    ALERTMANAGER_URL,
    ALERTMANAGER_CA,
    ALERTMANAGER_TOKEN_FILE,
    ALERT_MIN_SEVERITY,
    ALERT_DURATION,
    LOOKBACK,
    STUCK_AFTER,
    UNREADY_AFTER,
    WINDOW,
    SAMPLE_INTERVAL,
    LOG_LINES,
    LOG_MASK,
    POD_LOGS,
    PROC,
    SYS,
    KERNEL_LOG,
    PSTORE,
    CGROUP,
    IGNORE_NAMESPACES,
    MIN_SEVERITY,
    RUST_LOG,
];
