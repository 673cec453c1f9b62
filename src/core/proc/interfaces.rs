//! `/proc/net/dev`: the interfaces by which the node talks to others.
//!
//! Every packet should be counted once, at the interface by which it leaves or enters the node. A node's
//! other interfaces lead to its own pods, or wrap packets that a physical interface then carries. The table
//! does not show the kind of an interface, so the names have to.

use memchr::memchr;

use super::DeviceName;
use super::text::{Lines, numbers, words};
use crate::limits::INTERFACES_MAX;

/// Prefixes of the names of interfaces that are left out.
const LEFT_OUT: [&[u8]; 43] = [
    // The node's ends of the pods' veth pairs: most CNI plugins, Calico, Cilium and LXC, AWS, Azure, GKE,
    // virtual machines.
    b"veth",
    b"cali",
    b"lxc",
    b"eni",
    b"azv",
    b"gke",
    b"tap",
    b"macvtap",
    b"vnet",
    // Bridges and switches that connect those ends: OVS and OVN, Docker, flannel and kubenet, Antrea,
    // Weave, Podman, libvirt, LXD.
    b"br",
    b"ovs",
    b"ovn",
    b"docker",
    b"cni",
    b"cbr",
    b"antrea",
    b"weave",
    b"datapath",
    b"podman",
    b"virbr",
    b"lxdbr",
    // Interfaces that only hold addresses: kube-proxy and kube-router, NodeLocal DNSCache.
    b"kube-",
    b"dummy",
    b"nodelocaldns",
    // Tunnels, whose packets a physical interface carries.
    b"flannel",
    b"vxlan",
    b"genev",
    b"cilium",
    b"tun",
    b"gre",
    b"ip_vti",
    b"ip6",
    b"sit",
    b"erspan",
    b"wg",
    b"tailscale",
    b"ipsec",
    // Combined interfaces, whose members are listed too; and parts of one interface.
    b"bond",
    b"team",
    b"vlan",
    b"macvlan",
    b"ipvlan",
    // Interfaces for queueing.
    b"ifb",
];

/// One interface, with its counters since it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name as `ip link` shows it.
    pub name: DeviceName,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets lost to errors, both directions.
    pub errors: u64,
    /// Packets dropped for lack of buffer space, both directions.
    pub drops: u64,
}

/// Parses `/proc/net/dev`. Interfaces after the first [`INTERFACES_MAX`] are left out.
///
/// Source: net/core/net-procfs.c (`dev_seq_printf_stats`). Each direction has bytes, packets, errors, drops
/// and four more counters; the errors among those four are already contained in the errors.
pub fn parse(dev: &[u8]) -> Vec<Interface> {
    let mut interfaces: Vec<_> = Lines(dev).filter_map(interface).take(INTERFACES_MAX).collect();
    drop_virtual_functions(&mut interfaces);
    interfaces
}

fn interface(line: &[u8]) -> Option<Interface> {
    let (name, rest) = line.split_at_checked(memchr(b':', line)?)?;
    let name = name.trim_ascii_start();
    if is_left_out(name) {
        return None;
    }
    let [
        received_bytes,
        _,
        receive_errors,
        receive_drops,
        _,
        _,
        _,
        _,
        sent_bytes,
        _,
        errors,
        drops,
    ] = numbers(&mut words(&rest[1..]))?;
    Some(Interface {
        name: DeviceName::new(name)?,
        received_bytes,
        sent_bytes,
        errors: errors.saturating_add(receive_errors),
        drops: drops.saturating_add(receive_drops),
    })
}

/// Returns true if the interface is not counted. A dot is in the names of VLANs (`eth0.100`) and of some
/// tunnels (`vxlan.calico`).
fn is_left_out(name: &[u8]) -> bool {
    name == b"lo"
        || LEFT_OUT.iter().any(|left_out| name.starts_with(left_out))
        || name.contains(&b'.')
        || is_made_of_a_container_id(name)
}

/// Returns true if the name is made from a container's ID, as some plugins name the node's ends of veth
/// pairs: `0a1b2c3d4e5f678` (OVN-Kubernetes), `0a1b2c3d4e5f_h` (Kube-OVN), `coredns-0a1b2c` (Antrea).
fn is_made_of_a_container_id(name: &[u8]) -> bool {
    let is_hex =
        |part: &[u8], digits| part.len() == digits && part.iter().all(u8::is_ascii_hexdigit);
    let antrea = || {
        name.split_last_chunk::<7>().is_some_and(|(_, end)| is_hex(&end[1..], 6) && end[0] == b'-')
    };
    is_hex(name, 15) || name.strip_suffix(b"_h").is_some_and(|id| is_hex(id, 12)) || antrea()
}

