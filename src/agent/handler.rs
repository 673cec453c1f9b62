//! The interface between the detection and what happens with its results.

use crate::core::case::{Case, InstanceRef};
use crate::core::detect::PodName;

/// Receives the results of the detection. The methods are called while the detection is locked, mostly on the thread
/// that reads the watch, so an implementation must not wait.
pub trait EventHandler {
    /// A pod runs for the first time.
    fn on_pod_start(&mut self, pod: &PodName);
    /// A crash or failure was detected.
    fn on_pod_crash(&mut self, case: Box<Case>);
    /// A container terminated. Whether that is a crash, and of which type, is reported later. What the container left
    /// on the node must be read now.
    fn on_held(&mut self, _: InstanceRef) {}
    /// The pod with this key is no longer on the node.
    fn on_pod_gone(&mut self, _: Box<str>) {}
    /// Time has passed: some seconds since the last call.
    fn on_tick(&mut self) {}
    /// A pod was deleted or has completed.
    fn on_pod_stop(&mut self, pod: &PodName);
}
