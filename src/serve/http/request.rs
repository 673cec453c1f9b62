//! Parses the head of an HTTP request: method, path, and the headers that describe the body.

/// The request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// Any other method; no path takes it.
    Other,
}

/// The parsed head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// The path, without its query.
    pub path: &'a str,
    /// The query as sent, without its question mark; empty if there is none.
    pub query: &'a str,
    /// The `Host` header as sent.
    pub host: Option<&'a str>,
    /// True if there is an `Origin` header: a browser sends one with each POST.
    pub has_origin: bool,
    /// The headers about the body; read for POST only.
    pub body: BodyHead<'a>,
    /// The length of the head in bytes, including the blank line; the body starts there.
    pub bytes: usize,
}

/// What the head says about the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyHead<'a> {
    /// The length in bytes, if it is given; `None` for a chunked body.
    pub length_bytes: Option<u64>,
    /// The `Content-Type` header as sent.
    pub content_type: Option<&'a str>,
    /// True if the client waits for `100 Continue` before it sends the body (`Expect: 100-continue`).
    pub waits: bool,
}

/// Why a head is refused; each reason has its own status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not valid HTTP: 400.
    Malformed,
    /// Neither HTTP/1.0 nor HTTP/1.1: 505.
    Version,
}

/// Parses the head at the start of `bytes`; returns `None` if the head is not complete yet.
///
/// Bytes of another protocol (TLS to this port) are refused at once, since the end of a head may never come.
pub fn parse(bytes: &[u8]) -> Option<Result<Head<'_>, Refusal>> {
    let mut method = bytes.iter().take_while(|b| **b != b' ');
    if !method.all(|b| b.is_ascii_alphabetic() || *b == b'-') {
        return Some(Err(Refusal::Malformed));
    }
    let (end, body) = head_end(bytes)?;
    Some(parse_head(&bytes[..end], body))
}

/// Finds the blank line that ends the head; returns where it starts and where it ends. A bare line feed ends a line,
/// too (RFC 9112, 2.2).
fn head_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &bytes[from..]) {
        let next = from + at + 1;
        match bytes.get(next..) {
            Some([b'\n', ..]) => return Some((next, next + 1)),
            Some([b'\r', b'\n', ..]) => return Some((next, next + 2)),
            _ => from = next,
        }
    }
    None
}

fn parse_head(head: &[u8], bytes: usize) -> Result<Head<'_>, Refusal> {
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
    let mut fields = lines.clone();
    if !fields.all(|line| line.split_once(':').is_some_and(|(name, _)| is_name(name))) {
        return Err(Refusal::Malformed);
    }
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return Err(Refusal::Version);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        _ => Method::Other,
    };
    let target = target.split('#').next().unwrap_or(target);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut hosts = lines.clone().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim_matches([' ', '\t']))
    });
    let host = hosts.next();
    // With two hosts, two readers might see different ones (RFC 9112, 3.2).
    if hosts.next().is_some() {
        return Err(Refusal::Malformed);
    }
    let mut names = lines.clone().filter_map(|line| line.split_once(':'));
    let has_origin = names.any(|(name, _)| name.eq_ignore_ascii_case("origin"));
    let mut body = BodyHead::default();
    if method == Method::Post {
        body = body_head(lines)?;
        // A client of HTTP/1.0 cannot handle `100 Continue` (RFC 9110, 10.1.1).
        body.waits &= version == "HTTP/1.1";
    }
    Ok(Head { method, path, query, host, has_origin, body, bytes })
}

/// Reads the header lines about the body. Two lengths, even equal ones, are a sign of request smuggling (two readers
/// see two different bodies); so is a length that is not a number.
fn body_head<'a>(lines: impl Iterator<Item = &'a str>) -> Result<BodyHead<'a>, Refusal> {
    let mut body = BodyHead::default();
    let mut in_chunks = false;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim_matches([' ', '\t']);
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("content-length") {
            if body.length_bytes.replace(length_bytes(value)?).is_some() {
                return Err(Refusal::Malformed);
            }
        } else if is("content-type") {
            if body.content_type.replace(value).is_some() {
                return Err(Refusal::Malformed);
            }
        } else if is("transfer-encoding") {
            in_chunks = true;
        } else if is("expect") {
            body.waits |= value.eq_ignore_ascii_case("100-continue");
        }
    }
    if in_chunks {
        body.length_bytes = None;
    }
    Ok(body)
}

