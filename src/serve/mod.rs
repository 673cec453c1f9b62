//! The agent's HTTP endpoints: metrics, health, the incident page and telemetry posts.

pub mod http;
pub mod loopback;
pub mod page;
pub mod query;
pub mod recent;
pub mod routes;
