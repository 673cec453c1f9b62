//! Durations in Go's notation: `90s`, `5m`, `1h30m`, `1.5h`, `0`.
//!
//! The grammar is that of Go's `time.ParseDuration`, which people use in Kubernetes flags and Prometheus
//! configurations, without negative values. The arithmetic uses integers: `0.1s` is 100,000,000 ns, not a float
//! near it.

use std::fmt;
use std::time::Duration;

/// Why a text is not a usable duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// The text is not a sequence of decimal numbers with known units.
    Malformed,
    /// A number has no unit, as in `30`. Only `0` needs none.
    NoUnit,
    /// The text starts with a minus sign.
    Negative,
    /// The duration is longer than about 584 years, the nanoseconds that fit into 64 bits.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a duration",
            Self::NoUnit => "not a duration: a number needs a unit",
            Self::Negative => "a negative duration",
            Self::TooLong => "out of range",
        })
    }
}

impl std::error::Error for DurationError {}

/// Parses a duration: an optional `+`, then one or more decimal numbers, each with one of the units `ns`, `us`
/// (also `µs`), `ms`, `s`, `m`, `h`. Fractions of a nanosecond are cut off, as in Go.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Malformed);
    }
    let mut total_ns: u64 = 0;
    while !rest.is_empty() {
        let (term_ns, after) = term(rest)?;
        total_ns = total_ns.checked_add(term_ns).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    Ok(Duration::from_nanos(total_ns))
}

/// Parses one number with its unit. Returns it in nanoseconds, with the text after it.
fn term(text: &str) -> Result<(u64, &str), DurationError> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after_point) => split_digits(after_point),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Malformed);
    }
    let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let unit_ns = unit_ns(unit)?;
    let whole_ns = whole_number(whole)?.checked_mul(unit_ns).ok_or(DurationError::TooLong)?;
    let term_ns =
        whole_ns.checked_add(fraction_ns(fraction, unit_ns)).ok_or(DurationError::TooLong)?;
    Ok((term_ns, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_ns(unit: &str) -> Result<u64, DurationError> {
    Ok(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter mu look the same; Go accepts both.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 60 * 60 * 1_000_000_000,
        "" => return Err(DurationError::NoUnit),
        _ => return Err(DurationError::Malformed),
    })
}

/// Parses the digits as a number. No digits count as zero (`.5s`).
fn whole_number(digits: &str) -> Result<u64, DurationError> {
    digits.bytes().try_fold(0_u64, |number, digit| {
        let tens = number.checked_mul(10).ok_or(DurationError::TooLong)?;
        tens.checked_add(u64::from(digit - b'0')).ok_or(DurationError::TooLong)
    })
}

/// Returns this fraction of a unit, rounded down. It is less than one unit, so it cannot overflow.
fn fraction_ns(digits: &str, unit_ns: u64) -> u64 {
    let mut place_ns = u128::from(unit_ns) * PLACE_SCALE;
    let mut sum = 0_u128;
    for digit in digits.bytes() {
        place_ns /= 10;
        sum += place_ns * u128::from(digit - b'0');
    }
    u64::try_from(sum / PLACE_SCALE).unwrap_or(unit_ns)
}

/// Keeps `place_ns` exact for all digits that can matter: the longest unit is 3.6e12 ns, and digits after the
/// eighteenth are worth less than one in a million of a nanosecond.
const PLACE_SCALE: u128 = 1_000_000_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected_ns: u64) {
        assert_eq!(parse(text), Ok(Duration::from_nanos(expected_ns)), "{text:?}");
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        const S: u64 = 1_000_000_000;
        for (text, ns) in [
            ("0", 0),
            ("+0", 0),
            ("0s", 0),
            ("5s", 5 * S),
            ("+5s", 5 * S),
            ("30s", 30 * S),
            ("1478s", 1478 * S),
            ("300ms", 300_000_000),
            ("5.0s", 5 * S),
            ("5.6s", 5_600_000_000),
            ("5.s", 5 * S),
            (".5s", 500_000_000),
            ("1.004s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s10ns", 12_010),
            ("1.5h", 5400 * S),
            ("2h45m", 9900 * S),
            ("1h30m", 5400 * S),
            ("3h30m", 12_600 * S),
            ("39h9m14.425s", 140_954_425_000_000),
            ("10.5s4m", 250_500_000_000),
            ("4m10.5s", 250_500_000_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("0.9007199254740993h", 3_242_591_731_706),
            ("0.1s", 100_000_000),
            ("0.000000000000000000000000000000001h", 0),
            ("0.9ns", 0),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
            ("18446744073709551615ns", u64::MAX),
        ] {
            check(text, ns);
        }
    }

    #[test]
    fn what_go_rejects_is_rejected() {
        use DurationError::{Malformed, Negative, NoUnit, TooLong};
        for (text, error) in [
            ("", Malformed),
            ("+", Malformed),
            ("3", NoUnit),
            ("30", NoUnit),
            ("1m30", NoUnit),
            ("00", NoUnit),
            ("s", Malformed),
            (".", Malformed),
            (".s", Malformed),
            ("5 minutes", Malformed),
            ("5 m", Malformed),
            ("5M", Malformed),
            ("1d", Malformed),
            ("1e3s", Malformed),
            ("1,5h", Malformed),
            ("1.2.3s", NoUnit),
            ("+-5s", Malformed),
            ("\u{661}s", Malformed),
            ("-5s", Negative),
            ("-0", Negative),
            ("18446744073709551616ns", TooLong),
            ("18446744073709551615ns1ns", TooLong),
            ("5124096h", TooLong),
            ("99999999999999999999999h", TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_fraction_with_many_digits_stays_under_its_unit() {
        let text = format!("0.{}h", "9".repeat(10_000));
        check(&text, 3_599_999_999_999);
    }
}
