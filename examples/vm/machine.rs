//! What the container runtime does on a node with cgroup version 2 and the kubelet's systemd driver: it makes the
//! cgroups, starts the processes in them, and removes a container's cgroup when its first process has exited.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use crate::support::clock::{Stopper, eventually};

const ROOT: &str = "/sys/fs/cgroup";
const MIB: u64 = 1 << 20;
/// How long the kernel may take to release the processes of a cgroup.
const RELEASE_MAX: Duration = Duration::from_secs(10);

/// The cgroup of a pod, with the process of its sandbox.
pub(crate) struct PodGroup {
    path: PathBuf,
    _sandbox: Container,
}

/// A container: its cgroup and its first process.
pub(crate) struct Container {
    path: PathBuf,
    process: Child,
}

/// What is set in the cgroup of a container.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    /// `memory.max`, in MiB.
    pub(crate) memory_mib: Option<u64>,
    /// `memory.oom.group`: an OOM kill kills all processes. The kubelet has set this by default since 1.28.
    pub(crate) is_killed_as_group: bool,
}

impl PodGroup {
    /// Makes the cgroup of a pod, and starts its sandbox. The limit is in MiB.
    pub(crate) fn make(uid: &str, sandbox_id: &str, limit_mib: Option<u64>) -> Self {
        let burstable = Path::new(ROOT).join("kubepods.slice/kubepods-burstable.slice");
        let path = burstable.join(format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_")));
        fs::create_dir_all(&path).unwrap();
        // A level can delegate a controller only if the level above it has done so.
        let below_root = path.strip_prefix(ROOT).unwrap();
        let mut level = PathBuf::from(ROOT);
        delegate(&level);
        for name in below_root {
            level.push(name);
            delegate(&level);
        }
        set_limit(&path, limit_mib);
        let sandbox = Container::start(&path, sandbox_id, Limits::default(), "exec sleep 1000000");
        // The kubelet protects the sandbox in this way.
        fs::write(format!("/proc/{}/oom_score_adj", sandbox.process.id()), "-998").unwrap();
        Self { path, _sandbox: sandbox }
    }

    /// Starts a container that runs a shell script.
    pub(crate) fn start(&self, id: &str, limits: Limits, script: &str) -> Container {
        Container::start(&self.path, id, limits, script)
    }

    /// Returns the number of processes of the pod that the kernel's OOM killer killed.
    pub(crate) fn oom_kills(&self) -> u64 {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap();
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.expect("the kernel counts OOM kills").parse().unwrap()
    }
}

impl Container {
    fn start(pod: &Path, id: &str, limits: Limits, script: &str) -> Self {
        let path = pod.join(format!("cri-containerd-{id}.scope"));
        fs::create_dir(&path).unwrap();
        set_limit(&path, limits.memory_mib);
        if limits.is_killed_as_group {
            fs::write(path.join("memory.oom.group"), "1").unwrap();
        }
        let process = Command::new(std::env::current_exe().unwrap())
            .arg("enter")
            .arg(&path)
            .args(["sh", "-c", script])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A container that the kubelet sees as running is in its cgroup.
        let is_in = || fs::read_to_string(path.join("cgroup.procs")).is_ok_and(|p| !p.is_empty());
        let is_moved = eventually(RELEASE_MAX, is_in);
        assert!(is_moved, "no process in {}", path.display());
        Self { path, process }
    }

    /// Kills the first process with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// Returns the exit code once the first process has exited; 128 + n after signal n. The other processes end with it.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let status = self.process.try_wait().unwrap()?;
        fs::write(self.path.join("cgroup.kill"), "1").unwrap();
        Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }

    /// Removes the cgroup of a container that has ended.
    pub(crate) fn remove(&self) {
        let is_removed = eventually(RELEASE_MAX, || fs::remove_dir(&self.path).is_ok());
        assert!(is_removed, "{} remains", self.path.display());
    }
}

/// Gives all controllers that the agent reads to the levels below.
fn delegate(level: &Path) {
    fs::write(level.join("cgroup.subtree_control"), "+cpu +io +memory +pids").unwrap();
}

