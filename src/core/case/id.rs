//! The incident id: the same crash has the same id in every process, on every machine, in every version of the
//! agent. All forms of the incident id are derived here.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::core::case::verdict::IncidentType;

/// Identifies a crash: 32 hexadecimal digits.
///
/// It is the 128-bit FNV-1a hash of the words that make the crash unique, each followed by a zero byte. The first
/// word is the pod's key: its UID, or the `kubernetes.io/config.hash` of a static pod.
///
/// | form | words after the pod's key |
/// | --- | --- |
/// | [`IncidentId::of_termination`] | container, `containerID` as the API gives it |
/// | [`IncidentId::of_late_start`] | container, `containerID` of an instance whose failed start has the first form, `ran` |
/// | [`IncidentId::of_episode`] | container, type, `containerID` of the instance before (or nothing) |
/// | [`IncidentId::of_pod`] | nothing, type |
/// | [`IncidentId::of_boot`] | nothing; instead of the key `node`, the node's name, `node_reboot`, the boot's ID |
/// | [`IncidentId::of_losses`] | nothing; instead of the key `node`, the node's name, `lost`, the sink, the first and the last time, the number |
/// | [`IncidentId::of_hang`] | container (or nothing), type, what distinguishes the episode |
/// | [`IncidentId::of_unseen`] | container, `unseen`, the number of its terminations up to this line |
/// | [`IncidentId::of_survivor`] | container, runtime's ID, `survived`, the second in which this agent noticed it |
///
/// The last form holds a time of this agent, so two agents that watch the same node give one surviving container
/// two ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IncidentId(u128);

impl IncidentId {
    /// Returns the id of the termination of one container instance.
    pub fn of_termination(pod_key: &str, container: &str, container_id: &str) -> Self {
        Self(fnv128(&[pod_key, container, container_id]))
    }

    /// Returns the id of the termination of an instance that ran although its start was reported as failed.
    pub fn of_late_start(pod_key: &str, container: &str, container_id: &str) -> Self {
        Self(fnv128(&[pod_key, container, container_id, "ran"]))
    }

    /// Returns the id of one episode of waiting; `container_id` is that of the instance before it, if there was one.
    pub fn of_episode(
        pod_key: &str,
        container: &str,
        kind: IncidentType,
        container_id: &str,
    ) -> Self {
        Self(fnv128(&[pod_key, container, kind.name(), container_id]))
    }

    /// Returns the id of the failure of a pod as a whole.
    pub fn of_pod(pod_key: &str, kind: IncidentType) -> Self {
        Self(fnv128(&[pod_key, "", kind.name()]))
    }

    /// Returns the id of a reboot of a node.
    pub fn of_boot(node_name: &str, boot_id: &str) -> Self {
        let kind = IncidentType::NodeReboot.name();
        Self(fnv128(&["node", node_name, kind, boot_id]))
    }

    /// Returns the id of a pod (`container` is empty) or container that does not get on. `mark` distinguishes the episode
    /// from others of the same type.
    pub fn of_hang(pod_key: &str, container: &str, kind: IncidentType, mark: &str) -> Self {
        Self(fnv128(&[pod_key, container, kind.name(), mark]))
    }

    /// Returns the id of a line about terminations that no object showed; `ended` is how many terminations of the
    /// container are accounted for with this line.
    pub fn of_unseen(pod_key: &str, container: &str, ended: i64) -> Self {
        Self(fnv128(&[pod_key, container, IncidentType::Unseen.name(), &ended.to_string()]))
    }

    /// Returns the id of an OOM kill in a container that lives on; `container_id` is without the runtime's name.
    pub fn of_survivor(pod_key: &str, container: &str, container_id: &str, at: Timestamp) -> Self {
        Self(fnv128(&[pod_key, container, container_id, "survived", &at.as_second().to_string()]))
    }

    /// Returns the id of a line that tells what a sink lost.
    pub fn of_losses(
        node_name: &str,
        sink: &str,
        since: Timestamp,
        until: Timestamp,
        total: u64,
    ) -> Self {
        let kind = IncidentType::Lost.name();
        let (since, until) = (since.to_string(), until.to_string());
        Self(fnv128(&["node", node_name, kind, sink, &since, &until, &total.to_string()]))
    }

    /// Parses the id in a line; `None` if the text is not an id.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| is_hex).map(Self)
    }

    /// Returns the XOR of both halves, for tables that would be twice as large with the whole id.
    pub fn short(self) -> u64 {
        fold(self.0)
    }

    /// Returns an id that no crash has, for tests.
    #[cfg(test)]
    pub fn of_test(word: &str) -> Self {
        Self(fnv128(&[word]))
    }
}

/// Returns the 128-bit FNV-1a hash of the words, each followed by a zero byte, so that words do not run into each other.
pub fn fnv128(words: &[&str]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// Returns the XOR of both halves of a hash.
pub fn fold(hash: u128) -> u64 {
    (hash >> 64) as u64 ^ hash as u64
}

impl std::fmt::Display for IncidentId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for IncidentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Consumers drop repeats by id, across versions: these values never change.
    #[test]
    fn every_form_of_the_id_is_pinned() {
        let pod = "932d79d9-35cd-457c-8907-9540d6815cde";
        let instance =
            "containerd://9e4a3c1e8bfb53c4322fad6d1da1b4e3ca2fc53461e64f22d5677afc07e841e0";
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        for (id, pinned) in [
            (IncidentId::of_termination(pod, "app", instance), "7b39adb8045d5de132921e21fed1a0d5"),
            (
                IncidentId::of_episode(pod, "app", IncidentType::ImagePull, ""),
                "b3d8e8115ba5833e1aed23f2d3a8aaba",
            ),
            (IncidentId::of_pod(pod, IncidentType::Evicted), "afba1614049ebed4728846fa7e4dbdf2"),
            (
                IncidentId::of_hang(pod, "", IncidentType::Stuck, "start "),
                "6f3e4f2049adf8e283080036eb9b7472",
            ),
            (IncidentId::of_unseen(pod, "app", 7), "91d56d711192e31f0f440c9213d8918a"),
            (
                IncidentId::of_survivor(pod, "app", "9e4a3c1e", at),
                "c76df5069a2c29a2101986e35a4c84ef",
            ),
        ] {
            assert_eq!(id.to_string(), pinned);
            assert_eq!(IncidentId::parse(pinned), Some(id));
        }
        assert_eq!(format!("{:032x}", fnv128(&[])), "6c62272e07bb014262b821756295c58d");
    }

    #[test]
    fn words_do_not_run_into_each_other() {
        assert_ne!(fnv128(&["ab", "c"]), fnv128(&["a", "bc"]));
        assert_ne!(fnv128(&["a", ""]), fnv128(&["a"]));
    }

    #[test]
    fn only_32_hexadecimal_digits_are_an_id() {
        for text in
            ["", "7b39", "7b39adb8045d5de132921e21fed1a0d55", "+b39adb8045d5de132921e21fed1a0d5"]
        {
            assert_eq!(IncidentId::parse(text), None, "{text}");
        }
    }
}
