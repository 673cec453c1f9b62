//! What the agent serves over HTTP: metrics, health, the page, posts.

pub mod http;
pub mod loopback;
pub mod page;
pub mod recent;
pub mod routes;
