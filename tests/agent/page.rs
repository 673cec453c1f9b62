//! `/incidents` and the page of the real binary: their content, who may read them, and their cost.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::support::agent::connect;
use crate::support::clock::{Stopper, eventually, unix_seconds};
use crate::support::crash::{crash, pod};
use crate::support::{
    Agent, AgentOptions, FakeApi, Options, PATIENCE, Pace, Recording, Scratch, fixture, html,
};
use blackbox_daemon::limits::{
    HTTP_CONNECTION_MAX, PAGE_BYTES_MAX, READERS_MAX, RECENT_BYTES_MAX, RECENT_MAX,
};
use blackbox_daemon::serve::page::HEADERS;
use serde_json::{Value, json};

/// Returns options as in a pod, so that the image's build can be tested too (`BLACKBOX_BINARY`).
fn options(api: &FakeApi, scratch: &Scratch) -> AgentOptions {
    api.write_service_account(scratch.path());
    AgentOptions::in_pod(api.addr(), scratch.path()).env("BLACKBOX_LOOKBACK", "24h")
}

fn start(listen: &str) -> (FakeApi, Agent, Scratch) {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("page"));
    let agent = options(&api, &scratch).env("BLACKBOX_LISTEN", listen).start();
    agent.wait_ready();
    (api, agent, scratch)
}

/// Sends a request; returns the head and the body of the response.
fn ask(addr: SocketAddr, first: &str, host: &str) -> (String, String) {
    let mut stream = connect(addr);
    write!(stream, "{first} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn lines(agent: &Agent) -> String {
    agent.lines_from(0).iter().map(|line| format!("{line}\n")).collect()
}

fn wait_for(agent: &Agent, incidents: usize) {
    let told = || agent.lines_from(0).len();
    assert!(eventually(PATIENCE, || told() >= incidents), "{} of {incidents} are told", told());
}

#[test]
fn incidents_are_the_very_lines_of_stdout_and_on_the_page() {
    let (api, agent, _scratch) = start("127.0.0.1:0");
    let (head, body) = ask(agent.http(), "GET /incidents", "localhost");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}");
    let (_, page) = ask(agent.http(), "GET /", "localhost");
    assert!(html::read(&page).text.contains("No incidents since this agent started"));

    for pod in ["one", "two", "three"] {
        crash(&api, pod);
    }
    wait_for(&agent, 3);
    let (head, body) = ask(agent.http(), "GET /incidents", "localhost:9464");
    assert!(head.contains("\r\nContent-Type: application/x-ndjson\r\n"), "{head}");
    assert_eq!(body, lines(&agent));

    let (head, page) = ask(agent.http(), "GET /", "[::1]:9464");
    let length = page.len();
    for line in HEADERS.lines().chain([
        "Content-Type: text/html; charset=utf-8",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        &format!("Content-Length: {length}"),
    ]) {
        assert!(head.lines().any(|other| other == line), "no {line:?} in {head}");
    }
    assert!(!head.to_ascii_lowercase().contains("access-control"), "{head}");
    let html = html::read(&page);
    for words in
        ["node1", "3 incidents since", "is alive and ready", "shop/three", "exited with code 1"]
    {
        assert!(html.text.contains(words), "no {words:?} in {}", html.text);
    }
    for line in agent.lines_from(0) {
        let link = format!("/?id={}", id(&line));
        assert!(page.contains(&format!("<a href=\"{link}\">")), "no {link}");
        let (head, page) = ask(agent.http(), &format!("GET {link}"), "localhost");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let text = html::read(&page).text;
        assert!(text.contains(&line), "the line itself is not there: {line}");
    }
    for by in ["fingerprint", "workload", "node", "type", "image"] {
        let (head, page) = ask(agent.http(), &format!("GET /?by={by}"), "localhost");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let text = html::read(&page).text;
        assert!(text.contains(&format!("The last incidents by {by}")), "{text}");
    }
    let (head, body) = ask(agent.http(), "HEAD /", "127.0.0.1");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Content-Length: "), "{head}");
    assert_eq!(body, "");
}

/// Returns the id of a line.
fn id(line: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned()
}

fn ids(lines: &str) -> Vec<String> {
    lines.lines().map(id).collect()
}

