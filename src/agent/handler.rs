//! The interface between the detection and what happens with its results.

use std::sync::mpsc::{Receiver, SyncSender};

use crate::core::case::{Case, InstanceRef};
use crate::core::detect::PodName;
use crate::runtime::trouble::Trouble;

/// Receives the results of the detection.
///
/// The agent's own handler is called while the detection is locked, mostly on the thread that reads the watch, so it
/// must not wait. A handler that was given to [`run_with`](super::run_with) gets copies on a thread of its own, and may.
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
    /// So many of these calls are missing here, because the handler was too slow. Only a handler that was given to
    /// [`run_with`](super::run_with) is called.
    fn on_missed(&mut self, _: u64) {}
}

/// One call of an [`EventHandler`].
#[derive(Debug)]
pub(super) enum Call {
    Start(PodName),
    Crash(Box<Case>),
    Held(InstanceRef),
    Gone(Box<str>),
    Tick,
    Stop(PodName),
    Missed(u64),
}

/// Handles the results itself, and queues a copy of each for another handler, for which it never waits.
#[derive(Debug)]
pub(super) struct Copying<H> {
    own: H,
    calls: SyncSender<Call>,
    /// How many calls did not fit since the last one that did.
    missed: u64,
    trouble: Trouble,
}

impl<H> Copying<H> {
    pub(super) fn new(own: H, calls: SyncSender<Call>) -> Self {
        Self { own, calls, missed: 0, trouble: Trouble::new(module_path!(), "event handler") }
    }

    fn queue(&mut self, call: Call) {
        if self.missed > 0 && self.calls.try_send(Call::Missed(self.missed)).is_ok() {
            self.missed = 0;
            self.trouble.over("it gets every call again");
        }
        // While the number of missed calls does not fit, neither does the call: the order stays right.
        if self.missed > 0 || self.calls.try_send(call).is_err() {
            self.missed += 1;
            self.trouble.warn("it is too slow, and misses calls");
        }
    }
}

impl<H: EventHandler> EventHandler for Copying<H> {
    fn on_pod_start(&mut self, pod: &PodName) {
        self.own.on_pod_start(pod);
        self.queue(Call::Start(pod.clone()));
    }

    fn on_pod_crash(&mut self, case: Box<Case>) {
        self.own.on_pod_crash(case.clone());
        self.queue(Call::Crash(case));
    }

    fn on_held(&mut self, instance: InstanceRef) {
        self.own.on_held(instance.clone());
        self.queue(Call::Held(instance));
    }

    fn on_pod_gone(&mut self, key: Box<str>) {
        self.own.on_pod_gone(key.clone());
        self.queue(Call::Gone(key));
    }

    fn on_tick(&mut self) {
        self.own.on_tick();
        self.queue(Call::Tick);
    }

    fn on_pod_stop(&mut self, pod: &PodName) {
        self.own.on_pod_stop(pod);
        self.queue(Call::Stop(pod.clone()));
    }
}

/// Runs a handler's thread, until the detection has finished and every queued call was made.
pub(super) fn run(calls: &Receiver<Call>, handler: &mut dyn EventHandler) {
    for call in calls {
        match call {
            Call::Start(pod) => handler.on_pod_start(&pod),
            Call::Crash(case) => handler.on_pod_crash(case),
            Call::Held(instance) => handler.on_held(instance),
            Call::Gone(key) => handler.on_pod_gone(key),
            Call::Tick => handler.on_tick(),
            Call::Stop(pod) => handler.on_pod_stop(&pod),
            Call::Missed(calls) => handler.on_missed(calls),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Writes down which pods started, and how many calls it missed.
    #[derive(Default)]
    struct Notes(Vec<String>);

    impl EventHandler for Notes {
        fn on_pod_start(&mut self, pod: &PodName) {
            self.0.push(pod.name.to_string());
        }
        fn on_pod_crash(&mut self, _: Box<Case>) {}
        fn on_pod_stop(&mut self, _: &PodName) {}
        fn on_missed(&mut self, calls: u64) {
            self.0.push(format!("missed {calls}"));
        }
    }

    fn start(handler: &mut impl EventHandler, name: &str) {
        handler.on_pod_start(&PodName { namespace: "shop".into(), name: name.into() });
    }

    #[test]
    fn a_slow_handler_holds_nothing_up_and_learns_how_much_it_missed() {
        let (sender, calls) = mpsc::sync_channel(2);
        let mut copying = Copying::new(Notes::default(), sender);
        for name in ["a", "b", "c", "d"] {
            start(&mut copying, name);
        }
        assert_eq!(copying.own.0, ["a", "b", "c", "d"], "the agent's own handler gets them all");
        let mut slow = Notes::default();
        let taken: Vec<Call> = calls.try_iter().collect();
        start(&mut copying, "e");
        drop(copying);
        let (again, rest) = mpsc::sync_channel(9);
        for call in taken.into_iter().chain(calls.try_iter()) {
            again.send(call).unwrap();
        }
        drop(again);
        run(&rest, &mut slow);
        assert_eq!(slow.0, ["a", "b", "missed 2", "e"]);
    }
}
