//! The bytes of the recorder file. All numbers are little endian and have a fixed width.
//!
//! | bytes of a slot | what |
//! | --- | --- |
//! | 0..8 | checksum of the rest (FNV-1a: a change of one byte always changes it) |
//! | 8..12 | magic |
//! | 12..16 | version of the format |
//! | 16..24 | key of the boot |
//! | 24..32 | sequence number of the write |
//! | 32..40 | number of the batch |
//! | 40..48 | time of the first sample, in milliseconds of Unix time |
//! | 48..50 | number of samples |
//! | 50..52 | number of bytes of the names |
//! | 52.. | samples, then names |
//!
//! A sample: time since the first in milliseconds (`i32`), the node's columns (`f32`, unknown below zero), and for each
//! of [`RECORDER_CONTAINERS`] containers the number of its name (255: none), its memory in KiB and its millicores
//! (`u32`, unknown at the largest). A name: the limit in bytes (`u64`, 0: none), and namespace, pod and container, each
//! after its length in one byte.

use super::{Block, COLUMNS, ContainerName, Number, Usage};
use crate::limits::{RECORDER_CONTAINERS, RECORDER_SEQUENCE_MAX, RECORDER_SLOT_BYTES};

pub(super) const SLOT_MAGIC: u32 = u32::from_le_bytes(*b"bbSl");
const HEAD_MAGIC: u32 = u32::from_le_bytes(*b"bbRF");
const VERSION: u32 = 1;
const SLOT_HEAD_BYTES: usize = 52;
const CELL_BYTES: usize = 9;
const NO_NAME: u8 = u8::MAX;

/// The size of one sample.
pub(super) const ROW_BYTES: usize = 4 + 4 * COLUMNS.len() + CELL_BYTES * RECORDER_CONTAINERS;
/// The room for samples and names in a slot.
pub(super) const PAYLOAD_BYTES: usize = RECORDER_SLOT_BYTES - SLOT_HEAD_BYTES;

/// Returns the key of a boot or a node, by which the file knows it.
pub fn key(text: &str) -> u64 {
    fnv(text.as_bytes())
}

fn fnv(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

pub(super) fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(room) = block.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    take(bytes, at).map(u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    take(bytes, at).map(u32::from_le_bytes)
}

fn is_sealed(block: &Block) -> bool {
    u64_at(block, 0) == Some(fnv(&block[8..]))
}

pub(super) fn seal(block: &mut Block, magic: u32) {
    put(block, 8, &magic.to_le_bytes());
    put(block, 12, &VERSION.to_le_bytes());
    let sum = fnv(&block[8..]);
    put(block, 0, &sum.to_le_bytes());
}

fn is_of(block: &Block, magic: u32) -> bool {
    u32_at(block, 8) == Some(magic) && u32_at(block, 12) == Some(VERSION) && is_sealed(block)
}

/// The head of the file: which node it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The key of the node's name.
    pub node: u64,
}

impl Head {
    /// Reads the head; `None` if the file is not the agent's.
    pub fn decode(block: &Block) -> Option<Self> {
        is_of(block, HEAD_MAGIC).then_some(())?;
        Some(Self { node: u64_at(block, 16)? })
    }

    /// Writes the head.
    pub fn encode(self, block: &mut Block) {
        block.fill(0);
        put(block, 16, &self.node.to_le_bytes());
        seal(block, HEAD_MAGIC);
    }
}

/// The head of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The key of the boot.
    pub boot: u64,
    /// The number of the write.
    pub sequence: u64,
    /// The number of the batch that was written.
    pub batch: u64,
    /// When its first sample was taken, in milliseconds of Unix time.
    pub base_ms: i64,
}

impl Slot {
    /// Reads the head of a slot; `None` if the slot was torn, or is no slot.
    pub fn decode(block: &Block) -> Option<Self> {
        is_of(block, SLOT_MAGIC).then_some(())?;
        let slot = Self {
            boot: u64_at(block, 16)?,
            sequence: u64_at(block, 24)?,
            batch: u64_at(block, 32)?,
            base_ms: take(block, 40).map(i64::from_le_bytes)?,
        };
        let is_known = slot.sequence < RECORDER_SEQUENCE_MAX && slot.batch < RECORDER_SEQUENCE_MAX;
        is_known.then_some(slot)
    }

    pub(super) fn encode(self, rows: &[u8], names: &[u8], block: &mut Block) {
        block.fill(0);
        put(block, 16, &self.boot.to_le_bytes());
        put(block, 24, &self.sequence.to_le_bytes());
        put(block, 32, &self.batch.to_le_bytes());
        put(block, 40, &self.base_ms.to_le_bytes());
        put(block, 48, &u16::try_from(rows.len() / ROW_BYTES).unwrap_or(0).to_le_bytes());
        put(block, 50, &u16::try_from(names.len()).unwrap_or(0).to_le_bytes());
        put(block, SLOT_HEAD_BYTES, rows);
        put(block, SLOT_HEAD_BYTES + rows.len(), names);
        seal(block, SLOT_MAGIC);
    }
}

