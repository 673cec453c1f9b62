//! Parses JSON in place, for objects of which few fields are read.
//!
//! The agent does not read nine tenths of an API object, so speed depends on how fast fields are skipped. Skipped
//! fields are still checked against the whole grammar (RFC 8259): this parser accepts what `serde_json` accepts,
//! and the tests compare the two. There are two deliberate differences: if a member occurs twice, the last one
//! counts, as in the API server's own decoder; and a value that nests deeper than
//! [`crate::limits::JSON_DEPTH_MAX`] is refused.
//!
//! `null` means absent, everywhere: the value that is read into keeps its default.

mod scan;

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::limits::LIST_ITEMS_MAX;

/// Why a text could not be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The text is not valid JSON from this byte on.
    Syntax(usize),
    /// The text is valid JSON, but the value at this byte has another form than expected.
    Form {
        /// Where the value begins.
        at: usize,
        /// The expected form.
        wanted: &'static str,
    },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(at) => write!(f, "invalid JSON at byte {at}"),
            Self::Form { at, wanted } => write!(f, "expected {wanted} at byte {at}"),
        }
    }
}

/// A type into which a value can be parsed.
pub trait Read<'a> {
    /// Reads one value, and moves `json` past it.
    ///
    /// # Errors
    /// The text is not valid JSON, or the value has another form.
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong>;
}

/// An object that is parsed member by member. See the macro `members`.
pub trait Object<'a> {
    /// Reads or skips the value of the member `name`.
    ///
    /// # Errors
    /// The same as for [`Read::read`].
    fn member(&mut self, name: &[u8], json: &mut Json<'a>) -> Result<(), Wrong>;
}

/// Implements [`Object`]: lists the members that are read; all others are skipped.
macro_rules! members {
    ($object:ty { $($name:literal => $field:ident,)* }) => {
        impl<'a> $crate::core::wire::json::Object<'a> for $object {
            fn member(
                &mut self,
                name: &[u8],
                json: &mut $crate::core::wire::json::Json<'a>,
            ) -> Result<(), $crate::core::wire::json::Wrong> {
                match name {
                    $($name => $crate::core::wire::json::Read::read(&mut self.$field, json),)*
                    _ => json.skip(),
                }
            }
        }
    };
}
pub(crate) use members;

/// Parses a text that is exactly one value.
///
/// # Errors
/// The text is not valid JSON, or the value has another form.
pub fn from_slice<'a, T: Read<'a> + Default>(text: &'a [u8]) -> Result<T, Wrong> {
    let mut json = Json { rest: text, len: text.len() };
    let mut value = T::default();
    value.read(&mut json)?;
    match json.token() {
        Err(_) if json.rest.is_empty() => Ok(value),
        _ => Err(Wrong::Syntax(json.at())),
    }
}

/// A text that is being parsed.
#[derive(Debug)]
pub struct Json<'a> {
    /// The part of the text that was not read yet.
    rest: &'a [u8],
    /// Position of the text's end.
    len: usize,
}

impl<'a> Json<'a> {
    /// Returns the position of the next byte.
    fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    /// Returns the error that the text is not valid JSON from the start of `rest` on.
    fn wrong(&self, rest: &[u8]) -> Wrong {
        Wrong::Syntax(self.len - rest.len())
    }

    /// Skips white space and returns the next byte without taking it.
    #[inline]
    fn token(&mut self) -> Result<u8, Wrong> {
        let found = scan::token(self.rest);
        let (Ok((_, rest)) | Err(rest)) = found;
        self.rest = rest;
        found.map(|(byte, _)| byte).map_err(|_| Wrong::Syntax(self.at()))
    }

    /// Takes the next byte.
    #[inline]
    fn take(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Moves past a scanned part, and returns that part.
    #[inline(always)]
    fn pass(&mut self, behind: Result<&'a [u8], &'a [u8]>) -> Result<&'a [u8], Wrong> {
        let rest = behind.map_err(|rest| self.wrong(rest))?;
        let passed = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Ok(passed)
    }

    /// Returns true if the next value is a string.
    pub fn is_at_string(&mut self) -> bool {
        self.token() == Ok(b'"')
    }

    /// Reads the members of an object.
    ///
    /// # Errors
    /// The same as for [`Read::read`].
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

    /// Takes the opening bracket `with`, or `null`. Returns true if it was the bracket.
    fn opens(&mut self, with: u8, wanted: &'static str) -> Result<bool, Wrong> {
        match self.token()? {
            byte if byte == with => self.take(),
            b'n' => return self.null().map(|()| false),
            _ => return Err(self.other_form(wanted)),
        }
        Ok(true)
    }

