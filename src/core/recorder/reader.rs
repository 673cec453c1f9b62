//! Which slots are whole, and which of them tell the last minutes of the boot before.

use super::codec::{Content, Row};
use super::{Block, ContainerName, LastMinutes, Slot};
use crate::limits::{RECORDER_ROWS_READ_MAX, RECORDER_SEQUENCE_MAX, RECORDER_SHOWN};

/// The whole slots of a file.
#[derive(Debug, Default)]
pub struct SlotIndex {
    slots: Vec<(u32, Slot)>,
}

/// A sample that was read, with its containers.
pub(super) struct ReadRow {
    pub(super) row: Row,
    pub(super) containers: Vec<(ContainerName, super::Usage)>,
}

impl SlotIndex {
    /// Notes the slot at this place, if it is one.
    pub fn note(&mut self, place: u32, block: &Block) {
        self.slots.extend(Slot::decode(block).map(|slot| (place, slot)));
    }

    /// Returns true if there is no number left for a writer: the file was not written by an agent.
    pub fn is_exhausted(&self) -> bool {
        let most = self.slots.iter().map(|(_, slot)| slot.sequence.max(slot.batch)).max();
        most.is_some_and(|most| most >= RECORDER_SEQUENCE_MAX / 2)
    }

    /// Returns the slots with their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.slots.iter().map(|(place, slot)| (*place, slot))
    }

    /// Returns the newest copy of the newest batch of a boot before this one.
    fn batch_before(&self, boot: u64, batch: u64) -> Option<&(u32, Slot)> {
        let before = self.slots.iter().filter(|(_, slot)| slot.boot == boot && slot.batch < batch);
        before.max_by_key(|(_, slot)| (slot.batch, slot.sequence))
    }

    /// Reads the last minutes of the newest boot that is not the `present` one. `read` reads the slot at a place; what it
    /// reads may differ from what was noted.
    pub fn last_minutes(
        &self,
        present: u64,
        mut read: impl FnMut(u32) -> Option<Box<Block>>,
    ) -> Option<LastMinutes> {
        let (boot, rows) = self.last_rows(present, &mut read)?;
        LastMinutes::new(boot, rows)
    }

    /// Reads the samples of these minutes, the newest first.
    pub(super) fn last_rows(
        &self,
        present: u64,
        read: &mut dyn FnMut(u32) -> Option<Box<Block>>,
    ) -> Option<(u64, Vec<ReadRow>)> {
        let mut rows: Vec<ReadRow> = Vec::new();
        let others = self.slots.iter().filter(|(_, slot)| slot.boot != present);
        let boot = others.max_by_key(|(_, slot)| slot.sequence)?.1.boot;
        let shown_ms = i64::try_from(RECORDER_SHOWN.as_millis()).unwrap_or(i64::MAX);
        let mut batch = u64::MAX;
        while let Some((place, noted)) = self.batch_before(boot, batch) {
            batch = noted.batch;
            let Some(block) = read(*place) else { continue };
            if Slot::decode(&block).as_ref() != Some(noted) {
                continue;
            }
            let Some(content) = Content::of(noted, &block) else { continue };
            for row in content.rows().rev() {
                // The clock may have been set in between: what is later than the last sample has no place before it.
                let newest = rows.first().map_or(row.at_ms, |newest| newest.row.at_ms);
                let age_ms = newest.saturating_sub(row.at_ms);
                if age_ms > shown_ms || rows.len() >= RECORDER_ROWS_READ_MAX {
                    return Some((boot, rows));
                }
                if age_ms >= 0 {
                    rows.push(ReadRow { containers: named(&row, &content.names), row });
                }
            }
        }
        Some((boot, rows))
    }
}

fn named(row: &Row, names: &[Option<ContainerName>]) -> Vec<(ContainerName, super::Usage)> {
    let name = |at: &usize| names.get(*at)?.clone();
    row.cells.iter().filter_map(|(at, usage)| Some((name(at)?, *usage))).collect()
}
