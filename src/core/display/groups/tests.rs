use serde_json::json;

use super::*;

/// Returns an incident with this number, which is its id, its time and its pod.
fn incident(n: u64, change: &[(&str, serde_json::Value)]) -> Value {
    let at = Timestamp::from_second(1_790_000_000 + n as i64).unwrap().to_string();
    let mut line = json!({
        "id": format!("{n:032x}"), "occurred_at": at, "type": "oom", "node_name": "node1",
        "namespace": "shop", "pod_name": format!("web-{n}"), "container": "app",
        "message": format!("sentence {n}"), "fingerprint": "4f1c2a9be07d3355",
        "containers": [{"name": "proxy", "image": "r/proxy:1"}, {"name": "app", "image": "r/app:2"}],
        "metadata": {"workload": {"kind": "Deployment", "name": "web"}},
        "telemetry": {},
    });
    for (pointer, value) in change {
        *line.pointer_mut(pointer).unwrap() = value.clone();
    }
    Value::parse(line.to_string().as_bytes()).unwrap()
}

/// The same in short, for tests of very many.
fn short(n: u64, kind: &str, node: &str) -> Value {
    let text = |name: &str, text: String| (name.to_owned(), Value::Text(text));
    let at = Timestamp::from_second(1_790_000_000 + n as i64).unwrap();
    Value::Object(vec![
        text("id", n.to_string()),
        text("occurred_at", at.to_string()),
        text("type", kind.to_owned()),
        text("node_name", node.to_owned()),
        text("pod_name", format!("web-{n}")),
    ])
}

fn table<'a>(by: By, incidents: impl IntoIterator<Item = &'a Value>) -> Table {
    let mut groups = Groups::new(by);
    for (number, incident) in incidents.into_iter().enumerate() {
        groups.add(incident, number as u64);
    }
    groups.into_table()
}

/// Returns what people see of a table, but for the number of the newest.
fn shown(table: &Table) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map_or(-1, |at| at.as_second() - 1_790_000_000);
    let row = |g: &Group| {
        let (first, last) = (time(g.span.first), time(g.span.last));
        let (count, pods, nodes) = (g.count(), &g.pods, &g.nodes);
        format!("{count} {pods} {nodes} {first} {last} {}|{}|{}", g.key, g.detail, g.sentence)
    };
    table.rows.iter().map(row).collect()
}

#[test]
fn each_kind_of_group_has_its_key() {
    let (null, line) = (serde_json::Value::Null, incident(1, &[]));
    for (by, key, detail) in [
        (By::Fingerprint, "4f1c2a9be07d3355", "shop Deployment/web app oom"),
        (By::Workload, "shop/Deployment/web", ""),
        (By::Node, "node1", ""),
        (By::Type, "oom", ""),
        (By::Image, "r/app:2", ""),
    ] {
        assert_eq!(By::from_name(by.name()), Some(by));
        let row = &table(by, [&line]).rows[0];
        assert_eq!((row.key.as_str(), row.detail.as_str()), (key, detail), "{by:?}");
    }
    for name in ["", "Type", "types", "none"] {
        assert_eq!(By::from_name(name), None);
    }
    for (by, field) in [
        (By::Fingerprint, "/fingerprint"),
        (By::Workload, "/metadata/workload"),
        (By::Workload, "/metadata/workload/name"),
        (By::Workload, "/metadata"),
        (By::Node, "/node_name"),
        (By::Type, "/type"),
        (By::Image, "/container"),
        (By::Image, "/containers"),
        (By::Image, "/containers/1/image"),
    ] {
        for value in [null.clone(), "".into(), json!([{"a": 1}]), 7.into()] {
            let line = incident(1, &[(field, value)]);
            let row = &table(by, [&line]).rows[0];
            assert_eq!((row.key.as_str(), row.detail.as_str()), (NONE, ""), "{field}");
        }
    }
}

#[test]
fn a_line_in_two_streams_counts_once() {
    let lines = [incident(1, &[]), incident(2, &[])];
    let table = table(By::Type, lines.iter().chain(&lines).chain(&lines));
    assert_eq!(shown(&table), ["2 2 1 1 2 oom||sentence 2"]);
    assert_eq!((table.repeated, table.has_forgotten), (4, false));
}

#[test]
fn the_order_of_the_lines_does_not_matter() {
    let mut lines: Vec<Value> = (0..40)
        .map(|n| {
            let at = Timestamp::from_second(1_790_000_000 + n as i64 / 4).unwrap().to_string();
            incident(
                n,
                &[("/type", ["oom", "error"][n as usize % 2].into()), ("/occurred_at", at.into())],
            )
        })
        .collect();
    let want = shown(&table(By::Type, &lines));
    assert_eq!(want.len(), 2);
    for step in [1, 3, 7, 11] {
        lines.rotate_left(step);
        lines.swap(step, 39 - step);
        lines.reverse();
        assert_eq!(shown(&table(By::Type, &lines)), want);
    }
}

#[test]
fn first_last_and_newest_go_by_the_time_of_the_incident() {
    let lines = [5, 9, 2].map(|n| incident(n, &[]));
    let all = table(By::Fingerprint, &lines);
    let detail = "shop Deployment/web app oom";
    assert_eq!(shown(&all), [format!("3 3 1 2 9 4f1c2a9be07d3355|{detail}|sentence 9")]);
    assert_eq!(all.rows[0].newest, 1);
    // A line without a time, or with one that cannot be, counts; it is neither first nor last.
    let odd = [json!(null), json!("then"), json!("2026-99-99T00:00:00Z"), json!({})];
    let odd = odd.into_iter().zip(10..);
    let odd: Vec<Value> = odd.map(|(at, n)| incident(n, &[("/occurred_at", at)])).collect();
    assert!(shown(&table(By::Type, &odd))[0].starts_with("4 4 1 -1 -1 oom||"));
    let all = table(By::Type, odd.iter().chain(&lines));
    assert_eq!(shown(&all), ["7 7 1 2 9 oom||sentence 9"]);
}

