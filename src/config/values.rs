//! The formats of single values. Each function parses one format. Its error describes in a few words what is
//! wrong with the text; the caller appends the `allowed:` of the setting.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use crate::core::case::Severity;
use crate::core::percent;
use crate::core::text::is_harmful;
use crate::limits;

use super::{duration, endpoint};

/// Longest DNS-1123 label, the form of a namespace's name.
const LABEL_BYTES_MAX: usize = 63;
/// Longest DNS-1123 subdomain, the form of a node's name.
const SUBDOMAIN_BYTES_MAX: usize = 253;

pub(super) fn duration_in(
    text: &str,
    range: &RangeInclusive<Duration>,
) -> Result<Duration, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    in_range(duration, range)
}

pub(super) fn count_in(text: &str, range: &RangeInclusive<usize>) -> Result<usize, String> {
    in_range(whole_number(text)?.try_into().map_err(|_| "out of range")?, range)
}

/// Parses a number of bytes, without a unit or in units of 1024, 1024² or 1024³.
pub(super) fn bytes_in(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let (digits, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match unit {
        "" => 1,
        "Ki" => 1024,
        "Mi" => 1024 * 1024,
        "Gi" => 1024 * 1024 * 1024,
        _ => return Err("not a number of bytes".to_owned()),
    };
    in_range(whole_number(digits)?.checked_mul(unit).ok_or("out of range")?, range)
}

fn whole_number(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not a whole number".to_owned());
    }
    // The text has only digits, so parsing can only fail because there are too many of them.
    text.parse().map_err(|_| "out of range".to_owned())
}

fn in_range<T: PartialOrd>(value: T, range: &RangeInclusive<T>) -> Result<T, String> {
    if range.contains(&value) { Ok(value) } else { Err("out of range".to_owned()) }
}

/// Parses an address to listen on. Without a host (`:9464`) it means all IPv4 addresses. Port 0 lets the kernel
/// choose.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let all = Ipv4Addr::UNSPECIFIED;
    let with_address = if text.starts_with(':') { format!("{all}{text}") } else { text.to_owned() };
    with_address.parse().map_err(|_| "not an address and a port".to_owned())
}

/// Checks a node's name, which goes into the field selector `spec.nodeName=`. Anything that a DNS-1123
/// subdomain cannot contain (above all a comma) would select something else. The rule is Kubernetes'
/// `IsDNS1123Subdomain`, which limits the length of the whole name and not of its labels.
pub(super) fn node_name(text: &str) -> Result<String, String> {
    if text.len() <= SUBDOMAIN_BYTES_MAX && text.split('.').all(is_label_shaped) {
        Ok(text.to_owned())
    } else {
        Err("not a DNS-1123 subdomain".to_owned())
    }
}

/// Checks a cluster's name. Kubernetes has no rule for it, so only what would spoil a line or a terminal is refused.
pub(super) fn cluster(text: &str) -> Result<String, String> {
    if text.contains(is_harmful) {
        Err("contains a control character".to_owned())
    } else if text.len() > limits::CLUSTER_BYTES_MAX {
        Err("too long".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Checks a namespace's name, a DNS-1123 label.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    if text.len() <= LABEL_BYTES_MAX && is_label_shaped(text) {
        Ok(text.to_owned())
    } else {
        Err("not a DNS-1123 label".to_owned())
    }
}

fn is_label_shaped(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Parses namespaces joined by commas. Blanks and empty entries are ignored.
pub(super) fn namespaces(text: &str) -> Result<BTreeSet<String>, String> {
    let mut names = BTreeSet::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        names.insert(namespace(name).map_err(|wrong| format!("{name:?} is {wrong}"))?);
        if names.len() > limits::IGNORED_NAMESPACES_MAX {
            return Err("too many names".to_owned());
        }
    }
    Ok(names)
}

/// Parses folders that are separated by commas.
pub(super) fn folders(text: &str) -> Result<Vec<PathBuf>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let folders: Vec<PathBuf> = names.map(PathBuf::from).collect();
    match folders.len() <= limits::KERNEL_LOG_FOLDERS_MAX {
        true => Ok(folders),
        false => Err("too many folders".to_owned()),
    }
}

pub(super) fn severity(text: &str) -> Result<Severity, String> {
    Severity::from_name(text).ok_or_else(|| "not a severity".to_owned())
}

