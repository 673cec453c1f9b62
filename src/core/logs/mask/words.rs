//! Tells a word that may be a credential from a word of a sentence, a number, a path or a placeholder.

use super::MASK;
use super::chains::Chains;

/// What a word looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// There is no value: empty, `null`, `***`, `${DB_PASSWORD}`, `<token>`.
    Nothing,
    /// A word of a sentence about the value: `expired`, `required`, `oauth2:`.
    Prose,
    /// A number, a time, a share or an amount.
    Number,
    /// A path, a URL, a digest, an address, or code that computes the value.
    Reference,
    /// A UUID (RFC 9562).
    Uuid,
    /// Letters only, as in a dictionary.
    Plain,
    /// Several plain words joined by punctuation, as in the names of objects: `db-creds`, `default/db`.
    Label,
    /// Anything else.
    Opaque,
}

/// Values that are not credentials.
const NO_VALUES: [&str; 16] = [
    "null",
    "nil",
    "none",
    "undefined",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "-",
    "n/a",
    "redacted",
    "hidden",
    "masked",
    "filtered",
];

/// Words that join others. They make a sentence of words that are not in quotes.
const JOINING: [&str; 10] =
    ["and", "or", "to", "for", "from", "by", "with", "without", "such", "this"];

/// Words that make a sentence. None of them is likely within a passphrase.
const SENTENCE: [&str; 25] = [
    "is", "was", "are", "were", "be", "been", "must", "may", "should", "can", "cannot", "could",
    "not", "has", "have", "had", "does", "than", "field", "value", "too", "only", "expected",
    "got", "please",
];

/// Words that stand where a value would stand, and say what is wrong with it, or what type it has.
const STATES: [&str; 88] = [
    "absent",
    "admin-only",
    "auth",
    "authentication",
    "authorization",
    "bad",
    "basic",
    "bearer",
    "blank",
    "bool",
    "boolean",
    "called",
    "changed",
    "characters",
    "context",
    "create",
    "default",
    "delete",
    "denied",
    "disabled",
    "empty",
    "enabled",
    "env",
    "eof",
    "error",
    "exists",
    "expired",
    "failed",
    "failure",
    "file",
    "flag",
    "forbidden",
    "found",
    "given",
    "illegal",
    "incorrect",
    "int",
    "integer",
    "invalid",
    "list",
    "long",
    "malformed",
    "mandatory",
    "mismatch",
    "missing",
    "needs",
    "new",
    "object",
    "ok",
    "option",
    "optional",
    "permission",
    "present",
    "prompt",
    "provided",
    "read",
    "refused",
    "rejected",
    "required",
    "requires",
    "revoked",
    "rotated",
    "set",
    "short",
    "specified",
    "stale",
    "stdin",
    "str",
    "string",
    "strong",
    "succeeded",
    "success",
    "supplied",
    "timeout",
    "type",
    "unauthenticated",
    "unauthorized",
    "undefined",
    "unexpected",
    "unknown",
    "unset",
    "updated",
    "used",
    "uuid",
    "valid",
    "weak",
    "write",
    "wrong",
];

/// The states by their first letter.
static BY_FIRST: Chains<{ STATES.len() }> = Chains::new({
    let mut keys = [0; STATES.len()];
    let mut at = 0;
    while at < STATES.len() {
        keys[at] = STATES[at].as_bytes()[0];
        at += 1;
    }
    keys
});

fn is_listed_state(word: &[u8]) -> bool {
    let first = word.first().map_or(0, u8::to_ascii_lowercase);
    BY_FIRST.of(first).any(|at| word.eq_ignore_ascii_case(STATES[at].as_bytes()))
}

/// Endings of words that say what happened to a value. They count only where no password is expected.
const STATE_ENDINGS: [&str; 6] = ["ed", "ing", "able", "ible", "tion", "ence"];

/// Endings of names of errors.
const ERROR_ENDINGS: [&str; 6] = ["error", "exception", "expired", "invalid", "denied", "failed"];

/// Words after which a line is about an error.
const TROUBLE: [&str; 18] = [
    "cannot",
    "couldn",
    "could",
    "denied",
    "err",
    "error",
    "exception",
    "fail",
    "failed",
    "failure",
    "incorrect",
    "invalid",
    "missing",
    "non-existent",
    "refused",
    "unable",
    "unexpected",
    "wrong",
];

/// Names of algorithms without their numbers. `sha256` and `oauth2` look random, but are not.
const ALGORITHMS: [&str; 22] = [
    "sha", "sha-", "md", "hs", "rs", "es", "ps", "aes", "aes-", "base", "utf", "utf-", "oauth",
    "x", "x.", "ed", "http", "ipv", "secp", "tlsv", "pkcs", "v",
];

