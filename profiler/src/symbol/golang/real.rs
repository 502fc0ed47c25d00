//! Programs that Go compiled, with and without symbols.
//!
//! In: `go` (another one is named by `TEST_GO`), `cc`, `strip`. Out: at thousands of addresses, the table of
//! the stripped program gives the same names as the symbols and the debug information of the unstripped one.
//! Go replaces type arguments by `[...]` in its table.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::mutate::Random;
use crate::profile::stack::{Resolution, Segment};
use crate::symbol::build_id::read_build_id;
use crate::symbol::headers::Elf;
use crate::symbol::job::{Job, Source};
use crate::symbol::limits::Limits;
use crate::symbol::names::Pool;
use crate::symbol::worker::run;

/// What a program of Go may consist of: methods, closures, type arguments, functions that are inlined.
const SHOP: &str = r#"
package main

import IMPORTS

type number interface{ ~int | ~float64 }
type till struct{ coins []int }

func (t *till) add(coin int) { t.coins = append(t.coins, rounded(coin)) }
func (t till) each(visit func(int)) {
	for _, coin := range t.coins {
		visit(coin)
	}
}
func rounded(coin int) int { return half(coin) * 2 }
func half(coin int) int    { return coin / 2 }

//go:noinline
func total[T number](values []T, start T) T {
	for _, value := range values {
		start += twice(value)
	}
	return start
}
func twice[T number](value T) T { return value + value }

func main() {
	var shop till
	for coin := 0; coin < 9; coin++ {
		shop.add(coin)
	}
	sum := 0
	shop.each(func(coin int) { sum += coin })
	USE(total(shop.coins, 0), total([]float64{1.5}, 2), sum)
}
"#;

const CGO: &str = r#"
package main

// #include <stdlib.h>
// __attribute__((noinline)) static int c_work(int n) { return rand() % (n + 1); }
import "C"
import "fmt"

func main() { fmt.Println(C.c_work(3)) }
"#;

/// Programs compiled by Go.
struct Go {
    directory: tempfile::TempDir,
}

impl Go {
    /// Go with this source; `None` where there is no Go, which is said.
    fn with(test: &str, source: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("go.mod"), "module shop\n\ngo 1.18\n").unwrap();
        fs::write(directory.path().join("main.go"), source).unwrap();
        let go = Self { directory };
        if go.command().arg("version").output().is_ok_and(|output| output.status.success()) {
            return Some(go);
        }
        println!("SKIPPED: {test} needs Go: apt-get install golang-go");
        None
    }

    fn command(&self) -> Command {
        let go = std::env::var_os("TEST_GO").unwrap_or_else(|| "go".into());
        let mut command = Command::new(go);
        // What is compiled for one run serves the next.
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/go-cache");
        command
            .current_dir(self.directory.path())
            .env("GOCACHE", cache)
            .env("GOFLAGS", "")
            .env("GOTOOLCHAIN", "local");
        command
    }

    fn build(&self, name: &str, words: &[&str]) -> PathBuf {
        let path = self.directory.path().join(name);
        let output = self.command().arg("build").args(words).arg("-o").arg(&path).arg(".").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    }

    /// The functions of a program: address, size, name.
    fn functions(&self, path: &Path) -> Vec<(u64, u64, String)> {
        let output = self.command().args(["tool", "nm", "-size"]).arg(path).output().unwrap();
        let line = |line: &str| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let size = words.next()?.parse().ok()?;
            let is_code = matches!(words.next()?, "T" | "t");
            is_code.then(|| (address, size, words.collect::<Vec<_>>().join(" ")))
        };
        let functions: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(line).collect();
        assert!(functions.len() > 500, "{} functions", functions.len());
        functions
    }
}

