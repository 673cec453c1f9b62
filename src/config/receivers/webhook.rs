//! The webhook: each incident is one POST.

use super::{Given, Receiver, Settings};
use crate::config::environment::Environment;
use crate::config::settings::{WEBHOOK_CA, WEBHOOK_FORMAT, WEBHOOK_TOKEN_FILE, WEBHOOK_URL};

/// A collector of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The collector.
    pub receiver: Receiver,
    /// What is posted.
    pub format: WebhookFormat,
}

/// What is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The line, with the headers of CloudEvents.
    Incident,
    /// A message for people, as Slack's incoming webhooks take it.
    Slack,
}

const SETTINGS: Settings = Settings {
    url: WEBHOOK_URL,
    ca: WEBHOOK_CA,
    token_file: WEBHOOK_TOKEN_FILE,
    others: &[WEBHOOK_FORMAT],
    path: "",
    is_list: false,
};

/// Returns the collector, if one is configured and nothing is wrong with it.
pub(in crate::config) fn read(env: &mut Environment) -> Option<Webhook> {
    let given = Given::read(env, &SETTINGS);
    let format = env.required(&WEBHOOK_FORMAT, |text| match text {
        "incident" => Ok(WebhookFormat::Incident),
        "slack" => Ok(WebhookFormat::Slack),
        _ => Err("not a format".to_owned()),
    });
    let receiver = given.receiver(env, &SETTINGS)?;
    Some(Webhook { receiver, format: format? })
}
