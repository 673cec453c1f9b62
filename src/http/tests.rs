use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn start() -> SocketAddr {
    start_with(|request| Response {
        status: if request.path == "/" { 200 } else { 404 },
        content_type: "text/plain",
        body: format!("page {}\n", request.path).into_bytes(),
    })
}

fn start_with(handler: impl Fn(&Request<'_>) -> Response + Send + Sync + 'static) -> SocketAddr {
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = server.local_addr();
    Builder::new().spawn(move || server.run(Clock::start(), handler)).unwrap();
    addr
}

fn pause(millis: u64) {
    Stop::default().wait(Duration::from_millis(millis));
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    // Far beyond every deadline of the server: only a broken server meets it.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // Otherwise the kernel would join what a test sends in parts.
    stream.set_nodelay(true).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
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
fn idle_connections_do_not_keep_others_out() {
    let addr = start();
    for count in [HTTP_CONNECTIONS_MAX, 3 * HTTP_CONNECTIONS_MAX] {
        let idle: Vec<TcpStream> = (0..count)
            .map(|_| {
                let mut stream = connect(addr);
                stream.write_all(b"GET / HT").unwrap();
                stream
            })
            .collect();
        let got = ask(addr, &[b"GET / HTTP/1.1\r\n\r\n"]);
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "{count}: {got}");
        drop(idle);
    }
}

#[test]
fn the_oldest_is_cut_off_and_the_others_go_on() {
    let addr = start();
    let mut held: VecDeque<TcpStream> = (0..=HTTP_CONNECTIONS_MAX).map(|_| connect(addr)).collect();
    assert_eq!(answer(held.pop_front().unwrap()), "");
    // Still within their deadline: nobody else was touched.
    for mut stream in held {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
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
        pause(5);
        stream
    };
    let _asking: Vec<TcpStream> = (0..3 * HTTP_THREADS_MAX).map(|_| ask_many()).collect();
    pause(300);
    assert!((1..=HTTP_THREADS_MAX).contains(&entered.load(Ordering::SeqCst)));
    release.set();
    assert!(ask(addr, &[b"GET / HTTP/1.1\r\n\r\n"]).starts_with("HTTP/1.1 503"));
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
        assert!(got.starts_with("HTTP/1.1 405 ") && got.ends_with("Not Allowed\n"), "{got}");
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
    // A timeout for each read would never end this.
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
    });
    let mut stream = connect(addr);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    Stop::default().wait(HTTP_CONNECTION_MAX + HTTP_CONNECTION_MAX / 2);
    let mut got = Vec::new();
    // Whether it ends or is reset, most of it was never sent.
    let _ = stream.read_to_end(&mut got);
    assert!(got.len() < BODY, "{}", got.len());
}
