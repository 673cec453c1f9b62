//! Searches that are made in every line: each byte is looked at once, however many words are looked for.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A text that is looked for in every line: what is known about it is computed once.
pub(super) type Text = LazyLock<Finder<'static>>;

/// Makes such a text.
macro_rules! text {
    ($text:expr) => {
        std::sync::LazyLock::new(|| memchr::memmem::Finder::new($text))
    };
}
pub(super) use text;

/// Splits a text around the first place of another one.
pub(super) fn split<'a>(text: &'a str, by: &Text) -> Option<(&'a str, &'a str)> {
    let at = by.find(text.as_bytes())?;
    Some((&text[..at], &text[at + by.needle().len()..]))
}

/// Returns what stands behind the first place of another text.
pub(super) fn behind<'a>(text: &'a str, lead: &Text) -> Option<&'a str> {
    split(text, lead).map(|(_, behind)| behind)
}

/// What ends a name and begins a message.
pub(super) static COLON: Text = text!(": ");

/// Short words, each as one number: all are compared with a word in a few nanoseconds.
pub(super) struct Short<const N: usize>([u128; N]);

impl<const N: usize> Short<N> {
    /// Prepares words of at most 15 bytes.
    pub(super) const fn new(words: [&str; N]) -> Self {
        let mut all = [0; N];
        let mut n = 0;
        while n < N {
            assert!(words[n].len() <= 15);
            all[n] = packed(words[n].as_bytes());
            n += 1;
        }
        Self(all)
    }

    /// Returns true if a word, as [`packed`] returns it, is one of them.
    pub(super) fn has(&self, word: u128) -> bool {
        self.0.contains(&word)
    }
}

/// Returns a word as one number, or zero if it is too long to be one of [`Short`].
pub(super) const fn packed(word: &[u8]) -> u128 {
    if word.len() > 15 {
        return 0;
    }
    // The bit before the word tells its length.
    let (mut packed, mut at) = (1, 0);
    while at < word.len() {
        packed = packed << 8 | word[at] as u128;
        at += 1;
    }
    packed
}

/// Returns true if the text begins with any of these. Most do not have the first byte of any.
pub(super) fn begins_with(text: &str, leads: &[&str]) -> bool {
    behind_lead(text, leads).is_some()
}

/// Returns the first of these with which the text begins, and what stands behind it.
pub(super) fn behind_lead<'a, 'l>(text: &'a str, leads: &[&'l str]) -> Option<(&'l str, &'a str)> {
    let first = text.bytes().next()?;
    let leads = leads.iter().filter(|lead| lead.as_bytes().first() == Some(&first));
    leads.into_iter().find_map(|lead| Some((*lead, text.strip_prefix(*lead)?)))
}

/// Words that are looked for together, in any case or in their own.
///
/// The first three bytes of every word are in tables, a bit for each word, so that few places are compared with words. Of a
/// byte the low five bits count, which are the same for both cases of a letter.
pub(super) struct Words {
    words: &'static [&'static str],
    is_exact: bool,
    tables: [[u32; 32]; 3],
}

impl Words {
    /// Prepares at most 32 lower-case words of ASCII, each of three bytes or more, that are found in any case.
    pub(super) const fn new(words: &'static [&'static str]) -> Self {
        Self::of(words, false)
    }

    /// Prepares such words that are found as they are.
    pub(super) const fn exact(words: &'static [&'static str]) -> Self {
        Self::of(words, true)
    }

    const fn of(words: &'static [&'static str], is_exact: bool) -> Self {
        assert!(words.len() <= 32);
        let mut tables = [[0; 32]; 3];
        let mut n = 0;
        while n < words.len() {
            let word = words[n].as_bytes();
            let mut at = 0;
            while at < 3 {
                tables[at][(word[at] & 31) as usize] |= 1 << n;
                at += 1;
            }
            n += 1;
        }
        Self { words, is_exact, tables }
    }

    /// Returns where the first place of any of the words is.
    pub(super) fn find(&self, text: &str) -> Option<usize> {
        let [first, second, third] = &self.tables;
        let of = |table: &[u32; 32], byte: u8| table[usize::from(byte & 31)];
        let bytes = text.as_bytes();
        let (mut a, mut b) = (0, 0);
        for (at, byte) in bytes.iter().enumerate() {
            // The words whose first two bytes are those before.
            let words = b & of(third, *byte);
            if words != 0 && self.is_one_at(words, &bytes[at - 2..]) {
                return Some(at - 2);
            }
            b = a & of(second, *byte);
            a = of(first, *byte);
        }
        None
    }

    /// Returns true if one of these words, a bit for each, is at the start of the text.
    fn is_one_at(&self, mut words: u32, text: &[u8]) -> bool {
        while words != 0 {
            let word = self.words[words.trailing_zeros() as usize].as_bytes();
            let is_word = text.get(..word.len()).is_some_and(|here| {
                if self.is_exact { here == word } else { here.eq_ignore_ascii_case(word) }
            });
            if is_word {
                return true;
            }
            words &= words - 1;
        }
        false
    }

    /// Returns true if the text has any of the words.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.find(text).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SOME: Words = Words::new(&["bye", "by and by", "not "]);
    static SAME: Words = Words::exact(&["bye"]);

    #[test]
    fn words_are_found_whatever_their_case() {
        for (text, want) in [
            ("", None),
            ("by", None),
            ("bye", Some(0)),
            ("goodBYE", Some(4)),
            ("by and bye", Some(0)),
            ("by and", None),
            ("ä by ä Not ä", Some(9)),
            ("not", None),
        ] {
            assert_eq!(SOME.find(text), want, "{text}");
        }
    }

    #[test]
    fn words_are_found_in_their_own_case() {
        assert_eq!(SAME.find("Bye bye"), Some(4));
        // The low bits of these bytes are those of letters.
        assert!(!SAME.is_in("\u{e2}\u{f9}\u{e5}") && !SOME.is_in("\u{62a}\u{6f9}"));
    }

    #[test]
    fn short_words_are_recognized_whole() {
        let words = Short::new(["c", "conf"]);
        assert!(words.has(packed(b"c")) && words.has(packed(b"conf")));
        for other in ["", "co", "\0c", "confc", "conf conf conf co", "C"] {
            assert!(!words.has(packed(other.as_bytes())), "{other}");
        }
    }

    #[test]
    fn texts_are_split_at_the_first_place() {
        assert_eq!(split("a: b: c", &COLON), Some(("a", "b: c")));
        assert_eq!(split("a:b", &COLON), None);
        assert_eq!(behind("ä: ö", &COLON), Some("ö"));
    }
}
