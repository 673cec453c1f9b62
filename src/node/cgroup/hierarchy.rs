//! Finds the cgroup hierarchies of the kernel.

use std::fs;
use std::path::{Path, PathBuf};

/// The version of the kernel's cgroup interface that controls the pods' memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// One hierarchy for each controller.
    V1,
    /// One hierarchy for all controllers.
    V2,
}

/// Paths of the controllers. Version 1 has the same directories below each (kubelet, runc: one path for all).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: CgroupVersion,
    /// In version 2 the one path for all controllers.
    pub(super) memory: PathBuf,
    pub(super) cpu: PathBuf,
    pub(super) cpuacct: PathBuf,
    pub(super) pids: PathBuf,
}

/// Returns the hierarchies that may contain the pods, the likeliest first. They are recognized by their
/// content, not by mounts, since the host's hierarchies may be mounted anywhere.
///
/// A node with version 1 may also have version 2 without the memory controller (systemd's hybrid mode), so
/// version 1 comes first: if it has pods, it is used.
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
        // systemd mounts cpu and cpuacct together, and makes links with the single names.
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

/// Returns true if the path is a directory; a link to one does not count.
pub(super) fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
