//! Where the pods' and containers' control groups are, and what their files say.
//!
//! Directories are never followed through symbolic links, and what is found is bounded in depth, in
//! number of directories and in entries of each ([`crate::limits`]). A directory may vanish at any
//! time; that is no error, there is just nothing to read.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::cgroup::sample::{ContainerReading, Counters};
use crate::core::cgroup::{files, names};
use crate::limits::{
    CGROUP_CONTAINERS_MAX, CGROUP_DEPTH_MAX, CGROUP_DIRECTORIES_MAX, CGROUP_ENTRIES_MAX,
    CGROUP_FILE_BYTES_MAX, CGROUP_ROOTS_MAX, CGROUP_SEARCH_DIRECTORIES_MAX, LIMIT_READ_EVERY,
    PODS_MAX,
};

/// Which of the kernel's interfaces has the pods' memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// A hierarchy for each controller.
    V1,
    /// One for all.
    V2,
}

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// `None`: there are no directories of pods.
    pub version: Option<CgroupVersion>,
    /// Of those that were wanted.
    pub pods: usize,
    /// In these pods, sandboxes included.
    pub containers: usize,
    /// Directories that were read.
    pub directories: usize,
    /// A bound of [`crate::limits`] was met, so there may be more.
    pub is_cut: bool,
}

/// What the files of a pod's own directory said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodReading {
    /// The pod's own limit. The kubelet sets one when every container has one.
    pub limit_bytes: Option<u64>,
    /// Processes that an OOM killer took. In version 2 those of all containers the pod ever had. In
    /// version 1 a directory counts its own processes only, and a pod's has none: there its containers'
    /// counts have to be added up.
    pub oom_kills: Option<u64>,
}

/// The control groups of one node's pods, below `BLACKBOX_CGROUP`.
#[derive(Debug)]
pub struct CgroupTree {
    root: PathBuf,
    hierarchy: Option<Hierarchy>,
    /// The `kubepods` that were found, below the hierarchy's root.
    kubepods: Vec<PathBuf>,
    pods: HashMap<Box<str>, Arc<Path>>,
    containers: HashMap<Box<str>, ContainerDirectory>,
    files: Files,
}

/// Version 1 has the same directories below each controller (kubelet, runc: one path for all).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    version: CgroupVersion,
    /// Of version 2: everything.
    memory: PathBuf,
    cpu: PathBuf,
    cpuacct: PathBuf,
    pids: PathBuf,
}

#[derive(Debug)]
struct ContainerDirectory {
    pod: Arc<Path>,
    name: Box<str>,
    /// crun has put the processes, and maybe the limit, one level below.
    is_nested: bool,
    limit_bytes: Option<u64>,
    /// Readings until the limit is read again.
    limit_in: u8,
}

impl CgroupTree {
    /// A tree of which nothing is known yet. `root` is where control groups are mounted; it is read when
    /// it is scanned.
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

