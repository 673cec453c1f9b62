//! A collector of incidents: an HTTP(S) server that keeps what is posted to it and answers as it is
//! told.

use std::collections::VecDeque;
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

/// What a request gets.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status, with this header where the name is not empty.
    Status(u16, &'static str, &'static str),
    /// The connection is closed instead.
    Cut,
    /// Nothing, for as long as the client waits.
    Silence,
    /// 200, and a body that never ends.
    Endless,
}

/// All is well.
pub const ACCEPTED: Reply = Reply::Status(204, "", "");

/// A running collector; it ends with the test.
pub struct Collector {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<Request>>,
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
    /// Listens on a port of its own, with TLS if there is an identity.
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
                // A connection that breaks is the client's business.
                thread::Builder::new().spawn(move || drop(shared.serve(stream))).unwrap();
            }
        };
        thread::Builder::new().name("collector".to_owned()).spawn(run).unwrap();
        Self { addr, shared }
    }

    /// `http://127.0.0.1:PORT`, or https.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.lock().unwrap().is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// The next requests get these, in their order; those behind them what the last `answer` said.
    pub fn answer_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.next.lock().unwrap().extend(replies);
    }

    /// Every request gets this from now on.
    pub fn answer(&self, reply: Reply) {
        *self.shared.otherwise.lock().unwrap() = reply;
    }

    /// New connections see this certificate.
    pub fn use_identity(&self, identity: &Identity) {
        *self.shared.tls.lock().unwrap() = Some(identity.server_config());
    }

    /// What came so far: key, token, path with query, body.
    pub fn posts(&self) -> Vec<Post> {
        self.shared.requests.lock().unwrap().iter().map(Post::of).collect()
    }
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// With the query.
    pub target: String,
    /// `Idempotency-Key`.
    pub key: String,
    /// `Authorization`.
    pub authorization: String,
    /// `Content-Type`.
    pub content_type: String,
    /// As text.
    pub body: String,
}

impl Post {
    fn of(request: &Request) -> Self {
        let header = |name| request.header(name).unwrap_or_default().to_owned();
        let query = if request.query.is_empty() { "" } else { "?" };
        Self {
            target: format!("{} {}{query}{}", request.method, request.path, request.query),
            key: header("idempotency-key"),
            authorization: header("authorization"),
            content_type: header("content-type"),
            body: String::from_utf8(request.body.clone()).unwrap(),
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let tls = self.tls.lock().unwrap().clone();
        let mut wire: Wire = BufReader::new(Conn::new(Arc::new(stream), tls)?);
        while let Some(request) = Request::read(&mut wire)? {
            self.requests.lock().unwrap().push(request);
            let next = self.next.lock().unwrap().pop_front();
            let reply = next.unwrap_or_else(|| self.otherwise.lock().unwrap().clone());
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
        Ok(())
    }
}