/// Parses `true` or `false`, and nothing similar: a typing error must not turn off a protection.
pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "neither true nor false".to_owned())
}

pub(super) fn server_name(text: &str) -> Result<String, String> {
    if endpoint::is_server_name(text) {
        Ok(text.to_owned())
    } else {
        Err("neither a DNS name nor an IP address".to_owned())
    }
}

/// Parses pairs like `name=value,name=value`. What a value cannot contain is written like `%20` in it, as in W3C Baggage;
/// a percent sign that begins no such code stands for itself.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pairs: Vec<_> = pairs.map(pair).collect::<Result<_, _>>()?;
    if pairs.len() > limits::PAIRS_MAX {
        return Err(format!("more than {} pairs", limits::PAIRS_MAX));
    }
    Ok(pairs)
}

fn pair(pair: &str) -> Result<(String, String), String> {
    let (name, value) = pair.split_once('=').ok_or("has a part without '='")?;
    let name = name.trim();
    if name.is_empty() {
        return Err("has a part without a name".to_owned());
    }
    let value = percent::decode(value.trim(), false).ok_or("has a value that is not UTF-8")?;
    Ok((name.to_owned(), value))
}

/// Checks a header that the operator adds. The error does not repeat the value, which may be a key.
pub(super) fn check_header(name: &str, value: &str) -> Result<(), String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) {
        return Err("has a name that no header can have".to_owned());
    }
    let taken = ["accept", "connection", "content-length", "content-type", "host", "user-agent"];
    if taken.iter().any(|taken| name.eq_ignore_ascii_case(taken)) {
        return Err(format!("has the header {name}, which the agent itself sets"));
    }
    if name.len() + value.len() > limits::HEADER_BYTES_MAX {
        return Err(format!("has the header {name}, which is too long"));
    }
    if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(format!("has a value of {name} that no header can have"));
    }
    Ok(())
}

/// How much of the log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel {
    /// The modules whose path begins like this. `None`: all modules that no other level names.
    pub module: Option<String>,
    /// The least severe level that is written.
    pub level: LevelFilter,
}

/// Parses levels that are separated by commas: one for all modules, and others for modules. To `env_logger` a word that
/// is no level is a module, of which it writes everything, and of all others nothing.
pub(super) fn log_levels(text: &str) -> Result<Vec<LogLevel>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(log_level).collect()
}

fn log_level(text: &str) -> Result<LogLevel, String> {
    let (module, level) = match text.rsplit_once('=') {
        Some((module, level)) => (Some(module.trim()), level.trim()),
        None => (None, text),
    };
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
    if let Some(module) = module.filter(|m| m.is_empty() || !m.bytes().all(is_path)) {
        return Err(format!("{module:?} is not a module"));
    }
    // Release builds omit the level trace, so the table does not name it.
    let level = level.parse().map_err(|_| format!("{level:?} is not a level"))?;
    Ok(LogLevel { module: module.map(str::to_owned), level })
}

