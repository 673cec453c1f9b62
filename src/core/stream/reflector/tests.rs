use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const IDLE: Duration = Duration::from_secs(90);

fn reflector() -> Reflector {
    Reflector::new(5 * SECOND, IDLE, 42)
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

/// Returns the timeout of the watch that is requested next.
#[track_caller]
fn watch_seconds(r: &mut Reflector, now: Duration) -> u64 {
    let step = r.next(now);
    let Step::Watch { timeout_seconds, .. } = step else { panic!("{step:?}") };
    timeout_seconds
}

/// Simulates a watch that the server closes on time, after this many bookmarks at our own version; returns the time
/// of the close.
#[track_caller]
fn served_watch(r: &mut Reflector, now: Duration, bookmarks: usize) -> Duration {
    let now = now + Duration::from_secs(watch_seconds(r, now));
    let version = r.version().to_owned();
    for _ in 0..bookmarks {
        r.on_line(&version);
    }
    assert!(r.on_closed(WatchEnd::Clean, now));
    now
}

/// Asserts that the next step is a wait; returns the step after it, and its time.
#[track_caller]
fn after_wait(r: &mut Reflector, now: Duration) -> (Step, Duration) {
    let Step::Wait { until } = r.next(now) else { panic!("no wait at {now:?}") };
    assert!(until > now);
    (r.next(until), until)
}

#[test]
fn it_lists_at_zero_and_watches_from_the_lists_version() {
    let mut r = watching("461");
    assert_eq!(watch_version(&r.next(SECOND)), "461");
}

#[test]
fn a_watch_ends_before_the_idle_timeout_until_four_in_a_row_gave_something() {
    let mut r = watching("10");
    let mut now = SECOND;
    for bookmarks in [1, 1, 1, 0, 1, 1, 1, 1] {
        assert!((60..75).contains(&watch_seconds(&mut r, now)));
        now = served_watch(&mut r, now, bookmarks);
        if r.next(now) == Step::Version {
            r.on_version("10");
        }
    }
    assert!((300..600).contains(&watch_seconds(&mut r, now)));
    // This watch had one line, and then nothing for the idle timeout.
    r.on_line("10");
    assert!(!r.on_closed(WatchEnd::Idle, now + 150 * SECOND));
    assert!((60..75).contains(&watch_seconds(&mut r, now + 150 * SECOND)));
}

#[test]
fn where_the_idle_timeout_is_shorter_than_a_minute_every_watch_is_short() {
    for (idle, seconds) in [(SECOND, 1..2), (30 * SECOND, 20..25), (10 * MINUTE, 400..500)] {
        let mut r = Reflector::new(5 * SECOND, idle, 42);
        r.next(SECOND);
        r.on_listed("10", SECOND);
        let mut now = SECOND;
        for _ in 0..3 {
            let asked = watch_seconds(&mut r, now);
            assert!(seconds.contains(&asked), "{idle:?}: {asked}");
            now = served_watch(&mut r, now, 1);
        }
    }
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
            Step::List { .. } | Step::Version => {
                panic!("a short watch says nothing about versions")
            }
        }
    }
    assert!(requests_by_minute.iter().all(|n| *n <= 20), "{requests_by_minute:?}");
}

#[test]
fn the_servers_version_is_asked_for_after_silent_watches_in_growing_intervals() {
    let mut r = watching("10");
    let mut now = SECOND;
    // Keep the periodic relist out of this test.
    r.relist_due = Duration::MAX;
    for silent in [1, 2, 4, 8, 16, 32, 32, 32] {
        for _ in 0..silent {
            now = served_watch(&mut r, now, 0);
        }
        assert_eq!(r.next(now), Step::Version, "after {silent}");
        r.on_version("10");
    }
    // After a cut, the next watch may reach another server, so the interval starts at 1 again.
    r.on_closed(WatchEnd::Cut, now);
    (_, now) = after_wait(&mut r, now);
    now = served_watch(&mut r, now, 0);
    assert_eq!(r.next(now), Step::Version);
}

#[test]
fn an_idle_watch_asks_for_the_servers_version_at_once() {
    let mut r = watching("10");
    assert!(!r.on_closed(WatchEnd::Idle, IDLE));
    assert_eq!(r.next(IDLE), Step::Version);
}

#[test]
fn a_server_whose_version_is_older_or_cannot_be_compared_is_listed() {
    for (ours, theirs, is_listed) in [
        ("999999", "10", true),
        ("999999", "999999", false),
        ("10", "999999", false),
        ("10", "", true),
        ("abc", "abd", true),
        ("abc", "abc", false),
        ("abc", "10", true),
        ("10", "abc", true),
    ] {
        let mut r = watching(ours);
        let now = served_watch(&mut r, SECOND, 0);
        assert_eq!(r.next(now), Step::Version);
        r.on_version(theirs);
        match r.next(now) {
            Step::List { resource_version, reason } => {
                assert_eq!((resource_version.as_str(), reason), (ours, ListReason::Silent));
                assert!(is_listed, "{ours} {theirs}");
            }
            step => {
                assert_eq!(watch_version(&step), ours);
                assert!(!is_listed, "{ours} {theirs}");
            }
        }
    }
}

