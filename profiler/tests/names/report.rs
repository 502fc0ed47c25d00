//! `report --symbols`: names for an old capture.
//!
//! In: captures of stripped programs, directories with their symbols, or with what somebody left there. Out: what `report` shows and says.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::inlined;
use super::split::{Split, packings, run, text};

/// What it prints on stdout and stderr.
fn report(capture: &Path, arguments: &[&str]) -> (String, String) {
    let begin = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_profiler"));
    let output = command.args(["report", text(capture)]).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{arguments:?}: {err}");
    assert!(begin.elapsed() < Duration::from_secs(50), "{arguments:?} took {:?}", begin.elapsed());
    (out, err)
}

const FOLDED: [&str; 4] = ["--format", "folded", "--probe", "cpu"];

fn folded(capture: &Path, symbols: &Path) -> (String, String) {
    report(capture, &[&FOLDED[..], &["--symbols", text(symbols)]].concat())
}

fn directory(split: &Split, name: &str) -> PathBuf {
    let directory = split.directory.path().join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn a_capture_is_named_afterwards_by_files_of_the_same_build() {
    let split = Split::new(&[]);
    let capture = split.capture(|_| {});
    let (plain, _) = report(&capture, &FOLDED);
    assert_eq!(plain.matches("[no symbol]").count(), 3, "{plain}");
    let (id, expected) = (split.build_id(), "main;calls_at_its_end;innermost 7\n");
    let named = |directory: &Path, what: &str| {
        let (out, err) = folded(&capture, directory);
        assert!(out.ends_with(expected), "{what}: {out}{err}");
        assert_eq!(err, "", "{what}");
    };
    let flat = directory(&split, "flat");
    fs::copy(&split.symbols, flat.join("whatever it is called")).unwrap();
    named(&flat, "flat");
    let deep = directory(&split, "deep/usr/lib/debug");
    fs::copy(&split.symbols, deep.join("web.debug")).unwrap();
    named(&split.directory.path().join("deep"), "deep");
    let layout = directory(&split, "layout");
    fs::copy(&split.symbols, split.place(&layout)).unwrap();
    named(&layout, "by build-id");
    let linked = directory(&split, "linked");
    fs::copy(&split.symbols, linked.join("web.debug")).unwrap();
    symlink("../../web.debug", split.place(&linked)).unwrap();
    named(&linked, "a link in the layout");

    // All outputs have the names.
    let (out, _) = report(&capture, &["--symbols", text(&flat)]);
    assert!(out.contains("innermost") && !out.contains("[no symbol]"), "{out}");
    let files = split.directory.path().join("files");
    report(&capture, &["--symbols", text(&flat), "-o", text(&files)]);
    for file in ["cpu.folded", "cpu.svg", "summary.json", "report.html"] {
        let bytes = fs::read(files.join(file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(file == "report.html" || text.contains("innermost"), "{file} has no names");
        assert!(!text.contains("[no symbol]"), "{file} lacks names");
    }
    let (out, err) = report(&capture, &[&FOLDED[..], &["--redact", "--symbols", text(&flat)]].concat());
    assert!(out.ends_with(expected) && err.is_empty(), "redacted: {out}{err}");
    let unnamed = |arguments: &[&str]| {
        let (out, _) = report(&capture, &[&["--format", "json"], arguments].concat());
        let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
        let losses = summary["losses"].as_array().unwrap().clone();
        let loss = losses.iter().find(|loss| loss["class"] == "user_frame_unnamed");
        loss.map(|loss| loss["count"].clone())
    };
    assert_eq!(unnamed(&[]), Some(3.into()));
    assert_eq!(
        unnamed(&["--symbols", text(&flat)]),
        Some(0.into()),
        "named frames are still counted as nameless"
    );

    // A file of another build names nothing, and the report says what is asked for.
    let other = directory(&split, "other");
    let another = Split::new(&["-O0"]);
    fs::copy(&another.symbols, other.join("web.debug")).unwrap();
    assert_ne!(another.build_id(), id);
    fs::copy(&another.symbols, split.place(&other)).unwrap();
    let (out, err) = folded(&capture, &other);
    assert_eq!(out.matches("[no symbol]").count(), 3, "{out}");
    assert!(err.contains("3 frames still have no name"), "{err}");
    assert!(err.contains(&format!("/program: 3 frames, build-id {id}")), "{err}");
}

#[test]
fn debug_information_adds_inlined_functions_also_where_it_is_compressed() {
    let split = Split::of(&inlined(), &[]);
    let capture = split.capture(|_| {});
    for how in ["none"].into_iter().chain(packings("report --symbols")) {
        let given = directory(&split, how);
        let packed = format!("--compress-debug-sections={how}");
        run("objcopy", &[&packed, text(&split.symbols), text(&given.join("x"))]);
        let (out, err) = folded(&capture, &given);
        assert!(out.contains("main;calls_at_its_end_[i];innermost 7"), "{how}: {out}{err}");
    }
}

/// What captures held before they had segments.
#[test]
fn an_older_capture_is_named_by_the_whole_program() {
    let split = Split::new(&[]);
    let capture = split.capture(|interval| {
        interval.modules.iter_mut().for_each(|module| module.segments.clear());
    });
    let given = directory(&split, "given");
    fs::copy(&split.symbols, given.join("separate")).unwrap();
    let (out, err) = folded(&capture, &given);
    assert_eq!(out.matches("[no symbol]").count(), 3, "{out}");
    assert!(err.contains("given/separate: the capture does not say where"), "{err}");
    // The program as it was before it was stripped.
    fs::copy(&split.whole, given.join("whole")).unwrap();
    let (out, _) = folded(&capture, &given);
    assert!(out.ends_with("main;calls_at_its_end;innermost 7\n"), "{out}");
}

#[test]
fn a_hostile_directory_costs_neither_time_nor_names() {
    let split = Split::new(&[]);
    let capture = split.capture(|_| {});
    let given = directory(&split, "given");
    run("mkfifo", &[text(&given.join("fifo"))]);
    symlink("/etc/shadow", given.join("shadow")).unwrap();
    symlink("..", given.join("up")).unwrap();
    fs::File::create(given.join("sparse")).unwrap().set_len(10 << 30).unwrap();
    fs::write(given.join("empty"), b"").unwrap();
    fs::write(given.join("text\x1b[31m"), b"hello").unwrap();
    let symbols = fs::read(&split.symbols).unwrap();
    fs::write(given.join("cut"), &symbols[..symbols.len() / 2]).unwrap();
    // Headers of sections and segments that lead anywhere.
    for (name, at) in [("wild-programs", 32), ("wild-sections", 40)] {
        let mut wild = symbols.clone();
        wild[at..at + 8].fill(0xf7);
        fs::write(given.join(name), &wild).unwrap();
    }
    let table = u64::from_le_bytes(symbols[40..48].try_into().unwrap()) as usize;
    let mut wild = symbols.clone();
    for header in wild[table + 64..].chunks_exact_mut(64).filter(|header| header[4] != 7) {
        header[24..40].fill(0x7f);
    }
    fs::write(given.join("wild-offsets"), &wild).unwrap();
    // An ELF file of the right build, and a length that no file has.
    let sparse = fs::File::create(given.join("large")).unwrap();
    sparse.write_all_at(&symbols, 0).unwrap();
    sparse.set_len(7 << 30).unwrap();
    fs::create_dir(given.join(".build-id")).unwrap();
    let place = split.place(&given);
    symlink("/etc/shadow", &place).unwrap();

    let (out, err) = folded(&capture, &given);
    assert!(out.ends_with("main;calls_at_its_end;innermost 7\n"), "the large one names it: {out}{err}");
    for (name, why) in [
        ("fifo", "not a regular file"),
        ("sparse", "larger than 8 GiB"),
        ("empty", "no 64-bit ELF file"),
        ("text", "no 64-bit ELF file"),
    ] {
        let line = err.lines().find(|line| line.contains(&format!("given/{name}")));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {err}");
    }
    assert!(!err.contains('\x1b') && !err.contains("root:"), "{err:?}");
    // Its notes and its symbols do not need segments.
    for name in ["large", "wild-programs"] {
        fs::remove_file(given.join(name)).unwrap();
    }
    let (out, err) = folded(&capture, &given);
    assert_eq!(out.matches("[no symbol]").count(), 3, "{out}");
    assert!(err.contains("3 frames still have no name") && err.contains("were not followed"), "{err}");
}

#[test]
fn a_directory_that_is_none_is_wrong_usage() {
    let split = Split::new(&[]);
    let capture = split.capture(|_| {});
    for path in [split.directory.path().join("gone"), split.program.clone()] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_profiler"));
        let output = command.args(["report", text(&capture), "--symbols", text(&path)]).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains("there is no such directory"), "{err}");
    }
}
