//! Parses Kubernetes quantities: `100m`, `1.5`, `48Mi`, `1e3`.
//!
//! Grammar and suffixes: apimachinery `pkg/api/resource/quantity.go` (`parseQuantityString`) and `suffix.go`.
//! As there, a value is rounded up to the wanted unit. Values beyond `i64` saturate at its limits, as
//! `Quantity.Value()` does for amounts that a node can have.

/// A mantissa of at least this value takes no more digits. It has 29 digits, ten more than the limits of
/// `i64`, and leaves room in `i128` for the next step. Further digits matter only for rounding up.
const MANTISSA_FULL: i128 = 10_i128.pow(28);

/// Exponents are clamped to this size. No text is long enough for its digits to make up for a larger one.
const EXPONENT_MAX: i32 = 1 << 30;

/// Returns the quantity in whole units (bytes of memory), rounded up. `None`: not a quantity.
pub fn whole(text: &str) -> Option<i64> {
    scaled(text, 0)
}

/// Returns the quantity in thousandths (millicores of CPU), rounded up. `None`: not a quantity.
pub fn milli(text: &str) -> Option<i64> {
    scaled(text, 3)
}

/// Returns the quantity times 10^`decimals`, rounded up (away from zero if negative, as upstream).
fn scaled(text: &str, decimals: i32) -> Option<i64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let digits_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(digits_end);
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (integer.is_empty() && fraction.is_empty()) {
        return None;
    }
    let (binary, ten) = exponent(suffix)?;
    let mut value = Value::new(integer, fraction);
    value.shift(binary, ten + decimals);
    let magnitude = value.rounded_up();
    let signed = if negative { -magnitude } else { magnitude };
    Some(i64::try_from(signed).unwrap_or(if negative { i64::MIN } else { i64::MAX }))
}

/// The value `mantissa / 10^places`, plus a tiny amount if `more` is set.
struct Value {
    mantissa: i128,
    places: i32,
    more: bool,
}

impl Value {
    fn new(integer: &str, fraction: &str) -> Self {
        let mut value = Self { mantissa: 0, places: 0, more: false };
        for (digits, places) in [(integer, 0), (fraction, 1)] {
            for digit in digits.bytes().map(|byte| i128::from(byte - b'0')) {
                if value.mantissa < MANTISSA_FULL {
                    value.mantissa = value.mantissa * 10 + digit;
                    value.places += places;
                } else {
                    value.more |= digit > 0;
                    value.places += places - 1;
                }
            }
        }
        value
    }

    fn shift(&mut self, binary: u32, ten: i32) {
        // Drop last digits until the shift cannot overflow: they are far behind the units.
        while self.mantissa > i128::MAX >> binary {
            self.more |= self.mantissa % 10 > 0;
            self.mantissa /= 10;
            self.places -= 1;
        }
        self.mantissa <<= binary;
        self.places -= ten;
    }

    fn rounded_up(&self) -> i128 {
        if self.places <= 0 {
            let factor = 10_i128.checked_pow(self.places.unsigned_abs()).unwrap_or(i128::MAX);
            return self.mantissa.saturating_mul(factor).saturating_add(self.more.into());
        }
        let Some(divisor) = 10_i128.checked_pow(self.places.unsigned_abs()) else {
            return i128::from(self.mantissa > 0 || self.more);
        };
        let up = self.mantissa % divisor != 0 || self.more;
        self.mantissa / divisor + i128::from(up)
    }
}

/// Returns the power of two and the power of ten of a suffix.
fn exponent(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        _ => {
            let power = suffix.strip_prefix(['e', 'E'])?;
            let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            // An exponent that does not fit into `i32` is beyond the limits as well.
            let far = if power.starts_with('-') { -EXPONENT_MAX } else { EXPONENT_MAX };
            (0, power.parse().unwrap_or(far).clamp(-EXPONENT_MAX, EXPONENT_MAX))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_the_api_server_does() {
        let cases = [
            ("0", Some(0), Some(0)),
            ("100m", Some(1), Some(100)),
            ("1.5", Some(2), Some(1500)),
            ("250m", Some(1), Some(250)),
            ("48Mi", Some(48 << 20), Some((48 << 20) * 1000)),
            ("1Gi", Some(1 << 30), Some((1 << 30) * 1000)),
            ("0.5Gi", Some(1 << 29), Some((1 << 29) * 1000)),
            ("1e3", Some(1000), Some(1_000_000)),
            ("1E3", Some(1000), Some(1_000_000)),
            ("1E", Some(1_000_000_000_000_000_000), Some(i64::MAX)),
            ("12e-1", Some(2), Some(1200)),
            ("1e+2", Some(100), Some(100_000)),
            ("123n", Some(1), Some(1)),
            ("5u", Some(1), Some(1)),
            ("+7", Some(7), Some(7000)),
            ("-1.5", Some(-2), Some(-1500)),
            (".5", Some(1), Some(500)),
            ("5.", Some(5), Some(5000)),
            ("128974848", Some(128_974_848), Some(128_974_848_000)),
            ("129e6", Some(129_000_000), Some(129_000_000_000)),
            ("123Mi", Some(123 << 20), Some((123 << 20) * 1000)),
            ("9007199254740988Ki", Some(9_223_372_036_854_771_712), Some(i64::MAX)),
            ("9007199254740993Ki", Some(i64::MAX), Some(i64::MAX)),
            ("8Ei", Some(i64::MAX), Some(i64::MAX)),
            ("-9Ei", Some(i64::MIN), Some(i64::MIN)),
            ("99999999999999999999999999999999999999999999", Some(i64::MAX), Some(i64::MAX)),
            ("1e999999999999", Some(i64::MAX), Some(i64::MAX)),
            ("1e-999999999999", Some(1), Some(1)),
            ("0e999", Some(0), Some(0)),
            ("0.00000000000000000000000000000000000000001", Some(1), Some(1)),
            ("1.000000000000000000000000000001Ei", Some((1 << 60) + 1), Some(i64::MAX)),
            ("0.0000000000000000000000000000000000000001e45", Some(100_000), Some(100_000_000)),
            ("1000000000000000000000000000000000e-30", Some(1000), Some(1_000_000)),
            ("", None, None),
            (".", None, None),
            ("-", None, None),
            ("Mi", None, None),
            ("1.2.3", None, None),
            ("1KB", None, None),
            ("1 Gi", None, None),
            ("1e", None, None),
            ("1e1.5", None, None),
            ("0x10", None, None),
            ("½", None, None),
        ];
        for (text, units, thousandths) in cases {
            assert_eq!(whole(text), units, "{text}");
            assert_eq!(milli(text), thousandths, "{text} in thousandths");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let alphabet: Vec<char> = "0195.eE+-mKMi½n".chars().collect();
        let mut text = String::new();
        let mut seed = 7_u64;
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = (seed >> 33) as usize;
            if pick.is_multiple_of(13) {
                text.clear();
            }
            text.push(alphabet[pick % alphabet.len()]);
            let _ = (whole(&text), milli(&text));
        }
    }
}
