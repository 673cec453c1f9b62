//! The command `show`: its output for incident lines.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::clock::eventually;
use crate::support::{PATIENCE, Scratch, fixture};
use crate::{BINARY, text};
use blackbox_daemon::core::text::is_harmful;

pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("show").args(words).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `show` with this input.
pub(crate) fn show(words: &[&str], input: &[u8]) -> Output {
    let mut child = command(words).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // `show` may exit before it has read all of it.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

fn incidents() -> Vec<u8> {
    fs::read(fixture("incidents.jsonl")).unwrap()
}

/// Returns the width in columns; valid for the characters in the fixtures, of which only the ideographs are wide.
pub(crate) fn columns(line: &str) -> usize {
    line.chars().map(|c| if ('\u{2e80}'..'\u{ffff}').contains(&c) { 2 } else { 1 }).sum()
}

#[track_caller]
fn holds_golden(name: &str, shown: &str) {
    let path = fixture("show").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, shown).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, shown, "{name}: look at it, then UPDATE_GOLDEN=1");
}

#[test]
fn the_table_and_the_minutes_before_look_as_they_were_looked_at() {
    let path = fixture("incidents.jsonl");
    for (name, words) in [("table.txt", &[][..]), ("full.txt", &["--full"])] {
        let words = [words, &[path.to_str().unwrap()]].concat();
        let output = show(&words, b"");
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
        holds_golden(name, &text(&output.stdout));
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_and_nothing_in_one_is_an_order_to_it() {
    let zoo = Command::new(BINARY)
        .args(["replay", fixture("crash-zoo").to_str().unwrap()])
        .output()
        .unwrap()
        .stdout;
    let all = [incidents(), zoo].concat();
    for (width, words) in [
        ("80", &["-"][..]),
        ("80", &["--logs", "-"]),
        ("200", &["--full", "-"]),
        ("60", &["--full", "-"]),
        ("40", &["-"]),
        ("40", &["--logs", "-"]),
    ] {
        let mut child = command(words).env("COLUMNS", width).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                stdin.write_all(&all).unwrap();
                drop(stdin);
            });
            child.wait_with_output().unwrap()
        });
        let shown = text(&output.stdout);
        let heads = shown.lines().filter(|line| line.starts_with("2026-11-23 ")).count();
        assert_eq!(heads, 197 + text(&incidents()).lines().count());
        for line in shown.lines() {
            assert!(columns(line) <= width.parse().unwrap(), "{} columns: {line}", columns(line));
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    }
}

#[test]
fn a_width_of_zero_is_not_known() {
    let shown = |width: &str| {
        let path = fixture("incidents.jsonl");
        command(&[path.to_str().unwrap()]).env("COLUMNS", width).output().unwrap().stdout
    };
    for unknown in ["0", "", "wide"] {
        assert_eq!(text(&shown(unknown)), text(&shown("80")), "{unknown:?}");
    }
}

#[test]
fn neither_the_name_nor_the_content_of_a_file_reaches_the_terminal_raw() {
    let hostile = "cls\u{1b}[2J gnp\u{202e}exe\u{2066}\n\r\u{feff}";
    let scratch = Scratch::new("hostile-file");
    let raw = |output: &Output| {
        let all = text(&output.stdout) + &text(&output.stderr);
        all.chars().filter(|c| *c != '\n' && is_harmful(*c)).collect::<String>()
    };
    for words in [&[hostile][..], &["--since", hostile, "--what\u{1b}[2J"], &[hostile, hostile]] {
        let output = show(words, b"");
        assert_ne!(output.status.code(), Some(0));
        assert_eq!(raw(&output), "", "{words:?}");
        assert!(text(&output.stderr).contains("\\u{202e}"), "{}", text(&output.stderr));
    }
    let path = scratch.join(hostile);
    let first = text(&incidents()).lines().next().unwrap().to_owned();
    let mut incident: serde_json::Value = serde_json::from_str(&first).unwrap();
    for name in ["message", "pod_name", "namespace", "container", "node_name", "type", "id"] {
        incident[name] = hostile.into();
    }
    fs::write(&path, format!("{incident}\n{hostile}\n")).unwrap();
    for words in [&[path.to_str().unwrap()][..], &["--full", path.to_str().unwrap()]] {
        let output = show(words, b"");
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("gnp\u{b7}exe"), "{}", text(&output.stdout));
        assert_eq!(raw(&output), "");
    }
    let unknown = Command::new(BINARY).args([hostile]).env_clear().output().unwrap();
    assert_eq!((unknown.status.code(), raw(&unknown)), (Some(2), String::new()));
}

#[test]
fn what_is_no_incident_is_passed_over_and_counted() {
    let first = text(&incidents()).lines().next().unwrap().to_owned();
    let noise =
        "[2026-11-23T03:31:00Z INFO  blackbox_daemon] 3 pods are listed\n{\"level\":1}\n\u{0}\n";
    let input =
        format!("{noise}[pod/blackbox-x/agent] {first}\n{}\n\n{first}", "y".repeat(300_000));
    let output = show(&["-"], input.as_bytes());
    assert_eq!(text(&output.stdout).lines().count(), 2);
    let told = "4 lines are not incidents; 1 line repeats an incident and was left out\n";
    assert_eq!(text(&output.stderr), told);
    let output = show(&["-"], format!("one\n{first}\n").as_bytes());
    assert_eq!(text(&output.stderr), "1 line is not an incident\n");
}

