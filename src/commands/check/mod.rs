//! The command `check`: tests everything that the agent needs and writes one line for each: whether it works, and if
//! not, what to do.
//!
//! It is meant for `kubectl exec` into the agent's own container, where environment, mounts and credentials are the
//! agent's. It changes nothing, except that where the agent writes files it creates a file in the same folder and
//! removes it again. It sends no incident.

mod api;
mod node;
mod receivers;
mod say;
mod token;

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::commands::options::{self, Options};
use crate::commands::own_agent;
use crate::config::endpoint::TokenSource;
use crate::config::{Config, files};
use crate::core::text::duration;
use crate::kube::api::ApiClient;
use crate::kube::http::ResponseTimeout;
use crate::limits::CHECK_TIMEOUT;
use crate::metrics::Metrics;
use crate::runtime::clock::Clock;

use self::api::Api;
use self::say::{Format, Report};
use self::token::TokenAge;

/// Why a check ends without a result.
#[derive(Debug)]
pub enum Error {
    /// The command line is wrong.
    Usage(String),
    /// The lines cannot be written.
    Write(io::Error),
}

/// Runs all checks and writes one line for each. Returns true if nothing failed; warnings do not count.
///
/// # Errors
/// The command line is wrong, or the lines cannot be written.
pub fn run(
    words: &[&str],
    vars: impl IntoIterator<Item = (OsString, OsString)>,
    out: &mut dyn Write,
) -> Result<bool, Error> {
    let report = Report::new(out, format(words).map_err(Error::Usage)?);
    all(report, vars).map_err(Error::Write)
}

/// The options of the command.
pub const OPTIONS: Options =
    &[("-o, --output FORMAT", "text (the default), or json: one object per item")];

/// Reads the command line.
fn format(words: &[&str]) -> Result<Format, String> {
    match words {
        [] | ["-o" | "--output", "text"] => Ok(Format::Text),
        ["-o" | "--output", "json"] | ["-o=json" | "--output=json"] => Ok(Format::Json),
        [option, ..] if option.starts_with("--") && !option.starts_with("--output") => {
            Err(options::unknown(option, OPTIONS))
        }
        _ => Err("it takes -o json, or -o text (the default), and nothing else".to_owned()),
    }
}

fn all(
    mut report: Report<'_>,
    vars: impl IntoIterator<Item = (OsString, OsString)>,
) -> io::Result<bool> {
    let clock = Clock::start();
    let config = match Config::from_env(vars) {
        Ok(config) => config,
        Err(errors) => {
            for problem in errors.problems {
                report.failure("configuration", &problem.to_string());
            }
            return report.end();
        }
    };
    for warning in &config.warnings {
        report.warning("configuration", warning);
    }
    if config.warnings.is_empty() {
        report.ok("configuration", &format!("node {}", config.node_name));
    }
    own_agent(&mut report, &config, clock);
    own_token(&mut report, &config, clock);
    // The requests are the agent's own; nobody reads what is counted of them.
    let (timeout, metrics) = (config.api_timeout.min(CHECK_TIMEOUT), Arc::<Metrics>::default());
    let client = ApiClient::new(&config.api_server, timeout, &config.node_name, metrics, clock);
    let mut api = Api { client, config: &config, clock };
    let running = api.check(&mut report);
    node::pod_logs(&mut report, &config, &running);
    node::control_groups(&mut report, &config, &running);
    node::procfs(&mut report, &config);
    node::kernel_counters(&mut report, &config);
    node::kernel_log(&mut report, &config, clock.wall());
    if let Some(path) = &config.incident_file {
        node::writable(&mut report, "incident file", "BLACKBOX_INCIDENT_FILE", path);
    }
    if let Some(path) = &config.state_file {
        node::writable(&mut report, "state file", "BLACKBOX_STATE_FILE", path);
    }
    if let Some(path) = &config.recorder_file {
        node::writable(&mut report, "recorder file", "BLACKBOX_RECORDER_FILE", path);
    }
    receivers::check(&mut report, &config, clock);
    report.end()
}

/// Checks whether an agent answers at this configuration's listen address.
fn own_agent(report: &mut Report<'_>, config: &Config, clock: Clock) {
    let (mut client, at) = own_agent::client(config.listen, clock);
    match client.get("/readyz", ResponseTimeout::Answer) {
        Ok(_) => report.ok("agent", &format!("ready at {at}")),
        Err(error) if error.code() == Some(503) => {
            let text = format!(
                "the agent at {at} is not ready yet; see its log and the lines below for the reason"
            );
            report.warning("agent", &text);
        }
        Err(error) => {
            let namespace = config.pod_namespace.as_deref();
            let namespace = namespace.map_or_else(String::new, |name| format!(" -n {name}"));
            let text = format!(
                "no agent responds at {at} ({error}); run check in the agent's pod: kubectl exec{namespace} \
                 ds/blackbox-daemon -- /blackbox-daemon check"
            );
            report.warning("agent", &text);
        }
    }
}

/// Checks the token by its own claims.
fn own_token(report: &mut Report<'_>, config: &Config, clock: Clock) {
    let subject = "token";
    let read;
    let (token, from) = match &config.api_server.credentials.token {
        TokenSource::None => return report.ok(subject, "this kubeconfig needs no token"),
        TokenSource::Inline(token) => (token, "the kubeconfig".to_owned()),
        TokenSource::File { path, .. } => match files::require_token(path) {
            Ok(token) => {
                read = token;
                (&read, path.display().to_string())
            }
            Err(why) => {
                let text = format!("{why}; check that the service account's volume is mounted");
                return report.failure(subject, &text);
            }
        },
    };
    let told = |seconds: i64| duration(Duration::from_secs(seconds.unsigned_abs()));
    match token::age(token.expose(), clock.wall()) {
        TokenAge::Timeless => {
            report.ok(subject, &format!("from {from}; its age and expiry are unknown"))
        }
        TokenAge::Good { subject: of, age_seconds, left_seconds } => {
            let left = left_seconds
                .map_or_else(|| "for ever".to_owned(), |left| format!("for {}", told(left)));
            let age = told(age_seconds);
            report.ok(subject, &format!("for {of}, from {from}; {age} old, valid {left}"));
        }
        TokenAge::Stale(seconds) => {
            let text = format!(
                "{from}: the kubelet should have renewed this token {} ago; check that the kubelet runs \
                 and that this node's clock is right",
                told(seconds)
            );
            report.warning(subject, &text);
        }
        TokenAge::Expired(seconds) => {
            let text = format!(
                "{from}: this token expired {} ago; the kubelet should renew it: check that the kubelet \
                 runs and that this node's clock is right; otherwise delete the pod",
                told(seconds)
            );
            report.failure(subject, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_text_or_json_and_nothing_else_is_asked() {
        assert_eq!(format(&[]), Ok(Format::Text));
        assert_eq!(format(&["-o", "text"]), Ok(Format::Text));
        for words in [&["-o", "json"][..], &["--output", "json"], &["--output=json"], &["-o=json"]]
        {
            assert_eq!(format(words), Ok(Format::Json), "{words:?}");
        }
        for words in [
            &["-o"][..],
            &["-o", "yaml"],
            &["--output="],
            &["--json"],
            &["node1"],
            &["-o", "json", "node1"],
        ] {
            assert!(format(words).is_err(), "{words:?}");
        }
    }
}
