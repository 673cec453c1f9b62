//! Reads JSON where it lies, for objects of which few fields matter.
//!
//! Nine tenths of an object of the API are fields that the agent does not read, so what counts is how fast
//! they are passed over. They are still held against the whole grammar (RFC 8259): what is accepted here
//! is what `serde_json` accepts, and the tests hold the one against the other. Two things differ on
//! purpose: of a member that is there twice the last one counts, as it does for the API server's own
//! decoder, and what nests deeper than [`JSON_DEPTH_MAX`] is refused.
//!
//! `null` is absent, everywhere: it leaves the value that is read into as it was made.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use jiff::Timestamp;

use crate::limits::{JSON_DEPTH_MAX, LIST_ITEMS_MAX};

/// Why a text could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is no JSON, from this byte on.
    Syntax(usize),
    /// It is JSON, but the value behind this byte has another form than it should.
    Form {
        /// Where it begins.
        at: usize,
        /// What it should be.
        wanted: &'static str,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(at) => write!(f, "no JSON from byte {at} on"),
            Self::Form { at, wanted } => write!(f, "{wanted} is expected at byte {at}"),
        }
    }
}

/// What a value is read into.
pub trait Read<'a> {
    /// Reads one value, and leaves `json` behind it.
    ///
    /// # Errors
    /// It is no JSON, or has another form.
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong>;
}

/// An object by its members. See the macro `members`.
pub trait Object<'a> {
    /// Reads or skips the value of the member of that name.
    ///
    /// # Errors
    /// As [`Read::read`].
    fn member(&mut self, name: &[u8], json: &mut Json<'a>) -> Result<(), Wrong>;
}

/// The members of an object that are read; all others are skipped.
macro_rules! members {
    ($object:ty { $($name:literal => $field:ident,)* }) => {
        impl<'a> $crate::core::json::Object<'a> for $object {
            fn member(
                &mut self,
                name: &[u8],
                json: &mut $crate::core::json::Json<'a>,
            ) -> Result<(), $crate::core::json::Wrong> {
                match name {
                    $($name => $crate::core::json::Read::read(&mut self.$field, json),)*
                    _ => json.skip(),
                }
            }
        }
    };
}
pub(crate) use members;

/// Reads a text that is one value and nothing else.
///
/// # Errors
/// It is no JSON, or has another form.
pub fn from_slice<'a, T: Read<'a> + Default>(text: &'a [u8]) -> Result<T, Wrong> {
    let mut json = Json { text, at: 0 };
    let mut value = T::default();
    value.read(&mut json)?;
    match json.token() {
        Err(_) if json.at == text.len() => Ok(value),
        _ => Err(Wrong::Syntax(json.at)),
    }
}

/// A text that is being read.
#[derive(Debug)]
pub struct Json<'a> {
    text: &'a [u8],
    /// Never behind its end.
    at: usize,
}

impl<'a> Json<'a> {
    /// The next byte that is no white space, which is not taken.
    #[inline]
    fn token(&mut self) -> Result<u8, Wrong> {
        token(self.text, &mut self.at)
    }

    /// Whether the next value is a string.
    pub fn is_at_string(&mut self) -> bool {
        self.token() == Ok(b'"')
    }

    /// Reads the members of an object.
    ///
    /// # Errors
    /// As [`Read::read`].
    pub fn object(&mut self, into: &mut dyn Object<'a>) -> Result<(), Wrong> {
        if !self.opens(b'{', "an object")? {
            return Ok(());
        }
        if self.closes(b'}')? {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            into.member(&name, self)?;
            if self.ends(b'}')? {
                return Ok(());
            }
        }
    }

    /// Whether there is such a thing; else `null` was there.
    fn opens(&mut self, with: u8, wanted: &'static str) -> Result<bool, Wrong> {
        match self.token()? {
            byte if byte == with => self.at += 1,
            b'n' => return self.word(b"null").map(|()| false),
            _ => return Err(self.other_form(wanted)),
        }
        Ok(true)
    }

