//! The threads that answer requests.
//!
//! A thread is started when a request is there and terminates when there is none, so an idle agent has no such thread.
//! A request takes microseconds as long as its peer sends and reads. A peer that makes its thread wait is slow, and is
//! cut off when another request needs the thread.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crate::limits::{HTTP_CONNECTIONS_MAX, HTTP_READY_MAX, HTTP_STACK_BYTES};
use crate::serve::http::address::Origin;
use crate::serve::http::connection::Held;
use crate::serve::http::waiting::Waiting;

/// A request that has arrived.
#[derive(Debug)]
pub(super) struct Job {
    /// The connection, in non-blocking mode.
    pub(super) held: Arc<Held>,
    pub(super) peer: SocketAddr,
    pub(super) deadline: Duration,
}

/// Answers one request.
type Serve = Box<dyn Fn(Job) + Send + Sync>;

pub(super) struct Pool {
    state: Mutex<State>,
    serve: Serve,
}

struct State {
    /// The requests that no thread has taken yet.
    ready: Waiting<Job>,
    /// The connections that are being served, oldest first.
    served: Vec<Arc<Held>>,
    /// How many threads there are.
    threads: usize,
}

impl Pool {
    pub(super) fn new(serve: impl Fn(Job) + Send + Sync + 'static) -> Arc<Self> {
        let state = State { ready: Waiting::new(HTTP_READY_MAX), served: Vec::new(), threads: 0 };
        Arc::new(Self { state: Mutex::new(state), serve: Box::new(serve) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if there is a thread for each request.
    pub(super) fn is_staffed(&self) -> bool {
        self.lock().missing() == 0
    }

    /// Queues a request; returns the one that lost its place for it. [`Pool::staff`] finds a thread for it.
    pub(super) fn push(&self, origin: Origin, job: Job) -> Option<Job> {
        self.lock().ready.push(origin, job).map(|(_, job)| job)
    }

    /// Starts threads for the requests that have none, or cuts off a slow connection if there are enough threads.
    ///
    /// # Errors
    /// If a thread cannot be started. The requests wait, and the caller tries again.
    pub(super) fn staff(self: &Arc<Self>) -> io::Result<()> {
        loop {
            let mut state = self.lock();
            if state.missing() == 0 {
                return Ok(());
            }
            if state.threads >= HTTP_CONNECTIONS_MAX {
                state.cut_off();
                return Ok(());
            }
            state.threads += 1;
            drop(state);
            let pool = self.clone();
            let builder = Builder::new().name("http-conn".to_owned()).stack_size(HTTP_STACK_BYTES);
            builder.spawn(move || pool.work()).inspect_err(|_| self.lock().threads -= 1)?;
        }
    }

    /// Answers requests until there is none.
    fn work(&self) {
        while let Some(job) = self.take() {
            let held = job.held.clone();
            (self.serve)(job);
            self.lock().served.retain(|other| !Arc::ptr_eq(other, &held));
        }
    }

    fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        match state.ready.pop() {
            Some((_, job)) => {
                state.served.push(job.held.clone());
                Some(job)
            }
            None => {
                state.threads -= 1;
                None
            }
        }
    }
}

impl State {
    /// Returns how many more threads the requests need.
    fn missing(&self) -> usize {
        (self.ready.len() + self.served.len()).saturating_sub(self.threads)
    }

    /// Cuts off slow connections, as many as there are requests that wait. The oldest of the address that has the most
    /// of them goes first; the node and the others leave each other half of the threads.
    fn cut_off(&self) {
        let cut = self.served.iter().filter(|held| held.is_cut()).count();
        let mut slow: Vec<_> = self.served.iter().filter(|h| h.is_slow() && !h.is_cut()).collect();
        for _ in cut..self.ready.len() {
            let near = slow.iter().filter(|held| held.origin.is_near).count();
            let is_near = near > HTTP_CONNECTIONS_MAX / 2 || near == slow.len();
            let mut most: Option<(usize, usize)> = None;
            for (at, held) in slow.iter().enumerate() {
                let places = slow.iter().filter(|other| other.origin == held.origin).count();
                if held.origin.is_near == is_near && most.is_none_or(|(_, most)| places > most) {
                    most = Some((at, places));
                }
            }
            let Some((at, _)) = most else { return };
            slow.remove(at).cut_off();
        }
    }
}
