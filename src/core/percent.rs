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

/// Returns the byte that the two digits at the start of these bytes stand for; `None` if there are none.
pub fn code(bytes: &[u8]) -> Option<u8> {
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
