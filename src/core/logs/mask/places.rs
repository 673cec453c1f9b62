//! Finds credentials by their place: in URLs and connection strings, in command lines, in SQL.

use std::ops::Range;

use super::extent::{bare_end, open, quoted_end, value_end};
use super::words::{Look, is_random, is_state, look};
use super::{is_blank, run};
use crate::limits::{MASK_USERINFO_BYTES_MAX, MASK_WORD_BYTES_MAX};

/// Returns the password of a URL (RFC 3986, 3.2.1) whose scheme ends at `at`, or the token before its `@`.
///
/// A password with an unescaped `/` makes the URL invalid, but programs print such URLs when they cannot
/// connect. So unless a port number stands after the colon, the `@` is also searched for after the `/`.
pub(super) fn url_password(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at + 3;
    if bytes.get(at..start) != Some(b"://") {
        return None;
    }
    let longest = &bytes[..bytes.len().min(start + MASK_USERINFO_BYTES_MAX)];
    let is_word = |b: u8| !is_blank(b) && !matches!(b, b'"' | b'\'' | b'`' | b'<' | b'>');
    let authority = run(longest, start, |b| is_word(b) && !matches!(b, b'/' | b'?' | b'#'));
    // The colons of an IPv6 address.
    if longest.get(start) == Some(&b'[') {
        return None;
    }
    let Some(colon) = memchr::memchr(b':', &longest[start..authority]).map(|at| start + at) else {
        let at_sign = start + memchr::memrchr(b'@', &longest[start..authority])?;
        return is_random(&bytes[start..at_sign], 16, 2).then_some(start..at_sign);
    };
    let at_sign = match memchr::memrchr(b'@', &longest[colon..authority]) {
        Some(at) => colon + at,
        None if longest[colon + 1..authority].iter().all(u8::is_ascii_digit) => return None,
        None => {
            // Most URLs have none, and are not read further.
            memchr::memchr(b'@', &longest[authority..])?;
            let word = run(longest, authority, is_word);
            colon + memchr::memrchr(b'@', &longest[colon..word])?
        }
    };
    // The token may be in the place of the user: `https://TOKEN:x-oauth-basic@…`.
    let user = if is_random(&bytes[start..colon], 16, 2) { start } else { colon + 1 };
    let is_shown = look(&bytes[colon + 1..at_sign]) == Look::Nothing && user > start;
    (!is_shown).then_some(user..at_sign)
}

/// Returns the password before the `@` at `at`, in the forms of MySQL for Go, `user:password@tcp(…)`, and of
/// Oracle, `jdbc:oracle:thin:user/password@…` or `user/password@//…`. Nothing before `floor` belongs to it.
pub(super) fn dsn_password(bytes: &[u8], floor: usize, at: usize) -> Option<Range<usize>> {
    let rest = &bytes[at + 1..];
    let is_mysql =
        ["tcp(", "tcp6(", "unix(", "udp(", "("].iter().any(|net| rest.starts_with(net.as_bytes()));
    let is_oracle =
        rest.first().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'('));
    if !is_mysql && !is_oracle {
        return None;
    }
    let shortest = floor.max(at.saturating_sub(MASK_WORD_BYTES_MAX));
    let is_inside =
        |b: &&u8| !is_blank(**b) && !matches!(b, b'"' | b'\'' | b'`' | b'\\' | b'=' | b',');
    // Several `@` in a row are read once, unless a network follows.
    let is_part = |b: &&u8| is_inside(b) && (is_mysql || **b != b'@');
    let start = at - bytes[shortest..at].iter().rev().take_while(is_part).count();
    let word = &bytes[start..at];
    let user = match memchr::memmem::find(word, b"oracle:") {
        Some(oracle) if is_oracle => oracle + memchr::memchr(b'/', &word[oracle..])?,
        _ if is_mysql => memchr::memchr(b':', word)?,
        _ if rest.starts_with(b"//") => memchr::memchr(b'/', word)?,
        _ => return None,
    };
    let password = start + user + 1..at;
    (look(&bytes[password.clone()]) != Look::Nothing).then_some(password)
}

/// Where a flag has its credential.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// In the next word, or in the same.
    Next,
    /// In the same word only: `-pSECRET`.
    Same,
    /// In the next word or in the same, after a name and a `:` or `=`.
    Pair,
}

