//! Splits a LIST response into pods while it arrives, one pod at a time.
//!
//! The response for a node with 500 pods has 10 MB; only one pod of it is ever held in memory. The scanner
//! knows just enough JSON (strings, escapes and nesting) to find the members of the outermost object and the
//! elements of its `items` array; [`crate::core::wire`] decodes the elements. So an unreadable pod costs only
//! that pod, not the LIST. Members may come in any order and with any whitespace.
//!
//! ```text
//! Start ─'{'▶ Key ─'"'▶ InKey ─'"'▶ Colon ─':'▶ Value ─▶ InValue ─▶ Key
//!              │                                   └ items: '[' ▶ Items ─▶ InItem ─▶ Items ─']'▶ Key
//!              └'}'▶ Done
//! ```

use memchr::memchr2;

use crate::core::stream::frame::append;
use crate::limits::{LINE_BYTES_KEPT, LINE_BYTES_MAX};

/// A part of a LIST response.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// One element of `items`, as sent.
    Item(&'a [u8]),
    /// The value of `metadata`, which holds the list's `resourceVersion`.
    Metadata(&'a [u8]),
}

/// Why a LIST response could not be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListError {
    /// The bytes are not a JSON object; the number is the offset of the first wrong byte.
    NotJson(u64),
    /// One item, or the metadata, is larger than this limit in bytes.
    ItemTooLong(usize),
    /// The response ended before the list did.
    Truncated,
}

impl std::fmt::Display for ListError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotJson(at) => write!(f, "the list is not a JSON object (byte {at})"),
            Self::ItemTooLong(limit) => write!(f, "an item of the list exceeds {limit} bytes"),
            Self::Truncated => write!(f, "the list ended before its last item"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Key,
    InKey,
    Colon,
    Value,
    InValue,
    Items,
    InItem,
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    Items,
    Metadata,
    #[default]
    Other,
}

/// The scanner's state between two blocks.
#[derive(Debug)]
pub struct ListSplitter {
    at: At,
    key: Key,
    /// The start of a key, value or item that is not complete yet.
    partial: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
    offset: u64,
    limit: usize,
}

impl Default for ListSplitter {
    fn default() -> Self {
        Self::new(LINE_BYTES_MAX)
    }
}

impl ListSplitter {
    /// Creates a splitter that fails at an item of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            at: At::Start,
            key: Key::Other,
            partial: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            offset: 0,
            limit,
        }
    }

    /// Takes in the next block of the response.
    pub fn feed<'a>(&'a mut self, block: &'a [u8]) -> Pieces<'a> {
        Pieces { splitter: self, block, from: 0, hand_back: false }
    }

    /// Checks that the outermost object was closed, so that the list is complete.
    ///
    /// # Errors
    /// [`ListError::Truncated`] if it was not.
    pub fn finish(&self) -> Result<(), ListError> {
        if self.at == At::Done { Ok(()) } else { Err(ListError::Truncated) }
    }

    /// Scans a value from `bytes[0]`; returns how many bytes belong to it, and whether it is complete.
    fn scan_value(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut i = 0;
        while i < bytes.len() {
            if self.in_string {
                if std::mem::take(&mut self.escaped) {
                    i += 1;
                    continue;
                }
                let Some(at) = memchr2(b'"', b'\\', &bytes[i..]) else {
                    return (bytes.len(), false);
                };
                i += at + 1;
                if bytes[i - 1] == b'\\' {
                    self.escaped = true;
                } else {
                    self.in_string = false;
                    if self.depth == 0 {
                        return (i, true);
                    }
                }
                continue;
            }
            match bytes[i] {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return (i, true),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (i + 1, true);
                    }
                }
                b',' if self.depth == 0 => return (i, true),
                _ => {}
            }
            i += 1;
        }
        (bytes.len(), false)
    }
}

/// The pieces that one block completes.
#[derive(Debug)]
pub struct Pieces<'a> {
    splitter: &'a mut ListSplitter,
    block: &'a [u8],
    from: usize,
    hand_back: bool,
}

