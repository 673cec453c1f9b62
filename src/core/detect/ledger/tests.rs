use super::*;

fn id(word: &str) -> IncidentId {
    IncidentId::of_test(word)
}

fn pod(key: &str, containers: &[(&str, i64)]) -> PodEntry {
    let container = |(name, ended): &(&str, i64)| ContainerEntry {
        name: (*name).into(),
        ended: Some(*ended),
        ids: vec![id("told").short(), id(name).short()],
    };
    PodEntry {
        key: key.into(),
        namespace: "shop".into(),
        name: "web".into(),
        uid: key.into(),
        containers: containers.iter().map(container).collect(),
        ..PodEntry::default()
    }
}

fn now() -> Timestamp {
    "2026-11-23T03:31:41Z".parse().unwrap()
}

/// Returns what the next agent reads.
#[track_caller]
fn left(ledger: &Ledger) -> PreviousState {
    let page = ledger.page(now(), Vec::new()).unwrap();
    assert!(page.len() as u64 <= crate::limits::STATE_FILE_BYTES_MAX);
    parse(page.as_bytes(), &ledger.node_name).unwrap()
}

#[test]
fn a_page_is_read_back_as_it_was() {
    let mut ledger = Ledger::new("node1", None);
    assert_eq!(ledger.page(now(), Vec::new()), None, "not before everything was seen once");
    ledger.complete();
    let empty = PreviousState { written_at: Some(now()), ..PreviousState::default() };
    assert_eq!(left(&ledger), empty);
    let quoted = PodEntry { is_static: true, failed: true, ..pod("k\"\\\n\u{e9}", &[("a", 1)]) };
    for entry in [pod("u1", &[("app", 3), ("log", 0)]), pod("u2", &[]), quoted] {
        assert!(ledger.keep(entry));
    }
    let read = left(&ledger);
    assert_eq!(read.pods, ledger.pods.values().cloned().collect::<Vec<_>>());
    // The next agent's first page has the same content.
    assert_eq!(left(&Ledger::new("node1", Some(read.clone()))), read);
    ledger.forget("u1");
    assert_eq!(left(&ledger).pods.len(), 2);
}

#[test]
fn what_is_on_its_way_does_not_count_as_told() {
    let mut ledger = Ledger::new("node1", None);
    ledger.complete();
    ledger.keep(pod("u1", &[("app", 5), ("log", 1)]));
    // The incident accounts for two unseen terminations as well.
    ledger.open(id("app"), "u1", Some("app"), 3);
    let entry = &left(&ledger).pods[0];
    assert_eq!((entry.containers[0].ended, entry.containers[1].ended), (Some(2), Some(1)));
    assert_eq!(entry.containers[0].ids, [id("told").short()]);
    ledger.settle(id("app"));
    assert_eq!(left(&ledger).pods, [pod("u1", &[("app", 5), ("log", 1)])]);

    let failed = PodEntry { failed: true, ..pod("u2", &[]) };
    ledger.keep(failed);
    ledger.open(id("u2"), "u2", None, 0);
    assert!(!left(&ledger).pods[1].failed);
    ledger.settle(id("u2"));
    assert!(left(&ledger).pods[1].failed);
}

