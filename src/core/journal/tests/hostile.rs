//! Files that lie.

use super::*;

/// A file with a few lines of the kernel among others, long enough for two arrays.
fn sample(is_compact: bool) -> Writer {
    let mut file = Writer::new(is_compact);
    for n in 0..8 {
        file.add(&service(&format!("of a service {n}")));
        file.add(&kernel(n as u8 % 8, &format!("line {n}")));
    }
    file
}

/// How much is tested of what takes long: one of so many, or all with `BLACKBOX_LONG_TESTS`.
pub(super) fn step(short: usize) -> usize {
    if crate::rounds(10) == 10 { 1 } else { short }
}

/// Checks that all lines are true ones, in order, and none twice.
pub(super) fn holds(lines: &[Entry], truth: &[Entry]) -> bool {
    let mut rest = truth.iter();
    lines.iter().all(|line| {
        rest.any(|known| known.message == line.message && known.priority == line.priority)
    })
}

#[test]
fn a_header_that_is_not_understood_is_refused() {
    let file = sample(true);
    for (at, mask, want) in [
        (0, 1, JournalError::NotAJournal),
        (7, 0x80, JournalError::NotAJournal),
        (12, 32, JournalError::Unknown(32)),
        (15, 0x80, JournalError::Unknown(1 << 31)),
        (16, 2, JournalError::Damaged),
        (88, 1, JournalError::Damaged),
        (88, 0x80, JournalError::Damaged),
        (92, 1, JournalError::Damaged),
    ] {
        let bytes = file.bytes();
        let mut source = Memory { flip: (at, mask), ..Memory::new(&bytes) };
        assert_eq!(Header::read(&mut source), Err(want), "{at}");
    }
    for len in 0..208 {
        let bytes = file.bytes();
        let mut source = Memory { len, ..Memory::new(&bytes) };
        assert!(Header::read(&mut source).is_err(), "{len}");
    }
    let mut bytes = file.bytes();
    bytes[96..104].fill(0xff);
    assert_eq!(Header::read(&mut Memory::new(&bytes)), Err(JournalError::Damaged));
}

#[test]
fn chains_that_lead_back_or_out_of_the_file_end() {
    for is_compact in [false, true] {
        let mut file = sample(is_compact);
        let (field, data) = (file.field("_TRANSPORT"), file.data("_TRANSPORT=kernel"));
        let other = file.data("_TRANSPORT=stdout");
        let (message, array) = (file.field("MESSAGE"), file.get(data + 48));
        let end = file.bytes().len() as u64;
        let places = [
            field + 24,
            field + 32,
            field + 8,
            message + 24,
            message + 8,
            data + 8,
            data + 32,
            data + 40,
            data + 48,
            data + 56,
            other + 32,
            array + 8,
            array + 16,
            array + 24,
            96,
            120,
            128,
            152,
            160,
            168,
        ];
        let truth = all(&file.bytes());
        for at in places {
            for number in [
                0,
                1,
                8,
                208,
                field,
                message,
                data,
                other,
                array,
                array + 4,
                end - 8,
                end,
                end + 8,
                1 << 32,
                1 << 62,
                u64::MAX - 7,
                u64::MAX,
            ] {
                let before = file.get(at);
                file.put(at, number);
                let bytes = file.bytes();
                let (lines, _) = read(&mut Memory::new(&bytes), &mut Reader::new(None, 100));
                assert!(holds(&lines, &truth), "{number} at {at}: {lines:?}");
                file.put(at, before);
            }
        }
        assert_eq!(all(&file.bytes()), truth);
    }
}

#[test]
fn a_chain_of_names_without_end_is_given_up() {
    let mut file = sample(false);
    file.add(&["LOOP=1".to_owned()]);
    let name = file.field("LOOP");
    file.put(name + 24, name);
    // In the first bucket, before any other name.
    file.put(224, name);
    let bytes = file.bytes();
    let (lines, error) = read(&mut Memory::new(&bytes), &mut Reader::new(None, 100));
    assert_eq!((lines, error), (vec![], Some(JournalError::TooManyReads)));
}

#[test]
fn an_entry_that_is_listed_twice_is_returned_once() {
    let mut file = sample(false);
    let data = file.data("_TRANSPORT=kernel");
    let array = file.get(data + 48);
    let first = file.get(data + 40);
    file.put(array + 24, first);
    file.put(array + 40, first);
    let bytes = file.bytes();
    let mut reader = Reader::new(None, 100);
    let (lines, _) = read(&mut Memory::new(&bytes), &mut reader);
    assert_eq!(texts(&lines), ["line 0", "line 2", "line 4", "line 5", "line 6", "line 7"]);
    assert_eq!(reader.skipped().damaged, 2);
}

#[test]
fn a_line_of_somebody_else_does_not_become_the_kernels() {
    for is_compact in [false, true] {
        let mut file = sample(is_compact);
        let truth = all(&file.bytes());
        let (own, other) = (file.data("MESSAGE=line 3"), file.data("MESSAGE=of a service 3"));
        let entry = file.entries[7];
        let mut bytes = file.bytes();
        let at = (entry as usize..).find(|at| bytes[*at..*at + 4] == (own as u32).to_le_bytes());
        bytes[at.unwrap()..][..4].copy_from_slice(&(other as u32).to_le_bytes());
        let mut reader = Reader::new(None, 100);
        let (lines, _) = read(&mut Memory::new(&bytes), &mut reader);
        assert_eq!((lines.len(), reader.skipped().damaged), (truth.len() - 1, 1));
        assert!(holds(&lines, &truth));
    }
}

#[test]
fn a_file_cut_at_any_byte_gives_true_lines() {
    for is_compact in [false, true] {
        let bytes = sample(is_compact).bytes();
        let truth = all(&bytes);
        for len in 0..bytes.len() {
            let mut source = Memory { len, ..Memory::new(&bytes) };
            let (lines, _) = read(&mut source, &mut Reader::new(None, 100));
            assert!(holds(&lines, &truth), "{len}");
        }
    }
}

#[test]
fn a_file_with_any_bit_flipped_gives_true_lines() {
    for is_compact in [false, true] {
        let bytes = sample(is_compact).bytes();
        let truth = all(&bytes);
        let mut lost = 0;
        for bit in (0..bytes.len() * 8).step_by(step(9)) {
            let mut source = Memory { flip: (bit / 8, 1 << (bit % 8)), ..Memory::new(&bytes) };
            let (lines, _) = read(&mut source, &mut Reader::new(None, 100));
            assert!(holds(&lines, &truth), "bit {bit}");
            lost += usize::from(lines != truth);
        }
        assert!(lost > 100, "{lost} bits matter");
    }
}
