//! The HTTP routes: `/metrics`, `/healthz`, `/readyz`, POST to `/v1/telemetry`, and for callers on loopback
//! `/incidents` and the page.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Config;
use crate::core::roster::Roster;
use crate::core::sidecar::{self, Refusal, Sidecars};
use crate::limits::{READERS_MAX, TELEMETRY_BODY_BYTES_MAX};
use crate::metrics::health::{Health, Unhealthy};
use crate::metrics::process::ProcessStats;
use crate::metrics::{Metrics, PostResult};
use crate::runtime::clock::Clock;
use crate::runtime::log_queue::LogQueue;
use crate::serve::http::{Post, Request, Response, Unread};
use crate::serve::loopback;
use crate::serve::page::{self, Page};
use crate::serve::query::Query;
use crate::serve::recent::{RecentIncidents, Snapshot};

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const LINES: &str = "application/x-ndjson";

const BUSY: &str = "too many readers at the same time; try again in a second\n";

/// What the handler reads.
#[derive(Clone, Debug)]
pub struct Known {
    /// The agent's health, for `/healthz` and `/readyz`.
    pub health: Arc<Health>,
    /// The most recent incidents.
    pub recent: Arc<RecentIncidents>,
    /// The log, which counts the lines that it dropped.
    pub log: LogQueue,
    /// The clock, for the page's time and the health checks.
    pub clock: Clock,
}

/// The paths that take POST; all others take GET and HEAD.
pub const POSTS: &[Post] =
    &[Post { path: "/v1/telemetry", body_bytes_max: TELEMETRY_BODY_BYTES_MAX }];

