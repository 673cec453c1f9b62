//! Percent-encoding (RFC 3986, 2.1): `%20` for a byte that may not stand in a place.

/// Appends the text. Bytes that are not plain are encoded.
pub fn encode(out: &mut String, text: &str, is_plain: fn(u8) -> bool) {
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
}

/// Decodes a text. A percent sign that begins no code stands for itself, unless `is_strict`. `None`: there is such a
/// sign in a strict text, or the bytes are no text.
pub fn decode(text: &str, is_strict: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = code(after).filter(|_| *first == b'%');
        if is_strict && *first == b'%' && code.is_none() {
            return None;
        }
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(out).ok()
}

/// Returns the byte that the two digits at the start of these bytes stand for; `None` if there are none.
fn code(bytes: &[u8]) -> Option<u8> {
    let [high, low, ..] = bytes else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_as_it_was() {
        for byte in 0..=127_u8 {
            let mut out = String::new();
            encode(&mut out, &char::from(byte).to_string(), |_| false);
            assert_eq!(code(&out.as_bytes()[1..]), Some(byte), "{out}");
        }
    }

    #[test]
    fn a_percent_sign_without_a_code_is_refused_or_stands_for_itself() {
        for (text, strict, lenient) in [
            ("a%20b%2Fc", Some("a b/c"), Some("a b/c")),
            ("%c3%a9", Some("\u{e9}"), Some("\u{e9}")),
            ("100%", None, Some("100%")),
            ("%4", None, Some("%4")),
            ("%zz%41", None, Some("%zzA")),
            ("%ff", None, None),
            ("", Some(""), Some("")),
        ] {
            assert_eq!(decode(text, true).as_deref(), strict, "{text}");
            assert_eq!(decode(text, false).as_deref(), lenient, "{text}");
        }
    }

    #[test]
    fn only_two_digits_are_a_code() {
        for (text, want) in [
            ("2F", Some(0x2F)),
            ("2fx", Some(0x2F)),
            ("2", None),
            ("", None),
            ("+5", None),
            ("g0", None),
        ] {
            assert_eq!(code(text.as_bytes()), want, "{text}");
        }
    }
}