fn set_limit(group: &Path, mib: Option<u64>) {
    if let Some(mib) = mib {
        fs::write(group.join("memory.max"), (mib * MIB).to_string()).unwrap();
    }
}

/// Moves this process into a cgroup, and replaces it by a program.
pub(crate) fn enter(group: &str, program: &str, arguments: &[&str]) -> ExitCode {
    fs::write(Path::new(group).join("cgroup.procs"), "0").unwrap();
    let error = Command::new(program).args(arguments).exec();
    eprintln!("{program}: {error}");
    ExitCode::FAILURE
}

/// Takes memory, about 1 MiB in 20 ms, and writes to all of it.
pub(crate) fn grow(mib: u64) -> ExitCode {
    let never = Stopper::default();
    let mut held = Vec::new();
    for _ in 0..mib {
        held.push(vec![1_u8; usize::try_from(MIB).unwrap()]);
        never.wait(Duration::from_millis(20));
    }
    eprintln!("no limit stopped the growth at {} MiB", held.len());
    ExitCode::SUCCESS
}

/// Starts the process that takes all memory. Neither it nor this process is killed for it, and the agent only as the
/// last one: the kubelet protects what a node needs in this way.
pub(crate) fn start_hog(agent: u32) -> Child {
    // Otherwise the kernel may refuse to give it more than there is.
    fs::write("/proc/sys/vm/overcommit_memory", "1").unwrap();
    fs::write(format!("/proc/{agent}/oom_score_adj"), "-997").unwrap();
    fs::write("/proc/self/oom_score_adj", "-1000").unwrap();
    Command::new(std::env::current_exe().unwrap()).arg("hog").spawn().unwrap()
}

/// Takes all memory, about 1 MiB in 100 ms.
pub(crate) fn hog() -> ! {
    let never = Stopper::default();
    let mut held = Vec::new();
    loop {
        held.push(vec![1_u8; usize::try_from(MIB).unwrap()]);
        never.wait(Duration::from_millis(100));
    }
}

/// A program for x86-64 that writes to address 0: the header of the file, that of its only segment, and
/// `xor eax, eax; mov [rax], eax`. Neither a shell nor Rust without `unsafe` can do so.
const CRASH: [u8; 124] = {
    let mut file = [0; 124];
    // Magic, 64 bits, little endian, version 1; executable, x86-64, version 1.
    put(&mut file, 0, b"\x7fELF\x02\x01\x01");
    put(&mut file, 16, &[2, 0, 62, 0, 1]);
    // The entry point, the place of the segment's header, the sizes of both headers, and one segment.
    put(&mut file, 24, &[0x78, 0, 0x40]);
    put(&mut file, 32, &[64]);
    put(&mut file, 52, &[64, 0, 56, 0, 1]);
    // A segment that is loaded, to read and execute, from the start of the file, to 0x400000, with both sizes.
    put(&mut file, 64, &[1, 0, 0, 0, 5]);
    put(&mut file, 80, &[0, 0, 0x40]);
    put(&mut file, 96, &[124]);
    put(&mut file, 104, &[124]);
    put(&mut file, 113, &[0x10]);
    put(&mut file, 120, &[0x31, 0xc0, 0x89, 0x00]);
    file
};

const fn put(file: &mut [u8; 124], at: usize, bytes: &[u8]) {
    let mut n = 0;
    while n < bytes.len() {
        file[at + n] = bytes[n];
        n += 1;
    }
}

/// Makes the programs of one container, by names that no other container has: one that takes memory, and one that uses
/// an address that is not its own.
pub(crate) fn make_victims(number: u32) -> [String; 2] {
    let [leak, crash] = [format!("leak-{number}"), format!("crash-{number}")];
    symlink(std::env::current_exe().unwrap(), Path::new("/bin").join(&leak)).unwrap();
    let path = Path::new("/bin").join(&crash);
    fs::write(&path, CRASH).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    [leak, crash]
}