#[test]
fn a_server_that_does_not_tell_its_version_is_listed_in_growing_intervals() {
    for failure in [Failure::Transient, Failure::Expired, Failure::VersionTooLarge] {
        let mut r = watching("10");
        let mut now = SECOND;
        for silent in [1, 2, 2, 2] {
            for _ in 0..silent {
                now = served_watch(&mut r, now, 0);
            }
            assert_eq!(r.next(now), Step::Version, "{failure:?}");
            r.on_failure(failure, now);
            let step;
            (step, now) = after_wait(&mut r, now);
            assert_eq!(list_version(&step), "10");
            r.on_listed("10", now);
        }
    }
    for failure in [Failure::Unavailable, Failure::Unreachable, Failure::Throttled(None)] {
        let mut r = watching("10");
        let now = served_watch(&mut r, SECOND, 0);
        assert_eq!(r.next(now), Step::Version);
        r.on_failure(failure, now);
        let (step, now) = after_wait(&mut r, now);
        assert_eq!(watch_version(&step), "10", "a LIST would fare no better");
        let now = served_watch(&mut r, now, 0);
        assert_eq!(r.next(now), Step::Version, "asked again");
    }
}

#[test]
fn a_refused_connection_is_tried_again_soon_after_any_outage() {
    let mut r = watching("10");
    let mut now = SECOND;
    // One failed request, whose backoff grows, then two minutes of refused connections.
    r.on_failure(Failure::Unavailable, now);
    (_, now) = after_wait(&mut r, now);
    let began = now;
    while now < began + 2 * MINUTE {
        r.on_failure(Failure::Unreachable, now);
        let (step, next) = after_wait(&mut r, now);
        assert!((SECOND * 3 / 2..3 * SECOND).contains(&(next - now)), "{:?}", next - now);
        assert_eq!(watch_version(&step), "10");
        now = next;
    }
    // The server has been back for less than three seconds, and no longer has our version.
    r.on_failure(Failure::Expired, now);
    let (step, listed) = after_wait(&mut r, now);
    assert_eq!(list_version(&step), "10");
    assert!(listed - now < 4 * SECOND, "{:?} after the 410", listed - now);
}

/// The requests of one simulated hour.
#[derive(Debug, Default)]
struct Hour {
    watches: u32,
    lists: u32,
    versions: u32,
    /// Watches closed by the idle timeout; each costs a connection.
    idle: u32,
    /// The longest time without a sign of life from the server.
    unheard: Duration,
}

/// Simulates an API server as in `storage/cacher/cache_watcher.go`: it sends a bookmark each minute and two seconds
/// before a watch's timeout, if the version has moved since the last one. `bookmark_each` is how often the version of
/// pods moves; `None` means never.
fn hour(seed: u64, bookmark_each: Option<Duration>, from: Duration) -> Hour {
    let mut r = Reflector::new(5 * SECOND, IDLE, seed);
    let (mut now, mut heard) = (Duration::ZERO, Duration::ZERO);
    let mut hour = Hour::default();
    let version = |at: Duration| {
        let moved = bookmark_each.map_or(0, |each| at.as_secs() / each.as_secs());
        (1000 + moved).to_string()
    };
    while now < from + 60 * MINUTE {
        let is_counted = u32::from(now >= from);
        let step = r.next(now);
        match &step {
            Step::List { .. } => {
                hour.lists += is_counted;
                r.on_listed(&version(now), now);
            }
            Step::Version => {
                hour.versions += is_counted;
                r.on_version(&version(now));
            }
            Step::Wait { .. } => panic!("nothing failed"),
            Step::Watch { timeout_seconds, .. } => {
                hour.watches += is_counted;
                let end = now + Duration::from_secs(*timeout_seconds);
                let mut silent_since = now;
                let mut closed = None;
                while closed.is_none() {
                    let bookmark = (now + MINUTE).min(end - 2 * SECOND).max(now + SECOND);
                    if bookmark > silent_since + IDLE {
                        closed = Some((WatchEnd::Idle, silent_since + IDLE));
                    } else if bookmark >= end {
                        closed = Some((WatchEnd::Clean, end));
                    } else {
                        now = bookmark;
                        if version(now) != r.version() {
                            r.on_line(&version(now));
                            silent_since = now;
                            hour.unheard = hour.unheard.max(now - heard);
                            heard = now;
                        }
                    }
                }
                let (end, at) = closed.unwrap();
                now = at;
                hour.idle += is_counted * u32::from(end == WatchEnd::Idle);
                if !r.on_closed(end, now) {
                    continue;
                }
            }
        }
        hour.unheard = hour.unheard.max(now - heard);
        heard = now;
    }
    hour
}

