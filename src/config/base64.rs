//! Base64 as it appears in the `*-data` fields of a kubeconfig.

/// Decodes standard base64 (RFC 4648 section 4) with padding. Blanks and line breaks are skipped, since YAML
/// block scalars and wrapping tools insert them. Any other byte outside the alphabet, a missing or misplaced
/// `=`, and left-over bits are errors. Returns `None` if the text is not base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut filled, mut padding) = (0_u32, 0_u32, 0_u32);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        if byte == b'=' {
            padding += 1;
            continue;
        }
        // A letter after padding means that two texts were joined; one of them would be lost.
        if padding > 0 {
            return None;
        }
        group = (group << 6) | sextet(byte)?;
        filled += 1;
        if filled == 4 {
            bytes.extend_from_slice(&group.to_be_bytes()[1..]);
            (group, filled) = (0, 0);
        }
    }
    match (filled, padding) {
        (0, 0) => {}
        (2, 2) if group.trailing_zeros() >= 4 => bytes.push((group >> 4).to_be_bytes()[3]),
        (3, 1) if group.trailing_zeros() >= 2 => {
            bytes.extend_from_slice(&(group >> 2).to_be_bytes()[2..]);
        }
        _ => return None,
    }
    Some(bytes)
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_vectors_of_the_rfc_decode() {
        for (text, expected) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            (" Zm9v\r\n\tYmFy\n", "foobar"),
            ("Zm9vYg=\n=", "foob"),
        ] {
            assert_eq!(decode(text), Some(expected.as_bytes().to_vec()), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in [
            "Z",
            "Zg",
            "Zm8",
            "Zg=",
            "Zg===",
            "Zm8==",
            "Zm9v=",
            "=",
            "====",
            "Zg==Zg==",
            "Zm9-",
            "Zm9_",
            "Zm9v!",
            "Zm9v\u{e9}",
            "Zh==",
            "Zm9=",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_byte_comes_through_in_every_position() {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).chain([1]).collect();
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let mut word = [0_u8; 4];
            word[1..=group.len()].copy_from_slice(group);
            let word = u32::from_be_bytes(word);
            for place in 0..4 {
                let letter = ALPHABET[(word >> (18 - 6 * place)) as usize & 63];
                text.push(if place <= group.len() { char::from(letter) } else { '=' });
            }
        }
        assert_eq!(decode(&text), Some(bytes));
    }
}
