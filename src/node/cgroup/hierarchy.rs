//! Where the kernel has the control groups.

use std::fs;
use std::path::{Path, PathBuf};

/// Which of the kernel's interfaces has the pods' memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// A hierarchy for each controller.
    V1,
    /// One for all.
    V2,
}

/// Version 1 has the same directories below each controller (kubelet, runc: one path for all).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: CgroupVersion,
    /// Of version 2: everything.
    pub(super) memory: PathBuf,
    pub(super) cpu: PathBuf,
    pub(super) cpuacct: PathBuf,
    pub(super) pids: PathBuf,
}

/// The hierarchies that may have the pods, the likeliest first. They are told by what lies in them, not
/// by mounts: the host's may be mounted anywhere.
///
/// A node with version 1 may have version 2 beside it, without the memory controller (systemd's hybrid
/// mode); so where version 1 has pods, they are the ones.
pub(super) fn hierarchies(root: &Path) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    let v2 = |path: PathBuf| Hierarchy {
        version: CgroupVersion::V2,
        cpu: path.clone(),
        cpuacct: path.clone(),
        pids: path.clone(),
        memory: path,
    };
    if is_directory(&root.join("memory")) {
        // systemd mounts both together, with links by the single names.
        let joint = ["cpu,cpuacct", "cpuacct,cpu"];
        let joint = joint.map(|name| root.join(name)).into_iter().find(|path| is_directory(path));
        found.push(Hierarchy {
            version: CgroupVersion::V1,
            memory: root.join("memory"),
            cpu: joint.clone().unwrap_or_else(|| root.join("cpu")),
            cpuacct: joint.unwrap_or_else(|| root.join("cpuacct")),
            pids: root.join("pids"),
        });
    }
    let has_controllers = |path: &Path| path.join("cgroup.controllers").is_file();
    found.extend(has_controllers(root).then(|| v2(root.to_owned())));
    let unified = root.join("unified");
    found.extend((is_directory(&unified) && has_controllers(&unified)).then(|| v2(unified)));
    found
}

/// A link to one is none.
pub(super) fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
