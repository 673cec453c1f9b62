use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::core::Now;
use crate::core::backoff::Jitter;
use crate::core::detect::{Detector, History, Output};
use crate::core::wire::json;
use crate::limits::{TELEMETRY_BODY_BYTES_MAX, TELEMETRY_BYTES_MAX};
use crate::rounds;

const SECOND: Duration = Duration::from_secs(1);

const JSON: Option<&str> = Some("application/json");

fn pod(name: &str, address: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": format!("uid-{name}")},
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": address}], "containerStatuses": [{
            "name": "app", "containerID": "containerd://1",
            "state": {"running": {"startedAt": "2026-11-23T04:00:00Z"}}}]}
    })
}

fn host_pod(name: &str, address: &str) -> Value {
    let mut pod = pod(name, address);
    pod["spec"]["hostNetwork"] = true.into();
    pod
}

fn ended_pod(name: &str, address: &str) -> Value {
    let mut pod = pod(name, address);
    pod["status"]["containerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 0}});
    pod
}

/// Makes the roster as the detection fills it.
fn roster(pods: &[Value]) -> Roster {
    let wall = Timestamp::from_second(1_795_000_000).unwrap();
    let history = History::Before { started: wall, lookback: SECOND };
    let mut detector = Detector::new("node1", &[], history);
    let mut out = Vec::new();
    for pod in pods {
        let text = pod.to_string();
        let pod = json::from_slice(text.as_bytes()).unwrap();
        detector.on_applied(&pod, Now { monotonic: SECOND, wall }, &mut out);
    }
    let mut roster = Roster::default();
    for output in out {
        if let Output::Placed(place) = output {
            roster.place(*place);
        }
    }
    roster
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn post(metrics: Value) -> Post {
    Post::parse(JSON, json!({ "metrics": metrics }).to_string().as_bytes()).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn bodies_are_read_or_refused() {
    let many: String = (0..17).map(|n| format!("\"a{n}\":1,")).collect();
    let many = format!("{{\"metrics\":{{{}}}}}", many.trim_end_matches(','));
    let long = format!("{{\"metrics\":{{\"{}\":1}}}}", "a".repeat(65));
    let deep = format!("{{\"metrics\":{{\"a\":{}}}}}", "[".repeat(8000));
    for (body, status) in [
        (r#"{"metrics":{"queue_depth":12,"latency_p99_ms":3.5}}"#, None),
        (r#"{"metrics":{"a":-1e-3,"A":0,"_":1,":b":2,"a.b:c_9":-0}}"#, None),
        (r#"{"metrics":{}}"#, None),
        (r#" {"pod":{"namespace":"shop","name":"web"},"metrics":{"\u0061":1}} "#, None),
        (r#"{"metrics":{"a":1},"pod":null}"#, None),
        ("", Some(400)),
        ("[]", Some(400)),
        ("null", Some(400)),
        ("queue_depth 12", Some(400)),
        (r#"{"metrics":{"a":1}"#, Some(400)),
        (r#"{"metrics":{"a":1}} x"#, Some(400)),
        (r#"{"metrics":{"a":NaN}}"#, Some(400)),
        (r#"{"metrics":{"a":01}}"#, Some(400)),
        (r#"{"metrics":[1]}"#, Some(400)),
        (r#"{"metric":{"a":1}}"#, Some(400)),
        (r#"{"metrics":{"a":1},"metrics":{"b":1}}"#, Some(400)),
        (r#"{"metrics":{"a":1},"more":1}"#, Some(400)),
        (r#"{"metrics":{"a":1},"pod":"web"}"#, Some(400)),
        (r#"{"metrics":{"a":1},"pod":{"name":"web"}}"#, Some(400)),
        (&deep, Some(400)),
        (r#"{"metrics":{"":1}}"#, Some(422)),
        (r#"{"metrics":{"9a":1}}"#, Some(422)),
        (r#"{"metrics":{".a":1}}"#, Some(422)),
        (r#"{"metrics":{"a-b":1}}"#, Some(422)),
        (r#"{"metrics":{"ä":1}}"#, Some(422)),
        (r#"{"metrics":{"a\n":1}}"#, Some(422)),
        (r#"{"metrics":{"a":1,"\u0061":2}}"#, Some(422)),
        (r#"{"metrics":{"a":"1"}}"#, Some(422)),
        (r#"{"metrics":{"a":true}}"#, Some(422)),
        (r#"{"metrics":{"a":null}}"#, Some(422)),
        (r#"{"metrics":{"a":{"b":1}}}"#, Some(422)),
        (r#"{"metrics":{"a":1e400}}"#, Some(422)),
        (r#"{"metrics":{"a":-1e400}}"#, Some(422)),
        // The largest number that 64 bits hold, and one that is rounded to infinity.
        (r#"{"metrics":{"a":1.79769313486231573157e308}}"#, None),
        (r#"{"metrics":{"a":1.7976931348623159e308}}"#, Some(422)),
        (&many, Some(422)),
        (&long, Some(422)),
    ] {
        let refusal = Post::parse(JSON, body.as_bytes()).err();
        assert_eq!(refusal.as_ref().map(Refusal::status), status, "{body:.60}");
        let sentence = refusal.map_or(String::new(), |refusal| refusal.to_string());
        assert!(sentence.len() < 700 && !sentence.contains('\n'), "{sentence}");
    }
    assert_eq!(Post::parse(JSON, b"{\"metrics\":{\"\xff\":1}}").unwrap_err().status(), 400);
    let read = Post::parse(
        JSON,
        br#"{"metrics":{"b":1e308,"a":0.5},"pod":{"namespace":"shop","name":"web"}}"#,
    );
    let pod = PodName { namespace: "shop".to_owned(), name: "web".to_owned() };
    let metrics = vec![("b".to_owned(), 1e308), ("a".to_owned(), 0.5)];
    assert_eq!(read, Ok(Post { pod: Some(pod), metrics }));
}

#[test]
fn a_content_type_is_json() {
    for (content_type, is_good) in [
        (None, false),
        (Some("application/json"), true),
        (Some("Application/JSON; charset=utf-8"), true),
        (Some("application/x-www-form-urlencoded"), false),
        (Some("text/plain"), false),
        (Some(""), false),
    ] {
        let read = Post::parse(content_type, br#"{"metrics":{"a":1}}"#);
        assert_eq!(read.err().is_none_or(|r| r != Refusal::ContentType), is_good);
    }
}

#[test]
fn a_pod_speaks_for_itself_alone() {
    let roster = roster(&[
        pod("web", "10.0.0.1"),
        pod("six", "fd00::6"),
        pod("twin-a", "10.0.0.2"),
        pod("twin-b", "10.0.0.2"),
        // An address is used again after its pod has terminated.
        ended_pod("job", "10.0.0.1"),
        ended_pod("done", "10.0.0.3"),
        host_pod("proxy", "192.0.2.1"),
        host_pod("agent", "192.0.2.1"),
        ended_pod("other", "10.0.0.4"),
    ]);
    for (peer, named, want) in [
        ("10.0.0.1", "", None),
        ("::ffff:10.0.0.1", "", None),
        ("10.0.0.1", "web", None),
        ("fd00::6", "six", None),
        ("fd00::0:6", "", None),
        ("10.0.0.1", "six", Some(Refusal::NotYourself)),
        ("10.0.0.1", "proxy", Some(Refusal::NotYourself)),
        ("10.0.0.1", "nobody", Some(Refusal::NotYourself)),
        ("10.0.0.2", "twin-a", Some(Refusal::Shared(ip("10.0.0.2")))),
        ("10.0.0.3", "", Some(Refusal::Unknown(ip("10.0.0.3")))),
        ("10.0.0.3", "done", Some(Refusal::Unknown(ip("10.0.0.3")))),
        ("10.9.9.9", "web", Some(Refusal::Unknown(ip("10.9.9.9")))),
        ("::ffff:10.9.9.9", "", Some(Refusal::Unknown(ip("10.9.9.9")))),
        ("192.0.2.1", "proxy", None),
        ("::ffff:192.0.2.1", "agent", None),
        ("127.0.0.1", "proxy", None),
        ("::1", "proxy", None),
        ("::ffff:127.0.0.1", "proxy", None),
        ("127.0.0.1", "", Some(Refusal::Nameless)),
        ("192.0.2.1", "", Some(Refusal::Nameless)),
        // A process on the node must not post for a pod that has an address of its own.
        ("127.0.0.1", "web", Some(Refusal::NotOnHost)),
        ("192.0.2.1", "web", Some(Refusal::NotOnHost)),
        ("192.0.2.1", "nobody", Some(Refusal::NotOnHost)),
        ("192.0.2.2", "proxy", Some(Refusal::Unknown(ip("192.0.2.2")))),
    ] {
        let mut sidecars = Sidecars::default();
        let mut post = post(json!({"a": 1}));
        if !named.is_empty() {
            post.pod = Some(PodName { namespace: "shop".to_owned(), name: named.to_owned() });
        }
        let got = sidecars.post(&roster, ip(peer), &post, SECOND);
        assert_eq!(got.err(), want, "{peer} for {named:?}");
        assert_eq!(sidecars.pods(), usize::from(want.is_none()));
    }
    let mut elsewhere = post(json!({"a": 1}));
    elsewhere.pod = Some(PodName { namespace: "shop2".to_owned(), name: "web".to_owned() });
    let got = Sidecars::default().post(&roster, ip("10.0.0.1"), &elsewhere, SECOND);
    assert_eq!(got, Err(Refusal::NotYourself));
}

#[test]
fn an_incident_shows_the_newest_last_with_their_ages() {
    let roster = roster(&[pod("web", "10.0.0.1")]);
    let mut sidecars = Sidecars::default();
    for (n, depth) in [(10, json!(3)), (15, json!(7.25)), (20, json!(1_234_567_890.5))] {
        let told = post(json!({"queue_depth": depth}));
        sidecars.post(&roster, ip("10.0.0.1"), &told, at(n)).unwrap();
    }
    let told = post(json!({"a": 0.1 + 0.2, "queue_depth": 1e300}));
    sidecars.post(&roster, ip("10.0.0.1"), &told, at(22)).unwrap();
    let mut section = sidecars.section("uid-web", at(22)).unwrap();
    assert_eq!(
        serde_json::to_string(&section).unwrap(),
        r#"{"a":{"age_seconds":[0],"values":[0.3]},"queue_depth":{"age_seconds":[12,7,2,0],"values":[3,7.25,1234567891,1e+300]}}"#
    );
    assert_eq!(section.len(), 4);
    section.thin();
    assert_eq!(section.series[1].age_seconds, [7, 0]);
    assert_eq!((section.series[0].values.len(), section.series[1].values.len()), (1, 2));
    section.keep_newest(1);
    assert_eq!(section.series[1].age_seconds, [0]);
    section.keep_newest(0);
    assert!(section.is_empty());
    assert_eq!(serde_json::to_string(&section).unwrap(), "{}");
    assert_eq!(sidecars.section("uid-other", at(22)), None);
    sidecars.forget("uid-web");
    assert_eq!(sidecars.section("uid-web", at(22)), None);
    assert_eq!((sidecars.pods(), sidecars.series()), (0, 0));
}

#[test]
fn a_new_name_past_the_limit_is_refused_and_the_known_ones_are_kept() {
    let roster = roster(&[pod("web", "10.0.0.1")]);
    let mut sidecars = Sidecars::default();
    let names: serde_json::Map<_, _> = (0..15).map(|n| (format!("a{n}"), json!(n))).collect();
    sidecars.post(&roster, ip("10.0.0.1"), &post(names.into()), at(1)).unwrap();
    let told = post(json!({"a0": 5, "x": 1, "y": 2, "z": 3}));
    let got = sidecars.post(&roster, ip("10.0.0.1"), &told, at(2));
    assert_eq!(got, Err(Refusal::NamesFull("y".to_owned())));
    assert_eq!(sidecars.series(), TELEMETRY_NAMES_MAX);
    let section = sidecars.section("uid-web", at(2)).unwrap();
    assert_eq!((&*section.series[0].name, &section.series[0].values), ("a0", &vec![0.0, 5.0]));
    for n in 0..100 {
        let told = post(json!({format!("b{n}"): 1}));
        assert!(sidecars.post(&roster, ip("10.0.0.1"), &told, at(10 + n)).is_err());
    }
    assert_eq!(sidecars.series(), TELEMETRY_NAMES_MAX);
}

#[test]
fn a_pod_posts_ten_times_at_once_and_then_once_a_second() {
    let roster = roster(&[pod("web", "10.0.0.1"), pod("other", "10.0.0.2")]);
    let mut sidecars = Sidecars::default();
    let told = post(json!({"a": 1}));
    let mut times = |address: &str, n: u32, now: Duration| {
        let posts = (0..n).map(|_| sidecars.post(&roster, ip(address), &told, now));
        posts.filter(Result::is_ok).count()
    };
    assert_eq!(times("10.0.0.1", 30, at(100)), 10);
    assert_eq!(times("10.0.0.2", 1, at(100)), 1);
    // A refused post does not count against the rate.
    assert_eq!(times("10.0.0.1", 1, at(101)), 1);
    assert_eq!(times("10.0.0.1", 1, at(101)), 0);
    assert_eq!(times("10.0.0.1", 30, at(104)), 3);
    assert_eq!(times("10.0.0.1", 30, at(1000)), 10);
    let refusal = sidecars.post(&roster, ip("10.0.0.1"), &told, at(1000)).unwrap_err();
    assert_eq!((refusal.status(), refusal.retry_after_seconds()), (429, Some(1)));
    let in_a_third = at(1000) + Duration::from_millis(300);
    let refusal = sidecars.post(&roster, ip("10.0.0.1"), &told, in_a_third).unwrap_err();
    assert_eq!(refusal, Refusal::TooOften(Duration::from_millis(700)));
    assert_eq!(refusal.retry_after_seconds(), Some(1));
}

#[test]
fn nobody_keeps_the_others_out() {
    let greedy = TELEMETRY_SERIES_MAX / TELEMETRY_NAMES_MAX;
    let address = |n: usize| format!("10.0.{}.{}", n / 250, n % 250);
    let pods: Vec<Value> = (0..greedy + 4).map(|n| pod(&format!("p{n}"), &address(n))).collect();
    let all = roster(&pods);
    let names = |n: usize| {
        let names: serde_json::Map<_, _> = (0..n).map(|n| (format!("a{n}"), json!(n))).collect();
        post(names.into())
    };
    let mut sidecars = Sidecars::default();
    for n in 0..greedy {
        sidecars.post(&all, ip(&address(n)), &names(TELEMETRY_NAMES_MAX), at(1)).unwrap();
    }
    assert_eq!(sidecars.series(), TELEMETRY_SERIES_MAX);
    for n in greedy..greedy + 4 {
        sidecars.post(&all, ip(&address(n)), &names(8), at(2)).unwrap();
        assert_eq!(sidecars.section(&format!("uid-p{n}"), at(2)).unwrap().series.len(), 8);
    }
    assert_eq!(sidecars.series(), TELEMETRY_SERIES_MAX);
    // A pod that gave a name up has nearly as many as the others, and does not take it back.
    let robbed = (0..greedy).find(|n| sidecars.pods[&*format!("uid-p{n}")].series.len() < 16);
    let robbed = address(robbed.unwrap());
    let refusal = sidecars.post(&all, ip(&robbed), &names(16), at(3)).unwrap_err();
    assert_eq!((refusal.status(), refusal.retry_after_seconds()), (503, Some(60)));
    // Pods whose removal was never reported make room first.
    let left = roster(&pods[greedy..]);
    sidecars.post(&left, ip(&address(greedy)), &names(16), at(3)).unwrap();
    assert_eq!((sidecars.pods(), sidecars.series()), (4, 16 + 3 * 8));
}

#[test]
fn a_full_table_stays_below_its_limit() {
    let address = |n: usize| format!("10.0.{}.{}", n / 250, n % 250);
    let pods: Vec<Value> = (0..PODS_MAX).map(|n| pod(&format!("{n:032}"), &address(n))).collect();
    let roster = roster(&pods);
    assert_eq!(roster.iter().count(), PODS_MAX);
    let mut sidecars = Sidecars::default();
    let mut random = Jitter::new(7);
    let mut below = |end: usize| (random.unit() * end as f64) as usize;
    let mut results = [0_u32; 600];
    for step in 0..rounds(20_000) {
        let who = below(PODS_MAX) / (1 + below(20));
        let names: Vec<_> = (0..1 + below(TELEMETRY_NAMES_MAX))
            .map(|_| (format!("{:0>64}", format!("a{}", below(40))).replace('0', "z"), 1.5))
            .collect();
        let post = Post { pod: None, metrics: names };
        let got = sidecars.post(&roster, ip(&address(who)), &post, at(step / 200));
        results[usize::from(got.map_or_else(|refusal| refusal.status(), |()| 204))] += 1;
        if step % 997 == 0 {
            assert!(sidecars.bytes() <= TELEMETRY_BYTES_MAX, "{}", sidecars.bytes());
            assert!(sidecars.series() <= TELEMETRY_SERIES_MAX && sidecars.pods() <= PODS_MAX);
            let series = sidecars.pods.values().map(|told| told.series.len()).sum::<usize>();
            assert_eq!(series, sidecars.series());
        }
    }
    for status in [204, 422, 429, 503] {
        assert!(results[status] > 0, "{status}: {}", results[status]);
    }
    println!("{} bytes, {} names of {} pods", sidecars.bytes(), sidecars.series(), sidecars.pods());
    for key in pods.iter().map(|pod| pod["metadata"]["uid"].as_str().unwrap()) {
        sidecars.forget(key);
    }
    assert_eq!((sidecars.pods(), sidecars.series()), (0, 0));
}

#[test]
fn the_worst_case_is_below_the_limit_as_well() {
    let address = |n: usize| format!("10.0.{}.{}", n / 250, n % 250);
    let pods: Vec<Value> = (0..PODS_MAX).map(|n| pod(&format!("{n:032}"), &address(n))).collect();
    let roster = roster(&pods);
    let mut sidecars = Sidecars::default();
    let greedy = TELEMETRY_SERIES_MAX / TELEMETRY_NAMES_MAX;
    for n in 0..PODS_MAX {
        let metrics = (0..TELEMETRY_NAMES_MAX).map(|name| (format!("{name:x>64}"), 1.5));
        let told = Post { pod: None, metrics: metrics.filter(|_| n < greedy).collect() };
        // A pod that names nothing takes no more with its next post.
        let posts = if n < greedy { 2 * TELEMETRY_SAMPLES_MAX as u64 } else { 1 };
        for second in 0..posts {
            sidecars.post(&roster, ip(&address(n)), &told, at(second)).unwrap();
        }
    }
    assert_eq!((sidecars.pods(), sidecars.series()), (PODS_MAX, TELEMETRY_SERIES_MAX));
    println!("{} bytes at worst", sidecars.bytes());
    assert!((TELEMETRY_BYTES_MAX / 2..TELEMETRY_BYTES_MAX).contains(&sidecars.bytes()));
    let section = sidecars.section(&format!("uid-{:032}", 0), at(200)).unwrap();
    assert_eq!(section.len(), TELEMETRY_SAMPLES_MAX);
}

#[test]
fn no_body_makes_it_panic_or_say_much() {
    let good =
        br#"{"metrics":{"queue_depth":12,"a":-3.5e2},"pod":{"namespace":"shop","name":"web"}}"#;
    let alphabet = b"{}[]\":,.-+eE0123459aZ_ \\u\n\xff\xc3\xa4tfn";
    let roster = roster(&[pod("web", "10.0.0.1")]);
    let mut sidecars = Sidecars::default();
    let mut random = Jitter::new(11);
    let mut below = |end: usize| (random.unit() * end as f64) as usize;
    let mut kept = 0;
    for step in 0..100_000_u64 {
        let mut body = good.to_vec();
        if step % 3 == 0 {
            body = (0..below(200)).map(|_| alphabet[below(alphabet.len())]).collect();
        }
        for _ in 0..below(4) {
            let at = below(body.len().max(1)).min(body.len());
            body.splice(at..(at + below(3)).min(body.len()), [alphabet[below(alphabet.len())]]);
        }
        match Post::parse(JSON, &body) {
            Ok(post) => {
                assert!(post.metrics.len() <= TELEMETRY_NAMES_MAX);
                assert!(post.metrics.iter().all(|(_, value)| value.is_finite()));
                kept += u32::from(sidecars.post(&roster, ip("10.0.0.1"), &post, at(step)).is_ok());
            }
            Err(refusal) => {
                let sentence = refusal.to_string();
                assert!(sentence.len() < 700 && !sentence.contains('\n'), "{sentence}");
            }
        }
    }
    assert!(kept > 1000 && sidecars.series() <= TELEMETRY_NAMES_MAX, "{kept}");
    assert!(good.len() < TELEMETRY_BODY_BYTES_MAX);
    if let Some(section) = sidecars.section("uid-web", at(200_000)) {
        assert!(section.series.iter().all(|series| series.values.len() <= TELEMETRY_SAMPLES_MAX));
    }
}
