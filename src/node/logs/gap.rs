//! Reasons why an incident has no log lines.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The reason why there are no log lines. Its text is one sentence for an incident's gaps, which also says
/// what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// A name or a restart count that no log file can have.
    Name,
    /// The node's log folder does not exist.
    NoRoot(PathBuf),
    /// The pod's or the container's folder does not exist.
    NoFolder(PathBuf),
    /// The instance's file does not exist.
    NoFile(PathBuf),
    /// The agent has no permission to read the path.
    Denied(PathBuf),
    /// The path is a symbolic link, or a file with several names (hard links).
    Link(PathBuf),
    /// The path is neither a plain file nor, where a folder is expected, a folder.
    NotPlain(PathBuf),
    /// The path was replaced while the agent opened it.
    Replaced(PathBuf),
    /// The operating system returned another error.
    Failed(PathBuf, String),
}

impl Gap {
    /// Converts an error from accessing that path.
    pub(super) fn from_io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::PermissionDenied => Self::Denied(path.to_owned()),
            // A folder on the way is a plain file.
            ErrorKind::NotADirectory => Self::NotPlain(path.to_owned()),
            _ => Self::Failed(path.to_owned(), error.to_string()),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no log lines: ")?;
        match self {
            Self::Name => f.write_str(
                "the pod has a namespace, name, UID, container or restart count that no log file \
                 can have",
            ),
            Self::NoRoot(root) => write!(
                f,
                "there is no folder {root:?}; mount the node's /var/log/pods into the agent's \
                 container, read-only, and name that place in BLACKBOX_POD_LOGS"
            ),
            Self::NoFolder(path) => write!(
                f,
                "there is no folder {path:?}; the kubelet removes it with the pod, and makes it only \
                 once the container is created"
            ),
            Self::NoFile(path) => write!(
                f,
                "there is no file {path:?}; the kubelet removes it when the next instance ends, and \
                 the runtime makes it only once the container is created"
            ),
            Self::Denied(path) => write!(
                f,
                "the agent may not read {path:?}; let it run as root or with the capability \
                 DAC_READ_SEARCH, or turn logs off with BLACKBOX_LOG_LINES=0"
            ),
            Self::Link(path) => write!(
                f,
                "{path:?} is a link, and links are not followed; with Docker as the runtime all log \
                 files are, so turn logs off with BLACKBOX_LOG_LINES=0; otherwise find out who made it"
            ),
            Self::NotPlain(path) => write!(
                f,
                "{path:?} is neither a plain file nor a folder where one belongs; find out who made it"
            ),
            Self::Replaced(path) => write!(
                f,
                "{path:?} was replaced again and again while it was opened; should that come back, \
                 find out by whom"
            ),
            Self::Failed(path, error) => write!(f, "reading {path:?} failed: {error}"),
        }
    }
}

impl std::error::Error for Gap {}
