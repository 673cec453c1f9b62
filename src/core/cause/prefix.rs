//! Takes off what a logger writes before the message: time, level, process, thread, logger's name.
//!
//! There is no list of loggers. A prefix is a row of parts, and each part is recognized by its shape.

use crate::core::cause::headline::fatal_error;
use crate::core::cause::place::{Place, place_at_start};
use crate::core::cause::search::{COLON, Short, packed};
use crate::limits::{CAUSE_PREFIX_BYTES_MAX, CAUSE_PREFIX_PARTS_MAX};

/// How bad a line says that things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Debug to notice, and the words of a program about its own progress.
    Quiet,
    /// A warning.
    Warn,
    /// An error, which the program may have got over.
    Error,
    /// An error that ends the program.
    Fatal,
}

/// A log line without its prefix.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spoken<'a> {
    /// The message.
    pub body: &'a str,
    /// The level, if the prefix has one.
    pub level: Option<Level>,
    /// The level in the logger's own word: `FATAL`, `emerg`. Empty where the logger writes a number or a letter.
    pub label: &'a str,
    /// The place in the program that logged the line, if the prefix has one.
    pub place: Option<Place<'a>>,
    /// True if anything was taken off.
    pub has_prefix: bool,
}

impl<'a> Spoken<'a> {
    /// Returns true for the words of a runtime at the end of a program, which the prefix has taken for a level: `Fatal Python
    /// error: …`. No logger's level has several words.
    pub(super) fn is_of_runtime(&self) -> bool {
        self.label.contains(' ')
    }

    /// Takes the prefix off a line.
    pub(super) fn new(text: &'a str) -> Self {
        // Terraform draws a line beside its words.
        let text = text.strip_prefix("│ ").unwrap_or(text);
        let mut spoken = Self { body: text.trim_end(), ..Self::default() };
        if spoken.body.starts_with([' ', '\t']) {
            // An indented line continues the one before it.
            return spoken;
        }
        let whole = spoken.body.len();
        let end = spoken.body.floor_char_boundary(CAUSE_PREFIX_BYTES_MAX);
        let has_colon = COLON.find(&spoken.body.as_bytes()[..end]).is_some();
        for _ in 0..CAUSE_PREFIX_PARTS_MAX {
            if has_colon && let Some((name, message)) = fatal_error(spoken.body) {
                (spoken.level, spoken.label) = (Some(Level::Fatal), name);
                (spoken.body, spoken.has_prefix) = (message, true);
                break;
            }
            let examined = end.saturating_sub(whole - spoken.body.len());
            let Some(length) = spoken.part(&spoken.body[..examined.min(spoken.body.len())]) else {
                break;
            };
            spoken.has_prefix = true;
            spoken.body = spoken.body[length..].trim_start();
        }
        if spoken.level == Some(Level::Fatal) && spoken.label.is_empty() {
            // The logger wrote a letter or a number.
            spoken.label = "FATAL";
        }
        spoken
    }

    /// Returns the length of the part at the start of `rest`, and notes what it says; `None` if the message begins here.
    fn part(&mut self, rest: &'a str) -> Option<usize> {
        if let Some(length) = time(rest) {
            return Some(length);
        }
        let first = rest.chars().next()?;
        match first {
            '<' => self
                .syslog_priority(rest)
                .or_else(|| self.erlang_process(rest))
                .or_else(|| self.angled_level(rest)),
            '[' => self.bracket(rest),
            '-' | '|' | ':' | '>' if self.has_prefix => {
                let length = rest.len() - rest.trim_start_matches(first).len();
                let behind = &rest[length..];
                (behind.is_empty() || behind.starts_with([' ', '\t'])).then_some(length)
            }
            '{' if self.has_prefix => self.braced_place(rest),
            '(' if self.level.is_none()
                && let Some((name, _)) = rest[1..].split_once(')')
                && name.len() > 3
                && let Some(level) = level_of(name) =>
            {
                self.note(level, name);
                Some(name.len() + 2)
            }
            // pino's process, HAProxy's: `FATAL (7): …`.
            '(' if self.has_prefix => {
                let end = rest.find(')').filter(|end| is_number(&rest[1..*end]))? + 1;
                rest[end..].trim_start().starts_with(':').then_some(end)
            }
            '#' | '*' if self.has_prefix && rest[1..].starts_with(' ') => {
                // Redis marks a warning with `#` and a notice with `*`.
                self.note(if first == '#' { Level::Warn } else { Level::Quiet }, "");
                Some(1)
            }
            _ => self.word(rest),
        }
    }

