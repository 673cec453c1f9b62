//! Alertmanager: each incident is an alert.

use std::time::Duration;

use super::{Given, Receiver, Settings};
use crate::config::endpoint::Secret;
use crate::config::environment::Environment;
use crate::config::settings::{
    ALERT_DURATION, ALERT_MIN_SEVERITY, ALERTMANAGER_CA, ALERTMANAGER_TOKEN_FILE, ALERTMANAGER_URL,
};
use crate::config::values;
use crate::core::case::Severity;
use crate::limits;

/// Alertmanager, perhaps in several instances of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alertmanager {
    /// The instances. Each gets every alert, because they do not exchange alerts.
    pub receivers: Vec<Receiver>,
    /// The lowest severity that is an alert.
    pub min_severity: Severity,
    /// How long after its post an alert is resolved.
    pub duration: Duration,
}

const SETTINGS: Settings = Settings {
    url: ALERTMANAGER_URL,
    ca: ALERTMANAGER_CA,
    token_file: ALERTMANAGER_TOKEN_FILE,
    others: &[ALERT_MIN_SEVERITY, ALERT_DURATION],
    path: "/api/v2/alerts",
    is_list: true,
};

/// Returns path and query of the status of an instance, which lies beside its alerts. They are a secret like those.
pub fn status(instance: &Receiver) -> Secret {
    let target = instance.target.expose();
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let path = path.strip_suffix("alerts").unwrap_or(path);
    Secret::new(format!("{path}status{query}"))
}

/// Returns Alertmanager, if it is configured and nothing is wrong with it.
pub(in crate::config) fn read(env: &mut Environment) -> Option<Alertmanager> {
    let given = Given::read(env, &SETTINGS);
    let min_severity = env.required(&ALERT_MIN_SEVERITY, values::severity);
    let range = limits::ALERT_DURATION_MIN..=limits::ALERT_DURATION_MAX;
    let duration = env.required(&ALERT_DURATION, |text| values::duration_in(text, &range));
    let receivers = given.receivers(env, &SETTINGS)?;
    Some(Alertmanager { receivers, min_severity: min_severity?, duration: duration? })
}
