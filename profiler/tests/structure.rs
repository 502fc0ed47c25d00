//! The rules of ARCHITECTURE.md and the house that no compiler holds: who imports whom, sizes, openings,
//! and documents that name what is there.
//!
//! In: the sources and documents of this checkout. Out: a list of what breaks a rule; it must be empty.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its checkout must fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "structure/imports.rs"]
mod imports;

use imports::{Sources, circles};

const LINES: usize = 400;
const LINES_KERNEL_SIDE: usize = 200;
/// Names that say nothing about what is inside.
const DRAWERS: [&str; 7] = ["util", "utils", "helpers", "shared", "common", "misc", "info"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Files below a directory with this extension, by path from the checkout's root; no build output.
fn files(extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut directories = vec![root()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            let built = ["target", "profiler-ebpf/target", "out", ".git"];
            if kind.is_dir() && !built.iter().any(|built| path == root().join(built)) {
                directories.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {extension} files: nothing is checked");
    found
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n  {}", broken.join("\n  "));
}

#[test]
fn every_source_opens_with_what_it_is_and_is_of_a_readable_size() {
    let mut broken = Vec::new();
    for (path, text) in files("rs") {
        if !text.starts_with("//! ") {
            broken.push(format!("{path} does not open with //!"));
        }
        let opening = text.lines().take_while(|line| line.starts_with("//!")).count();
        if opening > 10 {
            broken.push(format!("{path}: its opening has {opening} lines, over 10"));
        }
        let kernel_side = path.starts_with("profiler-ebpf/") && !path.contains("/tests/");
        let limit = if kernel_side { LINES_KERNEL_SIDE } else { LINES };
        let lines = text.lines().count();
        if lines > limit {
            broken.push(format!("{path} has {lines} lines, over {limit}"));
        }
        let stem = Path::new(&path).file_stem().unwrap().to_str().unwrap();
        if DRAWERS.contains(&stem) {
            broken.push(format!("{path} is a drawer by its name"));
        }
    }
    assert_none(&broken);
}

/// Module → what it may import, as ARCHITECTURE.md says it.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once("| Module | May import |\n").unwrap();
    let rows: Vec<&str> = rest.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    let modules = modules();
    let mut table = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [who, whom] = cells[..] else { panic!("not two cells: {row}") };
        let allowed = match whom.trim() {
            "everything" => modules.clone(),
            nothing if nothing.starts_with("nothing") => BTreeSet::new(),
            _ => quoted(whom),
        };
        for module in quoted(who) {
            let others = allowed.iter().filter(|other| **other != module).cloned().collect();
            assert!(table.insert(module, others).is_none(), "twice in the table: {row}");
        }
    }
    table
}

fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The modules that `lib.rs` declares.
fn modules() -> BTreeSet<String> {
    let lib = fs::read_to_string(root().join("profiler/src/lib.rs")).unwrap();
    lib.lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect()
}

#[test]
fn the_table_lists_every_module_and_has_no_cycle() {
    let table = table();
    let mut expected = modules();
    expected.insert("main".to_owned());
    assert_eq!(table.keys().cloned().collect::<BTreeSet<_>>(), expected);
    // Whoever imports only what is placed already is placed next; a cycle is never placed.
    let mut placed = BTreeSet::new();
    loop {
        let next: Vec<_> =
            table.iter().filter(|(who, whom)| !placed.contains(*who) && whom.is_subset(&placed)).collect();
        if next.is_empty() {
            break;
        }
        placed.extend(next.into_iter().map(|(who, _)| who.clone()));
    }
    assert_eq!(placed, expected, "the others import each other in a circle");
}

/// The sources below a folder, by path from there.
fn sources(folder: &str) -> Vec<(String, String)> {
    let all = files("rs").into_iter();
    let below = all.filter_map(|(path, text)| Some((path.strip_prefix(folder)?.to_owned(), text)));
    let below: Vec<_> = below.collect();
    assert!(below.len() > 5, "only {} sources in {folder}: the search is broken", below.len());
    below
}

/// The stage whose rules a file keeps. What is in a probe's folder belongs to the stage that its name tells.
fn stage(path: &str) -> &str {
    let first = path.split(['/', '.']).next().unwrap();
    let name = path.rsplit('/').next().unwrap();
    match (first, name) {
        ("probes", "plan.rs" | "slow_paths.rs") => "plan",
        ("probes", "rows.rs") => "profile",
        ("probes", "drain.rs") => "collect",
        ("probes", "mod.rs") => "probes",
        ("probes", _) => "render",
        _ => first,
    }
}

#[test]
fn imports_are_those_of_the_table() {
    let table = table();
    let edges = Sources::new(&sources("profiler/src/"), &["lib.rs"]).edges();
    let mut broken = Vec::new();
    let mut seen = 0;
    for (path, imported) in &edges {
        let Some(allowed) = table.get(stage(path)) else { continue };
        for whom in imported {
            seen += 1;
            if stage(whom) != stage(path) && !allowed.contains(stage(whom)) {
                broken.push(format!("{path} imports {whom}"));
            }
        }
    }
    assert!(seen > 300, "only {seen} imports found: the search is broken");
    assert_none(&broken);
}

/// Fails with the circles among the files of a crate.
fn assert_no_circle(folder: &str, root: &str) {
    let circles = circles(&Sources::new(&sources(folder), &[root]).edges());
    assert!(circles.is_empty(), "{folder}: circles of files:\n  {}", circles.join("\n  "));
}

#[test]
fn no_file_imports_itself_through_others() {
    assert_no_circle("profiler/src/", "lib.rs");
    assert_no_circle("profiler-common/src/", "lib.rs");
    assert_no_circle("profiler-ebpf/src/", "main.rs");
    assert_no_circle("profiler-ebpf/state/src/", "lib.rs");
    assert_no_circle("xtask/src/", "main.rs");
    assert_no_circle("xtask/judge/src/", "lib.rs");
    assert_no_circle("xtask/lab/src/", "main.rs");
    assert_no_circle("xtask/workload/src/", "main.rs");
}

/// A file that no `mod` line names is compiled by nobody, and its tests are run by nobody.
#[test]
fn every_file_is_a_module_of_another_one() {
    let sources = files("rs");
    let named_in = |directory: &Path, name: &str| {
        let line = format!("mod {name};");
        let named = |(path, text): &&(String, String)| {
            let path = Path::new(path);
            let owner = path.parent() == Some(directory) || path.with_extension("") == directory;
            owner && text.lines().any(|found| found.trim().ends_with(&line))
        };
        sources.iter().any(|source| named(&source))
    };
    let by_path = |path: &Path| {
        let end = path.components().rev().take(2).collect::<Vec<_>>().into_iter().rev().collect::<PathBuf>();
        sources.iter().any(|(_, text)| text.contains(&format!("{}\"]", end.display())))
    };
    let forgotten = sources.iter().map(|(path, _)| Path::new(path)).filter(|path| {
        let (directory, stem) = (path.parent().unwrap(), path.file_stem().unwrap().to_str().unwrap());
        let own_program = ["main", "lib", "build"].contains(&stem) || directory.ends_with("profiler/tests");
        let (directory, name) = match stem {
            "mod" => (directory.parent().unwrap(), directory.file_name().unwrap().to_str().unwrap()),
            stem => (directory, stem),
        };
        !own_program && !named_in(directory, name) && !by_path(path)
    });
    assert_none(&forgotten.map(|path| format!("no `mod` names {}", path.display())).collect::<Vec<_>>());
}

#[test]
fn every_crate_is_under_the_one_lint_table() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for lint in ["unwrap_used", "expect_used", "panic", "print_stdout", "undocumented_unsafe_blocks"] {
        assert!(workspace.contains(&format!("\n{lint} = \"deny\"")), "{lint} is not denied");
    }
    let mut broken = Vec::new();
    for (path, text) in files("toml") {
        let member = path.ends_with("/Cargo.toml") && path != "profiler-ebpf/Cargo.toml";
        if member && !text.contains("[lints]\nworkspace = true") {
            broken.push(format!("{path} is not under the workspace's lints"));
        }
    }
    assert_none(&broken);
}

