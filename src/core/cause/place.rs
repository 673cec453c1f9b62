//! Places in a program: file and line, as languages and servers write them.

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

/// The endings of files in which a place can be. A host with a port looks the same, but for these.
const ENDINGS: &[&str] = &[
    "ada", "adb", "ads", "asm", "awk", "bash", "c", "cc", "cfg", "cjs", "clj", "cljc", "cnf",
    "conf", "cpp", "cr", "cs", "cxx", "d", "dart", "el", "erb", "erl", "ex", "exs", "f", "f90",
    "fs", "fsx", "go", "gradle", "groovy", "h", "hcl", "hpp", "hrl", "hs", "inc", "ini", "java",
    "jl", "js", "json", "jsx", "kt", "kts", "lhs", "lisp", "lua", "m", "mjs", "ml", "mli", "nim",
    "pas", "php", "pl", "pm", "ps1", "py", "pyx", "r", "R", "rb", "rkt", "rs", "scala", "scm",
    "sh", "sql", "st", "swift", "tcl", "tf", "toml", "ts", "tsx", "vb",
];
const MORE_ENDINGS: &[&str] =
    &["vcl", "xml", "yaml", "yml", "zig", "zsh", "vue", "svelte", "rules"];

fn is_file_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_./\\$@+-~<>".contains(&byte) || byte >= 0x80
}

/// Returns true for names of source and configuration files.
pub(super) fn is_source_file(file: &str) -> bool {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    !stem.is_empty() && (ENDINGS.contains(&ending) || MORE_ENDINGS.contains(&ending))
}

/// Reads a number at the start of the text; returns it and its length.
fn number(text: &str) -> Option<(u32, usize)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let value = text[..length].parse().ok().filter(|line| *line > 0)?;
    (length <= 7).then_some((value, length))
}

/// Returns the place at the start of a text: `src/main.rs:7:16`, `app.php(12)`, `"app.py", line 7`.
pub(super) fn place_at_start(text: &str) -> Option<Found<'_>> {
    find(text).filter(|found| found.start == 0)
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
    const WORDS: &[&str] = &[
        "\", line ",
        " on line ",
        " line ",
        ", line ",
        ": line ",
        "\" line ",
        "' line ",
        ", in line ",
    ];
    // D writes `app.StaleLease@app.d(5)`.
    let start = match text[start..end].rfind('@') {
        Some(at) if !text[start..end].contains('/') => start + at + 1,
        _ => start,
    };
    let file = &text[start..end];
    let behind = &text[end..];
    let (skipped, is_spelled) = match behind.as_bytes()[0] {
        b':' | b'(' if behind.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => (1, false),
        // `/app/start.sh: 3: exec: …`, as dash writes it.
        b':' if dash_line(behind) && (is_source_file(file) || is_path(file)) => (2, true),
        b' ' | b'"' | b',' | b':' | b'\'' => {
            (WORDS.iter().find(|word| behind.starts_with(**word))?.len(), true)
        }
        _ => return None,
    };
    let is_file = is_source_file(file) || is_path(file) || is_spelled && file.contains(['/', '.']);
    if !is_file {
        return None;
    }
    let (line, digits) = number(&behind[skipped..])?;
    let mut length = file.len() + skipped + digits;
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

/// Returns true for `: 3: `.
fn dash_line(behind: &str) -> bool {
    let Some(number) = behind.strip_prefix(": ") else { return false };
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
    let at = text.find("line ")?;
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