#[test]
fn the_largest_comes_first_then_the_latest_then_the_key() {
    let of = |n, kind: &str| incident(n, &[("/type", kind.into())]);
    let same = incident(8, &[]).text("occurred_at").to_owned();
    let lines = [
        of(1, "oom"),
        of(2, "oom"),
        of(3, "early"),
        of(8, "b"),
        incident(9, &[("/type", "a".into()), ("/occurred_at", same.into())]),
    ];
    let keys: Vec<String> =
        table(By::Type, &lines).rows.into_iter().map(|group| group.key).collect();
    assert_eq!(keys, ["oom", "a", "b", "early"]);
}

#[test]
fn pods_and_nodes_count_once_and_up_to_a_bound() {
    let of = |n: u64, pod: u64, node: u64| {
        let pod = format!("web-{pod}");
        incident(n, &[("/pod_name", pod.into()), ("/node_name", format!("n{node}").into())])
    };
    let lines: Vec<Value> = (0..60).map(|n| of(n, n % 5, n % 3)).collect();
    assert!(shown(&table(By::Type, &lines))[0].starts_with("60 5 3 "));
    let most = GROUP_MEMBERS_MAX as u64;
    let lines: Vec<Value> = (0..most).map(|n| of(n, n, n)).collect();
    assert!(shown(&table(By::Type, &lines))[0].starts_with("1000 1000 1000 "));
    let more = of(most, most, 1);
    assert!(
        shown(&table(By::Type, lines.iter().chain([&more])))[0].starts_with("1001 1000+ 1000 ")
    );
    // An incident of a node is of no pod.
    let node = incident(1, &[("/pod_name", serde_json::Value::Null)]);
    assert!(shown(&table(By::Type, [&node]))[0].starts_with("1 0 1 "));
}

#[test]
fn the_large_groups_stay_when_there_are_too_many() {
    let mut groups = Groups::new(By::Node);
    let all = 4 * GROUPS_MAX as u64;
    for n in 0..all {
        // Every tenth is of a node that is there from the beginning or from the middle on.
        let large = if n < all / 2 { "early" } else { "late" };
        let small = format!("n{n}");
        groups.add(&short(n, "oom", if n % 10 == 0 { large } else { &small }), n);
        assert!(groups.groups.len() <= GROUPS_MAX);
    }
    let mut table = groups.into_table();
    assert_eq!((table.rows[0].key.as_str(), table.rows[0].count()), ("late", "1000+".to_owned()));
    assert_eq!((table.rows[1].key.as_str(), table.rows[1].count()), ("early", "1000".to_owned()));
    let sum = |table: &Table| table.rows.iter().map(|group| group.count).sum::<u64>();
    assert_eq!(sum(&table) + table.others.count, all);
    table.keep(3);
    assert_eq!((table.rows.len(), sum(&table) + table.others.count), (3, all));
    let span = table.others.span;
    assert_eq!(span.first, short(1, "", "").time("occurred_at"));
    // The last of all has the third row.
    assert_eq!(span.last, short(all - 2, "", "").time("occurred_at"));
}

#[test]
fn the_memory_for_pods_and_nodes_is_bounded_and_comes_back() {
    let mut groups = Groups::new(By::Type);
    let each = GROUP_MEMBERS_MAX as u64 - 1;
    for n in 0..=GROUP_MEMBERS_TOTAL_MAX as u64 / 2 {
        groups.add(&short(n, &format!("t{}", n / each), &n.to_string()), n);
    }
    let kept = |groups: &Groups| -> usize {
        groups.groups.values().map(|g| g.pods.known.len() + g.nodes.known.len()).sum()
    };
    assert_eq!((kept(&groups), groups.room), (GROUP_MEMBERS_TOTAL_MAX, 0));
    assert_eq!(groups.groups["t0"].pods.to_string(), "999");
    assert!(groups.groups.values().any(|group| group.pods.to_string().ends_with('+')));
    groups.fold();
    assert_eq!(kept(&groups) + groups.room, GROUP_MEMBERS_TOTAL_MAX);
}

#[test]
fn an_id_is_known_until_enough_others_came() {
    let mut ids = Ids::default();
    let most = GROUP_IDS_MAX as u64;
    assert!((0..most).all(|id| ids.is_new(id)));
    assert!((0..most).all(|id| !ids.is_new(id)));
    assert!(!ids.has_forgotten);
    assert!((most..2 * most).all(|id| ids.is_new(id)));
    assert!(ids.has_forgotten);
    assert!((most..2 * most).all(|id| !ids.is_new(id)));
    assert!(ids.is_new(0));
    assert!(ids.young.capacity() <= GROUP_IDS_MAX && ids.old.capacity() <= GROUP_IDS_MAX);
}

#[test]
fn long_texts_are_cut() {
    let long = "ä".repeat(GROUP_TEXT_BYTES_MAX);
    let fields = ["/fingerprint", "/namespace", "/message", "/container"];
    let line = incident(1, &fields.map(|field| (field, long.clone().into())));
    let row = &table(By::Fingerprint, [&line]).rows[0];
    for text in [&row.key, &row.detail, &row.sentence] {
        assert!(text.len() <= GROUP_TEXT_BYTES_MAX && text.ends_with('…'), "{}", text.len());
    }
}