    /// Whether the object or list is over before it began.
    fn closes(&mut self, with: u8) -> Result<bool, Wrong> {
        let is_over = self.token()? == with;
        self.at += usize::from(is_over);
        Ok(is_over)
    }

    /// Whether the object or list is over behind one of its values.
    #[inline]
    fn ends(&mut self, with: u8) -> Result<bool, Wrong> {
        let byte = self.token()?;
        if byte != b',' && byte != with {
            return Err(Wrong::Syntax(self.at));
        }
        self.at += 1;
        Ok(byte == with)
    }

    /// A member's name and the colon behind it.
    fn name(&mut self) -> Result<Cow<'a, [u8]>, Wrong> {
        if self.token()? != b'"' {
            return Err(Wrong::Syntax(self.at));
        }
        let start = self.at;
        let is_plain = self.string()?;
        let name = match is_plain {
            true => Cow::Borrowed(&self.text[start + 1..self.at - 1]),
            false => Cow::Owned(self.unescape(start)?.into_bytes()),
        };
        self.colon()?;
        Ok(name)
    }

    #[inline]
    fn colon(&mut self) -> Result<(), Wrong> {
        if self.token()? != b':' {
            return Err(Wrong::Syntax(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes over a string, from its opening quote on. Whether it is what it looks like: it has no escape.
    fn string(&mut self) -> Result<bool, Wrong> {
        let (end, is_plain) = string_end(self.text, self.at + 1)?;
        self.at = end;
        Ok(is_plain)
    }

    /// The string from `start` to here, which was passed over and has escapes.
    #[cold]
    fn unescape(&self, start: usize) -> Result<String, Wrong> {
        serde_json::from_slice(&self.text[start..self.at]).map_err(|_| Wrong::Syntax(start))
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Wrong> {
        self.at = word_end(self.text, self.at, word)?;
        Ok(())
    }

    /// Passes over a value of any kind.
    ///
    /// # Errors
    /// [`Wrong::Syntax`].
    pub fn skip(&mut self) -> Result<(), Wrong> {
        self.at = value_end(self.text, self.at)?;
        Ok(())
    }

    /// What is wrong where a value of another form is, if it is one at all.
    #[cold]
    fn other_form(&mut self, wanted: &'static str) -> Wrong {
        let at = self.at;
        self.skip().err().unwrap_or(Wrong::Form { at, wanted })
    }

    /// A whole number; `None`: `null`.
    fn whole<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Wrong> {
        let wanted = "a whole number";
        match self.token()? {
            b'n' => return self.word(b"null").map(|()| None),
            b'-' | b'0'..=b'9' => {}
            _ => return Err(self.other_form(wanted)),
        }
        let at = self.at;
        let is_whole;
        (self.at, is_whole) = number_end(self.text, at)?;
        let digits = std::str::from_utf8(&self.text[at..self.at]).ok().filter(|_| is_whole);
        let number = digits.and_then(|digits| digits.parse::<i64>().ok());
        let number = number.and_then(|number| number.try_into().ok());
        number.map(Some).ok_or(Wrong::Form { at, wanted })
    }
}

// Where the time goes: `at` stays in a register in these, which is why they are no methods.

/// The next byte that is no white space; `at` is where it is.
#[inline(always)]
fn token(text: &[u8], at: &mut usize) -> Result<u8, Wrong> {
    loop {
        match text.get(*at) {
            Some(byte) if *byte > b' ' => return Ok(*byte),
            Some(b' ' | b'\n' | b'\r' | b'\t') => *at += 1,
            _ => return Err(Wrong::Syntax(*at)),
        }
    }
}

/// Where the value that begins at `at` ends.
fn value_end(text: &[u8], mut at: usize) -> Result<usize, Wrong> {
    // The brackets that are open, the innermost one last: 1 for an object.
    let mut open = 0_u128;
    let mut depth = 0;
    loop {
        match token(text, &mut at)? {
            b'"' => at = string_end(text, at + 1)?.0,
            bracket @ (b'{' | b'[') => {
                at += 1;
                // Both closing brackets stand two behind their opening ones.
                if token(text, &mut at)? == bracket + 2 {
                    at += 1;
                } else {
                    if depth == JSON_DEPTH_MAX {
                        return Err(Wrong::Syntax(at));
                    }
                    depth += 1;
                    open = open << 1 | u128::from(bracket == b'{');
                    if bracket == b'{' {
                        at = name_end(text, at)?;
                    }
                    continue;
                }
            }
            b'-' | b'0'..=b'9' => at = number_end(text, at)?.0,
            b't' => at = word_end(text, at, b"true")?,
            b'f' => at = word_end(text, at, b"false")?,
            b'n' => at = word_end(text, at, b"null")?,
            _ => return Err(Wrong::Syntax(at)),
        }
        // A value has come to its end, and whatever ends with it.
        loop {
            if depth == 0 {
                return Ok(at);
            }
            let is_object = open & 1 == 1;
            match token(text, &mut at)? {
                b',' => {
                    at += 1;
                    if is_object {
                        at = name_end(text, at)?;
                    }
                    break;
                }
                b'}' if is_object => at += 1,
                b']' if !is_object => at += 1,
                _ => return Err(Wrong::Syntax(at)),
            }
            depth -= 1;
            open >>= 1;
        }
    }
}

/// Where a member's name and the colon behind it end.
#[inline(always)]
fn name_end(text: &[u8], mut at: usize) -> Result<usize, Wrong> {
    if token(text, &mut at)? != b'"' {
        return Err(Wrong::Syntax(at));
    }
    at = string_end(text, at + 1)?.0;
    if token(text, &mut at)? != b':' {
        return Err(Wrong::Syntax(at));
    }
    Ok(at + 1)
}

fn word_end(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Wrong> {
    if text[at..].starts_with(word) { Ok(at + word.len()) } else { Err(Wrong::Syntax(at)) }
}

/// Where the number that begins at `at` ends, and whether it is a whole one.
fn number_end(text: &[u8], mut at: usize) -> Result<(usize, bool), Wrong> {
    let digits = |at: usize| {
        let len = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len > 0 { Ok(at + len) } else { Err(Wrong::Syntax(at)) }
    };
    let has = |at: usize, bytes: &[u8]| text.get(at).is_some_and(|byte| bytes.contains(byte));
    at += usize::from(has(at, b"-"));
    // A digit behind a leading 0 is refused by what comes next: it is no comma and no bracket.
    at = if has(at, b"0") { at + 1 } else { digits(at)? };
    let mut is_whole = true;
    if has(at, b".") {
        is_whole = false;
        at = digits(at + 1)?;
    }
    if has(at, b"eE") {
        is_whole = false;
        at += 1;
        at = digits(at + usize::from(has(at, b"+-")))?;
    }
    Ok((at, is_whole))
}

/// Where the string that begins at `at`, behind its opening quote, ends: behind its closing one. Whether it
/// is what it looks like: it has no escape.
///
/// Most strings are short: what counts is not how many bytes are looked at in one step, but that a string
/// seldom takes more than one.
#[inline(always)]
fn string_end(text: &[u8], mut at: usize) -> Result<(usize, bool), Wrong> {
    let mut is_plain = true;
    loop {
        while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<16>) {
            let block = u128::from_le_bytes(*block);
            let found = special(block as u64);
            at += found.trailing_zeros() as usize / 8;
            if found != 0 {
                break;
            }
            let found = special((block >> 64) as u64);
            at += found.trailing_zeros() as usize / 8;
            if found != 0 {
                break;
            }
        }
        match text.get(at) {
            Some(b'"') => return Ok((at + 1, is_plain)),
            Some(b'\\') => {
                is_plain = false;
                at = escape_end(text, at)?;
            }
            Some(0..=0x1f) | None => return Err(Wrong::Syntax(at)),
            // In the last block, which is no whole one.
            Some(_) => at += 1,
        }
    }
}

/// Where the escape that begins at `at` ends.
fn escape_end(text: &[u8], at: usize) -> Result<usize, Wrong> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            let digits = text.get(at + 2..at + 6);
            let is_number = digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            if is_number { Ok(at + 6) } else { Err(Wrong::Syntax(at)) }
        }
        _ => Err(Wrong::Syntax(at)),
    }
}

/// The bytes of a block that end a run of plain ones: quotes, backslashes, control characters. The lowest
/// bit that is set is the high bit of the first of them; higher ones may be set in vain.
#[inline]
fn special(block: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let less_one = |block: u64| block.wrapping_sub(ONES);
    let quote = less_one(block ^ (ONES * b'"' as u64));
    let backslash = less_one(block ^ (ONES * b'\\' as u64));
    let control = block.wrapping_sub(ONES * 0x20);
    (quote | backslash | control) & !block & (ONES << 7)
}

impl<'a, T: Object<'a>> Read<'a> for T {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        json.object(self)
    }
}

