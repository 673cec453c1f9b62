//! Kills the agent again and again while pods crash, to test the incident files and the state file.
//!
//! `BLACKBOX_KILLS` sets the number of kills (30; `.ci/nightly`: 200), `BLACKBOX_KILL_SEED` their random times.

use std::collections::BTreeSet;
use std::fs;

use crate::support::bed::{FOLDER, millis};
use crate::support::clock::eventually;
use crate::support::schema;
use crate::support::workload::{Dice, ID_END};
use crate::support::{Bed, BedOptions, PATIENCE, whole_lines};

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Returns the lines of the incident file and its rotated predecessors, oldest first.
fn lines(bed: &Bed) -> Vec<String> {
    let names = ["incidents.3", "incidents.2", "incidents.1", "incidents"];
    names.iter().flat_map(|name| whole_lines(&bed.scratch.join(name))).collect()
}

fn options(env: &[(&'static str, &str)]) -> BedOptions {
    let env = env.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    BedOptions { pods: 70, pace: millis(1), env, ..BedOptions::default() }
}

/// Kills and starts the agent this many times, at random moments.
fn storm(bed: &mut Bed, mut between: impl FnMut(&mut Bed, u64)) {
    let mut dice = Dice::new(from_env("BLACKBOX_KILL_SEED", 20_261_123));
    for n in 0..from_env("BLACKBOX_KILLS", 30) {
        // Between the middle of its start and some time after it.
        bed.wait(millis(dice.below(700) as u64));
        bed.agent.kill();
        between(bed, n);
        bed.start_agent();
    }
    bed.flush();
}

#[track_caller]
fn every_crash_is_in_the_files_once(bed: &Bed) {
    let even = || bed.balance_of(lines(bed).iter().map(String::as_str)).is_even();
    let even =
        eventually(PATIENCE, || bed.agent.metric("blackbox_incidents_held") == 0.0 && even());
    let text = fs::read_to_string(bed.scratch.join("incidents")).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    let lines = lines(bed);
    let flaws: Vec<_> = lines.iter().filter_map(|line| schema::flaw(line)).collect();
    assert_eq!(flaws, [""; 0], "against the schema");
    let balance = bed.balance_of(lines.iter().map(String::as_str));
    assert!(even, "{balance}");
    let ids: BTreeSet<_> = lines.iter().map(|line| &line[..ID_END]).collect();
    assert_eq!(ids.len(), lines.len(), "every id is there once");
    println!("{balance}");
}

const FILE: (&str, &str) = ("BLACKBOX_INCIDENT_FILE", "{folder}/incidents");
const FILE_MAX: (&str, &str) = ("BLACKBOX_INCIDENT_FILE_MAX_BYTES", "8Mi");
const STATE: (&str, &str) = ("BLACKBOX_STATE_FILE", "{folder}/state");

#[test]
fn an_agent_that_is_killed_again_and_again_has_every_crash_in_its_file_once() {
    assert!(FILE.1.starts_with(FOLDER));
    let mut bed = Bed::with("kills, incident file", options(&[FILE, FILE_MAX]));
    storm(&mut bed, |_, _| {});
    every_crash_is_in_the_files_once(&bed);
}

#[test]
fn the_same_with_a_state_file_and_an_api_server_that_restarts() {
    let mut bed = Bed::with("kills, incident file, state", options(&[FILE, FILE_MAX, STATE]));
    // Some terminations are held back by the agent when it is killed.
    bed.workload(|workload| workload.held_one_in = 6);
    storm(&mut bed, |bed, n| {
        if n % 5 == 0 {
            bed.api.restart();
        }
    });
    every_crash_is_in_the_files_once(&bed);
}

/// How many of a file's last bytes a power cut may destroy.
const CUT_BYTES_MAX: u64 = 2048;

/// Cuts the files at many places, as a power cut does, and starts an agent each time. With `BLACKBOX_CUTS=1`, cuts at
/// every byte.
fn cut(files: &[&str], env: &[(&'static str, &str)]) {
    let mut bed = Bed::with("power cuts", BedOptions { pods: 4, ..options(env) });
    bed.wait(millis(1500));
    bed.flush();
    every_crash_is_in_the_files_once(&bed);
    bed.agent.end("TERM");
    let whole: Vec<_> = files.iter().map(|f| fs::read(bed.scratch.join(f)).unwrap()).collect();
    let step = from_env("BLACKBOX_CUTS", 53) as usize;
    for cut in (0..=CUT_BYTES_MAX).step_by(step) {
        for (name, bytes) in files.iter().zip(&whole) {
            // Every other cut leaves zeros instead of a shorter file.
            let mut bytes = bytes.clone();
            let kept = bytes.len() - cut as usize;
            if cut % 2 == 0 {
                bytes.truncate(kept);
            } else {
                bytes[kept..].fill(0);
            }
            fs::write(bed.scratch.join(name), bytes).unwrap();
        }
        bed.start_agent();
        bed.agent.wait_ready();
        let even = || bed.balance_of(lines(&bed).iter().map(String::as_str)).is_even();
        let balance = || bed.balance_of(lines(&bed).iter().map(String::as_str));
        assert!(eventually(PATIENCE, even), "{files:?} cut by {cut}: {}", balance());
        bed.agent.kill();
    }
}

#[test]
fn an_incident_file_cut_at_any_byte_is_completed() {
    cut(&["incidents"], &[FILE, FILE_MAX]);
}

#[test]
fn an_incident_file_cut_at_any_byte_is_completed_though_the_state_says_it_was_told() {
    cut(&["incidents"], &[FILE, FILE_MAX, STATE]);
}

#[test]
fn a_state_file_cut_at_any_byte_changes_nothing_beside_the_incident_file() {
    cut(&["state"], &[FILE, FILE_MAX, STATE]);
}

#[test]
fn both_cut_at_the_same_time_are_no_worse() {
    cut(&["incidents", "state"], &[FILE, FILE_MAX, STATE]);
}
