use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn reflector() -> Reflector {
    Reflector::new(5 * SECOND, 42)
}

fn watching(version: &str) -> Reflector {
    let mut r = reflector();
    assert_eq!(list_version(&r.next(Duration::ZERO)), "0");
    r.on_listed(version, Duration::ZERO);
    assert_eq!(watch_version(&r.next(Duration::ZERO)), version);
    r
}

#[track_caller]
fn list_version(step: &Step) -> String {
    let Step::List { resource_version, .. } = step else { panic!("{step:?}") };
    resource_version.clone()
}

#[track_caller]
fn watch_version(step: &Step) -> String {
    let Step::Watch { resource_version, .. } = step else { panic!("{step:?}") };
    resource_version.clone()
}

/// Sits out a wait, which must be there, and returns what follows.
#[track_caller]
fn after_wait(r: &mut Reflector, now: Duration) -> (Step, Duration) {
    let Step::Wait { until } = r.next(now) else { panic!("no wait at {now:?}") };
    assert!(until > now);
    (r.next(until), until)
}

#[test]
fn it_lists_at_zero_and_watches_from_the_lists_version() {
    let mut r = watching("461");
    let Step::Watch { timeout_seconds, .. } = r.next(SECOND) else { panic!() };
    assert!((300..600).contains(&timeout_seconds));
}

#[test]
fn the_version_follows_every_line_that_carries_one() {
    let mut r = watching("10");
    for (version, after) in [("11", "11"), ("", "11"), ("15", "15")] {
        r.on_line(version);
        assert_eq!(r.version(), after);
    }
    r.on_closed(WatchEnd::Clean, MINUTE);
    assert_eq!(watch_version(&r.next(MINUTE)), "15");
}

#[test]
fn a_failed_first_list_is_repeated_after_a_wait() {
    let mut r = reflector();
    let mut now = Duration::ZERO;
    for failure in
        [Failure::Unavailable, Failure::Transient, Failure::Throttled(None), Failure::Expired]
    {
        assert_eq!(list_version(&r.next(now)), "0");
        r.on_failure(failure, now);
        (_, now) = after_wait(&mut r, now);
    }
    assert_eq!(list_version(&r.next(now)), "0");
}

#[test]
fn an_expired_watch_relists_at_the_last_version_and_then_at_the_newest() {
    for failure in [Failure::Expired, Failure::VersionTooLarge] {
        let mut r = watching("10");
        r.on_line("12");
        r.on_failure(failure, SECOND);
        let (step, now) = after_wait(&mut r, SECOND);
        assert_eq!(list_version(&step), "12");
        r.on_failure(failure, now);
        assert_eq!(list_version(&r.next(now)), "", "at once");
        r.on_failure(Failure::Transient, now);
        let (step, now) = after_wait(&mut r, now);
        assert_eq!(list_version(&step), "", "the newest stays wanted");
        r.on_listed("7", now);
        assert_eq!(watch_version(&r.next(now)), "7");
    }
}

#[test]
fn a_version_that_went_back_is_told() {
    for (seen, listed, back) in [("10", "9", true), ("10", "10", false), ("9", "10", false)] {
        assert_eq!(watching(seen).on_listed(listed, SECOND), back, "{seen} {listed}");
    }
    assert!(!watching("opaque").on_listed("9", SECOND));
}

#[test]
fn throttling_is_obeyed_and_the_same_is_asked_again() {
    let mut r = watching("10");
    r.on_failure(Failure::Throttled(Some(17 * SECOND)), SECOND);
    let (step, until) = after_wait(&mut r, SECOND);
    assert_eq!(watch_version(&step), "10");
    assert!(until >= 18 * SECOND && until < 21 * SECOND, "{until:?}");
    r.on_failure(Failure::Throttled(Some(Duration::from_secs(1 << 40))), until);
    let (_, far) = after_wait(&mut r, until);
    assert!(far - until <= RETRY_AFTER_MAX + MINUTE, "a server cannot silence us for ever");
}

#[test]
fn a_failed_watch_resumes_at_its_version() {
    let mut r = watching("10");
    r.on_failure(Failure::Transient, SECOND);
    let (step, _) = after_wait(&mut r, SECOND);
    assert_eq!(watch_version(&step), "10");
}

#[test]
fn a_late_event_does_not_throw_the_position_away() {
    let mut r = watching("10");
    for version in ["12", "3", "11", "", "0"] {
        r.on_line(version);
    }
    r.on_failure(Failure::Unavailable, SECOND);
    let (step, _) = after_wait(&mut r, SECOND);
    assert_eq!(watch_version(&step), "12");
}

#[test]
fn an_outage_of_any_length_costs_no_version() {
    let mut r = watching("10");
    let mut now = SECOND;
    for _ in 0..1000 {
        r.on_failure(Failure::Unavailable, now);
        let step;
        (step, now) = after_wait(&mut r, now);
        assert_eq!(watch_version(&step), "10");
    }
}

#[test]
fn a_stream_that_keeps_failing_is_relisted() {
    let mut r = watching("10");
    let mut now = SECOND;
    for _ in 0..STREAM_ERRORS_MAX {
        r.on_failure(Failure::Transient, now);
        (_, now) = after_wait(&mut r, now);
    }
    assert_eq!(list_version(&r.next(now)), "10");
}

#[test]
fn a_clean_end_watches_again_at_once() {
    let mut r = watching("10");
    r.on_line("11");
    r.on_closed(WatchEnd::Clean, Duration::from_millis(20));
    assert_eq!(watch_version(&r.next(Duration::from_millis(20))), "11");
}