    /// Finds the directories of the pods whose UIDs are wanted, and of their containers; what was known
    /// before is forgotten. A static pod's UID is its `kubernetes.io/config.hash`.
    ///
    /// The levels above the pods are looked for once, and again when they have none of the wanted pods.
    pub fn scan(&mut self, want: impl Fn(&str) -> bool) -> ScanReport {
        let mut walk = Walk::new(CGROUP_DIRECTORIES_MAX);
        self.walk_pods(&mut walk, &want);
        if self.pods.is_empty() {
            self.find_kubepods(&mut walk);
            // A search that read all it may leaves enough for what it found.
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

    /// Which interface the last scan found.
    pub fn version(&self) -> Option<CgroupVersion> {
        self.hierarchy.as_ref().map(|hierarchy| hierarchy.version)
    }

    /// Whether the last scan found this pod.
    pub fn has_pod(&self, pod_uid: &str) -> bool {
        self.pods.contains_key(pod_uid)
    }

    /// Whether the last scan found this container, by its ID without the runtime's name.
    pub fn has_container(&self, container_id: &str) -> bool {
        self.containers.contains_key(container_id)
    }

    /// Reads a container's files. `None`: its directory is not known, or gone.
    pub fn read_container(&mut self, container_id: &str) -> Option<ContainerReading> {
        let hierarchy = self.hierarchy.as_ref()?;
        let container = self.containers.get_mut(container_id)?;
        let mut reading = match hierarchy.version {
            CgroupVersion::V1 => read_container_v1(&mut self.files, hierarchy, container),
            CgroupVersion::V2 => read_container_v2(&mut self.files, hierarchy, container),
        };
        if reading.is_empty() {
            return None;
        }
        if container.limit_in == 0 {
            container.limit_bytes = reading.limit_bytes;
            container.limit_in = LIMIT_READ_EVERY;
        }
        container.limit_in -= 1;
        reading.limit_bytes = container.limit_bytes;
        Some(reading)
    }

    /// Reads the files of a pod's own directory. `None`: it is not known, or gone.
    pub fn read_pod(&mut self, pod_uid: &str) -> Option<PodReading> {
        let hierarchy = self.hierarchy.as_ref()?;
        self.files.enter(&[&hierarchy.memory, self.pods.get(pod_uid)?]);
        let reading = PodReading {
            limit_bytes: self.files.limit_bytes(hierarchy.version),
            oom_kills: self.files.oom_kills(hierarchy.version),
        };
        Some(reading).filter(|reading| *reading != PodReading::default())
    }

    /// A container's directory is gone.
    pub(super) fn forget_container(&mut self, container_id: &str) {
        self.containers.remove(container_id);
    }

    /// A pod's directory is gone.
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
                    limit_bytes: None,
                    limit_in: 0,
                },
            );
        }
        self.pods.insert(uid.into(), pod);
    }
}

