//! Rules of the source tree that the compiler does not check.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod docs;
mod layers;

use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of lines of code in a file; inline tests do not count.
const LINES_MAX: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Returns the files below a folder, without tests.
fn code_below(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    files_below(&root().join(folder), &mut files);
    let is_test = |path: &PathBuf| path.iter().any(|word| word == "tests.rs" || word == "tests");
    let below = |path: &PathBuf| path.strip_prefix(root().join(folder)).unwrap().to_owned();
    files.retain(|path| !is_test(&below(path)));
    let code = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let end = text.find("#[cfg(test)]\nmod tests ").unwrap_or(text.len());
        let code = text[..end].to_owned();
        (path, code)
    };
    files.into_iter().map(code).collect()
}

#[test]
fn the_core_reads_no_clock_opens_nothing_and_logs_nothing() {
    let banned = [
        "std::fs",
        "std::io",
        "std::net",
        "std::thread",
        "std::env",
        "std::process",
        "Instant",
        "SystemTime",
        "::now()",
        "log::",
        "println!",
        "use crate::kube",
        "use crate::config",
        "use crate::metrics",
        "ureq",
        "rustls",
    ];
    for (path, code) in code_below("src/core") {
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            for word in banned {
                assert!(!line.contains(word), "{}: {word} in {line:?}", path.display());
            }
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for (path, code) in code_below("src").into_iter().chain(code_below("tests")) {
        let lines = code.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

/// Returns the words of a `cargo build` in a script, sorted, without what differs between machines: paths,
/// architecture.
fn build_words(script: &str, first: &str) -> Vec<String> {
    let (_, rest) = script.split_once(first).unwrap_or_else(|| panic!("no {first} in the script"));
    let end = rest.find([';', '>']).unwrap();
    let words = rest[..end].split_whitespace().filter(|word| *word != "\\");
    let mut words: Vec<String> = words
        .map(|word| match word.split_once("--remap-path-prefix=") {
            Some((before, paths)) => format!("{before}{}", paths.rsplit('=').next().unwrap()),
            None => word.to_owned(),
        })
        .collect();
    words.sort();
    words
}

#[test]
fn what_ci_measures_is_built_as_the_image_is() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let dockerfile = read("deploy/Dockerfile");
    let script = read(".ci/image-binary");
    assert!(script.contains("\nbuild=(cargo build --release)\n"));
    let image = build_words(&dockerfile, "cargo build --release");
    assert_eq!(image, build_words(&script, "\"${build[@]}\""));
    assert!(image.len() > 8, "{image:?}");
    assert!(dockerfile.contains("\nCOPY .cargo .cargo\n"), "the linker's flags are there");
    // Both architectures use the same linker flags.
    let config = read(".cargo/config.toml");
    let flags = |arch: &str| {
        let (_, rest) =
            config.split_once(&format!("[target.{arch}-unknown-linux-musl]\n")).unwrap();
        rest.split("\n]\n").next().unwrap().to_owned()
    };
    assert_eq!(flags("x86_64"), flags("aarch64"));
    // All builds use the same version of Rust, because its std is part of the binary.
    let version = dockerfile.split_once("docker.io/library/rust:").unwrap().1;
    let version = version.split('-').next().unwrap();
    for workflow in ["ci", "nightly", "release"] {
        let text = read(&format!(".github/workflows/{workflow}.yml"));
        let named = text.lines().filter_map(|line| line.trim().strip_prefix("RUSTUP_TOOLCHAIN: "));
        for toolchain in named {
            assert!(
                toolchain == version || toolchain.starts_with("1.91"),
                "{workflow}: {toolchain}, not {version}"
            );
        }
    }
    // The limit that the documentation states is the one that CI checks.
    assert!(script.contains(&format!("bytes_max={}\n", 3 << 20)));
}
