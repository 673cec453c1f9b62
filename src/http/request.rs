//! The head of an HTTP request: bytes in, method and path out.

/// A method that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The page.
    Get,
    /// The page's head.
    Head,
}

/// What a head asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// How.
    pub method: Method,
    /// What, without its query.
    pub path: &'a str,
}

/// Why a head is refused; each has a status of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No HTTP: 400.
    Malformed,
    /// Another method than GET and HEAD: 405.
    Method,
    /// Neither HTTP/1.0 nor HTTP/1.1: 505.
    Version,
}

/// Reads the head at the start of `bytes`. `None`: its end has not come yet.
///
/// Another protocol (TLS to this port) may never send what ends a head, and is refused at once.
pub fn parse(bytes: &[u8]) -> Option<Result<Head<'_>, Refusal>> {
    let mut method = bytes.iter().take_while(|b| **b != b' ');
    if !method.all(|b| b.is_ascii_alphabetic() || *b == b'-') {
        return Some(Err(Refusal::Malformed));
    }
    let end = head_end(bytes)?;
    Some(parse_head(&bytes[..end]))
}

/// Where the blank line begins that ends the head. A bare line feed ends a line, too (RFC 9112, 2.2).
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &bytes[from..]) {
        let next = from + at + 1;
        match bytes.get(next..) {
            Some([b'\n', ..] | [b'\r', b'\n', ..]) => return Some(next),
            _ => from = next,
        }
    }
    None
}

fn parse_head(head: &[u8]) -> Result<Head<'_>, Refusal> {
    let head = std::str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    if !version.starts_with("HTTP/") || !target.starts_with('/') {
        return Err(Refusal::Malformed);
    }
    if method.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Refusal::Malformed);
    }
    if !lines.all(|line| line.split_once(':').is_some_and(|(name, _)| is_name(name))) {
        return Err(Refusal::Malformed);
    }
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return Err(Refusal::Version);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Refusal::Method),
    };
    let path = target.split(['?', '#']).next().unwrap_or(target);
    Ok(Head { method, path })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_or_refused() {
        let get = |path| Some(Ok(Head { method: Method::Get, path }));
        for (text, want) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", get("/metrics")),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", get("/metrics")),
            ("GET / HTTP/1.1\n\n", get("/")),
            ("GET / HTTP/1.1\r\na: b\n\r\nrest", get("/")),
            ("HEAD / HTTP/1.1\r\n\r\n", Some(Ok(Head { method: Method::Head, path: "/" }))),
            ("POST / HTTP/1.1\r\n\r\n", Some(Err(Refusal::Method))),
            ("get / HTTP/1.1\r\n\r\n", Some(Err(Refusal::Method))),
            ("GET / HTTP/2.0\r\n\r\n", Some(Err(Refusal::Version))),
            ("GET /\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET  / HTTP/1.1\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET http://a/ HTTP/1.1\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET / HTTP/1.1\r\n: x\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("\u{16}\u{3}\u{1}\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET / HTTP/1.1\r\n", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), want, "{text:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n"), Some(Err(Refusal::Malformed)));
    }

    #[test]
    fn what_is_no_request_is_refused_without_waiting_for_its_end() {
        for bytes in [b"\x16\x03\x01\x02\x00\x01".as_slice(), b"\0", b"\xff GET", b"GET\r\n"] {
            assert_eq!(parse(bytes), Some(Err(Refusal::Malformed)), "{bytes:?}");
        }
        for target in ["/a\u{7}b", "/a\rb", "/é"] {
            let head = format!("GET {target} HTTP/1.1\r\n\r\n");
            assert_eq!(parse(head.as_bytes()), Some(Err(Refusal::Malformed)), "{target:?}");
        }
    }

    #[test]
    fn more_bytes_do_not_change_a_verdict() {
        for text in ["GET / HTTP/1.1\r\n\r\nGET", "PUT / HTTP/1.1\n\nx", "\r\n\r\n", "G\tT / x\n\n"]
        {
            let bytes = text.as_bytes();
            for at in 0..bytes.len() {
                if let Some(verdict) = parse(&bytes[..at]) {
                    assert_eq!(parse(bytes), Some(verdict), "{text:?} at {at}");
                }
            }
        }
    }

    #[test]
    fn every_prefix_of_a_head_waits_for_more() {
        let head = b"GET /healthz HTTP/1.1\r\nHost: node\r\nAccept: */*\r\n\r\n";
        for at in 0..head.len() {
            assert_eq!(parse(&head[..at]), None, "{at}");
        }
        assert!(parse(head).is_some());
    }
}