/// A program whose flags have credentials, but no telling names.
pub(super) struct Program {
    names: &'static [&'static str],
    flags: &'static [(&'static str, How)],
}

const PROGRAMS: &[Program] = &[
    Program {
        names: &["curl"],
        flags: &[
            ("-u", How::Pair),
            ("--user", How::Pair),
            ("-U", How::Pair),
            ("--proxy-user", How::Pair),
            ("-b", How::Pair),
            ("--cookie", How::Pair),
        ],
    },
    Program { names: &["sshpass", "login", "cqlsh"], flags: &[("-p", How::Next)] },
    Program {
        names: &["mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"],
        flags: &[("-p", How::Next)],
    },
    Program {
        names: &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mysqlcheck",
            "mysqlimport",
            "mysqlshow",
            "mariadb",
            "mariadb-dump",
            "mariadb-admin",
            "7z",
            "7za",
        ],
        flags: &[("-p", How::Same)],
    },
    Program { names: &["redis-cli", "valkey-cli"], flags: &[("-a", How::Next)] },
    Program {
        names: &["ldapsearch", "ldapadd", "ldapmodify", "ldapwhoami", "ldapdelete", "ldappasswd"],
        flags: &[("-w", How::Next)],
    },
    Program { names: &["sqlcmd", "bcp", "ipmitool", "zip", "unzip"], flags: &[("-P", How::Next)] },
];

/// Returns the program of this name.
pub(super) fn program(word: &[u8]) -> Option<&'static Program> {
    let is_listed = (2..=16).contains(&word.len());
    let mut programs = PROGRAMS.iter();
    let is_named = |program: &&Program| {
        program.names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    is_listed.then(|| programs.find(is_named)).flatten()
}

/// Returns the credential of a flag of the program.
pub(super) fn flag(bytes: &[u8], name: &Range<usize>, program: &Program) -> Option<Range<usize>> {
    let word = &bytes[name.clone()];
    let before = bytes[..name.start].last().copied();
    if before.is_some_and(|b| !b" \t\"'`\\[(,".contains(&b)) {
        return None;
    }
    let mut flags = program.flags.iter();
    let (flag, how) = flags.find(|(flag, _)| {
        word == flag.as_bytes() || flag.len() == 2 && word.starts_with(flag.as_bytes())
    })?;
    let behind = name.start + flag.len();
    let is_quote = |b: u8| matches!(b, b'"' | b'\'' | b'`' | b'\\');
    let is_closed = bytes.get(behind).is_some_and(|b| is_quote(*b) && before == Some(*b));
    let is_same =
        word.len() > flag.len() || bytes.get(behind).is_some_and(|b| is_quote(*b)) && !is_closed;
    let start = if is_same {
        behind
    } else if *how == How::Same {
        return None;
    } else {
        let closed = run(bytes, behind, |b| is_quote(b) || b == b'=' || b == b',');
        let start = run(bytes, closed, is_blank);
        let start = run(bytes, start, |b| b == b',' || is_blank(b));
        // In JSON, the comma and the quotes between two words are read as the end of the flag.
        if start == closed && closed > behind { closed - 1 } else { start }
    };
    let value = open(bytes, start);
    let end = value_end(bytes, &value);
    let value = match how {
        How::Pair => {
            value.start + 1 + memchr::memchr2(b':', b'=', bytes.get(value.start..end)?)?..end
        }
        _ => value.start..end,
    };
    let first = bytes.get(value.start).copied().filter(|_| !value.is_empty())?;
    let shown = &bytes[value.start..value.end.min(value.start + MASK_WORD_BYTES_MAX)];
    let is_credential = match look(shown) {
        Look::Nothing | Look::Prose => false,
        Look::Number => shown.len() >= 5,
        Look::Reference => *how == How::Pair,
        _ => first != b'-',
    };
    is_credential.then_some(value)
}

