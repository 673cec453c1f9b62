//! Finds the values that follow the names of credentials.
//!
//! A value is judged by three things: the kind of its name, how it is joined to the name, and how it looks. What is
//! joined as programs do it, `name=value` or `"name":"value"`, is masked unless it looks like no credential at all.
//! After `name: ` there may be a sentence as well, as in `unable to fetch token: timeout`.

use std::ops::Range;

use super::extent::{bare_end, open, phrase_end, quoted_end, value_end};
use super::headers::{authorization, behind_scheme, cookies};
use super::joins::{Behind, Join, another_name_follows, behind_name};
use super::names::{self, Kind};
use super::places::{self, Program};
use super::words::{
    Look, has_mask, is_joining, is_random, is_sentence_word, is_state, is_trouble, look,
};
use super::{is_blank, is_name_byte, push, run};
use crate::limits::{MASK_PHRASE_WORDS_MAX, MASK_VALUE_BYTES_MAX, MASK_WORD_BYTES_MAX};

/// Words between a name and its value in a sentence.
const LINKS: [&str; 6] = ["is", "was", "are", "set", "to", "now"];

/// Reads a line once, from its start to its end.
pub(super) struct Walk<'t> {
    bytes: &'t [u8],
    /// The credentials found so far.
    pub(super) hits: Vec<Range<usize>>,
    /// Nothing before this position is read again.
    at: usize,
    /// True if the words so far are about an error.
    is_in_trouble: bool,
    /// The program whose command line this may be.
    program: Option<&'static Program>,
    /// True behind a word of SQL's statements about accounts.
    is_about_account: bool,
    /// True behind `IDENTIFIED` in such a statement: anything may be identified by something.
    is_identified: bool,
    /// True if a word so far was a name of a password, without a value.
    is_about_password: bool,
}

impl<'t> Walk<'t> {
    /// Reads the whole line.
    pub(super) fn new(text: &'t str) -> Self {
        let mut walk = Self {
            bytes: text.as_bytes(),
            hits: Vec::new(),
            at: 0,
            is_in_trouble: false,
            program: None,
            is_about_account: false,
            is_identified: false,
            is_about_password: false,
        };
        while walk.at < walk.bytes.len() {
            let name = walk.at..run(walk.bytes, walk.at, is_name_byte);
            let hit = if name.is_empty() { walk.mark() } else { walk.name(&name) };
            walk.at = walk.at.max(name.end.max(name.start + 1));
            if let Some(hit) = hit {
                walk.at = walk.at.max(hit.end);
                push(&mut walk.hits, hit);
            }
        }
        walk
    }

    /// Returns where the last credential ends. Nothing before it may be read, since masking it changes it.
    fn floor(&self) -> usize {
        self.hits.last().map_or(0, |hit| hit.end)
    }

    /// Returns the credential at a character that is not one of a name.
    fn mark(&self) -> Option<Range<usize>> {
        match self.bytes[self.at] {
            b'@' => places::dsn_password(self.bytes, self.floor(), self.at),
            b':' if self.is_about_password && !self.is_in_trouble => {
                // `A temporary password is generated for root@localhost: …`
                let start = run(self.bytes, self.at + 1, is_blank);
                let shown = self.bytes.len().min(start + MASK_WORD_BYTES_MAX);
                let end = run(&self.bytes[..shown], start, |b| !is_blank(b));
                let is_last = start > self.at + 1 && end == self.bytes.len();
                (is_last && is_random(&self.bytes[start..end], 8, 3)).then_some(start..end)
            }
            _ => None,
        }
    }

    /// Returns the credential that belongs to a word of the line.
    fn name(&mut self, name: &Range<usize>) -> Option<Range<usize>> {
        let word = &self.bytes[name.clone()];
        if let Some(password) = places::url_password(self.bytes, name.end) {
            return Some(password);
        }
        if let Some(program) = self.program
            && word[0] == b'-'
            && let Some(value) = places::flag(self.bytes, name, program)
        {
            return Some(value);
        }
        let hit = self.parameter(name).or_else(|| self.named(name)).or_else(|| self.word(name));
        if hit.is_none() {
            self.is_in_trouble |= is_trouble(word);
            self.is_identified |= word == b"IDENTIFIED"
                || self.is_about_account && word.eq_ignore_ascii_case(b"identified");
            self.is_about_account |= [b"user".as_slice(), b"grant"]
                .iter()
                .any(|account| word.eq_ignore_ascii_case(account));
            self.program = places::program(word).or(self.program);
        }
        hit
    }