/// Maximum length of the words in the lists.
const LISTED_BYTES_MAX: usize = 16;

fn is_one_of(word: &[u8], words: &[&str]) -> bool {
    (1..=LISTED_BYTES_MAX).contains(&word.len())
        && words.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

fn ends_with_one_of(word: &[u8], endings: &[&str]) -> bool {
    endings.iter().any(|end| {
        word.len() > end.len()
            && word[word.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
    })
}

/// Removes the punctuation of a sentence around a word.
fn bare(word: &[u8]) -> &[u8] {
    let is_around = |byte: &u8| b".,;:!?()[]{}'\"`".contains(byte);
    let start = word.iter().take_while(|byte| is_around(byte)).count();
    let end = word.iter().rev().take_while(|byte| is_around(byte)).count();
    word.get(start..word.len().saturating_sub(end)).unwrap_or_default()
}

/// Returns true if a text with this word is a sentence, and not a passphrase.
pub(super) fn is_sentence_word(word: &[u8]) -> bool {
    let word = bare(word);
    if word.len() < 2 {
        return false;
    }
    is_one_of(word, &SENTENCE) || is_listed_state(word) || word.ends_with(b"n't")
}

/// Returns true if the words are those of a sentence, unless quotes say that they are one value.
pub(super) fn is_joining(word: &[u8]) -> bool {
    is_one_of(word, &JOINING) || is_sentence_word(word)
}

/// Returns true if the line is about an error from this word on.
pub(super) fn is_trouble(word: &[u8]) -> bool {
    is_one_of(word, &TROUBLE) || ends_with_one_of(word, &["Error", "Exception"])
}

/// Returns true if this is a word such as `revoked`, which no list can name completely.
pub(super) fn is_state(word: &[u8]) -> bool {
    word.len() >= 5
        && word.iter().all(u8::is_ascii_alphabetic)
        && ends_with_one_of(word, &STATE_ENDINGS)
}

/// Returns true for asterisks and the like, and for what a template or a shell would replace.
fn is_placeholder(word: &[u8]) -> bool {
    match word {
        [] => true,
        [b'$', b'{' | b'(', ..]
        | [b'{', b'{', ..]
        | [b'%', b'(' | b'!' | b's' | b'v' | b'q' | b'd', ..] => true,
        [b'$', name @ ..] => {
            !name.is_empty()
                && name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
        }
        [b'<', .., b'>'] | [b'|' | b'>'] | [b'|' | b'>', b'-' | b'+'] => true,
        // The first word of `<set to the key 'password' in secret 'db'>`.
        [b'<', name @ ..] if !name.is_empty() && name.iter().all(u8::is_ascii_lowercase) => true,
        [b'[' | b'(', inner @ .., b']' | b')'] => is_one_of(inner, &NO_VALUES),
        [a] | [a, _]
            if !a.is_ascii_alphanumeric() && !word[word.len() - 1].is_ascii_alphanumeric() =>
        {
            true
        }
        [b'x' | b'X' | b'*' | b'.', b, ..] if word.len() > 2 => word.iter().all(|other| other == b),
        _ => word.iter().all(|byte| *byte == b'*'),
    }
}

/// Returns true if a part of the word is masked. The rest of it was judged when that happened.
pub(super) fn has_mask(word: &[u8]) -> bool {
    memchr::memmem::find(word, MASK.as_bytes()).is_some()
}

/// Returns the look of a word. The caller bounds its length.
pub(super) fn look(word: &[u8]) -> Look {
    // A mask counts as what it replaced: so a line that was masked is read like the line before.
    if word == MASK.as_bytes() {
        return Look::Opaque;
    }
    if has_mask(word) {
        return Look::Nothing;
    }
    if is_placeholder(word) || is_one_of(bare(word), &NO_VALUES) {
        return Look::Nothing;
    }
    if word.ends_with(b":") || is_joining(word) || ends_with_one_of(bare(word), &ERROR_ENDINGS) {
        return Look::Prose;
    }
    if is_number(word) {
        return Look::Number;
    }
    if is_uuid(word) {
        return Look::Uuid;
    }
    if is_reference(word) {
        return Look::Reference;
    }
    if is_plain(word) {
        return Look::Plain;
    }
    if is_label(word) { Look::Label } else { Look::Opaque }
}

/// Returns true for `17`, `12ms`, `512Mi`, `100/s`, `-1.5%`, `2026-01-01T00:00:00Z`, `v1.2.3`.
fn is_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"v").unwrap_or(word);
    let is_digit = |b: &u8| b.is_ascii_digit() || b"+-.,:/".contains(b);
    let digits = word.iter().take_while(|b| is_digit(b)).count();
    let unit = &word[digits..];
    let is_unit = unit.len() <= 3 && unit.iter().all(|b| b.is_ascii_alphabetic() || *b == b'%');
    // Without the `T` and the `Z`, a time has digits only.
    let is_time = digits >= 8
        && word.iter().all(|b| is_digit(b) || matches!(b, b'T' | b'Z'))
        && word.contains(&b'-');
    word.iter().any(u8::is_ascii_digit) && digits > 0 && (is_unit && digits <= 20 || is_time)
}

