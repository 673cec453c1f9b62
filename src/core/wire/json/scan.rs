//! Finds where the values of a JSON text end, and checks the whole grammar (RFC 8259).
//!
//! The parser spends its time here, so no byte is looked at twice: each step gets the rest of the text from the
//! step before, and its length with it.

use crate::limits::JSON_DEPTH_MAX;

/// The rest of the text.
type Rest<'t> = &'t [u8];

/// `Ok`: the rest after the scanned part. `Err`: the rest from the place where the text is not valid JSON.
type Behind<'t> = Result<Rest<'t>, Rest<'t>>;

/// Skips white space. Returns the byte after it, and the rest that begins with that byte.
#[inline(always)]
pub(super) fn token(mut rest: Rest<'_>) -> Result<(u8, Rest<'_>), Rest<'_>> {
    loop {
        match rest {
            [byte, ..] if *byte > b' ' => return Ok((*byte, rest)),
            [b' ' | b'\n' | b'\r' | b'\t', behind @ ..] => rest = behind,
            _ => return Err(rest),
        }
    }
}

/// Skips white space and this byte.
#[inline(always)]
fn byte(rest: Rest<'_>, wanted: u8) -> Behind<'_> {
    match token(rest)? {
        (byte, rest) if byte == wanted => Ok(&rest[1..]),
        (_, rest) => Err(rest),
    }
}

/// Skips a value.
pub(super) fn value(mut rest: Rest<'_>) -> Behind<'_> {
    // A stack of the open brackets, one bit for each, the innermost in the lowest bit: 1 for an object.
    let mut open = 0_u128;
    let mut depth = 0;
    loop {
        let first;
        (first, rest) = token(rest)?;
        match first {
            // Asked first, because most values are strings and objects.
            _ if first == b'"' => rest = string(&rest[1..])?.0,
            _ if first == b'{' || first == b'[' => {
                let within;
                (within, rest) = token(&rest[1..])?;
                // The code of a closing bracket is two above that of its opening one.
                if within == first + 2 {
                    rest = &rest[1..];
                } else {
                    if depth == JSON_DEPTH_MAX {
                        return Err(rest);
                    }
                    depth += 1;
                    open = open << 1 | u128::from(first == b'{');
                    if first == b'{' {
                        rest = name(rest)?;
                    }
                    continue;
                }
            }
            b'-' | b'0'..=b'9' => rest = number(rest)?.0,
            b't' => rest = word(rest, b"true")?,
            b'f' => rest = word(rest, b"false")?,
            b'n' => rest = word(rest, b"null")?,
            _ => return Err(rest),
        }
        // A value has ended, and maybe the objects and lists around it as well.
        loop {
            if depth == 0 {
                return Ok(rest);
            }
            let is_object = open & 1 == 1;
            let next;
            (next, rest) = token(rest)?;
            match next {
                b',' if is_object => {
                    rest = name(&rest[1..])?;
                    break;
                }
                b',' => {
                    rest = &rest[1..];
                    break;
                }
                b'}' if is_object => rest = &rest[1..],
                b']' if !is_object => rest = &rest[1..],
                _ => return Err(rest),
            }
            depth -= 1;
            open >>= 1;
        }
    }
}

/// Skips a member's name and the colon after it. Before that, it skips the members that have an empty object and no
/// space: that is how the server writes `managedFields`, which are half of most pods.
#[inline(always)]
fn name(rest: Rest<'_>) -> Behind<'_> {
    let mut rest = byte(rest, b'"')?;
    loop {
        rest = string(rest)?.0;
        match rest {
            [b':', b'{', b'}', b',', b'"', next @ ..] => rest = next,
            _ => return byte(rest, b':'),
        }
    }
}

/// Skips a word that is not quoted.
pub(super) fn word<'t, const LEN: usize>(rest: Rest<'t>, word: &[u8; LEN]) -> Behind<'t> {
    match rest.split_first_chunk() {
        Some((first, behind)) if first == word => Ok(behind),
        _ => Err(rest),
    }
}

/// Skips a number. Also returns whether it is a whole number.
pub(super) fn number(mut rest: Rest<'_>) -> Result<(Rest<'_>, bool), Rest<'_>> {
    rest = rest.strip_prefix(b"-").unwrap_or(rest);
    // A digit after a leading 0 is refused by the next step, which accepts only a comma or a bracket.
    rest = rest.strip_prefix(b"0").map_or_else(|| digits(rest), Ok)?;
    let mut is_whole = true;
    if let [b'.', fraction @ ..] = rest {
        is_whole = false;
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] = rest {
        is_whole = false;
        rest = digits(exponent)?;
    }
    Ok((rest, is_whole))
}