    fn note(&mut self, level: Level, label: &'a str) {
        if self.level.is_none() {
            (self.level, self.label) = (Some(level), label);
        }
    }

    /// `<3>`, as programs write for journald and the kernel's log.
    fn syslog_priority(&mut self, rest: &str) -> Option<usize> {
        let (number, _) = rest[1..].split_once('>')?;
        let priority: u16 = number.parse().ok().filter(|n| *n < 192)?;
        self.note(
            match priority % 8 {
                0..=2 => Level::Fatal,
                3 => Level::Error,
                4 => Level::Warn,
                _ => Level::Quiet,
            },
            "",
        );
        Some(number.len() + 2)
    }

    /// `<err>`, as syslog-ng's and systemd's templates write it.
    fn angled_level(&mut self, rest: &'a str) -> Option<usize> {
        let (name, _) = rest[1..].split_once('>').filter(|_| self.has_prefix)?;
        let level = level_of(name).filter(|_| name.len() > 2)?;
        self.note(level, name);
        Some(name.len() + 2)
    }

    /// `<0.132.0>`, behind the level.
    fn erlang_process(&self, rest: &str) -> Option<usize> {
        let (ids, _) = rest[1..].split_once('>').filter(|_| self.has_prefix)?;
        let is_process = ids.split('.').count() == 3 && ids.split('.').all(is_number);
        is_process.then_some(ids.len() + 2)
    }

    /// `[…]` with a level, a time, a process, a thread or a module in it.
    fn bracket(&mut self, rest: &'a str) -> Option<usize> {
        let end = rest.find(']')?;
        let inner = rest[1..end].trim();
        if inner.starts_with('[') {
            return None;
        }
        let length = end + 1;
        match inner {
            "!" => self.note(Level::Error, ""),
            // `[]` is a value.
            "" if end == 1 => return None,
            "" | "." | "*" => self.note(Level::Quiet, ""),
            _ => {
                // Apache writes the module before the level.
                let label = inner.rsplit_once(':').map_or(inner, |(_, label)| label);
                if let Some(level) = level_of(label) {
                    self.note(level, label);
                    return Some(length);
                }
                // Tornado: `[E 261126 10:00:00 app:12] …`.
                let letter = inner.get(..2).and_then(|head| head.strip_suffix(' '));
                let is_column = |behind: &str| behind.starts_with(|c: char| c.is_ascii_digit());
                if let Some(level) = letter.filter(|_| is_column(&inner[2..])).and_then(level_of) {
                    self.note(level, "");
                    return Some(length);
                }
                let inside = Spoken::new(inner);
                if let Some(level) = inside.level {
                    self.note(level, inside.label);
                } else if !(inside.has_prefix
                    || is_circumstance(inner, self.has_prefix)
                    || is_name(inner) && is_column_of_number(&rest[length..]))
                {
                    return None;
                }
            }
        }
        // `[1]: ` is a syslog tag's end.
        Some(length + usize::from(rest[length..].starts_with(": ")))
    }

    /// `{taskinstance.py:1824}`, the place of the logging call in Airflow's logs.
    fn braced_place(&mut self, rest: &'a str) -> Option<usize> {
        let end = rest.find('}')?;
        let found = place_at_start(&rest[1..end]).filter(|found| found.length == end - 1)?;
        self.place = Some(found.place);
        Some(end + 1)
    }

