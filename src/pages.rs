//! What the HTTP server serves: `/metrics`, `/healthz`, `/readyz`.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::health::{Ailment, Health};
use crate::http::{Request, Response};
use crate::metrics::Metrics;
use crate::process::ProcessStats;

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The handler of all paths.
pub fn handler(
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
    clock: Clock,
    config: &Config,
) -> impl Fn(&Request<'_>) -> Response + Send + Sync + 'static {
    let (metrics, health, idle) = (metrics.clone(), health.clone(), config.watch_idle_timeout);
    move |request| match request.path {
        "/metrics" => {
            let mut page = String::with_capacity(16 << 10);
            // The agent's own process, whatever BLACKBOX_PROC says of the node's.
            metrics.render(&ProcessStats::read("/proc".as_ref()), &mut page);
            Response { status: 200, content_type: METRICS, body: page.into_bytes() }
        }
        "/healthz" => verdict(health.alive(clock.monotonic())),
        "/readyz" => verdict(health.ready(clock.monotonic(), idle)),
        _ => text(404, "there are /metrics, /healthz and /readyz\n".to_owned()),
    }
}

fn verdict(verdict: Result<(), Ailment>) -> Response {
    match verdict {
        Ok(()) => text(200, "ok\n".to_owned()),
        Err(ailment) => text(503, format!("{ailment}\n")),
    }
}

fn text(status: u16, body: String) -> Response {
    Response { status, content_type: TEXT, body: body.into_bytes() }
}