/// Skips one digit or more.
fn digits(rest: Rest<'_>) -> Behind<'_> {
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len > 0 { Ok(&rest[len..]) } else { Err(rest) }
}

/// Skips a string whose opening quote has been skipped. Also returns whether it has no escape, so that its value
/// is its bytes.
///
/// Most strings are short. So what counts is not how many bytes one step covers, but that a string seldom takes
/// more than one step, and that no branch depends on its length.
#[inline(always)]
pub(super) fn string(mut rest: Rest<'_>) -> Result<(Rest<'_>, bool), Rest<'_>> {
    let mut is_plain = true;
    while let Some((block, behind)) = rest.split_first_chunk() {
        let Some(len) = plain(block) else {
            rest = behind;
            continue;
        };
        rest = &rest[len..];
        match rest {
            [b'"', behind @ ..] => return Ok((behind, is_plain)),
            [0x80..=0xff, ..] => {
                rest = behind_other(rest);
                continue;
            }
            [b'\\', b'"' | b'\\', behind @ ..] => rest = behind,
            [b'\\', escape @ ..] => rest = behind_escape(escape)?,
            _ => return Err(rest),
        }
        is_plain = false;
    }
    last_string(rest, is_plain)
}

/// Does the same as [`string`] when less than a block is left of the text.
#[cold]
fn last_string(mut rest: Rest<'_>, mut is_plain: bool) -> Result<(Rest<'_>, bool), Rest<'_>> {
    loop {
        match rest {
            [b'"', behind @ ..] => return Ok((behind, is_plain)),
            [b'\\', escape @ ..] => {
                is_plain = false;
                rest = behind_escape(escape)?;
            }
            [0..=0x1f, ..] | [] => return Err(rest),
            [_, behind @ ..] => rest = behind,
        }
    }
}

/// Skips an escape whose backslash has been skipped.
fn behind_escape(rest: Rest<'_>) -> Behind<'_> {
    match rest {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..] => Ok(behind),
        [b'u', a, b, c, d, behind @ ..]
            if [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            Ok(behind)
        }
        _ => Err(rest),
    }
}

/// Skips bytes outside ASCII.
#[cold]
fn behind_other(rest: Rest<'_>) -> Rest<'_> {
    let len = rest.iter().take_while(|byte| **byte >= 0x80).count();
    &rest[len..]
}

/// Returns how many bytes of a block come before the first quote, backslash or control character, or maybe before a
/// byte outside ASCII: those are rare, and to pass over them here would take two instructions more for each word.
/// `None`: the block has none of them.
#[inline(always)]
pub(super) fn plain(block: &[u8; 16]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOP_BITS: u64 = ONES << 7;
    // The lowest top bit that is set is that of the first such byte; those above may be false positives.
    let special = |word: u64| {
        let below = |word: u64, byte: u8| word.wrapping_sub(ONES * u64::from(byte));
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        // XOR with 2 maps `"` (0x22) to 0x20, directly after the control characters, so one comparison finds both.
        backslash | below(word ^ (ONES * 2), (b'"' ^ 2) + 1)
    };
    let block = u128::from_le_bytes(*block);
    let (low, high) = (special(block as u64) & TOP_BITS, special((block >> 64) as u64) & TOP_BITS);
    if low | high == 0 {
        return None;
    }
    let (found, before) = if low == 0 { (high, 8) } else { (low, 0) };
    Some(before + found.trailing_zeros() as usize / 8)
}
