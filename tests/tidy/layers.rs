//! Checks that imports point down the layers, and that no two files or folders import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{code_below, root};

/// The folders of `src/` from the top down; the folders in one line must not import each other.
const LAYERS: [&[&str]; 9] = [
    &["commands"],
    &["agent"],
    &["serve"],
    &["sinks"],
    &["kube", "node"],
    &["config", "metrics"],
    &["runtime"],
    &["core"],
    &["limits"],
];

/// The imports of each module. Modules are named by their path below the crate, such as `core::stream::frame`.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Reads the imports of all product code, from `use` declarations and from paths in the code.
fn imports() -> Imports {
    let src = root().join("src");
    let files = code_below("src");
    let module = |path: &Path| {
        let below = path.strip_prefix(&src).unwrap().with_extension("");
        let words: Vec<&str> = below.iter().map(|word| word.to_str().unwrap()).collect();
        let words = words.strip_suffix(&["mod"]).unwrap_or(&words);
        words.join("::")
    };

    let modules: BTreeSet<String> = files.iter().map(|(path, _)| module(path)).collect();
    let mut imports = Imports::new();
    for (path, code) in &files {
        let own = module(path);
        let named = paths(code).into_iter().filter_map(|path| absolute(&own, &path));
        let known = named.filter_map(|path| longest_module(&path, &modules));
        imports.insert(own.clone(), known.filter(|other| !is_same_room(other, &own)).collect());
    }
    imports
}

/// A module and the `mod.rs` of a folder that it lies in share a room: what they import of each other does not count.
fn is_same_room(one: &str, other: &str) -> bool {
    let is_below = |one: &str, other: &str| {
        one.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    is_below(one, other) || is_below(other, one)
}

/// Every path of a file that begins with `crate`, `self` or `super`, out of the braces of `use` too.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    for start in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            expand(&code[at..], "", &mut paths);
        }
    }
    paths
}

/// Reads one path from the start of `text` and expands its braces.
fn expand(text: &str, prefix: &str, paths: &mut Vec<String>) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    if !text[end..].starts_with('{') || !path.ends_with("::") {
        paths.push(path.trim_end_matches("::").to_owned());
        return;
    }
    let (mut depth, mut item) = (0, end + 1);
    for (at, c) in text[end..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && c == ',' {
            let part = text[item..end + at].trim();
            if !part.is_empty() {
                expand(part, &path, paths);
            }
            item = end + at + 1;
        }
        if depth == 0 {
            break;
        }
    }
}

/// Resolves a module's path to the path below the crate.
fn absolute(own: &str, path: &str) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.to_owned());
    }
    let mut base: Vec<&str> = own.split("::").filter(|word| *word != "lib").collect();
    let mut rest = path;
    if let Some(path) = rest.strip_prefix("self::") {
        rest = path;
    } else {
        while let Some(path) = rest.strip_prefix("super::") {
            base.pop()?;
            rest = path;
        }
    }
    base.push(rest);
    Some(base.join("::"))
}

/// Returns the module that a path lies in; `None` if it is not a module of this crate.
fn longest_module(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let words: Vec<&str> = path.split("::").collect();
    (1..=words.len()).rev().map(|n| words[..n].join("::")).find(|path| modules.contains(path))
}

/// Returns an import cycle, if there is one.
fn ring(imports: &Imports) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        imports: &Imports,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(first) = way.iter().position(|module| module == at) {
            way.drain(..first);
            way.push(at.to_owned());
            return true;
        }
        if !done.insert(at.to_owned()) {
            return false;
        }
        way.push(at.to_owned());
        if imports.get(at).into_iter().flatten().any(|next| walk(next, imports, way, done)) {
            return true;
        }
        way.pop();
        false
    }
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    imports.keys().any(|module| walk(module, imports, &mut way, &mut done)).then_some(way)
}

/// Merges the imports of modules into imports between the folders at this depth.
fn between_folders(imports: &Imports, depth: usize) -> Imports {
    let folder = |module: &str| module.split("::").take(depth).collect::<Vec<_>>().join("::");
    let mut folders = Imports::new();
    for (module, others) in imports {
        let own = folder(module);
        let others = others.iter().map(|other| folder(other)).filter(|other| *other != own);
        folders.entry(own.clone()).or_default().extend(others.collect::<Vec<_>>());
    }
    folders
}

fn layer(module: &str) -> Option<usize> {
    let folder = module.split("::").next()?;
    LAYERS.iter().position(|layer| layer.contains(&folder))
}

fn upward(imports: &Imports) -> Vec<String> {
    let mut upward = Vec::new();
    for (module, others) in imports {
        let Some(own) = layer(module) else { continue };
        for other in others {
            let folder = |path: &str| path.split("::").next().map(str::to_owned);
            let is_beside = |of: usize| of == own && folder(other) != folder(module);
            if layer(other).is_some_and(|of| of < own || is_beside(of)) {
                upward.push(format!("{module} imports {other}"));
            }
        }
    }
    upward
}

#[test]
fn every_folder_is_in_a_layer() {
    let modules = imports();
    assert!(modules.len() > 80, "{modules:?}");
    for module in modules.keys().filter(|module| !["main", "lib"].contains(&module.as_str())) {
        assert!(layer(module).is_some(), "{module} is in no layer");
    }
}

#[test]
fn imports_point_down() {
    assert_eq!(upward(&imports()), [""; 0]);
}

#[test]
fn a_turned_arrow_and_a_ring_are_found() {
    let of = |pairs: &[(&str, &str)]| -> Imports {
        let mut imports = Imports::new();
        for (module, other) in pairs {
            imports.entry((*module).to_owned()).or_default().insert((*other).to_owned());
        }
        imports
    };
    assert_eq!(upward(&of(&[("core::stream", "kube")])), ["core::stream imports kube"]);
    assert_eq!(upward(&of(&[("kube", "node::logs")])), ["kube imports node::logs"]);
    assert!(upward(&of(&[("agent", "core::stream"), ("core::a", "core::b")])).is_empty());
    assert_eq!(ring(&of(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap(), ["b", "c", "b"]);
    assert_eq!(ring(&of(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    let folders = of(&[("core::a::x", "core::b"), ("core::b", "core::a::y")]);
    assert_eq!(ring(&folders), None);
    assert!(ring(&between_folders(&folders, 2)).is_some());
    let mut found = Vec::new();
    expand("crate::core::{Now, stream::{self, Stream}, wire};", "", &mut found);
    assert_eq!(
        found,
        [
            "crate::core::Now",
            "crate::core::stream::self",
            "crate::core::stream::Stream",
            "crate::core::wire"
        ]
    );
    let expected = Some("core::b".to_owned());
    assert_eq!(absolute("core::a::x", "super::super::b"), expected);
    assert_eq!(absolute("core", "self::b"), expected);
}
#[test]
fn no_file_and_no_folder_imports_itself_by_way_of_another() {
    let imports = imports();
    assert_eq!(ring(&imports), None, "files");
    for depth in 1..=3 {
        assert_eq!(ring(&between_folders(&imports, depth)), None, "folders {depth} deep");
    }
}
