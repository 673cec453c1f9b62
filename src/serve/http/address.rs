//! Where a connection comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The sender of a connection, as far as its address tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The address; one that IPv6 maps from IPv4 is the IPv4 address.
    pub(super) address: IpAddr,
    /// True for the node itself, from which the kubelet probes.
    pub(super) is_near: bool,
}

/// Returns true for the two addresses that only the agent's own network namespace has. Not all of 127.0.0.0/8: a
/// service mesh passes on traffic from outside from another address in that range (Istio: 127.0.0.6).
pub fn is_loopback(peer: IpAddr) -> bool {
    match peer.to_canonical() {
        IpAddr::V4(peer) => peer == Ipv4Addr::LOCALHOST,
        IpAddr::V6(peer) => peer == Ipv6Addr::LOCALHOST,
    }
}
