//! The fake API server misbehaves exactly as scripted.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::{Value, json};

use crate::PODS;
use crate::support::client::{Piece, RawClient};
use crate::support::clock::{eventually, now};
use crate::support::script::Insertion;
use crate::support::{Behaviour, Ending, FakeApi, Options, Point, Scratch, Target, base64};

const WATCH: &str = "/api/v1/pods?watch=1&resourceVersion=1";

/// Creates a fake with three pods, which are changes 2 to 4.
fn fake(tls: bool) -> FakeApi {
    let api = FakeApi::start(Options { tls, ..Options::default() });
    for name in ["a", "b", "c"] {
        api.apply(json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "shop"}, "spec": {}, "status": {},
        }));
    }
    api
}

/// Returns the lines of a watch, and whether it ended cleanly.
fn lines(client: &mut RawClient) -> (Vec<String>, bool) {
    let mut bytes = Vec::new();
    let neat = loop {
        match client.piece() {
            Ok(Piece::Chunk(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(Piece::End) => break true,
            Err(_) => break false,
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (text.split_inclusive('\n').map(ToOwned::to_owned).collect(), neat)
}

fn watch_with(api: &FakeApi, behaviour: Behaviour) -> RawClient {
    api.once(Target::WATCH_PODS, behaviour);
    let mut client = RawClient::connect(api);
    client.watch(WATCH);
    client
}

#[test]
fn counted_behaviours_come_first_and_in_order() {
    let api = fake(false);
    api.always(Target::LIST_PODS, Behaviour::answer(500, "{}"));
    api.once(Target::LIST_PODS, Behaviour::answer(429, "{}").header("Retry-After", "7"));
    api.times(2, Target::ANY, Behaviour::answer(503, "{}"));
    assert_eq!(api.script().waiting(), 3);
    let mut client = RawClient::connect(&api);
    let (head, _) = client.get(PODS);
    assert_eq!((head.status, head.header("retry-after")), (429, Some("7")));
    let statuses = [0; 3].map(|_| client.get(PODS).0.status);
    assert_eq!(statuses, [503, 503, 500]);
    assert_eq!(client.get("/api/v1/nodes").0.status, 200);
    api.script().clear();
    assert_eq!(client.get(PODS).0.status, 200);
}

#[test]
fn delay_holds_back_the_head() {
    let api = fake(false);
    api.once(Target::LIST_PODS, Behaviour::api().delay(Duration::from_millis(80)));
    let start = now();
    assert_eq!(RawClient::connect(&api).get(PODS).0.status, 200);
    assert!(now() - start >= Duration::from_millis(80));
}

#[test]
fn every_chunk_size_carries_the_same_lines() {
    let api = fake(false);
    let stop = |size| Behaviour::api().chunks(size).ends(Point::Events(3), Ending::Close);
    let (whole, _) = lines(&mut watch_with(&api, stop(1 << 20)));
    assert_eq!(whole.len(), 3);
    for size in [1, 7, 64] {
        let mut client = watch_with(&api, stop(size));
        let Piece::Chunk(first) = client.piece().unwrap() else { panic!("no chunk") };
        assert_eq!(first.len(), size);
        let (rest, neat) = lines(&mut client);
        let text = String::from_utf8(first).unwrap() + &rest.concat();
        assert!(neat && text == whole.concat(), "{size}");
    }
    api.once(Target::LIST_PODS, Behaviour::api().chunks(7));
    let (head, list) = RawClient::connect(&api).get(PODS);
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(list["items"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_cut_comes_at_its_byte_and_is_not_neat() {
    for tls in [false, true] {
        let api = fake(tls);
        let cut = Behaviour::api().ends(Point::Bytes(100), Ending::Cut);
        let (cut_lines, neat) = lines(&mut watch_with(&api, cut.clone()));
        assert_eq!((cut_lines.concat().len(), neat), (100, false));
        api.once(Target::LIST_PODS, cut);
        let mut client = RawClient::connect(&api);
        client.send("GET", PODS, "").unwrap();
        client.head().unwrap();
        let (mut received, mut last) = (0, None);
        while received <= 100 && last.is_none() {
            match client.byte() {
                Ok(_) => received += 1,
                Err(error) => last = Some(error.kind()),
            }
        }
        assert_eq!((received, last), (100, Some(ErrorKind::UnexpectedEof)));
    }
}

#[test]
fn a_reset_is_a_reset() {
    for tls in [false, true] {
        let api = fake(tls);
        for point in [Point::Head, Point::Events(2), Point::Bytes(50)] {
            api.once(Target::WATCH_PODS, Behaviour::api().ends(point, Ending::Reset));
            let mut client = RawClient::connect(&api);
            client.send("GET", WATCH, "").unwrap();
            let error = (0..10_000).find_map(|_| client.byte().err());
            assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::ConnectionReset), "{point:?}");
        }
    }
}

#[test]
fn a_hang_is_silent_until_the_server_stops() {
    let api = fake(true);
    let mut mid_body = watch_with(&api, Behaviour::api().ends(Point::Bytes(10), Ending::Hang));
    assert_eq!(mid_body.piece().unwrap(), Piece::Chunk(b"{\"type\":\"A".to_vec()));
    api.once(Target::LIST_PODS, Behaviour::hang());
    let mut silent = RawClient::connect(&api).patience(Duration::from_millis(100));
    silent.send("GET", PODS, "").unwrap();
    assert_eq!(silent.head().unwrap_err().kind(), ErrorKind::WouldBlock);
    api.stop();
    assert_eq!(mid_body.piece().unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn watches_end_neatly_after_events_after_time_and_on_demand() {
    let api = fake(false);
    let after_two = Behaviour::api().ends(Point::Events(2), Ending::Close);
    let (seen, neat) = lines(&mut watch_with(&api, after_two));
    assert_eq!((seen.len(), neat), (2, true));
    let soon = Point::After(Duration::from_millis(50));
    let (seen, neat) = lines(&mut watch_with(&api, Behaviour::api().ends(soon, Ending::Close)));
    assert_eq!((seen.len(), neat), (3, true));
    let mut client = watch_with(&api, Behaviour::api());
    assert!(eventually(Duration::from_secs(5), || api.open_watches() == 1));
    api.end_watches();
    let (seen, neat) = lines(&mut client);
    assert_eq!((seen.len(), neat), (3, true));
}

#[test]
fn a_watch_ends_when_its_client_goes() {
    for tls in [false, true] {
        let api = fake(tls);
        let client = watch_with(&api, Behaviour::api());
        assert!(eventually(Duration::from_secs(5), || api.open_watches() == 1));
        drop(client);
        assert!(eventually(Duration::from_secs(5), || api.open_watches() == 0));
    }
}

#[test]
fn foreign_lines_come_between_the_events() {
    let api = fake(false);
    let end = |behaviour: Behaviour| behaviour.ends(Point::Events(3), Ending::Close);
    let is_json = |line: &String| serde_json::from_str::<Value>(line).is_ok();

    let (seen, _) = lines(&mut watch_with(&api, end(Behaviour::api().garbage_line(1))));
    assert_eq!(seen.iter().map(is_json).collect::<Vec<_>>(), [true, false, true, true]);
    let (seen, _) = lines(&mut watch_with(&api, end(Behaviour::api().truncated_line(2, 20))));
    assert_eq!(seen.iter().map(is_json).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(seen[2], "{\"type\":\"ADDED\",\"obj\n");
    let giant = Insertion::GiantLine { bytes: 1 << 20, newline: true };
    let (seen, _) = lines(&mut watch_with(&api, end(Behaviour::api().insert(0, giant))));
    assert!(is_json(&seen[0]) && seen[0].len() > 1 << 20);
    let unended = Insertion::GiantLine { bytes: 100, newline: false };
    let (seen, _) = lines(&mut watch_with(&api, end(Behaviour::api().insert(3, unended))));
    assert!(seen.len() == 4 && !seen[3].ends_with('\n'));
}

#[test]
fn endless_headers_have_no_end() {
    let api = fake(false);
    api.once(Target::LIST_PODS, Behaviour::api().endless_head());
    let mut client = RawClient::connect(&api);
    client.send("GET", PODS, "").unwrap();
    // The client stops after a hundred lines.
    assert_eq!(client.head().unwrap().headers.len(), 100);
}

#[test]
fn connections_can_fail_before_tls() {
    let api = fake(false);
    for (ending, kind) in [
        (Ending::Cut, ErrorKind::UnexpectedEof),
        (Ending::Reset, ErrorKind::ConnectionReset),
        (Ending::Hang, ErrorKind::WouldBlock),
    ] {
        api.on_accept(Some(ending));
        let mut client = RawClient::connect(&api).patience(Duration::from_millis(100));
        client.send("GET", PODS, "").unwrap();
        assert_eq!(client.head().unwrap_err().kind(), kind, "{ending:?}");
    }
    api.on_accept(None);
    assert_eq!(RawClient::connect(&api).get(PODS).0.status, 200);
}

#[test]
fn a_pause_spreads_the_events() {
    let api = fake(false);
    let start = now();
    let slow =
        Behaviour::api().pause(Duration::from_millis(30)).ends(Point::Events(3), Ending::Close);
    assert_eq!(lines(&mut watch_with(&api, slow)).0.len(), 3);
    assert!(now() - start >= Duration::from_millis(90));
}

#[test]
fn a_rolled_back_store_forgets_the_future() {
    let api = fake(false);
    api.store().roll_back(2);
    let mut client = RawClient::connect(&api);
    let (_, list) = client.get(PODS);
    assert_eq!(list["metadata"]["resourceVersion"], "2");
    assert_eq!(list["items"][2]["metadata"]["resourceVersion"], "2");
    client.watch(WATCH);
    assert_eq!(client.event().unwrap().unwrap()["object"]["code"], 410);
}

#[test]
fn written_files_lead_to_the_server() {
    let (api, scratch) = (fake(true), Scratch::new("files"));
    api.write_kubeconfig(&scratch.join("config"));
    let config = std::fs::read_to_string(scratch.join("config")).unwrap();
    assert!(config.contains(&format!("    server: {}\n", api.url())), "{config}");
    assert!(config.contains("    token: fake-token\n"), "{config}");
    api.write_service_account(&scratch.join("account"));
    let file = |name| std::fs::read_to_string(scratch.join("account").join(name)).unwrap();
    assert_eq!((file("token"), file("ca.crt")), (api.token(), api.ca_pem()));
    assert_eq!(file("namespace"), "blackbox");
}

#[test]
fn base64_goes_both_ways() {
    for (text, encoded) in
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
    {
        assert_eq!(base64::encode(text.as_bytes()), encoded);
        assert_eq!(base64::decode(encoded).as_deref(), Some(text.as_bytes()));
    }
}
