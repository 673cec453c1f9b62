//! Applies all faults of the bed at random, one after another, over a long random history: pods are created, crash,
//! skip states, are deleted and created again. The book of what happened is the reference.
//!
//! `BLACKBOX_SOAK_SECONDS=600 cargo test --test agent soak:: -- --nocapture` is the nightly run;
//! `BLACKBOX_SOAK_SEED` repeats a run.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use crate::support;
use crate::support::bed::{SECOND, millis};
use crate::support::clock::{eventually, now, unix_seconds};
use crate::support::script::Insertion;
use crate::support::tls::{Authority, Validity};
use crate::support::workload::Dice;
use crate::support::{Bed, BedOptions, Behaviour, Ending, Link, PATIENCE, Point, Target};

/// The duration in `.ci/run` and in `cargo test`.
const SECONDS: u64 = 30;

/// The kinds of fault; the run counts how often each happened.
const FAULTS: [&str; 16] = [
    "silent",
    "refused",
    "unanswered",
    "reset",
    "slow",
    "late",
    "cut",
    "restart",
    "forgotten",
    "refusal",
    "denied",
    "token",
    "untrusted",
    "bent",
    "handshake",
    "stopped",
];

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn a_long_history_of_faults_loses_and_doubles_nothing() {
    let seconds = number("BLACKBOX_SOAK_SECONDS", SECONDS);
    let seed = number("BLACKBOX_SOAK_SEED", unix_seconds().unsigned_abs());
    println!("BLACKBOX_SOAK_SEED={seed}");
    let options = BedOptions { seed, pods: 40, pace: millis(5), ..BedOptions::default() };
    let mut bed = Bed::with(&format!("soak of {seconds} s, seed {seed}"), options);
    bed.workload(|w| {
        w.churns = true;
        w.held_one_in = 200;
    });
    let mut dice = Dice::new(seed);
    let mut faults = BTreeMap::new();
    let (begun, mut early) = (now(), None);
    let settled_in = Duration::from_secs(seconds / 10);
    while now() - begun < Duration::from_secs(seconds) {
        let fault = FAULTS[dice.below(FAULTS.len())];
        *faults.entry(fault).or_insert(0) += 1;
        happen(&bed, fault, &mut dice);
        bed.heal();
        bed.recover();
        if early.is_none() && now() - begun > settled_in {
            early = Some(calm(&bed));
        }
    }
    let (early, late) = (early.unwrap(), calm(&bed));
    let count: usize = faults.values().sum();
    let balance = bed.finish();
    println!("{count} faults: {faults:?}\n{balance}\nearly {early:?}\nlate {late:?}");
    assert_eq!((early.threads, early.open_files), (late.threads, late.open_files));
    // The agent uses only a few megabytes, and in a short run the tables and buffers still grow by more than a tenth
    // of that.
    let may_grow = if seconds < 300 { 4 } else { 10 };
    assert!(late.resident_kib <= early.resident_kib + early.resident_kib / may_grow);
    if seconds >= 600 {
        assert!(count >= 200 && balance.ended >= 20_000, "{count} faults, {balance}");
    }
}

/// Returns the agent's footprint while it only watches.
fn calm(bed: &Bed) -> support::bed::Footprint {
    bed.pause();
    let quiet =
        || bed.api.open_watches() == 1 && bed.agent.metric("blackbox_incidents_held") == 0.0;
    assert!(eventually(PATIENCE, quiet), "it never calms down");
    bed.wait(SECOND);
    let footprint = bed.footprint();
    bed.resume();
    footprint
}

/// Applies one fault from its beginning to its end.
fn happen(bed: &Bed, fault: &str, dice: &mut Dice) {
    let time = millis(100 + dice.next() % 1500);
    let link = |link| {
        bed.proxy.set(link);
        bed.wait(time);
        bed.proxy.set(Link::Open);
    };
    match fault {
        "silent" => link(Link::Silent),
        "refused" => link(Link::Refused),
        "unanswered" => link(Link::Unanswered),
        "reset" => link(Link::Reset),
        "slow" => link(Link::Slow(200)),
        "late" => link(Link::Late(millis(20))),
        "cut" => bed.proxy.cut_all_after(dice.below(20_000)),
        "stopped" => {
            bed.agent.signal("STOP");
            bed.api.end_watches();
            bed.wait(time);
            bed.agent.signal("CONT");
        }
        _ => happen_at_server(bed, fault, time, dice),
    }
}

fn happen_at_server(bed: &Bed, fault: &str, time: Duration, dice: &mut Dice) {
    match fault {
        "restart" => {
            bed.api.stop();
            // Pods deleted while the agent is disconnected take their unreported terminations with them.
            bed.workload(|w| w.blind = true);
            bed.wait(time);
            bed.api.restart();
            // Deletions stay blind until the agent has listed the remaining pods.
            let lists = bed.api.count("list", "pods");
            let listed = || bed.api.count("list", "pods") > lists && bed.api.open_watches() == 1;
            assert!(eventually(PATIENCE, listed), "never listed");
            bed.workload(|w| w.blind = false);
        }
        "forgotten" => bed.forget_history(),
        "refusal" => {
            let code = [429, 500, 502, 503, 504][dice.below(5)];
            let times = 1 + dice.below(4);
            bed.api.times(times, Target::WATCH_PODS, Behaviour::answer(code, "no"));
            bed.api.end_watches();
        }
        "denied" => {
            let (verb, resource) =
                [("list", "pods"), ("watch", "pods"), ("list", "events")][dice.below(3)];
            bed.api.access().deny(verb, resource);
            bed.api.end_watches();
            bed.wait(time);
            bed.api.access().allow(verb, resource);
        }
        "bent" => {
            let garbage = Insertion::Bytes(vec![b"x\n\xFF{"[dice.below(4)]; dice.below(5000)]);
            let ending = [Ending::Close, Ending::Cut, Ending::Reset, Ending::Hang][dice.below(4)];
            let bent = Behaviour::api()
                .chunks(1 + dice.below(3000))
                .insert(1 + dice.below(5), garbage)
                .ends(Point::Bytes(1 + dice.below(20_000)), ending);
            bed.api.once(Target::WATCH_PODS, bent);
            bed.api.end_watches();
        }
        _ => happen_to_trust(bed, fault, time, dice),
    }
}

fn happen_to_trust(bed: &Bed, fault: &str, time: Duration, dice: &mut Dice) {
    match fault {
        "token" => {
            bed.api.rotate_token(&format!("token-{}", dice.next()));
            bed.api.end_watches();
            bed.wait(time);
            bed.write_service_account();
        }
        "untrusted" => {
            let bad = Authority::new("someone").issue(&["127.0.0.1"], Validity::Valid);
            bed.api.use_identity(&bad);
            bed.proxy.reset_all();
            bed.wait(time);
            bed.api.use_identity(&bed.api.authority().issue(&["127.0.0.1"], Validity::Valid));
        }
        "handshake" => {
            bed.api.on_accept(Some([Ending::Hang, Ending::Cut, Ending::Reset][dice.below(3)]));
            bed.proxy.reset_all();
            bed.wait(time);
            bed.api.on_accept(None);
        }
        other => panic!("no fault {other:?}"),
    }
}
