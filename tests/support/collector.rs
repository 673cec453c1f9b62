//! A collector of incidents for tests: an HTTP(S) server that stores the requests it gets and sends the configured
//! responses.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;

use super::clock::Stopper;
use super::conn::{Conn, Wire};
use super::http::{self, Request};
use super::tls::Identity;

/// The response to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status, with this header unless its name is empty.
    Status(u16, &'static str, &'static str),
    /// The connection is closed instead.
    Cut,
    /// No response, for as long as the client waits.
    Silence,
    /// 200, and a body that never ends.
    Endless,
}

/// The response of a working collector.
pub const ACCEPTED: Reply = Reply::Status(204, "", "");

/// A running collector; it runs until the test process exits.
pub struct Collector {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<(Request, bool)>>,
    next: Mutex<VecDeque<Reply>>,
    otherwise: Mutex<Reply>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    ended: AtomicBool,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.addr);
    }
}

impl Collector {
    /// Listens on a free port, with TLS if there is an identity.
    pub fn start(identity: Option<&Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            next: Mutex::default(),
            otherwise: Mutex::new(ACCEPTED),
            tls: Mutex::new(identity.map(Identity::server_config)),
            ended: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let run = move || {
            while let Ok((stream, _)) = listener.accept() {
                if serving.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&serving);
                // A broken connection is not an error of the collector.
                thread::Builder::new().spawn(move || drop(shared.serve(stream))).unwrap();
            }
        };
        thread::Builder::new().name("collector".to_owned()).spawn(run).unwrap();
        Self { addr, shared }
    }

    /// Returns `http://127.0.0.1:PORT`, or https.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.lock().unwrap().is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Sets the replies to the next requests, in order; later requests get the reply set with `answer`.
    pub fn answer_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.next.lock().unwrap().extend(replies);
    }

    /// Sets the reply to all other requests.
    pub fn answer(&self, reply: Reply) {
        *self.shared.otherwise.lock().unwrap() = reply;
    }

    /// Uses this certificate for new connections.
    pub fn use_identity(&self, identity: &Identity) {
        *self.shared.tls.lock().unwrap() = Some(identity.server_config());
    }

    /// Returns the number of posts so far. Unlike [`Collector::posts`], it keeps the collector from its work for a moment
    /// only, so it is the one to wait with.
    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// Returns the posts so far.
    pub fn posts(&self) -> Vec<Post> {
        self.shared.requests.lock().unwrap().iter().map(|(request, _)| Post::of(request)).collect()
    }

    /// Returns the posts that were answered with a success.
    pub fn accepted(&self) -> Vec<Post> {
        let requests = self.shared.requests.lock().unwrap();
        requests.iter().filter(|(_, is_accepted)| *is_accepted).map(|(r, _)| Post::of(r)).collect()
    }
}

/// A received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// The path with the query.
    pub target: String,
    /// The `Idempotency-Key` header.
    pub key: String,
    /// The `Authorization` header.
    pub authorization: String,
    /// The `Content-Type` header.
    pub content_type: String,
    /// The body as text; what is not UTF-8 in it is replaced.
    pub body: String,
    /// The headers of CloudEvents, without their prefix.
    pub event: BTreeMap<String, String>,
}

impl Post {
    /// Returns the ids of the log records in an OTLP request.
    pub fn records(&self) -> Vec<String> {
        // The attribute's name, and then its value: a message of 34 bytes with a string of 32.
        let values = self.body.split("log.record.uid\x12\x22\x0a\x20").skip(1);
        values.map(|value| value[..32].to_owned()).collect()
    }

    fn of(request: &Request) -> Self {
        let header = |name| request.header(name).unwrap_or_default().to_owned();
        let query = if request.query.is_empty() { "" } else { "?" };
        Self {
            target: format!("{} {}{query}{}", request.method, request.path, request.query),
            key: header("idempotency-key"),
            authorization: header("authorization"),
            content_type: header("content-type"),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            event: request.headers.iter().filter_map(event).collect(),
        }
    }
}

fn event((name, value): &(String, String)) -> Option<(String, String)> {
    Some((name.strip_prefix("ce-")?.to_owned(), value.clone()))
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let tls = self.tls.lock().unwrap().clone();
        let mut wire: Wire = BufReader::new(Conn::new(Arc::new(stream), tls)?);
        loop {
            let request = match Request::read(&mut wire) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                // As servers answer to what is not HTTP, such as TLS.
                Err(_) => {
                    wire.get_mut().write_all(http::head(400, &[], Some(0)).as_bytes())?;
                    wire.into_inner().cut();
                    return Ok(());
                }
            };
            let next = self.next.lock().unwrap().pop_front();
            let reply = next.unwrap_or_else(|| self.otherwise.lock().unwrap().clone());
            let is_accepted = matches!(reply, Reply::Status(200..300, ..) | Reply::Endless);
            self.requests.lock().unwrap().push((request, is_accepted));
            let out = wire.get_mut();
            match reply {
                Reply::Status(status, name, value) => {
                    let header = (name.to_owned(), value.to_owned());
                    let headers = if name.is_empty() { vec![] } else { vec![header] };
                    out.write_all(http::head(status, &headers, Some(0)).as_bytes())?;
                    out.flush()?;
                }
                Reply::Cut => {
                    wire.into_inner().cut();
                    return Ok(());
                }
                Reply::Silence => {
                    wire.into_inner().hang();
                    return Ok(());
                }
                Reply::Endless => {
                    out.write_all(http::head(200, &[], Some(usize::MAX / 2)).as_bytes())?;
                    loop {
                        out.write_all(&[b'x'; 4096])?;
                        out.flush()?;
                        Stopper::default().wait(Duration::from_millis(5));
                    }
                }
            }
        }
    }
}
