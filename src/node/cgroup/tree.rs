//! Finds the cgroup directories of pods and containers. [`crate::node::cgroup::reading`] reads their files.
//!
//! A scan reads all levels; between scans [`CgroupTree::look`] reads only the directories that changed, which it
//! sees with one `stat` each.
//!
//! Symbolic links to directories are never followed, and a scan is bounded in depth, in the number of
//! directories and in the entries of each ([`crate::limits`]). A directory may vanish at any time; that is
//! not an error, there is just nothing to read.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
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
    /// The directories that hold the pods' directories.
    levels: Vec<Level>,
    pods: HashMap<Box<str>, PodDirectory>,
    containers: HashMap<Box<str>, ContainerDirectory>,
    /// A scan has read all pods: a pod's directory that was not there then is newer.
    is_whole: bool,
    /// A pod's directory has gone since the levels were last read.
    is_stale: bool,
    found: Vec<FoundContainer>,
    new_pods: Vec<Box<str>>,
    files: Files,
}

/// A directory of a container that was made after the agent first read its pod's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundContainer {
    pub(super) pod_uid: Box<str>,
    pub(super) container_id: Box<str>,
}

/// What one `stat` shows of a directory. A directory of the kernel has a link for each directory in it and no
/// reliable time; one of a disk has a reliable time, and on some file systems no such links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    links: u64,
    modified: (i64, i64),
}

impl Mark {
    /// `None`: there is no such directory.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        metadata.is_dir().then(|| Self { links: metadata.nlink(), modified })
    }
}

#[derive(Clone, Debug)]
struct Level {
    path: PathBuf,
    seen: Option<Mark>,
    /// The level may have levels of QoS classes in it.
    is_top: bool,
}

