//! Places in a program: file and line, as languages and servers write them.

use crate::core::cause::search::{Short, Text, packed, text};
use crate::limits::CAUSE_FILE_BYTES_MAX;

/// A file and a line number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The file, as it is written.
    pub file: &'a str,
    /// The line, from 1.
    pub line: u32,
}

/// A place, and where it ends in the text that was examined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// The place.
    pub place: Place<'a>,
    /// Where its file name begins.
    pub start: usize,
    /// The bytes from the start of the file name to the end of the line and column.
    pub length: usize,
}

/// The bytes that can be in a file name.
const FILE_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'/' | b'\\' | b'$' | b'@' | b'+' | b'-' | b'~'
                | b'<' | b'>' | 0x80..
        );
        byte += 1;
    }
    table
};

#[inline]
fn is_file_byte(byte: u8) -> bool {
    FILE_BYTES[usize::from(byte)]
}

/// Returns true for names of source and configuration files.
pub(super) fn is_source_file(file: &str) -> bool {
    let Some((before, ending)) = file.rsplit_once('.') else { return false };
    let stem = before.rsplit(['/', '\\']).next().unwrap_or(before);
    !stem.is_empty() && ENDINGS.has(packed(ending.as_bytes()))
}

/// The endings of files in which a place can be. A host with a port looks the same, but for these.
#[rustfmt::skip]
static ENDINGS: Short<87> = Short::new([
    "ada", "adb", "ads", "asm", "awk", "bash", "c", "cc", "cfg", "cjs", "clj", "cljc",
    "cnf", "conf", "cpp", "cr", "cs", "cxx", "d", "dart", "el", "erb", "erl", "ex",
    "exs", "f", "f90", "fs", "fsx", "go", "gradle", "groovy", "h", "hcl", "hpp", "hrl",
    "hs", "inc", "ini", "java", "jl", "js", "json", "jsx", "kt", "kts", "lhs", "lisp",
    "lua", "m", "mjs", "ml", "mli", "nim", "pas", "php", "pl", "pm", "ps1", "py",
    "pyx", "r", "R", "rb", "rkt", "rs", "scala", "scm", "sh", "sql", "st", "swift",
    "tcl", "tf", "toml", "ts", "tsx", "vb", "vcl", "xml", "yaml", "yml", "zig", "zsh",
    "vue", "svelte", "rules",
]);

/// Reads a number at the start of the text; returns it and its length.
fn number(text: &str) -> Option<(u32, usize)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let value = text[..length].parse().ok().filter(|line| *line > 0)?;
    (length <= 7).then_some((value, length))
}

/// Returns the place at the start of a text: `src/main.rs:7:16`, `app.php(12)`, `"app.py", line 7`.
pub(super) fn place_at_start(text: &str) -> Option<Found<'_>> {
    // The rest of the text is of no interest: every line is asked several times.
    let bytes = text.as_bytes();
    let head = &bytes[..bytes.len().min(CAUSE_FILE_BYTES_MAX + 1)];
    let end = head.iter().position(|b| !is_file_byte(*b)).filter(|end| *end > 0)?;
    let found = behind_file(text, 0, end).or_else(|| line_at_start(text));
    found.filter(|found| found.start == 0)
}

/// `line 4 of /app/a.conf`.
fn line_at_start(text: &str) -> Option<Found<'_>> {
    text.starts_with("line ").then(|| line_of(text)).flatten()
}

/// Returns the first place in a text.
pub(super) fn find(text: &str) -> Option<Found<'_>> {
    let bytes = text.as_bytes();
    // A file name ends at the first byte that cannot be in one, so each byte is looked at once.
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if is_file_byte(*byte) {
            continue;
        }
        if at > start
            && let Some(found) = behind_file(text, start, at)
        {
            return Some(found);
        }
        start = at + 1;
    }
    // `line 4 of /app/a.conf` has the number first.
    line_of(text)
}

