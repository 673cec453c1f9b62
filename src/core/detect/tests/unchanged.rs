//! The rules do not judge an object again that shows the same as the one before it. Here one detector skips such
//! objects, and another one judges every object; their outputs must be equal.

use super::*;
use crate::rounds;

/// One of the pods is static.
const STATIC: usize = 1;

fn key(n: usize) -> String {
    format!("u{n}")
}

/// Returns a random pod, with everything that a status can show.
fn random_pod(dice: &mut Jitter, version: u64, n: usize) -> Value {
    let dice = std::cell::RefCell::new(dice);
    let below = |n: u32| (dice.borrow_mut().unit() * f64::from(n)) as u32;
    let ends = i64::from(below(4));
    let id = |n: i64| format!("c{n}");
    let reasons = ["Error", "OOMKilled", "Completed", "ContainerStatusUnknown", "StartError"];
    let codes = [1, 137, 0, 137, 128, 143];
    let end = |n: i64| {
        let at = below(5) as usize;
        ended(&id(n), codes[at + usize::from(below(4) == 0)], reasons[at], 2 * n, 2 * n + 1)
    };
    let last = if ends > 0 { end(ends - 1) } else { json!({}) };
    let current = end(ends);
    let waits = ["CrashLoopBackOff", "ImagePullBackOff", "RunContainerError", "PostStartHookError"];
    let state = match below(4) {
        0 => current,
        1 => waiting(waits[below(4) as usize]),
        _ => running(2 * ends),
    };
    let mut pod = pod(version, status(ends, &id(ends), state, last));
    pod["metadata"]["uid"] = format!("u{n}").into();
    if n == STATIC {
        // The mirror may have been created again.
        pod["metadata"]["uid"] = format!("u{n}-{}", below(2)).into();
        pod["metadata"]["annotations"] =
            json!({"kubernetes.io/config.hash": key(n), "kubernetes.io/config.mirror": key(n)});
    }
    let phase = ["Running", "Running", "Pending", "Succeeded", "Failed"][below(5) as usize];
    pod["status"]["phase"] = phase.into();
    if phase == "Failed" && below(2) == 0 {
        pod["status"]["reason"] = "Evicted".into();
    }
    if below(4) == 0 {
        pod["metadata"]["deletionTimestamp"] = t(i64::from(below(60))).into();
        pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    }
    if below(4) == 0 {
        pod["spec"]["containers"][0]["livenessProbe"] = json!({"periodSeconds": 10});
    }
    let kind = if below(3) == 0 { "initContainerStatuses" } else { "ephemeralContainerStatuses" };
    if below(3) == 0 {
        let mut other = status(0, "i0", end(9), json!({}));
        other["name"] = "other".into();
        pod["status"][kind] = json!([other]);
    }
    pod
}

#[test]
fn objects_that_say_nothing_new_change_nothing() {
    let (mut skipped, mut told) = (0, 0);
    for seed in 1..=rounds(400) {
        let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut quick = Bench::unlisted(before(0, 5 * SECOND));
        let mut slow = Bench::unlisted(before(0, 5 * SECOND));
        let mut pods: Vec<Value> = Vec::new();
        let mut at = 10;
        for version in 10..50 {
            at += (dice.unit() * 3.0) as i64;
            let n = (dice.unit() * 2.0) as usize;
            // Most of the time, the previous object with another version and other labels.
            let is_of = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap().starts_with(&key(n));
            let known = pods.iter().rposition(is_of);
            let pod = match known {
                Some(known) if dice.unit() < 0.6 => {
                    let mut pod = pods[known].clone();
                    pod["metadata"]["resourceVersion"] = version.to_string().into();
                    pod["metadata"]["labels"] = json!({"version": version.to_string()});
                    pod
                }
                _ => random_pod(&mut dice, version, n),
            };
            let kind = (dice.unit() * 12.0) as u32;
            let events = Lookup::Found(Vec::new());
            for b in [&mut quick, &mut slow] {
                match kind {
                    0 => b.list(at, std::slice::from_ref(&pod)),
                    1 => drop(b.delete(at, &pod)),
                    2 => drop(b.pass(at)),
                    3 => b.detector.on_events(&key(n), &events, &mut b.out),
                    _ => drop(b.apply(at, &pod)),
                }
            }
            let of = |b: &mut Bench| b.detector.table.judged_fingerprint(&key(n));
            skipped += u32::from(known.is_some() && of(&mut quick) == of(&mut slow));
            slow.detector.table.judge_all_again();
            pods.push(pod);
        }
        let shown = |b: &Bench| b.out.iter().map(|out| format!("{out:?}")).collect::<Vec<_>>();
        assert_eq!(shown(&quick), shown(&slow), "seed {seed}");
        told += quick.incidents().count();
    }
    let least = rounds(1000) as usize;
    assert!(skipped as usize > least && told > least, "{skipped} {told}");
}

/// What was forgotten with the mirror has to be learned again.
#[test]
fn a_static_pod_whose_mirror_comes_back_as_it_was_is_placed_again() {
    let mut b = Bench::unlisted(before(0, 5 * SECOND));
    let mut pod = pod(10, status(0, "c0", running(0), json!({})));
    pod["metadata"]["annotations"] =
        json!({"kubernetes.io/config.hash": "u1", "kubernetes.io/config.mirror": "u1"});
    b.list(10, std::slice::from_ref(&pod));
    b.list(11, &[]);
    pod["metadata"]["resourceVersion"] = "12".into();
    b.apply(12, &pod);
    let of_place = |out: &&Output| matches!(out, Output::Placed(_) | Output::Gone(_));
    let seen: Vec<_> = b.out.iter().filter(of_place).collect();
    assert!(
        matches!(seen[..], [Output::Placed(_), Output::Gone(_), Output::Placed(_)]),
        "{seen:?}"
    );
}
