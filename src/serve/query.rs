//! The query of `/` and `/incidents`: which incidents are shown, and how.
//!
//! A parameter that is not known, or a value that cannot be, is refused: an answer with all incidents would look like
//! one to the question that was asked. The refusal repeats nothing of the query, which may say anything.

use crate::core::case::{IncidentType, Severity};
use crate::core::display::groups::By;
use crate::core::display::parsed::Value;
use crate::core::percent;
use crate::limits::{PAGE_QUERY_BYTES_MAX, PAGE_REFRESH_SECONDS, RECENT_MAX};

/// The parameters that choose incidents.
pub const FILTERS: [&str; 11] = [
    "namespace",
    "pod",
    "workload",
    "container",
    "image",
    "type",
    "severity",
    "fingerprint",
    "id",
    TEXT,
    "limit",
];

/// The parameters that only the page has.
const OF_PAGE: [&str; 2] = ["by", "refresh"];

const TEXT: &str = "text";

/// A query that was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The parameters with a value, each at most once, in the order of the query.
    values: Vec<(&'static str, String)>,
}

impl Query {
    /// Parses a query as a browser sends it. `is_page`: the one of the page, not of `/incidents`.
    ///
    /// # Errors
    /// What is wrong, as a line of text.
    pub fn parse(query: &str, is_page: bool) -> Result<Self, String> {
        if query.len() > PAGE_QUERY_BYTES_MAX {
            return Err(format!("the query is longer than {PAGE_QUERY_BYTES_MAX} bytes\n"));
        }
        let of_page: &[&'static str] = if is_page { &OF_PAGE } else { &[] };
        let known = || FILTERS.iter().chain(of_page).copied();
        let mut parsed = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = known().find(|known| *known == name) else {
                let known: Vec<&str> = known().collect();
                return Err(format!("unknown parameter; allowed: {}\n", known.join(", ")));
            };
            let Some(mut value) = decode(value) else {
                return Err(format!("the value of {name} is no text in percent-encoding\n"));
            };
            if !parsed.get(name).is_empty() {
                return Err(format!("{name} is there twice\n"));
            }
            if matches!(name, "type" | "severity" | TEXT) {
                value.make_ascii_lowercase();
            }
            if let Some(allowed) = refusal(name, &value) {
                return Err(format!("unknown value of {name}; allowed: {allowed}\n"));
            }
            // A form sends the fields that were left empty, too.
            if !value.is_empty() {
                parsed.values.push((name, value));
            }
        }
        Ok(parsed)
    }

    /// Returns the value of a parameter; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.values.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// Returns the parameters with a value that choose incidents.
    pub fn filters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let is_filter = |(name, _): &&(&'static str, String)| FILTERS.contains(name);
        self.values.iter().filter(is_filter).map(|(name, value)| (*name, value.as_str()))
    }

    /// Returns what the page's groups have in common.
    pub fn by(&self) -> By {
        By::from_name(self.get("by")).unwrap_or(By::Fingerprint)
    }

    /// Returns the greatest number of incidents that is wanted.
    pub fn limit(&self) -> usize {
        self.get("limit").parse().unwrap_or(RECENT_MAX)
    }

    /// Parses a line, as far as it takes. `None`: it is not wanted, or it is not an incident.
    pub fn take(&self, line: &[u8]) -> Option<Value> {
        let parse = if self.get(TEXT).is_empty() { Value::parse_head } else { Value::parse };
        let incident = parse(line)?;
        let mut filters = self.filters();
        filters.all(|(name, wanted)| fits(name, wanted, &incident)).then_some(incident)
    }

    /// Returns true if the line is wanted. Without filters, nothing is parsed: a line that cannot be is wanted, too.
    pub fn takes(&self, line: &[u8]) -> bool {
        self.filters().all(|(name, _)| name == "limit") || self.take(line).is_some()
    }

    /// Returns the page's address with another value of one parameter; with an empty value, without it.
    pub fn with(&self, name: &'static str, value: &str) -> String {
        let others = self.values.iter().filter(|(known, _)| *known != name);
        let others = others.map(|(known, value)| (*known, value.as_str()));
        address("/", &mut others.chain([(name, value)]))
    }