#[test]
fn the_address_chooses_on_the_page_and_among_the_lines_and_is_refused_if_it_is_not_known() {
    let (api, agent, _scratch) = start("127.0.0.1:0");
    for pod in ["web-1", "web-2", "db-1"] {
        crash(&api, pod);
    }
    wait_for(&agent, 3);
    let of = |path: &str| ask(agent.http(), &format!("GET {path}"), "localhost");
    for (query, want) in [
        ("pod=web-*", &["web-1", "web-2"][..]),
        ("pod=web-*&limit=1", &["web-2"]),
        ("namespace=shop&type=error&severity=medium", &["web-1", "web-2", "db-1"]),
        ("severity=critical", &[]),
        ("text=DB-1", &["db-1"]),
    ] {
        let (head, body) = of(&format!("/incidents?{query}"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let pods: Vec<String> = body
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["pod_name"].clone())
            .map(|pod| pod.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(pods, want, "{query}");
        let (head, page) = of(&format!("/?{query}"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        html::read(&page);
        for pod in ["web-1", "web-2", "db-1"] {
            assert_eq!(
                page.contains(&format!("<bdi>shop/{pod}</bdi>")),
                want.contains(&pod),
                "{pod}"
            );
        }
    }
    for (path, allowed) in [
        ("/?by=<b>", "allowed: fingerprint, workload, "),
        ("/?pods=web-1", "allowed: namespace, pod, "),
        ("/incidents?pods=web-1", "allowed: namespace, pod, "),
        ("/incidents?by=node", "allowed: namespace, pod, "),
        ("/incidents?type=<b>", "allowed: oom, "),
        ("/?refresh=1", "allowed: 5 to 3600"),
    ] {
        let (head, body) = of(path);
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(body.contains(allowed) && !body.contains('<'), "{body}");
    }
    let (head, page) = of("/?id=0123456789abcdef0123456789abcdef");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert!(html::read(&page).text.contains("No such incident"), "{page}");
    let (head, page) = of("/?refresh=10&pod=web-*");
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"10\">"), "{head}");
}

#[test]
fn incidents_below_the_least_severity_are_not_there_either() {
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("page"));
    let agent = options(&api, &scratch).env("BLACKBOX_MIN_SEVERITY", "high").start();
    agent.wait_ready();
    crash(&api, "medium");
    let mut high = pod("high", 1);
    high["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] = json!(127);
    api.apply(pod("high", 0));
    api.apply(high);
    wait_for(&agent, 1);
    let (_, body) = ask(agent.http(), "GET /incidents", "localhost");
    assert_eq!(body, lines(&agent));
    assert!(body.contains("\"pod_name\":\"high\"") && !body.contains("medium\""), "{body}");
}

#[test]
fn a_name_that_leads_here_does_not_read() {
    let (api, agent, _scratch) = start("127.0.0.1:0");
    crash(&api, "secret");
    wait_for(&agent, 1);
    for path in ["/", "/incidents", "/?x", "/incidents?x"] {
        for host in ["rebound.example", "rebound.example:9464", "10.0.0.1:9464", ""] {
            let (head, body) = ask(agent.http(), &format!("GET {path}"), host);
            assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{host}: {head}");
            assert!(body.contains("kubectl port-forward") && !body.contains("secret"), "{body}");
        }
    }
    // Paths that are open to all callers still are.
    assert!(ask(agent.http(), "GET /metrics", "rebound.example").0.starts_with("HTTP/1.1 200 "));
    let two = ask(agent.http(), "GET /incidents", "localhost\r\nHost: rebound.example").0;
    assert!(two.starts_with("HTTP/1.1 400 "), "{two}");
}

/// Returns another address of this machine, if it has one. This sends no packet.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.254:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn the_network_does_not_read_whatever_host_it_names() {
    let Some(address) = own_address() else {
        eprintln!("SKIPPED: this machine has no address but loopback");
        return;
    };
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let (api, agent, _scratch) = start(listen);
        crash(&api, "secret");
        wait_for(&agent, 1);
        let port = agent.http().port();
        for path in ["/", "/incidents"] {
            let (head, body) = ask((address, port).into(), &format!("GET {path}"), "localhost");
            assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
            assert!(!body.contains("secret"), "{body}");
            let (head, body) =
                ask(([127, 0, 0, 1], port).into(), &format!("GET {path}"), "localhost");
            assert!(
                head.starts_with("HTTP/1.1 200 ") && body.contains("secret"),
                "{listen}: {head}"
            );
        }
    }
}

