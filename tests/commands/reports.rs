//! Cases from public bug reports, each a small recording: what `replay` reports must be what `expect.json` says.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{fixture, schema};
use crate::{BINARY, text};
use serde_json::Value;

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map_or_else(Vec::new, |list| list.iter().filter_map(Value::as_str).collect())
}

/// Returns true if a line is one of these types and severities, and of that container.
fn fits(line: &Value, wanted: &Value) -> bool {
    let any_of = |wanted: &Value, is: &Value| {
        wanted.as_str().is_none_or(|words| words.split('|').any(|word| is == word))
    };
    any_of(&wanted[0], &line["type"])
        && any_of(&wanted[1], &line["severity"])
        && line["container"] == wanted[2]
}

/// Returns what is wrong with the lines of a case.
fn flaws(lines: &[Value], expect: &Value) -> Vec<String> {
    let mut missed: Vec<&Value> = expect["expect"].as_array().unwrap().iter().collect();
    let mut flaws = Vec::new();
    for line in lines {
        match missed.iter().position(|wanted| fits(line, wanted)) {
            Some(at) => drop(missed.remove(at)),
            None => flaws.push(format!("false: {} {}", line["type"], line["message"])),
        }
    }
    flaws.extend(missed.into_iter().map(|wanted| format!("missed: {wanted}")));
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["message"].as_str()).collect();
    let messages = messages.join(" ");
    let unsaid = strings(&expect["says"]).into_iter().filter(|words| !messages.contains(words));
    flaws.extend(unsaid.map(|words| format!("does not say {words:?}")));
    let said = strings(&expect["says_not"]).into_iter().filter(|words| messages.contains(words));
    flaws.extend(said.map(|words| format!("says {words:?}")));
    flaws
}

fn replay(folder: &Path) -> Vec<Value> {
    let run = Command::new(BINARY).arg("replay").arg(folder).env_clear().output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let lines = text(&run.stdout);
    for line in lines.lines() {
        assert_eq!(schema::flaw(line), None, "{line}");
    }
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_report_is_named_by_what_really_happened() {
    let mut cases = 0;
    let mut wrong = Vec::new();
    for folder in fs::read_dir(fixture("reports")).unwrap() {
        let folder = folder.unwrap().path();
        let expect = fs::read_to_string(folder.join("expect.json")).unwrap();
        let expect: Value = serde_json::from_str(&expect).unwrap();
        let flaws = flaws(&replay(&folder), &expect);
        cases += 1;
        if !flaws.is_empty() {
            wrong.push(format!("{}: {flaws:?}", folder.display()));
        }
    }
    assert!(cases >= 23, "{cases} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_a_case_is_found() {
    let line = serde_json::json!({"type": "oom", "severity": "high", "container": "app", "message": "2 GiB"});
    let expect = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let right = expect(r#"{"expect": [["oom|killed", "critical|high", "app"]], "says": ["GiB"]}"#);
    assert!(flaws(std::slice::from_ref(&line), &right).is_empty());
    for wrong in [
        r#"{"expect": []}"#,
        r#"{"expect": [["killed", null, "app"]]}"#,
        r#"{"expect": [["oom", "critical", "app"]]}"#,
        r#"{"expect": [["oom", null, null]]}"#,
        r#"{"expect": [["oom", null, "app"], ["oom", null, "app"]]}"#,
        r#"{"expect": [["oom", null, "app"]], "says": ["1 GiB"]}"#,
        r#"{"expect": [["oom", null, "app"]], "says_not": ["2 GiB"]}"#,
    ] {
        assert!(!flaws(std::slice::from_ref(&line), &expect(wrong)).is_empty(), "{wrong}");
    }
}
