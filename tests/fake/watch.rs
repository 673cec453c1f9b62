//! The fake API server's watches begin, continue and end like the real one's.

use std::fs;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use crate::support::client::{Piece, RawClient};
use crate::support::clock::now;
use crate::support::sample::{names, pod, version};
use crate::support::store::Waited;
use crate::support::{
    Behaviour, FakeApi, Options, Pace, Recording, Resource, Store, Target, fixture,
};
use crate::{PODS, plain};

/// Returns the type and name of the next event that is not a bookmark.
fn next_change(client: &mut RawClient) -> (String, String) {
    for _ in 0..1000 {
        let event = client.event().unwrap().unwrap();
        if event["type"] != "BOOKMARK" {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            return (text(&event["type"]), text(&event["object"]["metadata"]["name"]));
        }
    }
    panic!("nothing but bookmarks")
}

#[test]
fn watch_replays_what_came_after_its_version_and_goes_on() {
    let api = plain();
    let first = api.apply(pod("a", "node1", "Pending"));
    api.apply(pod("b", "node2", "Pending"));
    api.apply(pod("a", "node1", "Running"));
    let mut client = RawClient::connect(&api);
    let selector = "fieldSelector=spec.nodeName%3Dnode1";
    client.watch(&format!("{PODS}?watch=1&resourceVersion={first}&{selector}"));
    assert_eq!(next_change(&mut client), ("MODIFIED".into(), "a".into()));
    api.apply(pod("c", "node1", "Pending"));
    assert_eq!(next_change(&mut client), ("ADDED".into(), "c".into()));
    let deleted = api.delete_pod("shop", "a").unwrap();
    let event = client.event().unwrap().unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["status"]["phase"], "Running");
    assert_eq!(version(&event["object"]), deleted);
}

#[test]
fn an_object_that_leaves_the_selection_is_deleted_for_the_watch() {
    let api = plain();
    let start = api.apply(pod("a", "node1", "Pending"));
    let mut client = RawClient::connect(&api);
    let selector = "fieldSelector=status.phase%3DRunning";
    client.watch(&format!("{PODS}?watch=1&resourceVersion={start}&{selector}"));
    for (phase, expected) in [("Running", "ADDED"), ("Running", "MODIFIED"), ("Failed", "DELETED")]
    {
        api.apply(pod("a", "node1", phase));
        assert_eq!(next_change(&mut client).0, expected);
    }
}

#[test]
fn what_is_written_meanwhile_collides_with_no_recorded_version_at_any_pace() {
    for pace in [0.5, 1.0, 5.0, 20.0] {
        for every in [Duration::from_millis(700), Duration::from_secs(40)] {
            let store = Store::new(100_000);
            let recording = Recording::load(&fixture("crash-zoo")).repeated(SignedDuration::ZERO);
            let write = || store.apply(pod("written", "node1", "Running"));
            write();
            recording.install(&store);
            let start = store.version();
            let (mut written, mut last) = (0, Duration::ZERO);
            recording.play_steps(&store, Pace::Times(pace), |at| {
                last = at;
                while every * written <= at {
                    write();
                    written += 1;
                }
                true
            });
            assert!(last > Duration::from_secs(8), "the schedule has times");
            let mut changes = Vec::new();
            for resource in [Resource::Pods, Resource::Events] {
                let Waited::Changes(some) = store.wait(resource, start, Duration::ZERO) else {
                    panic!("no changes");
                };
                assert!(some.is_sorted_by(|one, next| one.version < next.version));
                changes.extend(some);
            }
            assert_eq!(changes.len(), recording.changes_after_list() + written as usize);
        }
    }
}