/// Reads the line number behind the file name `text[start..end]`.
fn behind_file(text: &str, start: usize, end: usize) -> Option<Found<'_>> {
    let behind = &text[end..];
    // Most words are no files: what stands behind them shows it at once.
    let is_numbered = matches!(behind.as_bytes(), [b':' | b'(' | b'[', b'0'..=b'9', ..]);
    let is_dashed = !is_numbered && dash_line(behind);
    let is_digit = |at: usize| behind.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    if !is_numbered && !is_dashed && !spelled(behind).is_some_and(is_digit) {
        return None;
    }
    // D writes `app.StaleLease@app.d(5)`.
    let start = match text[start..end].rfind('@') {
        Some(at) if !text[start..end].contains('/') => start + at + 1,
        _ => start,
    };
    let file = &text[start..end];
    let (skipped, is_spelled) = if is_numbered {
        (1, false)
    } else if is_dashed && (is_source_file(file) || is_path(file)) {
        // `/app/start.sh: 3: exec: …`, as dash writes it.
        (2, true)
    } else {
        (spelled(behind)?, true)
    };
    let is_file = is_source_file(file) || is_path(file) || is_spelled && file.contains(['/', '.']);
    if !is_file {
        return None;
    }
    let (line, digits) = number(&behind[skipped..])?;
    let mut length = file.len() + skipped + digits;
    if behind.starts_with('[') {
        // FreeRADIUS writes `/app/radiusd.conf[6]: …`; a log's tag is no file.
        let is_place = text[start + length..].starts_with("]: ");
        return is_place.then_some(Found {
            place: Place { file, line },
            start,
            length: length + 1,
        });
    }
    // A column.
    let rest = &text[start + length..];
    if let Some(column) = rest.strip_prefix([':', ','])
        && let Some((_, digits)) = number(column)
        && !is_spelled
    {
        length += 1 + digits;
    }
    Some(Found { place: Place { file, line }, start, length })
}

/// Returns the length of the words between a file and its line.
fn spelled(behind: &str) -> Option<usize> {
    let words: &[&str] = match behind.as_bytes() {
        [b' ', b'l', ..] => &[" line ", " line: "],
        [b' ', b'o', ..] => &[" on line "],
        [b'"', b',', ..] => &["\", line "],
        [b'"', b' ', ..] => &["\" line "],
        [b',', b' ', ..] => &[", line ", ", in line "],
        [b':', b' ', ..] => &[": line "],
        [b'\'', b' ', ..] => &["' line "],
        _ => return None,
    };
    words.iter().find(|word| behind.starts_with(**word)).map(|word| word.len())
}

/// Returns true for `: 3: `.
fn dash_line(behind: &str) -> bool {
    let [b':', b' ', b'0'..=b'9', ..] = behind.as_bytes() else { return false };
    let number = &behind[2..];
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    (1..=6).contains(&digits) && number[digits..].starts_with(": ")
}

/// Returns true for an absolute path whose last part is no host or number.
fn is_path(file: &str) -> bool {
    (file.starts_with('/') || file.starts_with("./"))
        && !file.ends_with('/')
        && !file.starts_with("//")
}

fn line_of(text: &str) -> Option<Found<'_>> {
    static LINE: Text = text!("line ");
    let at = LINE.find(text.as_bytes())?;
    let (line, digits) = number(&text[at + 5..])?;
    let behind = &text[at + 5 + digits..];
    let file = [" in file ", " of file ", " in ", " of "]
        .iter()
        .find_map(|word| behind.strip_prefix(word))?;
    let file = file.trim_start_matches(['"', '\'', '`']);
    let skipped = behind.len() - file.len();
    let end = file.bytes().position(|b| !is_file_byte(b)).unwrap_or(file.len());
    let file = file[..end].trim_end_matches('.');
    let is_file = is_source_file(file) || is_path(file);
    is_file.then_some(Found {
        place: Place { file, line },
        start: at,
        length: 5 + digits + skipped + end,
    })
}
