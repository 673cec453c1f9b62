//! The options of a command, as its help lists them, and a word that is none of them.

use crate::core::text::nearest;

/// Options as the help writes them (`-o, --output FORMAT`), each with what it does in one line.
pub type Options = &'static [(&'static str, &'static str)];

/// The options that every command has.
pub const HELP: (&str, &str) = ("-h, --help", "print this help");

/// Describes a word that is none of the options, with the one that is probably meant.
pub fn unknown(word: &str, options: Options) -> String {
    let word = word.split('=').next().unwrap_or_default();
    let forms = options.iter().chain([&HELP]).flat_map(|(forms, _)| forms.split([' ', ',']));
    let mut known = forms.filter_map(|form| form.strip_prefix("--"));
    let meant = word.strip_prefix("--").and_then(|word| nearest(word, &mut known));
    match meant {
        Some(meant) => format!("unknown option {word:?}; did you mean --{meant}?"),
        None => format!("unknown option {word:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_option_is_recognised() {
        let options: Options = &[("-n, --namespace NAME", ""), ("--full", "")];
        for (word, told) in [
            ("--ful", "unknown option \"--ful\"; did you mean --full?"),
            ("--namespce=shop", "unknown option \"--namespce\"; did you mean --namespace?"),
            ("--hlep", "unknown option \"--hlep\"; did you mean --help?"),
            ("--xyz", "unknown option \"--xyz\""),
            ("-q", "unknown option \"-q\""),
            ("--", "unknown option \"--\""),
        ] {
            assert_eq!(unknown(word, options), told);
        }
    }
}
