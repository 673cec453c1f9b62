//! Limits of the metrics that have a label for the workload.

use std::time::Duration;

/// Maximum number of workloads and types with a series of their own; all others of one type share one series. A node has
/// 110 pods by default, and most never crash. Two thousand nodes with full tables are 256,000 series, which one
/// Prometheus stores.
pub const WORKLOADS_MAX: usize = 64;

/// Maximum size of the namespace, and of the workload, in a label. Kubernetes allows 63 bytes for a kind and 253 for a
/// name.
pub const WORKLOAD_LABEL_BYTES_MAX: usize = 320;

/// How long a series stays without a new incident, if another workload needs the room. No alert looks back further than
/// half an hour. A node that runs jobs of CI has many pods a day that fail once and belong to nothing else.
pub const WORKLOAD_KEPT: Duration = Duration::from_secs(60 * 60);

/// How long a new series shows 0: the longest scrape interval that the alerts allow. `increase()` does not see a counter
/// that begins at 1.
pub const WORKLOAD_AT_ZERO: Duration = Duration::from_secs(60);
