//! The test program of `.ci/vm`: it runs in a virtual machine with a real kernel and cgroup version 2, and plays the
//! kubelet, the container runtime and the API server for the agent.
//!
//! ```text
//! vm run            plays the scenarios of scenarios.rs, and judges what the agent reports
//! vm before-cut     runs some pods, and then waits for the power cut
//! vm after-cut      shows the pods as they are after the reboot, and judges what the agent reports
//! vm enter GROUP PROGRAM ARGUMENT…    becomes that program, in that cgroup
//! vm grow MIB       takes that much memory
//! ```
//!
//! The last line of the first three is `VM PASS`, `VM FAIL` or, before the cut, `VM CUT` with the time in seconds.

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

use std::process::ExitCode;

use judge::Report;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run"] => finish(&scenarios::run()),
        ["before-cut"] => power::before_the_cut(),
        ["after-cut"] => finish(&power::after_the_cut()),
        ["enter", group, program, arguments @ ..] => machine::enter(group, program, arguments),
        ["grow", mib] => machine::grow(mib.parse().expect("a number of MiB")),
        _ => {
            eprintln!("usage: vm run | before-cut | after-cut | enter GROUP PROGRAM… | grow MIB");
            ExitCode::from(2)
        }
    }
}

/// Prints the result, with the word that the host waits for.
fn finish(report: &Report) -> ExitCode {
    print!("{report}");
    println!("VM {}", if report.is_passed() { "PASS" } else { "FAIL" });
    ExitCode::SUCCESS
}
