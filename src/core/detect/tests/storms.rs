//! Refusals of many pods of one workload: one line at once, then at most one in ten minutes, and every refusal counted.

use super::*;
use crate::core::detect::ledger::{self, Ledger};
use crate::limits::{STORM_WITHIN, STORMS_MAX};

fn secs(d: Duration) -> i64 {
    i64::try_from(d.as_secs()).unwrap()
}

/// Returns a pod that the node refused.
fn refused(n: usize, owner: Option<&str>, reason: &str) -> Value {
    let mut p = pod(2, json!({}));
    p["metadata"]["uid"] = format!("u{n}").into();
    p["metadata"]["name"] = format!("web-{n}").into();
    if let Some(owner) = owner {
        p["metadata"]["ownerReferences"] =
            json!([{"kind": "DaemonSet", "name": owner, "controller": true}]);
    }
    p["status"] =
        json!({"phase": "Failed", "reason": reason, "message": "Too many", "startTime": t(4)});
    p
}

impl Bench {
    fn repeats(&self) -> Vec<Option<u64>> {
        self.incidents().map(|incident| incident.metadata.repeats).collect()
    }

    fn folded(&self) -> u64 {
        self.out.iter().filter(|out| matches!(out, Output::Folded)).count() as u64
    }
}

#[test]
fn forty_refusals_of_one_workload_are_two_lines() {
    let mut b = Bench::new();
    for n in 0..40 {
        b.apply(10 + i64::try_from(n).unwrap(), &refused(n, Some("agent"), "OutOfpods"));
    }
    assert_eq!(b.repeats(), [None], "the first at once");
    b.pass(10 + secs(STORM_WITHIN) - 1);
    assert_eq!(b.repeats(), [None]);
    assert_eq!(b.detector.next_deadline(), Some(now(10 + secs(STORM_WITHIN)).monotonic));
    b.pass(10 + secs(STORM_WITHIN));
    assert_eq!((b.repeats(), b.folded()), (vec![None, Some(39)], 38));
    let line = b.incidents().last().unwrap();
    assert_eq!(line.pod_name, "web-39");
    let words = "; 39 pods of DaemonSet agent were refused so since the line before";
    assert!(line.message.ends_with(words), "{}", line.message);
    assert_eq!(line.timestamp.to_string(), t(10 + secs(STORM_WITHIN)));
    // The storm goes on, and then it is over.
    b.apply(700, &refused(40, Some("agent"), "OutOfpods")).pass(10 + 2 * secs(STORM_WITHIN));
    assert_eq!(b.repeats(), [None, Some(39), Some(1)]);
    assert!(!b.incidents().last().unwrap().message.contains("since the line before"));
    b.pass(10 + 3 * secs(STORM_WITHIN));
    assert_eq!(b.detector.next_deadline(), None);
    b.apply(9000, &refused(41, Some("agent"), "OutOfpods"));
    assert_eq!(b.repeats(), [None, Some(39), Some(1), None]);
}

#[test]
fn only_refusals_of_one_workload_for_one_reason_are_folded() {
    let mut other = refused(8, Some("agent"), "OutOfcpu");
    other["metadata"]["namespace"] = "other".into();
    for (pod, is_folded) in [
        (refused(8, Some("agent"), "OutOfcpu"), true),
        (refused(8, Some("agent"), "OutOfmemory"), false),
        (refused(8, Some("proxy"), "OutOfcpu"), false),
        (refused(8, None, "OutOfcpu"), false),
        (refused(8, Some("agent"), "Evicted"), false),
        (other, false),
    ] {
        let mut b = Bench::new();
        b.apply(9, &refused(7, Some("agent"), "OutOfcpu")).apply(9, &pod);
        assert_eq!(b.types().len(), if is_folded { 1 } else { 2 }, "{pod}");
    }
    let mut b = Bench::new();
    b.apply(9, &refused(7, None, "OutOfcpu")).apply(9, &refused(8, None, "OutOfcpu"));
    assert_eq!(b.types().len(), 2, "nothing owns them");
    let mut b = Bench::new();
    for n in 7..10 {
        let mut mirror = refused(n, Some("node1"), "OutOfcpu");
        mirror["metadata"]["ownerReferences"][0]["kind"] = "Node".into();
        b.apply(9, &mirror);
    }
    assert_eq!(b.types().len(), 3, "the node owns the mirrors of different static pods");
}

#[test]
fn what_is_folded_is_told_at_the_agents_end_and_after_its_death() {
    let pods: Vec<Value> = (0..4).map(|n| refused(n, Some("agent"), "OutOfpods")).collect();
    for in_order in [true, false] {
        let mut b = Bench::new();
        let mut ledger = Ledger::new("node1", None);
        ledger.complete();
        for pod in &pods {
            b.apply(9, pod);
        }
        if in_order {
            b.detector.finish(now(10_000), &mut b.out);
        }
        assert_eq!(b.repeats(), if in_order { vec![None, Some(3)] } else { vec![None] });
        for output in b.out.drain(..) {
            if let Output::Kept(entry) = output {
                ledger.keep(*entry);
            }
        }
        let page = ledger.page(now(9).wall, Vec::new()).unwrap();
        let left = ledger::parse(page.as_bytes(), "node1").unwrap();
        let mut next = Bench::unlisted(before(20, 60 * SECOND));
        next.detector.restore(&left.pods, true);
        next.list(20, &pods);
        next.detector.finish(now(10_000), &mut next.out);
        assert_eq!(next.repeats(), if in_order { vec![] } else { vec![None, Some(2)] });
    }
}

#[test]
fn random_refusals_are_all_counted_and_their_lines_are_ten_minutes_apart() {
    for seed in 1..=rounds(200) {
        let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut below = |n: u32| (dice.unit() * f64::from(n)) as usize;
        let owners: Vec<String> = (0..=STORMS_MAX).map(|n| format!("set{n}")).collect();
        let owners_used = if seed % 4 == 0 { owners.len() } else { 3 };
        let mut b = Bench::new();
        let mut at = 10;
        let refusals = 150;
        for n in 0..refusals {
            let owner = &owners[below(u32::try_from(owners_used).unwrap())];
            b.apply(at, &refused(n, Some(owner), "OutOfpods"));
            at += i64::try_from(below(60)).unwrap();
            b.pass(at);
        }
        b.detector.finish(now(10_000), &mut b.out);
        let lines = b.incidents().count() as u64;
        let counted: u64 = b.repeats().iter().map(|repeats| repeats.unwrap_or(1)).sum();
        assert_eq!(
            (counted, lines + b.folded()),
            (refusals as u64, refusals as u64),
            "seed {seed}"
        );
        let ids: BTreeSet<_> = b.incidents().map(|incident| incident.id.short()).collect();
        assert_eq!(ids.len() as u64, lines, "seed {seed}");
        if owners_used == 3 {
            let most = 3 * (2 + (at - 10) / secs(STORM_WITHIN));
            assert!(lines as i64 <= most, "seed {seed}: {lines} lines, at most {most}");
        }
    }
}