/// Parses a decimal length. A number too large for u64 becomes `u64::MAX`, which is over every limit.
fn length_bytes(text: &str) -> Result<u64, Refusal> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::Malformed);
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_or_refused() {
        let read = |text: &str, method, target: &'static str| {
            let bytes = text.len() - if text.ends_with("rest") { 4 } else { 0 };
            let host = text.contains("Host: a").then_some("a");
            let has_origin = text.contains("Origin: ");
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let body = BodyHead::default();
            Some(Ok(Head { method, path, query, host, has_origin, body, bytes }))
        };
        for (text, method, path) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Method::Get, "/metrics"),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", Method::Get, "/metrics?x=1"),
            ("GET /?a=b?c#d?e HTTP/1.1\r\n\r\n", Method::Get, "/?a=b?c"),
            ("GET /a#b?c HTTP/1.1\r\n\r\n", Method::Get, "/a"),
            ("GET / HTTP/1.1\n\n", Method::Get, "/"),
            ("GET / HTTP/1.1\r\na: b\n\r\nrest", Method::Get, "/"),
            // For GET, headers about a body are ignored, even malformed ones.
            ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", Method::Get, "/"),
            ("HEAD / HTTP/1.1\r\n\r\n", Method::Head, "/"),
            ("POST /v1?x HTTP/1.1\r\n\r\nrest", Method::Post, "/v1?x"),
            ("POST /v1 HTTP/1.1\r\nOrigin: null\r\n\r\n", Method::Post, "/v1"),
            ("PUT / HTTP/1.1\r\n\r\n", Method::Other, "/"),
            ("get / HTTP/1.1\r\n\r\n", Method::Other, "/"),
        ] {
            assert_eq!(parse(text.as_bytes()), read(text, method, path), "{text:?}");
        }
        for (text, want) in [
            ("GET / HTTP/2.0\r\n\r\n", Some(Err(Refusal::Version))),
            ("GET /\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET  / HTTP/1.1\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET http://a/ HTTP/1.1\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Some(Err(Refusal::Malformed))),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Some(Err(Refusal::Malformed))),
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
    fn what_a_post_says_of_its_body_is_read() {
        let length = |n| BodyHead { length_bytes: Some(n), ..BodyHead::default() };
        let json = |text| BodyHead { content_type: Some(text), ..length(3) };
        let none = BodyHead::default();
        for (lines, want) in [
            ("Content-Length: 3", Ok(length(3))),
            ("content-length:3 \t", Ok(length(3))),
            ("Content-Length: 0", Ok(length(0))),
            ("Content-Length: 99999999999999999999999", Ok(length(u64::MAX))),
            ("Content-Length: 3\r\nContent-Type: application/json", Ok(json("application/json"))),
            ("CONTENT-TYPE: a/b;c=d\r\nContent-Length: 3", Ok(json("a/b;c=d"))),
            (
                "Expect: 100-Continue\r\nContent-Length: 3",
                Ok(BodyHead { waits: true, ..length(3) }),
            ),
            ("Expect: the worst\r\nContent-Length: 3", Ok(length(3))),
            ("Transfer-Encoding: chunked", Ok(none)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 3", Ok(none)),
            ("Host: a", Ok(none)),
            ("Content-Length: -3", Err(Refusal::Malformed)),
            ("Content-Length: +3", Err(Refusal::Malformed)),
            ("Content-Length: 3, 3", Err(Refusal::Malformed)),
            ("Content-Length:", Err(Refusal::Malformed)),
            ("Content-Length: 3\r\nContent-Length: 3", Err(Refusal::Malformed)),
            ("Content-Type: a/b\r\nContent-Type: a/b", Err(Refusal::Malformed)),
            ("Content-Length : 3", Err(Refusal::Malformed)),
        ] {
            let text = format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n");
            assert_eq!(parse(text.as_bytes()).unwrap().map(|head| head.body), want, "{lines:?}");
        }
        let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(parse(old).unwrap().map(|head| head.body), Ok(none));
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