#[test]
fn watch_from_a_forgotten_version_gets_410_inside_200() {
    let api = plain();
    api.apply(pod("a", "node1", "Pending"));
    api.store().advance(2280);
    api.store().compact();
    let mut client = RawClient::connect(&api);
    client.watch(&format!("{PODS}?watch=1&resourceVersion=1"));
    let event = client.event().unwrap().unwrap();
    let recorded = fs::read_to_string(fixture("http/watch-rv1.txt")).unwrap();
    let line = recorded.lines().find(|line| line.starts_with('{')).unwrap();
    assert_eq!(event, serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(client.event().unwrap(), None);
    client.watch(&format!("{PODS}?watch=1&resourceVersion=2280"));
    api.apply(pod("b", "node1", "Pending"));
    assert_eq!(next_change(&mut client).1, "b");
}

#[test]
fn the_bounded_history_forgets_the_oldest() {
    let api = FakeApi::start(Options { tls: false, history_max: 2, ..Options::default() });
    let versions: Vec<u64> =
        ["a", "b", "c", "d"].map(|name| api.apply(pod(name, "node1", "Pending"))).to_vec();
    let mut client = RawClient::connect(&api);
    client.watch(&format!("{PODS}?watch=1&resourceVersion={}", versions[0]));
    assert_eq!(client.event().unwrap().unwrap()["object"]["code"], 410);
    assert_eq!(client.event().unwrap(), None);
    client.watch(&format!("{PODS}?watch=1&resourceVersion={}", versions[1]));
    assert_eq!(next_change(&mut client).1, "c");
}

#[test]
fn restart_keeps_the_port_and_forgets_the_history() {
    let api = plain();
    let before = api.apply(pod("a", "node1", "Pending"));
    api.apply(pod("a", "node1", "Running"));
    let mut client = RawClient::connect(&api);
    client.watch(&format!("{PODS}?watch=1&resourceVersion={before}"));
    let url = api.url();
    api.restart();
    assert!((0..10).any(|_| client.event().is_err()));
    assert_eq!(api.url(), url);
    let mut client = RawClient::connect(&api);
    client.watch(&format!("{PODS}?watch=1&resourceVersion={before}"));
    assert_eq!(client.event().unwrap().unwrap()["object"]["reason"], "Expired");
    api.stop();
    assert!(std::net::TcpStream::connect(api.addr()).is_err());
}

#[test]
fn without_progress_notices_a_watch_of_pods_that_do_not_change_is_silent_to_its_end() {
    let api = FakeApi::start(Options {
        tls: false,
        bookmark_interval: Duration::from_millis(50),
        progress_notices: false,
        ..Options::default()
    });
    let start = api.apply(pod("a", "node1", "Running"));
    // A write to another resource.
    api.store().advance(start + 10);
    let mut client = RawClient::connect(&api);
    client.watch(&format!(
        "{PODS}?watch=1&resourceVersion={start}&allowWatchBookmarks=true&timeoutSeconds=1"
    ));
    assert_eq!(client.event().unwrap(), None);
    // A pod of another node advances the version of pods, and from then on bookmarks are sent.
    client.watch(&format!(
        "{PODS}?watch=1&resourceVersion={start}&allowWatchBookmarks=true&timeoutSeconds=1\
         &fieldSelector=spec.nodeName%3Dnode1"
    ));
    let moved = api.apply(pod("b", "node2", "Running"));
    for _ in 0..2 {
        let event = client.event().unwrap().unwrap();
        assert_eq!((event["type"].as_str(), version(&event["object"])), (Some("BOOKMARK"), moved));
    }
    let mut client = RawClient::connect(&api);
    let (_, list) = client.get(&format!(
        "{PODS}?fieldSelector=spec.nodeName%3Dnode1%2Cmetadata.name%3DNONE&resourceVersion=0"
    ));
    assert_eq!((version(&list), list["items"].as_array().unwrap().len()), (moved, 0));
}

#[test]
fn watch_from_the_future_is_silent() {
    let api = plain();
    let current = api.apply(pod("a", "node1", "Pending"));
    let mut client = RawClient::connect(&api);
    let future = current + 2;
    client.watch(&format!(
        "{PODS}?watch=1&allowWatchBookmarks=true&resourceVersion={future}&timeoutSeconds=1"
    ));
    api.apply(pod("b", "node1", "Pending"));
    assert_eq!(client.event().unwrap(), None);
    client.watch(&format!("{PODS}?watch=1&resourceVersion={future}"));
    api.apply(pod("c", "node1", "Pending"));
    api.apply(pod("d", "node1", "Pending"));
    assert_eq!(next_change(&mut client).1, "d");
}

#[test]
fn watch_without_a_version_begins_with_the_state() {
    let api = plain();
    api.apply(pod("b", "node1", "Pending"));
    api.apply(pod("a", "node1", "Pending"));
    for query in ["resourceVersion=0", "resourceVersion="] {
        let mut client = RawClient::connect(&api);
        client.watch(&format!("{PODS}?watch=true&{query}"));
        let (first, second) = (next_change(&mut client), next_change(&mut client));
        assert_eq!((first.1.as_str(), second.1.as_str()), ("a", "b"));
    }
}

#[test]
fn streaming_list_ends_with_the_marked_bookmark() {
    let api = plain();
    let current = api.apply(pod("a", "node1", "Pending"));
    let mut client = RawClient::connect(&api);
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true";
    client.watch(&format!("{PODS}?{query}&resourceVersionMatch=NotOlderThan"));
    assert_eq!(next_change(&mut client).0, "ADDED");
    let mark = client.event().unwrap().unwrap();
    assert_eq!(version(&mark["object"]), current);
    let recorded = fs::read_to_string(fixture("http/watchlist.txt")).unwrap();
    let line = recorded.lines().find(|line| line.contains("initial-events-end")).unwrap();
    let mut expected: Value = serde_json::from_str(line).unwrap();
    expected["object"]["metadata"]["resourceVersion"] = current.to_string().into();
    assert_eq!(mark, expected);
    assert_eq!(RawClient::connect(&api).get(&format!("{PODS}?{query}")).0.status, 422);
}

#[test]
fn bookmarks_come_regularly_and_time_ends_a_watch_neatly() {
    let api = plain();
    let mut client = RawClient::connect(&api);
    let start = api.store().version();
    let query = "watch=1&allowWatchBookmarks=true&timeoutSeconds=1";
    client.watch(&format!("{PODS}?{query}&resourceVersion={start}"));
    api.store().advance(start + 10);
    let mut bookmarks = 0;
    while let Some(event) = client.event().unwrap() {
        assert_eq!(event["type"], "BOOKMARK");
        assert_eq!(version(&event["object"]), start + 10);
        bookmarks += 1;
    }
    assert!((2..=20).contains(&bookmarks), "{bookmarks}");
    // The connection can be reused.
    assert_eq!(client.get(PODS).0.status, 200);
    let connections: Vec<u64> = api.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1]);
}

