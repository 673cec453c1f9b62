//! The documentation: its tables are complete.

use std::collections::BTreeSet;
use std::fs;

use blackbox_daemon::config::SETTINGS;
use blackbox_daemon::metrics::FAMILIES;

use crate::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The rows of the table with that head, as they stand there.
fn table<'t>(text: &'t str, head: &str) -> Vec<&'t str> {
    let mut lines = text.lines().skip_while(|line| *line != head);
    assert!(lines.next().is_some(), "no table with the head {head}");
    let divider = lines.next().unwrap();
    assert!(divider.starts_with("| --- |"), "{divider}");
    lines.take_while(|line| line.starts_with('|')).collect()
}

/// The first cell of each row, without its backticks.
fn names(rows: &[&str]) -> Vec<String> {
    let name = |row: &&str| row.strip_prefix("| `")?.split_once("` | ").map(|(n, _)| n.to_owned());
    rows.iter().map(|row| name(row).unwrap_or_else(|| panic!("no name in the row {row}"))).collect()
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let text = read("docs/configuration.md");
    let row = |setting: &blackbox_daemon::config::Setting| {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        format!("| `{}` | {default} | {} | {} |", setting.key, setting.allowed, setting.meaning)
    };
    let rows: Vec<String> = SETTINGS.iter().map(row).collect();
    assert_eq!(table(&text, "| variable | default | allowed | meaning |"), rows);
}

#[test]
fn every_metric_is_documented() {
    let text = read("docs/metrics.md");
    let families = FAMILIES.iter();
    let rows: Vec<String> =
        families.map(|f| format!("| `{}` | {} | {} |", f.name, f.kind, f.help)).collect();
    assert_eq!(table(&text, "| metric | type | meaning |"), rows);
}

#[test]
fn every_field_of_the_line_is_documented() {
    let schema: serde_json::Value =
        serde_json::from_str(&read("deploy/incident.schema.json")).unwrap();
    let properties = |of: &serde_json::Value, before: &str| -> Vec<String> {
        of["properties"].as_object().unwrap().keys().map(|name| format!("{before}{name}")).collect()
    };
    let mut fields = properties(&schema, "");
    fields.retain(|name| !["metadata", "telemetry"].contains(&name.as_str()));
    fields.extend(properties(&schema["$defs"]["metadata"], "metadata."));
    fields.extend(properties(&schema["$defs"]["telemetry"], "telemetry."));
    assert!(fields.len() > 25, "{fields:?}");
    fields.sort();

    let text = read("docs/incident.md");
    let mut documented = names(&table(&text, "| field | meaning |"));
    documented.sort();
    assert_eq!(documented, fields);
}

#[test]
fn every_type_is_documented() {
    let schema: serde_json::Value =
        serde_json::from_str(&read("deploy/incident.schema.json")).unwrap();
    let text = read("docs/incident.md");
    let rows = table(&text, "| what happened | type | severity |");
    let types = |row: &&str| row.split(" | ").nth(1).unwrap().to_owned();
    let documented: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| types(row).split(" / ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let wanted = schema["properties"]["type"]["enum"].as_array().unwrap().iter();
    let wanted: BTreeSet<String> =
        wanted.map(|kind| format!("`{}`", kind.as_str().unwrap())).collect();
    assert_eq!(documented, wanted);
}

#[test]
fn every_dependency_has_a_reason() {
    let manifest = read("Cargo.toml");
    let section = |name: &str| {
        let (_, rest) = manifest.split_once(&format!("[{name}]\n")).unwrap();
        rest.split("\n[").next().unwrap().to_owned()
    };
    let musl = "target.'cfg(target_env = \"musl\")'.dependencies";
    let sections = ["dependencies", musl, "dev-dependencies"].map(section).join("\n");
    let lines = sections.lines().filter(|line| !line.starts_with('#'));
    let mut wanted: Vec<&str> =
        lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    wanted.sort_unstable();

    let text = read("docs/dependencies.md");
    let rows = table(&text, "| crate | purpose | why this one |");
    let mut documented = names(&rows);
    documented.sort();
    assert_eq!(documented, wanted);
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "{row}");
    }
}
