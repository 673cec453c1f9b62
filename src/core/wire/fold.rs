//! A hash for the fingerprints of objects: fast, and good enough to notice every change.
//!
//! Every event hashes some 2.5 kB, and std's hash (SipHash) takes three instructions for a byte: a tenth of what an event
//! costs. This one multiplies eight bytes with eight others and folds both halves of the product, as wyhash and foldhash
//! do. A product takes several cycles, but a processor begins one each cycle, so a long text goes through four states side
//! by side. It does not resist somebody who looks for collisions: whoever can write a pod's status could hide that pod's own changes
//! with one, and with less trouble by not writing them.

use std::hash::Hasher;

/// Odd, with as many ones as zeros in no pattern: the digits of pi.
const FACTOR: u64 = 0x2437_6a88_85a3_08d3;
const START: u64 = 0x1319_8a2e_0370_7344;
/// What the four states differ in, so that words that are exchanged between them do not give the same.
const LANES: [u64; 4] = [0, 0xa409_3822_299f_31d0, 0x082e_fa98_ec4e_6c89, 0x4528_21e6_38d0_1377];

/// The state of the hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fold(u64);

impl Default for Fold {
    fn default() -> Self {
        Self(START)
    }
}

impl Fold {
    #[inline(always)]
    fn add(&mut self, words: [u64; 2]) {
        let product = u128::from(self.0 ^ words[0]) * u128::from(FACTOR ^ words[1]);
        // Without the rotation, words that are exchanged would give the same.
        self.0 = (product as u64 ^ (product >> 64) as u64).rotate_left(23);
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<64>();
        if !blocks.is_empty() {
            // By name, so that they stay in registers.
            let [mut one, mut two, mut three, mut four] = LANES.map(|start| Self(self.0 ^ start));
            for block in blocks {
                if let ([a, b, c, d], _) = block.as_chunks() {
                    one.add(words(a));
                    two.add(words(b));
                    three.add(words(c));
                    four.add(words(d));
                }
            }
            [one, two, three, four].iter().for_each(|lane| self.add([lane.0, 0]));
        }
        let (pairs, _) = rest.as_chunks();
        pairs.iter().for_each(|pair| self.add(words(pair)));
        self.add(last_words(bytes));
        // With the length, texts that run into each other differ.
        self.write_usize(bytes.len());
    }

    fn write_u8(&mut self, number: u8) {
        self.add([number.into(), 0]);
    }

    fn write_usize(&mut self, number: usize) {
        self.add([number as u64, 0]);
    }

    fn finish(&self) -> u64 {
        let mut end = *self;
        end.add([FACTOR, 0]);
        end.0
    }
}

fn words(pair: &[u8; 16]) -> [u64; 2] {
    let pair = u128::from_le_bytes(*pair);
    [pair as u64, (pair >> 64) as u64]
}

/// Returns the end of a text. The two words overlap each other in a short text, and in a long one what was added before:
/// most texts are short, and a copy of a few bytes takes longer than everything else here.
fn last_words(bytes: &[u8]) -> [u64; 2] {
    if let Some(last) = bytes.last_chunk() {
        return words(last);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last)];
    }
    [bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::core::backoff::Jitter;

    fn hash(parts: &[&[u8]]) -> u64 {
        let mut fold = Fold::default();
        parts.iter().for_each(|part| fold.write(part));
        fold.finish()
    }

    #[test]
    fn every_bit_of_a_text_changes_the_hash_and_half_of_its_bits() {
        let text: Vec<u8> = (0..200_u8).map(|n| n.wrapping_mul(37)).collect();
        let whole = hash(&[&text]);
        let (mut seen, mut changed) = (HashSet::from([whole]), 0);
        for bit in 0..text.len() * 8 {
            let mut other = text.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let other = hash(&[&other]);
            assert!(seen.insert(other), "bit {bit}");
            changed += (whole ^ other).count_ones();
        }
        let average = f64::from(changed) / (text.len() * 8) as f64;
        assert!((28.0..36.0).contains(&average), "{average} of 64 bits");
    }

    #[test]
    fn texts_that_differ_in_length_order_or_cut_differ() {
        let texts: [&[&[u8]]; 9] = [
            &[b""],
            &[b"", b""],
            &[b"\0"],
            &[b"\0\0"],
            &[b"ab", b"c"],
            &[b"a", b"bc"],
            &[b"abc"],
            &[b"12345678abcdefgh"],
            &[b"abcdefgh12345678"],
        ];
        let hashes: HashSet<u64> = texts.iter().map(|text| hash(text)).collect();
        assert_eq!(hashes.len(), texts.len());
    }

    #[test]
    fn a_million_texts_have_a_million_hashes() {
        let mut dice = Jitter::new(3);
        let mut seen = HashSet::new();
        let count = crate::rounds(1_000_000);
        for n in 0..count {
            let text =
                format!("{{\"restartCount\":{n},\"at\":\"{}\"}}", (dice.unit() * 9.0) as u64);
            seen.insert(hash(&[text.as_bytes()]));
        }
        assert_eq!(seen.len() as u64, count);
    }
}
