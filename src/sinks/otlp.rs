//! The OTLP sink: incidents as OpenTelemetry log records, those that wait in one request.

use std::sync::Arc;

use crate::config::endpoint::Secret;
use crate::config::receivers::otlp;
use crate::core::Now;
use crate::core::export::otlp::{Rejected, Request as Records, Resource, rejected};
use crate::kube::http::Header;
use crate::limits::EXPORT_BATCH_BYTES_MAX;
use crate::sinks::delivery::Delivery;
use crate::sinks::receiver::{Format, Request};

/// Log records.
pub struct LogRecords {
    resource: Resource,
    headers: Vec<Header>,
}

impl LogRecords {
    /// Creates the format for this receiver.
    pub fn new(config: &otlp::Otlp) -> Self {
        let header =
            |(name, value): &(String, Secret)| (name.clone().into(), value.expose().to_owned());
        Self {
            resource: config.resource.clone(),
            headers: config.headers.iter().map(header).collect(),
        }
    }

    /// Makes a request without records, which receivers accept by the protocol.
    pub fn empty_request(&self) -> Request<'static> {
        self.request_with(Records::default())
    }

    fn request_with(&self, records: Records) -> Request<'static> {
        Request {
            content_type: "application/x-protobuf",
            headers: self.headers.clone(),
            body: records.into_body().into(),
        }
    }
}

impl Format for LogRecords {
    fn receiver(&self) -> &'static str {
        "the OTLP receiver"
    }

    fn ca_setting(&self) -> &'static str {
        "BLACKBOX_OTLP_CA"
    }

    fn batch_bytes_max(&self) -> usize {
        EXPORT_BATCH_BYTES_MAX
    }

    fn request<'a>(&mut self, lines: &'a [Arc<Delivery>], _: Now) -> Option<Request<'a>> {
        let mut records = Records::default();
        for delivery in lines {
            records.add(&delivery.line, &self.resource);
        }
        Some(self.request_with(records))
    }

    /// By the protocol, only these codes are retried ("OTLP/HTTP Response", "Retryable Response Codes").
    fn may_try_again(&self, code: u16) -> bool {
        matches!(code, 429 | 502 | 503 | 504)
    }

    fn rejected(&self, answer: &[u8]) -> Rejected {
        rejected(answer)
    }
}
