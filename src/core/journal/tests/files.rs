//! Several files: their names, their order, and how the boot before ended.

use super::*;

const NOW: Id = Id([0x11; 16]);
const BEFORE: Id = Id([0x22; 16]);
const LONG_AGO: Id = Id([0x33; 16]);

/// The header of a file of a sequence, with the entries from one number to another; each takes a second from its number.
fn header(sequence: u8, seqnums: (u64, u64), boot_id: Id, state: State) -> Header {
    let mut file = Writer::new(false);
    file.add(&kernel(6, "line"));
    let mut header = Header::read(&mut Memory::new(&file.bytes())).unwrap();
    header.file_id = Id([seqnums.0 as u8 ^ sequence; 16]);
    header.seqnum_id = Id([sequence; 16]);
    (header.head_seqnum, header.tail_seqnum) = seqnums;
    header.head_realtime_us = seqnums.0 * 1_000_000;
    header.tail_realtime_us = seqnums.1 * 1_000_000;
    (header.boot_id, header.state) = (boot_id, state);
    header
}

fn at(sequence: u8, seqnum: u64, realtime_us: u64) -> Position {
    Position { seqnum_id: Id([sequence; 16]), seqnum, realtime_us }
}

#[test]
fn names_say_what_a_file_is() {
    for (name, want) in [
        ("system.journal", Some(FileKind::Current)),
        ("system@2a5-00-06.journal", Some(FileKind::Archived)),
        ("system@0006-1f.journal~", Some(FileKind::Discarded)),
        ("system.journal~", None),
        ("system@1.journal.gz", None),
        ("user-1000.journal", None),
        ("systemd.journal", None),
        (".journal", None),
        ("", None),
    ] {
        assert_eq!(FileKind::of(name), want, "{name}");
    }
}

#[test]
fn files_are_read_in_the_order_of_their_numbers() {
    let of = |sequence, seqnums| header(sequence, seqnums, NOW, State::Archived);
    let mut files =
        vec![of(1, (50, 80)), of(1, (1, 20)), of(2, (90, 99)), of(1, (21, 49)), of(1, (21, 49))];
    assert_eq!(unread(&files, None), [1, 3, 0, 2]);
    for (after, want) in [
        (at(1, 0, 0), vec![1, 3, 0, 2]),
        (at(1, 20, 20_000_000), vec![3, 0, 2]),
        (at(1, 48, 48_000_000), vec![3, 0, 2]),
        (at(1, 80, 80_000_000), vec![2]),
        (at(2, 99, 99_000_000), vec![]),
        // A sequence that is no longer there: the time decides.
        (at(3, 7, 60_000_000), vec![0, 2]),
        (at(3, 7, 99_000_000), vec![]),
    ] {
        assert_eq!(unread(&files, Some(&after)), want, "{after:?}");
    }
    // The clock was set back by a day within the sequence.
    files[0].tail_realtime_us = 1;
    assert_eq!(unread(&files, Some(&at(1, 49, 49_000_000))), [0, 2]);
    files[0].entries = 0;
    assert_eq!(unread(&files, Some(&at(1, 49, 49_000_000))), [2]);
}

#[test]
fn no_more_files_are_compared_than_a_node_has() {
    let files: Vec<_> = (0..300).map(|n| header(1, (n + 1, n + 1), NOW, State::Archived)).collect();
    assert!(unread(&files, None).len() <= crate::limits::JOURNAL_FILES_MAX);
}

#[test]
fn a_file_that_was_left_open_shows_when_the_node_was_last_alive() {
    use FileKind::{Archived, Current, Discarded};
    use State::Online;
    let booted_at = 100_000_000;
    let cut = |boot_id, seconds: u64| {
        let realtime_us = seconds * 1_000_000;
        Some(Ending::CutOff(LastAlive { boot_id, realtime_us, monotonic_us: 1 }))
    };
    let of = |kind, seqnums, boot_id, state| (kind, header(1, seqnums, boot_id, state));
    let current = of(Current, (101, 120), NOW, Online);
    for (others, want) in [
        (vec![], None),
        (vec![of(Discarded, (50, 90), BEFORE, Online)], cut(BEFORE, 90)),
        (vec![of(Archived, (50, 90), BEFORE, Online)], cut(BEFORE, 90)),
        (vec![of(Archived, (50, 90), BEFORE, State::Archived)], Some(Ending::Closed)),
        (vec![of(Archived, (50, 90), BEFORE, State::Offline)], Some(Ending::Closed)),
        // The newest one decides.
        (
            vec![
                of(Discarded, (50, 90), BEFORE, Online),
                of(Archived, (20, 49), LONG_AGO, State::Archived),
            ],
            cut(BEFORE, 90),
        ),
        (
            vec![
                of(Discarded, (20, 49), LONG_AGO, Online),
                of(Archived, (50, 90), BEFORE, State::Archived),
            ],
            Some(Ending::Closed),
        ),
        // This boot went on in a file of the boot before.
        (
            vec![
                of(Discarded, (20, 49), LONG_AGO, Online),
                of(Archived, (50, 110), NOW, State::Archived),
            ],
            Some(Ending::Closed),
        ),
        // Damaged in this boot.
        (vec![of(Discarded, (101, 110), NOW, Online)], None),
    ] {
        let files = [std::slice::from_ref(&current), &others].concat();
        assert_eq!(how_it_ended(&files, &NOW, booted_at), want, "{others:?}");
    }
    // Before journald runs, the file of the boot before is the current one.
    let file = of(Current, (50, 90), BEFORE, Online);
    assert_eq!(how_it_ended(&[file], &NOW, booted_at), cut(BEFORE, 90));
}
