//! `help` and `--help` of every command, and what a wrong word in the command line probably means.

use crate::commands::options::{HELP, Options};
use crate::commands::{check, explain, replay, show};
use crate::config::SETTINGS;
use crate::core::text::nearest;

/// What the help says of a command.
struct Command {
    name: &'static str,
    operands: &'static str,
    /// What it does, in one line.
    summary: &'static str,
    /// What else a reader should know.
    details: &'static str,
    options: Options,
    examples: [&'static str; 2],
    /// What exit code 1 means.
    failure: &'static str,
    /// What exit code 2 means.
    refusal: &'static str,
}

static COMMANDS: [Command; 4] = [CHECK, SHOW, EXPLAIN, REPLAY];

const CHECK: Command = Command {
    name: "check",
    operands: "",
    summary: "test everything that the agent needs, and say what to do",
    details: "\
Run it in the agent's container, which has the agent's settings, mounts and credentials. It writes one
line per item: ok, warning or failure, the item, and what to do. It changes nothing and sends no incident:
an OTLP receiver gets a request without records, Alertmanager is asked for its status, and to a webhook
check only connects.
",
    options: check::OPTIONS,
    examples: [
        "kubectl -n kube-system exec ds/blackbox-daemon -- /blackbox-daemon check",
        "kubectl -n kube-system exec POD -- /blackbox-daemon check -o json | jq 'select(.verdict != \"ok\")'",
    ],
    failure: "an item failed, such as a wrong setting (warnings do not count)",
    refusal: "wrong command line",
};

const SHOW: Command = Command {
    name: "show",
    operands: " [FILE|-]",
    summary: "show incidents, newest first",
    details: "\
It reads FILE or standard input (-). With neither, it reads BLACKBOX_INCIDENT_FILE and its rotated files,
or standard input if it has anything. Otherwise it asks the agent on this host for its last incidents.
",
    options: show::OPTIONS,
    examples: [
        "kubectl -n kube-system exec ds/blackbox-daemon -- /blackbox-daemon show --since 1h --full",
        "kubectl -n kube-system logs ds/blackbox-daemon | blackbox-daemon show --type oom -",
    ],
    failure: "the incidents cannot be read",
    refusal: "wrong command line or settings",
};

const EXPLAIN: Command = Command {
    name: "explain",
    operands: " [FILE|-]",
    summary: "find the cause of a crash in a log",
    details: "\
It reads the end of FILE or of standard input, as the kubelet or kubectl writes it, by the agent's own
rules.
",
    options: explain::OPTIONS,
    examples: [
        "kubectl -n shop logs -p checkout-7d9 | blackbox-daemon explain - --exit-code 1",
        "blackbox-daemon explain --json /var/log/pods/shop_checkout-7d9_UID/app/2.log",
    ],
    failure: "the log cannot be read",
    refusal: "wrong command line",
};

const REPLAY: Command = Command {
    name: "replay",
    operands: " DIR",
    summary: "find the incidents in a recording, without a cluster",
    details: "\
It reads the recording in the folder DIR. On a terminal it shows the incidents as show does, otherwise it
writes one JSON line for each. For the minutes before: replay DIR | blackbox-daemon show --full -
",
    options: replay::OPTIONS,
    examples: [
        "blackbox-daemon replay fixtures/crash-zoo",
        "blackbox-daemon replay fixtures/crash-zoo | blackbox-daemon show --by type -",
    ],
    failure: "the recording cannot be read",
    refusal: "wrong command line or settings",
};

const HEAD: &str = "\
Crash flight recorder for Kubernetes nodes: one JSON line for every container that died, and why.

Usage: blackbox-daemon [COMMAND]

Without a command it is the agent, which watches the pods of NODE_NAME, writes incidents to standard output
and its log to standard error.

Commands:
";

/// Returns whose help the command line asks for: that of a command, or of everything (`Some(None)`).
pub fn asked<'w>(words: &[&'w str]) -> Option<Option<&'w str>> {
    let is_option = |word: &&str| matches!(*word, "--help" | "-h");
    match words {
        [first, rest @ ..] if *first == "help" || is_option(first) => Some(rest.first().copied()),
        [command, rest @ ..] if rest.iter().any(is_option) => Some(Some(command)),
        _ => None,
    }
}

