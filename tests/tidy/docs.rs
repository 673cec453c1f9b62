//! The documentation: its tables are complete, its links lead somewhere, and the README stays short.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use blackbox_daemon::config::SETTINGS;
use blackbox_daemon::metrics::FAMILIES;

use crate::root;

/// More than this nobody reads before the first try.
const README_WORDS_MAX: usize = 2000;

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

#[test]
fn the_readme_is_short() {
    let words = read("README.md").split_whitespace().count();
    assert!(words <= README_WORDS_MAX, "README.md has {words} words");
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The anchors that GitHub makes of the headings of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in prose(text) {
        let heading = line.trim_start_matches('#');
        let depth = line.len() - heading.len();
        let Some(heading) = heading.strip_prefix(' ').filter(|_| (1..=6).contains(&depth)) else {
            continue;
        };
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
        let slug: String = heading.trim().to_lowercase().chars().filter(kept).collect();
        let slug = slug.replace(' ', "-");
        let times = seen.entry(slug.clone()).or_default();
        anchors.insert(if *times == 0 { slug } else { format!("{slug}-{times}") });
        *times += 1;
    }
    anchors
}

/// The targets of the links of a page, without those to other hosts. What stands in backticks is no link.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        let words: Vec<&str> = line.split('`').collect();
        // Code is every second part; where it is a link's text, the rest of the link follows in the next.
        let mut rest: String = words.iter().step_by(2).copied().collect();
        while let Some((_, link)) = rest.split_once("](") {
            let (target, tail) = link.split_once(')').unwrap_or((link, ""));
            if !target.contains("://") {
                links.push(target.to_owned());
            }
            rest = tail.to_owned();
        }
    }
    links
}

/// What is wrong with a link from the page at that path.
fn broken(page: &str, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = match file {
        "" => root().join(page),
        file => root().join(page).parent().unwrap().join(file),
    };
    let Ok(path) = path.canonicalize() else {
        return Some(format!("{page}: no file {link}"));
    };
    if !path.starts_with(root().canonicalize().unwrap()) {
        return Some(format!("{page}: {link} leads out of the tree"));
    }
    if anchor.is_empty() {
        return None;
    }
    let is_page = path.extension().is_some_and(|e| e == "md");
    let is_there = is_page && anchors(&fs::read_to_string(path).unwrap()).contains(anchor);
    (!is_there).then(|| format!("{page}: no heading {link}"))
}

fn pages() -> Vec<String> {
    let mut pages: Vec<String> =
        ["README.md", "CHANGELOG.md", "SECURITY.md", ".github/CONTRIBUTING.md"]
            .map(str::to_owned)
            .to_vec();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(Path::new(&name).extension().is_some_and(|e| e == "md"), "docs/{name}");
        pages.push(format!("docs/{name}"));
    }
    pages
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = pages();
    assert!(pages.len() > 10, "{pages:?}");
    let mut wrong = Vec::new();
    for page in &pages {
        let links = links(&read(page));
        wrong.extend(links.iter().filter_map(|link| broken(page, link)));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_page_is_linked_from_the_readme() {
    let linked: BTreeSet<String> = links(&read("README.md")).into_iter().collect();
    for page in pages().iter().filter(|page| *page != "README.md") {
        assert!(linked.contains(page), "README.md does not link to {page}");
    }
}

#[test]
fn a_broken_link_is_found() {
    let text = "# A `b`, c_d: e-f\n## Two\n```\n# [no](no.md)\n```\n## Two\n[`x`](y#z) `[no](no)` [h](https://h/)";
    let found: Vec<String> = anchors(text).into_iter().collect();
    assert_eq!(found, ["a-b-c_d-e-f", "two", "two-1"]);
    assert_eq!(links(text), ["y#z"]);
    for link in ["docs/metrics.md", "docs/metrics.md#all-metrics", "deploy/example", "#deploy"] {
        assert_eq!(broken("README.md", link), None);
    }
    for link in ["docs/none.md", "docs/metrics.md#none", "#none", "..", "Cargo.toml#package"] {
        assert!(broken("README.md", link).is_some(), "{link}");
    }
    assert_eq!(broken("docs/metrics.md", "../README.md#deploy"), None);
}

/// All Rust files of a folder, with its folders.
fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The words in backticks that name a file or a function, but nothing of that name exists.
fn stale(text: &str, files: &[(std::path::PathBuf, String)]) -> Vec<String> {
    let words = text.split('`').skip(1).step_by(2);
    let is_stale = |word: &&str| {
        if word.ends_with(".rs") {
            return !files.iter().any(|(path, _)| path.ends_with(word));
        }
        let Some((owner, name)) = word.split_once("::") else { return false };
        let is_type = owner.starts_with(|c: char| c.is_uppercase());
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name(owner) || !is_name(name) {
            return false;
        }
        !files.iter().any(|(path, text)| {
            let has_owner = match is_type {
                true => {
                    text.contains(&format!("{owner}<")) || text.contains(&format!("{owner} {{"))
                }
                false => {
                    path.ends_with(format!("{owner}.rs"))
                        || path.ends_with(format!("{owner}/mod.rs"))
                }
            };
            let function = format!("fn {name}");
            let is_called = |rest: &str| rest.starts_with('(') || rest.starts_with('<');
            let has_function = text.split(&function).skip(1).any(is_called);
            let is_member =
                |rest: &str| rest.starts_with([':', ',', '(']) || rest.starts_with(" {");
            let has_member = text.split(&format!("    {name}")).skip(1).any(is_member);
            has_owner && (has_function || has_member)
        })
    };
    words.filter(is_stale).map(str::to_owned).collect()
}

#[test]
fn the_walk_through_the_code_names_files_and_functions_that_exist() {
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    let files: Vec<_> =
        paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let page = read("src/lib.rs");
    let walk = page.split("# A crash, walked through the code").nth(1).unwrap();
    let walk = walk.split("# Who remembers a pod").next().unwrap();
    assert!(walk.matches('`').count() > 80, "the walk is there");
    assert_eq!(stale(walk, &files), Vec::<String>::new());
    let old = "`Desk::take` (`agent/events.rs`), `classify::end`, `Watch::carry_out`";
    assert_eq!(stale(old, &files).len(), 4, "what is stale is found");
}
