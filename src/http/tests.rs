use super::*;

fn start() -> SocketAddr {
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = server.local_addr();
    let handler = |request: &Request<'_>| Response {
        status: if request.path == "/" { 200 } else { 404 },
        content_type: "text/plain",
        body: format!("page {}\n", request.path).into_bytes(),
    };
    Builder::new().spawn(move || server.run(Clock::start(), handler)).unwrap();
    addr
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    // Far beyond every deadline of the server: only a broken server meets it.
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn ask(addr: SocketAddr, parts: &[&[u8]]) -> String {
    let mut stream = connect(addr);
    for part in parts {
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
fn a_silent_connection_is_closed() {
    let addr = start();
    assert_eq!(answer(connect(addr)), "");
}