#[test]
fn a_hundred_very_short_watches_are_no_hot_loop() {
    let mut r = watching("10");
    let mut now = Duration::ZERO;
    let mut requests_by_minute = [0; 10];
    while now < 10 * MINUTE {
        match r.next(now) {
            Step::Watch { .. } => {
                requests_by_minute[(now.as_secs() / 60) as usize] += 1;
                now += Duration::from_millis(50);
                r.on_closed(WatchEnd::Clean, now);
            }
            Step::Wait { until } => now = until,
            Step::List { .. } => panic!("a short watch says nothing about versions"),
        }
    }
    assert!(requests_by_minute.iter().all(|n| *n <= 20), "{requests_by_minute:?}");
}

#[test]
fn two_silent_watches_relist_and_a_bookmark_prevents_it() {
    for (end, lived) in [(WatchEnd::Idle, 5 * SECOND), (WatchEnd::Clean, 300 * SECOND)] {
        let mut r = watching("999999");
        r.on_closed(end, lived);
        assert_eq!(watch_version(&r.next(lived)), "999999");
        r.on_closed(end, 2 * lived);
        let Step::List { resource_version, reason } = r.next(2 * lived) else { panic!() };
        assert_eq!((resource_version.as_str(), reason), ("999999", ListReason::Silent));

        let mut r = watching("10");
        let mut now = Duration::ZERO;
        for _ in 0..5 {
            r.next(now);
            r.on_line("10");
            now += lived;
            r.on_closed(end, now);
            assert_eq!(watch_version(&r.next(now)), "10");
        }
    }
}

#[test]
fn a_full_relist_comes_every_half_hour_to_hour() {
    let mut r = watching("10");
    let mut now = Duration::ZERO;
    let mut listed = Vec::new();
    let mut requests = 0;
    while now < 600 * MINUTE {
        requests += 1;
        match r.next(now) {
            Step::Watch { timeout_seconds, .. } => {
                now += Duration::from_secs(timeout_seconds);
                r.on_line("10");
                r.on_closed(WatchEnd::Clean, now);
            }
            Step::List { reason, .. } => {
                assert_eq!(reason, ListReason::Periodic);
                listed.push(now);
                r.on_listed("10", now);
            }
            Step::Wait { .. } => panic!("nothing failed"),
        }
    }
    for pair in listed.windows(2) {
        assert!((30 * MINUTE..70 * MINUTE).contains(&(pair[1] - pair[0])), "{pair:?}");
    }
    assert!(requests <= 150, "{requests} in ten quiet hours");
}

#[test]
fn a_quiet_hour_costs_at_most_fifteen_requests() {
    for seed in 1..300 {
        let mut r = Reflector::new(5 * SECOND, seed);
        let mut now = Duration::ZERO;
        let mut requests: Vec<Duration> = Vec::new();
        while now < 24 * 60 * MINUTE {
            match r.next(now) {
                Step::Watch { timeout_seconds, .. } => {
                    requests.push(now);
                    now += Duration::from_secs(timeout_seconds);
                    r.on_line("10");
                    r.on_closed(WatchEnd::Clean, now);
                }
                Step::List { .. } => {
                    requests.push(now);
                    r.on_listed("10", now);
                }
                Step::Wait { .. } => panic!("nothing failed"),
            }
        }
        for (n, begin) in requests.iter().enumerate() {
            let hour = requests[n..].iter().take_while(|at| **at < *begin + 60 * MINUTE);
            assert!(hour.count() <= 15, "seed {seed}, from {begin:?}");
        }
    }
}

/// Whatever the server does, the machine asks for something, never spins, and never watches before
/// it has listed.
#[test]
fn random_histories_never_spin_and_never_watch_unlisted() {
    for seed in 1..200_u64 {
        let mut r = Reflector::new(5 * SECOND, seed);
        let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9));
        let (mut now, mut version, mut listed) = (Duration::ZERO, 100_u64, false);
        let (mut requests, mut failures) = (0_u32, 0_u32);
        while now < 60 * MINUTE && requests < 10_000 {
            let step = r.next(now);
            requests += u32::from(!matches!(step, Step::Wait { .. }));
            let pick = (dice.unit() * 8.0) as u32;
            now += Duration::from_millis(1 + u64::from(pick));
            match step {
                Step::Wait { until } => {
                    assert!(until + SECOND > now, "seed {seed}");
                    now = now.max(until);
                }
                Step::List { .. } if pick < 3 => {
                    r.on_listed(&version.to_string(), now);
                    listed = true;
                }
                Step::List { .. } | Step::Watch { .. } if pick < 7 => {
                    assert!(listed || matches!(step, Step::List { .. }), "seed {seed}");
                    failures += 1;
                    r.on_failure(
                        [Failure::Expired, Failure::VersionTooLarge, Failure::Transient]
                            [pick as usize % 3],
                        now,
                    );
                }
                Step::List { .. } => r.on_failure(Failure::Throttled(Some(SECOND)), now),
                Step::Watch { .. } => {
                    version += 1;
                    r.on_line(&version.to_string());
                    r.on_closed(WatchEnd::Clean, now);
                }
            }
        }
        assert!(requests < 2000, "seed {seed}: {requests} requests, {failures} failures");
    }
}

#[test]
fn a_short_watch_whose_lines_lead_nowhere_waits_and_one_that_gets_on_does_not() {
    for lines in [&["", "", ""][..], &["10"], &["3", "7", "10"]] {
        let mut r = watching("10");
        lines.iter().for_each(|version| r.on_line(version));
        r.on_closed(WatchEnd::Clean, SECOND / 10);
        after_wait(&mut r, SECOND / 10);
    }
    let mut r = watching("10");
    r.on_line("11");
    r.on_closed(WatchEnd::Clean, SECOND / 10);
    assert_eq!(watch_version(&r.next(SECOND / 10)), "11");
}