    /// Returns the address of the lines of the same incidents.
    pub fn lines(&self) -> String {
        address("/incidents", &mut self.filters())
    }
}

/// Returns the page's address with these parameters and no others.
pub fn page(pairs: &[(&'static str, &str)]) -> String {
    address("/", &mut pairs.iter().copied())
}

/// Returns an address. Only letters, digits, `-._~/*` and percent signs come from values, which may be anything.
fn address(path: &str, pairs: &mut dyn Iterator<Item = (&'static str, &str)>) -> String {
    let mut out = path.to_owned();
    for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
        out.push(if out.len() == path.len() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        encode(&mut out, value);
    }
    out
}

/// Returns the allowed values if this is none of them.
fn refusal(name: &str, value: &str) -> Option<String> {
    let words = match name {
        "by" => By::ALL.map(By::name).to_vec(),
        "severity" => Severity::ALL.map(Severity::name).to_vec(),
        "type" => IncidentType::ALL.map(IncidentType::name).to_vec(),
        _ => Vec::new(),
    };
    let range = match name {
        "limit" => 1..=RECENT_MAX as u64,
        "refresh" => PAGE_REFRESH_SECONDS,
        _ => 0..=u64::MAX,
    };
    let is_allowed = if !words.is_empty() {
        let is_known = |value: &str| words.contains(&value);
        if name == "type" { value.split(',').all(is_known) } else { is_known(value) }
    } else {
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        *range.start() == 0 || is_number && value.parse().is_ok_and(|n| range.contains(&n))
    };
    if is_allowed || value.is_empty() && name != "by" {
        return None;
    }
    Some(match words.is_empty() {
        true => format!("{} to {}", range.start(), range.end()),
        false => words.join(", "),
    })
}

fn fits(name: &str, wanted: &str, incident: &Value) -> bool {
    match name {
        "limit" => true,
        "severity" => {
            let own = Severity::from_name(incident.text(name));
            own.is_some_and(|own| Some(own) >= Severity::from_name(wanted))
        }
        TEXT => says(incident, wanted),
        _ => wanted.split(',').any(|glob| incident.fits(name, glob)),
    }
}

/// Returns true if a text of the incident has these words in it, in capitals or not.
fn says(value: &Value, words: &str) -> bool {
    match value {
        Value::Text(text) => text.to_ascii_lowercase().contains(words),
        Value::List(items) => items.iter().any(|item| says(item, words)),
        Value::Object(fields) => fields.iter().any(|(_, value)| says(value, words)),
        _ => false,
    }
}

/// Decodes a value. `None`: a percent sign without two digits, or bytes that are no text.
fn decode(value: &str) -> Option<String> {
    percent::decode(&value.replace('+', " "), true)
}

/// Appends a value to an address.
fn encode(out: &mut String, value: &str) {
    percent::encode(out, value, |byte| byte.is_ascii_alphanumeric() || b"-._~/*".contains(&byte));
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"id":"5ef8aa","namespace":"shop","pod_name":"web-7f","type":"oom",
        "severity":"high","workload":"Deployment/web","container":"app","image":"r/app:1",
        "fingerprint":"4c1d","message":"was OOM-killed","exit_code":137,
        "telemetry":{"logs":{"lines":[{"text":"Cannot reserve \u00e4 & more"}]}}}"#;

    #[test]
    fn filters_narrow_what_is_taken() {
        for (query, want) in [
            ("", true),
            ("pod=&type=", true),
            ("namespace=shop&pod=web-7f", true),
            ("namespace=sho", false),
            ("pod=shop/web-*", true),
            ("pod=other/web-*", false),
            ("pod=api,web-7f", true),
            ("namespace=other,shop&workload=shop/Deployment/web", true),
            ("workload=other/Deployment/web", false),
            ("pod=web-*", true),
            ("pod=web", false),
            ("pod=%2A7f", true),
            ("workload=Deployment/web", true),
            ("workload=web", true),
            ("workload=StatefulSet/*", false),
            ("container=app&image=r%2Fapp:*", true),
            ("type=error,OOM", true),
            ("type=error", false),
            ("severity=medium", true),
            ("severity=HIGH", true),
            ("severity=critical", false),
            ("fingerprint=4c1d&id=5ef8aa", true),
            ("id=5ef8", false),
            ("id=5ef8*", true),
            ("text=oom-KILLED", true),
            ("text=cannot+reserve+%C3%A4+%26", true),
            // The name of a field is no text of the incident.
            ("text=fingerprint", false),
            ("text=137", false),
            ("limit=1", true),
        ] {
            let query = Query::parse(query, false).unwrap();
            assert_eq!(query.take(LINE).is_some(), want, "{query:?}");
        }
        assert!(Query::default().take(b"no json").is_none());
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        for (query, is_page, want) in [
            (
                "what=<b>",
                true,
                "unknown parameter; allowed: namespace, pod, workload, container, image, type, severity, fingerprint, id, text, limit, by, refresh\n",
            ),
            ("x", true, "unknown parameter; allowed: "),
            ("by=node", false, "unknown parameter; allowed: namespace, "),
            ("refresh=10", false, "text, limit\n"),
            (
                "by=owner",
                true,
                "unknown value of by; allowed: fingerprint, workload, node, type, image\n",
            ),
            ("by=", true, "unknown value of by"),
            ("by=Node", true, "unknown value of by"),
            ("by=node,type", true, "unknown value of by"),
            (
                "severity=worst",
                true,
                "unknown value of severity; allowed: critical, high, medium, low\n",
            ),
            ("type=oom,oops", true, "unknown value of type; allowed: oom, probe_failure, "),
            ("limit=0", false, "unknown value of limit; allowed: 1 to 256\n"),
            ("limit=-1", false, "unknown value of limit"),
            ("refresh=4", true, "unknown value of refresh; allowed: 5 to 3600\n"),
            ("refresh=10;url=http://x", true, "unknown value of refresh"),
            ("refresh=3601", true, "unknown value of refresh"),
            // A browser does not load a page again after "+10" seconds.
            ("refresh=%2B10", true, "unknown value of refresh"),
            ("pod=a&pod=b", true, "pod is there twice\n"),
            ("pod=%4", true, "the value of pod is no text in percent-encoding\n"),
            ("pod=%zz", true, "the value of pod"),
            ("pod=%ff", true, "the value of pod"),
            ("pod=%+1", true, "the value of pod"),
        ] {
            let refused = Query::parse(query, is_page).unwrap_err();
            assert!(refused.contains(want), "{query}: {refused}");
        }
        let long = format!("pod={}", "a".repeat(PAGE_QUERY_BYTES_MAX));
        assert!(Query::parse(&long, true).unwrap_err().contains("longer than 1024 bytes"));
    }

    #[test]
    fn an_address_leads_to_the_same_query() {
        let query = Query::parse("pod=%3Cb%3E+%22%26&by=type&refresh=10", true).unwrap();
        assert_eq!(query.get("pod"), "<b> \"&");
        assert_eq!((query.by(), query.get("refresh")), (By::Type, "10"));
        let with = query.with("by", "node");
        assert_eq!(with, "/?pod=%3Cb%3E%20%22%26&refresh=10&by=node");
        let again = Query::parse(&with[2..], true).unwrap();
        assert_eq!((again.get("pod"), again.by()), (query.get("pod"), By::Node));
        assert_eq!(query.with("refresh", ""), "/?pod=%3Cb%3E%20%22%26&by=type");
        assert_eq!(query.lines(), "/incidents?pod=%3Cb%3E%20%22%26");
        assert_eq!(Query::default().with("by", ""), "/");
        assert_eq!(
            page(&[("pod", "a/b"), ("id", ""), ("text", "\u{e4}&")]),
            "/?pod=a/b&text=%C3%A4%26"
        );
        assert_eq!(Query::parse("", true).unwrap().by(), By::Fingerprint);
    }
}
