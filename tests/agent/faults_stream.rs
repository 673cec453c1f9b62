//! The fault bed's rows about the bytes: cuts, garbage, endless lines and heads, events that are duplicated, late,
//! about no known pod, or about many crashes at once. `support::bed` explains what a row checks and prints.

use crate::support::bed::{SECOND, millis};
use crate::support::change::watch_line;
use crate::support::clock::eventually;
use crate::support::script::Insertion;
use crate::support::{Bed, BedOptions, Behaviour, Ending, PATIENCE, Point, Resource, Target};

const MIB: usize = 1 << 20;

/// A line may have 16 MiB, and a buffer that grows to that size is copied once.
const RESIDENT_KIB_MAX: u64 = 48 << 10;

/// Applies each of these behaviours to a watch in turn, while crashes continue.
#[track_caller]
fn watched_through(bed: &mut Bed, behaviours: impl IntoIterator<Item = Behaviour>) {
    for behaviour in behaviours {
        // A watch that has not started yet would not be closed by `end_watches`.
        let begun = eventually(PATIENCE, || bed.api.open_watches() == 1);
        assert!(begun, "{} watches are open: {:?}", bed.api.open_watches(), bed.last_requests());
        let asked = bed.api.count("watch", "pods");
        bed.api.once(Target::WATCH_PODS, behaviour);
        bed.api.end_watches();
        let over = eventually(PATIENCE, || bed.api.count("watch", "pods") >= asked + 2);
        assert!(over, "the bent watch did not end: {} {:?}", bed.agent.log(), bed.last_requests());
    }
    bed.heal();
    bed.recover();
}

fn malformed(bed: &Bed, kind: &str) -> f64 {
    bed.agent.metric(&format!("blackbox_watch_malformed_total{{kind=\"{kind}\"}}"))
}

#[test]
fn a_stream_cut_anywhere_is_resumed() {
    let mut bed = Bed::start("16 watches cut or reset in a line, in a character");
    // The label's multi-byte characters are around the 150th byte of each line.
    let places = (0..16).map(|n| {
        let ending = if n % 2 == 0 { Ending::Cut } else { Ending::Reset };
        Behaviour::api().chunks(1 + n % 7).ends(Point::Bytes(110 + n * 17), ending)
    });
    watched_through(&mut bed, places);
    assert_eq!(bed.api.count("list", "pods"), 1);
    assert!(malformed(&bed, "truncated") >= 8.0);
    bed.finish();
}

#[test]
fn a_stream_cut_in_a_chunk_header_is_resumed() {
    let mut bed = Bed::start("8 watches cut in a chunk header");
    let headers: [&[u8]; 8] =
        [b"1", b"1f", b"1f\r", b"1f;x", b"\r", b"zz\r\n", b"-1\r\n", b"ffffffffffffffff\r\n"];
    let watches = headers.map(|h| Behaviour::api().ends(Point::Bytes(900), Ending::Cut).parting(h));
    watched_through(&mut bed, watches);
    bed.finish();
}

#[test]
fn chunks_of_one_byte_are_a_stream_as_well() {
    let mut bed = Bed::start("chunks of one byte, 2 s");
    bed.api.always(Target::WATCH_PODS, Behaviour::api().chunks(1));
    bed.api.end_watches();
    bed.wait(2 * SECOND);
    bed.heal();
    bed.recover();
    bed.finish();
}

#[test]
fn lines_and_heads_without_end_cost_bounded_memory() {
    let mut bed = Bed::start("line of 20 MiB, line of 64 MiB without end, head of 256 MiB");
    let line = |mib, newline| Insertion::GiantLine { bytes: mib * MIB, newline };
    watched_through(
        &mut bed,
        [
            Behaviour::api().insert(2, line(20, true)),
            Behaviour::api().insert(2, line(64, false)),
            Behaviour::api().endless_head(),
        ],
    );
    assert_eq!(malformed(&bed, "line_too_long"), 2.0);
    let peak = bed.agent.proc_status("VmHWM");
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
    bed.finish();
}

#[test]
fn garbage_among_good_events_is_passed_over() {
    let mut bed = Bed::start("garbage, doubled, late and ownerless events in each watch");
    // Old states of every pod, and deletions of pods that never existed.
    let (old, _) = bed.api.store().snapshot(Resource::Pods);
    let late: String = old.iter().map(|pod| watch_line("MODIFIED", pod)).collect();
    let ghost = r#"{"kind":"Pod","metadata":{"name":"ghost","namespace":"shop","uid":"ghost","resourceVersion":"3"},"spec":{"nodeName":"node1","containers":[{"name":"a"}]},"status":{"phase":"Running"}}"#;
    let ghost = format!("{{\"type\":\"DELETED\",\"object\":{ghost}}}\n");
    let not_utf8 = b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"\xC3\x28\",\"uid\":\"odd\",\"resourceVersion\":\"4\"}}}\n";
    let nulls = r#"{"type":"MODIFIED","object":{"kind":"Pod","metadata":{"uid":"nulls","resourceVersion":"5"},"spec":null,"status":{"containerStatuses":null}}}"#;
    let bytes = |text: &[u8]| Insertion::Bytes(text.to_vec());
    let bent = Behaviour::api()
        .garbage_line(1)
        .insert(2, bytes(late.as_bytes()))
        .insert(3, bytes(late.repeat(2).as_bytes()))
        .insert(4, bytes(ghost.as_bytes()))
        .insert(5, bytes(not_utf8))
        .insert(6, bytes(format!("{nulls}\n\n\r\n[]\n{{}}\n\"x\"\n").as_bytes()))
        .garbage_line(7)
        .ends(Point::Events(12), Ending::Close);
    watched_through(&mut bed, vec![bent; 10]);
    assert!(malformed(&bed, "json") >= 20.0);
    assert!(malformed(&bed, "utf8") >= 10.0);
    bed.finish();
}

#[test]
fn pods_that_come_go_and_come_again_under_their_names_are_kept_apart() {
    let mut bed = Bed::with(
        "pods deleted and made again, often under the same name, 4 s",
        BedOptions { pace: millis(2), pods: 20, ..BedOptions::default() },
    );
    bed.workload(|w| w.churns = true);
    for _ in 0..20 {
        bed.wait(millis(200));
        bed.take_in();
    }
    bed.heal();
    bed.recover();
    assert!(bed.agent.metric("k8s_pod_events_total{type=\"stop\"}") >= 5.0);
    assert!(bed.agent.metric("blackbox_quiet_ends_total{reason=\"deletion\"}") >= 1.0);
    bed.finish();
}

#[test]
fn an_event_that_skips_five_restarts_counts_what_it_hides() {
    let mut bed = Bed::start("events that skip five restarts");
    bed.pause();
    for _ in 0..10 {
        bed.end_unseen(6);
        bed.wait(millis(20));
    }
    bed.resume();
    bed.heal();
    bed.recover();
    let balance = bed.finish();
    // Of six terminations the object shows only the two newest.
    assert!(balance.unseen >= 40, "{balance}");
}
