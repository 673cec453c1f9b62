//! Splits a byte stream into lines of limited length.
//!
//! The API server writes one JSON document per line and flushes after each, but HTTP chunks, TLS records and
//! reads do not follow line boundaries: a block may end anywhere, even inside a UTF-8 sequence. A line that
//! lies within one block is returned without a copy.

use memchr::memchr;

use crate::limits::{LINE_BYTES_KEPT, LINE_BYTES_MAX};

/// A line is longer than the limit, so the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong {
    /// The limit in bytes.
    pub limit: usize,
}

impl std::fmt::Display for LineTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a line of the watch stream is longer than {} bytes", self.limit)
    }
}

/// Holds the start of a line until the block with its end arrives.
///
/// Invariant: `partial` never contains a newline and never more than `limit` bytes.
#[derive(Debug)]
pub struct FrameSplitter {
    partial: Vec<u8>,
    limit: usize,
}

impl Default for FrameSplitter {
    fn default() -> Self {
        Self::new(LINE_BYTES_MAX)
    }
}

impl FrameSplitter {
    /// Creates a splitter that fails at a line of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { partial: Vec::new(), limit }
    }

    /// Takes in the next block of the stream; [`Frames::next`] returns the lines that it completes. Dropping
    /// [`Frames`] early loses the rest of the block.
    pub fn feed<'a>(&'a mut self, block: &'a [u8]) -> Frames<'a> {
        Frames { splitter: self, rest: block, hand_back: false }
    }

    /// Returns the number of bytes of an incomplete line. At the end of a stream they are the partial line that
    /// a broken connection left behind, to be counted and discarded.
    pub fn pending(&self) -> usize {
        self.partial.len()
    }

    /// Discards a partial line, for the start of a new stream.
    pub fn reset(&mut self) {
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
    /// Returns the next whole line without its newline, skipping blank lines, or `None` when the block is used
    /// up. After an error the stream must be closed.
    #[expect(clippy::should_implement_trait, reason = "lends the line: no Iterator can do that")]
    pub fn next(&mut self) -> Option<Result<&[u8], LineTooLong>> {
        loop {
            if std::mem::take(&mut self.hand_back) {
                self.splitter.reset();
            }
            let limit = self.splitter.limit;
            let Some(end) = memchr(b'\n', self.rest) else {
                return self.keep_rest(limit);
            };
            let (head, tail) = self.rest.split_at(end);
            self.rest = &tail[1..];
            if self.splitter.partial.len() + head.len() > limit {
                return Some(Err(LineTooLong { limit }));
            }
            if self.splitter.partial.is_empty() {
                if !is_blank(head) {
                    return Some(Ok(head));
                }
                continue;
            }
            self.splitter.partial.extend_from_slice(head);
            self.hand_back = true;
            if !is_blank(&self.splitter.partial) {
                return Some(Ok(&self.splitter.partial));
            }
        }
    }

    fn keep_rest(&mut self, limit: usize) -> Option<Result<&[u8], LineTooLong>> {
        let rest = std::mem::take(&mut self.rest);
        if self.splitter.partial.len() + rest.len() > limit {
            return Some(Err(LineTooLong { limit }));
        }
        self.splitter.partial.extend_from_slice(rest);
        None
    }
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
        let whole = lines(&mut FrameSplitter::new(64), &[stream]);
        assert_eq!(whole.len(), 3);
        for at in 0..=stream.len() {
            for to in at..=stream.len() {
                let mut splitter = FrameSplitter::new(64);
                let parts = [&stream[..at], &stream[at..to], &stream[to..]];
                assert_eq!(lines(&mut splitter, &parts), whole, "cut at {at} and {to}");
                assert_eq!(splitter.pending(), "{\"half\"".len());
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(lines(&mut FrameSplitter::new(64), &bytes), whole);
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_byte_more_is_refused() {
        for cut in 0..=8 {
            let at = b"12345678\n";
            let mut splitter = FrameSplitter::new(8);
            assert_eq!(
                lines(&mut splitter, &[&at[..cut], &at[cut..]]),
                [Ok(b"12345678".to_vec())],
                "cut at {cut}"
            );
            let over = b"123456789\n";
            let mut splitter = FrameSplitter::new(8);
            let got = lines(&mut splitter, &[&over[..cut], &over[cut..]]);
            assert!(got.contains(&Err(LineTooLong { limit: 8 })), "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_line_is_refused_before_its_end() {
        let mut splitter = FrameSplitter::new(100);
        let mut refused = false;
        for _ in 0..20 {
            refused |= lines(&mut splitter, &[&[b'x'; 10]]).iter().any(Result::is_err);
        }
        assert!(refused);
        assert!(splitter.pending() <= 100);
    }

    #[test]
    fn the_memory_of_a_large_line_is_given_back() {
        let mut splitter = FrameSplitter::new(LINE_BYTES_MAX);
        let large = vec![b'x'; 4 * LINE_BYTES_KEPT];
        assert_eq!(lines(&mut splitter, &[&large, b"\n", b"{}\n"]).len(), 2);
        assert!(splitter.partial.capacity() <= LINE_BYTES_KEPT);
    }
}