#[derive(Debug)]
struct PodDirectory {
    path: Arc<Path>,
    limit: Limit,
    /// The directory as it was when its containers were last read; `None`: they are to be read.
    seen: Option<Mark>,
    /// The containers were read at least once.
    is_read: bool,
    /// The directory was made after the first whole scan, so that its counters began at 0 since then.
    is_new: bool,
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
            levels: Vec::new(),
            pods: HashMap::new(),
            containers: HashMap::new(),
            is_whole: false,
            is_stale: false,
            found: Vec::new(),
            new_pods: Vec::new(),
            files: Files::new(),
        }
    }

    /// Finds the directories of all pods, and of the containers of the pods whose UIDs are wanted. A static pod's UID
    /// is its `kubernetes.io/config.hash`.
    ///
    /// The levels above the pods are searched for once, and again when they contain none of the wanted pods.
    pub fn scan(&mut self, want: impl Fn(&str) -> bool) -> ScanReport {
        let (known, listed) =
            (std::mem::take(&mut self.pods), std::mem::take(&mut self.containers));
        let mut walk = Walk::new(CGROUP_DIRECTORIES_MAX);
        self.walk_all(&mut walk, &want, &known, &listed);
        let mut pods = self.pods.keys().filter(|uid| want(uid)).count();
        if pods == 0 {
            self.find_kubepods(&mut walk);
            // The search may have used up its own budget; the walk below what it found gets a full one.
            walk.left = CGROUP_DIRECTORIES_MAX;
            self.walk_all(&mut walk, &want, &known, &listed);
            pods = self.pods.keys().filter(|uid| want(uid)).count();
        }
        self.is_whole = self.hierarchy.is_some() && !walk.is_cut;
        ScanReport {
            version: self.version(),
            pods,
            containers: self.containers.len(),
            directories: walk.read,
            is_cut: walk.is_cut,
        }
    }

    /// Finds the pods that came since the last scan, and the containers of the wanted pods. It reads only the
    /// directories that changed.
    pub(super) fn look(&mut self, want: impl Fn(&str) -> bool) {
        let Some(memory) = self.hierarchy.as_ref().map(|hierarchy| hierarchy.memory.clone()) else {
            return;
        };
        let mut walk = Walk::new(CGROUP_DIRECTORIES_MAX);
        // The directories of wanted pods are read by the caller, who forgets those that are gone.
        let gone = |pod: &PodDirectory| Mark::of(&memory.join(&pod.path)).is_none();
        let gone: Vec<_> = self.pods.iter().filter(|(uid, pod)| !want(uid) && gone(pod)).collect();
        for uid in gone.into_iter().map(|(uid, _)| uid.clone()).collect::<Vec<_>>() {
            self.forget_pod(&uid);
        }
        let is_stale = std::mem::take(&mut self.is_stale);
        for n in 0..self.levels.len() {
            let Some(level) = self.levels.get_mut(n) else { break };
            let mark = Mark::of(&memory.join(&level.path));
            if is_stale || mark != level.seen {
                level.seen = mark;
                let level = level.clone();
                self.walk_level(&mut walk, &memory, &level, &HashMap::new());
            }
        }
        let mut changed = Vec::new();
        for (uid, pod) in self.pods.iter_mut().filter(|(uid, _)| want(uid)) {
            let mark = Mark::of(&memory.join(&pod.path));
            if mark.is_some() && mark != pod.seen {
                changed.push((uid.clone(), mark));
            }
        }
        for (uid, mark) in changed {
            self.walk_pod(&mut walk, &memory, &uid, mark, |_| false);
        }
        // What was not found for want of room may be older than its discovery.
        self.is_whole &= !walk.is_cut;
    }

    /// Returns the containers that came since the last call, those of unwanted pods excepted.
    pub(super) fn take_found(&mut self) -> Vec<FoundContainer> {
        std::mem::take(&mut self.found)
    }

    /// Returns true if there is a directory of any pod.
    pub(super) fn has_pods(&self) -> bool {
        !self.pods.is_empty()
    }

    /// Returns the pods whose directories were made since the last call.
    pub(super) fn take_new_pods(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.new_pods)
    }

    /// Returns true if the pod's directory was made after the first scan: its counters began at 0 since then.
    pub(super) fn is_new_pod(&self, pod_uid: &str) -> bool {
        self.pods.get(pod_uid).is_some_and(|pod| pod.is_new)
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

    /// Returns true if a container has processes. `None`: that cannot be seen.
    pub(super) fn is_populated(&mut self, container_id: &str) -> Option<bool> {
        let hierarchy = self.hierarchy.as_ref()?;
        let ContainerDirectory { pod, name, .. } = self.containers.get(container_id)?;
        self.files.is_populated(hierarchy, [&**pod, Path::new(&**name)])
    }

    /// Returns the process that has been in the container for longest. `None`: that cannot be seen.
    pub(super) fn first_process(&mut self, container_id: &str) -> Option<u64> {
        let hierarchy = self.hierarchy.as_ref()?;
        let ContainerDirectory { pod, name, .. } = self.containers.get(container_id)?;
        self.files.first_process(hierarchy, [&**pod, Path::new(&**name)])
    }

    /// Reads the files of a pod's own directory. `None`: it is not known, or is gone.
    pub fn read_pod(&mut self, pod_uid: &str) -> Option<PodReading> {
        let hierarchy = self.hierarchy.as_ref()?;
        let PodDirectory { path, limit, .. } = self.pods.get_mut(pod_uid)?;
        self.files.pod(hierarchy, path, limit)
    }

    /// Forgets a container whose directory is gone.
    pub(super) fn forget_container(&mut self, container_id: &str) {
        let Some(ContainerDirectory { pod, .. }) = self.containers.remove(container_id) else {
            return;
        };
        // Another container may have come in its place, with which the pod's directory looks the same.
        let mut pods = self.pods.values_mut();
        if let Some(pod) = pods.find(|directory| Arc::ptr_eq(&directory.path, &pod)) {
            pod.seen = None;
        }
    }

    /// Forgets a pod whose directory is gone.
    pub(super) fn forget_pod(&mut self, pod_uid: &str) {
        if let Some(PodDirectory { path, .. }) = self.pods.remove(pod_uid) {
            self.containers.retain(|_, container| !Arc::ptr_eq(&container.pod, &path));
            self.is_stale = true;
        }
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

    /// Reads all levels anew. `known` and `listed` are the pods and containers of the scan before.
    fn walk_all(
        &mut self,
        walk: &mut Walk,
        want: &impl Fn(&str) -> bool,
        known: &HashMap<Box<str>, PodDirectory>,
        listed: &HashMap<Box<str>, ContainerDirectory>,
    ) {
        self.pods.clear();
        self.containers.clear();
        self.levels.clear();
        let Some(memory) = self.hierarchy.as_ref().map(|hierarchy| hierarchy.memory.clone()) else {
            return;
        };
        for path in self.kubepods.clone() {
            let seen = Mark::of(&memory.join(&path));
            let top = Level { path, seen, is_top: true };
            self.walk_level(walk, &memory, &top, known);
            self.levels.push(top);
        }
        let wanted: Vec<_> = self.pods.keys().filter(|uid| want(uid)).cloned().collect();
        for uid in wanted {
            let path = self.pods.get(&uid).map(|pod| memory.join(&pod.path));
            let mark = path.and_then(|path| Mark::of(&path));
            self.walk_pod(walk, &memory, &uid, mark, |id| listed.contains_key(id));
        }
    }

    /// Reads a level, and those of QoS classes in it that were not read before. `known` are the pods of the scan before.
    fn walk_level(
        &mut self,
        walk: &mut Walk,
        memory: &Path,
        level: &Level,
        known: &HashMap<Box<str>, PodDirectory>,
    ) {
        let (mut below, mut pods) = (Vec::new(), Vec::new());
        walk.children(memory, &level.path, |name| {
            if level.is_top && names::is_qos(name) {
                below.push(level.path.join(name));
            } else if let Some(uid) = names::pod_uid(name) {
                pods.push((uid, level.path.join(name)));
            }
        });
        for (uid, path) in pods {
            if self.pods.contains_key(&*uid) {
                continue;
            }
            if self.pods.len() >= PODS_MAX {
                walk.is_cut = true;
                break;
            }
            let before = known.get(&*uid);
            let is_new = before.map_or(self.is_whole, |before| before.is_new);
            let is_read = before.is_some_and(|before| before.is_read);
            let (path, limit) = (path.into(), Limit::default());
            let pod = PodDirectory { path, limit, seen: None, is_read, is_new };
            if is_new && before.is_none() {
                self.new_pods.push(uid.as_str().into());
            }
            self.pods.insert(uid.into(), pod);
        }
        for path in below {
            if self.levels.iter().all(|level| level.path != path) {
                let seen = Mark::of(&memory.join(&path));
                let level = Level { path, seen, is_top: false };
                self.walk_level(walk, memory, &level, known);
                self.levels.push(level);
            }
        }
    }

    /// Reads the names of a pod's containers. `mark`: the directory as it was before it is read.
    fn walk_pod(
        &mut self,
        walk: &mut Walk,
        memory: &Path,
        uid: &str,
        mark: Option<Mark>,
        is_listed: impl Fn(&str) -> bool,
    ) {
        let Some(directory) = self.pods.get_mut(uid) else { return };
        let pod = Arc::clone(&directory.path);
        let is_first_look = !std::mem::replace(&mut directory.is_read, true) && !directory.is_new;
        directory.seen = mark;
        let mut found = Vec::new();
        walk.children(memory, &pod, |name| {
            found.extend(names::container_id(name).map(|_| name.to_owned()))
        });
        for name in found {
            let Some(id) = names::container_id(&name) else { continue };
            if self.containers.contains_key(id) {
                continue;
            }
            if self.containers.len() >= CGROUP_CONTAINERS_MAX {
                walk.is_cut = true;
                break;
            }
            if !is_first_look && !is_listed(id) {
                self.found.push(FoundContainer { pod_uid: uid.into(), container_id: id.into() });
            }
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
