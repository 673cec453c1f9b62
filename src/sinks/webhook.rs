//! The webhook sink: one HTTP POST per incident, in order, or a message in a chat.

use std::sync::Arc;
use std::time::Duration;

use crate::config::receivers::webhook::WebhookFormat;
use crate::core::Now;
use crate::core::export::chat::Chat;
use crate::core::export::cloud_event;
use crate::sinks::delivery::Delivery;
use crate::sinks::receiver::{Format, Request};

/// Returns what the collector gets.
pub fn format(format: WebhookFormat) -> Box<dyn Format> {
    match format {
        WebhookFormat::Incident => Box::new(Line),
        WebhookFormat::Slack => Box::new(Chat::default()),
    }
}

/// The incident as it is. A retry carries the same `Idempotency-Key`, the incident's id.
#[derive(Debug)]
struct Line;

impl Format for Line {
    fn receiver(&self) -> &'static str {
        "the collector"
    }

    fn ca_setting(&self) -> &'static str {
        "BLACKBOX_WEBHOOK_CA"
    }

    fn request<'a>(&mut self, lines: &'a [Arc<Delivery>], _: Now) -> Option<Request<'a>> {
        let delivery = lines.first()?;
        let body = delivery.line.strip_suffix(b"\n").unwrap_or(&delivery.line);
        let key = ("Idempotency-Key", delivery.id.to_string());
        let headers = cloud_event::headers(body).into_iter().chain([key]);
        let headers = headers.map(|(name, value)| (name.into(), value)).collect();
        Some(Request { headers, ..Request::json(body) })
    }
}

impl Format for Chat {
    fn receiver(&self) -> &'static str {
        "the chat"
    }

    fn ca_setting(&self) -> &'static str {
        "BLACKBOX_WEBHOOK_CA"
    }

    fn request<'a>(&mut self, lines: &'a [Arc<Delivery>], now: Now) -> Option<Request<'a>> {
        let body = self.message(&lines.first()?.line, now.monotonic)?;
        Some(Request::json(body))
    }

    fn due(&self) -> Option<Duration> {
        self.due()
    }

    fn late_request(&mut self, now: Now, is_end: bool) -> Option<(Request<'static>, u64)> {
        let (body, incidents) = self.count(now.monotonic, is_end)?;
        Some((Request::json(body), incidents))
    }
}