/// Returns the text of an XML element whose name ends at `end`: `<password>…</password>`.
pub(super) fn element(bytes: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let prefix = match bytes[..start].last() {
        // With a namespace.
        Some(b':') => {
            bytes[..start - 1]
                .iter()
                .rev()
                .take(32)
                .take_while(|b| b.is_ascii_alphanumeric())
                .count()
                + 1
        }
        _ => 0,
    };
    if bytes[..start - prefix].last() != Some(&b'<') {
        return None;
    }
    let shown = &bytes[..bytes.len().min(end + MASK_USERINFO_BYTES_MAX)];
    let tag = match shown.get(end)? {
        b'>' => end,
        b' ' => {
            end + memchr::memchr2(b'>', b'<', &shown[end..]).filter(|at| shown[end + at] == b'>')?
        }
        _ => return None,
    };
    if shown[tag - 1] == b'/' {
        return None;
    }
    let text = tag + 1;
    let close = text + memchr::memchr(b'<', &shown[text..])?;
    (close > text && shown[close..].starts_with(b"</")).then_some(text..close)
}

/// Returns the text in the quotes at `at`.
pub(super) fn quoted(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let value = open(bytes, at);
    let (quote, slashes) = value.quote?;
    Some(value.start..quoted_end(bytes, value.start, quote, slashes))
}

/// Words behind `AUTH` that are no password (RFC 4954 and RFC 4217).
const MECHANISMS: [&str; 8] =
    ["PLAIN", "LOGIN", "XOAUTH2", "CRAM-MD5", "EXTERNAL", "GSSAPI", "NTLM", "TLS"];

/// Returns the words behind the command `AUTH` of Redis or SMTP that are a credential: the last of at most two.
pub(super) fn auth_command(bytes: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let before = &bytes[name.start.saturating_sub(2)..name.start];
    let behind = run(bytes, name.end, is_blank);
    let longest = &bytes[..bytes.len().min(behind + MASK_WORD_BYTES_MAX)];
    let is_command = is_random(&longest[behind..bare_end(longest, behind)], 6, 2)
        || before.is_empty()
        || matches!(before, [.., b'"' | b'\''])
        || matches!(before, [b':' | b'>', b' ']);
    if !is_command {
        return None;
    }
    let closed = run(bytes, name.end, |b| matches!(b, b'"' | b'\''));
    let start = run(bytes, closed, is_blank);
    if start == closed {
        return None;
    }
    let word = |at: usize| {
        let value = open(bytes, at);
        let shown = bytes.len().min(value.start + MASK_WORD_BYTES_MAX);
        let end = match value.quote {
            Some((quote, slashes)) => quoted_end(&bytes[..shown], value.start, quote, slashes),
            None => bare_end(&bytes[..shown], value.start),
        };
        value.start..end
    };
    let first = word(start);
    let is_value = |word: &Range<usize>| {
        let text = &bytes[word.clone()];
        !MECHANISMS.iter().any(|name| name.as_bytes() == text)
            && !matches!(look(text), Look::Nothing | Look::Prose | Look::Number | Look::Reference)
    };
    let behind = run(bytes, first.end, |b| matches!(b, b'"' | b'\'') || is_blank(b));
    if behind >= bytes.len() {
        return is_value(&first).then_some(first);
    }
    let second = word(behind.min(bytes.len()));
    let rest = run(bytes, second.end, |b| matches!(b, b'"' | b'\'') || is_blank(b));
    (rest >= bytes.len() && is_value(&second) && !is_state(&bytes[second.clone()]))
        .then_some(second)
}

/// Returns the password of `credentials: user:password`.
pub(super) fn pair(bytes: &[u8], name: &Range<usize>, start: usize) -> Option<Range<usize>> {
    let word = &bytes[name.clone()];
    let is_pair = word.len() >= 11 && word[word.len() - 11..].eq_ignore_ascii_case(b"credentials");
    if !is_pair || start == name.end {
        return None;
    }
    let value = open(bytes, start);
    let shown = &bytes[..bytes.len().min(value.start + MASK_WORD_BYTES_MAX)];
    let user = run(shown, value.start, |b| b.is_ascii_alphanumeric() || b"._-@".contains(&b));
    let password = user + 1..bare_end(shown, user + 1);
    let is_password = user > value.start
        && shown.get(user) == Some(&b':')
        && !matches!(
            look(shown.get(password.clone())?),
            Look::Nothing | Look::Prose | Look::Reference
        );
    is_password.then(|| password.start..bare_end(bytes, password.start))
}
