//! How the boot before this one ended, as far as the node's files show it.

use jiff::Timestamp;

use super::KernelLogSource;
use super::journal::found;
use super::pstore;
use crate::core::detect::reboot::BootEnd;
use crate::core::journal::how_it_ended;
use crate::core::kernel::panic::panic_of;

/// What the agent knows of this boot and of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBoot {
    /// When this boot began.
    pub booted_at: Timestamp,
    /// When an agent was last seen to run in the boot before, if one left that.
    pub seen_at: Option<Timestamp>,
}

/// Looks at the files. Takes some milliseconds, or as long as a failing disk.
pub(super) fn look(source: &KernelLogSource) -> BootEnd {
    let (Some(last), Some(boot_id)) = (source.last_boot, source.boot_id) else {
        return BootEnd::default();
    };
    let headers: Vec<_> =
        found(&source.folders).files.into_iter().map(|(_, kind, header)| (kind, header)).collect();
    let booted_at_us = super::micros(last.booted_at);
    let journal = how_it_ended(&headers, &boot_id, booted_at_us);
    let records = source.pstore.as_deref().map(pstore::records).unwrap_or_default();
    let panic = panic_of(records, last.booted_at, last.seen_at);
    BootEnd { journal, panic }
}
