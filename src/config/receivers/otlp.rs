//! An OpenTelemetry receiver: each incident is a log record.
//!
//! Where the agent's own variables are unset, those of the OpenTelemetry specification count ("OpenTelemetry Protocol
//! Exporter", "Environment Variable Specification"), the ones for logs first.

use std::path::PathBuf;
use std::time::Duration;

use super::{Given, Receiver, Settings};
use crate::config::endpoint::{ClientCert, PemSource, Secret};
use crate::config::environment::{Environment, allowed};
use crate::config::files::{self, Pem};
use crate::config::problem::Problem;
use crate::config::settings::{
    OTLP_CA, OTLP_ENDPOINT, OTLP_HEADERS, OTLP_TOKEN_FILE, Setting, setting,
};
use crate::config::values;
use crate::limits;

/// A receiver of log records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The receiver.
    pub receiver: Receiver,
    /// Headers of each request.
    pub headers: Vec<(String, Secret)>,
    /// Attributes that each resource gets unless the incident has them.
    pub resource: Vec<(String, String)>,
}

const SETTINGS: Settings = Settings {
    url: OTLP_ENDPOINT,
    ca: OTLP_CA,
    token_file: OTLP_TOKEN_FILE,
    others: &[OTLP_HEADERS],
    path: "/v1/logs",
    is_list: false,
};

/// Returns the variable of the specification: the one for logs if it is set, or else the one for all signals.
fn standard(
    env: &Environment,
    for_logs: &'static str,
    for_all: &'static str,
    allowed: &'static str,
) -> Setting {
    let key = if env.is_set(for_logs) { for_logs } else { for_all };
    setting(key, "", allowed, "")
}

/// Returns the agent's own setting if it is set, or else that of the specification.
fn own_or(env: &Environment, own: Setting, standard: Setting) -> Setting {
    if env.is_set(own.key) { own } else { standard }
}

/// Returns the receiver, if one is configured and nothing is wrong with it.
pub(in crate::config) fn read(env: &mut Environment) -> Option<Otlp> {
    let standard_url = standard(
        env,
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        OTLP_ENDPOINT.allowed,
    );
    let is_own = env.is_set(OTLP_ENDPOINT.key);
    let headers = read_headers(env);
    if !is_own && !env.is_set(standard_url.key) {
        Given::read(env, &SETTINGS).receivers(env, &SETTINGS);
        return None;
    }
    let standard_ca = standard(
        env,
        "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        OTLP_CA.allowed,
    );
    let settings = Settings {
        url: own_or(env, OTLP_ENDPOINT, standard_url),
        ca: own_or(env, OTLP_CA, standard_ca),
        // The endpoint for one signal is used as it is, by the specification.
        path: match is_own {
            false if standard_url.key.contains("_LOGS_") => "",
            _ => SETTINGS.path,
        },
        ..SETTINGS
    };
    if !is_own {
        check_protocol(env);
    }
    let resource = read_resource(env);
    let timeout = read_timeout(env);
    let client_cert = read_client_cert(env);
    let mut receiver = Given::read(env, &settings).receiver(env, &settings)?;
    receiver.server.credentials.client_cert = client_cert?;
    receiver.timeout = timeout?;
    Some(Otlp { receiver, headers: headers?, resource: resource? })
}

/// Records a problem if the specification's variables ask for what the agent does not speak.
fn check_protocol(env: &mut Environment) {
    const ALLOWED: &str = "http/protobuf";
    let protocol =
        standard(env, "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL", ALLOWED);
    env.optional(&protocol, |text| match text {
        "http/protobuf" => Ok(()),
        _ => Err("the agent does not speak it".to_owned()),
    });
    let compression = standard(
        env,
        "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        ALLOWED,
    );
    if env.value(compression.key, "unset it").is_some_and(|text| text != "none") {
        let warning = format!("{}: the agent does not compress what it sends", compression.key);
        env.findings.warnings.push(warning);
    }
}

fn read_headers(env: &mut Environment) -> Option<Vec<(String, Secret)>> {
    let standard = standard(
        env,
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS",
        OTLP_HEADERS.allowed,
    );
    let setting = own_or(env, OTLP_HEADERS, standard);
    let text = env.value(setting.key, &allowed(&setting)).unwrap_or_default();
    // The value of a header is often a key, so it is not shown.
    let wrong = |wrong: &str| Problem::unset(setting.key, wrong, allowed(&setting));
    let headers = values::pairs(&text).and_then(|pairs| {
        let checked = |(name, value): (String, String)| {
            values::check_header(&name, &value)?;
            Ok((name, Secret::new(value)))
        };
        pairs.into_iter().map(checked).collect()
    });
    env.findings.note(headers.map_err(|text| wrong(&text)))
}

fn read_resource(env: &mut Environment) -> Option<Vec<(String, String)>> {
    const ALLOWED: &str = "pairs like deployment.environment.name=prod, separated by ','";
    let setting = setting("OTEL_RESOURCE_ATTRIBUTES", "", ALLOWED, "");
    let text = env.text(&setting);
    let pairs = values::pairs(&text);
    let wrong = |wrong| Problem::new(setting.key, &text, wrong, allowed(&setting));
    env.findings.note(pairs.map_err(wrong))
}

fn read_timeout(env: &mut Environment) -> Option<Duration> {
    const ALLOWED: &str = "100 to 300000, in milliseconds";
    let setting =
        standard(env, "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT", ALLOWED);
    if !env.is_set(setting.key) {
        return Some(limits::RECEIVER_TIMEOUT);
    }
    env.optional(&setting, |text| {
        values::count_in(text, &(100..=300_000)).map(|n| Duration::from_millis(n as u64))
    })
}

/// Reads the client certificate. The outer `None`: something is wrong with it.
fn read_client_cert(env: &mut Environment) -> Option<Option<ClientCert>> {
    const ALLOWED: &str = "PEM files, both or neither";
    let certificate = standard(
        env,
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        ALLOWED,
    );
    let key = standard(
        env,
        "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ALLOWED,
    );
    let mut file = |setting: &Setting, pem: Pem| -> Result<Option<PathBuf>, ()> {
        if !env.is_set(setting.key) {
            return Ok(None);
        }
        let checked = |text: &str| {
            let file = values::path(text)?;
            files::require_pem(&file, pem)?;
            Ok(file)
        };
        env.optional(setting, checked).map(Some).ok_or(())
    };
    let files = (file(&certificate, Pem::Certificates), file(&key, Pem::PrivateKey));
    match files {
        (Ok(None), Ok(None)) => Some(None),
        (Ok(Some(certificate)), Ok(Some(key))) => Some(Some(ClientCert {
            certificate: PemSource::File(certificate),
            key: PemSource::File(key),
        })),
        (Ok(_), Ok(_)) => {
            let problem = Problem::unset(key.key, "one of the two files is not set", allowed(&key));
            env.findings.problems.push(problem);
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
