//! The few fields of the Kubernetes API that the agent reads, borrowed from the line that contains them.
//!
//! Every field is optional, and `null` means absent: bookmarks carry `"containers": null`, a zero time is
//! `null` (apimachinery `meta/v1/time.go`), and if a later version renames a field, only that field should be
//! lost, not the pod. Unknown fields are skipped, unknown values are kept as text. Field names and meanings:
//! Kubernetes API, core/v1 `types.go` and meta/v1 `types.go`.

mod fold;
pub mod json;
mod object;
mod outline;
pub mod quantity;

use crate::limits::VERSION_BYTES_MAX;

use self::json::{Text, members};

pub use self::object::*;
pub use self::outline::Outline;

/// One line of a watch: meta/v1 `WatchEvent`.
#[derive(Debug, Default)]
pub struct WatchLine<'a> {
    /// Type of the event: `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`, `ERROR`, or a newer one.
    pub kind: Text<'a>,
    /// A pod, or a `Status` in an `ERROR` line.
    pub object: Outline<'a>,
}

members! { WatchLine<'a> {
    b"type" => kind,
    b"object" => object,
} }

/// Returns true if a request can be made with this version: not empty, short, and visible ASCII characters only. A server
/// may send anything.
pub fn is_usable(version: &str) -> bool {
    (1..=VERSION_BYTES_MAX).contains(&version.len())
        && version.bytes().all(|b| b.is_ascii_graphic())
}

/// Returns true if both versions are numbers and `version` is the smaller one. Versions are opaque by contract before
/// Kubernetes 1.35, but numbers in practice.
pub fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}
