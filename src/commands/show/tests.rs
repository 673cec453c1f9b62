//! What is shown of lines that hold all that an agent collects.

use super::*;

/// Returns what the screen shows of these lines.
fn shown(lines: &str, columns: usize, is_full: bool) -> String {
    let mut out = Vec::new();
    let terminal = Terminal { has_colours: false, columns: Some(columns) };
    let mut screen = Screen::new(terminal, &mut out);
    screen.show.arguments.is_full = is_full;
    screen.show.style.is_full = is_full;
    // As a writer that passes blocks on: lines arrive in pieces.
    for block in lines.as_bytes().chunks(7) {
        screen.write_all(block).unwrap();
    }
    assert_eq!(screen.end().unwrap(), None);
    String::from_utf8(out).unwrap()
}

const FULL: &str = r#"{"id":"ab","occurred_at":"2026-11-23T03:30:10Z","severity":"high","type":"node_reboot",
"message":"m","namespace":"shop","pod_name":"web-1","node_name":"edge-1","container":"app","cluster":"east",
"workload":"Deployment/web","image":"r/web:1","exit_code":139,"signal":11,"reason":"Error","containers":[],
"cause":{"error_type":"KeyError","message":"'URL'","location":"app.py:3 in load","line":"KeyError: 'URL'"},
"metadata":{"confidence":"confirmed","evidence":["e1","e2"],"seen":{"count":3,"first_at":"2026-11-22T00:00:00Z"},
"reboot":{"booted_at":"2026-11-23T03:30:10Z","last_alive_at":"2026-11-23T03:29:00Z","panic":"Fatal exception",
"containers":2,"names":["shop/web-1/app"]}},
"telemetry":{
"container":{"ends_at":"2026-11-23T03:30:09Z","age_seconds":[9,0],"memory_bytes":[1048576,2097152],
"pressure_memory_some_percent":[0,12.5],"pressure_io_some_percent":[0,0],"memory_limit_bytes":4194304},
"system":{"interval_seconds":5,"ends_at":"2026-11-23T03:30:09Z","memory_available_bytes":[4096,1024,2048],
"load_1m":[0.5,1.25,null],"network_receive_bytes_per_second":[0,2048,1024],"swap_used_bytes":[0,0,0]},
"sidecar":{"queue_depth":{"age_seconds":[1,0],"values":[3,7]},"a_name_that_is_longer":{"values":[0.5]}},
"kernel":{"counters":{"oom_kills":2},
"oom_kill":{"process":"java","pid":77,"resident_bytes":1048576,"limit_of":"container","asked_by":"sh",
"confidence":"confirmed"},
"fault":{"kind":"segfault","process":"web","pid":9,"file":"libc.so.6","offset":"1a2b","confidence":"probable"},
"troubles":[{"kind":"io_error","subject":"sda","first_at":"2026-11-23T03:28:00Z","last_at":"2026-11-23T03:29:00Z",
"count":4}]},
"before_reboot":{"ends_at":"2026-11-23T03:29:00Z","age_seconds":[600,0],"memory_available_bytes":[9,5],
"containers":[{"namespace":"shop","pod_name":"db-0","container":"db","memory_limit_bytes":2048,
"memory_bytes":[1024,2048],"cpu_millicores":[null,250]}]},
"logs":{"lines":[{"at":"2026-11-23T03:30:08Z","stream":"stderr","text":"KeyError: 'URL'"}]},
"events":[],"gaps":["g"]}}"#;

#[test]
fn all_that_is_collected_is_shown_in_full() {
    let wanted = "\
2026-11-23 03:30:10Z  high      node_reboot     shop/web-1  app
    m
    cause: KeyError: 'URL', at app.py:3 in load
    confirmed: e1; e2
    id ab  cluster east  node edge-1  image r/web:1  exit code 139  signal 11
    reason Error  workload Deployment/web
    seen 3 times since 2026-11-22 00:00:00 UTC
    kernel panic: Fatal exception
    booted 2026-11-23 03:30:10 UTC; last alive 2026-11-23 03:29:00 UTC
    2 containers ended, among them shop/web-1/app
    container, up to 2026-11-23 03:30:09 UTC, the last 9 s
    memory        ▃▅  2 MiB of 4 MiB
    memory stall  ▁█  12.5 %, peak 12.5 %
    posted by the pod
    queue_depth   ▄█  7, peak 7
    a_name_that_is_longer
                  █  0.5, peak 0.5
    node, up to 2026-11-23 03:30:09 UTC, the last 10 s
    memory left   █▃▅  2 KiB, least 1 KiB
    load          ▄█   1.25, peak 1.25
    network in    ▁█▅  1 KiB/s, peak 2 KiB/s
    kernel killed java, pid 77, resident 1 MiB, at the limit of: container,
    memory was asked for by sh; confirmed
    kernel: segfault of web, pid 9, in libc.so.6+1a2b; probable
    kernel: io_error sda, from 2026-11-23 03:28:00 UTC to 2026-11-23 03:29:00
    UTC, times: 4
    kernel counted oom_kills +2
    node before the reboot, up to 2026-11-23 03:29:00 UTC, the last 10 min
    memory left   █▅  5 B, least 5 B
    shop/db-0 db
    memory        ▅█  2 KiB of 2 KiB
    cpu            █  0.25 CPU, peak 0.25 CPU
    03:30:08Z −2 s         cause     stderr  KeyError: 'URL'
    03:30:10Z 0 s          incident  node_reboot
    missing: g

";
    let line = FULL.replace('\n', "") + "\n";
    assert_eq!(shown(&line, 80, true), wanted);
    for columns in [40, 60, 200] {
        let shown = shown(&line, columns, true);
        assert!(shown.lines().all(|line| screen::width(line) <= columns), "{shown}");
        let words = |text: &str| {
            let is_word = |word: &&str| !word.contains(|c| ('▁'..='█').contains(&c));
            text.split_whitespace().filter(is_word).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words(&shown), words(wanted), "{columns} columns lose something");
    }
}

#[test]
fn what_is_written_to_a_screen_is_shown_newest_first() {
    let line = |n: u64| {
        format!(
            r#"{{"id":"{n}","occurred_at":"2026-11-23T03:30:0{n}Z","severity":"low","type":"error","message":"m{n}","namespace":"a","pod_name":"b"}}"#
        ) + "\n"
    };
    let wanted = "\
2026-11-23 03:30:02Z  low       error           a/b
    m2
2026-11-23 03:30:01Z  low       error           a/b
    m1
";
    assert_eq!(shown(&(line(1) + &line(2)), 80, false), wanted);
}

#[test]
fn a_long_distance_is_whole_and_apart_from_what_follows() {
    for (started_at, wanted) in [
        ("2026-11-23T01:30:11Z", "    01:30:11Z \u{2212}119 min 59 s start     app\n"),
        ("2026-11-23T01:30:10Z", "    01:30:10Z \u{2212}2 h         start     app\n"),
        ("1976-11-23T02:29:10Z", "    02:29:10Z \u{2212}18262 d 1 h start     app\n"),
    ] {
        let container = format!(r#"[{{"name":"app","started_at":"{started_at}"}}]"#);
        let line = FULL
            .replace('\n', "")
            .replace(r#""containers":[],"#, &format!(r#""containers":{container},"#));
        let shown = shown(&(line + "\n"), 80, true);
        assert!(shown.contains(wanted), "{shown}");
    }
}
