//! A crash flight recorder for Kubernetes nodes: it watches the pods of one node through the API server and writes
//! one JSON line for every container that crashed, with the cause.
//!
//! # As a library
//!
//! The program is the product; the crate is published with it for two uses. `examples/` has a program for each.
//!
//! | you want to | use | example |
//! | --- | --- | --- |
//! | read incident lines, of any agent | [`core::reader::Incident`] | `read_lines` |
//! | run the agent in a program of your own, and act on each crash | [`agent::run_with`] with an [`EventHandler`](agent::handler::EventHandler) | `own_handler` |
//!
//! Stable, within the versions 0.x as Cargo counts them (no break from 0.1.1 to 0.1.2):
//!
//! * the incident line (`blackbox.incident/v1`: members may be added, none changes its meaning; `docs/incident.md`), the
//!   settings, and the metrics. These are what other programs should hold on to;
//! * [`core::reader`], which gets members as the line does;
//! * [`agent::run`], [`agent::run_with`] and [`config::Config::from_env`]; of
//!   [`EventHandler`](agent::handler::EventHandler) the methods without a default body. More methods with one may be added.
//!
//! Not stable: everything else, though it is public, because the tests, the fuzzers and the benches use it. That includes
//! the fields of a [`Case`](core::case::Case): read what you need from the line where you can. Fix the version (`=0.1.0`)
//! if you use more. [`agent::run`] catches SIGTERM and SIGINT, so a process can run one agent, once.
//!
//! # How the data flows
//!
//! ```text
//!                 ┌────────── Step: LIST or WATCH, from which resourceVersion ──────────┐
//!                 ▼                                                                     │
//! API server ─▶ Watch ──blocks of bytes──▶ Detection: core::stream::Stream ─────────────┤
//!               ApiClient      (on the       ListSplitter / FrameSplitter  cut          │
//!                               same         decode                        parse        │
//!                               thread)      Reflector ─────────────────────────────────┘
//!                                            Detector
//!                                              PodTable   is it new?
//!                                              classify   what type is it?
//!                                              Settling   may it still be something else?
//!                                                │    ▲
//! API server ◀── LIST events of one pod ◀─ Lookups ◀┘ │ (bounded queue, never waited for)
//!                                            └────────┘
//!                                          LiveHandler: EventHandler
//!                                                │ Work (bounded queue, never waited for)
//! /proc, cgroups ─▶ sampler ─▶ FlightRecorder ─▶ Enricher: log lines, samples, counters, the node
//!                    │         rings, roster     │ Arc<Delivery>, a bounded queue per sink, the oldest drops
//!                    └▶ recorder: recorder file  ├─▶ stdout, file, webhook ─▶ SharedLedger ─▶ state file
//!                                                └─▶ RecentIncidents ─▶ HttpServer ─▶ / and /incidents, to loopback
//!
//! POST /v1/telemetry ─▶ HttpServer ─▶ FlightRecorder: Sidecars      HttpServer ─▶ /metrics /healthz /readyz
//! SIGTERM, SIGINT ─▶ signal ─▶ main (agent::run)
//! ```
//!
//! [`commands::replay`] feeds a recording through the same [`core`] without any of the threads.
//!
//! # Where what is
//!
//! Imports point down this list, never up, and no two modules import each other (`tests/tidy/` checks that).
//!
//! | folder | what |
//! | --- | --- |
//! | `main.rs` | the command line |
//! | [`commands`] | `check`, `show`, `replay` |
//! | [`agent`] | the threads and how they are wired: [`watch`], [`detection`], [`lookups`], [`enrichment`] |
//! | [`serve`] | HTTP: metrics, health, the page, `/incidents`, posts of telemetry |
//! | [`sinks`] | deliver incident lines; the state file, which records the delivered ones; the recorder file |
//! | [`kube`], [`node`] | the HTTP client and the API server's client; the reading of the node: procfs, cgroups, logs |
//! | [`config`], [`metrics`] | settings; metrics of the agent itself |
//! | [`runtime`] | clocks, the stop flag, signals, the log's queue, files |
//! | [`core`] | pure: bytes, values and the time go in, values come out |
//! | [`limits`] | every bound, with its reason |
//!
//! The modules of the core, in the order in which a crash passes through them: [`core::stream`] cuts the bytes into
//! objects and decides what to request next, [`core::wire`] reads the needed fields of an object, [`core::detect`]
//! has the rules and judges a [`core::case`], [`core::incident`] composes what is written about it, and
//! [`core::display`] reads a line back for people, and [`core::reader`] for programs. [`core::recorder`] has the bytes of the recorder file. [`core::journal`] reads the kernel's lines in the system
//! journal's files, and [`core::kernel`] knows what they mean.
//!
//! # A crash, walked through the code
//!
//! A case is a crash while it is judged. One crash makes these stops, 1 to 14 in one file each. A stop is called from
//! the one before it or, after that has returned, from an earlier one: 3 calls 4 and 5, 6 calls 7 to 9, 2 passes the
//! outputs on to 10, 11 calls 12 to 14. 10 and 14 queue for the next. Tables that a stop looks things up in are no stops:
//! `PodTable` knows what was judged before, `Ledger` what was delivered. Nor are small functions that share a file with a
//! stop, such as `Detection::next`, `CaseOpener::facts` or the predicates in `classify.rs`.
//!
//! 1. `agent/watch.rs`: `Watch::run` gets the next `Step` from the detection and asks by `ApiClient::watch_pods`
//!    (`kube/api.rs`). `Watch::read` passes the answer on in blocks, as they arrive.
//! 2. `agent/detection.rs`: `Detection::on_block` locks the detection, reads the clock, and calls the core on the same
//!    thread. When the core returns, `Pipeline::pass_on` takes its outputs to stop 10.
//! 3. `core/stream/mod.rs`: `Stream::on_watch_block` cuts the blocks into lines (`FrameSplitter`), and `Stream::on_line`
//!    decodes each. (In a LIST, `Stream::on_list_piece` does this for each pod.)
//! 4. `core/stream/decode.rs`: `decode::line` parses a line only as far as the fingerprint needs (`Outline`,
//!    `core/wire/outline.rs`). If `Detector::knows` it (the namespace is ignored, or the fingerprint was judged and nothing
//!    of the pod is held back), only the version is kept; else the whole pod is parsed.
//! 5. `core/detect/mod.rs`: `Detector::observe` drops stale objects (`PodTable::admit`) and notes a deletion
//!    (`Deletion::seen`).
//! 6. `core/detect/observe.rs`: `Observation::container` settles what is held back, counts unseen terminations
//!    (`Observation::count_unseen`), and finds new ones (`PodTable::learn_termination`). `Observation::judge` sorts
//!    out what is history or part of the pod's failure, and collects the facts about the others.
//! 7. `core/detect/classify.rs`: `classify::termination` returns the verdict: a type and severity, or a reason why it is
//!    not a crash.
//! 8. `core/detect/open.rs`: `CaseOpener::termination` makes the case from the pod's status.
//! 9. `core/detect/output.rs`: `output::report` makes it an `Output::Crash`. A termination that a stop by the kubelet may
//!    explain is held back before that: see below.
//! 10. `agent/dispatch.rs`: `Pipeline::dispatch` passes it to `LiveHandler::on_pod_crash`, which opens it in the ledger
//!     (`SharedLedger::open`) and queues it (`EnrichQueue::crash`, `agent/enrichment.rs`).
//! 11. `agent/enrichment.rs`: on its own thread, `Enricher::crash` gathers the container's data with
//!     `FlightRecorder::read_instance` and the node's data with `FlightRecorder::add_node` (`node/flight.rs`).
//!     `Enricher::finish` notes the recurrence and calls the next three stops.
//! 12. `core/detect/oom.rs`: `oom::weigh_oom_count` makes the verdict final.
//! 13. `core/incident/compose.rs`: `compose` makes the incident, with its `sentence` (`core/incident/sentence.rs`).
//! 14. `agent/publisher.rs`: `Publisher::publish` drops it if it is below `BLACKBOX_MIN_SEVERITY`, and settles it
//!     in the ledger. Else `Delivery::new`
//!     (`sinks/delivery.rs`) renders it with `line` (`core/incident/line.rs`), and `SinkHandle::send`
//!     (`sinks/handle.rs`) queues it for each sink.
//! 15. `sinks/`: each configured sink (`stdout::run`, `file::run`, `Webhook::run`) writes or drops the line and calls
//!     `Delivery::done`. The last call settles the incident in the ledger, and the thread "state" writes the state file
//!     (`state_file::run`).
//!
//! A termination may be a stop by the kubelet, if its exit code is 0, 137, 143 or that of its stop signal, if the container
//! has a probe or a hook, or if the pod is over. Between 8 and 9, `Observation::report_or_hold` holds such a case back (`Settling::hold`,
//! `core/detect/settle.rs`), unless the status alone decides it (a failed hook, a failed start). Meanwhile:
//!
//! * `Output::Held` lets stop 11 gather the container's data now, as long as they exist.
//! * After a second, `Detector::on_time` outputs `Output::LookUp`; `Lookups::run` (`agent/lookups.rs`) lists the pod's
//!   events, and `evidence::judge` (`core/detect/evidence.rs`) weighs them.
//! * The pod's next object, its deletion, the events or a deadline settle the case: `Settling::on_container`,
//!   `Settling::on_gone`, `Settling::on_events`, `Settling::on_time`. `output::emit` goes on at stop 9.
//!
//! What a reboot ended makes no case of its own: `Reboots::explain` (`core/detect/reboot.rs`) collects it into one case of
//! the node.
//!
//! A pod that does not start or does not go, and a container that does not become ready, show no termination at all.
//! `Hangs::on_object` (`core/detect/hang.rs`) notes since when; when its time is over, `Detector::on_time` asks for the
//! events, and `output::report_over` goes on at stop 9.
//!
//! An OOM kill of a child process comes from the sampler instead (`Work::OomKills`): `EnrichState::hold_unexplained` keeps
//! it for a while in which a termination may explain it. Then `FlightRecorder::survived` looks at the container's control
//! group: only a container that still runs is reported.
//!
//! # Who remembers a pod, and until when
//!
//! The key of a pod is its UID, or for a static pod the kubelet's own UID, which outlives the mirror pod. All bounds
//! are in [`limits`].
//!
//! | who | key | what is kept | until | bound |
//! | --- | --- | --- | --- | --- |
//! | [`PodTable`] | pod | known terminations, counts | `DELETED`, or a LIST without the pod | `PODS_MAX` |
//! | its `statics` | static pod | its record | its mirror comes back | `STATIC_PODS_REMEMBERED_MAX` |
//! | its `gone` | pod, API UID | that it was deleted | newer ones replace it | `PODS_GONE_REMEMBERED_MAX` |
//! | its `ends` | incident id | that it was judged | newer ones replace it | `TERMINATIONS_REMEMBERED_MAX` |
//! | [`Settling`] | pod | cases that are held back | the verdict, or a deadline | `PENDING_MAX` |
//! | [`Reboots`] | boot | names of containers | the agent terminates | `REBOOT_NAMES_BYTES_MAX` |
//! | `Hangs` | pod, container | what does not get on | it gets on, or its line | `HANGS_MAX` |
//! | `Storms` | workload, reason | refusals since the last line | ten minutes without one | `STORMS_MAX` |
//! | [`Ledger`] | pod | accounted terminations | `Output::Forgotten` | `LEDGER_CONTAINERS_MAX` |
//! | its `recent` | incident id | what was delivered last | newer ones replace it | `LEDGER_RECENT_MAX` |
//! | [`Roster`] | pod | running containers, addresses | `Output::Gone` | `PODS_MAX` |
//! | [`Sidecars`] | pod | posted numbers | `Work::Gone` | `TELEMETRY_SERIES_MAX` |
//! | [`CgroupTree`] | pod, container ID | directories | a failed look or read | `CGROUP_CONTAINERS_MAX` |
//! | [`ContainerRecorder`] | pod, container ID | samples, OOM kills | `RECORDS_KEPT` | `RECORDED_CONTAINERS_MAX` |
//! | [`Recurrences`] | pod, container name | times of incidents | the table is full | `RECURRENCES_MAX` |
//! | [`Seen`] | fingerprint | count, first and last times | the table is full | `SEEN_BYTES_MAX` |
//! | [`Workloads`] | workload, type | number of incidents | an hour without one, and no room | `WORKLOADS_MAX` |
//!
//! * A record of the [`PodTable`] has at most `CONTAINERS_PER_POD_MAX` containers, each with
//!   `TERMINATIONS_KNOWN_PER_CONTAINER` known terminations and episodes, and `EPISODES_KNOWN_PER_POD` episodes of its
//!   own. `Output::Gone` follows when a record is removed. `Output::Forgotten` follows as well, but
//!   for a static pod only when its record is pushed out of `statics`.
//! * The [`Ledger`] also holds each incident that is on its way to the sinks. Its content survives the agent in the
//!   state file.
//! * `Work::Gone` is queued behind the pod's reported incidents, so that they still show the posted numbers. If that
//!   message is lost, [`Sidecars`] drops the pod when it needs the room. It keeps at most `PODS_MAX` pods, and for
//!   each pod `TELEMETRY_NAMES_MAX` names with `TELEMETRY_SAMPLES_MAX` samples each.
//! * [`ContainerRecorder`] counts `RECORDS_KEPT` from the moment when the container is no longer wanted and its pod
//!   or its directory is gone; it also keeps at most `PODS_MAX` pods. If a new container needs the room, the one that
//!   disappeared first is forgotten earlier. A container has `WINDOW_SAMPLES_MAX` regular and `FAST_SAMPLES_MAX` fast
//!   samples at most.
//!   Containers that the API does not list are recorded if there is room; one that is a sandbox is dropped after
//!   `SANDBOX_AFTER_SAMPLES`. Of pods that the API has not shown, at most `UNKNOWN_PODS_MAX` are kept, with their
//!   counter only.
//! * [`CgroupTree`] also keeps at most `PODS_MAX` pods.
//! * [`Recurrences`] keeps `RECURRENCE_TIMES_MAX` times of each container, also after the pod is gone. When the table
//!   is full, containers without an incident within `BRIEF_WITHIN` are forgotten first, and if that is not enough,
//!   all of them.
//! * If the table of [`Seen`] is full, a quarter of it is forgotten, those first that were not seen for the longest time. Its
//!   content survives the agent in the state file.
//!
//! # What holds
//!
//! * [`core`] is pure: no clock, no I/O, no log. The time is an argument, failures are values.
//! * Whatever is buffered, queued, kept or retried has a bound in [`limits`].
//! * The thread that reads the watch waits for nothing else, and neither does the detection, which runs on it.
//! * There is no global state. Threads share atomics, bounded queues, and data behind locks that no thread holds
//!   while it waits. A panic terminates the process, and the kubelet restarts it.
//! * Only [`runtime::clock`] reads the time; only [`agent`], [`mod@runtime::signal`], [`serve::http`] and [`kube`]
//!   start threads.
//!
//! # What is not here
//!
//! No async runtime, no Kubernetes client library, no write to the API server, no child process.
//!
//! [`watch`]: mod@agent::watch
//! [`detection`]: agent::detection
//! [`lookups`]: agent::lookups
//! [`enrichment`]: agent::enrichment
//! [`PodTable`]: core::detect::pods::PodTable
//! [`Settling`]: core::detect::settle::Settling
//! [`Reboots`]: core::detect::reboot::Reboots
//! [`Ledger`]: core::detect::ledger::Ledger
//! [`Roster`]: core::roster::Roster
//! [`Sidecars`]: core::sidecar::Sidecars
//! [`CgroupTree`]: node::cgroup::CgroupTree
//! [`ContainerRecorder`]: node::cgroup::ContainerRecorder
//! [`Recurrences`]: core::incident::recurrence::Recurrences
//! [`Seen`]: core::seen::Seen
//! [`Workloads`]: metrics::workloads::Workloads

#![forbid(unsafe_code)]

pub mod agent;
pub mod commands;
pub mod config;
pub mod core;
pub mod kube;
pub mod limits;
pub mod metrics;
pub mod node;
pub mod runtime;
pub mod serve;
pub mod sinks;

#[cfg(test)]
#[path = "../tests/support/scratch.rs"]
#[allow(unreachable_pub, reason = "it is public where the tests share it")]
mod scratch;

/// How many rounds a random test does: a tenth, or all of them where `BLACKBOX_LONG_TESTS` is set, as in the nightly job.
#[cfg(test)]
fn rounds(all: u64) -> u64 {
    if std::env::var_os("BLACKBOX_LONG_TESTS").is_some() { all } else { all / 10 }
}
