//! A client that shows the raw bytes: heads, chunks and how a body ended.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use super::server::FakeApi;
use super::tls::client_config;

/// Timeout of a read; reaching it fails the test.
const READ_PATIENCE: Duration = Duration::from_secs(10);

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// A connection to the fake.
pub struct RawClient {
    wire: BufReader<Box<dyn Duplex>>,
    /// The same socket, for its options.
    socket: TcpStream,
    token: String,
    accept: String,
    user_agent: String,
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
}

/// The next part of a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A chunk.
    Chunk(Vec<u8>),
    /// The terminal chunk.
    End,
}

impl RawClient {
    /// Connects to the fake, with TLS or in plain text as its URL requires.
    pub fn connect(api: &FakeApi) -> Self {
        let stream = TcpStream::connect(api.addr()).unwrap();
        stream.set_read_timeout(Some(READ_PATIENCE)).unwrap();
        let socket = stream.try_clone().unwrap();
        let duplex: Box<dyn Duplex> = if api.url().starts_with("https:") {
            let name = ServerName::try_from("localhost").unwrap();
            let session = ClientConnection::new(client_config(&api.ca_pem()), name).unwrap();
            Box::new(StreamOwned::new(session, stream))
        } else {
            Box::new(stream)
        };
        Self {
            wire: BufReader::new(duplex),
            socket,
            token: api.token(),
            accept: "application/json".into(),
            user_agent: "raw".into(),
        }
    }

    /// Sends another token, or none if `token` is empty.
    pub fn token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// Sends another Accept header.
    pub fn accept(mut self, accept: &str) -> Self {
        accept.clone_into(&mut self.accept);
        self
    }

    /// Sends another User-Agent header.
    pub fn user_agent(mut self, user_agent: &str) -> Self {
        user_agent.clone_into(&mut self.user_agent);
        self
    }

    /// Sets the timeout of a read.
    pub fn patience(self, patience: Duration) -> Self {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        self
    }

    /// Sends a request without reading the response.
    pub fn send(&mut self, method: &str, target: &str, body: &str) -> io::Result<()> {
        let authorization = match self.token.as_str() {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {}\r\n\
             Accept: {}\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
            self.user_agent,
            self.accept,
            body.len()
        );
        self.wire.get_mut().write_all(request.as_bytes())?;
        self.wire.get_mut().flush()
    }

    /// Reads the head of a response.
    pub fn head(&mut self) -> io::Result<Head> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut headers = Vec::new();
        for _ in 0..100 {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Ok(Head { status: status.ok_or(io::ErrorKind::InvalidData)?, headers })
    }

    /// Sends a GET and reads the complete response.
    pub fn get(&mut self, target: &str) -> (Head, Value) {
        self.request("GET", target, "")
    }

    /// Sends a request and reads the complete response.
    pub fn request(&mut self, method: &str, target: &str, body: &str) -> (Head, Value) {
        self.send(method, target, body).unwrap();
        let head = self.head().unwrap();
        let body = match head.header("content-length") {
            Some(length) => {
                let mut body = vec![0; length.parse().unwrap()];
                self.wire.read_exact(&mut body).unwrap();
                body
            }
            None => self.rest().unwrap(),
        };
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let value = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        (head, value)
    }

    /// Starts a watch and checks its head.
    pub fn watch(&mut self, target: &str) {
        self.send("GET", target, "").unwrap();
        let head = self.head().unwrap();
        assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")));
    }

    /// Reads the next chunk of a chunked body.
    pub fn piece(&mut self) -> io::Result<Piece> {
        let size = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size];
        self.wire.read_exact(&mut chunk)?;
        self.line()?;
        Ok(if size == 0 { Piece::End } else { Piece::Chunk(chunk) })
    }

    /// Reads the next event of a watch whose chunks are lines; `None` after a clean end.
    pub fn event(&mut self) -> io::Result<Option<Value>> {
        match self.piece()? {
            Piece::End => Ok(None),
            Piece::Chunk(line) => serde_json::from_slice(&line).map(Some).map_err(io::Error::other),
        }
    }

    /// Reads the rest of a chunked body.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Piece::Chunk(chunk) = self.piece()? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads the next byte, whatever it belongs to.
    pub fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.wire.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.wire.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Head {
    /// Returns the value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
