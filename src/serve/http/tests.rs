use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::Duration;

use crate::limits::{
    HTTP_CONNECTION_MAX, HTTP_CONNECTIONS_MAX, HTTP_LOOK_MAX, HTTP_READY_MAX, HTTP_WAITING_MAX,
};
use crate::runtime::stop::Stop;

use super::*;

fn start() -> SocketAddr {
    start_with(|request| Response {
        status: if request.path == "/" { 200 } else { 404 },
        content_type: "text/plain",
        body: format!("page {}\n", request.path).into_bytes(),
        ..Response::default()
    })
}

fn start_with(handler: impl Fn(&Request<'_>) -> Response + Send + Sync + 'static) -> SocketAddr {
    run(HttpServer::bind("127.0.0.1:0".parse().unwrap()).unwrap(), handler)
}

fn run(
    server: HttpServer,
    handler: impl Fn(&Request<'_>) -> Response + Send + Sync + 'static,
) -> SocketAddr {
    let addr = server.local_addr();
    Builder::new().spawn(move || server.run(Clock::start(), |_| false, handler)).unwrap();
    addr
}

fn pause(millis: u64) {
    Stop::default().wait(Duration::from_millis(millis));
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    // Far longer than every deadline of the server: only a broken server reaches it.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // Otherwise the kernel would merge what a test sends in parts.
    stream.set_nodelay(true).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A connection that is closed with its request unread is reset.
    if let Err(error) = stream.read_to_string(&mut text) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    text
}

fn ask(addr: SocketAddr, parts: &[&[u8]]) -> String {
    let mut stream = connect(addr);
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            pause(1);
        }
        stream.write_all(part).unwrap();
    }
    answer(stream)
}

#[test]
fn requests_get_their_status() {
    let addr = start();
    let huge = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(HTTP_HEAD_BYTES_MAX));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK"),
        ("GET /?q HTTP/1.0\r\n\r\n", "200 OK"),
        ("HEAD / HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET /nowhere HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed"),
        ("DELETE / HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("GET / HTTP/3\r\n\r\n", "505 HTTP Version Not Supported"),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", "400 Bad Request"),
        ("\u{16}\u{3}\u{1}\u{2} a TLS hello has no blank line", "400 Bad Request"),
        (&huge, "431 Request Header Fields Too Large"),
    ] {
        let got = ask(addr, &[request.as_bytes()]);
        assert!(got.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:.40}: {got}");
        assert!(got.contains("\r\nConnection: close\r\n"));
    }
    assert!(ask(addr, &[b"PUT / HTTP/1.1\r\n\r\n"]).contains("\r\nAllow: GET, HEAD\r\n"));
}

const POSTS: &[Post] = &[Post { path: "/in", body_bytes_max: 100 }];

/// Starts a server that responds with what was posted.
fn start_taking() -> SocketAddr {
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_posts(POSTS);
    let handler = |request: &Request<'_>| {
        let (status, body) = match request.body {
            Ok(body) if body == b"nothing" => (204, Vec::new()),
            Ok(body) => (200, body.to_vec()),
            Err(Unread::NoLength) => (411, Vec::new()),
            Err(Unread::TooLong) => (413, Vec::new()),
        };
        let content_type = if request.content_type.is_some() { "typed" } else { "untyped" };
        let retry_after_seconds = (status == 413).then_some(7);
        Response { status, content_type, body, retry_after_seconds, ..Response::default() }
    };
    run(server, handler)
}