impl<'a, T: Read<'a> + Default> Read<'a> for Option<T> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        *self = None;
        if json.token()? == b'n' {
            return json.word(b"null");
        }
        self.insert(T::default()).read(json)
    }
}

/// The numbers and flags of the API.
macro_rules! whole {
    ($($number:ty),*) => {$(
        impl Read<'_> for $number {
            fn read(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
                *self = json.whole()?.unwrap_or_default();
                Ok(())
            }
        }
    )*};
}
whole!(i64, i32, u32, u16);

impl Read<'_> for bool {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        let token = json.token()?;
        *self = token == b't';
        match token {
            b't' => json.word(b"true"),
            b'f' => json.word(b"false"),
            b'n' => json.word(b"null"),
            _ => Err(json.other_form("true or false")),
        }
    }
}

/// A value of which it only matters that it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Anything;

impl Read<'_> for Anything {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        json.skip()
    }
}

/// A value as it was sent, not looked into before it is wanted; empty: there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// Its text.
    pub fn text(&self) -> &'a str {
        self.0
    }
}

impl<'a> Read<'a> for Raw<'a> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        json.token()?;
        let start = json.at;
        json.skip()?;
        self.0 = std::str::from_utf8(&json.text[start..json.at])
            .map_err(|error| Wrong::Syntax(start + error.valid_up_to()))?;
        Ok(())
    }
}

