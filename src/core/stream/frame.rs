//! Splits a byte stream into lines of limited length.
//!
//! The API server writes one JSON document per line and flushes after each, but HTTP chunks, TLS records and
//! reads do not follow line boundaries: a block may end anywhere, even inside a UTF-8 sequence. A line that
//! lies within one block is returned without a copy.

use memchr::memchr;

use crate::limits::{LINE_BYTES_KEPT, LINE_BYTES_MAX, LINE_BYTES_SMALL};

/// What happens to a line that is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLong {
    /// The stream cannot be read any further. For a server, which must not decide how much the agent reads.
    Fail,
    /// The line is left out, and the next one is read. For files, where a line may belong to somebody else.
    Skip,
}

/// A line is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong {
    /// The limit in bytes.
    pub limit: usize,
}

impl std::fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a line is longer than {} bytes", self.limit)
    }
}

/// Holds the start of a line until the block with its end arrives.
///
/// Invariant: `partial` never contains a newline and never more than `limit` bytes.
#[derive(Debug)]
pub struct FrameSplitter {
    partial: Vec<u8>,
    limit: usize,
    over_long: OverLong,
    /// True inside a line that is left out.
    is_skipping: bool,
}

impl Default for FrameSplitter {
    fn default() -> Self {
        Self::new(LINE_BYTES_MAX, OverLong::Fail)
    }
}

impl FrameSplitter {
    /// Creates a splitter for lines of at most `limit` bytes.
    pub fn new(limit: usize, over_long: OverLong) -> Self {
        Self { partial: Vec::new(), limit, over_long, is_skipping: false }
    }

    /// Takes in the next block of the stream; [`Frames::next`] returns the lines that it completes. Dropping
    /// [`Frames`] early loses the rest of the block.
    pub fn feed<'a>(&'a mut self, block: &'a [u8]) -> Frames<'a> {
        Frames { splitter: self, rest: block, hand_back: false }
    }

    /// Returns the number of bytes of an incomplete line. At the end of a stream they are the partial line that
    /// a broken connection left behind, to be counted and discarded. The last line of a file may lack its newline:
    /// feeding one completes it.
    pub fn pending(&self) -> usize {
        self.partial.len()
    }

    /// Discards a partial line, for the start of a new stream.
    pub fn reset(&mut self) {
        self.is_skipping = false;
        self.give_back();
    }

    fn give_back(&mut self) {
        self.partial.clear();
        self.partial.shrink_to(LINE_BYTES_KEPT);
    }
}

/// The lines of one block.
#[derive(Debug)]
pub struct Frames<'a> {
    splitter: &'a mut FrameSplitter,
    rest: &'a [u8],
    /// The line in `partial` was returned and is cleared at the next call.
    hand_back: bool,
}

impl Frames<'_> {
    /// Returns the next whole line without its newline, or `None` when the block is used up. Blank lines are
    /// left out. A line that is too long gives one error; with [`OverLong::Fail`] the stream must then be closed.
    #[expect(clippy::should_implement_trait, reason = "lends the line: no Iterator can do that")]
    pub fn next(&mut self) -> Option<Result<&[u8], LineTooLong>> {
        loop {
            if std::mem::take(&mut self.hand_back) {
                self.splitter.give_back();
            }
            let limit = self.splitter.limit;
            let Some(end) = memchr(b'\n', self.rest) else {
                return self.keep_rest(limit);
            };
            let (head, tail) = self.rest.split_at(end);
            self.rest = &tail[1..];
            if std::mem::take(&mut self.splitter.is_skipping) {
                continue;
            }
            if self.splitter.partial.len() + head.len() > limit {
                self.hand_back = self.splitter.over_long == OverLong::Skip;
                return Some(Err(LineTooLong { limit }));
            }
            if self.splitter.partial.is_empty() {
                if !is_blank(head) {
                    return Some(Ok(head));
                }
                continue;
            }
            append(&mut self.splitter.partial, head, limit);
            self.hand_back = true;
            if !is_blank(&self.splitter.partial) {
                return Some(Ok(&self.splitter.partial));
            }
        }
    }

    fn keep_rest(&mut self, limit: usize) -> Option<Result<&[u8], LineTooLong>> {
        let rest = std::mem::take(&mut self.rest);
        if self.splitter.is_skipping {
            return None;
        }
        if self.splitter.partial.len() + rest.len() > limit {
            self.splitter.is_skipping = self.splitter.over_long == OverLong::Skip;
            self.hand_back = self.splitter.is_skipping;
            return Some(Err(LineTooLong { limit }));
        }
        append(&mut self.splitter.partial, rest, limit);
        None
    }
}