#[test]
fn bodies_are_taken_where_a_path_takes_them() {
    let addr = start_taking();
    let long = "x".repeat(100);
    for (lines, body, want) in [
        ("POST /in HTTP/1.1\r\nContent-Length: 3", "abc", "200 OK"),
        ("POST /in HTTP/1.1\r\nContent-Length: 3", "abcdef", "200 OK"),
        ("POST /in?x=1 HTTP/1.0\r\nContent-Length: 3", "abc", "200 OK"),
        ("POST /in HTTP/1.1\nContent-Length: 3", "abc", "200 OK"),
        ("POST /in HTTP/1.1\r\nContent-Length: 0", "", "200 OK"),
        ("POST /in HTTP/1.1\r\nContent-Length: 100", &long, "200 OK"),
        ("POST /in HTTP/1.1\r\nContent-Length: 7", "nothing", "204 No Content"),
        ("POST /in HTTP/1.1\r\nContent-Length: 101", &long, "413 Content Too Large"),
        ("POST /in HTTP/1.1\r\nContent-Length: 999999999999999999999", "", "413 Content Too Large"),
        ("POST /in HTTP/1.1\r\nHost: a", "", "411 Length Required"),
        ("POST /in HTTP/1.1\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n", "411 Length Required"),
        ("POST /in HTTP/1.1\r\nContent-Length: x", "abc", "400 Bad Request"),
        ("POST /in HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4", "abc", "400 Bad Request"),
        ("POST /other HTTP/1.1\r\nContent-Length: 3", "abc", "405 Method Not Allowed"),
        ("POST /in/ HTTP/1.1\r\nContent-Length: 3", "abc", "405 Method Not Allowed"),
        ("GET /in HTTP/1.1\r\nHost: a", "", "405 Method Not Allowed"),
        ("HEAD /in HTTP/1.1\r\nHost: a", "", "405 Method Not Allowed"),
        ("PUT /in HTTP/1.1\r\nContent-Length: 3", "abc", "405 Method Not Allowed"),
    ] {
        let request = format!("{lines}\r\n\r\n{body}");
        let got = ask(addr, &[request.as_bytes()]);
        assert!(got.starts_with(&format!("HTTP/1.1 {want}\r\n")), "{request:.60}: {got}");
        assert_eq!(got.matches("HTTP/1.1").count(), 1, "{request:.60}: {got}");
        assert_eq!(got.contains("\r\nRetry-After: 7\r\n"), want.starts_with("413"), "{got}");
        let allow = match lines.contains(" /in ") || lines.contains(" /in?") {
            true => "\r\nAllow: POST\r\n",
            false => "\r\nAllow: GET, HEAD\r\n",
        };
        assert_eq!(got.contains(allow), want.starts_with("405"), "{got}");
        if lines.starts_with("HEAD") {
            assert!(got.ends_with("\r\n\r\n"), "an answer to HEAD has no content: {got}");
        }
        if want.starts_with("200") {
            let length = body.len().min(if body == "abcdef" { 3 } else { 100 });
            assert!(got.ends_with(&format!("\r\n\r\n{}", &body[..length])), "{got}");
        }
        if want.starts_with("204") {
            assert!(!got.contains("\r\nContent-") && got.ends_with("\r\n\r\n"), "{got}");
        }
    }
    let typed = b"POST /in HTTP/1.1\r\ncontent-type: a/b\r\nContent-Length: 1\r\n\r\nx";
    assert!(ask(addr, &[typed]).contains("\r\nContent-Type: typed\r\n"));
}

