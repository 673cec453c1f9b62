//! Lines of type `lost`, in which a sink tells what it lost.

use serde_json::Value;

/// Returns how many incidents the line says were lost; `None` if it is another line.
pub fn lost_in(line: &str) -> Option<usize> {
    // Tests ask for thousands of lines again and again, and parsing them takes a while.
    if !line.contains("\"type\":\"lost\"") {
        return None;
    }
    let line: Value = serde_json::from_str(line).unwrap();
    let types = line["metadata"]["lost"]["types"].as_object()?;
    assert_eq!(line["type"], "lost");
    Some(types.values().map(|n| n.as_u64().unwrap() as usize).sum())
}

/// Returns the lines of incidents, and how many the other lines say were lost.
pub fn split(lines: Vec<String>) -> (Vec<String>, usize) {
    let lost = lines.iter().filter_map(|line| lost_in(line)).sum();
    (lines.into_iter().filter(|line| lost_in(line).is_none()).collect(), lost)
}
