use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, thread};

use super::*;
use crate::limits::LOG_LINES_MAX;

const POD: &str = "shop_web-1_u-1";

/// A log folder with one pod's container folder, removed when the test ends.
struct Node(PathBuf);

impl Node {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let node = Self(env::temp_dir().join(format!("logs-{}-{number}", process::id())));
        fs::create_dir_all(node.path("pods").join(POD).join("app")).unwrap();
        fs::create_dir_all(node.path("elsewhere")).unwrap();
        node
    }

    /// Returns a path beside the log folder.
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the path of a file in the container's folder.
    fn file(&self, name: &str) -> PathBuf {
        self.path("pods").join(POD).join("app").join(name)
    }

    fn write(&self, name: &str, lines: &[&str]) {
        fs::write(self.file(name), log(lines)).unwrap();
    }

    fn logs(&self, lines_max: usize) -> PodLogs {
        PodLogs::new(&self.path("pods"), lines_max, true)
    }

    fn read(&self, lines_max: usize) -> Result<LastWords, Gap> {
        self.logs(lines_max).last_words("shop", "web-1", "u-1", "app", 3)
    }

    /// Returns the texts, the file's name, and why lines are missing.
    fn told(&self, lines_max: usize) -> (Vec<String>, String, Option<Truncation>) {
        let words = self.read(lines_max).unwrap();
        let texts = words.lines.into_iter().map(|line| line.text).collect();
        (texts, words.file, words.truncated)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn log(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("2026-11-23T04:07:52Z stdout F {line}\n")).collect()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn the_file_of_the_dead_instance_is_read() {
    let node = Node::new();
    node.write("2.log", &["two"]);
    node.write("4.log", &["four"]);
    node.write("3.log", &["a", "password=hunter2", "b"]);
    assert_eq!(node.told(2), (owned(&["password=***", "b"]), "app/3.log".to_owned(), None));
    assert_eq!(node.told(9).0.len(), 3);
    let plain = PodLogs::new(&node.path("pods"), 2, false);
    let words = plain.last_words("shop", "web-1", "u-1", "app", 3).unwrap();
    assert_eq!(words.lines[0].text, "password=hunter2");
}

#[test]
fn the_recorded_log_is_read_to_its_end() {
    let node = Node::new();
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/logs/logs_chatty_app_1.log");
    fs::copy(recorded, node.file("3.log")).unwrap();
    let (texts, ..) = node.told(2);
    assert_eq!(texts, ["bytes \\xff\\xfe not utf8", "panic: index out of range"]);
    // The runtime may be in the middle of writing a line.
    let bytes = fs::read(recorded).unwrap();
    for missing in 0..200 {
        fs::write(node.file("3.log"), &bytes[..bytes.len() - missing]).unwrap();
        assert_eq!(node.told(2).0.len(), 2, "{missing}");
    }
}

#[test]
fn an_empty_file_is_no_gap() {
    let node = Node::new();
    node.write("3.log", &[]);
    assert_eq!(node.told(5), (vec![], "app/3.log".to_owned(), None));
}

#[test]
fn no_lines_wanted_no_file_touched() {
    let nowhere = PodLogs::new(Path::new("/nonexistent"), 0, true);
    assert_eq!(nowhere.last_words("", "..", "/", "", -1), Ok(LastWords::default()));
}

#[test]
fn a_rotated_file_is_followed() {
    let node = Node::new();
    node.write("3.log.20261123-033141", &["old"]);
    node.write("3.log.20261123-043141", &["a", "b"]);
    node.write("3.log", &["c"]);
    let file = "app/3.log".to_owned();
    assert_eq!(node.told(1), (owned(&["c"]), file.clone(), None));
    assert_eq!(node.told(3), (owned(&["a", "b", "c"]), file.clone(), None));
    let rotated = Some(Truncation::Rotated);
    assert_eq!(node.told(4), (owned(&["a", "b", "c"]), file.clone(), rotated));
    fs::remove_file(node.file("3.log.20261123-033141")).unwrap();
    assert_eq!(node.told(4), (owned(&["a", "b", "c"]), file, None));
    // The kubelet has renamed the file, and the new one does not exist yet.
    fs::remove_file(node.file("3.log")).unwrap();
    let file = "app/3.log.20261123-043141".to_owned();
    assert_eq!(node.told(9), (owned(&["a", "b"]), file, None));
}

#[test]
fn compressed_and_other_files_are_passed_over_and_told() {
    let node = Node::new();
    for other in ["3.log.20261123-043141.gz", "3.log.20261123-043141.gz.tmp", "3.log.bak"] {
        node.write("3.log", &["c"]);
        node.write(other, &["wrong"]);
        let rotated = Some(Truncation::Rotated);
        assert_eq!(node.told(5), (owned(&["c"]), "app/3.log".to_owned(), rotated), "{other}");
        fs::remove_file(node.file("3.log")).unwrap();
        assert_eq!(node.read(5), Err(Gap::NoFile(node.file("3.log"))), "{other}");
        fs::remove_file(node.file(other)).unwrap();
    }
    node.write("3.log", &["c"]);
    for other in ["33.log", "13.log.20261123-043141", "3.logs", "2.log.20261123-043141"] {
        node.write(other, &["wrong"]);
    }
    assert_eq!(node.told(5), (owned(&["c"]), "app/3.log".to_owned(), None));
}

#[test]
fn lines_are_told_though_the_rotated_file_cannot_be() {
    let node = Node::new();
    node.write("3.log", &["c"]);
    symlink(node.path("elsewhere"), node.file("3.log.20261123-043141")).unwrap();
    let rotated = Some(Truncation::Rotated);
    assert_eq!(node.told(5), (owned(&["c"]), "app/3.log".to_owned(), rotated));
    fs::remove_file(node.file("3.log")).unwrap();
    assert_eq!(node.read(5), Err(Gap::Link(node.file("3.log.20261123-043141"))));
}

#[test]
fn only_the_end_of_a_large_file_is_read() {
    let node = Node::new();
    let line = "x".repeat(2000);
    let many: Vec<_> = (0..400).map(|n| format!("{n} {line}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    node.write("3.log", &many);
    let words = node.read(2).unwrap();
    assert!(words.lines[1].text.starts_with("399 x") && words.lines[0].text.starts_with("398 x"));
    assert_eq!((words.skipped, words.truncated), (0, None));
    assert_eq!(node.read(50).unwrap().truncated, Some(Truncation::Bytes));
    // The tail is part of one endless line: there is no line to return, and `truncated` reports that.
    fs::write(node.file("3.log"), vec![b'x'; 4 * LOG_TAIL_BYTES_MAX]).unwrap();
    assert_eq!(node.told(50), (vec![], "app/3.log".to_owned(), Some(Truncation::Tail)));
}

#[test]
fn no_link_is_followed_below_the_root() {
    let secret = log(&["secret"]);
    let pod = |node: &Node| node.path("pods").join(POD);
    // The file is a link.
    let node = Node::new();
    fs::write(node.path("elsewhere/3.log"), &secret).unwrap();
    symlink(node.path("elsewhere/3.log"), node.file("3.log")).unwrap();
    assert_eq!(node.read(5), Err(Gap::Link(node.file("3.log"))));
    // A link to nowhere is refused as a link, and so is a link to a file in the same folder.
    fs::remove_file(node.file("3.log")).unwrap();
    symlink("nowhere", node.file("3.log")).unwrap();
    assert_eq!(node.read(5), Err(Gap::Link(node.file("3.log"))));
    fs::remove_file(node.file("3.log")).unwrap();
    node.write("2.log", &["two"]);
    symlink("2.log", node.file("3.log")).unwrap();
    assert_eq!(node.read(5), Err(Gap::Link(node.file("3.log"))));
    // The file has a second name.
    fs::remove_file(node.file("3.log")).unwrap();
    fs::hard_link(node.path("elsewhere/3.log"), node.file("3.log")).unwrap();
    assert_eq!(node.read(5), Err(Gap::Link(node.file("3.log"))));
    // The container's folder is a link.
    let node = Node::new();
    fs::write(node.path("elsewhere/3.log"), &secret).unwrap();
    fs::remove_dir(pod(&node).join("app")).unwrap();
    symlink(node.path("elsewhere"), pod(&node).join("app")).unwrap();
    assert_eq!(node.read(5), Err(Gap::Link(pod(&node).join("app"))));
    // The pod's folder is a link.
    let node = Node::new();
    fs::create_dir(node.path("elsewhere/app")).unwrap();
    fs::write(node.path("elsewhere/app/3.log"), &secret).unwrap();
    fs::remove_dir_all(pod(&node)).unwrap();
    symlink(node.path("elsewhere"), pod(&node)).unwrap();
    assert_eq!(node.read(5), Err(Gap::Link(pod(&node))));
}

#[test]
fn the_root_may_be_a_link() {
    let node = Node::new();
    node.write("3.log", &["a"]);
    symlink(node.path("pods"), node.path("link")).unwrap();
    let logs = PodLogs::new(&node.path("link"), 5, true);
    assert_eq!(logs.last_words("shop", "web-1", "u-1", "app", 3).unwrap().lines.len(), 1);
}

#[test]
fn what_is_no_plain_file_is_not_opened() {
    let node = Node::new();
    let file = node.file("3.log");
    // Opening a pipe without a writer would block the reader forever.
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert_eq!(node.read(5), Err(Gap::NotPlain(file.clone())));
    fs::remove_file(&file).unwrap();
    let _listener = UnixListener::bind(&file).unwrap();
    assert_eq!(node.read(5), Err(Gap::NotPlain(file.clone())));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(node.read(5), Err(Gap::NotPlain(file)));
    // A file in the place of a folder is not accepted either.
    let node = Node::new();
    let app = node.file("");
    fs::remove_dir(&app).unwrap();
    fs::write(app.parent().unwrap().join("app"), "x").unwrap();
    assert_eq!(node.read(5), Err(Gap::NotPlain(app.parent().unwrap().join("app"))));
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let node = Node::new();
    fs::write(node.path("3.log"), log(&["secret"])).unwrap();
    let long = "x".repeat(LOG_NAME_BYTES_MAX + 1);
    for name in
        ["", ".", "..", "a/b", "/", "../../elsewhere", "a\0b", "a b", "a\nb", "\u{e4}", &long]
    {
        for at in 0..4 {
            let mut names = ["shop", "web-1", "u-1", "app"];
            names[at] = name;
            let [namespace, pod, uid, container] = names;
            let got = node.logs(5).last_words(namespace, pod, uid, container, 3);
            assert_eq!(got, Err(Gap::Name), "{names:?}");
        }
    }
    for count in [-1, i64::MIN, i64::MAX, 1 << 32] {
        let got = node.logs(5).last_words("shop", "web-1", "u-1", "app", count);
        assert_eq!(got, Err(Gap::Name), "{count}");
    }
    // Each name is allowed, but the file system refuses all of them together.
    let long = "x".repeat(LOG_NAME_BYTES_MAX);
    let got = node.logs(5).last_words(&long, &long, "u-1", "app", 3);
    assert!(matches!(got, Err(Gap::Failed(..))), "{got:?}");
}

#[test]
fn what_is_missing_is_told_with_what_to_do() {
    let node = Node::new();
    let gap = |node: &Node| node.read(5).unwrap_err();
    assert_eq!(gap(&node), Gap::NoFile(node.file("3.log")));
    fs::remove_dir_all(node.file("")).unwrap();
    assert!(matches!(gap(&node), Gap::NoFolder(path) if path.ends_with("app")));
    fs::remove_dir_all(node.path("pods").join(POD)).unwrap();
    assert_eq!(gap(&node), Gap::NoFolder(node.path("pods").join(POD)));
    fs::remove_dir_all(node.path("pods")).unwrap();
    assert_eq!(gap(&node), Gap::NoRoot(node.path("pods")));
    let shown = gap(&node).to_string();
    assert!(shown.starts_with("no log lines: there is no folder \"/"), "{shown}");
    assert!(shown.contains("BLACKBOX_POD_LOGS"), "{shown}");
    let denied = io::Error::from(ErrorKind::PermissionDenied);
    let denied = Gap::from_io(Path::new("/a"), &denied);
    assert_eq!(
        denied.to_string(),
        "no log lines: the agent may not read \"/a\"; let it run as root or with the capability \
         DAC_READ_SEARCH, or turn logs off with BLACKBOX_LOG_LINES=0"
    );
}

/// The kubelet renames files and the runtime writes while the agent reads: no line comes twice, and none
/// out of order.
#[test]
fn a_rotation_meanwhile_does_no_harm() {
    let node = Node::new();
    let rounds = 300;
    let (live, name) = (node.file("3.log"), |n: usize| format!("3.log.20261123-{n:06}"));
    node.write("3.log", &["0"]);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 1..rounds {
                fs::rename(&live, node.file(&name(n))).unwrap();
                fs::write(&live, log(&[&n.to_string()])).unwrap();
                if n > 2 {
                    fs::remove_file(node.file(&name(n - 2))).unwrap();
                }
            }
        });
        while !writer.is_finished() {
            match node.read(LOG_LINES_MAX) {
                Ok(words) => {
                    let numbers: Vec<u32> =
                        words.lines.iter().map(|line| line.text.parse().unwrap()).collect();
                    assert!(numbers.windows(2).all(|two| two[0] < two[1]), "{numbers:?}");
                }
                Err(gap) => {
                    assert!(matches!(gap, Gap::NoFile(_) | Gap::Replaced(_)), "{gap}");
                }
            }
        }
    });
    assert_eq!(node.told(1).0, [(rounds - 1).to_string()]);
}
