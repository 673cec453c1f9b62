//! Runs the checks of `tests/fuzz/check.rs` on the fuzz corpus, the fixtures and seeded mutations of both, so that
//! what the fuzzer once found is tested without the fuzzer.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "fuzz/check.rs"]
mod check;

use std::fs;
use std::path::PathBuf;

use check::Random;

/// Number of mutations of each target's seeds, and the maximum length of an input.
const MUTATIONS: usize = 1000;
const BYTES_MAX: usize = 16 << 10;

fn path(below: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Returns the contents of a folder's files, sorted by name.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        fs::read_dir(path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Returns `count` lines of a recording, spread over all of it.
fn lines(file: &str, count: usize) -> Vec<Vec<u8>> {
    let text = fs::read(path(file)).unwrap();
    let lines: Vec<_> = text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
    lines.iter().step_by(lines.len().div_ceil(count)).map(|line| line.to_vec()).collect()
}

/// Runs a check on the corpus with its name and on `more`, then on mutations of them.
fn run(name: &str, check: fn(&[u8]), more: Vec<Vec<u8>>) {
    let mut seeds = files(&format!("tests/fuzz/corpus/{name}"));
    assert!(!seeds.is_empty());
    seeds.extend(more);
    for seed in &seeds {
        check(seed);
    }
    seeds.retain(|seed| seed.len() <= BYTES_MAX);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..MUTATIONS {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &seeds, &mut random);
        }
        input.truncate(BYTES_MAX);
        check(&input);
    }
}

/// Makes one small change, of the kinds that find the most bugs.
fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    const ODD: &[u8] = b"\0\n\r \"\\{}[]:,0-9.eP\x7f\x80\xc3\xff&*|>'#/?";
    let (from, to) = (random.below(input.len() + 1), random.below(input.len() + 1));
    let (from, to) = (from.min(to), from.max(to));
    match random.below(6) {
        0 => input.insert(from, ODD[random.below(ODD.len())]),
        1 if from < input.len() => input[from] = ODD[random.below(ODD.len())],
        2 if from < input.len() => input[from] ^= 1 << random.below(8),
        3 => drop(input.drain(from..to.min(from + 64))),
        4 => {
            let part = input[from..to.min(from + 512)].to_vec();
            input.splice(to..to, part);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let at = random.below(other.len() + 1);
            let end = other.len().min(at + 256);
            input.splice(from..to, other[at..end].iter().copied());
        }
    }
}

#[test]
fn frames_hold() {
    run("frames", check::frames, lines("fixtures/crash-zoo/pods.watch.jsonl", 3));
}

#[test]
fn the_stream_holds() {
    run("stream", check::stream, lines("fixtures/crash-zoo/pods.watch.jsonl", 3));
}

#[test]
fn the_wire_holds() {
    let pods = lines("fixtures/crash-zoo/pods.watch.jsonl", 60);
    let events = lines("fixtures/crash-zoo/events.watch.jsonl", 20);
    let whole = [pods.join(&b'\n'), events.join(&b'\n')].join(&b'\n');
    run("wire", check::wire, [pods, events, vec![whole]].concat());
}

#[test]
fn lists_hold() {
    let pods = lines("fixtures/crash-zoo/pods.watch.jsonl", 4).join(&b',');
    let made = [b"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[", &*pods, b"]}"].concat();
    let recorded = fs::read(path("fixtures/crash-zoo/pods.list.json")).unwrap();
    run("list", check::list, vec![recorded, made]);
}

#[test]
fn quantities_hold() {
    run("quantity", check::quantity, Vec::new());
}

#[test]
fn log_lines_hold() {
    run("cri", check::cri, Vec::new());
}

#[test]
fn last_words_hold() {
    let recorded = files("fixtures/logs");
    let lines = lines("fixtures/logs/logs_chatty_app_1.log", 8);
    run("last_words", check::last_words_hold, [recorded, lines].concat());
}

#[test]
fn masks_hold() {
    run("mask", check::mask, Vec::new());
}

#[test]
fn causes_hold() {
    let recorded = files("fixtures/logs").into_iter();
    run("cause", check::cause, recorded.map(|log| [b"\x04", &*log].concat()).collect());
}

#[test]
fn http_heads_hold() {
    run("http_head", check::http_head, files("fixtures/http"));
}

#[test]
fn posts_of_telemetry_hold() {
    run("telemetry", check::telemetry, Vec::new());
}

#[test]
fn kubeconfigs_hold() {
    run("kubeconfig", check::kubeconfig, Vec::new());
}

#[test]
fn journals_hold() {
    run("journal", check::journal, Vec::new());
}

#[test]
fn lines_of_the_kernel_hold() {
    run("kernel", check::kernel, lines("fixtures/journal/lines.tsv", 12));
}
