//! Incident lines in the forms that other receivers expect: OpenTelemetry's protocol, Alertmanager's alerts, a chat's
//! messages, and the headers of CloudEvents. All of them are made from the line, so that every receiver gets the same
//! facts, cut to the same bounds.

pub mod alert;
pub mod chat;
pub mod cloud_event;
mod line;
pub mod otlp;
mod protobuf;

pub use self::line::ParsedLine;
