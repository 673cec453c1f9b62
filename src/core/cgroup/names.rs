//! Names of the cgroup directories that the kubelet and the container runtimes create.
//!
//! The agent builds no path of a cgroup. `CgroupTree` (`node/cgroup/tree.rs`) walks the directories and recognizes their
//! names here; `hierarchies` (`node/cgroup/hierarchy.rs`) finds the root: for version 2 the mount itself or its
//! `unified/`, whichever has `cgroup.controllers`.
//!
//! Pods: kubelet `pkg/kubelet/cm/pod_container_manager_linux.go` (`pod<uid>`, below the directory of the
//! pod's QoS class; guaranteed pods directly below `kubepods`) and `cgroup_manager_linux.go` (`ToSystemd`:
//! every level repeats the levels above it, with `-` between levels, and a `-` within a name becomes `_`).
//! So a nested root, as in kind, shows in every name: `kubelet-kubepods-burstable-pod….slice`.
//!
//! Containers: runc's systemd driver makes `<prefix>-<id>.scope` from `slice:prefix:id`; with the cgroupfs
//! driver the directory is the bare ID (containerd, Docker) or `crio-<id>` (CRI-O `internal/config/cgmgr`).

use crate::core::text::is_plain;

/// Length of a container ID: all runtimes that the kubelet drives use 32 random bytes, in hexadecimal.
const CONTAINER_ID_BYTES: usize = 64;

/// Prefixes of containers' directories. `crio-conmon` is left out: it is the process that watches a container.
const PREFIXES: [&str; 3] = ["cri-containerd", "crio", "docker"];

/// The directory below a container's scope into which crun puts the container's processes if it is
/// configured to (`run.oci.systemd.subgroup`).
pub const NESTED: &str = "container";

/// Returns true if all pods of a kubelet lie below a directory of this name.
pub fn is_kubepods(name: &str) -> bool {
    match name.strip_suffix(".slice") {
        Some(levels) => last_level(levels) == "kubepods",
        None => name == "kubepods",
    }
}

/// Returns true if the pods of one QoS class lie below a directory of this name. The directory must itself lie
/// in one that [`is_kubepods`].
pub fn is_qos(name: &str) -> bool {
    let is_class = |class: &str| matches!(class, "burstable" | "besteffort");
    match name.strip_suffix(".slice") {
        Some(levels) => levels
            .rsplit_once('-')
            .is_some_and(|(above, class)| is_class(class) && last_level(above) == "kubepods"),
        None => is_class(name),
    }
}

/// Returns the UID of the pod with this directory: letters, digits and dashes. For a static pod it is the
/// `kubernetes.io/config.hash`, not the UID in the API.
pub fn pod_uid(name: &str) -> Option<String> {
    let uid = match name.strip_suffix(".slice") {
        Some(levels) => {
            let (above, pod) = levels.rsplit_once('-')?;
            matches!(last_level(above), "kubepods" | "burstable" | "besteffort").then_some(())?;
            pod.strip_prefix("pod")?.replace('_', "-")
        }
        None => name.strip_prefix("pod")?.to_owned(),
    };
    Some(uid).filter(|uid| is_plain(uid))
}

/// Returns the ID of the container with this directory: 64 hexadecimal digits. A pod's sandbox (`pause`) has
/// such a directory as well; the name does not distinguish them.
pub fn container_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = match name.rsplit_once('-') {
        Some((prefix, id)) => PREFIXES.contains(&prefix).then_some(id)?,
        None => name,
    };
    is_id(id).then_some(id)
}

fn is_id(text: &str) -> bool {
    text.len() == CONTAINER_ID_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn last_level(levels: &str) -> &str {
    levels.rsplit('-').next().unwrap_or(levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0c1fa5e2-7d2b-4a5e-9f8e-2f6c2c9d1b0e";
    const UID_SYSTEMD: &str = "0c1fa5e2_7d2b_4a5e_9f8e_2f6c2c9d1b0e";
    const HASH: &str = "d41d8cd98f00b204e9800998ecf8427e";

    fn id() -> String {
        "0123456789abcdef".repeat(4)
    }

    #[test]
    fn the_level_of_all_pods_is_known_below_any_root() {
        for name in ["kubepods", "kubepods.slice", "kubelet-kubepods.slice", "a-b_c-kubepods.slice"]
        {
            assert!(is_kubepods(name), "{name}");
        }
        for name in [
            "",
            ".slice",
            "kubepods-burstable.slice",
            "kubepods.scope",
            "my-kubepods",
            "mykubepods.slice",
        ] {
            assert!(!is_kubepods(name), "{name}");
        }
    }

    #[test]
    fn levels_of_quality_of_service_are_known() {
        for name in [
            "burstable",
            "besteffort",
            "kubepods-burstable.slice",
            "kubepods-besteffort.slice",
            "kubelet-kubepods-burstable.slice",
        ] {
            assert!(is_qos(name), "{name}");
        }
        for name in
            ["guaranteed", "burstable.slice", "system-burstable.slice", "kubepods.slice", ""]
        {
            assert!(!is_qos(name), "{name}");
        }
    }

    #[test]
    fn both_drivers_names_give_the_pods_uid() {
        for (name, uid) in [
            (format!("pod{UID}"), UID),
            (format!("pod{HASH}"), HASH),
            (format!("kubepods-pod{UID_SYSTEMD}.slice"), UID),
            (format!("kubepods-burstable-pod{UID_SYSTEMD}.slice"), UID),
            (format!("kubepods-besteffort-pod{HASH}.slice"), HASH),
            (format!("kubelet-kubepods-burstable-pod{UID_SYSTEMD}.slice"), UID),
        ] {
            assert_eq!(pod_uid(&name).as_deref(), Some(uid), "{name}");
        }
        for name in [
            "pod",
            "pod../x",
            "pod a",
            "kubepods.slice",
            "kubepods-burstable.slice",
            "system-podman.slice",
            "-pod1.slice",
            "pod1.slice",
            "cri-containerd-0.scope",
            "",
        ] {
            assert_eq!(pod_uid(name), None, "{name}");
        }
        assert_eq!(pod_uid(&format!("pod{}", "a".repeat(65))), None);
    }

    #[test]
    fn every_runtimes_name_gives_the_containers_id() {
        let id = id();
        for name in [
            id.clone(),
            format!("cri-containerd-{id}.scope"),
            format!("crio-{id}.scope"),
            format!("crio-{id}"),
            format!("docker-{id}.scope"),
        ] {
            assert_eq!(container_id(&name), Some(&*id), "{name}");
        }
        for name in [
            format!("crio-conmon-{id}.scope"),
            format!("crio-conmon-{id}"),
            format!("cri-containerd-{}.scope", &id[1..]),
            format!("{id}0"),
            id.to_uppercase(),
            format!("kata-{id}"),
            format!("-{id}"),
            NESTED.into(),
            String::new(),
        ] {
            assert_eq!(container_id(&name), None, "{name}");
        }
    }
}
