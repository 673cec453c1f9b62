//! Compares names with a pattern, as `--pod 'web-*'` and the page's filters do.

/// Returns true if the pattern fits the whole text. `*` stands for any characters, also for none.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    // The first place of each part leaves the most room for those behind it.
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, want) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "web", true),
            ("web", "web", true),
            ("web", "web-1", false),
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
        ] {
            assert_eq!(fits(pattern, text), want, "{pattern:?} {text:?}");
        }
    }
}