/// Appends to the start of a line or item, which has at most `limit` bytes.
pub(super) fn append(partial: &mut Vec<u8>, bytes: &[u8], limit: usize) {
    let needed = partial.len() + bytes.len();
    if needed > partial.capacity() && needed > LINE_BYTES_SMALL {
        partial.reserve_exact(limit.max(needed) - partial.len());
    }
    partial.extend_from_slice(bytes);
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(splitter: &mut FrameSplitter, blocks: &[&[u8]]) -> Vec<Result<Vec<u8>, LineTooLong>> {
        let mut out = Vec::new();
        for block in blocks {
            let mut frames = splitter.feed(block);
            while let Some(line) = frames.next() {
                out.push(line.map(<[u8]>::to_vec));
            }
        }
        out
    }

    #[test]
    fn every_split_of_a_stream_gives_the_same_lines() {
        let stream = "{\"a\":1}\n\r\n{\"b\":\"é\"}\n\n{\"c\":3}\r\n{\"half\"".as_bytes();
        let whole = lines(&mut FrameSplitter::new(64, OverLong::Fail), &[stream]);
        assert_eq!(whole.len(), 3);
        for at in 0..=stream.len() {
            for to in at..=stream.len() {
                let mut splitter = FrameSplitter::new(64, OverLong::Fail);
                let parts = [&stream[..at], &stream[at..to], &stream[to..]];
                assert_eq!(lines(&mut splitter, &parts), whole, "cut at {at} and {to}");
                assert_eq!(splitter.pending(), "{\"half\"".len());
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(lines(&mut FrameSplitter::new(64, OverLong::Fail), &bytes), whole);
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_byte_more_is_refused() {
        for cut in 0..=8 {
            let at = b"12345678\n";
            let mut splitter = FrameSplitter::new(8, OverLong::Fail);
            assert_eq!(
                lines(&mut splitter, &[&at[..cut], &at[cut..]]),
                [Ok(b"12345678".to_vec())],
                "cut at {cut}"
            );
            let over = b"123456789\n";
            let mut splitter = FrameSplitter::new(8, OverLong::Fail);
            let got = lines(&mut splitter, &[&over[..cut], &over[cut..]]);
            assert!(got.contains(&Err(LineTooLong { limit: 8 })), "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_line_is_refused_before_its_end() {
        let mut splitter = FrameSplitter::new(100, OverLong::Fail);
        let mut refused = false;
        for _ in 0..20 {
            refused |= lines(&mut splitter, &[&[b'x'; 10]]).iter().any(Result::is_err);
        }
        assert!(refused);
        assert!(splitter.pending() <= 100);
    }

    #[test]
    fn a_line_that_is_left_out_is_one_error_however_the_text_is_cut() {
        let long = "x".repeat(101);
        let text = format!("one\n\n{long}\ntwo\n{long}{long}\nthree\n");
        for size in [1, 2, 7, 100, 4096] {
            let mut splitter = FrameSplitter::new(100, OverLong::Skip);
            let blocks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let all = lines(&mut splitter, &blocks);
            let too_long = Err(LineTooLong { limit: 100 });
            let whole = |text: &str| Ok(text.as_bytes().to_vec());
            assert_eq!(
                all,
                [whole("one"), too_long.clone(), whole("two"), too_long, whole("three")],
                "{size}"
            );
            assert_eq!(splitter.pending(), 0);
        }
    }

    #[test]
    fn the_memory_of_a_large_line_is_given_back() {
        let mut splitter = FrameSplitter::new(LINE_BYTES_MAX, OverLong::Fail);
        let large = vec![b'x'; 4 * LINE_BYTES_KEPT];
        assert_eq!(lines(&mut splitter, &[&large, b"\n", b"{}\n"]).len(), 2);
        assert!(splitter.partial.capacity() <= LINE_BYTES_KEPT);
    }
}
