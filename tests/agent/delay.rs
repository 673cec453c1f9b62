//! Measures how long an event takes from the API server to its line on stdout.

use std::time::Duration;

use serde_json::json;

use crate::support::clock::{Stopper, now};
use crate::support::crash::pod;
use crate::support::{AgentOptions, FakeApi, Options, PATIENCE, Scratch};

/// Measures at 100 events per second; every tenth event is a crash that needs no evidence; telemetry is on. The
/// result includes the time of the fake API server and of the reader of stdout; the agent's own measurement is
/// printed beside it. `BLACKBOX_BINARY` selects the binary.
#[test]
#[ignore = "measures"]
fn how_long_a_crash_takes_to_its_line_at_100_events_a_second() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("delay"));
    api.write_service_account(scratch.path());
    let agent = AgentOptions::in_pod(api.addr(), scratch.path()).start();
    agent.wait_ready();
    let clock = Stopper::default();
    let mut delays = Vec::new();
    let begin = now();
    for n in 0..4000_u32 {
        clock.wait((begin + n * Duration::from_millis(10)).saturating_duration_since(now()));
        let ends = n / 10 + u32::from(n % 10 == 9);
        let mut pod = pod("a", ends);
        pod["metadata"]["labels"] = json!({"n": n.to_string()});
        let sent = now();
        api.apply(pod);
        if n % 10 == 9 {
            while agent.lines_from(delays.len()).is_empty() {
                assert!(sent.elapsed() < PATIENCE, "no line");
                clock.wait(Duration::from_micros(50));
            }
            delays.push(sent.elapsed());
        }
    }
    delays.sort();
    let at = |percent: usize| delays[delays.len() * percent / 100];
    println!("{} crashes: median {:?}, 99th percentile {:?}", delays.len(), at(50), at(99));
    let series = "blackbox_incident_agent_delay_seconds";
    for bound in ["0.001", "0.0025", "0.005"] {
        let within = agent.metric(&format!("{series}_bucket{{le=\"{bound}\"}}"));
        println!(
            "{within} of {} within {bound} s ({series})",
            agent.metric(&format!("{series}_count"))
        );
    }
}
