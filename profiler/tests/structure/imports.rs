//! Who imports whom, file by file.
//!
//! In: the sources of a crate by path. Out: for each file the files it imports: by `use` or by a path in its code, however
//! they are written, through re-exports to where a name is made. A `mod` line is no import, nor is what only tests use.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A crate's sources: path below its `src` → text without comments and tests.
pub struct Sources {
    files: BTreeMap<String, String>,
    /// Module, as `a::b` → its file.
    modules: BTreeMap<String, String>,
    /// Module → name → what it stands for, as a path from the crate's root.
    aliases: BTreeMap<String, BTreeMap<String, String>>,
}

impl Sources {
    /// Of these files; `root` is the one that is the crate.
    pub fn new(files: &[(String, String)], roots: &[&str]) -> Self {
        let tests = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
        let files: BTreeMap<String, String> = files
            .iter()
            .filter(|(path, _)| !tests(path))
            .map(|(path, text)| (path.clone(), spread(&code(text))))
            .collect();
        let modules = files.keys().map(|path| (module(path, roots), path.clone())).collect();
        let mut sources = Self { files, modules, aliases: BTreeMap::new() };
        for (path, text) in &sources.files {
            let here = module(path, roots);
            let names: BTreeMap<String, String> = uses(text)
                .into_iter()
                .filter(|(public, _)| *public)
                .filter_map(|(_, path)| {
                    let (path, name) = match path.split_once(" as ") {
                        Some((path, name)) => (path.to_owned(), name.to_owned()),
                        None => (path.clone(), path.rsplit("::").next()?.to_owned()),
                    };
                    Some((name, absolute(&path, &here)))
                })
                .collect();
            sources.aliases.insert(here, names);
        }
        sources
    }

    /// Importing file → imported files.
    pub fn edges(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut edges = BTreeMap::new();
        for (here, path) in &self.modules {
            let text = &self.files[path];
            let mut named: BTreeSet<String> = uses(text)
                .into_iter()
                .map(|(_, path)| path.split(" as ").next().unwrap_or("").to_owned())
                .collect();
            named.extend(paths(text));
            named.extend(self.children(here).filter(|child| names_child(text, child)).map(str::to_owned));
            let targets = named.iter().filter_map(|named| self.resolve(&absolute(named, here), 0));
            let targets: BTreeSet<String> = targets.filter(|target| target != path).collect();
            edges.insert(path.clone(), targets);
        }
        edges
    }

    /// The modules right below a module.
    fn children<'s>(&'s self, here: &'s str) -> impl Iterator<Item = &'s str> {
        self.modules.keys().filter_map(move |module| {
            let (parent, child) = module.rsplit_once("::").unwrap_or(("", module));
            (parent == here && !child.is_empty()).then_some(child)
        })
    }

    /// The file that makes what a path from the root names; none for what is of another crate.
    fn resolve(&self, path: &str, depth: u32) -> Option<String> {
        let (mut at, mut rest) = (String::new(), path.split("::").peekable());
        while let Some(next) = rest.peek() {
            let deeper = if at.is_empty() { (*next).to_owned() } else { format!("{at}::{next}") };
            if self.modules.contains_key(&deeper) {
                at = deeper;
                rest.next();
                continue;
            }
            let alias = self.aliases.get(&at).and_then(|names| names.get(*next)).filter(|_| depth < 8);
            if let Some(alias) = alias {
                let tail: Vec<&str> = rest.skip(1).collect();
                let whole = [&[alias.as_str()], tail.as_slice()].concat().join("::");
                // A re-export of another crate's name is the facade's own.
                return self.resolve(&whole, depth + 1).or_else(|| self.modules.get(&at).cloned());
            }
            break;
        }
        if at.is_empty() { None } else { self.modules.get(&at).cloned() }
    }
}

/// A shortest circle through each file that is in one, each told once as `a → b → a`; none is good.
pub fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut told: BTreeSet<String> = BTreeSet::new();
    let mut found = Vec::new();
    for start in edges.keys() {
        let Some(circle) = circle(edges, start) else { continue };
        if !circle.iter().any(|file| told.contains(*file)) {
            found.push([circle.as_slice(), &[start.as_str()]].concat().join(" → "));
        }
        told.extend(circle.into_iter().map(str::to_owned));
    }
    found
}

/// The files of a shortest way from a file back to itself.
fn circle<'e>(edges: &'e BTreeMap<String, BTreeSet<String>>, start: &'e str) -> Option<Vec<&'e str>> {
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut todo = VecDeque::from([start]);
    while let Some(file) = todo.pop_front() {
        for next in edges.get(file).into_iter().flatten().map(String::as_str) {
            if next == start {
                let back = |file: &&'e str| from.get(file).copied();
                let mut way: Vec<&str> = std::iter::successors(Some(file), back).collect();
                way.reverse();
                return Some(way);
            }
            if !from.contains_key(next) {
                from.insert(next, file);
                todo.push_back(next);
            }
        }
    }
    None
}

/// The module of a file: `a/b.rs` and `a/b/mod.rs` are `a::b`, the crate's root is empty.
fn module(path: &str, roots: &[&str]) -> String {
    if roots.contains(&path) {
        return String::new();
    }
    let stem = path.trim_end_matches(".rs");
    stem.strip_suffix("/mod").unwrap_or(stem).replace('/', "::")
}