/// A string, borrowed where the JSON holds no escape; `null` is the empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl Text<'_> {
    /// The text, unless it is empty.
    pub fn some(&self) -> Option<&str> {
        (!self.is_empty()).then_some(&**self)
    }

    /// The text as an RFC 3339 time; a time that cannot be read is no time.
    pub fn time(&self) -> Option<Timestamp> {
        self.some()?.parse().ok()
    }
}

impl<'a> Read<'a> for Text<'a> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        match json.token()? {
            b'"' => {}
            b'n' => return json.word(b"null"),
            _ => return Err(json.other_form("a string")),
        }
        let start = json.at;
        self.0 = if json.string()? {
            let text = std::str::from_utf8(&json.text[start + 1..json.at - 1]);
            Cow::Borrowed(text.map_err(|e| Wrong::Syntax(start + 1 + e.valid_up_to()))?)
        } else {
            Cow::Owned(json.unescape(start)?)
        };
        Ok(())
    }
}

/// A list; `null` is the empty one, and none of its elements. What is more than [`LIST_ITEMS_MAX`] of them
/// is left out.
#[derive(Clone, Debug)]
pub struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Hash> Hash for List<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<'a, T: Read<'a> + Default> Read<'a> for List<T> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        self.0.clear();
        if !json.opens(b'[', "a list")? || json.closes(b']')? {
            return Ok(());
        }
        loop {
            if json.token()? == b'n' {
                json.word(b"null")?;
            } else if self.0.len() == LIST_ITEMS_MAX {
                json.skip()?;
            } else {
                // Read in its place: they are large.
                self.0.push(T::default());
                if let Some(item) = self.0.last_mut() {
                    item.read(json)?;
                }
            }
            if json.ends(b']')? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
#[path = "json/tests.rs"]
mod tests;