fn is_uuid(word: &[u8]) -> bool {
    word.len() == 36
        && word.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Returns true for paths, URLs, digests, addresses, and code such as `os.environ["X"]` and `get_token()`.
fn is_reference(word: &[u8]) -> bool {
    let rest = [&b".."[..], b".", b"~"].iter().find_map(|start| word.strip_prefix(*start));
    let is_segment = |part: &[u8]| part.is_empty() || is_plain(part) || is_label(part);
    let is_path =
        |path: &[u8]| path.starts_with(b"/") && path.split(|b| *b == b'/').all(is_segment);
    if word == b"/"
        || is_path(rest.unwrap_or(word))
        || word.starts_with(b"0x") && word.len() <= 18
        || word.starts_with(b"(0x")
    {
        return true;
    }
    if ["sha256:", "sha512:", "sha1:", "md5:", "file:", "arn:", "vault:", "SHA256:"]
        .iter()
        .any(|start| word.starts_with(start.as_bytes()))
        || memchr::memmem::find(word, b"://")
            .is_some_and(|at| at > 0 && word[..at].iter().all(u8::is_ascii_alphanumeric))
    {
        return true;
    }
    let is_code = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    let name = word.iter().take_while(|b| is_code(b)).count();
    let is_call = match word.get(name..) {
        Some([b'(', rest @ ..]) => {
            rest.is_empty()
                || matches!(rest, [b')' | b'"' | b'\'', ..] | [.., b')'])
                || is_plain(&word[..name]) && is_plain(rest)
        }
        Some([b'[', rest @ ..]) => matches!(rest, [] | [b'"' | b'\'', ..] | [.., b']']),
        _ => false,
    };
    is_call && word[0].is_ascii_alphabetic()
}

/// Returns true for letters in the case of a dictionary, a constant or a class: capital letters are rare, or all
/// letters are.
fn is_plain(word: &[u8]) -> bool {
    let word = word.strip_suffix(b".").unwrap_or(word);
    let capitals = word.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    !word.is_empty()
        && word.iter().all(u8::is_ascii_alphabetic)
        && (capitals <= 1 && !word[1..].iter().any(u8::is_ascii_uppercase)
            || capitals == word.len()
            || word.len() >= 4 * capitals)
}

/// Returns true if the parts of a word are plain, or numbers of at most three digits, or both: `rbac-1`,
/// `app.v3`, `web-tls2`. Parts of letters and digits in another order are not.
fn is_label(word: &[u8]) -> bool {
    let is_joint = |b: &u8| matches!(b, b'-' | b'_' | b'.' | b'/' | b':' | b',');
    if !word.iter().any(is_joint) {
        return false;
    }
    word.split(is_joint).all(|part| {
        let digits = part.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let letters = &part[..part.len() - digits];
        digits <= 3 && (letters.is_empty() || is_plain(letters))
    })
}

/// Returns true for `name=value`, which has a name of its own. (`=` at the end is padding.)
pub(super) fn is_pair(word: &[u8]) -> bool {
    let is_name = |b: &&u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.');
    let name = word.iter().take_while(is_name).count();
    name > 0 && word.get(name) == Some(&b'=') && word[name..].iter().any(|b| *b != b'=')
}

/// Returns how many kinds of characters an opaque word has: small letters, capital letters, digits, other.
fn kinds(word: &[u8]) -> usize {
    let has = |is_kind: fn(&u8) -> bool| usize::from(word.iter().any(is_kind));
    has(u8::is_ascii_lowercase)
        + has(u8::is_ascii_uppercase)
        + has(u8::is_ascii_digit)
        + has(|b| b"!@#$%^&*+~?=".contains(b))
}

/// Returns true if nothing but chance explains the word, so that it may be masked even in a sentence. `kinds_min`
/// is how many kinds of characters it needs.
pub(super) fn is_random(word: &[u8], bytes_min: usize, kinds_min: usize) -> bool {
    if word == MASK.as_bytes() {
        return true;
    }
    if word.len() < bytes_min || look(word) != Look::Opaque || kinds(word) < kinds_min {
        return false;
    }
    let digits = word.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    !is_pair(word) && !is_one_of(&word[..word.len() - digits], &ALGORITHMS)
}