/// Returns the help: of everything, or of the command with this name. `None`: there is no such command.
pub fn page(name: Option<&str>) -> Option<String> {
    match name {
        None | Some("help") => Some(overview()),
        Some(name) => COMMANDS.iter().find(|command| command.name == name).map(Command::page),
    }
}

/// Describes a word that is no command.
pub fn unknown_command(word: &str) -> String {
    let known = COMMANDS.iter().map(|command| command.name);
    let mut known = known.chain(["help", "--help", "--version"]);
    let mut text = format!("unknown command or option {word:?}");
    if let Some(meant) = nearest(word, &mut known) {
        put(&mut text, &["; did you mean ", meant, "?"]);
    }
    text
}

fn overview() -> String {
    let mut page = HEAD.to_owned();
    for Command { name, operands, summary, .. } in &COMMANDS {
        row(&mut page, &[*name, operands].concat(), summary);
    }
    row(&mut page, "help [COMMAND]", "print the help of a command, with its options and examples");
    page.push_str("\nOptions:\n");
    row(&mut page, HELP.0, HELP.1);
    row(&mut page, "-V, --version", "print the version");
    let codes =
        ["success; the agent: a signal ended it", "failure", "wrong command line or settings"];
    end(&mut page, &[CHECK.examples[0], SHOW.examples[0]], codes);
    page.push_str("\nSettings (environment variables):\n");
    for setting in SETTINGS {
        let is = if setting.default.is_empty() { "" } else { "=" };
        put(&mut page, &["\n  ", setting.key, is, setting.default, "\n      ", setting.meaning]);
        put(&mut page, &["\n      allowed: ", setting.allowed, "\n"]);
    }
    page
}

impl Command {
    fn page(&self) -> String {
        let (mut page, Self { name, operands, .. }) = (String::new(), self);
        put(&mut page, &["blackbox-daemon ", name, ": ", self.summary, "\n\nUsage: "]);
        put(&mut page, &["blackbox-daemon ", name, " [OPTIONS]", operands, "\n\n"]);
        put(&mut page, &[self.details, "\nOptions:\n"]);
        for (option, effect) in self.options.iter().chain([&HELP]) {
            row(&mut page, option, effect);
        }
        end(&mut page, &self.examples, ["success", self.failure, self.refusal]);
        page
    }
}

fn put(page: &mut String, parts: &[&str]) {
    page.extend(parts.iter().copied());
}

/// Appends a row of two columns.
fn row(page: &mut String, left: &str, right: &str) {
    page.push_str(&format!("  {left:<22}{right}\n"));
}

/// Appends the examples and what the exit codes mean.
fn end(page: &mut String, examples: &[&str], codes: [&str; 3]) {
    page.push_str("\nExamples:\n");
    for example in examples {
        put(page, &["  ", example, "\n"]);
    }
    page.push_str("\nExit codes:\n");
    for (digit, meaning) in ["0", "1", "2"].iter().zip(codes) {
        put(page, &["  ", digit, "  ", meaning, "\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_is_recognised() {
        assert_eq!(
            unknown_command("chekc"),
            "unknown command or option \"chekc\"; did you mean check?"
        );
        assert_eq!(
            unknown_command("--versoin"),
            "unknown command or option \"--versoin\"; did you mean --version?"
        );
        assert_eq!(unknown_command("fly"), "unknown command or option \"fly\"");
    }

    #[test]
    fn pages_fit_a_terminal_and_have_each_option_in_one_row() {
        for command in &COMMANDS {
            let page = page(Some(command.name)).unwrap();
            for (option, effect) in command.options {
                let row = format!("  {option:<22}{effect}");
                assert!(page.lines().any(|line| line == row) && option.len() < 22, "{option}");
            }
            for line in page.lines() {
                assert!(line.chars().count() <= 108, "{line}");
            }
            assert!(command.examples.iter().all(|example| example.contains(command.name)));
        }
        assert_eq!(page(Some("fly")), None);
        assert_eq!(page(Some("help")), page(None));
    }
}