#[test]
fn an_episode_of_a_pod_is_not_its_failure() {
    let mut ledger = Ledger::new("node1", None);
    ledger.complete();
    let ids = vec![id("old").short(), id("stuck").short()];
    let both = PodEntry { failed: true, ids, ..pod("u1", &[]) };
    ledger.keep(both.clone());
    ledger.open(id("stuck"), "u1", None, 0);
    let entry = &left(&ledger).pods[0];
    assert_eq!((entry.failed, &*entry.ids), (true, &[id("old").short()][..]), "it is on its way");
    ledger.settle(id("stuck"));
    assert_eq!(left(&ledger).pods, [both]);
    // A page of an agent that knew no such episodes.
    let entry: PodEntry =
        json::from_slice(br#"{"key":"u","namespace":"n","name":"p","uid":"u","containers":[]}"#)
            .unwrap();
    assert_eq!(entry.ids, [0; 0]);
}

#[test]
fn the_lines_of_pods_that_hang_and_of_unseen_ends_are_read_back_as_what_they_are() {
    let line = |kind: &str, container: &str, restarts: &str| {
        let id = id(kind);
        format!(
            r#"{{"schema":"blackbox.incident/v1","id":"{id}","type":"{kind}","namespace":"n","pod_name":"p","pod_uid":"u","container":{container},"metadata":{{"restarts":{restarts}}}}}"#
        )
    };
    let counts = r#"{"total":3,"unseen":2,"ended":3,"crash_loop":false}"#;
    for (kind, container, restarts, failed, of_pod, of_container) in [
        ("stuck", "null", "null", false, 1, 0),
        ("evicted", "null", "null", true, 0, 0),
        ("unready", "\"app\"", "null", false, 0, 1),
        ("unseen", "\"app\"", counts, false, 0, 0),
        ("error", "\"app\"", counts, false, 0, 1),
    ] {
        let entry = reported(line(kind, container, restarts).as_bytes()).unwrap().entry;
        let known: Vec<_> = entry.containers.iter().flat_map(|c| &c.ids).collect();
        let numbers = (entry.failed, entry.ids.len(), known.len());
        assert_eq!(numbers, (failed, of_pod, of_container), "{kind}");
        let ended = entry.containers.first().and_then(|container| container.ended);
        assert_eq!(ended, (restarts == counts).then_some(3), "{kind}");
    }
}

#[test]
fn a_cut_page_is_of_no_use_wherever_it_is_cut() {
    let mut ledger = Ledger::new("node1", None);
    ledger.keep(pod("u1", &[("app", 3)]));
    ledger.complete();
    let page = ledger.page(now(), Vec::new()).unwrap().into_bytes();
    for len in 0..page.len() {
        assert!(matches!(parse(&page[..len], "node1"), Err(Unusable::Corrupt(_))), "{len}");
        let mut zeroed = page.clone();
        zeroed[len..].fill(0);
        assert!(parse(&zeroed, "node1").is_err(), "{len}");
        let mut bent = page.clone();
        bent[len] ^= 1;
        assert!(parse(&bent, "node1").is_err(), "{len}");
    }
}

#[test]
fn a_page_of_another_node_or_version_is_named_as_such() {
    let mut ledger = Ledger::new("node1", None);
    ledger.complete();
    let page = ledger.page(now(), Vec::new()).unwrap();
    let other = Unusable::OtherNode("node1".to_owned());
    assert_eq!(parse(page.as_bytes(), "node2"), Err(other));
    let newer = page.replace("state/v1", "state/v2");
    let other = Unusable::OtherVersion("blackbox.state/v2".to_owned());
    assert_eq!(parse(newer.as_bytes(), "node1"), Err(other.clone()));
    assert!(other.to_string().contains("state/v1"), "{other}");
    for bytes in ["", "\n", "\n\n", "{}\n0\n", "null\nnull\n", "\u{0}\n"] {
        assert!(matches!(parse(bytes.as_bytes(), "node1"), Err(Unusable::Corrupt(_))), "{bytes:?}");
    }
    assert!(matches!(parse(b"\xff\n\n", "node1"), Err(Unusable::Corrupt(_))));
}

#[test]
fn a_file_that_lost_its_newest_lines_has_them_told_again() {
    let accounts = ["a", "b", "c"].map(|name| Account {
        id: id(name).short(),
        key: "u1".into(),
        container: "app".into(),
        ends: 2,
    });
    let entry = || {
        let mut entry = pod("u1", &[("app", 10)]);
        entry.containers[0].ids = ["a", "b", "c"].map(|name| id(name).short()).to_vec();
        entry
    };
    for (held, is_torn, lost, ended) in [
        (&["a", "b", "c"][..], false, 0, 10),
        (&["a", "b"][..], true, 1, 8),
        (&["a"][..], false, 2, 6),
        // An older line is missing because it was rotated away.
        (&["b", "c"][..], false, 0, 10),
        // The file is another one, or lost all lines.
        (&[][..], false, 0, 10),
        (&[][..], true, 3, 4),
    ] {
        let mut left = PreviousState {
            pods: vec![entry()],
            recent: accounts.to_vec(),
            ..PreviousState::default()
        };
        let holds = |known: u64| held.iter().any(|name| id(name).short() == known);
        assert_eq!(left.take_back_lost(holds, is_torn), lost, "{held:?}");
        assert_eq!(left.pods[0].containers[0].ended, Some(ended), "{held:?}");
        assert_eq!(left.pods[0].containers[0].ids.len(), 3 - lost, "{held:?}");
    }
}

#[test]
fn nothing_of_it_grows_past_its_limit() {
    let mut ledger = Ledger::new("node1", None);
    ledger.complete();
    let name = "c".repeat(63);
    let many: Vec<_> = (0..128).map(|_| (&*name, i64::MAX)).collect();
    let key = |n: usize| format!("{n:0>253}");
    let kept = (0..100).filter(|n| ledger.keep(pod(&key(*n), &many))).count();
    assert_eq!(kept * 128, LEDGER_CONTAINERS_MAX);
    // Room becomes free when a pod is forgotten or replaced by its own new entry.
    assert!(ledger.keep(pod(&key(1), &many)));
    ledger.forget(&key(0));
    assert!(ledger.keep(pod(&key(200), &many)));
    for n in 0..1000_u32 {
        ledger.open(id(&n.to_string()), &key(1), Some("app"), 1);
        ledger.settle(id(&n.to_string()));
    }
    assert_eq!(left(&ledger).recent.len(), LEDGER_RECENT_MAX);
}

#[test]
fn numbers_at_the_ends_of_their_range_are_survived() {
    let mut ledger = Ledger::new("node1", None);
    ledger.complete();
    for (n, ended) in [i64::MIN, -1, 0, i64::MAX].into_iter().enumerate() {
        let word = n.to_string();
        ledger.keep(pod(&word, &[("app", ended)]));
        ledger.open(id(&word), &word, Some("app"), [i64::MAX, i64::MIN][n % 2]);
    }
    assert_eq!(left(&ledger).pods.len(), 4);
}

const LINE: &str = r#"{"schema":"blackbox.incident/v1","id":"00112233445566778899aabbccddeeff","namespace":"shop","pod_name":"web","pod_uid":"u1","container":"app","metadata":{"restarts":{"total":3,"unseen":1,"ended":4,"crash_loop":false},"static_pod_uid":null}}"#;

#[test]
fn a_line_says_what_it_accounts_for() {
    let told_of = |line: &str| reported(line.as_bytes());
    let known = told_of(LINE).unwrap();
    let short = IncidentId::parse("00112233445566778899aabbccddeeff").unwrap().short();
    assert_eq!((known.id, &*known.entry.key, known.entry.failed), (short, "u1", false));
    let container = ContainerEntry { name: "app".into(), ended: Some(4), ids: vec![short] };
    assert_eq!(known.entry.containers, [container]);

    let pod = told_of(&LINE.replace(r#""app""#, "null")).unwrap().entry;
    assert!(pod.failed && pod.containers.is_empty());
    let mirror = told_of(&LINE.replace(r#""static_pod_uid":null"#, r#""static_pod_uid":"h""#));
    let mirror = mirror.unwrap().entry;
    assert_eq!((&*mirror.key, &*mirror.uid, mirror.is_static), ("h", "u1", true));
    // A line as an earlier version wrote it.
    let old = told_of(&LINE.replace(r#""ended":4,"#, "")).unwrap();
    assert_eq!(old.entry.containers[0].ended, None);

    for wrong in [
        LINE.replace("incident/v1", "incident/v2"),
        LINE.replace("ddeeff", "ddeef"),
        LINE.replace("ddeeff", "+deeff"),
        LINE.replace("shop", &"s".repeat(NAME_BYTES_MAX + 1)),
        // The line of a node.
        LINE.replace("\"web\"", "null"),
        LINE.replace("\"pod_uid\":\"u1\",", ""),
        LINE.replace("}}", "}"),
        "{}".to_owned(),
        String::new(),
    ] {
        assert_eq!(told_of(&wrong), None, "{wrong}");
    }
}

#[test]
fn a_line_that_was_never_written_to_its_end_is_found_wherever_it_breaks_off() {
    for len in 0..LINE.len() {
        for zeros in [0, 1, 4096] {
            let torn = [&LINE.as_bytes()[..len], &vec![0; zeros]].concat();
            let tail = [LINE.as_bytes(), b"\n", &torn].concat();
            assert_eq!(torn_bytes(&tail), Some(len + zeros));
            assert_eq!(torn_bytes(&torn), Some(len + zeros), "nothing before it");
        }
    }
    for foreign in ["x", "{\"a\"", "{\"schema\":\"other", " ", "{\"schema\":\"blackbox.state/v1"] {
        assert_eq!(torn_bytes(foreign.as_bytes()), None, "{foreign}");
        assert_eq!(torn_bytes(format!("{LINE}\n{foreign}").as_bytes()), None, "{foreign}");
    }
    assert_eq!(torn_bytes(b"{\"schema\":\0x"), None, "something behind the zeros");
}

#[test]
fn a_boot_counts_as_known_once_its_reboot_was_delivered() {
    let now = Timestamp::UNIX_EPOCH;
    let reread =
        |ledger: &Ledger| parse(ledger.page(now, Vec::new()).unwrap().as_bytes(), "node1").unwrap();
    let mut ledger = Ledger::new("node1", None);
    ledger.set_boot("a");
    ledger.complete();
    assert_eq!(reread(&ledger).boot_id, "a", "the first agent on the node");
    ledger.stop(now);
    let left = reread(&ledger);
    assert_eq!(left.stopped_at, Some(now));

    let mut next = Ledger::new("node1", Some(left));
    next.set_boot("b");
    assert_eq!(reread(&next).boot_id, "a", "killed now, the next agent reports the reboot again");
    assert_eq!(reread(&next).stopped_at, None);
    let reboot = IncidentId::of_boot("node1", "b");
    next.open(reboot, "", None, 0);
    next.settle(IncidentId::of_test("another"));
    assert_eq!(reread(&next).boot_id, "a");
    next.settle(reboot);
    assert_eq!(reread(&next).boot_id, "b");
}

#[test]
fn a_page_of_the_first_form_is_read() {
    // As the first agent with a state file wrote it: without a boot, episodes of pods, and the time of a stop.
    let line = r#"{"schema":"blackbox.state/v1","node_name":"node1","written_at":"2026-11-23T03:31:41Z","pods":[{"key":"u1","namespace":"shop","name":"web","uid":"u1","is_static":false,"failed":true,"containers":[{"name":"app","ended":3,"ids":[7,8]}]}],"recent":[{"id":8,"key":"u1","container":"app","ends":1}]}"#;
    let page = format!("{line}\n{}\n", checksum(line));
    let left = parse(page.as_bytes(), "node1").unwrap();
    assert_eq!((left.pods.len(), left.recent.len(), &*left.boot_id), (1, 1, ""));
    let pod = &left.pods[0];
    assert_eq!((pod.failed, pod.ids.len(), pod.containers[0].ended), (true, 0, Some(3)));
    assert_eq!((left.written_at, left.stopped_at), (Some(now()), None));
}