    /// Returns the value of a parameter of a URL's query.
    fn parameter(&self, name: &Range<usize>) -> Option<Range<usize>> {
        let before = *self.bytes[..name.start].last()?;
        let is_parameter = matches!(before, b'?' | b'&')
            || before == b' ' && self.bytes[..name.start].ends_with(b", ") && !name.is_empty();
        if !is_parameter
            || self.bytes.get(name.end) != Some(&b'=')
            || !names::is_parameter(&self.bytes[name.clone()])
        {
            return None;
        }
        let start = name.end + 1;
        let is_inside = |b: u8| {
            !is_blank(b)
                && !matches!(b, b'&' | b'#' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b',')
        };
        let shown = self.bytes.len().min(start + MASK_WORD_BYTES_MAX);
        let end = run(&self.bytes[..shown], start, is_inside);
        let is_credential =
            end - start >= 12 && matches!(look(&self.bytes[start..end]), Look::Opaque | Look::Uuid);
        is_credential.then(|| start..run(self.bytes, end, is_inside))
    }

    /// Returns the credential that a word announces which is no name: `Bearer …`, `IDENTIFIED BY '…'`, `AUTH …`.
    fn word(&self, name: &Range<usize>) -> Option<Range<usize>> {
        let word = &self.bytes[name.clone()];
        let next = run(self.bytes, name.end, is_blank);
        match word.len() {
            2 if self.is_identified && word.eq_ignore_ascii_case(b"by") => {
                let value = places::quoted(self.bytes, next)?;
                (value.len() > 1 && self.bytes[value.clone()].iter().any(|b| *b != b'*'))
                    .then_some(value)
            }
            4 if word == b"AUTH" => places::auth_command(self.bytes, name),
            5 | 6
                if next > name.end
                    && (word.eq_ignore_ascii_case(b"basic")
                        || word.eq_ignore_ascii_case(b"bearer")) =>
            {
                let shown = self.bytes.len().min(next + MASK_WORD_BYTES_MAX);
                let shown = &self.bytes[next..bare_end(&self.bytes[..shown], next)];
                is_random(shown, 8, 2).then(|| next..bare_end(self.bytes, next))
            }
            _ => None,
        }
    }

    /// Returns the value that belongs to a name, if the name is that of a credential.
    fn named(&mut self, name: &Range<usize>) -> Option<Range<usize>> {
        let kind = names::kind(self.bytes, self.floor(), name.start, name.end)?;
        let bytes = self.bytes;
        // A pointer to a type, as Go prints it: `*v1.Secret`.
        if bytes[..name.start].ends_with(b"*") && self.floor() < name.start {
            return None;
        }
        if let Some(text) = places::element(bytes, name.start, name.end) {
            return self.quoted_value(kind, name, &text).then_some(text);
        }
        let Some(behind) = behind_name(bytes, name) else {
            self.is_about_password |= kind == Kind::Password;
            return places::pair(bytes, name, run(bytes, name.end, is_blank))
                .or_else(|| self.sentence(kind, name));
        };
        match kind {
            Kind::Cookie => {
                let (values, end) = cookies(bytes, behind.start);
                for value in values {
                    push(&mut self.hits, value);
                }
                self.at = self.at.max(end);
                None
            }
            Kind::Authorization => {
                let outer =
                    bytes[..name.start].last().copied().filter(|b| matches!(b, b'"' | b'\''));
                let is_outer = outer.is_some() && bytes.get(name.end) != outer.as_ref();
                authorization(bytes, behind.start, outer.filter(|_| is_outer))
            }
            _ => {
                places::pair(bytes, name, behind.start).or_else(|| self.value(kind, name, &behind))
            }
        }
    }

    fn value(&self, kind: Kind, name: &Range<usize>, behind: &Behind) -> Option<Range<usize>> {
        let bytes = self.bytes;
        if behind.join != Join::Flag && another_name_follows(bytes, behind.start) {
            return None;
        }
        let mut value = open(bytes, behind.start);
        // An object has names of its own, which are checked one by one. A password of ODBC may be in braces.
        if bytes.get(value.start) == Some(&b'{') {
            let shown = bytes.len().min(value.start + MASK_WORD_BYTES_MAX);
            let end = run(&bytes[..shown], value.start + 1, |b| {
                is_name_byte(b) || b"!@#$%^&*;".contains(&b)
            });
            let is_password = kind == Kind::Password
                && bytes[behind.start - 1] == b'='
                && bytes.get(end) == Some(&b'}');
            let inner = value.start + 1..end;
            return (is_password && self.judge(kind, name, &bytes[inner.clone()])).then_some(inner);
        }
        let window = &bytes[..bytes.len().min(value.start + MASK_VALUE_BYTES_MAX)];
        let scheme = behind_scheme(window, value.start);
        if let Some((quote, slashes)) = value.quote {
            let end = quoted_end(window, value.start, quote, slashes);
            let start = if scheme < end { scheme } else { value.start };
            let is_quotation = behind.join == Join::Apart && self.is_in_sentence(name);
            let is_credential = self.quoted_value(kind, name, &(start..end))
                && (!is_quotation
                    || kind == Kind::Password
                    || is_random(&window[start..end], 8, 2));
            return is_credential.then(|| start..quoted_end(bytes, value.start, quote, slashes));
        }
        value.start = scheme;
        let word = &bytes[value.start..bare_end(window, value.start)];
        if behind.join == Join::Apart {
            return self.apart(kind, name, value.start);
        }
        if behind.join == Join::Close && is_blank(bytes[behind.start - 1]) && kind == Kind::Password
        {
            // The values of configuration files may have several words.
            return self.phrase(kind, name, value.start);
        }
        self.judge(kind, name, word).then(|| value.start..value_end(bytes, &value))
    }

