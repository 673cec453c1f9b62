//! The incidents in the recorded crash zoo, as listed in `expected.tsv`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fixture;

/// How often each (pod, container, type, instance) occurs.
pub type Score = BTreeMap<[String; 4], usize>;

/// Returns what a correct agent reports.
pub fn expected() -> Score {
    let text = std::fs::read_to_string(fixture("crash-zoo/expected.tsv")).unwrap();
    let mut score = Score::new();
    for line in text.lines() {
        let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        *score.entry(fields.try_into().unwrap()).or_default() += 1;
    }
    score
}

/// Counts these incidents.
pub fn score(incidents: &[Value]) -> Score {
    let expected = expected();
    let mut score = Score::new();
    for incident in incidents {
        let text = |key: &str| incident[key].as_str().unwrap_or_default().to_owned();
        let pod = format!("{}/{}", text("namespace"), text("pod_name"));
        let container = incident["container"].as_str().unwrap_or("-").to_owned();
        let id = text("container_id");
        let mut key = [pod, container, text("type"), "episode".to_owned()];
        if !expected.contains_key(&key) {
            key[3] = if key[1] == "-" {
                text("pod_uid")
            } else {
                id[id.len().saturating_sub(12)..].to_owned()
            };
        }
        *score.entry(key).or_default() += 1;
    }
    score
}

/// Panics with the difference unless these are exactly the zoo's incidents.
#[track_caller]
pub fn assert_all_and_nothing_else(incidents: &[Value]) {
    let (want, got) = (expected(), score(incidents));
    let missed: Vec<_> = want.iter().filter(|(k, n)| got.get(*k) < Some(n)).collect();
    let wrong: Vec<_> = got.iter().filter(|(k, n)| want.get(*k) < Some(n)).collect();
    assert!(missed.is_empty() && wrong.is_empty(), "missed {missed:#?}\nwrong {wrong:#?}");
    assert_eq!(incidents.len(), 197);
}