    /// A part without brackets: a level, a number, a letter of klog, a logger's name, a place.
    fn word(&mut self, rest: &'a str) -> Option<usize> {
        let length = rest.bytes().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(rest.len());
        let word = &rest[..length];
        if let Some(level) = klog(word) {
            self.note(level, "");
            return Some(length);
        }
        if let Some(length) = self.level_word(rest, word) {
            return Some(length);
        }
        if self.has_prefix
            && let Some(found) = place_at_start(word)
            && matches!(&word[found.length..], "]" | "" | ":")
        {
            self.place = Some(found.place);
            return Some(length);
        }
        let bare = word.trim_end_matches([':', ',']);
        let next = rest[length..].trim_start();
        // Behind a level only a column of the prefix is a number: `ERROR 1 --- [main]`, and not `ERROR 2002 (HY000)`.
        let is_column =
            self.label.is_empty() || bare.contains('#') || next.starts_with(['-', '[', '|']);
        if self.has_prefix
            && is_column
            && !bare.is_empty()
            && bare.bytes().all(|b| matches!(b, b'0'..=b'9' | b'#' | b'.'))
        {
            return Some(length);
        }
        if is_role(word)
            || is_syslog_tag(word)
            // The host stands before the tag.
            || (self.has_prefix && is_syslog_tag(next.split(' ').next().unwrap_or("")))
            || (self.has_prefix && is_process(word))
            || (self.has_prefix && is_zone(word))
        {
            return Some(length);
        }
        let is_logger = match self.level {
            None => self.has_prefix && is_before_level(bare, next),
            Some(_) => is_logger(word, bare, next),
        };
        is_logger.then_some(length)
    }

    /// `ERROR`, `ERROR:`, `error:`, `E,`, `CRITICAL:logger:`.
    fn level_word(&mut self, rest: &'a str, word: &'a str) -> Option<usize> {
        // Laravel writes its environment before the level: `production.ERROR: …`.
        if self.has_prefix
            && let Some((_, name)) = word.strip_suffix(':').and_then(|word| word.split_once('.'))
            && let Some(level) = level_of(name)
            && name.len() > 3
            && name.bytes().all(|b| b.is_ascii_uppercase())
        {
            self.note(level, name);
            return Some(word.len());
        }
        let name_end = word.bytes().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(word.len());
        let (name, behind) = word.split_at(name_end);
        let level = level_of(name)?;
        let is_upper = name.bytes().all(|b| b.is_ascii_uppercase());
        let next = rest[word.len()..].trim_start();
        let mut length = word.len();
        let is_level = match behind {
            // A program's own `panic:` and `Error:` are no logger's levels: the message is to keep them.
            ":" => self.has_prefix || !matches!(name, "panic" | "Error" | "Fatal"),
            "]:" => true,
            "," if name.len() == 1 => is_upper,
            "," | "|" | "-" => is_upper && name.len() > 2,
            // A letter is a level only in a column of its own: etcd's `C | etcdmain: …`.
            "" if name.len() == 1 => {
                let component = next.split(' ').next().unwrap_or("");
                let is_column = next.starts_with(['|', '-', '['])
                    // MongoDB: `… E STORAGE  [initandlisten] …`.
                    || component.len() > 2 && component.bytes().all(|b| b.is_ascii_uppercase());
                is_upper && self.has_prefix && is_column
            }
            "" => {
                // Ruby's logger writes a letter as well: `E, [2026-11-26 … #7] ERROR -- : …`.
                let is_first = self.level.is_none() || is_upper && self.label.is_empty();
                name.len() > 2 && is_first && (is_upper || self.has_prefix)
            }
            // logrus on a terminal: `ERRO[0001] …`.
            _ if behind.starts_with('[') => is_upper && name.len() == 4 && behind.ends_with(']'),
            // Celery: `[2026-11-26 17:58:27,569: CRITICAL/MainProcess] …`.
            _ if behind.starts_with('/') => is_upper && name.len() > 3 && self.has_prefix,
            // Python's default format: `CRITICAL:shop.boot:licence …`.
            _ if behind.starts_with(':') && is_upper && name.len() > 3 => {
                let (logger, _) = rest[name_end + 1..].split_once(':')?;
                length = name_end + 1 + logger.len() + 1;
                !logger.contains(' ')
            }
            _ => false,
        };
        if !is_level {
            return None;
        }
        self.note(level, if name.len() == 1 { "" } else { name });
        Some(length)
    }
}