/// Creates the handler of all paths.
///
/// Lock order: the roster before the sidecars. The handler holds both only to judge a post whose body has been read.
/// Code that fills them must lock in the same order, or one at a time.
pub fn handler(
    metrics: &Arc<Metrics>,
    known: Known,
    config: &Config,
    roster: &Arc<Mutex<Roster>>,
    sidecars: &Arc<Mutex<Sidecars>>,
) -> impl Fn(&Request<'_>) -> Response + Send + Sync + 'static {
    let Known { health, recent, clock, log } = known;
    let (metrics, idle) = (metrics.clone(), config.watch_idle_timeout);
    let (roster, sidecars) = (roster.clone(), sidecars.clone());
    let (readers, node_name) = (Arc::new(()), config.node_name.clone());
    move |request| match request.path {
        "/metrics" => {
            let mut page = String::with_capacity(16 << 10);
            // The agent's own process, even if BLACKBOX_PROC points to the node's procfs.
            metrics.log_dropped.store(log.dropped_total(), Ordering::Relaxed);
            metrics.render(&ProcessStats::read("/proc".as_ref()), &mut page);
            Response { content_type: METRICS, ..text(200, page) }
        }
        "/healthz" => match health.alive(clock.monotonic(), &metrics.heartbeats) {
            Ok(Some(hanging)) => text(200, format!("ok\n{hanging}\n")),
            alive => verdict(alive.map(drop)),
        },
        "/readyz" => verdict(health.ready(clock.monotonic(), idle, &metrics.heartbeats)),
        "/" | "/incidents" if !loopback::may_read(request) => {
            text(403, loopback::REFUSAL.to_owned())
        }
        "/" | "/incidents" => {
            // Take a token before counting, so that two simultaneous readers cannot both get the last slot.
            let turn = readers.clone();
            if Arc::strong_count(&readers) > 1 + READERS_MAX {
                return busy(request);
            }
            let is_page = request.path == "/";
            let query = match Query::parse(request.query, is_page) {
                Ok(query) => query,
                Err(refusal) => return text(400, refusal),
            };
            let snapshot = recent.snapshot();
            let answer = if is_page {
                let monotonic = clock.monotonic();
                let page = Page {
                    node_name: &node_name,
                    snapshot: &snapshot,
                    query: &query,
                    alive: health.alive(monotonic, &metrics.heartbeats).map(drop),
                    ready: health.ready(monotonic, idle, &metrics.heartbeats),
                    now: clock.wall(),
                };
                answer_page(&page)
            } else {
                lines(&query, &snapshot)
            };
            Response { turn: Some(turn), ..answer }
        }
        "/v1/telemetry" => {
            let answer = answer(take(request, clock, &roster, &sidecars));
            metrics.telemetry_posts.add(PostResult::of_status(answer.status));
            answer
        }
        _ => {
            let there_are = "no such path; the paths are /, /incidents, /metrics, /healthz, \
                             /readyz, and POST /v1/telemetry\n";
            text(404, there_are.to_owned())
        }
    }
}

/// Answers with the page. One incident that is no longer in memory is not found; a list may be empty.
fn answer_page(page: &Page<'_>) -> Response {
    let mut html = String::new();
    let is_lost = !page.render(&mut html) && !page.query.get("id").is_empty();
    let status = if is_lost { 404 } else { 200 };
    Response { content_type: HTML, headers: page::HEADERS, ..text(status, html) }
}

/// Accepts a pod's telemetry. The post is parsed before anything is locked.
fn take(
    request: &Request<'_>,
    clock: Clock,
    roster: &Mutex<Roster>,
    sidecars: &Mutex<Sidecars>,
) -> Result<(), Refusal> {
    if loopback::is_from_page(request) {
        return Err(Refusal::Page);
    }
    let body = request.body.map_err(|unread| match unread {
        Unread::NoLength => Refusal::NoLength,
        Unread::TooLong => Refusal::TooLong,
    })?;
    let post = sidecar::Post::parse(request.content_type, body)?;
    let roster = roster.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sidecars = sidecars.lock().unwrap_or_else(PoisonError::into_inner);
    sidecars.post(&roster, request.peer.ip(), &post, clock.monotonic())
}

fn answer(taken: Result<(), Refusal>) -> Response {
    match taken {
        Ok(()) => text(204, String::new()),
        Err(refusal) => Response {
            retry_after_seconds: refusal.retry_after_seconds(),
            ..text(refusal.status(), format!("{refusal}\n"))
        },
    }
}

fn verdict(verdict: Result<(), Unhealthy>) -> Response {
    match verdict {
        Ok(()) => text(200, "ok\n".to_owned()),
        Err(ailment) => text(503, format!("{ailment}\n")),
    }
}

fn text(status: u16, body: String) -> Response {
    Response { status, content_type: TEXT, body: body.into_bytes(), ..Response::default() }
}

/// Asks the reader to come again. A page that is loaded every few seconds does so by itself, or it would stop at this
/// answer.
fn busy(request: &Request<'_>) -> Response {
    let is_kept_open = request.path == "/" && request.query.contains("refresh=");
    Response {
        retry_after_seconds: Some(1),
        headers: if is_kept_open { "Refresh: 2\r\n" } else { "" },
        ..text(503, BUSY.to_owned())
    }
}

/// Returns the lines as they are kept, oldest first.
fn lines(query: &Query, snapshot: &Snapshot) -> Response {
    let wanted = snapshot.lines.iter().rev().filter(|line| query.takes(line)).take(query.limit());
    let mut parts: Vec<_> = wanted.cloned().collect();
    parts.reverse();
    Response {
        status: 200,
        content_type: LINES,
        parts,
        headers: page::HEADERS,
        ..Response::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_oldest_first_and_the_newest_of_them_are_kept() {
        let lines_of = |query: &str| {
            let kept = ["a", "b", "c", "b"].iter().enumerate().map(|(n, pod)| {
                format!("{{\"id\":\"{n}\",\"pod_name\":\"{pod}\"}}\n").into_bytes().into()
            });
            let since = jiff::Timestamp::UNIX_EPOCH;
            let snapshot = Snapshot { lines: kept.collect(), seen_total: 4, since };
            let parts = lines(&Query::parse(query, false).unwrap(), &snapshot).parts;
            let id = |line: &Arc<[u8]>| char::from(line[7]);
            parts.iter().map(id).collect::<String>()
        };
        for (query, want) in [
            ("", "0123"),
            ("pod=b", "13"),
            ("limit=2", "23"),
            ("pod=b&limit=1", "3"),
            ("pod=x", ""),
        ] {
            assert_eq!(lines_of(query), want, "{query}");
        }
    }

    #[test]
    fn a_page_that_is_kept_open_comes_back_by_itself() {
        let of = |path, query| {
            let request = Request {
                method: crate::serve::http::Method::Get,
                path,
                query,
                peer: ([127, 0, 0, 1], 4000).into(),
                host: Some("localhost"),
                has_origin: false,
                content_type: None,
                body: Ok(&[]),
            };
            busy(&request).headers
        };
        assert_eq!(of("/", "pod=a&refresh=10"), "Refresh: 2\r\n");
        assert_eq!(of("/", ""), "");
        assert_eq!(of("/incidents", "refresh=10"), "");
    }
}
