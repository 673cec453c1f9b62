//! Formats numbers and times for people: whole numbers with a unit, one decimal where it helps.

use std::time::Duration;

use jiff::Timestamp;

pub use crate::core::text::bytes;
use crate::core::text::duration;

/// Formats CPU use, given in thousandths of a core. Less than a hundredth is not nothing.
pub fn cores(millicores: u64) -> String {
    let (part, digits) = match millicores {
        1..10 => (millicores, 3),
        _ => (millicores % 1000 / 10, 2),
    };
    format!("{}.{part:0digits$} CPU", millicores / 1000)
}

/// Formats a share.
pub fn percent(n: u64) -> String {
    format!("{n} %")
}

/// Formats a duration as the sentence of an incident does, so that one duration reads the same everywhere.
pub fn span(seconds: u64) -> String {
    duration(Duration::from_secs(seconds))
}

/// Formats how long before `now` it was.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match u64::try_from(now.as_second().saturating_sub(at.as_second())) {
        Ok(seconds) => format!("{} ago", span(seconds)),
        Err(_) => "in the future according to this node's clock".to_owned(),
    }
}

/// Formats how long before or after `end` it was.
pub fn offset(at: Timestamp, end: Timestamp) -> String {
    let seconds = at.as_second().saturating_sub(end.as_second());
    let sign = match seconds {
        ..0 => "\u{2212}",
        0 => "",
        _ => "+",
    };
    format!("{sign}{}", span(seconds.unsigned_abs()))
}

/// Formats date and time, to the second.
pub fn date_time(at: Timestamp) -> String {
    let (date, time) = parts(at);
    format!("{date} {time} UTC")
}

/// Formats the time of day, to the second.
pub fn clock_time(at: Timestamp) -> String {
    parts(at).1
}

/// Splits a time such as `2026-11-23T03:31:47.5Z` into date and time of day.
fn parts(at: Timestamp) -> (String, String) {
    let text = at.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    let time = time.split(['.', 'Z']).next().unwrap_or(time);
    (date.to_owned(), time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (n, want) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (64 << 20, "64 MiB"),
            (61 * 1024 * 1024 + 300_000, "61.3 MiB"),
            (3 << 29, "1.5 GiB"),
            (1 << 52, "4194304 GiB"),
            (u64::MAX, "1717986918.3 GiB"),
        ] {
            assert_eq!(bytes(n), want);
        }
        assert_eq!([cores(0), cores(350), cores(12_345)], ["0.00 CPU", "0.35 CPU", "12.34 CPU"]);
        assert_eq!([cores(9), cores(10), cores(1009)], ["0.009 CPU", "0.01 CPU", "1.00 CPU"]);
        for (seconds, want) in
            [(0, "0 s"), (59, "59 s"), (119, "119 s"), (121, "2 min 1 s"), (200_000, "2 d 7 h")]
        {
            assert_eq!(span(seconds), want);
        }
    }

    #[test]
    fn times_are_told_in_utc_and_from_the_end() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let end = at("2026-11-23T03:31:47.5Z");
        assert_eq!(date_time(end), "2026-11-23 03:31:47 UTC");
        assert_eq!(clock_time(end), "03:31:47");
        assert_eq!(ago(end, at("2026-11-23T03:33:48Z")), "2 min 1 s ago");
        assert!(ago(end, at("2026-11-22T03:33:48Z")).contains("future"));
        assert_eq!(offset(at("2026-11-23T03:31:40Z"), end), "\u{2212}7 s");
        assert_eq!(offset(at("2026-11-23T03:32:47Z"), end), "+60 s");
        assert_eq!(offset(end, end), "0 s");
        assert_eq!(ago(Timestamp::MIN, Timestamp::MAX).split(' ').nth(1), Some("d"));
    }
}
