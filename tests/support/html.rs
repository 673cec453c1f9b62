//! Parses the agent's page more strictly than any browser: only the expected tags and attributes, each tag closed
//! where it was opened, each value quoted.

/// The allowed tags, each with its allowed attributes.
const TAGS: &[(&str, &[&str])] = &[
    ("html", &["lang"]),
    ("head", &[]),
    ("meta", &["charset", "name", "content", "http-equiv"]),
    ("title", &[]),
    ("style", &[]),
    ("body", &[]),
    ("header", &[]),
    ("main", &["id"]),
    ("nav", &["aria-label"]),
    ("section", &[]),
    ("article", &["class"]),
    ("form", &["method", "action"]),
    ("label", &[]),
    ("input", &["type", "name", "value", "placeholder"]),
    ("select", &["name"]),
    ("option", &["value", "selected"]),
    ("button", &[]),
    ("h1", &[]),
    ("h2", &[]),
    ("h3", &[]),
    ("mark", &[]),
    ("p", &["class"]),
    ("a", &["class", "href"]),
    ("b", &["class"]),
    ("bdi", &[]),
    ("code", &["class"]),
    ("pre", &["class"]),
    ("span", &["class"]),
    ("div", &["class", "tabindex", "role", "aria-label"]),
    ("time", &["datetime"]),
    ("ul", &["class"]),
    ("ol", &["class"]),
    ("li", &["class"]),
    ("table", &["class"]),
    ("thead", &["class"]),
    ("tbody", &[]),
    ("tr", &["class"]),
    ("th", &["scope"]),
    ("td", &["class"]),
    ("figure", &[]),
    ("figcaption", &[]),
    ("svg", &["class", "role", "width", "height", "y", "viewBox", "preserveAspectRatio"]),
    ("desc", &[]),
    ("path", &["class", "d"]),
    ("circle", &["r", "cx", "cy"]),
    ("text", &["class", "x", "y", "text-anchor"]),
];

const VOID: &[&str] = &["meta", "input"];

/// The content and structure of a page.
#[derive(Debug, Default)]
pub struct Html {
    /// All text as a reader sees it, without the style sheet.
    pub text: String,
    /// The style sheet.
    pub style: String,
    /// Every opened tag, in order.
    pub tags: Vec<String>,
}

/// Parses a page.
///
/// # Panics
/// If the page has anything that it must not have.
pub fn read(page: &str) -> Html {
    let mut rest = page.strip_prefix("<!doctype html>\n").expect("no doctype");
    let (mut html, mut open) = (Html::default(), Vec::new());
    while let Some(at) = rest.find('<') {
        push_text(&mut html.text, &rest[..at]);
        let end = rest[at..].find('>').expect("a tag has no end") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closes what is not open");
            html.text.push('\n');
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let known = TAGS.iter().find(|(known, _)| *known == name);
        let (name, allowed) = known.unwrap_or_else(|| panic!("the tag <{tag}>"));
        check_attributes(name, allowed, attributes.trim());
        html.tags.push((*name).to_owned());
        if *name == "style" {
            let end = rest.find("</style>").expect("the style sheet has no end");
            rest[..end].clone_into(&mut html.style);
            rest = &rest[end + "</style>".len()..];
        } else if !closed && !VOID.contains(name) {
            open.push(*name);
        }
    }
    push_text(&mut html.text, rest);
    assert!(open.is_empty(), "not closed: {open:?}");
    html
}

fn check_attributes(tag: &str, allowed: &[&str], mut rest: &str) {
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("<{tag} {rest}>"));
        let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("<{tag} {rest}>"));
        assert!(allowed.contains(&name), "<{tag} {name}=…>");
        assert!(!seen.contains(&name), "<{tag}> has two {name}");
        seen.push(name);
        // Values from outside are in links, percent-encoded, and in the form, where they are text like any other. So only
        // these characters occur in all other attributes.
        let plain = |c: char| c.is_ascii_alphanumeric() || " -_.:/%,=".contains(c);
        match (tag, name) {
            (_, "href") => assert!(leads_here(value), "<a href={value:?}>"),
            ("input" | "option", "value" | "placeholder") => push_text(&mut String::new(), value),
            _ => assert!(value.chars().all(plain), "<{tag} {name}={value:?}>"),
        }
        assert!(name != "action" || value == "/", "<{tag} action={value:?}>");
        assert!(name != "id" || value == "main", "<{tag} id={value:?}>");
        let is_refresh = name == "content" && seen.contains(&"http-equiv");
        let is_number = value.bytes().all(|b| b.is_ascii_digit());
        assert!(!is_refresh || is_number, "<{tag} content={value:?}>");
        assert!(!after.starts_with(|c: char| c != ' '), "<{tag} …{after}>");
        rest = after.trim_start();
    }
}

/// Returns true for the links that the page has: to itself and to the lines, with what is chosen.
fn leads_here(link: &str) -> bool {
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/*%".contains(c);
    let is_pair = |pair: &str| {
        pair.split_once('=').is_some_and(|(name, value)| {
            name.bytes().all(|b| b.is_ascii_lowercase()) && value.chars().all(is_plain)
        })
    };
    link == "#main"
        || matches!(path, "/" | "/incidents")
            && (query.is_empty() || query.split("&amp;").all(is_pair))
}

/// Appends text. Checks that it has no control character except white space, and none that changes the writing
/// direction.
fn push_text(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let entities =
            [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&#34;", '"'), ("&#39;", '\'')];
        let entity = entities.iter().find(|(entity, _)| rest[at..].starts_with(entity));
        let (entity, c) = entity.unwrap_or_else(|| panic!("no entity: {:.20}", &rest[at..]));
        out.push(*c);
        rest = &rest[at + entity.len()..];
    }
    out.push_str(rest);
    for c in text.chars() {
        let harmful = matches!(c, '"' | '\'' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || (c.is_control() && !matches!(c, '\n' | '\t'));
        assert!(!harmful, "{c:?} in {text:.80?}");
    }
}
