//! Resolves the API server's name to addresses.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::vec;

use ureq::config::Config as HttpConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error as E, http};

use crate::limits::{RESOLVED_MAX, THREAD_STACK_BYTES};

/// A resolver that returns the API server's address for whatever name the certificate is verified for.
#[derive(Clone, Debug)]
pub(super) struct Pinned(pub(super) Option<http::Uri>);

impl Resolver for Pinned {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &HttpConfig,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let uri = self.0.as_ref().unwrap_or(uri);
        let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
            return DefaultResolver::default().resolve(uri, config, timeout);
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut found = self.empty();
        match host.parse() {
            Ok(ip) => found.push(SocketAddr::new(ip, port)),
            Err(_) => look_up(host, port, timeout)?
                .take(RESOLVED_MAX)
                .for_each(|address| found.push(address)),
        }
        if found.is_empty() { Err(E::HostNotFound) } else { Ok(found) }
    }
}

/// Looks up a name in a thread of its own, because the system's resolver has no timeout. The HTTP library's
/// resolver also starts a thread for each request, but panics if no thread can be started, and would so
/// terminate the agent on a node that has run out of threads.
fn look_up(
    host: String,
    port: u16,
    timeout: NextTimeout,
) -> Result<vec::IntoIter<SocketAddr>, ureq::Error> {
    let (sender, receiver) = mpsc::sync_channel(1);
    // After the timeout nobody receives the result.
    let run = move || drop(sender.send((host, port).to_socket_addrs()));
    let builder = Builder::new().name("resolve".to_owned()).stack_size(THREAD_STACK_BYTES);
    builder.spawn(run)?;
    match receiver.recv_timeout(*timeout.after) {
        Ok(found) => Ok(found?),
        Err(RecvTimeoutError::Timeout) => Err(E::Timeout(timeout.reason)),
        Err(RecvTimeoutError::Disconnected) => Err(E::HostNotFound),
    }
}
