//! What must hold for the cause that is found in a log, whatever the log says.

use blackbox_daemon::core::cause::{self, Cause, Line, Source};
use blackbox_daemon::core::fingerprint;
use blackbox_daemon::core::logs::cri::LogStream;
use blackbox_daemon::core::text::{cut, escaped, is_harmful};
use blackbox_daemon::limits::{
    CAUSE_LINE_BYTES_MAX, CAUSE_LINE_QUOTE_BYTES_MAX, CAUSE_LINES_MAX, CAUSE_LOCATION_BYTES_MAX,
    CAUSE_MESSAGE_BYTES_MAX, CAUSE_TEXT_BYTES_MAX, CAUSE_TYPE_BYTES_MAX, TEMPLATE_BYTES_MAX,
    TEMPLATE_WORDS_MAX,
};

/// Exit codes of each kind; the first four are of programs that were asked to stop.
const EXIT_CODES: [i32; 12] = [0, 129, 130, 143, 1, 2, 101, 134, 137, 139, 255, -1];

const CHATTER: &str = "2026-11-23T03:31:41Z INFO shop.orders - the order is placed";

/// The first byte selects the exit code and the time between two lines; a line that begins with `1` is one of stdout, and
/// every other one is one of stderr. The cause is the same each time, its texts have their lengths, it quotes a line, and neither spaces at the ends
/// of lines nor chatter on the other stream change it.
pub fn cause(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let exit_code = EXIT_CODES[usize::from(*first) % EXIT_CODES.len()];
    let text = String::from_utf8_lossy(rest);
    let step_ms = i64::from(*first / 12) * 100;
    let at_ms = |n: usize| (step_ms > 0).then(|| i64::try_from(n).unwrap_or(0) * step_ms);
    let lines = text.split('\n').enumerate().map(|(n, text)| line(text, at_ms(n)));
    let lines: Vec<Line<'_>> = lines.collect();
    let found = cause::find(&lines, exit_code, Source::Log);
    assert_eq!(cause::find(&lines, exit_code, Source::Log), found, "another time");
    let is_asked = EXIT_CODES[..4].contains(&exit_code);
    assert!(!is_asked || found.is_none(), "{found:?}");
    if let Some(cause) = &found {
        check(cause);
        assert!(lines.iter().any(|line| quoted(line.text) == cause.line), "{:?}", cause.line);
    }
    same(&lines, exit_code, found.as_ref());
    for line in lines.iter().take(50) {
        template(line.text);
    }
}

fn line(text: &str, at_ms: Option<i64>) -> Line<'_> {
    match text.strip_prefix('1') {
        Some(text) => Line { stream: LogStream::Stdout, at_ms, text },
        None => Line { stream: LogStream::Stderr, at_ms, text },
    }
}

/// Returns a line as the cause quotes it.
fn quoted(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    cut(&escaped(&words.join(" ")), CAUSE_LINE_QUOTE_BYTES_MAX)
}

fn check(cause: &Cause) {
    let Cause { error_type, message, context, location, line, .. } = cause;
    for (text, bytes_max) in [
        (error_type.as_deref(), CAUSE_TYPE_BYTES_MAX),
        (Some(message.as_str()), CAUSE_MESSAGE_BYTES_MAX),
        (context.as_deref(), CAUSE_MESSAGE_BYTES_MAX / 2),
        (location.as_deref(), CAUSE_LOCATION_BYTES_MAX),
        (Some(line.as_str()), CAUSE_LINE_QUOTE_BYTES_MAX),
    ] {
        let text = text.unwrap_or("");
        assert!(text.len() <= bytes_max && !text.contains(is_harmful), "{cause:?}");
    }
    assert!(!cause.text().is_empty() && error_type.as_ref().is_none_or(|name| !name.is_empty()));
    let signature = cause.signature();
    assert!(signature.error_type.len() <= CAUSE_TYPE_BYTES_MAX, "{signature:?}");
    assert!(signature.place.len() <= CAUSE_LOCATION_BYTES_MAX, "{signature:?}");
    let mut short = cause.clone();
    short.shorten(64);
    assert!(short.text().len() <= 2 * 64 + 2 && short.line.len() <= 64, "{short:?}");
    assert_eq!(fingerprint::of_log(short.signature()), fingerprint::of_log(signature));
}

/// Checks that what has nothing to do with the crash does not change its cause.
fn same(lines: &[Line<'_>], exit_code: i32, want: Option<&Cause>) {
    let bytes: usize = lines.iter().map(|line| line.text.len() + 3).sum();
    let is_whole = lines.len() < CAUSE_LINES_MAX
        && bytes + CHATTER.len() < CAUSE_TEXT_BYTES_MAX
        && lines.iter().all(|line| line.text.len() + 2 < CAUSE_LINE_BYTES_MAX);
    if !is_whole {
        return;
    }
    let find = |lines: &[Line<'_>]| cause::find(lines, exit_code, Source::Log);
    let spaced: Vec<String> = lines.iter().map(|line| format!("{} \t", line.text)).collect();
    let spaced: Vec<Line<'_>> =
        lines.iter().zip(&spaced).map(|(line, text)| Line { text, ..*line }).collect();
    assert_eq!(find(&spaced).as_ref(), want, "with spaces at the ends");
    let Some(stream) = lines.first().map(|line| line.stream) else { return };
    if lines.iter().any(|line| line.stream != stream) {
        return;
    }
    let other = match stream {
        LogStream::Stdout => LogStream::Stderr,
        LogStream::Stderr => LogStream::Stdout,
    };
    let chatter = Line { stream: other, at_ms: None, text: CHATTER };
    let mut talked = [&[chatter], lines].concat();
    assert_eq!(find(&talked).as_ref(), want, "behind chatter");
    // More lines would change how far lines are from the end and from each other.
    if lines.len() <= 3 {
        for at in (1..=lines.len()).rev() {
            talked.insert(at, chatter);
        }
        talked.truncate(5);
        let all = talked.iter().filter(|line| line.stream == stream).count();
        assert!(all < lines.len() || find(&talked).as_ref() == want, "in chatter: {talked:?}");
    }
}

/// A template has no digits and no more words than it may; and a template is its own template.
fn template(message: &str) {
    let Some(cause) = Cause::of_status("Error", message) else { return };
    check(&cause);
    let template = &cause.signature().template;
    assert!(template.split(' ').count() <= TEMPLATE_WORDS_MAX, "{template:?}");
    assert!(!template.contains(|c: char| c.is_ascii_digit()), "{template:?}");
    if template.len() <= TEMPLATE_BYTES_MAX
        && let Some(again) = Cause::of_status("Error", template)
    {
        assert_eq!(&again.signature().template, template, "{message:?}");
    }
}
