//! Lines of `kern.log`, `messages` and `syslog`, as rsyslog, syslog-ng and BusyBox write them.
//!
//! ```text
//! Nov 26 17:58:27 node1 kernel: [   12.345678] Out of memory: …
//! 2026-11-26T17:58:27.123456+00:00 node1 kernel: Out of memory: …
//! Nov 26 17:58:27 node1 kern.err kernel: Out of memory: …
//! ```
//!
//! Only `kern.log` has lines of the kernel alone. In the others, any process may write a line that looks like this.

use super::{number, parts};

/// The longest part of a second, with the time zone.
const ZONE_BYTES_MAX: usize = ".123456789+00:00".len();

/// A line of the kernel in such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainLine<'a> {
    /// The time as it is written: without a year or a time zone in the old form.
    pub time: &'a str,
    /// The kernel's text, without the time since the boot.
    pub text: &'a str,
}

/// Parses a line. `None` if it is not of the kernel.
pub fn parse(line: &str) -> Option<PlainLine<'_>> {
    let (time, rest) = time(line.trim_ascii_end())?;
    let [host, text, ..] = parts(rest, "* kernel: *")?;
    // BusyBox writes the facility behind the host.
    let is_kernel = host.split(' ').skip(1).all(|word| word.starts_with("kern."));
    is_kernel.then_some(PlainLine { time, text: without_uptime(text) })
}

/// Splits the time from what follows it.
fn time(line: &str) -> Option<(&str, &str)> {
    let old = "Nov 26 17:58:27".len();
    if let Some((time, rest)) = line.split_at_checked(old)
        && has_form(time, b"AAA 00 00:00:00")
    {
        return Some((time, rest.strip_prefix(' ')?));
    }
    let [time, rest, ..] = parts(line, "* *")?;
    let (second, zone) = time.split_at_checked("2026-11-26T17:58:27".len())?;
    let is_time = has_form(second, b"0000-00-00T00:00:00") && zone.len() <= ZONE_BYTES_MAX;
    is_time.then_some((time, rest))
}

/// Returns true if the text has the form, in which A stands for a letter, and 0 for a digit. The first digit of a pair
/// may be a space.
fn has_form(text: &str, form: &[u8]) -> bool {
    let fits = |(byte, form): (u8, &u8)| match form {
        b'A' => byte.is_ascii_alphabetic(),
        b'0' => byte.is_ascii_digit() || byte == b' ',
        form => byte == *form,
    };
    text.len() == form.len() && text.bytes().zip(form).all(fits)
}

/// Drops the kernel's own `[   12.345678] `.
fn without_uptime(text: &str) -> &str {
    let after = |text| {
        let (_, rest) = number(str::trim_ascii_start(text), 10)?;
        number(rest.strip_prefix('.')?, 10)?.1.strip_prefix("] ")
    };
    text.strip_prefix('[').and_then(after).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_text_is_taken_out_of_every_form_of_line() {
        let old = "Nov 26 17:58:27";
        for (line, time, text) in [
            ("Nov 26 17:58:27 node1 kernel: [   12.345678] Out of memory", old, "Out of memory"),
            ("Nov 26 17:58:27 node1 kernel: [123456.345678] [drm] x", old, "[drm] x"),
            ("Nov 26 17:58:27 node1 kernel: Out of memory\n", old, "Out of memory"),
            ("Nov  6 17:58:27 n kernel: [drm] x", "Nov  6 17:58:27", "[drm] x"),
            ("Nov 26 17:58:27 n kern.err kernel: [] x", old, "[] x"),
            (
                "2026-11-26T17:58:27.123456+00:00 n kernel: [1.2] x",
                "2026-11-26T17:58:27.123456+00:00",
                "x",
            ),
            ("2026-11-26T17:58:27Z n kernel: x: y", "2026-11-26T17:58:27Z", "x: y"),
        ] {
            assert_eq!(parse(line), Some(PlainLine { time, text }), "{line}");
        }
    }

    #[test]
    fn lines_of_others_are_refused() {
        for line in [
            "",
            "kernel: x",
            "Nov 26 17:58:27",
            "Nov 26 17:58:27 ",
            "Nov 26 17:58:27 node1",
            "Nov 26 17:58:27 node1 sshd[12]: kernel: x",
            "Nov 26 17:58:27 node1 kernel[1]: x",
            "Nov 26 17:58:27 node1 user.err kernel: x",
            "Nov 26 17:58:27 node1 kern.err",
            "Nov 26 17:58:27 node1 kernel: ",
            "No\u{e9} 26 17:58:27 node1 kernel: x",
            "2026-11-26 17:58:27 node1 kernel: x",
            "2026-11-26T17:58:27.123456789123+00:00 node1 kernel: x",
            "2026-11-26T17:58 node1 kernel: x",
            "<4>Nov 26 17:58:27 node1 kernel: x",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn every_prefix_of_a_line_is_read_without_a_panic() {
        let line = "2026-11-26T17:58:27.1Z n\u{f6}de kern.err kernel: [ 1.2] caf\u{e9}";
        for end in (0..=line.len()).filter(|end| line.is_char_boundary(*end)) {
            let text = parse(&line[..end]).map_or("", |line| line.text);
            assert!("caf\u{e9}".starts_with(text) || "[ 1.2]".starts_with(text), "{text}");
        }
    }
}
