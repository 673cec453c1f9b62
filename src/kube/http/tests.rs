use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use super::*;
use crate::config::endpoint::{Credentials, Server, TokenSource, Trust};

fn client(url: &str) -> HttpClient {
    let endpoint = Endpoint {
        server: Server::parse(url).unwrap(),
        tls_server_name: None,
        trust: Trust::Plaintext,
        credentials: Credentials { token: TokenSource::None, client_cert: None },
    };
    HttpClient::new(&endpoint, Duration::from_secs(1), Clock::start())
}

/// Answers each connection with one of these answers, in pieces with pauses between them.
fn serve(answers: Vec<(Vec<u8>, usize, Duration)>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (never, pause) = mpsc::channel::<()>();
    let run = move || {
        for (answer, piece, rest) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            for piece in answer.chunks(piece.max(1)) {
                if stream.write_all(piece).is_err() {
                    break;
                }
                let _ = pause.recv_timeout(rest);
            }
        }
        drop(never);
    };
    (url, Builder::new().spawn(run).unwrap())
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
/// The HTTP library makes assumptions about what an answer can be, and a panic terminates the agent.
#[test]
fn nothing_that_an_answer_may_be_is_a_panic() {
    let long = |n: usize| "a".repeat(n);
    let answers = [
        "".to_owned(),
        "\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK".to_owned(),
        "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: nonsense\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", long(70_000)),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}", long(70_000)),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", long(70_000)),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(500)),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(129)),
        "HTTP/1.1 200 OK\r\nRetry-After: \u{fffd}\r\nX: \x01\x02\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/1.1 206 Partial\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 301 Moved\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
        "HTTP/1.1 307 T\r\nLocation: http://[::bad\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 308 P\r\nLocation: \u{fffd}\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_owned(),
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 199 X\r\n\r\n".to_owned(),
        "HTTP/1.1 000 X\r\n\r\n".to_owned(),
        "HTTP/1.1 999 X\r\nContent-Length: 1\r\n\r\nx".to_owned(),
        "HTTP/1.1 99999 X\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\n\r\n{}".to_owned(),
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/2 200\r\n\r\n".to_owned(),
        "HTTP/0.9 200 OK\r\n\r\n".to_owned(),
        "ICY 200 OK\r\n\r\n".to_owned(),
        "\x15\x03\x01\x00\x02\x02\x28".to_owned(),
        "HTTP/1.1 429 T\r\nRetry-After: 18446744073709551615\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}extra".to_owned(),
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Domain=\u{7f}\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n".to_owned(),
    ];
    let pause = Duration::from_millis(1);
    let bent: Vec<_> = answers
        .iter()
        .flat_map(|a| {
            [a.len(), a.len() / 2 + 1, a.len() / 3 + 1].map(|n| (a.clone().into_bytes(), n, pause))
        })
        .collect();
    let count = bent.len();
    let (url, server) = serve(bent);
    let mut client = client(&url);
    for _ in 0..count {
        if let Ok(mut body) = client.get("/x", ResponseTimeout::Answer) {
            let mut block = [0; 1000];
            while body.read(&mut block).is_ok_and(|n| n > 0) {}
        }
        client.renew();
    }
    server.join().unwrap();
}

#[test]
fn a_refusal_whose_words_trickle_is_a_refusal() {
    let head = "HTTP/1.1 503 S\r\nContent-Length: 9999\r\n\r\n";
    let answer = format!("{head}{}", "x".repeat(head.len() * 100)).into_bytes();
    // After the head, the body takes ten seconds unless the client stops reading.
    let (url, server) = serve(vec![(answer, head.len(), Duration::from_millis(100))]);
    let clock = Clock::start();
    let response_timeout =
        ResponseTimeout::Stream { timeout_seconds: 600, idle: Duration::from_secs(90) };
    let answer = client(&url).get("/x", response_timeout);
    assert_eq!(answer.unwrap_err().code(), Some(503));
    let took = clock.monotonic();
    assert!(took < Duration::from_secs(5), "{took:?}");
    server.join().unwrap();
}

#[test]
fn a_refusal_of_many_words_is_read_to_the_limit() {
    let len = 2 * STATUS_BODY_BYTES_MAX;
    let answer = format!("HTTP/1.1 503 S\r\nContent-Length: {len}\r\n\r\n{}", "x".repeat(len));
    let (url, server) = serve(vec![(answer.into_bytes(), len / 3, Duration::from_millis(10))]);
    let answer = client(&url).get("/x", ResponseTimeout::Answer);
    assert_eq!(answer.unwrap_err().code(), Some(503));
    server.join().unwrap();
}

#[test]
fn retry_after_is_read_in_both_forms() {
    let now: Timestamp = "2026-11-23T05:00:00Z".parse().unwrap();
    for (value, want) in [
        ("7", Some(7)),
        (" 0 ", Some(0)),
        ("Mon, 23 Nov 2026 05:00:30 GMT", Some(30)),
        ("Mon, 23 Nov 2026 04:00:00 GMT", Some(0)),
        ("soon", None),
        ("-1", None),
        ("", None),
    ] {
        assert_eq!(retry_after_of(value, now), want.map(Duration::from_secs), "{value}");
    }
}