/// Whether a path exists; one `*` in its last part stands for anything.
fn is_there(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((begin, end)) = name.split_once('*') else { return path.exists() };
    let entries = path.parent().map(fs::read_dir).into_iter().flatten().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end))
}

#[test]
fn documents_name_only_what_is_there() {
    let top: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let mut broken = Vec::new();
    let mut checked = 0;
    for (path, text) in files("md") {
        let here = root().join(&path);
        let here = here.parent().unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
        let links = links.map(|link| (link, here.join(link)));
        // A quoted path is one of ours when it begins with something that lies at the top.
        let code = text.split('`').skip(1).step_by(2);
        let code = code.filter(|word| !word.contains(char::is_whitespace) && word.contains('/'));
        let code = code.filter(|word| top.contains(word.split('/').next().unwrap_or_default()));
        let code = code.filter(|word| !word.starts_with("target/"));
        let code = code.map(|word| (word, root().join(word)));
        for (named, target) in links.chain(code) {
            checked += 1;
            if !is_there(&target) {
                broken.push(format!("{path} names {named}, which is not there"));
            }
        }
    }
    assert!(checked >= 5, "only {checked} paths found: the search is broken");
    assert_none(&broken);
}

#[test]
fn the_capture_document_is_of_the_version_that_is_written() {
    let text = fs::read_to_string(root().join("docs/capture.md")).unwrap();
    let version = profiler::capture::VERSION;
    for claim in [format!("## Layout, version {version}\n"), format!("profiler-capture {version}\\n")] {
        assert!(text.contains(&claim), "docs/capture.md does not say {claim:?}");
    }
}