    /// Returns true if the text in quotes is a credential. A password may have several words.
    fn quoted_value(&self, kind: Kind, name: &Range<usize>, value: &Range<usize>) -> bool {
        let shown = value.end.min(value.start + MASK_VALUE_BYTES_MAX);
        let text = self.bytes[value.start..shown].trim_ascii();
        let words = text.split(|b| is_blank(*b)).filter(|word| !word.is_empty());
        let mut words = words.take(MASK_PHRASE_WORDS_MAX);
        let Some(first) = words.next() else {
            return false;
        };
        if first.len() == text.len() {
            return self.judge(kind, name, &text[..text.len().min(MASK_WORD_BYTES_MAX)]);
        }
        kind != Kind::Weak
            && !is_sentence_word(first)
            && !has_mask(text)
            && !words.any(is_sentence_word)
    }

    /// Returns true if a word that is joined closely to a name is a credential.
    fn judge(&self, kind: Kind, name: &Range<usize>, word: &[u8]) -> bool {
        let word = &word[..word.len().min(MASK_WORD_BYTES_MAX)];
        let name = &self.bytes[name.clone()];
        let is_bare = name.eq_ignore_ascii_case(b"pass");
        match (look(word), kind) {
            (Look::Nothing | Look::Prose | Look::Reference, _) => false,
            (Look::Number, Kind::Password) => !is_bare && word.len() >= 3,
            (Look::Number, Kind::Secret) => word.len() >= 5 && word.iter().all(u8::is_ascii_digit),
            (Look::Opaque | Look::Uuid, Kind::Password | Kind::Secret) => true,
            (Look::Opaque, Kind::Weak) => is_random(word, 12, 2),
            (Look::Plain, Kind::Password) => !names_itself(word),
            (Look::Plain, Kind::Secret) => !names_itself(word) && !is_state(word),
            (Look::Label, Kind::Password) => !is_attribute(word),
            (Look::Label, Kind::Secret) => !is_attribute(word) && !names::is_object(name),
            _ => false,
        }
    }

    /// Returns the value after `name: ` or `name = `.
    fn apart(&self, kind: Kind, name: &Range<usize>, start: usize) -> Option<Range<usize>> {
        if !self.is_in_sentence(name) {
            return self.phrase(kind, name, start);
        }
        let shown = &self.bytes[..self.bytes.len().min(start + MASK_VALUE_BYTES_MAX)];
        let word = &shown[start..bare_end(shown, start)];
        let end = start + word.len();
        let is_alone = phrase_end(shown, end) == end;
        let is_credential = match kind {
            Kind::Password => {
                is_random(word, 6, 2)
                    || look(word) == Look::Uuid
                    || look(word) == Look::Plain && is_alone && !self.is_in_trouble
            }
            Kind::Secret => is_random(word, 8, 2),
            _ => is_random(word, 16, 2),
        };
        is_credential.then(|| start..bare_end(self.bytes, start))
    }

    /// Returns the value of a line in a configuration file or a dump, which may have several words.
    fn phrase(&self, kind: Kind, name: &Range<usize>, start: usize) -> Option<Range<usize>> {
        let bytes = self.bytes;
        let shown = &bytes[..bytes.len().min(start + MASK_VALUE_BYTES_MAX)];
        let end = bare_end(shown, start);
        let word = &shown[start..end];
        let rest = &shown[end..phrase_end(shown, end)];
        let words = rest.split(|b| is_blank(*b)).filter(|word| !word.is_empty());
        let mut others = words.take(MASK_PHRASE_WORDS_MAX);
        let is_alone = rest.is_empty();
        let is_sentence = others.clone().any(is_joining);
        let is_pair =
            others.any(|word| word.ends_with(b":") || word.contains(&b'=') || has_mask(word));
        let is_judged = self.judge(kind, name, word);
        let is_phrase = match look(word) {
            Look::Number if !is_alone => return None,
            Look::Plain | Look::Label if kind == Kind::Password => {
                if is_sentence || self.is_in_trouble {
                    return None;
                }
                !is_pair
            }
            Look::Plain | Look::Label if !is_alone || self.is_in_trouble => return None,
            // Only at the start of a line, the rest of the line is certainly the value.
            _ => {
                kind == Kind::Password
                    && !is_sentence
                    && !is_pair
                    && self.bytes[..name.start].iter().all(|b| is_blank(*b) || *b == b'-')
                    && self.bytes[name.end] == b':'
            }
        };
        is_judged.then(|| {
            let end = bare_end(bytes, start);
            start..if is_phrase { phrase_end(bytes, end) } else { end }
        })
    }

