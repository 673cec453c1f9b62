//! Tells names of credentials from other names.

use super::chains::Chains;

/// What kind of value a name announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// People choose it: it may be any word, or several.
    Password,
    /// Programs generate it.
    Secret,
    /// The value counts only if it looks random, since most such names announce something else.
    Weak,
    /// An HTTP header with a scheme before the credential.
    Authorization,
    /// An HTTP header with names of its own in its value.
    Cookie,
}

/// An ending of a name.
struct Ending {
    /// In lower case, without separators.
    text: &'static str,
    /// True if a word must begin where the ending begins: `db_pass`, but not `compass`.
    is_word: bool,
    /// `None` if the value is no credential.
    kind: Option<Kind>,
}

const fn any(kind: Kind, text: &'static str) -> Ending {
    Ending { text, is_word: false, kind: Some(kind) }
}

const fn word(kind: Kind, text: &'static str) -> Ending {
    Ending { text, is_word: true, kind: Some(kind) }
}

const fn harmless(text: &'static str) -> Ending {
    Ending { text, is_word: false, kind: None }
}

/// The endings, in the order in which they are tried.
const ENDINGS: &[Ending] = &[
    harmless("nexttoken"),
    harmless("pagetoken"),
    harmless("continuationtoken"),
    harmless("continuetoken"),
    harmless("resumetoken"),
    harmless("synctoken"),
    harmless("canceltoken"),
    harmless("cancellationtoken"),
    harmless("eostoken"),
    harmless("bostoken"),
    harmless("padtoken"),
    harmless("unktoken"),
    harmless("pullsecret"),
    harmless("existingsecret"),
    harmless("tlssecret"),
    harmless("publickey"),
    harmless("cachekey"),
    harmless("partitionkey"),
    harmless("primarykey"),
    harmless("foreignkey"),
    harmless("sortkey"),
    harmless("idempotencykey"),
    harmless("routingkey"),
    harmless("rowkey"),
    harmless("objectkey"),
    harmless("groupkey"),
    harmless("indexkey"),
    harmless("hashkey"),
    harmless("lockkey"),
    harmless("rediskey"),
    harmless("s3key"),
    harmless("messagekey"),
    harmless("eventkey"),
    harmless("hostkey"),
    harmless("dedupkey"),
    harmless("deduplicationkey"),
    harmless("shardkey"),
    harmless("uniquekey"),
    harmless("recordkey"),
    harmless("mapkey"),
    any(Kind::Password, "password"),
    any(Kind::Password, "passwd"),
    any(Kind::Password, "passphrase"),
    any(Kind::Password, "passcode"),
    any(Kind::Password, "mnemonic"),
    any(Kind::Password, "pwd"),
    any(Kind::Password, "requirepass"),
    any(Kind::Password, "masterauth"),
    any(Kind::Password, "rediscliauth"),
    any(Kind::Password, "storepass"),
    any(Kind::Password, "keypass"),
    any(Kind::Password, "dbpass"),
    any(Kind::Password, "userpass"),
    any(Kind::Password, "rootpass"),
    any(Kind::Password, "bindpw"),
    any(Kind::Password, "rootpw"),
    word(Kind::Password, "pass"),
    word(Kind::Password, "pw"),
    any(Kind::Secret, "secret"),
    any(Kind::Secret, "secretkeybase"),
    any(Kind::Secret, "token"),
    any(Kind::Secret, "secretkey"),
    any(Kind::Secret, "apikey"),
    any(Kind::Secret, "accesskey"),
    any(Kind::Secret, "accountkey"),
    any(Kind::Secret, "privatekey"),
    any(Kind::Secret, "privkey"),
    any(Kind::Secret, "sharedkey"),
    any(Kind::Secret, "storagekey"),
    any(Kind::Secret, "encryptionkey"),
    any(Kind::Secret, "decryptionkey"),
    any(Kind::Secret, "encryptkey"),
    any(Kind::Secret, "signingkey"),
    any(Kind::Secret, "masterkey"),
    any(Kind::Secret, "authkey"),
    any(Kind::Secret, "appkey"),
    any(Kind::Secret, "applicationkey"),
    any(Kind::Secret, "servicekey"),
    any(Kind::Secret, "licensekey"),
    any(Kind::Secret, "sessionkey"),
    any(Kind::Secret, "clientkey"),
    any(Kind::Secret, "clientkeydata"),
    any(Kind::Secret, "subscriptionkey"),
    any(Kind::Secret, "deploykey"),
    any(Kind::Secret, "unsealkey"),
    any(Kind::Secret, "recoverykey"),
    any(Kind::Secret, "certificatekey"),
    any(Kind::Secret, "hmackey"),
    any(Kind::Secret, "jwtkey"),
    any(Kind::Secret, "aeskey"),
    any(Kind::Secret, "sslkey"),
    any(Kind::Secret, "tlskey"),
    any(Kind::Secret, "sshkey"),
    any(Kind::Secret, "presharedkey"),
    word(Kind::Secret, "psk"),
    word(Kind::Secret, "otp"),
    word(Kind::Secret, "totp"),
    any(Kind::Secret, "jsessionid"),
    any(Kind::Secret, "phpsessid"),
    word(Kind::Weak, "key"),
    word(Kind::Weak, "auth"),
    word(Kind::Weak, "jwt"),
    word(Kind::Weak, "credential"),
    word(Kind::Weak, "credentials"),
    word(Kind::Weak, "sessionid"),
    word(Kind::Weak, "connectsid"),
    any(Kind::Authorization, "authorization"),
    word(Kind::Cookie, "cookie"),
];

