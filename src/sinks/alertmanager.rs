//! The Alertmanager sink: incidents as alerts, those that wait in one request.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Now;
use crate::core::export::alert::Alerts;
use crate::limits::EXPORT_BATCH_BYTES_MAX;
use crate::sinks::delivery::Delivery;
use crate::sinks::receiver::{Format, Request};

/// Alerts that end this long after they are posted.
#[derive(Debug)]
pub struct AlertsFor(pub Duration);

impl Format for AlertsFor {
    fn receiver(&self) -> &'static str {
        "Alertmanager"
    }

    fn ca_setting(&self) -> &'static str {
        "BLACKBOX_ALERTMANAGER_CA"
    }

    fn batch_bytes_max(&self) -> usize {
        EXPORT_BATCH_BYTES_MAX
    }

    fn request<'a>(&mut self, lines: &'a [Arc<Delivery>], now: Now) -> Option<Request<'a>> {
        let mut alerts = Alerts::new(now.wall.saturating_add(self.0).unwrap_or(now.wall));
        for delivery in lines {
            alerts.add(&delivery.line);
        }
        alerts.into_body().map(Request::json)
    }

    /// The alerts would otherwise end too early by the time that the tries took, and perhaps before anybody was notified.
    fn again<'a>(&mut self, lines: &'a [Arc<Delivery>], now: Now) -> Option<Request<'a>> {
        self.request(lines, now)
    }

    /// Alertmanager answers 400 to alerts that it will never take, and 5xx when it is not ready.
    fn may_try_again(&self, code: u16) -> bool {
        matches!(code, 408 | 429 | 500..600)
    }
}
