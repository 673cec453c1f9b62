//! Decides who may read incidents over HTTP: incidents contain log lines, and every pod can reach the port.
//!
//! Operators connect with `kubectl port-forward`: the connection then comes from the agent's own network
//! namespace, from 127.0.0.1 or ::1, and the browser sends `localhost` as the host. Both are required. The
//! address check keeps out other pods and the network. The host check keeps out another site's page whose
//! own name was made to resolve to the operator's machine (DNS rebinding): its requests use the same forward.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::serve::http::Request;

/// The body of the 403 response to all other callers.
pub const REFUSAL: &str = "incidents contain log lines, so the agent shows them only to callers on \
    this pod's loopback address: run kubectl port-forward POD 9464 and open \
    http://localhost:9464/\n";

/// Returns true if this caller may read incidents.
pub fn may_read(request: &Request<'_>) -> bool {
    is_loopback(request.peer.ip()) && request.host.is_some_and(names_loopback)
}

/// Only these two addresses, not all of 127.0.0.0/8: a service mesh passes on traffic from outside from another
/// address in that range (Istio: 127.0.0.6).
fn is_loopback(peer: IpAddr) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(peer) => peer == Ipv4Addr::LOCALHOST,
        IpAddr::V6(peer) => peer == Ipv6Addr::LOCALHOST,
    }
}

/// Any port is accepted: it is the local port of the forward, which the operator chooses.
fn names_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    ["127.0.0.1", "[::1]"].contains(&name) || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::Method;

    fn asks(peer: &str, host: Option<&str>) -> bool {
        may_read(&Request {
            method: Method::Get,
            path: "/",
            peer: peer.parse().unwrap(),
            host,
            content_type: None,
            body: Ok(&[]),
        })
    }

    #[test]
    fn the_near_end_of_a_port_forward_reads() {
        for peer in ["127.0.0.1:4000", "[::1]:4000", "[::ffff:127.0.0.1]:4000"] {
            for host in [
                "localhost",
                "localhost:9464",
                "LocalHost:80",
                "127.0.0.1:1",
                "[::1]",
                "[::1]:9464",
            ] {
                assert!(asks(peer, Some(host)), "{peer} {host}");
            }
        }
    }

    #[test]
    fn the_network_and_the_pods_do_not_whatever_name_they_give() {
        for peer in [
            "10.0.0.7:4000",
            "192.0.2.2:4000",
            "127.0.0.6:4000",
            "127.0.0.2:4000",
            "0.0.0.0:4000",
            "[fe80::1]:4000",
            "[::]:4000",
            "[::ffff:10.0.0.7]:4000",
            "[::127.0.0.1]:4000",
        ] {
            assert!(!asks(peer, Some("localhost:9464")), "{peer}");
        }
    }

    #[test]
    fn a_page_of_another_site_does_not_through_a_name_that_leads_here() {
        for host in [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "evil.example:localhost",
            "localhost:80:80",
            "localhost:x",
            "localhost@evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1, evil.example",
            "127.0.0.2",
            "127.1",
            "0x7f000001",
            "2130706433",
            "::1",
            "[::1",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "",
            ":80",
            " localhost",
            "localhost.",
        ] {
            assert!(!asks("127.0.0.1:4000", Some(host)), "{host:?}");
        }
        assert!(!asks("127.0.0.1:4000", None));
    }
}