/// Names at linked addresses, by Go's own table or by what else there is.
fn names(path: &Path, addresses: &[u64], golang: bool) -> Vec<Resolution> {
    let file = File::open(path).unwrap();
    asked(path, addresses, |offsets, _| {
        let source = Source::Itself(String::new());
        Job { file: file.as_raw_fd(), offsets, dwarf: true, golang, source }
    })
}

/// The same as of a file that is given afterwards.
fn given(path: &Path, addresses: &[u64]) -> Vec<Resolution> {
    let directory = File::open(path.parent().unwrap()).unwrap();
    asked(path, addresses, |offsets, segments| {
        let build_id = read_build_id(&File::open(path).unwrap()).unwrap();
        let source = Source::Given { path: path.file_name().unwrap().into(), build_id, segments };
        Job { file: directory.as_raw_fd(), offsets, dwarf: true, golang: true, source }
    })
}

fn asked(path: &Path, addresses: &[u64], job: impl FnOnce(Vec<u64>, Vec<Segment>) -> Job) -> Vec<Resolution> {
    let file = File::open(path).unwrap();
    let segments = Elf::open(&file).unwrap().code();
    let offset = |address: &u64| {
        let held = |segment: &Segment| Some(segment.offset + address.checked_sub(segment.address)?);
        segments.iter().find_map(held).unwrap()
    };
    let mut jobs = [job(addresses.iter().map(offset).collect(), segments.clone())];
    run(&mut jobs, &Limits::default(), &mut Pool::default()).remove(0)
}

fn text(resolution: &Resolution) -> Vec<String> {
    match resolution {
        Resolution::Named(names) => names.iter().map(|name| as_in_table(name)).collect(),
        Resolution::Unnamed(reason) => vec![format!("{reason:?}")],
    }
}

/// A symbol's name as the table has it.
fn as_in_table(name: &str) -> String {
    // Names of types that are local to a function have a middle dot, which symbols spell as a dot.
    let name = name.trim_end_matches(".abi0").trim_end_matches(".abiinternal").replace('·', ".");
    match (name.find('['), name.rfind(']')) {
        (Some(begin), Some(end)) if begin < end => format!("{}[...]{}", &name[..begin], &name[end + 1..]),
        _ => name,
    }
}

/// Places in all functions, a few in each.
fn places(functions: &[(u64, u64, String)]) -> Vec<(u64, &str)> {
    let mut random = Random::new(7);
    let some = functions.iter().filter(|(_, size, _)| *size > 0);
    some.flat_map(|(address, size, name)| {
        [0, random.below(*size as usize), random.below(*size as usize)]
            .map(|into| (address + into as u64, name.as_str()))
    })
    .collect()
}

/// Compares what a stripped program's table says with symbols and debug information of the whole program.
fn compare(functions: &[(u64, u64, String)], whole: &Path, stripped: &Path) {
    let places = places(functions);
    let addresses: Vec<u64> = places.iter().map(|(address, _)| *address).collect();
    let found = names(stripped, &addresses, true);
    let told = names(whole, &addresses, false);
    let (mut inlined, mut wrappers) = (0, 0);
    for (((address, name), found), told) in places.iter().zip(&found).zip(&told) {
        let (found, told) = (text(found), text(told));
        assert_eq!(found.last().unwrap(), &as_in_table(name), "{address:x} in {}", stripped.display());
        inlined += found.len() - 1;
        if found != told {
            // Older debug information says nothing of what is inlined into the wrappers that Go makes for methods.
            assert!(is_wrapper(&found) && told == found[1..], "{address:x}: {found:?}, {told:?}");
            wrappers += 1;
        }
    }
    let places = places.len();
    println!("{}: {places} places, {inlined} inlined, {wrappers} in wrappers", stripped.display());
    assert!(places >= 1000 && inlined >= 100 && wrappers * 20 < inlined, "{inlined}, {wrappers} of {places}");
}

/// Whether these are `pack.Type.Method` and `pack.(*Type).Method`.
fn is_wrapper(names: &[String]) -> bool {
    matches!(names, [inner, outer] if outer.contains("(*") && *inner == outer.replace("(*", "").replace(")", ""))
}