/// Returns the level that a word names, whatever its case.
pub(super) fn level_of(word: &str) -> Option<Level> {
    static FATAL: Short<14> = Short::new([
        "fatal",
        "critical",
        "crit",
        "emerg",
        "emergency",
        "alert",
        "panic",
        "ftl",
        "fata",
        "pani",
        "pnc",
        "dpanic",
        "c",
        "f",
    ]);
    static ERROR: Short<7> = Short::new(["error", "err", "severe", "fail", "e", "eror", "erro"]);
    static WARN: Short<4> = Short::new(["warn", "warning", "wrn", "w"]);
    static QUIET: Short<25> = Short::new([
        "context",
        "info",
        "inf",
        "information",
        "notice",
        "debug",
        "debu",
        "dbug",
        "dbg",
        "trace",
        "trce",
        "trc",
        "log",
        "hint",
        "detail",
        "statement",
        "verbose",
        "vrb",
        "fine",
        "finer",
        "config",
        "i",
        "d",
        "t",
        "audit",
    ]);
    let mut lower = [0; 11];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    let word = packed(lower);
    if FATAL.has(word) {
        return Some(Level::Fatal);
    }
    if ERROR.has(word) {
        return Some(Level::Error);
    }
    if WARN.has(word) {
        return Some(Level::Warn);
    }
    QUIET.has(word).then_some(Level::Quiet)
}

/// Returns the length of a time at the start of the text.
fn time(text: &str) -> Option<usize> {
    let is_part = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b'/' | b'.' | b',' | b'+' | b'_')
    };
    let length = text.bytes().position(|b| !is_part(b)).unwrap_or(text.len());
    let word = &text[..length];
    // `27-Nov-2026`.
    let is_month = |word: &str| word.len() == 3 && MONTHS.contains(&word);
    if is_clock(word) || between_separators(word).is_some_and(is_month) {
        return Some(length);
    }
    if is_kitchen_time(word) {
        return Some(length);
    }
    if length == 0 || length > 4 {
        return None;
    }
    // `26 Nov 2026`, `Nov 26`, `Thu Nov 26 … 2026`: one word at a time.
    let is_day = length <= 2 && word.bytes().all(|b| b.is_ascii_digit());
    let next = text[length..].trim_start().split(' ').next().unwrap_or("");
    if is_day && is_month(next) {
        return Some(length);
    }
    if is_month(word) && next.bytes().next().is_some_and(|b| b.is_ascii_digit()) {
        // The day or the year behind the month belongs to it.
        let at = text[length..].find(next)? + length;
        return Some(at + next.len());
    }
    (DAYS.contains(&word.trim_end_matches(',')) && is_month(next)).then_some(length)
}

/// Returns what is behind the first dash or slash of a date, up to the next one.
fn between_separators(word: &str) -> Option<&str> {
    let separator = |b: u8| matches!(b, b'-' | b'/');
    let rest = &word[word.bytes().position(separator)? + 1..];
    Some(&rest[..rest.bytes().position(separator).unwrap_or(rest.len())])
}

const MONTHS: &[&str] =
    &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Returns true for a date, a clock time, or both: digits with two separators of one kind, and letters only of time zones.
fn is_clock(word: &str) -> bool {
    let (mut digits, mut colons, mut dashes, mut slashes, mut dots) = (0, 0, 0, 0, 0);
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    for byte in word.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b':' => colons += 1,
            b'-' => dashes += 1,
            b'/' => slashes += 1,
            b'.' | b',' => dots += 1,
            b'T' | b'Z' | b'+' | b'_' => {}
            _ => return false,
        }
    }
    let is_epoch = digits >= 12 && dots == 1 && colons + dashes + slashes == 0
        || digits == 10 && colons == 1 && word.ends_with(':');
    // `10.0.0.1:8080: …` is an address.
    digits >= 4 && dots < 3 && (colons >= 2 || dashes >= 2 || slashes >= 2) || is_epoch
}

/// `5:58PM`, as zerolog writes on a terminal.
fn is_kitchen_time(word: &str) -> bool {
    let clock = word.strip_suffix("AM").or_else(|| word.strip_suffix("PM"));
    clock.and_then(|clock| clock.split_once(':')).is_some_and(|(hour, minute)| {
        matches!((hour.len(), minute.len()), (1 | 2, 2)) && is_number(hour) && is_number(minute)
    })
}

