//! The incident that is written for a case: its schema, its sentence, its line.

pub mod compose;
pub mod line;
mod reason;
pub mod recurrence;
mod schema;
pub mod sentence;
pub mod shorten;

pub use self::compose::{Gathered, compose};
pub use self::reason::fingerprint;
pub use self::schema::{ContainerTelemetry, Incident, Metadata, Telemetry};