#[test]
fn a_slow_batch_does_not_outlive_the_timeout() {
    let api = plain();
    for _ in 0..20 {
        api.apply(pod("a", "node1", "Pending"));
    }
    let slow = Behaviour::api().pause(Duration::from_millis(300));
    api.once(Target::WATCH_PODS, slow);
    let mut client = RawClient::connect(&api);
    client.watch(&format!("{PODS}?watch=1&resourceVersion=1&timeoutSeconds=1"));
    let events = (0..20).map_while(|_| client.event().unwrap()).count();
    assert!((1..6).contains(&events), "{events}");
}

#[test]
fn a_recording_is_served_line_by_line_as_it_was_recorded() {
    let api = FakeApi::start(Options { tls: false, ..Options::default() });
    let folder = fixture("crash-zoo");
    let recording = Recording::load(&folder);
    let (start, end) = (recording.list_version(), recording.last_version());
    recording.play(api.store(), Pace::Fast).wait_done();
    assert_eq!(api.store().version(), end);

    let recorded = fs::read_to_string(folder.join("pods.watch.jsonl")).unwrap();
    let lines: Vec<&str> =
        recorded.lines().filter(|line| !line.starts_with("{\"type\":\"BOOKMARK\"")).collect();
    let mut client = RawClient::connect(&api);
    client.watch(&format!("{PODS}?watch=1&resourceVersion={start}"));
    for line in &lines {
        let Piece::Chunk(chunk) = client.piece().unwrap() else { panic!("ended early") };
        assert_eq!(chunk, format!("{line}\n").as_bytes());
    }
    let (events, _) = api.store().snapshot(Resource::Events);
    let (_, list) = RawClient::connect(&api).get(PODS);
    assert_eq!(names(&list).len(), 41);
    assert!(events.len() > 150, "{}", events.len());
}

#[test]
fn a_recording_can_be_played_at_a_pace() {
    let api = FakeApi::start(Options { tls: false, ..Options::default() });
    let recording = Recording::load(&fixture("crash-zoo"));
    let start = now();
    // Seven minutes in one second.
    let player = recording.play(api.store(), Pace::Times(400.0));
    assert!(!player.is_done());
    player.wait_done();
    assert!(now() - start >= Duration::from_secs(1));
    assert_eq!(api.store().version(), 2346);
}
