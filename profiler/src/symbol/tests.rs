//! Symbols of damaged programs, mangled names and tables of sockets: see `tests/fuzz/harness.rs`.
//!
//! In: the vDSO, a program with debug information where a compiler is at hand, the corpus in the tree. Out: names that
//! steer nothing and are no longer than they may be, from children that may die of what they read.

use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use crate::harness::mutate;
use crate::harness::{corpus, fuzz, fuzz_one_in};

use super::debug_file;
use super::headers::Elf;
use super::job::{Job, Source};
use super::limits::Limits;
use super::mangled::demangle;
use super::names::{NAME_BYTES, Pool, clean};
use super::plain::plain;
use super::worker::run;
use super::{role, socket, vdso};
use crate::hostile::acts;
use crate::profile::stack::Resolution;

/// Small programs: the vDSO, which is one, and one with debug information.
fn programs() -> Vec<Vec<u8>> {
    let mut image = Vec::new();
    let mut file = vdso::image().unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_end(&mut image).unwrap();
    let mut programs = vec![image];
    let directory = tempfile::tempdir().unwrap();
    let (source, object) = (directory.path().join("p.c"), directory.path().join("p.o"));
    std::fs::write(&source, "static int in(int x) { return x * 3; } int out(int x) { return in(x) + 1; }\n")
        .unwrap();
    let mut compiler = std::process::Command::new("cc");
    let compiled =
        compiler.args(["-g", "-O1", "-shared", "-nostdlib", "-o"]).arg(&object).arg(&source).status();
    if compiled.is_ok_and(|status| status.success()) {
        programs.push(std::fs::read(&object).unwrap());
    } else {
        println!("SKIPPED: no compiler here: only the vDSO is damaged, which has no debug information");
    }
    programs
}

#[test]
fn fuzz_symbols_of_programs() {
    let programs = [programs(), vec![packed()]].concat();
    let file = tempfile::tempfile().unwrap();
    let limits = Limits { stall: std::time::Duration::from_secs(5), ..Limits::default() };
    let offsets: Vec<u64> = (0..64).map(|at| at * 97).chain([u64::MAX, 1 << 40]).collect();
    fuzz_one_in(
        20,
        "elf",
        |random| mutate::bytes(&programs, random),
        |input| {
            file.set_len(0).unwrap();
            file.write_all_at(input, 0).unwrap();
            let mut jobs = [Job {
                file: file.as_raw_fd(),
                offsets: offsets.clone(),
                dwarf: true,
                golang: true,
                source: Source::Itself(String::new()),
            }];
            let answers = run(&mut jobs, &limits, &mut Pool::default());
            assert_eq!(answers[0].len(), offsets.len());
            for answer in &answers[0] {
                let Resolution::Named(names) = answer else { continue };
                assert!(!names.is_empty() && names.len() <= 33, "{} names", names.len());
                assert!(
                    names.iter().all(|name| name.len() <= NAME_BYTES && !name.chars().any(acts)),
                    "{names:?}"
                );
            }
        },
    );
}

/// The program with debug information once more: compressed, with a link to a debug file and hidden symbols.
fn packed() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let programs = programs();
    std::fs::write(path("whole"), programs.last().unwrap()).unwrap();
    std::fs::write(path("link"), b"p.debug\0abcd").unwrap();
    let (hidden, link) =
        (format!(".gnu_debugdata={}", path("mini.xz")), format!(".gnu_debuglink={}", path("link")));
    let run = |tool: &str, words: &[&str]| {
        std::process::Command::new(tool).args(words).status().is_ok_and(|status| status.success())
    };
    let (whole, mini, packed) = (path("whole"), path("mini"), path("packed"));
    let added = ["--compress-debug-sections=zstd", "--add-section", &hidden, "--add-section", &link];
    let made = run("objcopy", &["--strip-debug", &whole, &mini])
        && run("xz", &["--keep", &mini])
        && run("objcopy", &[&added[..], &[&whole, &packed]].concat());
    if made {
        return std::fs::read(packed).unwrap();
    }
    println!("SKIPPED: no objcopy or xz here: packed symbols are not damaged");
    programs.concat()
}

/// What is read before symbols are: headers, build-ids, links to debug files, packed sections.
#[test]
fn fuzz_headers_links_and_packed_symbols() {
    let programs = [programs(), vec![packed()]].concat();
    let file = tempfile::tempfile().unwrap();
    fuzz_one_in(
        4,
        "headers",
        |random| mutate::bytes(&programs, random),
        |input| {
            file.set_len(0).unwrap();
            file.write_all_at(input, 0).unwrap();
            let _ = (plain(&file, true), plain(&file, false));
            let _ = debug_file::find(&file, "/usr/bin/p", std::path::Path::new("/nonexistent"));
            let Some(elf) = Elf::open(&file) else { return };
            let _ = (elf.code(), elf.has_code());
        },
    );
}

#[test]
fn fuzz_mangled_names() {
    let names = corpus("names");
    fuzz(
        "mangled",
        |random| mutate::bytes(&names, random),
        |input| {
            let text = String::from_utf8_lossy(input);
            for word in text.split([' ', ';']) {
                let name = clean(&demangle(word), NAME_BYTES);
                assert!(name.len() <= NAME_BYTES && !name.chars().any(acts), "{name:?}");
            }
        },
    );
}

#[test]
fn fuzz_tables_of_sockets() {
    let tables = corpus("net");
    fuzz(
        "net",
        |random| mutate::bytes(&tables, random),
        |input| {
            let table = String::from_utf8_lossy(input);
            let _ = socket::Connections::parse(&table);
            let names = socket::UnixNames::parse(&table);
            for inode in [0, 7001, 7002, 17002, u64::MAX] {
                let _ = names.name(inode);
            }
            role::read_tables(&table);
        },
    );
}
