//! Limits of the groups of incidents that `show --by` and the page make. `show` runs through `kubectl exec` within the
//! agent's own memory limit, 32 MiB; all of these together stay below 16 MiB.

/// Maximum number of groups that are held at the same time. The largest cluster that Kubernetes is tested with has
/// 5,000 nodes. If there are more groups, the smaller half is counted together from then on.
pub const GROUPS_MAX: usize = 5000;

/// Up to this many pods, and nodes, of one group are counted exactly; above, the count is `1000+`. Nobody acts
/// differently on the thousand-and-first.
pub const GROUP_MEMBERS_MAX: usize = 1000;

/// The same for all groups together: 8 bytes each, 4 MiB while a list grows. An incident adds at most two, so 100,000
/// incidents are always counted exactly.
pub const GROUP_MEMBERS_TOTAL_MAX: usize = 200_000;

/// Maximum size of a key or of a sentence in a group. The longest reference of an image has 255 bytes and a digest of
/// 71; the agent's longest sentence has about four hundred.
pub const GROUP_TEXT_BYTES_MAX: usize = 512;

/// At least this many of the latest ids are known, so that an incident in two streams counts once: the incidents of
/// an hour in which 2,000 nodes have fifty each. This is what fits into 2^17 slots of 9 bytes; there are two such
/// tables.
pub const GROUP_IDS_MAX: usize = (1 << 17) / 8 * 7;
