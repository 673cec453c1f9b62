//! Compares names with a pattern, as `--pod 'web-*'` and the page's filters do.

/// Returns true if the whole text fits: `*` is any text, `?` any byte, and the case of letters is ignored.
pub fn fits(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    // Where to try again: behind the last `*`, with one more byte for it.
    let (mut g, mut t, mut again) = (0, 0, None);
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                g += 1;
                again = Some((g, t + 1));
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&text[t]) => (g, t) = (g + 1, t + 1),
            _ => match again {
                Some((behind, from)) => {
                    (g, t) = (behind, from);
                    again = Some((behind, from + 1));
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_anywhere_and_case_does_not_matter() {
        for (glob, text, want) in [
            ("*", "web", true),
            ("web-*", "web-1", true),
            ("web-*", "web-", true),
            ("web-*", "web", false),
            ("*-1", "web-1", true),
            ("*-1", "web-1-1", true),
            ("*b-*", "web-1", true),
            ("w*b*1", "web-1", true),
            ("w*b*1", "wb1", true),
            ("aba*aba", "aba", false),
            ("a*b*a", "aba", true),
            ("*ab*ab*", "ab", false),
            ("**", "", true),
            ("ä*", "äö", true),
            ("web", "web", true),
            ("web", "web-1", false),
            ("web*", "web-1", true),
            ("*web", "my-web", true),
            ("*web", "my-web-1", false),
            ("*web*", "my-web-1", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("**", "ab", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("OOM", "oom", true),
            ("*aab", "aaaab", true),
        ] {
            assert_eq!(fits(glob, text), want, "{glob:?} on {text:?}");
        }
        // A hostile pattern takes no exponential time.
        assert!(!fits(&"*a".repeat(200), &"a".repeat(150)));
    }
}
