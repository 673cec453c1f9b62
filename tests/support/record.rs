//! What was asked: the log of requests that tests look at.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use super::answer::Call;
use super::calls;
use super::http::{Request, query_param};

/// The log forgets the oldest beyond this many.
const RECORDS_MAX: usize = 100_000;

/// One request, as the log keeps it.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// `list`, `watch`, `get` or `create`.
    pub verb: &'static str,
    /// `pods`, `events`, `nodes`, `selfsubjectaccessreviews`, or the path of a nonresource request.
    pub resource: String,
    /// The namespace in the path.
    pub namespace: Option<String>,
    /// The object's name in the path.
    pub name: Option<String>,
    /// The path alone.
    pub path: String,
    /// The query as sent.
    pub query: String,
    /// The User-Agent header, or nothing.
    pub user_agent: String,
    /// The Accept header, or nothing.
    pub accept: String,
    /// Whether an Authorization header came along.
    pub authorized: bool,
    /// Number of the connection, from 1: equal numbers are a reused connection.
    pub connection: u64,
    /// When the request had been read.
    pub at: Instant,
}

/// Every request since the start, the oldest first.
#[derive(Default)]
pub struct RequestLog(Mutex<VecDeque<RequestRecord>>);

impl RequestRecord {
    /// The record of a request.
    pub fn new(call: &Call, request: &Request, connection: u64, at: Instant) -> Self {
        let header = |name| request.header(name).unwrap_or_default().to_owned();
        Self {
            verb: call.verb,
            resource: call.resource.clone(),
            namespace: call.namespace.clone(),
            name: call.name.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            user_agent: header("user-agent"),
            accept: header("accept"),
            authorized: request.header("authorization").is_some(),
            connection,
            at,
        }
    }

    /// The decoded value of a query parameter; empty when it is absent.
    pub fn param(&self, name: &str) -> String {
        query_param(&self.query, name)
    }
}

impl RequestLog {
    /// Adds one.
    pub fn push(&self, record: RequestRecord) {
        calls::note(&record);
        let mut records = self.0.lock().unwrap();
        if records.len() == RECORDS_MAX {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// A copy of all.
    pub fn all(&self) -> Vec<RequestRecord> {
        self.0.lock().unwrap().iter().cloned().collect()
    }
}
