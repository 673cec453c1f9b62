//! Files that systemd's own writer made (`fixtures/journal/make`).

#[allow(unreachable_pub, reason = "the file is shared with the tests of the real binary")]
#[path = "../../../../tests/support/runs.rs"]
mod runs;

use super::hostile::{holds, step};
use super::*;

const FILES: [&str; 7] = [
    "compact-keyed",
    "compact-unkeyed",
    "regular-keyed",
    "regular-unkeyed",
    "online",
    "rotated-first",
    "rotated",
];

/// What is tested of a file.
const BYTES: usize = 64 << 10;

/// Returns a file with its zeros.
fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/journal/");
    let stored = std::fs::read(format!("{folder}{name}.runs")).unwrap();
    runs::expanded(&stored)
}

/// The true lines: time, priority and text. Those of 500 bytes and more are compressed.
fn truth() -> Vec<(u64, u8, String)> {
    let table = include_str!("../../../../fixtures/journal/lines.tsv");
    let row = |line: &str| {
        let mut cells = line.splitn(3, '\t');
        let mut cell = || cells.next().unwrap();
        (cell().parse().unwrap(), cell().parse().unwrap(), cell().to_owned())
    };
    table.lines().map(row).filter(|(.., text)| text.len() < 500).collect()
}

fn shown(lines: &[Entry]) -> Vec<(u64, u8, String)> {
    lines
        .iter()
        .map(|line| (line.realtime_us, line.priority.unwrap(), line.message.clone()))
        .collect()
}

#[test]
fn all_kinds_of_files_give_the_same_lines() {
    let truth = truth();
    for name in &FILES[..5] {
        let bytes = file(name);
        let mut reader = Reader::new(None, 100);
        let (lines, error) = read(&mut Memory::new(&bytes), &mut reader);
        assert_eq!((shown(&lines), error), (truth.clone(), None), "{name}");
        let first = &lines[0];
        assert_eq!((first.seqnum, first.monotonic_us), (4, 5_003_000), "{name}");
        assert_eq!(Some(first.boot_id), Id::parse("0123456789abcdef0123456789abcdef"));
        assert_eq!(reader.skipped(), Skipped { compressed: 2, damaged: 0 }, "{name}");
        let header = Header::read(&mut Memory::new(&bytes)).unwrap();
        let state = if *name == "online" { State::Online } else { State::Offline };
        assert_eq!((header.state, header.entries, header.tail_seqnum), (state, 48, 48), "{name}");
        assert_eq!(header.tail_realtime_us, 1_764_000_000_047_000, "{name}");
        assert_eq!(header.is_compact, name.starts_with("compact") || *name == "online");
    }
}

#[test]
fn a_rotation_loses_nothing_and_repeats_nothing() {
    let files = [file("rotated"), file("rotated-first")];
    let headers: Vec<_> =
        files.iter().map(|bytes| Header::read(&mut Memory::new(bytes)).unwrap()).collect();
    assert_eq!((headers[1].state, headers[0].seqnum_id), (State::Archived, headers[1].seqnum_id));
    // The writer put more than two hundred fields between them; the line at that time was left out.
    let truth: Vec<_> = truth().into_iter().filter(|(at, ..)| at % 1_000_000 != 27_000).collect();
    assert_eq!(unread(&headers, None), [1, 0]);
    // However many lines were read before the agent was restarted, it goes on behind them.
    for read_before in 0..=truth.len() {
        let mut lines = Vec::new();
        let mut after = None;
        for n in unread(&headers, None) {
            let mut reader = Reader::new(after, 100);
            let (more, error) = read(&mut Memory::new(&files[n]), &mut reader);
            assert_eq!(error, None);
            lines.extend(more);
            after = reader.position();
        }
        assert_eq!(shown(&lines), truth);
        lines.truncate(read_before);
        let mut after = lines.last().map(|line| Position {
            seqnum_id: headers[0].seqnum_id,
            seqnum: line.seqnum,
            realtime_us: line.realtime_us,
        });
        for n in unread(&headers, after.as_ref()) {
            let mut reader = Reader::new(after, 100);
            lines.extend(read(&mut Memory::new(&files[n]), &mut reader).0);
            after = reader.position();
        }
        assert_eq!(shown(&lines), truth, "after {read_before}");
        assert_eq!(unread(&headers, after.as_ref()), [0; 0]);
    }
}

/// `BLACKBOX_LONG_TESTS=1` tests each byte.
#[test]
fn a_file_cut_in_its_first_64_kib_gives_true_lines() {
    for (n, name) in FILES.iter().enumerate() {
        let bytes = file(name);
        let truth = all(&bytes);
        for len in (n..BYTES).step_by(step(31)) {
            let mut source = Memory { len, ..Memory::new(&bytes) };
            let (lines, _) = read(&mut source, &mut Reader::new(None, 100));
            assert!(holds(&lines, &truth), "{name} cut at {len}");
        }
    }
}

/// `BLACKBOX_LONG_TESTS=1` tests each bit of what is not zero, and one of each byte that is: zeros mean nothing in most
/// places.
#[test]
fn a_file_with_a_bit_flipped_in_its_first_64_kib_gives_true_lines() {
    let (of_zeros, of_others) = (step(61), step(37));
    for (n, name) in FILES.iter().enumerate() {
        let bytes = file(name);
        let truth = all(&bytes);
        let is_tested = |bit: &usize| match bytes[bit / 8] {
            0 => bit % 8 == (bit / 8) % 8 && (bit / 8 + n).is_multiple_of(of_zeros),
            _ => (bit + n).is_multiple_of(of_others),
        };
        for bit in (0..BYTES * 8).filter(is_tested) {
            let mut source = Memory { flip: (bit / 8, 1 << (bit % 8)), ..Memory::new(&bytes) };
            let (lines, _) = read(&mut source, &mut Reader::new(None, 100));
            assert!(holds(&lines, &truth), "{name}, bit {bit}");
        }
    }
}
