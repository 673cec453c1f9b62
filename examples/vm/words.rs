//! Compares what the agent says in the kernel's words, and of a node's last minutes, with what really happened.

use jiff::Timestamp;
use serde_json::Value;

use crate::judge::Want;
use crate::power::Fall;

/// Returns what is wrong with the kernel's words in the incident of a container. `victim` is the name of the process
/// that the kernel ended, and `limit_of` is what was at its limit.
pub(crate) fn victim_flaws(
    want: Want,
    victim: Option<&str>,
    limit_of: &str,
    incident: &Value,
) -> Vec<String> {
    let kernel = &incident["telemetry"]["kernel"];
    let (kill, fault) = (&kernel["oom_kill"], &kernel["fault"]);
    // A container that ended itself may have had another reason.
    let is_named = matches!(want, Want::WorkerOom)
        || victim.is_none_or(|name| text(&incident["message"]).contains(name));
    let (is_kill_right, is_fault_right) = match want {
        Want::Fault => {
            // Where the instruction is in the file of `make_victims`.
            let is_right = fault["process"] == *victim.unwrap_or_default()
                && fault["kind"] == "segfault"
                && fault["file"] == fault["process"]
                && fault["offset"] == "0x7a";
            (kill.is_null(), is_right)
        }
        _ if victim.is_some() => {
            let is_right = kill["process"] == *victim.unwrap_or_default()
                && kill["limit_of"] == limit_of
                && kill["confidence"] == "confirmed";
            (is_right, fault.is_null())
        }
        _ => (kill.is_null(), fault.is_null()),
    };
    let checks = [
        (is_kill_right, format!("telemetry.kernel.oom_kill is {kill}")),
        (is_fault_right, format!("telemetry.kernel.fault is {fault}")),
        (is_named, "the process is not in the message".to_owned()),
    ];
    checks.into_iter().filter_map(|(is_right, flaw)| (!is_right).then_some(flaw)).collect()
}

/// Returns what is wrong with the incident of a reboot. `saved` is when the node was certainly alive, a few seconds
/// before the power cut and the panic.
pub(crate) fn fall_flaws(fall: Fall, saved: Timestamp, incident: &Value) -> Vec<String> {
    let reboot = &incident["metadata"]["reboot"];
    let message = text(&incident["message"]);
    let last = text(&reboot["last_alive_at"]);
    let seconds = last.parse::<Timestamp>().map(|last| last.duration_since(saved).as_secs_f64());
    let longest = if fall == Fall::Hang { 120.0 } else { 10.0 };
    let panic = text(&reboot["panic"]);
    if fall == Fall::Quiet {
        // Nothing on the disk tells that it was no shutdown.
        let is_right = reboot["is_orderly"].is_null() && message.contains("no shutdown was seen");
        return if is_right { Vec::new() } else { vec!["whether it was a shutdown".to_owned()] };
    }
    let mut checks = vec![
        (reboot["is_orderly"] == false, format!("is_orderly is {}", reboot["is_orderly"])),
        (
            seconds.is_ok_and(|seconds| (-5.0..longest).contains(&seconds)),
            format!("last_alive_at is {last}, and the node lived at {saved}"),
        ),
        (
            message.matches("was last alive at").count() == 1,
            "the message does not say once when the node was last alive".to_owned(),
        ),
    ];
    if fall == Fall::Panic {
        checks.push((panic == "sysrq triggered crash", format!("the panic is {panic:?}")));
        checks.push((message.contains(panic), "the message does not name the panic".to_owned()));
    } else {
        checks.push((panic.is_empty(), format!("a panic: {panic:?}")));
    }
    let available = &incident["telemetry"]["before_reboot"]["memory_available_bytes"];
    let is_told = message.contains("memory available had fallen");
    let has_fallen = numbers(available).is_some_and(|(first, last)| last < first / 2);
    let is_hang = fall == Fall::Hang;
    checks.push((has_fallen == is_hang, format!("the available memory was {available}")));
    checks.push((is_told == is_hang, format!("whether the message tells of a fall: {is_told}")));
    checks.into_iter().filter_map(|(is_right, flaw)| (!is_right).then_some(flaw)).collect()
}

/// Returns the first and the last number of a column.
fn numbers(column: &Value) -> Option<(u64, u64)> {
    let number = |value: &Value| value.as_f64().map(|number| number as u64);
    let numbers: Vec<u64> = column.as_array()?.iter().filter_map(number).collect();
    Some((*numbers.first()?, *numbers.last()?))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
