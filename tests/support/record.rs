//! The log of the fake's requests, for tests to inspect.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::time::Instant;

use super::answer::Call;
use super::http::{Request, query_param};
use super::role;

/// Maximum number of records; beyond it the oldest is dropped.
const RECORDS_MAX: usize = 100_000;

/// One request in the log.
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
    /// The path without the query.
    pub path: String,
    /// The query as sent.
    pub query: String,
    /// The User-Agent header, or empty.
    pub user_agent: String,
    /// The Accept header, or empty.
    pub accept: String,
    /// Whether the request had an Authorization header.
    pub authorized: bool,
    /// Number of the connection, from 1: equal numbers mean a reused connection.
    pub connection: u64,
    /// When the request had been read.
    pub at: Instant,
}

/// Every request since the start.
#[derive(Default)]
pub struct RequestLog(Mutex<Log>);

#[derive(Default)]
struct Log {
    /// Oldest first.
    records: VecDeque<RequestRecord>,
    /// The agent's calls that its role does not grant.
    ungranted: BTreeSet<String>,
}

impl RequestRecord {
    /// Creates the record of a request.
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

    /// Returns the decoded value of a query parameter; empty if it is absent.
    pub fn param(&self, name: &str) -> String {
        query_param(&self.query, name)
    }
}

impl RequestLog {
    /// Adds a record.
    pub fn push(&self, record: RequestRecord) {
        let call = role::call_of_the_agent(&record);
        let mut log = self.0.lock().unwrap();
        log.ungranted.extend(call.filter(|call| !role::grants(call)));
        if log.records.len() == RECORDS_MAX {
            log.records.pop_front();
        }
        log.records.push_back(record);
    }

    /// Returns a copy of all records.
    pub fn all(&self) -> Vec<RequestRecord> {
        self.0.lock().unwrap().records.iter().cloned().collect()
    }

    /// Returns the calls that the agent made and that its role does not grant.
    pub fn ungranted(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().ungranted.clone()
    }
}