#[test]
fn every_split_of_a_post_gives_the_same_answer() {
    let addr = start_taking();
    let request = b"POST /in HTTP/1.1\r\nContent-Length: 11\r\n\r\n{\"a\":\r\n\r\n1}";
    let whole = ask(addr, &[request]);
    assert!(whole.ends_with("\r\n\r\n{\"a\":\r\n\r\n1}"), "{whole}");
    for at in 1..request.len() {
        assert_eq!(ask(addr, &[&request[..at], &request[at..]]), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = request.chunks(1).collect();
    assert_eq!(ask(addr, &bytes), whole);
}

#[test]
fn a_body_that_waits_to_be_asked_for_is_asked_for_if_it_is_taken() {
    let addr = start_taking();
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let head = |length: usize, version: &str| {
        format!("POST /in {version}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n")
    };
    let mut stream = connect(addr);
    stream.write_all(head(3, "HTTP/1.1").as_bytes()).unwrap();
    let mut said = vec![0; go_on.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(said, go_on.as_bytes());
    stream.write_all(b"abc").unwrap();
    let got = answer(stream);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("abc"), "{got}");
    for (length, version, body, status) in
        [(101, "HTTP/1.1", "", "413"), (3, "HTTP/1.1", "abc", "200"), (3, "HTTP/1.0", "abc", "200")]
    {
        let got = ask(addr, &[format!("{}{body}", head(length, version)).as_bytes()]);
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
    }
}

#[test]
fn a_body_that_drips_or_breaks_off_is_cut_at_the_deadline() {
    let addr = start_taking();
    let clock = Clock::start();
    let mut dripping = connect(addr);
    dripping.write_all(b"POST /in HTTP/1.1\r\nContent-Length: 100\r\n\r\n").unwrap();
    let mut halved = connect(addr);
    halved.write_all(b"POST /in HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc").unwrap();
    halved.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(halved), "");
    while clock.monotonic() < 5 * HTTP_CONNECTION_MAX && dripping.write_all(b"x").is_ok() {
        pause(50);
    }
    assert!(clock.monotonic() >= HTTP_CONNECTION_MAX / 2);
    assert!(clock.monotonic() < 3 * HTTP_CONNECTION_MAX);
}

#[test]
fn a_head_has_the_length_and_not_the_body() {
    let addr = start();
    let got = ask(addr, &[b"HEAD / HTTP/1.1\r\n\r\n"]);
    assert!(got.contains("\r\nContent-Length: 7\r\n"), "{got}");
    assert!(got.ends_with("\r\n\r\n"), "{got}");
}

#[test]
fn every_split_of_a_request_gives_the_same_answer() {
    let addr = start();
    let request = b"GET / HTTP/1.1\r\nHost: node1\r\n\r\n";
    let whole = ask(addr, &[request]);
    for at in 1..request.len() {
        assert_eq!(ask(addr, &[&request[..at], &request[at..]]), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = request.chunks(1).collect();
    assert_eq!(ask(addr, &bytes), whole);
}

#[test]
fn a_second_request_on_the_connection_is_ignored() {
    let addr = start();
    let got = ask(addr, &[b"GET / HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n"]);
    assert_eq!(got.matches("HTTP/1.1").count(), 1);
}

#[test]
fn connections_without_a_request_do_not_keep_others_out() {
    let addr = start();
    for begun in ["", "GET / HT"] {
        for count in [HTTP_CONNECTIONS_MAX, 2 * HTTP_WAITING_MAX] {
            let idle: Vec<TcpStream> = (0..count)
                .map(|_| {
                    let mut stream = connect(addr);
                    stream.write_all(begun.as_bytes()).unwrap();
                    stream
                })
                .collect();
            let got = ask(addr, &[b"GET / HTTP/1.1\r\n\r\n"]);
            assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{count}: {got}");
            drop(idle);
        }
    }
}

#[test]
fn the_oldest_without_a_request_is_closed_and_the_others_go_on() {
    let addr = start();
    let mut held: VecDeque<TcpStream> = (0..=HTTP_WAITING_MAX).map(|_| connect(addr)).collect();
    assert_eq!(answer(held.pop_front().unwrap()), "");
    // These connections are still within their deadline and were not closed.
    for stream in &mut held {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    }
    let answered = held.into_iter().map(answer).filter(|text| text.starts_with("HTTP/1.1 200 OK"));
    // More requests at once than may wait for a thread lose their places, too.
    assert!(answered.count() >= HTTP_READY_MAX);
}

/// Returns connections that keep threads of the server: they ask for a body to be sent and never send it.
fn keep(addr: SocketAddr, count: usize) -> VecDeque<TcpStream> {
    let head = b"POST /in HTTP/1.1\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    let connections = (0..count).map(|_| {
        let mut stream = connect(addr);
        stream.write_all(head).unwrap();
        stream.read_exact(&mut [0; 25]).unwrap();
        stream
    });
    connections.collect()
}

#[test]
fn a_peer_that_keeps_a_thread_waiting_loses_it_to_a_request() {
    let addr = start_taking();
    let mut kept = keep(addr, HTTP_CONNECTIONS_MAX);
    let got = ask(addr, &[b"GET / HTTP/1.1\r\n\r\n"]);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{got}");
    // Only as many as were needed: the others get their answers.
    assert_eq!(answer(kept.pop_front().unwrap()), "");
    for mut stream in kept {
        stream.write_all(&[b'x'; 100]).unwrap();
        assert!(answer(stream).starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn a_handler_that_hangs_does_not_gather_threads() {
    let (entered, release) = (Arc::new(AtomicUsize::new(0)), Stop::default());
    let (count, held) = (entered.clone(), release.clone());
    let addr = start_with(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        held.wait(Duration::from_secs(60));
        refusal(503)
    });
    let ask_many = || {
        let mut stream = connect(addr);
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream
    };
    let asking: Vec<TcpStream> = (0..2 * HTTP_READY_MAX).map(|_| ask_many()).collect();
    pause(300);
    assert_eq!(entered.load(Ordering::SeqCst), HTTP_CONNECTIONS_MAX);
    release.set();
    assert!(ask(addr, &[b"GET / HTTP/1.1\r\n\r\n"]).starts_with("HTTP/1.1 503"));
    // Those that did not lose their place are answered as well.
    let answered = asking.into_iter().map(answer).filter(|text| !text.is_empty());
    // On a slow machine the queue is full before the threads have started.
    let all = HTTP_READY_MAX..=HTTP_READY_MAX + HTTP_CONNECTIONS_MAX;
    assert!(all.contains(&answered.count()));
}

#[test]
fn a_late_request_is_answered_soon() {
    let addr = start();
    let mut took = Vec::new();
    for millis in [1, 20, 100, 500] {
        let mut stream = connect(addr);
        pause(millis);
        let clock = Clock::start();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(answer(stream).starts_with("HTTP/1.1 200 OK\r\n"));
        took.push(clock.monotonic());
    }
    // Only a slow machine takes longer than a look.
    assert!(took.iter().min().unwrap() < &(HTTP_LOOK_MAX + Duration::from_millis(200)), "{took:?}");
}

#[test]
fn addresses_of_ipv6_are_served_and_are_the_same_address_as_those_of_ipv4() {
    let home = "127.0.0.1:4".parse::<SocketAddr>().unwrap().ip();
    for listen in ["[::]:0", "[::1]:0"] {
        // A machine without IPv6 has nothing to test.
        let Ok(server) = HttpServer::bind(listen.parse().unwrap()) else { continue };
        let addr = run(server, |request| Response {
            status: 200,
            content_type: "text/plain",
            body: format!("{}", request.peer.ip().to_canonical()).into_bytes(),
            ..Response::default()
        });
        let over6 = SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), addr.port());
        assert!(ask(over6, &[b"GET / HTTP/1.1\r\n\r\n"]).ends_with("\r\n\r\n::1"));
        if listen.starts_with("[::]") {
            let over4 = SocketAddr::new(home, addr.port());
            assert!(ask(over4, &[b"GET / HTTP/1.1\r\n\r\n"]).ends_with("\r\n\r\n127.0.0.1"));
        }
    }
}

#[test]
fn the_answer_arrives_although_the_request_had_more_to_say() {
    let addr = start();
    let mut request = b"POST / HTTP/1.1\r\nContent-Length: 49152\r\n\r\n".to_vec();
    request.resize(request.len() + 49_152, b'x');
    for _ in 0..20 {
        let mut stream = connect(addr);
        stream.write_all(&request).unwrap();
        pause(5);
        let got = answer(stream);
        assert!(
            got.starts_with("HTTP/1.1 405 ") && got.ends_with("accepts only GET, HEAD\n"),
            "{got}"
        );
    }
}

#[test]
fn the_head_may_be_as_long_as_the_limit() {
    let addr = start();
    for (over, status) in [(0, "200"), (1, "431")] {
        let (start, end) = ("GET / HTTP/1.1\r\nx: ", "\r\n\r\n");
        let filling = HTTP_HEAD_BYTES_MAX - start.len() - end.len() + over;
        let request = format!("{start}{}{end}", "y".repeat(filling));
        let got = ask(addr, &[request.as_bytes()]);
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{got}");
    }
}

#[test]
fn a_silent_connection_is_closed() {
    let addr = start();
    assert_eq!(answer(connect(addr)), "");
}

#[test]
fn a_request_that_drips_is_cut_at_the_deadline() {
    let addr = start();
    let clock = Clock::start();
    let mut stream = connect(addr);
    // A timeout per read would never end this connection.
    while clock.monotonic() < 5 * HTTP_CONNECTION_MAX && stream.write_all(b"G").is_ok() {
        pause(50);
    }
    assert!(clock.monotonic() >= HTTP_CONNECTION_MAX / 2);
    assert!(clock.monotonic() < 3 * HTTP_CONNECTION_MAX);
}

#[test]
fn a_peer_that_does_not_read_is_cut_at_the_deadline() {
    const BODY: usize = 32 << 20;
    let body = vec![b'x'; BODY];
    let addr = start_with(move |_| Response {
        status: 200,
        content_type: "text/plain",
        body: body.clone(),
        ..Response::default()
    });
    let mut stream = connect(addr);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    Stop::default().wait(HTTP_CONNECTION_MAX + HTTP_CONNECTION_MAX / 2);
    let mut got = Vec::new();
    // Whether the connection is closed or reset, most of the body was never sent.
    let _ = stream.read_to_end(&mut got);
    assert!(got.len() < BODY, "{}", got.len());
}