    /// Returns true if the words before the name are those of a sentence.
    fn is_in_sentence(&self, name: &Range<usize>) -> bool {
        let before = &self.bytes[self.floor().min(name.start)..name.start];
        let blanks = before.iter().rev().take_while(|b| is_blank(**b)).count();
        if blanks == 0 {
            return false;
        }
        let before = &before[..before.len() - blanks];
        let letters = before
            .iter()
            .rev()
            .take(MASK_WORD_BYTES_MAX)
            .take_while(|b| b.is_ascii_alphabetic())
            .count();
        let word = &before[before.len() - letters..];
        let is_word = letters >= 2 && word.iter().any(u8::is_ascii_lowercase);
        let is_value = before[..before.len() - letters].ends_with(b"=");
        is_word && !is_value || before.ends_with(b":") && self.is_in_trouble
    }

    /// Returns the credential after a name without a separator: `password hunter2`, `the token is …`, `PASSWORD '…'`.
    fn sentence(&self, kind: Kind, name: &Range<usize>) -> Option<Range<usize>> {
        let bytes = self.bytes;
        let mut start = run(bytes, name.end, is_blank);
        if start == name.end || bytes[..name.start].ends_with(b"/") {
            return None;
        }
        let mut is_linked = false;
        for _ in 0..2 {
            let word =
                run(&bytes[..bytes.len().min(start + 4)], start, |b| b.is_ascii_alphabetic());
            let is_link =
                LINKS.iter().any(|link| bytes[start..word].eq_ignore_ascii_case(link.as_bytes()));
            let next = run(bytes, word, |b| is_blank(b) || b == b':');
            if !is_link || next == word {
                break;
            }
            is_linked = true;
            start = next;
        }
        let is_directive = ["requirepass", "masterauth", "bindpw", "rootpw"]
            .iter()
            .any(|name_of| bytes[name.clone()].eq_ignore_ascii_case(name_of.as_bytes()));
        if let Some((inner, quote, slashes)) = quote_at(bytes, start) {
            if kind == Kind::Authorization {
                return authorization(bytes, start, None);
            }
            let shown = &bytes[..bytes.len().min(inner + MASK_VALUE_BYTES_MAX)];
            let text = inner..quoted_end(shown, inner, quote, slashes);
            let is_certain = quote == b'\'' || is_directive || is_linked;
            let is_credential = match kind {
                Kind::Password if is_certain => self.quoted_value(kind, name, &text),
                Kind::Password => is_random(&bytes[text], 6, 2),
                // `secret "db-creds-5h2k8fg9m4" not found`
                _ if names::is_object(&bytes[name.clone()]) => is_random(&bytes[text], 16, 3),
                _ => is_random(&bytes[text], 12, 2),
            };
            return is_credential.then(|| inner..quoted_end(bytes, inner, quote, slashes));
        }
        let shown = &bytes[..bytes.len().min(start + MASK_WORD_BYTES_MAX)];
        let word = &shown[start..bare_end(shown, start)];
        let is_credential = match kind {
            Kind::Password if is_directive => self.judge(kind, name, word),
            Kind::Password => is_random(word, 6, 2) || is_linked && look(word) == Look::Uuid,
            Kind::Secret if is_linked => is_random(word, 8, 2),
            Kind::Secret if names::is_object(&bytes[name.clone()]) => is_random(word, 16, 3),
            Kind::Secret => is_random(word, 16, 2) || is_random(word, 12, 3),
            Kind::Weak => is_linked && is_random(word, 16, 2),
            _ => false,
        };
        is_credential.then(|| start..bare_end(bytes, start))
    }
}

/// Returns the quote of the value at `start`, and where the text in it begins.
fn quote_at(bytes: &[u8], start: usize) -> Option<(usize, u8, usize)> {
    let value = open(bytes, start);
    value.quote.map(|(quote, slashes)| (value.start, quote, slashes))
}

/// Returns true if the value is just another word for a credential, as in code: `connect(password=password)`.
fn names_itself(word: &[u8]) -> bool {
    ["password", "passwd", "pwd", "pass", "secret", "token", "apikey"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// Returns true if the value is code that names another place: `password=self.db.password`.
fn is_attribute(word: &[u8]) -> bool {
    word.contains(&b'.') && names::kind(word, 0, 0, word.len()).is_some()
}