/// Reads a path. Whether it exists is checked by the code that opens it: the file may appear later, and that
/// code can report what the missing file prevents.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_binary_units() {
        let range = 0..=u64::MAX;
        for (text, expected) in [
            ("0", Some(0)),
            ("65536", Some(65536)),
            ("64Ki", Some(65536)),
            ("16Mi", Some(16 << 20)),
            ("1Gi", Some(1 << 30)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18014398509481984Ki", None),
            ("", None),
            ("Ki", None),
            ("-1", None),
            ("+1", None),
            ("1.5Mi", None),
            ("16M", None),
            ("16mi", None),
            ("16 Mi", None),
            ("16MiB", None),
        ] {
            assert_eq!(bytes_in(text, &range).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_log_takes_levels_and_no_other_words() {
        let all = |level| LogLevel { module: None, level };
        let of = |module: &str, level| LogLevel { module: Some(module.to_owned()), level };
        for (text, expected) in [
            ("debug", vec![all(LevelFilter::Debug)]),
            ("OFF", vec![all(LevelFilter::Off)]),
            (
                "blackbox_daemon::sinks=debug",
                vec![of("blackbox_daemon::sinks", LevelFilter::Debug)],
            ),
            (" warn , ureq=error ,", vec![all(LevelFilter::Warn), of("ureq", LevelFilter::Error)]),
        ] {
            assert_eq!(log_levels(text), Ok(expected), "{text}");
        }
        for (text, wrong) in [
            ("verbose", "\"verbose\" is not a level"),
            ("info,blackbox_daemon", "\"blackbox_daemon\" is not a level"),
            ("blackbox_daemon=loud", "\"loud\" is not a level"),
            ("blackbox_daemon=", "\"\" is not a level"),
            ("=debug", "\"\" is not a module"),
            ("a b=debug", "\"a b\" is not a module"),
            ("info/watch", "\"info/watch\" is not a level"),
        ] {
            assert_eq!(log_levels(text), Err(wrong.to_owned()), "{text}");
        }
    }

    #[test]
    fn both_ends_of_a_range_belong_to_it() {
        let range = Duration::from_secs(1)..=Duration::from_secs(60);
        for (text, ok) in [("999ms", false), ("1s", true), ("1m", true), ("60.000000001s", false)] {
            assert_eq!(duration_in(text, &range).is_ok(), ok, "{text}");
        }
        for (text, ok) in [("0", false), ("1", true), ("9", true), ("10", false), ("+1", false)] {
            assert_eq!(count_in(text, &(1..=9)).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn a_listen_address_is_an_ip_address_and_a_port() {
        for (text, expected) in [
            ("0.0.0.0:9464", Some("0.0.0.0:9464")),
            (":9464", Some("0.0.0.0:9464")),
            (":0", Some("0.0.0.0:0")),
            ("127.0.0.1:0", Some("127.0.0.1:0")),
            ("[::]:9464", Some("[::]:9464")),
            ("::1:9464", None),
            ("[::]", None),
            ("9464", None),
            (":", None),
            (":65536", None),
            ("localhost:9464", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(listen_address(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn names_follow_the_rules_of_kubernetes() {
        let (a63, a64) = ("a".repeat(63), "a".repeat(64));
        let (long, too_long) = (format!("a.{}", "a".repeat(251)), "a".repeat(254));
        for (text, label, subdomain) in [
            ("kube-system", true, true),
            ("0", true, true),
            ("ip-10-0-0-1.eu-west-1.compute.internal", false, true),
            (&a63, true, true),
            (&a64, false, true),
            (&long, false, true),
            (&too_long, false, false),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("a..b", false, false),
            (".a", false, false),
            ("a.", false, false),
            ("a.-b", false, false),
            ("Node", false, false),
            ("a_b", false, false),
            ("a,metadata.name=b", false, false),
            ("n\u{f6}de", false, false),
        ] {
            assert_eq!(namespace(text).is_ok(), label, "{text:?}");
            assert_eq!(node_name(text).is_ok(), subdomain, "{text:?}");
        }
    }

    #[test]
    fn a_clusters_name_is_short_and_plain() {
        let (longest, too_long) = ("c".repeat(253), "c".repeat(254));
        for (text, wrong) in [
            ("prod", None),
            ("Prod eu-1 / blue", None),
            ("arn:aws:eks:eu-west-1:123456789012:cluster/prod", None),
            ("k\u{f6}ln", None),
            (&longest, None),
            (&too_long, Some("too long")),
            ("prod\teu", Some("contains a control character")),
            ("prod\neu", Some("contains a control character")),
            ("\u{1b}[31mprod", Some("contains a control character")),
            ("prod\u{202e}ue", Some("contains a control character")),
            ("\u{7f}", Some("contains a control character")),
        ] {
            assert_eq!(cluster(text).err().as_deref(), wrong, "{text:?}");
            assert!(wrong.is_some() || cluster(text).as_deref() == Ok(text));
        }
    }

    #[test]
    fn a_yes_or_no_is_one_of_two_words() {
        assert_eq!((yes_or_no("true"), yes_or_no("false")), (Ok(true), Ok(false)));
        for text in ["", "0", "1", "no", "off", "False", "TRUE", "false "] {
            assert_eq!(yes_or_no(text), Err("neither true nor false".to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_list_of_namespaces_forgives_blanks_and_repeats() {
        let names = namespaces(" kube-system, dev,,dev ,").unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["dev", "kube-system"]);
        assert_eq!(namespaces("dev,Prod"), Err("\"Prod\" is not a DNS-1123 label".to_owned()));
        let many: Vec<_> = (0..=limits::IGNORED_NAMESPACES_MAX).map(|n| n.to_string()).collect();
        assert!(namespaces(&many.join(",")).is_err());
        assert!(namespaces(&many[1..].join(",")).is_ok());
    }
}