#[test]
fn a_reader_who_takes_his_time_gets_the_whole_page_and_others_wait() {
    let (api, agent, _scratch) = start("127.0.0.1:0");
    for n in 0..RECENT_MAX {
        crash(&api, &format!("pod-{n}"));
    }
    wait_for(&agent, RECENT_MAX);
    let mut slow = connect(agent.http());
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // Longer than the limit of a connection; by then the kernel holds the whole page.
    Stopper::default().wait(HTTP_CONNECTION_MAX + Duration::from_millis(500));
    let mut text = String::new();
    slow.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("</html>\n"), "cut off at {}", text.len());
    html::read(text.split_once("\r\n\r\n").unwrap().1);

    // More readers at the same time than are served: each gets the whole page or is asked to try again.
    let addr = agent.http();
    let answers: Vec<String> = std::thread::scope(|scope| {
        let ask = || ask(addr, "GET /", "localhost").0;
        let threads: Vec<_> = (0..3 * READERS_MAX).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let served = answers.iter().filter(|head| head.starts_with("HTTP/1.1 200 ")).count();
    let again =
        |head: &&String| head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: 1");
    assert_eq!(served + answers.iter().filter(again).count(), answers.len(), "{answers:?}");
    assert!(served >= 1);
    // No request keeps its slot for ever.
    assert!(ask(addr, "GET /", "localhost").0.starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_oldest_are_forgotten_and_memory_does_not_grow() {
    let (api, agent, _scratch) = start("127.0.0.1:0");
    let crash_all = |from: usize, to: usize| {
        for n in from..to {
            // The same twenty pods again and again, since the memory for pods has its own limit.
            let mut pod = pod(&format!("pod-{}", n % 20), u32::try_from(n / 20 + 1).unwrap());
            // A termination message and an image name of the maximum length.
            let container = &mut pod["status"]["containerStatuses"][0];
            container["lastState"]["terminated"]["message"] = json!("'<&\"".repeat(1000));
            pod["spec"]["containers"][0]["image"] = json!("i".repeat(300));
            api.apply(pod);
            // Wait for the lines from time to time: stdout's queue holds only 1 MiB.
            if n % 50 == 49 {
                wait_for(&agent, n + 1);
            }
        }
        let (_, page) = ask(agent.http(), "GET /", "localhost");
        assert!(page.len() <= PAGE_BYTES_MAX, "{}", page.len());
        let (_, body) = ask(agent.http(), "GET /incidents", "localhost");
        assert!(body.len() <= RECENT_BYTES_MAX, "{}", body.len());
        // The oldest of them are without the node's samples.
        let (kept, all) = (ids(&body), ids(&lines(&agent)));
        assert!(all.ends_with(&kept) && kept.len() < all.len(), "{} of {}", kept.len(), all.len());
        html::read(&page).text
    };
    // Afterwards the ring is full and must not grow.
    let text = crash_all(0, 200);
    assert!(text.contains("200 incidents since") && text.contains("no longer in memory"), "{text}");
    let before = agent.proc_status("VmRSS");
    crash_all(200, 1600);
    let after = agent.proc_status("VmRSS");
    println!("| VmHWM {} KiB", agent.proc_status("VmHWM"));
    // If all incidents were kept, it would be over 8 MiB; some growth is due to the allocator.
    assert!(after < before + 4096, "{before} KiB, then {after} KiB");
}

/// Not a test: writes pages into the folder that `BLACKBOX_PAGES` names, for a person to look at, with the zoo's
/// crashes and one incident with all telemetry. It takes about a minute.
#[test]
#[ignore = "draws"]
fn the_page_to_look_at() {
    let path = std::env::var("BLACKBOX_PAGES").unwrap();
    let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new("page"));
    let write = |path: &str, text: &str| {
        let path = scratch.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("cgroup/cgroup.controllers", "cpu io memory pids\n");
    let agent = options(&api, &scratch)
        .env("BLACKBOX_CGROUP", scratch.join("cgroup"))
        .env("BLACKBOX_POD_LOGS", scratch.join("pods"))
        .env("BLACKBOX_SAMPLE_INTERVAL", "1s")
        .start();
    agent.wait_ready();
    let now = || jiff::Timestamp::from_second(unix_seconds()).unwrap();
    let started = now().to_string();
    api.apply(checkout(&started, &json!({"running": {"startedAt": started}}), &json!({}), 0));
    Recording::load(&fixture("crash-zoo")).play(api.store(), Pace::Times(200.0)).wait_done();
    let folder = format!("cgroup/kubepods/burstable/poduid-web/{:064x}", 0xabc0);
    for tenth in 0..400 {
        let file = |name: &str, text: &str| write(&format!("{folder}/{name}"), text);
        use_more(file, tenth);
        Stopper::default().wait(Duration::from_millis(100));
    }
    let line = |text: &str| format!("{} stderr F {text}\n", now());
    let told = agent.lines_from(0).len();
    write("pods/shop_checkout-7d9f8b6c5-x2x7k_uid-web/app/0.log", &[
        line("level=info msg=\"loading price list\" entries=1250000"),
        line("level=warn msg=\"cache larger than expected\" bytes=51380224 user=<script>alert(1)</script>"),
        line("level=error msg=\"allocation of 8388608 bytes failed\" db password=hunter2"),
    ].concat());
    let ended = now().to_string();
    let end = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled",
        "containerID": format!("containerd://{:064x}", 0xabc0),
        "startedAt": started, "finishedAt": ended}});
    api.apply(checkout(&started, &json!({"waiting": {"reason": "CrashLoopBackOff"}}), &end, 1));
    wait_for(&agent, told + 1);
    crash(&api, "last");
    for (name, query) in [("list", "/"), ("oom", "/?id=*&text=checkout&limit=1")] {
        let page = ask(agent.http(), &format!("GET {query}"), "localhost").1;
        html::read(&page);
        std::fs::write(format!("{path}/{name}.html"), page).unwrap();
    }
}

