//! Input that is not incident lines, though it may hold incidents: what it is, and what makes lines of it.

/// Returns what the input is, if its first bytes show that it is not lines, and the command that makes lines of it.
pub(super) fn misfit(start: &[u8]) -> Option<(&'static str, &'static str)> {
    match start {
        [0x1f, 0x8b, ..] => return Some(("it is compressed with gzip", "zcat")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            return Some(("it is compressed with Zstandard", "zstdcat"));
        }
        [0xfd, b'7', b'z', b'X', b'Z', ..] => return Some(("it is compressed with xz", "xzcat")),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => {
            return Some(("it is compressed with bzip2", "bzcat"));
        }
        // What `>` of PowerShell writes.
        [0xff, 0xfe, ..] => return Some(("it is UTF-16, not UTF-8", "iconv -f UTF-16 -t UTF-8")),
        _ => {}
    }
    let (first, rest) = start.trim_ascii_start().split_first()?;
    let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
    match first {
        // The agent's log begins with `[` as well.
        b'[' if rest.trim_ascii_start().first() == Some(&b'{') => {
            Some(("it is a JSON array, not lines", "jq -c '.[]'"))
        }
        b'{' if line.trim_ascii().is_empty() && line.len() < rest.len() => {
            Some(("it is JSON in several lines for each incident", "jq -c ."))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms_of_incidents_are_known_and_lines_are_left_alone() {
        for (start, command) in [
            (&b"\x1f\x8b\x08\0"[..], Some("zcat")),
            (b"\x28\xb5\x2f\xfd\x04", Some("zstdcat")),
            (b"\xfd7zXZ\0", Some("xzcat")),
            (b"BZh91AY", Some("bzcat")),
            (b"\xff\xfe{\0", Some("iconv -f UTF-16 -t UTF-8")),
            (b"[{\"id\":\"a\"}]", Some("jq -c '.[]'")),
            (b"\n[\n  {\n", Some("jq -c '.[]'")),
            (b"{\n  \"schema\": 1", Some("jq -c .")),
            (b"{\r\n", Some("jq -c .")),
            (b"{\"id\":\"a\"}\n", None),
            (b"{", None),
            (b"[2026-11-23T03:31:00Z INFO  blackbox_daemon] 3 pods\n{\n", None),
            (b"[pod/a/agent] {\"id\":\"a\"}\n", None),
            (b"", None),
        ] {
            let text = String::from_utf8_lossy(start);
            assert_eq!(misfit(start).map(|(_, command)| command), command, "{text:?}");
        }
    }
}