#[test]
fn a_stripped_program_has_the_names_of_its_twin() {
    let imports = "(\n\t\"fmt\"\n\t\"sort\"\n)";
    let source = SHOP.replace("IMPORTS", imports).replace("USE", "sort.Ints(shop.coins); fmt.Println");
    let Some(go) = Go::with("a_stripped_program_has_the_names_of_its_twin", &source) else { return };
    let whole = go.build("whole", &[]);
    let stripped = go.build("stripped", &["-ldflags", "-s -w -B 0x0123456789abcdef"]);
    let functions = go.functions(&whole);
    compare(&functions, &whole, &stripped);
    let addresses: Vec<u64> = functions.iter().map(|(address, ..)| *address).collect();
    let told = names(&stripped, &addresses, true);
    assert_eq!(given(&stripped, &addresses), told, "given afterwards");
    // A source that cannot be read leaves the others.
    let symbols = damaged(&whole, &[".symtab", ".strtab", ".debug_", ".zdebug_"]);
    assert_eq!(names(&symbols, &addresses, true), told);
    let outer = |names: &Resolution| text(names).pop();
    let by_symbols = names(&damaged(&whole, &[".gopclntab"]), &addresses, true);
    assert_eq!(by_symbols.iter().map(outer).collect::<Vec<_>>(), told.iter().map(outer).collect::<Vec<_>>());
}

/// A copy of a program in which sections of these names are overwritten.
fn damaged(path: &Path, wanted: &[&str]) -> PathBuf {
    let mut bytes = fs::read(path).unwrap();
    let sections = Elf::open(bytes.as_slice()).unwrap().sections();
    let wanted = sections.iter().filter(|section| wanted.iter().any(|name| section.name.starts_with(name)));
    for section in wanted {
        bytes[section.offset as usize..(section.offset + section.bytes) as usize].fill(0xa5);
    }
    let copy = path.with_extension("damaged");
    fs::write(&copy, bytes).unwrap();
    copy
}

#[test]
fn a_program_that_may_lie_anywhere_has_the_names_of_its_twin() {
    // The runtime is compiled for it, and each package more.
    let source = SHOP.replace("import IMPORTS", "").replace("USE", "println");
    let Some(go) = Go::with("a_program_that_may_lie_anywhere_has_the_names_of_its_twin", &source) else {
        return;
    };
    let whole = go.build("whole", &["-buildmode=pie"]);
    compare(&go.functions(&whole), &whole, &go.build("stripped", &["-buildmode=pie", "-ldflags", "-s -w"]));
}

#[test]
fn code_in_c_keeps_its_own_names() {
    let Some(go) = Go::with("code_in_c_keeps_its_own_names", CGO) else { return };
    for (name, mode) in [("exe", "-buildmode=exe"), ("pie", "-buildmode=pie")] {
        let whole = go.build(name, &[mode]);
        let stripped = go.directory.path().join(format!("{name}-stripped"));
        let status = Command::new("strip").arg("-o").args([&stripped, &whole]).status().unwrap();
        assert!(status.success());
        let functions = go.functions(&whole);
        let at = |name: &str| functions.iter().find(|function| function.2 == name).unwrap().0;
        let code = at("runtime.text")..at("runtime.etext");
        let of_go: Vec<_> = functions.iter().filter(|function| code.contains(&function.0)).cloned().collect();
        let both = [at("c_work") + 4, at("main.main") + 4];
        let answers = names(&whole, &both, true);
        assert_eq!([text(&answers[0]), text(&answers[1])], [["c_work"], ["main.main"]]);
        let answers = names(&stripped, &both, true);
        assert_eq!([text(&answers[0]), text(&answers[1])], [["NoSymbol"], ["main.main"]]);
        compare(&of_go, &whole, &stripped);
    }
}