    /// Returns true if the object or list is empty, and then takes its closing bracket.
    fn closes(&mut self, with: u8) -> Result<bool, Wrong> {
        let is_over = self.token()? == with;
        if is_over {
            self.take();
        }
        Ok(is_over)
    }

    /// Takes what follows a value in an object or list. Returns true if it was the closing bracket.
    #[inline]
    fn ends(&mut self, with: u8) -> Result<bool, Wrong> {
        let byte = self.token()?;
        if byte != b',' && byte != with {
            return Err(Wrong::Syntax(self.at()));
        }
        self.take();
        Ok(byte == with)
    }

    /// Reads a member's name and the colon after it.
    fn name(&mut self) -> Result<Cow<'a, [u8]>, Wrong> {
        if self.token()? != b'"' {
            return Err(Wrong::Syntax(self.at()));
        }
        let name = match self.string()? {
            Quoted::Plain(name) => Cow::Borrowed(name),
            Quoted::Escaped(name) => Cow::Owned(name.into_bytes()),
        };
        if self.token()? != b':' {
            return Err(Wrong::Syntax(self.at()));
        }
        self.take();
        Ok(name)
    }

    /// Reads the string whose opening quote is the next byte.
    fn string(&mut self) -> Result<Quoted<'a>, Wrong> {
        let at = self.at();
        let (rest, is_plain) = scan::string(&self.rest[1..]).map_err(|rest| self.wrong(rest))?;
        let quoted = self.pass(Ok(rest))?;
        match is_plain {
            true => Ok(Quoted::Plain(&quoted[1..quoted.len() - 1])),
            false => unescape(quoted, at).map(Quoted::Escaped),
        }
    }

    fn null(&mut self) -> Result<(), Wrong> {
        self.pass(scan::word(self.rest, b"null")).map(drop)
    }

    /// Skips a value of any kind.
    ///
    /// # Errors
    /// [`Wrong::Syntax`], if the text is not valid JSON.
    pub fn skip(&mut self) -> Result<(), Wrong> {
        self.pass(scan::value(self.rest)).map(drop)
    }

    /// Returns the error for a value that has another form, or is not valid JSON at all.
    #[cold]
    fn other_form(&mut self, wanted: &'static str) -> Wrong {
        let at = self.at();
        self.skip().err().unwrap_or(Wrong::Form { at, wanted })
    }

    /// Reads a whole number. `None`: the value is `null`.
    fn whole<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Wrong> {
        let wanted = "a whole number";
        match self.token()? {
            b'n' => return self.null().map(|()| None),
            b'-' | b'0'..=b'9' => {}
            _ => return Err(self.other_form(wanted)),
        }
        let at = self.at();
        let (rest, is_whole) = scan::number(self.rest).map_err(|rest| self.wrong(rest))?;
        let digits = std::str::from_utf8(self.pass(Ok(rest))?).ok().filter(|_| is_whole);
        let number = digits.and_then(|digits| digits.parse::<i64>().ok());
        let number = number.and_then(|number| number.try_into().ok());
        number.map(Some).ok_or(Wrong::Form { at, wanted })
    }
}

/// A string without its quotes.
enum Quoted<'a> {
    /// The string has no escapes, so its value is its bytes.
    Plain(&'a [u8]),
    /// The string had escapes; this is its value.
    Escaped(String),
}

/// Decodes the string that begins at `at` and has escapes.
#[cold]
fn unescape(quoted: &[u8], at: usize) -> Result<String, Wrong> {
    serde_json::from_slice(quoted).map_err(|_| Wrong::Syntax(at))
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
            return json.null();
        }
        self.insert(T::default()).read(json)
    }
}

/// Implements [`Read`] for the number types of the API.
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

impl Read<'_> for u64 {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        let mut digits = Raw::default();
        digits.read(json)?;
        *self = match digits.0 {
            "null" => 0,
            digits => {
                digits.parse().map_err(|_| Wrong::Form { at: json.at(), wanted: "a count" })?
            }
        };
        Ok(())
    }
}

impl Read<'_> for bool {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        let token = json.token()?;
        *self = token == b't';
        match token {
            b't' | b'f' | b'n' => json.skip(),
            _ => Err(json.other_form("true or false")),
        }
    }
}

/// A value of which only the presence is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anything;

