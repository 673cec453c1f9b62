//! Splits the kernel's tables into lines, words and numbers.

use memchr::memchr;

/// Iterates over the lines that end with a newline. The kernel ends every line with one, so whatever
/// follows the last newline was cut off, maybe within a number.
pub(super) struct Lines<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b'\n', self.0)?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(line)
    }
}

/// Returns the words of a line, which may be separated by any number of spaces or tabs.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

/// Parses a number in decimal digits, without a sign; a number that is too large becomes [`u64::MAX`].
pub(super) fn number(word: &[u8]) -> Option<u64> {
    let append = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    };
    if word.is_empty() { None } else { word.iter().try_fold(0, append) }
}

/// Parses the next `N` words; `None` unless all of them are numbers.
pub(super) fn numbers<'a, const N: usize>(
    words: &mut impl Iterator<Item = &'a [u8]>,
) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for value in &mut numbers {
        *value = number(words.next()?)?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_and_saturate() {
        for (word, want) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
            ("99999999999999999999999999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1k", None),
            ("0x10", None),
            ("١", None),
        ] {
            assert_eq!(number(word.as_bytes()), want, "{word:?}");
        }
        assert_eq!(numbers(&mut words(b" \t1  2\t3 ")), Some([1, 2, 3]));
        assert_eq!(numbers::<4>(&mut words(b"1 2 3")), None);
        assert_eq!(numbers::<2>(&mut words(b"1 x 3")), None);
    }

    #[test]
    fn a_line_without_its_end_is_none() {
        let lines = |text: &'static str| Lines(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(lines("one\n\ntwo\n"), [b"one".as_slice(), b"", b"two"]);
        assert_eq!(lines("one\ntwo 12"), [b"one"]);
        assert!(lines("").is_empty() && lines("one").is_empty());
    }
}