/// `UTC`, an offset behind a blank: `+00:00`, and the half of the day.
fn is_zone(word: &str) -> bool {
    let is_offset = word.strip_prefix(['+', '-']).is_some_and(|offset| match offset.len() {
        4 => is_number(offset),
        5 => offset
            .split_once(':')
            .is_some_and(|(h, m)| h.len() == 2 && is_number(h) && is_number(m)),
        _ => false,
    });
    is_offset || matches!(word, "UTC" | "GMT" | "CEST" | "CET" | "AM" | "PM")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns true for a logger's name behind the level: a separator follows. `bare` is the word without punctuation at its end.
fn is_logger(word: &str, bare: &str, next: &str) -> bool {
    let is_name = bare.contains(['.', '/', '$']) || bare.contains("::");
    let is_separated = word.ends_with(':')
        || next == ":"
        || ["- ", "-- ", ": "].iter().any(|by| next.starts_with(by));
    // Spring abbreviates `o.a.c.c.C.[.[.[/]`.
    let is_word = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"._$/:-[]".contains(&b));
    let is_error = bare.ends_with("Error") || bare.ends_with("Exception");
    is_name && is_separated && is_word && !is_error
}

/// Returns true for a word before the level: the logger's name in `shop.db - ERROR - …`, the user in PostgreSQL's `postgres@shop
/// ERROR:  …`.
fn is_before_level(bare: &str, next: &str) -> bool {
    let is_word = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"._$/:-@".contains(&b));
    if bare.is_empty() || !is_word {
        return false;
    }
    let separators = ['-', '|', ':', ' '];
    let word = next.trim_start_matches(separators);
    // Between two bars there is no sentence.
    let is_barred = next.starts_with('|');
    let is_part = |b: u8| b.is_ascii_uppercase() || is_barred && b.is_ascii_lowercase();
    let end = word.bytes().position(|b| !is_part(b)).unwrap_or(word.len());
    let (name, behind) = word.split_at(end);
    // A sentence begins with a capital letter.
    let is_name = bare.starts_with(|c: char| c.is_ascii_lowercase()) && behind.starts_with(' ');
    name.len() > 3
        && level_of(name).is_some()
        && (is_name || behind.starts_with(": ") || behind.trim_start().starts_with(['-', '|']))
}

/// `E1126`: klog's and glog's level with the date.
fn klog(word: &str) -> Option<Level> {
    let bytes = word.as_bytes();
    let is_date = matches!(bytes.len(), 5 | 9) && bytes[1..].iter().all(u8::is_ascii_digit);
    if !is_date {
        return None;
    }
    match bytes[0] {
        b'I' => Some(Level::Quiet),
        b'W' => Some(Level::Warn),
        b'E' => Some(Level::Error),
        b'F' => Some(Level::Fatal),
        _ => None,
    }
}

/// `1:M`: Redis' process and role.
fn is_role(word: &str) -> bool {
    matches!(word.split_once(':'), Some((pid, role))
        if role.len() == 1 && role.bytes().all(|b| b.is_ascii_uppercase())
            && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()))
}

/// `ledgerd[1]:`.
fn is_syslog_tag(word: &str) -> bool {
    let Some((name, pid)) = word.strip_suffix("]:").and_then(|word| word.rsplit_once('[')) else {
        return false;
    };
    !name.is_empty() && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())
}

/// `unbound[8:0]`.
fn is_process(word: &str) -> bool {
    let Some((name, ids)) = word.strip_suffix(']').and_then(|word| word.split_once('[')) else {
        return false;
    };
    !name.is_empty() && !ids.is_empty() && ids.bytes().all(|b| b.is_ascii_digit() || b == b':')
}

/// Returns true for a program's name at the start of a line: `[Nest] 1  - 11/27/2026, …`.
fn is_name(inner: &str) -> bool {
    inner.len() <= 32 && inner.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Returns true for a number that is followed by a dash.
fn is_column_of_number(rest: &str) -> bool {
    let behind = rest.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    behind.len() < rest.trim_start().len() && behind.trim_start().starts_with("- ")
}

/// Returns true for what stands in brackets beside a message: a time, a number, a process, a thread.
fn is_circumstance(inner: &str, is_in_prefix: bool) -> bool {
    let is_number = inner.bytes().all(|b| b.is_ascii_digit() || b".:#".contains(&b));
    let is_process =
        ["pid ", "tid ", "pid:", "tid:", "thread "].iter().any(|p| inner.starts_with(p));
    let is_word = inner.len() <= 64
        && inner.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/#@$".contains(&b));
    is_number || is_process || time(inner) == Some(inner.len()) || (is_in_prefix && is_word)
}