/// Drops the virtual functions on Azure, where each `eth` has a second interface (`enP30832s1`) that does
/// the work, and `eth` counts the packets of both. Names of these two kinds do not occur together elsewhere.
/// Source: Documentation/networking/device_drivers/ethernet/microsoft/netvsc.rst, "SR-IOV support".
fn drop_virtual_functions(interfaces: &mut Vec<Interface>) {
    if interfaces.iter().any(|interface| interface.name.as_bytes().starts_with(b"eth")) {
        interfaces.retain(|interface| !interface.name.as_bytes().starts_with(b"enP"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> String {
        names
            .iter()
            .map(|name| format!("{name:>6}: 1 0 3 4 5 6 7 8 10 0 30 40 5 6 7 8\n"))
            .collect()
    }

    fn kept(names: &[&str]) -> Vec<String> {
        let name =
            |interface: &Interface| String::from_utf8(interface.name.as_bytes().to_vec()).unwrap();
        parse(table(names).as_bytes()).iter().map(name).collect()
    }

    #[test]
    fn interfaces_to_the_outside_count() {
        for name in [
            "eth0",
            "eno1",
            "ens5",
            "enp3s0f1np1",
            "enP2p1s0",
            "enx001122334455",
            "em1",
            "p1p1",
            "ib0",
            "wlan0",
            "wlp2s0",
            "wwan0",
            "usb0",
            "end0",
            "lan1",
            "wan",
            "net_data",
            "nic-public",
        ] {
            assert_eq!(kept(&[name]), [name]);
        }
    }

    #[test]
    fn interfaces_within_the_node_and_on_top_of_others_do_not() {
        for name in [
            "lo",
            "veth1a2b3c4d",
            "cali0123456789a",
            "lxc1234",
            "lxc_health",
            "eni0a1b2c3d4e5",
            "azv12ab",
            "gke12345",
            "cni0",
            "docker0",
            "br-0a1b2c3d4e5f",
            "br0",
            "flannel.1",
            "flannel-wg",
            "vxlan.calico",
            "vxlan_sys_4789",
            "genev_sys_6081",
            "cilium_host",
            "cilium_vxlan",
            "tunl0",
            "kube-ipvs0",
            "kube-bridge",
            "dummy0",
            "nodelocaldns",
            "eth0.100",
            "bond0",
            "team0",
            "vlan7",
            "wg0",
            "tailscale0",
            "ip6tnl0",
            "sit0",
            "ifb0",
            "ovs-system",
            "ovn0",
            "antrea-gw0",
            "0a1b2c3d4e5f678",
            "0a1b2c3d4e5f_h",
            "coredns-0a1b2c",
            "wireguard.cali",
        ] {
            assert!(kept(&[name]).is_empty(), "{name}");
        }
    }

    #[test]
    fn on_azure_the_pair_counts_once() {
        assert_eq!(kept(&["lo", "eth0", "enP30832s1", "azv1"]), ["eth0"]);
        assert_eq!(kept(&["enP2p1s0", "enP2p1s1"]), ["enP2p1s0", "enP2p1s1"]);
    }

    #[test]
    fn errors_and_drops_are_those_of_both_ways() {
        let eth0 = parse(table(&["eth0"]).as_bytes())[0];
        assert_eq!((eth0.received_bytes, eth0.sent_bytes), (1, 10));
        assert_eq!((eth0.errors, eth0.drops), (33, 44));
        // Old kernels put no space after the colon.
        let tight = parse(b"  eth0:1 0 3 4 5 6 7 8 10 0 30 40 5 6 7 8\n");
        assert_eq!(tight, [eth0]);
    }

    #[test]
    fn there_are_so_many_interfaces_at_most() {
        let all: Vec<_> = (0..2 * INTERFACES_MAX).map(|n| format!("eth{n}")).collect();
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        assert_eq!(kept(&all), all[..INTERFACES_MAX]);
    }

    #[test]
    fn bad_lines_are_skipped() {
        let text = format!(
            "\n:\neth1\neth2:\neth3: 1 2\neth4: x 0 3 4 5 6 7 8 10 0 30 40\n:{}",
            table(&["eth0"])
        );
        assert!(parse(text.as_bytes()).is_empty());
        assert_eq!(
            parse(format!("x\n: 1 0 3 4 5 6 7 8 1 0 3 4\n{}", table(&["eth0"])).as_bytes()).len(),
            1
        );
    }
}
