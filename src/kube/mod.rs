//! Requests over HTTP: the client of any server, and on top of it the client of the API server.

pub mod api;
pub mod http;
