//! The fake's threads: one accepts, and each connection has its own.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::answer::{self, Answer, Call};
use super::clock::{self, Stopper};
use super::conn::{Conn, Wire};
use super::exchange::{self, Body, Flow};
use super::http::{self, Request};
use super::record::RequestRecord;
use super::script::Ending;
use super::server::Shared;

/// Maximum number of requests on one connection; a client that sends more is in a loop.
const REQUESTS_MAX: usize = 1_000_000;
/// How long the listener pauses after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// How long a stop waits for the threads.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// One run of the server, from start to stop.
pub struct Run {
    stopper: Arc<Stopper>,
    acceptor: JoinHandle<()>,
    open: OpenStreams,
}

type OpenStreams = Arc<Mutex<Vec<Weak<TcpStream>>>>;

impl Run {
    /// Starts to accept connections.
    pub fn start(listener: TcpListener, shared: &Arc<Shared>) -> Self {
        let (stopper, open) = (Arc::new(Stopper::default()), OpenStreams::default());
        let (shared, run, streams) = (Arc::clone(shared), Arc::clone(&stopper), Arc::clone(&open));
        let acceptor = thread::Builder::new()
            .name("fake-accept".to_owned())
            .spawn(move || accept(&listener, &shared, &run, &streams))
            .unwrap();
        Self { stopper, acceptor, open }
    }

    /// Closes the listener and all connections, and waits for their threads.
    pub fn stop(self, addr: SocketAddr, shared: &Shared) {
        self.stopper.stop();
        shared.store.wake();
        // Only a connection wakes a thread in accept().
        let _ = TcpStream::connect(addr);
        self.acceptor.join().unwrap();
        for stream in self.open.lock().unwrap().iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let closed = || self.open.lock().unwrap().iter().all(|stream| stream.strong_count() == 0);
        assert!(clock::eventually(STOP_PATIENCE, closed), "connections outlive the server");
    }
}

/// Accepts connections until the server stops.
fn accept(listener: &TcpListener, shared: &Arc<Shared>, run: &Arc<Stopper>, open: &OpenStreams) {
    while !run.is_stopped() {
        // The client disconnected before the accept, or there are too many open files: both are temporary.
        let Ok((stream, _)) = listener.accept() else {
            run.wait(ACCEPT_PAUSE);
            continue;
        };
        if run.is_stopped() {
            return;
        }
        let stream = Arc::new(stream);
        let mut streams = open.lock().unwrap();
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(&stream));
        drop(streams);
        let (shared, run) = (Arc::clone(shared), Arc::clone(run));
        let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        thread::Builder::new()
            .name(format!("fake-conn-{number}"))
            // A broken connection is not an error of the fake; the next connection gets a new thread.
            .spawn(move || drop(connection(stream, &shared, &run, number)))
            .unwrap();
    }
}

fn connection(
    stream: Arc<TcpStream>,
    shared: &Shared,
    run: &Stopper,
    number: u64,
) -> io::Result<()> {
    let fault = *shared.accept_fault.lock().unwrap();
    if let Some(fault) = fault {
        let mut conn = Conn::new(stream, None)?;
        // A reset needs unread data, so something must have arrived.
        if conn.read(&mut [0])? > 0 {
            end(conn, fault);
        }
        return Ok(());
    }
    let tls = shared.tls.lock().unwrap().clone();
    let mut wire: Wire = BufReader::new(Conn::new(stream, tls)?);
    for _ in 0..REQUESTS_MAX {
        let Some(request) = Request::read(&mut wire)? else {
            break;
        };
        let last = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let ending = exchange(&mut wire, &request, shared, run, number)?;
        if ending != Ending::Close || last {
            wire.get_mut().flush()?;
            end(
                wire.into_inner(),
                if last && ending == Ending::Close { Ending::Cut } else { ending },
            );
            return Ok(());
        }
    }
    Ok(())
}

fn end(conn: Conn, ending: Ending) {
    match ending {
        Ending::Close | Ending::Cut => conn.cut(),
        Ending::Hang => conn.hang(),
        Ending::Reset => conn.reset(),
    }
}

fn exchange(
    wire: &mut Wire,
    request: &Request,
    shared: &Shared,
    run: &Stopper,
    number: u64,
) -> io::Result<Ending> {
    let call = Call::of(request);
    let behaviour = shared.script.take(&call);
    shared.log.push(RequestRecord::new(&call, request, number, clock::now()));
    if let Flow::End(ending) = exchange::before_head(wire, &behaviour, run)? {
        return Ok(ending);
    }
    let answer = match &behaviour.answer {
        Some(response) => Answer::Whole(response.clone()),
        None => answer::answer(shared, &call, request),
    };
    match answer {
        Answer::Whole(response) => exchange::send_whole(wire, &response, &behaviour, run),
        Answer::Watch(plan) => {
            let head = http::head(200, &[], None);
            let mut body = Body::start(wire, &head, true, &behaviour, run)?;
            let ending = match body.gap()? {
                Flow::Go => plan.run(shared, &mut body)?,
                Flow::End(ending) => ending,
            };
            if ending == Ending::Close {
                body.finish()?;
            }
            Ok(ending)
        }
    }
}