#[test]
fn only_the_newest_are_shown_and_the_rest_is_counted() {
    let output = show(&["--limit", "2", "-"], &incidents());
    assert_eq!(heads(&output), ["2026-11-23 19:02:12Z", "2026-11-23 19:01:44Z"]);
    let older = text(&incidents()).lines().count() - 2;
    assert_eq!(text(&output.stderr), format!("{older} older incidents are not shown\n"));
    let one = |n: u64| line("a", n % 60).replace(&format!("{:032x}", n % 60), &format!("{n:032x}"));
    let many: String = (0..1_001).map(one).collect();
    let output = show(&["-"], many.as_bytes());
    let advised = "1 older incident is not shown; use --since,";
    assert!(text(&output.stderr).starts_with(advised), "{}", text(&output.stderr));
    let output = show(&["--type", "oom", "--pod", "check*", "-"], &incidents());
    assert!(text(&output.stdout).contains("shop/checkout"));
    assert_eq!(heads(&output).len(), 1);
}

/// Returns the times of the incidents that were shown, in their order.
fn heads(output: &Output) -> Vec<String> {
    let shown = text(&output.stdout);
    let heads = shown.lines().filter(|line| line.starts_with("2026-"));
    heads.map(|line| line.chars().take(20).collect()).collect()
}

/// Returns a line of this node and minute.
fn line(node: &str, minute: u64) -> String {
    format!(
        r#"{{"id":"{minute:032x}","occurred_at":"2026-11-23T03:{minute:02}:00Z","severity":"high","type":"oom","message":"m","namespace":"shop","pod_name":"web","node_name":"{node}","container":"app"}}"#
    ) + "\n"
}

#[test]
fn the_files_of_many_nodes_are_in_true_order_and_name_their_nodes() {
    let of = |node, minutes: &[u64]| minutes.iter().map(|m| line(node, *m)).collect::<String>();
    let merged = of("edge-1", &[3, 9, 20]) + &of("edge-2", &[1, 11, 19]);
    let minutes = |output: &Output| {
        heads(output).iter().map(|head| head[14..16].parse().unwrap()).collect::<Vec<u64>>()
    };
    let output = show(&["-"], merged.as_bytes());
    assert_eq!(minutes(&output), [20, 19, 11, 9, 3, 1]);
    let shown = text(&output.stdout);
    assert_eq!((shown.matches("on edge-1").count(), shown.matches("on edge-2").count()), (3, 3));
    let output = show(&["--limit", "3", "--full", "-"], merged.as_bytes());
    assert_eq!(minutes(&output), [20, 19, 11]);
    let output = show(&["--node", "EDGE-?", "--not", "node=*-2", "-"], merged.as_bytes());
    assert_eq!(minutes(&output), [20, 9, 3]);
    assert!(!text(&output.stdout).contains("on edge"), "one node is not named in each line");
}

#[test]
fn json_is_the_lines_themselves_without_orders_to_a_terminal() {
    let hostile = line("a\u{9b}2J\u{202e}", 7);
    let input = format!("[pod/x] {}noise\n{}{hostile}", line("a", 5), line("a", 3));
    let output = show(&["-o", "json", "--container", "app", "-"], input.as_bytes());
    let shown = text(&output.stdout);
    let of = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let wanted = [line("a", 5), line("a", 3), hostile].map(|line| of(&line));
    assert_eq!(shown.lines().map(of).collect::<Vec<_>>(), wanted);
    assert!(!shown.chars().any(|c| c != '\n' && is_harmful(c)), "{shown:?}");
    let newest =
        show(&["-o", "json", "--limit", "1", "-"], (line("a", 5) + &line("a", 3)).as_bytes());
    assert_eq!(text(&newest.stdout), line("a", 5));
}

#[test]
fn what_matches_nothing_is_told() {
    let output = show(&["--id", "ffff", "-"], &incidents());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no id among 9 incidents begins with \"ffff\""));
    let output = show(&["--pod", "nobody", "-"], &incidents());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "none of 9 incidents matches\n");
    let output = show(&["--pod", "nobody", "-"], line("a", 1).as_bytes());
    assert_eq!(text(&output.stderr), "the one incident does not match\n");
    let output = show(&["--by", "node", "-"], b"[INFO] 3 pods are listed\n");
    assert_eq!(text(&output.stderr), "1 line is not an incident; no incident found\n");
    let output = show(&["--type", "crash", "-"], &incidents());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("oom, probe_failure"), "{}", text(&output.stderr));
}

