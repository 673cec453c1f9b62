//! What is written, where, and when.

use std::time::Duration;

use super::codec::{PAYLOAD_BYTES, ROW_BYTES, encode_name, encode_row};
use super::{Block, ContainerName, Sample, Slot, SlotIndex, Usage};
use crate::limits::{
    RECORDER_BURST_SLOTS, RECORDER_CONTAINERS, RECORDER_DAY_BYTES_MAX, RECORDER_SLOT_BYTES,
    RECORDER_START_SLOTS, RECORDER_WRITE_INTERVAL,
};

const DAY_MS: u64 = 86_400_000;
const SLOT: u64 = RECORDER_SLOT_BYTES as u64;
/// What a full budget and a day of refilling give together is the most of a day.
const REFILL_BYTES_PER_DAY: u64 = RECORDER_DAY_BYTES_MAX - RECORDER_BURST_SLOTS * SLOT;

/// Decides when a slot is written: regularly, at once in trouble, and never beyond the budget of a day.
#[derive(Debug)]
struct Schedule {
    /// What may be written now, in bytes times [`DAY_MS`].
    budget: u64,
    refilled_at: Duration,
    written_at: Duration,
}

impl Schedule {
    fn new(now: Duration) -> Self {
        let budget = RECORDER_START_SLOTS * SLOT * DAY_MS;
        Self { budget, refilled_at: now, written_at: now }
    }

    fn is_due(&self, now: Duration, is_trouble: bool) -> bool {
        is_trouble || now.saturating_sub(self.written_at) >= RECORDER_WRITE_INTERVAL
    }

    /// Takes a slot from the budget; returns false if there is none left.
    fn claim(&mut self, now: Duration) -> bool {
        let passed_ms = now.saturating_sub(self.refilled_at).as_millis().min(DAY_MS.into()) as u64;
        self.refilled_at += Duration::from_millis(passed_ms);
        let refilled = self.budget + passed_ms * REFILL_BYTES_PER_DAY;
        self.budget = refilled.min(RECORDER_BURST_SLOTS * SLOT * DAY_MS);
        let Some(left) = self.budget.checked_sub(SLOT * DAY_MS) else { return false };
        (self.budget, self.written_at) = (left, now);
        true
    }
}

/// The samples of the batch, and the places of the slots.
#[derive(Debug)]
pub struct Recorder {
    slot: Slot,
    /// The sequence number that each place has.
    places: Vec<u64>,
    /// Where the newest good copy of the batch is.
    good: Option<u32>,
    /// Where the next copy goes.
    spare: u32,
    rows: Vec<u8>,
    names: Vec<u8>,
    /// Where each name begins and ends.
    entries: Vec<(usize, usize)>,
    /// How many bytes of `rows` are in the good copy.
    written: usize,
    schedule: Schedule,
    block: Box<Block>,
}

impl Recorder {
    /// Creates the recorder of a boot, which goes on behind what is in the file. `slots` is the number of places.
    pub fn new(boot: u64, slots: u32, before: &SlotIndex, now: Duration) -> Self {
        let mut recorder = Self {
            slot: Slot { boot, sequence: 0, batch: 0, base_ms: 0 },
            places: vec![0; slots.max(3) as usize],
            good: None,
            spare: 0,
            rows: Vec::new(),
            names: Vec::new(),
            entries: Vec::new(),
            written: 0,
            schedule: Schedule::new(now),
            block: Box::new([0; RECORDER_SLOT_BYTES]),
        };
        recorder.go_on_behind(before);
        recorder
    }

    /// Goes on behind what is in a file that was opened again, or is another one. The batch is written again.
    pub fn go_on_behind(&mut self, found: &SlotIndex) {
        self.places.fill(0);
        for (place, slot) in found.iter() {
            self.slot.sequence = self.slot.sequence.max(slot.sequence);
            self.slot.batch = self.slot.batch.max(slot.batch);
            if let Some(sequence) = self.places.get_mut(place as usize) {
                *sequence = slot.sequence;
            }
        }
        self.slot.batch += 1;
        (self.good, self.written) = (None, 0);
        self.spare = self.oldest();
    }

    /// Takes a sample, and calls `write` for what is to be written now: the number of the slot, and its bytes. `write`
    /// returns true if the slot is on the disk.
    pub fn take(
        &mut self,
        sample: &Sample,
        now: Duration,
        write: &mut dyn FnMut(u32, &Block) -> bool,
    ) {
        while !self.has_room_for(sample) {
            if self.is_unwritten() && self.schedule.claim(now) {
                self.write(write);
            }
            if !self.is_unwritten() || self.rows.len() <= ROW_BYTES {
                self.begin_batch();
            } else if self.written > 0 {
                self.carry_over();
            } else {
                self.thin();
            }
        }
        self.add(sample);
        if self.schedule.is_due(now, sample.is_trouble) && self.schedule.claim(now) {
            self.write(write);
        }
    }

