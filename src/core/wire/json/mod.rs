//! Reads JSON where it lies, for objects of which few fields matter.
//!
//! Nine tenths of an object of the API are fields that the agent does not read, so what counts is how fast
//! they are passed over. They are still held against the whole grammar (RFC 8259): what is accepted here
//! is what `serde_json` accepts, and the tests hold the one against the other. Two things differ on
//! purpose: of a member that is there twice the last one counts, as it does for the API server's own
//! decoder, and what nests deeper than [`crate::limits::JSON_DEPTH_MAX`] is refused.
//!
//! `null` is absent, everywhere: it leaves the value that is read into as it was made.

mod scan;

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use jiff::Timestamp;

use crate::limits::LIST_ITEMS_MAX;

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

/// Reads a text that is one value and nothing else.
///
/// # Errors
/// It is no JSON, or has another form.
pub fn from_slice<'a, T: Read<'a> + Default>(text: &'a [u8]) -> Result<T, Wrong> {
    let mut json = Json { rest: text, len: text.len() };
    let mut value = T::default();
    value.read(&mut json)?;
    match json.token() {
        Err(_) if json.rest.is_empty() => Ok(value),
        _ => Err(Wrong::Syntax(json.at())),
    }
}

/// A text that is being read.
#[derive(Debug)]
pub struct Json<'a> {
    /// What was not read yet.
    rest: &'a [u8],
    /// The place of its end.
    len: usize,
}

impl<'a> Json<'a> {
    /// The place of what comes next.
    fn at(&self) -> usize {
        self.len - self.rest.len()
    }

    /// It is no JSON from where so much of it is left.
    fn wrong(&self, rest: &[u8]) -> Wrong {
        Wrong::Syntax(self.len - rest.len())
    }

    /// The next byte that is no white space, which is not taken.
    #[inline]
    fn token(&mut self) -> Result<u8, Wrong> {
        let found = scan::token(self.rest);
        let (Ok((_, rest)) | Err(rest)) = found;
        self.rest = rest;
        found.map(|(byte, _)| byte).map_err(|_| Wrong::Syntax(self.at()))
    }

    /// Takes the byte that is next.
    #[inline]
    fn take(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Goes on behind what was scanned; what that was.
    #[inline(always)]
    fn pass(&mut self, behind: Result<&'a [u8], &'a [u8]>) -> Result<&'a [u8], Wrong> {
        let rest = behind.map_err(|rest| self.wrong(rest))?;
        let passed = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Ok(passed)
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
            byte if byte == with => self.take(),
            b'n' => return self.null().map(|()| false),
            _ => return Err(self.other_form(wanted)),
        }
        Ok(true)
    }

    /// Whether the object or list is over before it began.
    fn closes(&mut self, with: u8) -> Result<bool, Wrong> {
        let is_over = self.token()? == with;
        if is_over {
            self.take();
        }
        Ok(is_over)
    }

    /// Whether the object or list is over behind one of its values.
    #[inline]
    fn ends(&mut self, with: u8) -> Result<bool, Wrong> {
        let byte = self.token()?;
        if byte != b',' && byte != with {
            return Err(Wrong::Syntax(self.at()));
        }
        self.take();
        Ok(byte == with)
    }

    /// A member's name and the colon behind it.
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

    /// The string whose opening quote is next.
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

    /// Passes over a value of any kind.
    ///
    /// # Errors
    /// [`Wrong::Syntax`].
    pub fn skip(&mut self) -> Result<(), Wrong> {
        self.pass(scan::value(self.rest)).map(drop)
    }

    /// What is wrong where a value of another form is, if it is one at all.
    #[cold]
    fn other_form(&mut self, wanted: &'static str) -> Wrong {
        let at = self.at();
        self.skip().err().unwrap_or(Wrong::Form { at, wanted })
    }

    /// A whole number; `None`: `null`.
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

/// A string between its quotes.
enum Quoted<'a> {
    /// It is what it looks like.
    Plain(&'a [u8]),
    /// It had escapes.
    Escaped(String),
}

/// The string that begins at `at` and has escapes.
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
            b't' | b'f' | b'n' => json.skip(),
            _ => Err(json.other_form("true or false")),
        }
    }
}

/// A value of which it only matters that it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// What it says; nothing where that is longer than `bytes_max`, or has another form.
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

/// A value that was passed over, to be read when it is wanted. Of one that is there twice the last counts,
/// whole: also an object, which is else read into what the first one left.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// Empty: there is none.
    bytes: &'a [u8],
    /// Its place in the text.
    at: usize,
}

impl<'a> Span<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// As [`Read::read`].
    pub fn get<T: Read<'a> + Default>(&self) -> Result<T, Wrong> {
        let mut value = T::default();
        if !self.bytes.is_empty() {
            let len = self.at + self.bytes.len();
            value.read(&mut Json { rest: self.bytes, len })?;
        }
        Ok(value)
    }
}

/// By its bytes as they came: its place says nothing of it.
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

/// The bytes as what they must be, text; `at`: their place.
fn text(bytes: &[u8], at: usize) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|error| Wrong::Syntax(at + error.valid_up_to()))
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

impl<'a, T: Read<'a> + Default> Read<'a> for List<T> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<(), Wrong> {
        self.0.clear();
        if !json.opens(b'[', "a list")? || json.closes(b']')? {
            return Ok(());
        }
        loop {
            if json.token()? == b'n' {
                json.null()?;
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
mod tests;