/// What a slot says, the oldest sample first.
pub(super) struct Content<'b> {
    rows: &'b [u8],
    pub(super) names: Vec<Option<ContainerName>>,
    base_ms: i64,
}

/// A sample, with the containers by the number of their name.
pub(super) struct Row {
    pub(super) at_ms: i64,
    pub(super) node: [Number; COLUMNS.len()],
    pub(super) cells: Vec<(usize, Usage)>,
}

impl<'b> Content<'b> {
    /// Reads a slot whose head was read. `None`: its lengths are wrong.
    pub(super) fn of(slot: &Slot, block: &'b Block) -> Option<Self> {
        let length = |at| take(block, at).map(|bytes| usize::from(u16::from_le_bytes(bytes)));
        let payload = &block[SLOT_HEAD_BYTES..];
        let (rows, rest) = payload.split_at_checked(length(48)? * ROW_BYTES)?;
        let mut names = rest.get(..length(50)?)?;
        let mut known = Vec::new();
        while !names.is_empty() {
            known.push(take_name(&mut names)?);
        }
        Some(Self { rows, names: known, base_ms: slot.base_ms })
    }

    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = Row> {
        self.rows.chunks_exact(ROW_BYTES).filter_map(|row| decode_row(row, self.base_ms))
    }
}

/// Takes one name. The inner `None`: it has characters that no name has.
fn take_name(bytes: &mut &[u8]) -> Option<Option<ContainerName>> {
    let limit = u64_at(bytes, 0)?;
    *bytes = &bytes[8..];
    let mut text = || {
        let (length, rest) = bytes.split_first()?;
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        *bytes = rest;
        Some(text)
    };
    let texts = [text()?, text()?, text()?];
    // A checksum is no signature: whoever can write to the folder can write anything.
    let plain = |text: &[u8]| {
        let is_plain = text.iter().all(u8::is_ascii_graphic);
        is_plain.then(|| String::from_utf8_lossy(text).into_owned())
    };
    let [Some(namespace), Some(pod_name), Some(container)] = texts.map(plain) else {
        return Some(None);
    };
    let limit_bytes = Some(limit).filter(|limit| *limit > 0);
    Some(Some(ContainerName { namespace, pod_name, container, limit_bytes }))
}

/// Returns a name as the file has it; `None` if a part of it is longer than any name.
pub(super) fn encode_name(name: &ContainerName) -> Option<Vec<u8>> {
    let mut bytes = name.limit_bytes.unwrap_or(0).to_le_bytes().to_vec();
    for text in [&name.namespace, &name.pod_name, &name.container] {
        bytes.push(u8::try_from(text.len()).ok()?);
        bytes.extend_from_slice(text.as_bytes());
    }
    Some(bytes)
}

/// Appends a sample. `cells` are the containers by the number of their name.
pub(super) fn encode_row(
    rows: &mut Vec<u8>,
    offset_ms: i32,
    node: &[Number; COLUMNS.len()],
    cells: &[(u8, Usage)],
) {
    rows.extend_from_slice(&offset_ms.to_le_bytes());
    for number in node {
        rows.extend_from_slice(&number.0.to_le_bytes());
    }
    let unknown = Usage { memory_kib: None, cpu_millicores: None };
    for n in 0..RECORDER_CONTAINERS {
        let (name, usage) = cells.get(n).copied().unwrap_or((NO_NAME, unknown));
        rows.push(name);
        for value in [usage.memory_kib, usage.cpu_millicores] {
            rows.extend_from_slice(&value.unwrap_or(u32::MAX).to_le_bytes());
        }
    }
}

fn decode_row(row: &[u8], base_ms: i64) -> Option<Row> {
    let at_ms = base_ms.checked_add(take(row, 0).map(i32::from_le_bytes)?.into())?;
    let mut node = [Number::new(None); COLUMNS.len()];
    for (n, number) in node.iter_mut().enumerate() {
        *number = Number(u32_at(row, 4 + 4 * n)?);
    }
    let cells = row.get(4 + 4 * COLUMNS.len()..)?.chunks_exact(CELL_BYTES);
    let known = |at| move |cell: &[u8]| u32_at(cell, at).filter(|value| *value != u32::MAX);
    let cell = |cell: &[u8]| {
        let usage = Usage { memory_kib: known(1)(cell), cpu_millicores: known(5)(cell) };
        (cell[0] != NO_NAME).then_some((usize::from(cell[0]), usage))
    };
    Some(Row { at_ms, node, cells: cells.filter_map(cell).collect() })
}
