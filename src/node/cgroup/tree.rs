//! Finds the cgroup directories of pods and containers. [`crate::node::cgroup::reading`] reads their files.
//!
//! Symbolic links to directories are never followed, and a scan is bounded in depth, in the number of
//! directories and in the entries of each ([`crate::limits`]). A directory may vanish at any time; that is
//! not an error, there is just nothing to read.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::cgroup::names;
use crate::core::cgroup::sample::ContainerReading;
use crate::limits::{
    CGROUP_CONTAINERS_MAX, CGROUP_DEPTH_MAX, CGROUP_DIRECTORIES_MAX, CGROUP_ENTRIES_MAX,
    CGROUP_ROOTS_MAX, CGROUP_SEARCH_DIRECTORIES_MAX, PODS_MAX,
};
use crate::node::cgroup::hierarchy::{CgroupVersion, Hierarchy, hierarchies, is_directory};
use crate::node::cgroup::reading::{Files, Limit, PodReading};

/// The result of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// Version of the interface. `None`: no directories of pods were found.
    pub version: Option<CgroupVersion>,
    /// Number of wanted pods that were found.
    pub pods: usize,
    /// Number of containers in these pods, sandboxes included.
    pub containers: usize,
    /// Number of directories that were read.
    pub directories: usize,
    /// True if a bound of [`crate::limits`] was reached, so there may be more.
    pub is_cut: bool,
}

/// The cgroups of one node's pods, below `BLACKBOX_CGROUP`.
#[derive(Debug)]
pub struct CgroupTree {
    root: PathBuf,
    hierarchy: Option<Hierarchy>,
    /// The `kubepods` directories that were found, relative to the hierarchy's root.
    kubepods: Vec<PathBuf>,
    pods: HashMap<Box<str>, PodDirectory>,
    containers: HashMap<Box<str>, ContainerDirectory>,
    files: Files,
}

#[derive(Debug)]
struct PodDirectory {
    path: Arc<Path>,
    limit: Limit,
}

#[derive(Debug)]
struct ContainerDirectory {
    pod: Arc<Path>,
    name: Box<str>,
    /// crun has put the processes, and maybe the limit, one level below.
    is_nested: bool,
    limit: Limit,
}

