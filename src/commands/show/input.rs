//! Input that is not incident lines, though it may hold incidents: what it is, and what makes lines of it.

/// Returns what the input is, if its first bytes show that it is not lines, and the command that makes lines of it.
pub(super) fn misfit(start: &[u8]) -> Option<(&'static str, &'static str)> {
    if start.starts_with(&[0x1f, 0x8b]) {
        return Some(("it is compressed with gzip", "zcat"));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Some(("it is compressed with Zstandard", "zstdcat"));
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
