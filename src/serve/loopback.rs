//! Decides who may read incidents over HTTP: incidents contain log lines, and every pod can reach the port. Also keeps
//! the pages of other sites from posting.
//!
//! Operators connect with `kubectl port-forward`: the connection then comes from the agent's own network
//! namespace, from 127.0.0.1 or ::1, and the browser sends `localhost` as the host. Both are required. The
//! address check keeps out other pods and the network. The host check keeps out another site's page whose
//! own name was made to resolve to the operator's machine (DNS rebinding): its requests use the same forward.

use crate::serve::http::Request;
use crate::serve::http::address::is_loopback;

/// The body of the 403 response to all other callers.
pub const REFUSAL: &str = "incidents contain log lines, so the agent shows them only to callers on \
    this pod's loopback address: run kubectl port-forward POD 9464 and open \
    http://localhost:9464/\n";

/// Returns true if this caller may read incidents.
pub fn may_read(request: &Request<'_>) -> bool {
    is_loopback(request.peer.ip()) && request.host.is_some_and(names_loopback)
}

/// Returns true if a page in a browser sends this post. A page of any site can post through the operator's
/// `kubectl port-forward`, or to any address that the operator's browser reaches. Browsers send `Origin` with every
/// POST, and no other client has a reason to. On loopback, a name that is none of loopback's shows DNS rebinding; from
/// elsewhere pods post to names of services and of nodes, which cannot be told from such a name.
pub fn is_from_page(request: &Request<'_>) -> bool {
    let is_foreign = |host| is_loopback(request.peer.ip()) && !names_loopback(host);
    request.has_origin || request.host.is_some_and(is_foreign)
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
            query: "",
            peer: peer.parse().unwrap(),
            host,
            has_origin: false,
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
    fn a_page_does_not_post() {
        let own = Some("localhost:9464");
        for (peer, host, has_origin, is_page) in [
            ("127.0.0.1:4000", own, false, false),
            ("[::1]:4000", Some("[::1]:9464"), false, false),
            ("127.0.0.1:4000", None, false, false),
            ("10.0.0.7:4000", Some("blackbox-daemon.kube-system:9464"), false, false),
            ("10.0.0.7:4000", Some("192.0.2.1:9464"), false, false),
            ("127.0.0.1:4000", own, true, true),
            ("10.0.0.7:4000", Some("192.0.2.1:9464"), true, true),
            ("127.0.0.1:4000", Some("evil.example:9464"), false, true),
            ("[::ffff:127.0.0.1]:4000", Some("localhost.evil.example"), false, true),
        ] {
            let request = Request {
                method: Method::Post,
                path: "/v1/telemetry",
                query: "",
                peer: peer.parse().unwrap(),
                host,
                has_origin,
                content_type: None,
                body: Ok(&[]),
            };
            assert_eq!(is_from_page(&request), is_page, "{peer} {host:?} {has_origin}");
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
