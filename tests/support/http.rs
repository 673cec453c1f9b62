//! The server's side of HTTP/1.1: reads a request, formats the head of a response.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read};

use serde_json::Value;

use super::clock;

/// The fake's limit for a request head, and for one line in it.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The real server's limit for a request body.
const BODY_BYTES_MAX: usize = 3 << 20;

/// A received request.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST`, ….
    pub method: String,
    /// The path without the query, not decoded.
    pub path: String,
    /// The part after the `?`, not decoded.
    pub query: String,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; empty if there was none.
    pub body: Vec<u8>,
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers other than those that every response has.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads a request; returns `None` if the peer closed the connection between requests.
    pub fn read(wire: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head_left = HEAD_BYTES_MAX;
        let Some(first) = read_line(wire, &mut head_left)? else {
            return Ok(None);
        };
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1")) =
            (words.next(), words.next(), words.next())
        else {
            return Err(invalid("request line"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        // The loop is bounded by head_left.
        loop {
            let line = read_line(wire, &mut head_left)?.ok_or_else(|| invalid("head"))?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid("header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: Vec::new(),
        };
        let length = request.header("content-length").map_or(Ok(0), str::parse);
        let length: usize = length.map_err(|_| invalid("content-length"))?;
        if length > BODY_BYTES_MAX || request.header("transfer-encoding").is_some() {
            return Err(invalid("body"));
        }
        request.body.resize(length, 0);
        wire.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    /// Returns the value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the decoded value of a query parameter; empty if it is absent.
    pub fn param(&self, name: &str) -> String {
        query_param(&self.query, name)
    }

    /// Returns true if a boolean parameter is set, by the rules of Kubernetes.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.param(name).as_str(), "1" | "true")
    }
}

impl Response {
    /// Creates a response with a JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string())
    }

    /// Creates a response with this body.
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Returns the decoded value of a query's parameter; empty if it is absent.
pub fn query_param(query: &str, name: &str) -> String {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.find(|(key, _)| percent_decode(key) == name).map(|(_, value)| value);
    percent_decode(value.unwrap_or_default())
}

/// Formats the status line and headers, including the blank line; `length` is `None` for a chunked body.
pub fn head(status: u16, headers: &[(String, String)], length: Option<usize>) -> String {
    let mut head = head_start(status);
    if headers.iter().any(|(name, _)| name == "Date") {
        head.truncate(head.find("Date: ").unwrap_or(head.len()));
    }
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    match length {
        Some(length) => {
            let _ = write!(head, "Content-Length: {length}\r\n\r\n");
        }
        None => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
    }
    head
}

/// Formats the status line and the headers that every response has.
pub fn head_start(status: u16) -> String {
    let (reason, date) = (reason(status), date(clock::unix_seconds()));
    format!(
        "HTTP/1.1 {status} {reason}\r\n\
         Cache-Control: no-cache, private\r\n\
         Content-Type: application/json\r\n\
         Date: {date}\r\n"
    )
}

/// Formats a time as in HTTP headers.
pub fn date(unix_seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(unix_seconds).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Scripted",
    }
}

/// Reads one line without its line end; returns `None` at the end of the stream.
fn read_line(wire: &mut impl BufRead, left: &mut usize) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = wire.by_ref().take(*left as u64).read_until(b'\n', &mut line)?;
    *left -= read;
    match line.as_slice() {
        [] if *left > 0 => Ok(None),
        [text @ .., b'\r', b'\n'] => {
            String::from_utf8(text.to_vec()).map(Some).map_err(|_| invalid("UTF-8"))
        }
        _ => Err(invalid("line")),
    }
}

fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let decoded = match (byte, tail) {
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
            }
            _ => None,
        };
        match decoded {
            Some(value) => {
                rest = &tail[2..];
                out.push(value);
            }
            None => out.push(if *byte == b'+' { b' ' } else { *byte }),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("bad request: {what}"))
}
