//! The seam between detection and what happens next.

use crate::core::case::{Case, InstanceRef};
use crate::core::detect::PodName;

/// Receives what detection finds, under the detection's lock, mostly on the thread
/// that reads the watch: an implementation must not wait.
pub trait EventHandler {
    /// A pod runs for the first time.
    fn on_pod_start(&mut self, pod: &PodName);
    /// A crash or failure.
    fn on_pod_crash(&mut self, case: Box<Case>);
    /// A container ended; whether that is a crash, and which, is told later. Now is the time to look at
    /// what it left.
    fn on_held(&mut self, _: InstanceRef) {}
    /// The pod of that key is no longer on the node.
    fn on_pod_gone(&mut self, _: Box<str>) {}
    /// A pod was deleted or has completed.
    fn on_pod_stop(&mut self, pod: &PodName);
}