impl Pieces<'_> {
    /// Returns the next piece, or `None` when the block is used up. After an error the response must be dropped.
    #[expect(clippy::should_implement_trait, reason = "lends the piece: no Iterator can do that")]
    pub fn next(&mut self) -> Option<Result<Piece<'_>, ListError>> {
        if std::mem::take(&mut self.hand_back) {
            self.splitter.partial.clear();
            self.splitter.partial.shrink_to(LINE_BYTES_KEPT);
        }
        while self.from < self.block.len() {
            if matches!(self.splitter.at, At::InValue | At::InItem) {
                match self.value() {
                    Ok(Some(range)) => return Some(Ok(self.piece(range))),
                    Ok(None) => continue,
                    Err(e) => return Some(Err(e)),
                }
            }
            let byte = self.block[self.from];
            if let Err(e) = self.structure(byte) {
                return Some(Err(e));
            }
        }
        self.splitter.offset += self.block.len() as u64;
        self.block = &[];
        self.from = 0;
        None
    }

    /// Handles one byte outside of values.
    fn structure(&mut self, byte: u8) -> Result<(), ListError> {
        let s = &mut *self.splitter;
        if s.at != At::InKey && byte.is_ascii_whitespace() {
            self.from += 1;
            return Ok(());
        }
        let next = match (s.at, byte) {
            (At::Start, b'{') => At::Key,
            (At::Key, b',') => At::Key,
            (At::Key, b'"') => At::InKey,
            (At::Key, b'}') => At::Done,
            (At::InKey, b'"') if !s.escaped => {
                s.key = match s.partial.as_slice() {
                    b"items" => Key::Items,
                    b"metadata" => Key::Metadata,
                    _ => Key::Other,
                };
                s.partial.clear();
                At::Colon
            }
            (At::InKey, _) => {
                // No relevant key is longer than `metadata`; a longer one, cut, still matches none of them.
                if s.partial.len() <= "metadata".len() {
                    s.partial.push(byte);
                }
                s.escaped = byte == b'\\' && !s.escaped;
                At::InKey
            }
            (At::Colon, b':') => At::Value,
            (At::Value, b'[') if s.key == Key::Items => At::Items,
            (At::Value, b',' | b':' | b'}' | b']') => return Err(self.wrong()),
            (At::Value, _) => {
                s.at = At::InValue;
                return Ok(());
            }
            (At::Items, b',') => At::Items,
            (At::Items, b']') => At::Key,
            (At::Items, b'}' | b':') => return Err(self.wrong()),
            (At::Items, _) => {
                s.at = At::InItem;
                return Ok(());
            }
            _ => return Err(self.wrong()),
        };
        s.at = next;
        self.from += 1;
        Ok(())
    }

    /// Scans bytes of a value. Returns its range in the block if it lies wholly in this block, an empty range if
    /// the complete value is in `partial`, and `None` if there is nothing to return yet.
    fn value(&mut self) -> Result<Option<std::ops::Range<usize>>, ListError> {
        let s = &mut *self.splitter;
        let wanted = s.at == At::InItem || s.key == Key::Metadata;
        let bytes = &self.block[self.from..];
        let (len, ended) = s.scan_value(bytes);
        let range = self.from..self.from + len;
        self.from += len;
        if wanted && s.partial.len() + len > s.limit {
            return Err(ListError::ItemTooLong(s.limit));
        }
        if !ended {
            if wanted {
                append(&mut s.partial, &bytes[..len], s.limit);
            }
            return Ok(None);
        }
        if !wanted {
            s.at = At::Key;
            return Ok(None);
        }
        if s.partial.is_empty() {
            return Ok(Some(range));
        }
        append(&mut s.partial, &bytes[..len], s.limit);
        self.hand_back = true;
        Ok(Some(0..0))
    }

    fn piece(&mut self, range: std::ops::Range<usize>) -> Piece<'_> {
        let s = &mut *self.splitter;
        let bytes = if range.is_empty() { s.partial.as_slice() } else { &self.block[range] };
        if s.at == At::InItem {
            s.at = At::Items;
            Piece::Item(bytes)
        } else {
            s.at = At::Key;
            Piece::Metadata(bytes)
        }
    }

    fn wrong(&self) -> ListError {
        ListError::NotJson(self.splitter.offset + self.from as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(blocks: &[&[u8]]) -> (Vec<String>, Result<(), ListError>) {
        let mut splitter = ListSplitter::new(1 << 10);
        let mut out = Vec::new();
        for block in blocks {
            let mut pieces = splitter.feed(block);
            while let Some(piece) = pieces.next() {
                match piece {
                    Ok(Piece::Item(i)) => out.push(format!("i{}", String::from_utf8_lossy(i))),
                    Ok(Piece::Metadata(m)) => out.push(format!("m{}", String::from_utf8_lossy(m))),
                    Err(e) => return (out, Err(e)),
                }
            }
        }
        (out, splitter.finish())
    }

    const LIST: &[u8] =
        br#" {"kind":"PodList","x":[1,{"items":[9]}],"metadata":{"resourceVersion":"461"},
        "items":[ {"a":"}]\"{\\"} ,{"b":[{},[]]},null,7,"s\"]" ],"t":true,"n":null} "#;

    #[test]
    fn every_split_of_a_list_gives_the_same_pieces() {
        let want = [
            r#"m{"resourceVersion":"461"}"#,
            r#"i{"a":"}]\"{\\"}"#,
            r#"i{"b":[{},[]]}"#,
            "inull",
            "i7",
            r#"i"s\"]""#,
        ];
        for at in 0..=LIST.len() {
            let (got, end) = pieces(&[&LIST[..at], &LIST[at..]]);
            assert_eq!(got, want, "cut at {at}");
            assert_eq!(end, Ok(()), "cut at {at}");
        }
        let single: Vec<&[u8]> = LIST.chunks(1).collect();
        assert_eq!(pieces(&single).0, want);
    }

    #[test]
    fn every_prefix_of_a_list_is_truncated_and_never_whole() {
        let end = LIST.iter().rposition(|b| *b == b'}').unwrap();
        for at in 0..=end {
            assert_eq!(pieces(&[&LIST[..at]]).1, Err(ListError::Truncated), "prefix {at}");
        }
    }

    #[test]
    fn odd_lists_are_told_apart() {
        let cases: [(&str, usize, Result<(), ListError>); 9] = [
            (r#"{"a\"b":[],"\\":{},"items":[1],"items\"":[2]}"#, 1, Ok(())),
            ("{}", 0, Ok(())),
            (r#"{"items":null,"metadata":{}}"#, 1, Ok(())),
            (r#"{"items":[],"metadata":{"resourceVersion":"1"}}"#, 1, Ok(())),
            ("[]", 0, Err(ListError::NotJson(0))),
            ("<html>", 0, Err(ListError::NotJson(0))),
            ("", 0, Err(ListError::Truncated)),
            (r#"{"items":[{}]} x"#, 1, Err(ListError::NotJson(15))),
            (r#"{"items":}"#, 0, Err(ListError::NotJson(9))),
        ];
        for (text, count, end) in cases {
            let got = pieces(&[text.as_bytes()]);
            assert_eq!((got.0.len(), got.1), (count, end), "{text}");
        }
    }

    #[test]
    fn an_item_over_the_limit_ends_the_list() {
        let text = format!(r#"{{"items":[{{"a":"{}"}}]}}"#, "x".repeat(2000));
        assert_eq!(pieces(&[text.as_bytes()]).1, Err(ListError::ItemTooLong(1 << 10)));
        let blocks: Vec<&[u8]> = text.as_bytes().chunks(100).collect();
        assert_eq!(pieces(&blocks).1, Err(ListError::ItemTooLong(1 << 10)));
    }
}
