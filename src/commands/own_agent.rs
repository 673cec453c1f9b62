//! The agent on this host, as the commands beside it ask it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::endpoint::{Credentials, Endpoint, Scheme, Server, TokenSource, Trust};
use crate::kube::http::HttpClient;
use crate::limits::CHECK_TIMEOUT;
use crate::runtime::clock::Clock;

/// Returns a client for the agent with this listen address (`BLACKBOX_LISTEN`), and its URL.
pub(crate) fn client(listen: SocketAddr, clock: Clock) -> (HttpClient, String) {
    let host = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let server = Server {
        scheme: Scheme::Http,
        host: host.to_string(),
        port: listen.port(),
        base_path: String::new(),
    };
    let at = server.url();
    let endpoint = Endpoint {
        server,
        tls_server_name: None,
        trust: Trust::Plaintext,
        credentials: Credentials { token: TokenSource::None, client_cert: None },
    };
    (HttpClient::new(&endpoint, CHECK_TIMEOUT, clock), at)
}