/// The hierarchies that may have the pods, the likeliest first. They are told by what lies in them, not
/// by mounts: the host's may be mounted anywhere.
///
/// A node with version 1 may have version 2 beside it, without the memory controller (systemd's hybrid
/// mode); so where version 1 has pods, they are the ones.
fn hierarchies(root: &Path) -> Vec<Hierarchy> {
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
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// One walk through the tree, with what it may still read.
struct Walk {
    left: usize,
    read: usize,
    is_cut: bool,
}

impl Walk {
    fn new(directories_max: usize) -> Self {
        Self { left: directories_max, read: 0, is_cut: false }
    }

    /// Calls `each` with the names of the directories in one. What cannot be read has none.
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
            // A broken directory gives errors without end; the number of entries bounds them.
            let Ok(entry) = entry else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Some(name) = entry.file_name().to_str()
            {
                each(name);
            }
        }
    }

    /// The directories that hold a kubelet's pods, those near the root first. Not looked for inside of
    /// each other: what a pod runs as its own kubelet is not this node's.
    fn find_kubepods(&mut self, hierarchy: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut queue = VecDeque::from([(PathBuf::new(), 1)]);
        while let Some((path, depth)) = queue.pop_front() {
            let (left, mut is_full) = (self.left, false);
            self.children(hierarchy, &path, |name| {
                if names::is_kubepods(name) && found.len() < CGROUP_ROOTS_MAX {
                    found.push(path.join(name));
                } else if depth < CGROUP_DEPTH_MAX {
                    // No more than can be read.
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

fn read_container_v1(
    files: &mut Files,
    hierarchy: &Hierarchy,
    container: &ContainerDirectory,
) -> ContainerReading {
    let with_limit = container.limit_in == 0;
    let version = hierarchy.version;
    let path = |controller| [controller, &*container.pod, Path::new(&*container.name)];
    files.enter(&path(&hierarchy.memory));
    let stat = files.read("memory.stat").map(files::memory_stat_v1).unwrap_or_default();
    let mut reading = ContainerReading {
        memory_bytes: files.read("memory.usage_in_bytes").and_then(files::number),
        inactive_file_bytes: stat.inactive_file_bytes,
        anon_bytes: stat.anon_bytes,
        file_bytes: stat.file_bytes,
        limit_bytes: with_limit.then(|| files.limit_bytes(version)).flatten(),
        peak_bytes: files.read("memory.max_usage_in_bytes").and_then(files::number),
        oom_kills: files.oom_kills(version),
        ..ContainerReading::default()
    };
    files.enter(&path(&hierarchy.cpu));
    let cpu = files.read("cpu.stat").map(files::cpu_stat).unwrap_or_default();
    files.enter(&path(&hierarchy.cpuacct));
    reading.counters = Counters {
        cpu_us: files.read("cpuacct.usage").and_then(files::nanoseconds_as_us),
        periods: cpu.periods,
        throttled_periods: cpu.throttled_periods,
        ..Counters::default()
    };
    files.enter(&path(&hierarchy.pids));
    reading.pids = files.read("pids.current").and_then(files::number);
    reading
}

fn read_container_v2(
    files: &mut Files,
    hierarchy: &Hierarchy,
    container: &ContainerDirectory,
) -> ContainerReading {
    let with_limit = container.limit_in == 0;
    let version = hierarchy.version;
    let path = [&*hierarchy.memory, &container.pod, Path::new(&*container.name)];
    files.enter(&path);
    let stat = files.read("memory.stat").map(files::memory_stat).unwrap_or_default();
    let cpu = files.read("cpu.stat").map(files::cpu_stat).unwrap_or_default();
    let mut reading = ContainerReading {
        memory_bytes: files.read("memory.current").and_then(files::number),
        inactive_file_bytes: stat.inactive_file_bytes,
        anon_bytes: stat.anon_bytes,
        file_bytes: stat.file_bytes,
        limit_bytes: with_limit.then(|| files.limit_bytes(version)).flatten(),
        // Newer than version 2 itself; older kernels have none.
        peak_bytes: files.read("memory.peak").and_then(files::number),
        oom_kills: files.oom_kills(version),
        pids: files.read("pids.current").and_then(files::number),
        counters: Counters {
            cpu_us: cpu.usage_us,
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            memory_pressure_us: files.read("memory.pressure").and_then(files::pressure_some_us),
            cpu_pressure_us: files.read("cpu.pressure").and_then(files::pressure_some_us),
            io_pressure_us: files.read("io.pressure").and_then(files::pressure_some_us),
        },
    };
    if container.is_nested && with_limit && reading.limit_bytes.is_none() && !reading.is_empty() {
        files.enter(&[path[0], path[1], path[2], Path::new(names::NESTED)]);
        reading.limit_bytes = files.limit_bytes(version);
    }
    reading
}

/// Reads small files of one directory after another, into the same memory.
struct Files {
    path: PathBuf,
    buffer: Box<[u8]>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Files {
    fn new() -> Self {
        Self { path: PathBuf::new(), buffer: vec![0; CGROUP_FILE_BYTES_MAX].into() }
    }

    /// The next files are read in this directory.
    fn enter(&mut self, parts: &[&Path]) {
        self.path.clear();
        self.path.extend(parts);
    }

    fn limit_bytes(&mut self, version: CgroupVersion) -> Option<u64> {
        let name = match version {
            CgroupVersion::V1 => "memory.limit_in_bytes",
            CgroupVersion::V2 => "memory.max",
        };
        self.read(name).and_then(files::limit_bytes)
    }

    fn oom_kills(&mut self, version: CgroupVersion) -> Option<u64> {
        let name = match version {
            CgroupVersion::V1 => "memory.oom_control",
            CgroupVersion::V2 => "memory.events",
        };
        self.read(name).and_then(|file| files::memory_events(file).oom_kill)
    }

    /// What a file holds, as far as the buffer goes and then up to the last whole line. `None`: it is
    /// not there, or went away meanwhile (`ENODEV`).
    fn read(&mut self, name: &str) -> Option<&[u8]> {
        self.path.push(name);
        let length = read_into(&self.path, &mut self.buffer);
        self.path.pop();
        let length = length?;
        let is_cut = length == self.buffer.len();
        let bytes = self.buffer.get(..length)?;
        if !is_cut {
            return Some(bytes);
        }
        memchr::memrchr(b'\n', bytes).and_then(|end| bytes.get(..end))
    }
}

fn read_into(path: &Path, buffer: &mut [u8]) -> Option<usize> {
    let mut file = File::open(path).ok()?;
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => {
                length += read;
                // The kernel gives such a file in one piece (kernfs shows it as one record): asking
                // whether there is more would cost a quarter of the whole.
                if length < buffer.len() && buffer[length - 1] == b'\n' {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(length)
}