impl CgroupTree {
    /// Creates a tree without any known directory. `root` is where cgroups are mounted; it is first read by
    /// [`CgroupTree::scan`].
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            hierarchy: None,
            kubepods: Vec::new(),
            pods: HashMap::new(),
            containers: HashMap::new(),
            files: Files::new(),
        }
    }

    /// Finds the directories of the pods whose UIDs are wanted, and of their containers; earlier results are
    /// forgotten. A static pod's UID is its `kubernetes.io/config.hash`.
    ///
    /// The levels above the pods are searched for once, and again when they contain none of the wanted pods.
    pub fn scan(&mut self, want: impl Fn(&str) -> bool) -> ScanReport {
        let mut walk = Walk::new(CGROUP_DIRECTORIES_MAX);
        self.walk_pods(&mut walk, &want);
        if self.pods.is_empty() {
            self.find_kubepods(&mut walk);
            // The search may have used up its own budget; the walk below what it found gets a full one.
            walk.left = CGROUP_DIRECTORIES_MAX;
            self.walk_pods(&mut walk, &want);
        }
        ScanReport {
            version: self.version(),
            pods: self.pods.len(),
            containers: self.containers.len(),
            directories: walk.read,
            is_cut: walk.is_cut,
        }
    }

    /// Returns the interface version that the last scan found.
    pub fn version(&self) -> Option<CgroupVersion> {
        self.hierarchy.as_ref().map(|hierarchy| hierarchy.version)
    }

    /// Returns true if the last scan found this pod.
    pub fn has_pod(&self, pod_uid: &str) -> bool {
        self.pods.contains_key(pod_uid)
    }

    /// Returns true if the last scan found this container, by its ID without the runtime's name.
    pub fn has_container(&self, container_id: &str) -> bool {
        self.containers.contains_key(container_id)
    }

    /// Reads a container's files. `None`: its directory is not known, or is gone.
    pub fn read_container(&mut self, container_id: &str) -> Option<ContainerReading> {
        let hierarchy = self.hierarchy.as_ref()?;
        let ContainerDirectory { pod, name, is_nested, limit } =
            self.containers.get_mut(container_id)?;
        self.files.container(hierarchy, [&**pod, Path::new(&**name)], *is_nested, limit)
    }

    /// Reads the files of a pod's own directory. `None`: it is not known, or is gone.
    pub fn read_pod(&mut self, pod_uid: &str) -> Option<PodReading> {
        let hierarchy = self.hierarchy.as_ref()?;
        let PodDirectory { path, limit } = self.pods.get_mut(pod_uid)?;
        self.files.pod(hierarchy, path, limit)
    }

    /// Forgets a container whose directory is gone.
    pub(super) fn forget_container(&mut self, container_id: &str) {
        self.containers.remove(container_id);
    }

    /// Forgets a pod whose directory is gone.
    pub(super) fn forget_pod(&mut self, pod_uid: &str) {
        self.pods.remove(pod_uid);
    }

    fn find_kubepods(&mut self, walk: &mut Walk) {
        for hierarchy in hierarchies(&self.root) {
            walk.left = CGROUP_SEARCH_DIRECTORIES_MAX;
            let kubepods = walk.find_kubepods(&hierarchy.memory);
            if !kubepods.is_empty() {
                (self.hierarchy, self.kubepods) = (Some(hierarchy), kubepods);
                return;
            }
        }
    }

    fn walk_pods(&mut self, walk: &mut Walk, want: &impl Fn(&str) -> bool) {
        self.pods.clear();
        self.containers.clear();
        let Some(memory) = self.hierarchy.as_ref().map(|hierarchy| hierarchy.memory.clone()) else {
            return;
        };
        for kubepods in std::mem::take(&mut self.kubepods) {
            let mut levels = vec![kubepods.clone()];
            walk.children(&memory, &kubepods, |name| {
                if names::is_qos(name) {
                    levels.push(kubepods.join(name));
                }
            });
            for level in levels {
                let mut pods = Vec::new();
                walk.children(&memory, &level, |name| {
                    pods.extend(
                        names::pod_uid(name).filter(|uid| want(uid)).map(|u| (u, level.join(name))),
                    );
                });
                for (uid, path) in pods {
                    self.walk_pod(walk, &memory, uid, path);
                }
            }
            self.kubepods.push(kubepods);
        }
    }

    fn walk_pod(&mut self, walk: &mut Walk, memory: &Path, uid: String, path: PathBuf) {
        if self.pods.len() >= PODS_MAX {
            walk.is_cut = true;
            return;
        }
        let pod: Arc<Path> = path.into();
        let mut found = Vec::new();
        walk.children(memory, &pod, |name| {
            found.extend(names::container_id(name).map(|_| name.to_owned()))
        });
        for name in found {
            if self.containers.len() >= CGROUP_CONTAINERS_MAX {
                walk.is_cut = true;
                break;
            }
            let Some(id) = names::container_id(&name) else { continue };
            let is_nested = is_directory(&memory.join(&pod).join(&name).join(names::NESTED));
            let (id, name) = (id.into(), name.as_str().into());
            self.containers.insert(
                id,
                ContainerDirectory {
                    pod: Arc::clone(&pod),
                    name,
                    is_nested,
                    limit: Limit::default(),
                },
            );
        }
        self.pods.insert(uid.into(), PodDirectory { path: pod, limit: Limit::default() });
    }
}

/// One walk through the tree, with the number of directories it may still read.
struct Walk {
    left: usize,
    read: usize,
    is_cut: bool,
}

impl Walk {
    fn new(directories_max: usize) -> Self {
        Self { left: directories_max, read: 0, is_cut: false }
    }

    /// Calls `each` with the names of the subdirectories. A directory that cannot be read counts as empty.
    fn children(&mut self, hierarchy: &Path, path: &Path, mut each: impl FnMut(&str)) {
        if self.left == 0 {
            self.is_cut = true;
            return;
        }
        self.left -= 1;
        self.read += 1;
        let Ok(entries) = fs::read_dir(hierarchy.join(path)) else { return };
        for (n, entry) in entries.enumerate() {
            if n >= CGROUP_ENTRIES_MAX {
                self.is_cut = true;
                return;
            }
            // A broken directory may return errors without end; the bound on entries stops them.
            let Ok(entry) = entry else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Some(name) = entry.file_name().to_str()
            {
                each(name);
            }
        }
    }

    /// Returns the directories that hold a kubelet's pods, those near the root first. The search does not look
    /// inside of them: pods of a kubelet that itself runs in a pod are not this node's.
    fn find_kubepods(&mut self, hierarchy: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut queue = VecDeque::from([(PathBuf::new(), 1)]);
        while let Some((path, depth)) = queue.pop_front() {
            let (left, mut is_full) = (self.left, false);
            self.children(hierarchy, &path, |name| {
                if names::is_kubepods(name) && found.len() < CGROUP_ROOTS_MAX {
                    found.push(path.join(name));
                } else if depth < CGROUP_DEPTH_MAX {
                    // Queue no more directories than can be read.
                    is_full |= queue.len() >= left;
                    if queue.len() < left {
                        queue.push_back((path.join(name), depth + 1));
                    }
                }
            });
            self.is_cut |= is_full;
            if self.left == 0 {
                break;
            }
        }
        found
    }
}
