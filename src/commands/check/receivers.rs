//! Tries the receivers that are configured, as far as that is possible without an incident.
//!
//! What is tried beyond the connection differs: an OTLP receiver takes a request without records, Alertmanager has a
//! status. A webhook has nothing like that, and whatever is posted to it is an incident to its readers.

use std::slice::from_ref;

use crate::config::Config;
use crate::config::endpoint::Scheme;
use crate::config::receivers::{Receiver, alertmanager};
use crate::kube::http::{HttpClient, HttpError, Refusal, ResponseTimeout};
use crate::limits::CHECK_TIMEOUT;
use crate::runtime::clock::Clock;
use crate::sinks::otlp::LogRecords;

use crate::commands::check::api::trust;
use crate::commands::check::say::{Report, Verdict};

/// One kind of receiver.
struct Kind {
    /// What the report calls it.
    subject: &'static str,
    /// The setting with its URL.
    url: &'static str,
    /// The setting with its CA certificates.
    ca: &'static str,
    /// The settings with the credentials for it.
    credentials: &'static str,
    /// What an operator should know of the path of its URL.
    path: &'static str,
    /// What it means that it works.
    works: &'static str,
}

const WEBHOOK: Kind = Kind {
    subject: "webhook",
    url: "BLACKBOX_WEBHOOK_URL",
    ca: "BLACKBOX_WEBHOOK_CA",
    credentials: "BLACKBOX_WEBHOOK_TOKEN_FILE",
    path: "",
    works: "connected; the path and the token were not tried, because each POST is an incident",
};

const OTLP: Kind = Kind {
    subject: "otlp",
    url: "BLACKBOX_OTLP_ENDPOINT",
    ca: "BLACKBOX_OTLP_CA",
    credentials: "BLACKBOX_OTLP_TOKEN_FILE and BLACKBOX_OTLP_HEADERS",
    path: "the agent appends /v1/logs",
    works: "accepted a request without records",
};

const ALERTMANAGER: Kind = Kind {
    subject: "alertmanager",
    url: "BLACKBOX_ALERTMANAGER_URL",
    ca: "BLACKBOX_ALERTMANAGER_CA",
    credentials: "BLACKBOX_ALERTMANAGER_TOKEN_FILE",
    path: "the agent appends /api/v2/alerts, and Alertmanager's --web.route-prefix comes before that",
    works: "responded with its status",
};

/// Tries all receivers.
pub(super) fn check(report: &mut Report<'_>, config: &Config, clock: Clock) {
    if let Some(webhook) = &config.webhook {
        let receivers = from_ref(&webhook.receiver);
        try_all(report, &WEBHOOK, receivers, clock, &|client, _| client.connect());
    }
    if let Some(otlp) = &config.otlp {
        let request = LogRecords::new(otlp).empty_request();
        try_all(report, &OTLP, from_ref(&otlp.receiver), clock, &|client, receiver| {
            client.post(&request.to(&receiver.target)).map(drop)
        });
    }
    if let Some(alertmanager) = &config.alertmanager {
        try_all(report, &ALERTMANAGER, &alertmanager.receivers, clock, &|client, receiver| {
            let status = alertmanager::status(receiver);
            client.get(status.expose(), ResponseTimeout::Receipt).map(drop)
        });
    }
}

/// Tries the receivers of one kind. If one of them works, the others only deserve a warning: it gets every incident.
fn try_all(
    report: &mut Report<'_>,
    kind: &Kind,
    receivers: &[Receiver],
    clock: Clock,
    try_one: &dyn Fn(&mut HttpClient, &Receiver) -> Result<(), HttpError>,
) {
    let tried = receivers.iter().map(|receiver| {
        let timeout = receiver.timeout.min(CHECK_TIMEOUT);
        let mut client = HttpClient::new(&receiver.server, timeout, clock);
        let asked = clock.monotonic();
        let result = try_one(&mut client, receiver);
        (receiver, result, clock.monotonic().saturating_sub(asked).as_millis())
    });
    let tried: Vec<_> = tried.collect();
    let one_works = tried.iter().any(|(_, result, _)| result.is_ok());
    let unless_it_works = if one_works { Verdict::Warning } else { Verdict::Failure };
    for (receiver, result, took_ms) in tried {
        let server = &receiver.server.server;
        let (verdict, text) = match result {
            Ok(()) => {
                let (trust, works) = (trust(&receiver.server), kind.works);
                (Verdict::Ok, format!("{server}, {trust}: {works}; took {took_ms} ms"))
            }
            Err(error) => {
                let advice = advice(kind, server.scheme, &error);
                (unless_it_works, format!("{server}: {error}; {advice}"))
            }
        };
        report.say(verdict, kind.subject, &text);
    }
}