/// A source without comments, and up to its tests.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Macros that each stage expands with the list of probes, spelled out: `$name` and `$file` are the list's.
fn spread(text: &str) -> String {
    let list = include_str!("../../src/probe.rs");
    let rows = list.lines().filter_map(|line| line.trim().strip_suffix("],")?.split_once(" ["));
    let kept = |line: &&str| !line.contains("::$name::");
    let mut whole = text.lines().filter(kept).collect::<Vec<_>>().join("\n");
    for (probe, pictures) in rows {
        let name = probe.rsplit(' ').next().unwrap_or_default();
        for line in text.lines().filter(|line| line.contains("::$name::")) {
            let line = line.replace("::$name::", &format!("::{name}::"));
            let files = pictures.split_whitespace().skip(1).step_by(2);
            let spelled = files.map(|file| line.replace("::$file::", &format!("::{file}::")));
            let spelled: Vec<String> =
                if line.contains("::$file::") { spelled.collect() } else { vec![line.clone()] };
            whole.extend(spelled.iter().flat_map(|line| ["\n", line.as_str()]));
        }
    }
    whole
}

/// The paths of all `use` lines, groups spelled out, with whether they are public.
fn uses(text: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let line = rest[..at].rsplit('\n').next().unwrap_or_default().trim();
        let (statement, after) = rest[at + 4..].split_once(';').unwrap_or((&rest[at + 4..], ""));
        if line.is_empty() || line.starts_with("pub") {
            let statement: String = statement.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut paths = Vec::new();
            expand("", &statement, &mut paths);
            found.extend(paths.into_iter().map(|path| (line.starts_with("pub"), path)));
        }
        rest = after;
    }
    found
}

/// `a::{b, c::{d, self}}` as `a::b`, `a::c::d`, `a::c`.
fn expand(prefix: &str, text: &str, found: &mut Vec<String>) {
    let mut depth = 0;
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    for part in parts.into_iter().map(str::trim).filter(|part| !part.is_empty()) {
        if let Some((head, group)) = part.split_once('{') {
            let group = group.trim().strip_suffix('}').unwrap_or(group);
            expand(&format!("{prefix}{head}"), group, found);
        } else if let Some(name) = part.strip_prefix("self") {
            found.push(format!("{}{name}", prefix.trim_end_matches("::")));
        } else {
            found.push(format!("{prefix}{part}"));
        }
    }
}

/// Paths in code that begin at the root or climb.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for door in ["crate::", "super::", "profiler::"] {
        for (at, _) in text.match_indices(door) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | '$' | ':')) {
                continue;
            }
            let path: String =
                text[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
            // What follows a group's door is in `uses`.
            if !path.ends_with(':') {
                found.push(path);
            }
        }
    }
    found
}

/// Whether code goes through a module below its own by a plain path.
fn names_child(text: &str, child: &str) -> bool {
    text.match_indices(&format!("{child}::")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | ':' | '.'))
    })
}

/// A path as it stands in module `here`, from the crate's root.
fn absolute(path: &str, here: &str) -> String {
    if let Some(rest) = path.strip_prefix("crate::").or_else(|| path.strip_prefix("profiler::")) {
        return rest.to_owned();
    }
    let mut base: Vec<&str> = here.split("::").filter(|part| !part.is_empty()).collect();
    let mut rest = path.strip_prefix("self::").unwrap_or(path);
    while let Some(up) = rest.strip_prefix("super::") {
        base.pop();
        rest = up;
    }
    // A plain path is of the module itself, or of another crate.
    base.push(rest);
    base.join("::")
}

mod tests {
    use super::*;

    fn edges(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let files: Vec<_> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let edges = Sources::new(&files, &["lib.rs"]).edges();
        edges.into_iter().flat_map(|(from, to)| to.into_iter().map(move |to| (from.clone(), to))).collect()
    }

    #[test]
    fn imports_are_found_however_they_are_written() {
        let one = ("a/one.rs", "pub struct One;");
        for text in [
            "use crate::a::one::One;",
            "use crate::a::{one::{self, One}};",
            "use super::one::One as Other;",
            "fn f() { super::super::a::one::f() }",
            "use crate::a::One;",
            "pub(crate) use super::One;",
            "mod x { fn f() -> crate::a::One {} }",
        ] {
            let found = edges(&[("lib.rs", ""), ("a/mod.rs", "pub use one::One;"), one, ("a/two.rs", text)]);
            assert!(found.contains(&("a/two.rs".into(), "a/one.rs".into())), "{text}: {found:?}");
        }
        for text in
            ["// crate::a::one", "use other_crate::a::one;", "#[cfg(test)]\nmod tests { use crate::a::one; }"]
        {
            assert_eq!(
                edges(&[("lib.rs", ""), ("a/mod.rs", "mod one;"), one, ("a/two.rs", text)]),
                [],
                "{text}"
            );
        }
    }

    #[test]
    fn a_circle_is_named_and_a_chain_is_none() {
        let circle =
            [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::C;"), ("c.rs", "use super::a::A;")];
        let files: Vec<_> = circle.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        assert_eq!(circles(&Sources::new(&files, &["lib.rs"]).edges()), ["a.rs → b.rs → c.rs → a.rs"]);
        assert_eq!(circles(&Sources::new(&files[..2], &["lib.rs"]).edges()), Vec::<String>::new());
    }
}