#[test]
fn other_forms_of_incidents_are_named_with_the_command_for_them() {
    let pretty = serde_json::from_str::<serde_json::Value>(&line("a", 1)).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap();
    for (input, command) in [
        (b"\x1f\x8b\x08\0\0".as_slice(), "zcat"),
        (pretty.as_bytes(), "jq -c ."),
        (format!("[{}]", line("a", 1)).as_bytes(), "jq -c '.[]'"),
    ] {
        let output = show(&["-"], input);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("{command} FILE | blackbox-daemon show -")), "{said}");
    }
}

#[test]
fn all_log_lines_are_shown_if_asked_for_and_otherwise_counted() {
    let shown = |words: &[&str]| text(&show(words, &incidents()).stdout);
    let one = ["--id", "3682", "-"];
    let (some, all) =
        (shown(&[&["--full"], &one[..]].concat()), shown(&[&["--logs"], &one[..]].concat()));
    let logs = |text: &str| text.lines().filter(|line| line.contains("  log   ")).count();
    let earlier = logs(&all) - logs(&some);
    assert_eq!(logs(&some), 10);
    assert!(earlier > 0 && some.contains(&format!("{earlier} earlier log lines")), "{some}");
    assert!(!all.contains("earlier log lines"));
}

/// Serves one answer, as the agent does for `/incidents`. Returns the address and the thread that has the request.
fn agent(body: String) -> (String, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let len = peer.read(&mut request).unwrap();
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
        write!(peer, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
        String::from_utf8_lossy(&request[..len]).into_owned()
    };
    (address, std::thread::Builder::new().spawn(serve).unwrap())
}

#[test]
fn without_any_input_the_agent_on_this_host_is_asked() {
    for (stdin, body, heads_wanted) in [
        (Stdio::null(), line("a", 1) + &line("a", 2), 2),
        (Stdio::piped(), line("a", 1), 1),
        (Stdio::null(), String::new(), 0),
    ] {
        let (address, thread) = agent(body);
        let mut child = command(&[]).env("BLACKBOX_LISTEN", &address).stdin(stdin).spawn().unwrap();
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        assert!(thread.join().unwrap().starts_with("GET /incidents HTTP/1.1\r\n"));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(heads(&output).len(), heads_wanted);
        let said = text(&output.stderr);
        assert!(said.contains(&format!("the agent at http://{address}")), "{said}");
    }
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut nobody = command(&[]);
    nobody.env("BLACKBOX_LISTEN", free.to_string()).stdin(Stdio::null());
    let output = nobody.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("name a file, or -"), "{}", text(&output.stderr));
    // Standard input that was asked for may be empty.
    let output = show(&["-"], b"");
    assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(0), "no incident found\n"));
}

#[test]
fn wrong_words_and_files_that_cannot_be_read_are_told() {
    let output = show(&["--severity", "bad", "--what"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr).lines().count(), 2);
    let output = show(&["/nowhere/incidents"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/nowhere/incidents"));
}

#[test]
fn rotated_files_are_read_before_the_file_itself() {
    let scratch = Scratch::new("show-rotated");
    let lines: Vec<String> =
        text(&incidents()).lines().map(|line| line.to_owned() + "\n").collect();
    for (name, lines) in [("i.2", &lines[..1]), ("i.1", &lines[1..3]), ("i", &lines[3..])] {
        fs::write(scratch.join(name), lines.concat()).unwrap();
    }
    let mut whole = command(&[]);
    whole.env("BLACKBOX_INCIDENT_FILE", scratch.join("i"));
    let output = whole.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.stdout, show(&["-"], &incidents()).stdout);
}

/// A running `show --follow`, and what it has printed.
struct Following {
    child: Child,
    seen: Arc<Mutex<usize>>,
}

impl Following {
    fn start(path: &Path) -> Self {
        let mut child = command(&["--follow", path.to_str().unwrap()]).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let seen = Arc::<Mutex<usize>>::default();
        let count = Arc::clone(&seen);
        std::thread::Builder::new()
            .spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    *count.lock().unwrap() += usize::from(line.starts_with("2026-11-23 "));
                }
            })
            .unwrap();
        Self { child, seen }
    }

    #[track_caller]
    fn has_seen(&self, incidents: usize) {
        let seen = || *self.seen.lock().unwrap();
        assert!(eventually(PATIENCE, || seen() >= incidents), "{} of {incidents}", seen());
        assert_eq!(seen(), incidents);
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn following_goes_on_over_half_lines_rotation_and_truncation() {
    let scratch = Scratch::new("show-follow");
    let path = scratch.join("i");
    let line = text(&incidents()).lines().next().unwrap().to_owned() + "\n";
    fs::write(&path, &line).unwrap();
    let append = |bytes: &[u8]| {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    };
    let following = Following::start(&path);
    following.has_seen(1);
    append(&line.as_bytes()[..100]);
    append(&line.as_bytes()[100..]);
    following.has_seen(2);
    fs::rename(&path, scratch.join("i.1")).unwrap();
    append((line.clone() + &line).as_bytes());
    following.has_seen(4);
    fs::write(&path, &line).unwrap();
    following.has_seen(5);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = command(&["--full", "-"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    for _ in 0..40 {
        let _ = stdin.write_all(&incidents());
    }
    drop(stdin);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