    /// Writes what was not written yet, because the agent ends.
    pub fn end(&mut self, now: Duration, write: &mut dyn FnMut(u32, &Block) -> bool) {
        if self.is_unwritten() && self.schedule.claim(now) {
            self.write(write);
        }
    }

    fn is_unwritten(&self) -> bool {
        self.written < self.rows.len()
    }

    fn offset_ms(&self, sample: &Sample) -> Option<i32> {
        sample.at_ms.checked_sub(self.slot.base_ms)?.try_into().ok()
    }

    fn has_room_for(&self, sample: &Sample) -> bool {
        if self.rows.is_empty() {
            return true;
        }
        let named = sample.containers.iter().take(RECORDER_CONTAINERS);
        let new = named.filter_map(|(name, _)| encode_name(name));
        let new: usize = new.filter(|name| self.find(name).is_none()).map(|name| name.len()).sum();
        let used = self.rows.len() + self.names.len();
        self.offset_ms(sample).is_some() && used + ROW_BYTES + new <= PAYLOAD_BYTES
    }

    fn find(&self, name: &[u8]) -> Option<u8> {
        let is_it = |(from, to): &(usize, usize)| self.names.get(*from..*to) == Some(name);
        let at = self.entries.iter().position(is_it)?;
        u8::try_from(at).ok().filter(|at| *at < u8::MAX)
    }

    /// Returns the number of a name, which it adds if there is room.
    fn number(&mut self, name: &ContainerName) -> Option<u8> {
        let name = encode_name(name)?;
        if let Some(known) = self.find(&name) {
            return Some(known);
        }
        let from = self.names.len();
        if self.rows.len() + ROW_BYTES + from + name.len() > PAYLOAD_BYTES {
            return None;
        }
        self.names.extend_from_slice(&name);
        self.entries.push((from, self.names.len()));
        self.find(&name)
    }

    fn add(&mut self, sample: &Sample) {
        if self.rows.is_empty() {
            self.slot.base_ms = sample.at_ms;
        }
        let mut cells: Vec<(u8, Usage)> = Vec::with_capacity(RECORDER_CONTAINERS);
        for (name, usage) in sample.containers.iter().take(RECORDER_CONTAINERS) {
            cells.extend(self.number(name).map(|number| (number, *usage)));
        }
        let offset_ms = self.offset_ms(sample).unwrap_or(0);
        encode_row(&mut self.rows, offset_ms, &sample.node, &cells);
    }

    /// Writes the batch beside its last good copy.
    fn write(&mut self, write: &mut dyn FnMut(u32, &Block) -> bool) {
        self.slot.sequence += 1;
        self.slot.encode(&self.rows, &self.names, &mut self.block);
        if let Some(sequence) = self.places.get_mut(self.spare as usize) {
            *sequence = self.slot.sequence;
        }
        if !write(self.spare, &self.block) {
            return;
        }
        self.written = self.rows.len();
        let good = self.good.replace(self.spare);
        self.spare = good.unwrap_or_else(|| self.oldest());
    }

    /// Returns the place whose content is the oldest.
    fn oldest(&self) -> u32 {
        let oldest = (0_u32..).zip(&self.places).min_by_key(|(_, sequence)| **sequence);
        oldest.map_or(0, |(place, _)| place)
    }

    /// Begins a batch. The good copy of the one before stays; the next copy goes beside it.
    fn begin_batch(&mut self) {
        self.slot.batch += 1;
        (self.good, self.written) = (None, 0);
        self.rows.clear();
        self.names.clear();
        self.entries.clear();
    }

    /// Begins a batch with the samples that are in no good copy yet, because nothing may be written now.
    fn carry_over(&mut self) {
        self.slot.batch += 1;
        self.rows.drain(..self.written);
        (self.good, self.written) = (None, 0);
    }

    /// Drops every other sample, because a slot is not enough for all that wait to be written. The newest stays.
    fn thin(&mut self) {
        let rows = self.rows.len() / ROW_BYTES;
        let mut kept = Vec::with_capacity(self.rows.len());
        for (n, row) in self.rows.chunks_exact(ROW_BYTES).enumerate() {
            if (rows - 1 - n).is_multiple_of(2) {
                kept.extend_from_slice(row);
            }
        }
        self.rows = kept;
    }
}