/// `cargo test --lib a_quiet_hour -- --nocapture` prints the results.
#[test]
fn a_quiet_hour_lists_the_pods_for_no_reason_but_the_clock_and_is_heard_all_the_time() {
    let servers = [
        ("pods do not change, no progress notices", None, 60, 2),
        ("progress notices each ten minutes (etcd's default)", Some(10 * MINUTE), 60, 6),
        ("progress notices each five seconds", Some(5 * SECOND), 13, 0),
    ];
    for (server, bookmark_each, watches_max, idle_max) in servers {
        let mut most = Hour::default();
        for seed in 1..200 {
            for from in [Duration::ZERO, 60 * MINUTE, 333 * MINUTE] {
                let hour = hour(seed, bookmark_each, from);
                let is_first = u32::from(from.is_zero());
                assert!(hour.watches <= watches_max + 4 * is_first, "{server}, {seed}: {hour:?}");
                assert!(hour.lists <= 2 + is_first, "{server}, seed {seed}: {hour:?}");
                assert!(hour.versions <= 5, "{server}, seed {seed}: {hour:?}");
                assert!(hour.idle <= idle_max, "{server}, seed {seed}: {hour:?}");
                // The agent stays ready for up to 120 s of silence, and the alert waits for 300 s.
                assert!(hour.unheard <= IDLE, "{server}, seed {seed}: {hour:?}");
                if !from.is_zero() && hour.watches >= most.watches {
                    most = hour;
                }
            }
        }
        println!("{server}: {most:?}");
    }
}

#[test]
fn a_partition_in_a_quiet_hour_is_found_within_the_idle_timeout() {
    for seed in 1..300 {
        let mut r = Reflector::new(5 * SECOND, IDLE, seed);
        let mut dice = Jitter::new(seed.wrapping_mul(0x9E37_79B9));
        let partition = dice.between(SECOND, 120 * MINUTE);
        let mut now = Duration::ZERO;
        let found = loop {
            match r.next(now) {
                Step::List { .. } => {
                    r.on_listed("1000", now);
                }
                Step::Version => r.on_version("1000"),
                Step::Wait { .. } => panic!("nothing failed"),
                Step::Watch { timeout_seconds, .. } => {
                    let end = now + Duration::from_secs(timeout_seconds);
                    // Behind a partition the reader receives nothing, not even the close of the watch.
                    if end.min(now + IDLE) > partition {
                        break now + IDLE;
                    }
                    now = end;
                    assert!(r.on_closed(WatchEnd::Clean, now), "seed {seed}: it fell idle");
                }
            }
        };
        let took = found - partition;
        assert!(took <= IDLE, "seed {seed}: {took:?}");
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
            Step::Wait { .. } | Step::Version => panic!("nothing failed"),
        }
    }
    for pair in listed.windows(2) {
        assert!((30 * MINUTE..70 * MINUTE).contains(&(pair[1] - pair[0])), "{pair:?}");
    }
    assert!(requests <= 150, "{requests} in ten quiet hours");
}

/// Whatever the server does, the reflector always has a next step, never spins, and never watches before the first
/// list.
#[test]
fn random_histories_never_spin_and_never_watch_unlisted() {
    for seed in 1..200_u64 {
        let mut r = Reflector::new(5 * SECOND, IDLE, seed);
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
                Step::Version if pick < 4 => r.on_version(&version.to_string()),
                Step::Version => r.on_failure(Failure::Transient, now),
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
        for version in lines {
            r.on_line(version);
        }
        r.on_closed(WatchEnd::Clean, SECOND / 10);
        after_wait(&mut r, SECOND / 10);
    }
    let mut r = watching("10");
    r.on_line("11");
    r.on_closed(WatchEnd::Clean, SECOND / 10);
    assert_eq!(watch_version(&r.next(SECOND / 10)), "11");
}

#[test]
fn a_version_that_cannot_be_used_moves_no_position() {
    let long = "1".repeat(65);
    for version in ["abc", "a b", "1\r\nHost: x", "\u{202e}1", "1 ", "-1", long.as_str()] {
        let mut r = watching("100");
        assert!(!r.on_line(version), "{version:?}");
        assert_eq!(r.version(), "100");
        assert!(r.on_line("101"));
        assert_eq!(r.version(), "101");
    }
    // A server whose versions are words may have other words.
    let mut r = watching("a1");
    assert!(r.on_line("b2=") && r.version() == "b2=");
    assert!(!r.on_line("b 3") && r.version() == "b2=");
}

#[test]
fn a_version_that_the_server_refuses_is_given_up_after_a_few_lists() {
    let mut r = watching("a1");
    let mut now = Duration::from_secs(10);
    let mut asked = Vec::new();
    for _ in 0..60 {
        now += Duration::from_secs(120);
        match r.next(now) {
            Step::List { resource_version, .. } => asked.push(resource_version),
            Step::Watch { .. } => {}
            other => panic!("{other:?}"),
        }
        if asked.last().is_some_and(String::is_empty) {
            break;
        }
        r.on_failure(Failure::Rejected, now);
    }
    let mut want = vec!["a1".to_owned(); LIST_ERRORS_MAX as usize];
    want.push(String::new());
    assert_eq!(asked, want);
    r.on_listed("7", now);
    assert!(matches!(r.next(now), Step::Watch { resource_version, .. } if resource_version == "7"));
}
