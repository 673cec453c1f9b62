//! Parses one line of a container's log file, as CRI runtimes write it:
//! `2026-11-23T03:31:41.123456789Z stderr F panic: oh no`.
//!
//! Grammar: kubelet `cri-client/pkg/logs/logs.go` (`parseCRILog`). Three words with one space after each,
//! then the bytes that the container wrote, which need not be UTF-8 and may be empty.

use jiff::Timestamp;
use memchr::memchr;

/// Length of the longest RFC 3339 time with nanoseconds and an offset. Longer words are not a time, so they
/// need not be parsed.
const TIME_BYTES_MAX: usize = "2026-11-23T03:31:41.123456789+00:00".len();

/// The stream to which the container wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// Returns the name used in log files and in the incident line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A log line, or one part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When the runtime read the line.
    pub time: Timestamp,
    /// The stream to which it was written.
    pub stream: LogStream,
    /// True if the container's line continues in the next line of this stream: the runtime splits at 16 KiB.
    pub partial: bool,
    /// What the container wrote, without the newline.
    pub content: &'a [u8],
}

/// Parses a line, given without its newline. `None`: it does not have the CRI format.
///
/// The first tag says whether the line is whole. As in the kubelet, an unknown first tag and all later tags
/// are ignored, so a whole line with a new tag is still accepted.
pub fn parse(line: &[u8]) -> Option<LogLine<'_>> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    let (tags, content) = word(rest)?;
    let stream = match stream {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let partial = tags == b"P" || tags.starts_with(b"P:");
    Some(LogLine { time: parse_time(time)?, stream, partial, content })
}

/// Splits the bytes at the first space.
fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn parse_time(word: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(word).ok().filter(|_| is_rfc3339(word))?.parse().ok()
}

/// Returns true for the RFC 3339 form. The check is needed because the time library also accepts dates without
/// separators, offsets without minutes, and zone names.
fn is_rfc3339(word: &[u8]) -> bool {
    let Some((second, rest)) = word.split_at_checked("2026-11-23T03:31:41".len()) else {
        return false;
    };
    let zone = match rest {
        [b'.', rest @ ..] => &rest[rest.iter().take_while(|byte| byte.is_ascii_digit()).count()..],
        _ => rest,
    };
    word.len() <= TIME_BYTES_MAX
        && has_form(second, b"0000-00-00T00:00:00")
        && (zone == b"Z" || has_form(zone, b"+00:00") || has_form(zone, b"-00:00"))
}

/// Returns true if the bytes equal the form, where a 0 in the form stands for any digit.
fn has_form(bytes: &[u8], form: &[u8]) -> bool {
    let fits = |(byte, form): (&u8, &u8)| byte == form || (*form == b'0' && byte.is_ascii_digit());
    bytes.len() == form.len() && bytes.iter().zip(form).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-23T03:31:41.123456789Z";

    fn shown(line: &[u8]) -> Option<(i128, LogStream, bool, Vec<u8>)> {
        let LogLine { time, stream, partial, content } = parse(line)?;
        Some((time.as_nanosecond(), stream, partial, content.to_vec()))
    }

    #[test]
    fn lines_of_runtimes_are_read() {
        use LogStream::{Stderr, Stdout};
        let nanos = 1_795_404_701_123_456_789;
        for (rest, stream, partial, content) in [
            (" stdout F hello", Stdout, false, "hello"),
            (" stderr P half", Stderr, true, "half"),
            (" stderr F ", Stderr, false, ""),
            (" stdout F  two  spaces ", Stdout, false, " two  spaces "),
            (" stdout P:x:y tags", Stdout, true, "tags"),
            (" stdout F:P tags", Stdout, false, "tags"),
            (" stdout PP unknown tag", Stdout, false, "unknown tag"),
            (" stdout  no tag", Stdout, false, "no tag"),
        ] {
            let want = Some((nanos, stream, partial, content.as_bytes().to_vec()));
            assert_eq!(shown(format!("{TIME}{rest}").as_bytes()), want, "{rest:?}");
        }
        for same in ["2026-11-23T04:31:41.123456789+01:00", "2026-11-22T22:31:41.123456789-05:00"] {
            assert_eq!(shown(format!("{same} stdout F ").as_bytes()).unwrap().0, nanos, "{same}");
        }
        let bytes = [TIME.as_bytes(), b" stdout F \xff\0\n"].concat();
        assert_eq!(parse(&bytes).unwrap().content, b"\xff\0\n");
        let huge = [TIME.as_bytes(), b" stdout P ", &vec![b'x'; 1 << 20]].concat();
        assert_eq!(parse(&huge).unwrap().content.len(), 1 << 20);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in [
            "",
            "   ",
            "hello",
            "2026-11-23T03:31:41Z stdin F x",
            "2026-11-23T03:31:41Z STDOUT F x",
            "2026-11-23T03:31:41Z  stdout F x",
            "2026-11-23 03:31:41Z stdout F x",
            "2026-13-23T03:31:41Z stdout F x",
            "2026-11-23T03:31:41 stdout F x",
            "2026-11-23T03:31:41Z[UTC] stdout F x",
            "2026-11-23T03:31:41+01 stdout F x",
            "2026-11-23T03:31:41.Z stdout F x",
            "2026-11-23T03:31Z stdout F x",
            "20261123T033141Z stdout F x",
            r#"{"log":"x\n","stream":"stdout","time":"2026-11-23T03:31:41Z"}"#,
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse(b"2026-11-23T03:31:41\xff stdout F x"), None);
        assert_eq!(parse(&[&vec![b'2'; 1 << 20], b" stdout F x".as_slice()].concat()), None);
    }

    #[test]
    fn a_prefix_of_a_line_is_none_until_its_content_begins() {
        let line = format!("{TIME} stderr P content");
        let begins = line.len() - "content".len();
        for at in 0..=line.len() {
            let got = parse(&line.as_bytes()[..at]).map(|l| l.content);
            assert_eq!(got, line.as_bytes().get(begins..at), "prefix {at}");
        }
    }
}