impl Read<'_> for Anything {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        json.skip()
    }
}

/// A value as it was sent, to be parsed when it is needed. Empty if there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// Returns true if there is a value, and it is neither null nor empty.
    pub fn is_some(&self) -> bool {
        !matches!(self.0, "" | "null" | "[]" | "{}")
    }

    /// Returns the value as it was sent; empty if there is none.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Parses the value. Returns the default if it is longer than `bytes_max`, or has another form.
    pub fn get<T: Read<'a> + Default>(&self, bytes_max: usize) -> T {
        let text = Some(self.0).filter(|text| text.len() <= bytes_max);
        text.and_then(|text| from_slice(text.as_bytes()).ok()).unwrap_or_default()
    }
}

impl<'a> Read<'a> for Raw<'a> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        let mut span = Span::default();
        span.read(json)?;
        self.0 = text(span.bytes, span.at)?;
        Ok(())
    }
}

/// A value that was skipped, to be parsed when it is needed. If its member occurs twice, the last value counts as
/// a whole; an object that is parsed at once is instead read into what the first one left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// The bytes of the value; empty if there is none.
    bytes: &'a [u8],
    /// Position of the value in the text.
    at: usize,
}

impl<'a> Span<'a> {
    /// Returns where in the text the value is; `None` if there is none.
    pub fn place(&self) -> Option<Range<usize>> {
        (!self.bytes.is_empty()).then(|| self.at..self.at + self.bytes.len())
    }

    /// Parses the value.
    ///
    /// # Errors
    /// The same as for [`Read::read`].
    pub fn get<T: Read<'a> + Default>(&self) -> Result<T, Wrong> {
        let mut value = T::default();
        if !self.bytes.is_empty() {
            let len = self.at + self.bytes.len();
            value.read(&mut Json { rest: self.bytes, len })?;
        }
        Ok(value)
    }
}

/// Hashes the bytes of the value, but not its position.
impl Hash for Span<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl<'a> Read<'a> for Span<'a> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        json.token()?;
        self.at = json.at();
        self.bytes = json.pass(scan::value(json.rest))?;
        Ok(())
    }
}

/// A string, borrowed if the JSON has no escape in it; `null` is the empty string.
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

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl Text<'_> {
    /// Returns the text, unless it is empty.
    pub fn some(&self) -> Option<&str> {
        (!self.is_empty()).then_some(&**self)
    }

    /// Returns the text as an RFC 3339 time, or `None` if it is not one.
    pub fn time(&self) -> Option<Timestamp> {
        self.some()?.parse().ok()
    }
}

impl<'a> Read<'a> for Text<'a> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        match json.token()? {
            b'"' => {}
            b'n' => return json.null(),
            _ => return Err(json.other_form("a string")),
        }
        let start = json.at();
        self.0 = match json.string()? {
            Quoted::Plain(bytes) => Cow::Borrowed(text(bytes, start + 1)?),
            Quoted::Escaped(text) => Cow::Owned(text),
        };
        Ok(())
    }
}

/// Converts the bytes at position `at` to text, if they are valid UTF-8.
fn text(bytes: &[u8], at: usize) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|error| Wrong::Syntax(at + error.valid_up_to()))
}

impl Read<'_> for Box<str> {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        let mut text = Text::default();
        text.read(json)?;
        *self = text.0.into();
        Ok(())
    }
}

/// A list. `null` is the empty list, and `null` elements are skipped. Elements after the first [`LIST_ITEMS_MAX`]
/// are dropped.
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

impl<'a, T: Read<'a> + Default> Read<'a> for List<T> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        json.list(&mut self.0, LIST_ITEMS_MAX)
    }
}

/// A list of any length, for texts whose length is limited.
impl<'a, T: Read<'a> + Default> Read<'a> for Vec<T> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        json.list(self, usize::MAX)
    }
}

impl<'a> Json<'a> {
    fn list<T: Read<'a> + Default>(&mut self, list: &mut Vec<T>, max: usize) -> Result<(), Wrong> {
        list.clear();
        if !self.opens(b'[', "a list")? || self.closes(b']')? {
            return Ok(());
        }
        loop {
            if self.token()? == b'n' {
                self.null()?;
            } else if list.len() == max {
                self.skip()?;
            } else {
                // The element is read in its final place, since elements are large.
                list.push(T::default());
                if let Some(item) = list.last_mut() {
                    item.read(self)?;
                }
            }
            if self.ends(b']')? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