/// Returns what to do about a failed try. It never repeats the path of the URL, which is a secret.
fn advice(kind: &Kind, scheme: Scheme, error: &HttpError) -> String {
    let is_plain = scheme == Scheme::Http;
    let advice = match error {
        HttpError::Connect(_) | HttpError::Timeout(_) => {
            "check host and port of $URL, and whether a NetworkPolicy, a firewall or a proxy blocks \
             the connection"
        }
        HttpError::NotTls => "write http:// in $URL, or the port that has TLS",
        HttpError::Tls(_) => {
            "$CA must have the CA that issued the receiver's certificate, and the certificate must \
             name the host in $URL"
        }
        HttpError::Io(_)
        | HttpError::Protocol(_)
        | HttpError::Status(Refusal { code: 400, .. })
            if is_plain =>
        {
            "if this port expects TLS, write https:// in $URL"
        }
        HttpError::Io(_) | HttpError::Protocol(_) => {
            "check that $URL has the receiver's port for TLS, and that no proxy is in between"
        }
        HttpError::Status(refusal) => match refusal.code {
            300..=399 => "the agent follows no redirects: write the new address in $URL",
            401 => "the receiver does not know the agent: check $CREDENTIALS",
            403 => "the receiver knows the agent and denies access: check $CREDENTIALS",
            404 => "there is nothing at the path of $URL: $PATH",
            429 | 500 | 502..=599 => "the receiver is failing or overloaded; try again",
            _ => "check that $URL names the right kind of receiver",
        },
    };
    let Kind { url, ca, credentials, path, .. } = kind;
    let names = [("$URL", url), ("$CA", ca), ("$CREDENTIALS", credentials), ("$PATH", path)];
    names.iter().fold(advice.to_owned(), |advice, (name, value)| advice.replace(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn every_setting_that_advice_names_exists() {
        for kind in [WEBHOOK, OTLP, ALERTMANAGER] {
            let words = kind.credentials.split(" and ").chain([kind.url, kind.ca]);
            for word in words {
                assert!(SETTINGS.iter().any(|setting| setting.key == word), "{word}");
            }
        }
    }

    #[test]
    fn a_server_that_knows_no_post_is_no_receiver_that_fails() {
        let advised = |code| {
            let refusal = Refusal { code, retry_after: None, body: vec![] };
            advice(&OTLP, Scheme::Http, &HttpError::Status(refusal))
        };
        for code in [405, 501] {
            assert!(advised(code).contains("names the right kind of receiver"), "{code}");
        }
        assert!(advised(503).contains("try again"));
    }

    #[test]
    fn advice_names_the_settings_of_its_receiver() {
        let refused = |code| HttpError::Status(Refusal { code, retry_after: None, body: vec![] });
        let errors = [
            HttpError::Connect(String::new()),
            HttpError::NotTls,
            HttpError::Tls(String::new()),
            HttpError::Io(String::new()),
            HttpError::Protocol(String::new()),
        ];
        let errors = errors.into_iter().chain([301, 400, 401, 403, 404, 415].map(refused));
        for error in errors {
            for scheme in [Scheme::Http, Scheme::Https] {
                let advice = advice(&OTLP, scheme, &error);
                assert!(advice.contains("BLACKBOX_OTLP_") && !advice.contains('$'), "{advice}");
            }
        }
    }
}