/// Returns a pod with a memory leak.
fn checkout(started: &str, state: &Value, last: &Value, restarts: u32) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "checkout-7d9f8b6c5-x2x7k", "namespace": "shop", "uid": "uid-web",
            "labels": {"app": "checkout", "tier": "web"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "checkout-7d9f8b6c5",
                "apiVersion": "apps/v1", "uid": "x", "controller": true}]},
        "spec": {"nodeName": "node1", "restartPolicy": "Always", "containers": [
            {"name": "app", "image": "registry.example/shop/checkout:2.14.1",
                "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}}},
            {"name": "proxy", "image": "registry.example/mesh/proxy:1.29"}]},
        "status": {"phase": "Running", "qosClass": "Burstable", "containerStatuses": [
            {"name": "app", "restartCount": restarts, "state": state, "lastState": last,
                "image": "registry.example/shop/checkout:2.14.1",
                "containerID": format!("containerd://{:064x}", 0xabc0 + restarts)},
            {"name": "proxy", "restartCount": 0, "lastState": {},
                "image": "registry.example/mesh/proxy:1.29",
                "state": {"running": {"startedAt": started}},
                "containerID": "containerd://1"}]}
    })
}

/// Writes the kernel's files of a container that uses more and more memory.
fn use_more(file: impl Fn(&str, &str), tenth: u64) {
    let second = tenth / 10;
    let mib = 18 + second * second / 35 + second % 3;
    file("memory.current", &format!("{}\n", mib.min(64) << 20));
    file("memory.peak", &format!("{}\n", 64 << 20));
    file("memory.max", &format!("{}\n", 64 << 20));
    file("memory.stat", "anon 1\ninactive_file 4096\n");
    file("memory.events", &format!("oom 0\noom_kill {}\n", u64::from(second == 39)));
    let usage = tenth * 20_000 + tenth * tenth * 30;
    let throttled = tenth.saturating_sub(250) * 4 / 10;
    let periods = tenth;
    file(
        "cpu.stat",
        &format!(
            "usage_usec {usage}\nnr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec 0\n"
        ),
    );
    file("pids.current", "3\n");
}