/// The endings by their last byte.
static BY_LAST: Chains<{ ENDINGS.len() }> = Chains::new({
    let mut keys = [0; ENDINGS.len()];
    let mut at = 0;
    while at < ENDINGS.len() {
        let text = ENDINGS[at].text.as_bytes();
        keys[at] = text[text.len() - 1];
        at += 1;
    }
    keys
});

/// Names of query parameters that are credentials only there.
const PARAMETERS: [&str; 11] = [
    "code",
    "key",
    "sig",
    "signature",
    "x-amz-signature",
    "x-goog-signature",
    "auth",
    "jwt",
    "ticket",
    "assertion",
    "samlresponse",
];

/// How many letters at the end of a name are compared with [`ENDINGS`]. The longest ending has 17.
const LETTERS_MAX: usize = 24;

/// The last letters of a name, in lower case and without separators.
struct Letters {
    /// The letters are at the end.
    buffer: [u8; LETTERS_MAX],
    len: usize,
    /// True where a word begins.
    starts: [bool; LETTERS_MAX],
}

impl Letters {
    /// Collects letters from the end of `name`, and from the words before it if it is just `key`: in a sentence,
    /// `secret access key` is one name.
    fn of(bytes: &[u8], floor: usize, start: usize, end: usize) -> Self {
        let mut letters = Self { buffer: [0; LETTERS_MAX], len: 0, starts: [false; LETTERS_MAX] };
        let is_phrase = bytes[start..end].eq_ignore_ascii_case(b"key");
        let floor = if is_phrase { floor } else { start };
        let mut at = end;
        while at > floor && letters.len < LETTERS_MAX {
            let byte = bytes[at - 1];
            let before = if at - 1 > floor { bytes[at - 2] } else { b' ' };
            at -= 1;
            if is_separator(byte) || byte == b' ' && is_phrase && before.is_ascii_alphanumeric() {
                continue;
            }
            if !byte.is_ascii_alphanumeric() {
                break;
            }
            letters.len += 1;
            let slot = LETTERS_MAX - letters.len;
            letters.buffer[slot] = byte.to_ascii_lowercase();
            letters.starts[slot] = !before.is_ascii_alphanumeric()
                || byte.is_ascii_uppercase() && !before.is_ascii_uppercase();
        }
        letters
    }

    fn text(&self) -> &[u8] {
        &self.buffer[LETTERS_MAX - self.len..]
    }

    fn matches(&self, ending: &Ending) -> bool {
        self.text().ends_with(ending.text.as_bytes())
            && (!ending.is_word || self.starts[LETTERS_MAX - ending.text.len()])
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.')
}

/// Returns what kind of value the name announces. A number may follow the name (`DB_PASSWORD_2`). `floor` is where
/// the last credential before the name ends; nothing before it counts.
pub(super) fn kind(bytes: &[u8], floor: usize, start: usize, end: usize) -> Option<Kind> {
    let name = &bytes[start..end];
    let number = name.iter().rev().take_while(|b| b.is_ascii_digit() || is_separator(**b)).count();
    let name = &name[..name.len() - number];
    let mut endings =
        BY_LAST.of(name.last()?.to_ascii_lowercase()).map(|at| &ENDINGS[at]).peekable();
    // Most words of a line end here.
    endings.peek()?;
    let letters = Letters::of(bytes, floor, start, start + name.len());
    let kind = endings.find(|ending| letters.matches(ending))?.kind;
    // Most things that are called just `key` are keys of a map.
    kind.filter(|kind| *kind != Kind::Weak || !name.eq_ignore_ascii_case(b"key"))
}

/// Returns true if the name is `secret` and nothing else. So Kubernetes objects are called in sentences.
pub(super) fn is_object(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"secret")
}

/// Returns true if a query parameter of this name has a credential.
pub(super) fn is_parameter(name: &[u8]) -> bool {
    PARAMETERS.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
}
