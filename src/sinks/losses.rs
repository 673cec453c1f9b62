//! What one sink lost, until a line tells it.
//!
//! A line of type `lost` follows a loss as soon as the sink writes again: it stands where the lost lines would have stood.

use std::sync::Arc;

use crate::core::case::{Case, Losses, NodeIdentity, PodFacts};
use crate::core::incident::recurrence::Recurrence;
use crate::core::incident::{Gathered, compose};
use crate::sinks::delivery::Delivery;

/// The losses of a sink that no line has told yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    losses: Option<Losses>,
    /// True if the line was handed out and lost, too. The next one waits until another line was handed out, so that a sink
    /// which is broken for good does not try without end.
    is_waiting: bool,
}

impl Untold {
    /// Adds the loss of a line. Returns true if a new line will tell it.
    pub(super) fn add(&mut self, delivery: &Delivery, sink: &'static str) -> bool {
        let is_first = self.losses.is_none();
        self.is_waiting |= delivery.losses.is_some();
        let lost = match &delivery.losses {
            Some(losses) => (**losses).clone(),
            None => Losses::of_one(
                sink,
                delivery.kind.name(),
                delivery.occurred_at,
                delivery.detected_at,
            ),
        };
        match &mut self.losses {
            Some(losses) => losses.add(lost),
            None => self.losses = Some(lost),
        }
        is_first
    }

    /// Allows the next try: another line is handed out.
    pub(super) fn go_on(&mut self) {
        self.is_waiting = false;
    }

    /// Takes the line that tells the losses, if there are any.
    pub(super) fn take(&mut self, node: &Arc<NodeIdentity>) -> Option<Arc<Delivery>> {
        if self.is_waiting {
            return None;
        }
        let losses = self.losses.take()?;
        let case = Case::lost(Arc::new(PodFacts::of_node(node.clone())), losses.clone());
        let incident = compose(case, Gathered::default(), Recurrence::default());
        Some(Arc::new(Delivery {
            losses: Some(Box::new(losses)),
            ..Delivery::new(&incident, 1, None)
        }))
    }
}
