//! The fake API server answers requests like the recorded real one.

use std::fs;

use serde_json::{Value, json};

use crate::support::client::{Head, RawClient};
use crate::support::sample::{names, pod, version};
use crate::support::tls::{Authority, Validity};
use crate::support::{FakeApi, Options, access, fixture};
use crate::{PODS, plain};

/// Returns the body of a recorded response.
fn recorded(name: &str) -> Value {
    let text = fs::read_to_string(fixture("http").join(name)).unwrap();
    let text = text.replace('\r', "");
    let (_, body) = text.split_once("\n\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn list_holds_the_selected_pods_and_the_current_version() {
    let api = plain();
    api.apply(pod("a", "node1", "Running"));
    api.apply(pod("b", "node2", "Running"));
    let last = api.apply(pod("c", "node1", "Failed"));
    let mut client = RawClient::connect(&api);
    let (head, list) =
        client.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode1&resourceVersion=0");
    assert_eq!(head.status, 200);
    assert_eq!((names(&list), version(&list)), (vec!["a", "c"], last));
    assert_eq!((&list["kind"], &list["items"][0]["kind"]), (&json!("PodList"), &Value::Null));
    let (_, list) = client.get("/api/v1/namespaces/shop/pods?fieldSelector=status.phase!=Failed");
    assert_eq!(names(&list), ["a", "b"]);
    let (_, list) = client.get("/api/v1/namespaces/other/pods");
    assert!(names(&list).is_empty());
}

#[test]
fn list_pages_with_limit_unless_the_version_is_zero() {
    let api = plain();
    for name in ["a", "b", "c"] {
        api.apply(pod(name, "node1", "Running"));
    }
    let mut client = RawClient::connect(&api);
    let (_, first) = client.get("/api/v1/pods?limit=2");
    assert_eq!(names(&first), ["a", "b"]);
    let token = first["metadata"]["continue"].as_str().unwrap().replace('=', "%3D");
    let next = format!("/api/v1/pods?limit=2&continue={}", token.replace('+', "%2B"));
    assert_eq!(names(&client.get(&next).1), ["c"]);
    assert_eq!(names(&client.get("/api/v1/pods?limit=2&resourceVersion=0").1), ["a", "b", "c"]);
    api.apply(pod("d", "node1", "Running"));
    api.store().compact();
    assert_eq!(client.get(&next).0.status, 410);
}

#[test]
fn refusals_have_the_recorded_bodies() {
    let api = plain();
    let mut client = RawClient::connect(&api);
    let check = |(head, body): (Head, Value), file: &str| {
        assert_eq!(body, recorded(file), "{file}");
        assert_eq!(u64::from(head.status), body["code"], "{file}");
    };
    check(client.get("/api/v1/pods?limit=1&continue=bogus"), "400-continue.txt");
    check(client.get("/api/v1/events?fieldSelector=source.host%3Dnode1"), "400-field-selector.txt");
    check(RawClient::connect(&api).token("wrong").get(PODS), "401.txt");
    check(RawClient::connect(&api).token("").get(PODS), "401.txt");

    api.access().deny("list", "pods");
    let (head, body) = client.get(PODS);
    let mut expected = recorded("403.txt");
    let message = expected["message"].as_str().unwrap();
    let message = message.replace("system:serviceaccount:default:nobody", access::USER);
    expected["message"] = json!(message);
    assert_eq!((head.status, body), (403, expected));
    let review = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let (head, answer) = client.request("POST", path, &review.to_string());
    assert_eq!((head.status, &answer["status"]["allowed"]), (201, &json!(false)));
    api.access().allow("list", "pods");
    let (_, answer) = client.request("POST", path, &review.to_string());
    assert_eq!(answer["status"]["allowed"], true);
    assert_eq!(client.get(PODS).0.status, 200);
}

#[test]
fn list_at_a_future_version_times_out() {
    let api = plain();
    let mut client = RawClient::connect(&api);
    let (head, body) = client.get("/api/v1/pods?resourceVersion=9999");
    assert_eq!((head.status, head.header("retry-after")), (504, Some("1")));
    assert_eq!(body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(body["details"]["retryAfterSeconds"], 1);
}

#[test]
fn events_are_found_by_the_object_they_are_about() {
    let api = plain();
    for (name, uid) in [("e1", "u1"), ("e2", "u2"), ("e3", "u1")] {
        api.apply(json!({
            "kind": "Event", "apiVersion": "v1", "metadata": {"name": name, "namespace": "shop"},
            "involvedObject": {"kind": "Pod", "uid": uid}, "reason": "Killing", "type": "Normal",
        }));
    }
    let mut client = RawClient::connect(&api);
    let path = "/api/v1/namespaces/shop/events?fieldSelector=involvedObject.uid%3Du1";
    assert_eq!(names(&client.get(path).1), ["e1", "e3"]);
    assert_eq!(names(&client.get(&format!("{path},metadata.name%3De3")).1), ["e3"]);
}

#[test]
fn single_objects_health_and_version_are_served() {
    let api = plain();
    api.apply(pod("a", "node1", "Running"));
    let mut client = RawClient::connect(&api);
    assert_eq!(client.get("/api/v1/namespaces/shop/pods/a").1["metadata"]["uid"], "a");
    assert_eq!(client.get("/api/v1/namespaces/shop/pods/b").0.status, 404);
    assert_eq!(client.get("/api/v1/nodes/node1").1["kind"], "Node");
    assert_eq!(names(&client.get("/api/v1/nodes").1), ["node1"]);
    assert_eq!(client.get("/apis/nowhere").0.status, 404);
    let mut anyone = RawClient::connect(&api).token("");
    assert_eq!(anyone.get("/readyz").1, "ok");
    assert_eq!(anyone.get("/version").1["major"], "1");
}

#[test]
fn tls_is_the_default_and_other_certificates_are_not_trusted() {
    let api = FakeApi::start(Options::default());
    assert_eq!(RawClient::connect(&api).get(PODS).0.status, 200);
    let refused = |api: &FakeApi| RawClient::connect(api).send("GET", PODS, "").is_err();
    let other = Authority::new("other-ca");
    api.use_identity(&other.issue(&["localhost"], Validity::Valid));
    assert!(refused(&api));
    api.use_identity(&api.authority().issue(&["localhost"], Validity::Expired));
    assert!(refused(&api));
    api.use_identity(&api.authority().issue(&["example.org"], Validity::Valid));
    assert!(refused(&api));
    api.use_identity(&api.authority().issue(&["localhost"], Validity::Valid));
    assert!(!refused(&api));
}

#[test]
fn a_token_can_be_rotated() {
    let api = plain();
    let mut old = RawClient::connect(&api);
    assert_eq!(old.get(PODS).0.status, 200);
    api.rotate_token("second");
    assert_eq!(old.get(PODS).0.status, 401);
    assert_eq!(RawClient::connect(&api).get(PODS).0.status, 200);
}

#[test]
fn the_log_tells_what_was_asked() {
    let api = plain();
    let mut client = RawClient::connect(&api);
    client.get("/api/v1/namespaces/shop/events?fieldSelector=involvedObject.uid%3Du1&limit=5");
    let record = &api.requests()[0];
    assert_eq!((record.verb, record.resource.as_str()), ("list", "events"));
    assert_eq!(record.namespace.as_deref(), Some("shop"));
    assert_eq!(record.param("fieldSelector"), "involvedObject.uid=u1");
    assert_eq!((record.user_agent.as_str(), record.authorized), ("raw", true));
    assert_eq!(api.count("list", "events"), 1);
}

#[test]
#[should_panic(expected = "the agent's role does not grant {\"list nodes\"}")]
fn a_call_of_the_agent_that_its_role_does_not_grant_fails_the_test() {
    let api = plain();
    RawClient::connect(&api).get("/api/v1/nodes");
    let mut agent = RawClient::connect(&api).user_agent("blackbox-daemon/0.1.0");
    for path in [PODS, "/api/v1/nodes", "/api/v1/nodes/node1", "/version"] {
        assert_eq!(agent.get(path).0.status, 200);
    }
}
