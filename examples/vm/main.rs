//! The test program of `.ci/vm`: it runs in a virtual machine with a real kernel and cgroup version 2, and plays the
//! kubelet, the container runtime and the API server for the agent.
//!
//! ```text
//! vm run            plays the scenarios of scenarios.rs, and judges what the agent reports
//! vm before-FALL    runs some pods, and then lets the node fall: cut (the power), quiet (the same, of a
//!                   node that logs nothing), panic (the kernel), hang (no memory)
//! vm after-FALL     shows the pods as they are after the reboot, and judges what the agent reports
//! vm enter GROUP PROGRAM ARGUMENT…    becomes that program, in that cgroup
//! vm grow MIB       takes that much memory
//! vm hog            takes all memory, and is not killed for it
//! ```
//!
//! The last line of the first three is `VM PASS`, `VM FAIL` or, before the fall, `VM CUT` with the time in seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a step that fails ends the program, and the script that started the machine sees it"
)]

mod journal;
mod judge;
mod machine;
mod node;
mod pods;
mod power;
mod scenarios;
#[path = "../../tests/support/mod.rs"]
mod support;
mod words;

use std::process::ExitCode;

use judge::Report;
use power::Fall;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run"] => finish(&scenarios::run()),
        ["hog"] => machine::hog(),
        ["enter", group, program, arguments @ ..] => machine::enter(group, program, arguments),
        ["grow", mib] => machine::grow(mib.parse().expect("a number of MiB")),
        [work] => match work.split_once('-').map(|(when, fall)| (when, Fall::of(fall))) {
            Some(("before", Some(fall))) => power::before(fall),
            Some(("after", Some(fall))) => finish(&power::after(fall)),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: vm run | before-FALL | after-FALL | enter GROUP PROGRAM… | grow MIB | hog; FALL: cut, quiet, panic, hang"
    );
    ExitCode::from(2)
}

/// Prints the result, with the word that the host waits for.
fn finish(report: &Report) -> ExitCode {
    print!("{report}");
    println!("VM {}", if report.is_passed() { "PASS" } else { "FAIL" });
    ExitCode::SUCCESS
}
