//! Names of stripped programs: from this machine's debug files, from packed sections, from files that are given to `report`.
//!
//! In: programs that are compiled and split here. Out: their functions, or `[no symbol]`.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

#[path = "symbol/program.rs"]
mod program;
#[path = "names/report.rs"]
mod report;
#[path = "names/split.rs"]
mod split;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use program::CALLS;
use split::{NAMES, NONE, Split, has_xz, is_root, packings, run, text};

/// `calls_at_its_end` is inlined into `main`: only debug information knows.
fn inlined() -> String {
    CALLS.replace(
        "__attribute__((noinline, noreturn)) void calls_at_its_end",
        "static inline __attribute__((always_inline)) void calls_at_its_end",
    )
}

#[test]
fn this_machines_debug_files_name_stripped_programs_by_build_id() {
    if !is_root("this_machines_debug_files_name_stripped_programs_by_build_id") {
        return;
    }
    let (split, debug) = (Split::new(&[]), tempfile::tempdir().unwrap());
    assert_eq!(split.names(debug.path()), NONE);
    let place = split.place(debug.path());
    fs::copy(&split.symbols, &place).unwrap();
    assert_eq!(split.names(debug.path()), NAMES);
    // As Fedora has it: a link to a place in the same directory.
    let elsewhere = debug.path().join("usr/bin/web.debug");
    fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
    fs::rename(&place, &elsewhere).unwrap();
    symlink("../../usr/bin/web.debug", &place).unwrap();
    assert_eq!(split.names(debug.path()), NAMES);

    let refused = |what: &str| assert_eq!(split.names(debug.path()), NONE, "{what}");
    chown(&elsewhere, Some(1000), None).unwrap();
    refused("another user's");
    chown(&elsewhere, Some(0), None).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o664)).unwrap();
    refused("a group may write it");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(split.names(debug.path()), NAMES);
    fs::remove_file(&place).unwrap();
    symlink(&split.symbols, &place).unwrap();
    refused("a link out of the directory");
    fs::remove_file(&place).unwrap();
    run("mkfifo", &[text(&place)]);
    refused("a FIFO");
    fs::remove_file(&place).unwrap();
    fs::copy(Split::new(&["-DOTHER", "-O0"]).symbols, &place).unwrap();
    refused("another build's");
    fs::write(&place, b"\x7fELF\x02\x01\x01 and so on").unwrap();
    refused("garbage");
}

#[test]
fn debug_links_are_followed_where_root_put_the_file() {
    if !is_root("debug_links_are_followed_where_root_put_the_file") {
        return;
    }
    let (split, debug) = (Split::new(&[]), tempfile::tempdir().unwrap());
    split.link("web.debug");
    let own = split.directory.path();
    for place in [
        debug.path().join(own.strip_prefix("/").unwrap()).join("web.debug"),
        own.join("web.debug"),
        own.join(".debug/web.debug"),
    ] {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        assert_eq!(split.names(debug.path()), NONE, "{place:?} is not there yet");
        fs::copy(&split.symbols, &place).unwrap();
        assert_eq!(split.names(debug.path()), NAMES, "{place:?}");
        chown(&place, Some(1000), None).unwrap();
        assert_eq!(split.names(debug.path()), NONE, "{place:?} is another user's");
        fs::remove_file(&place).unwrap();
    }
    let begin = Instant::now();
    run("mkfifo", &[text(&own.join("web.debug"))]);
    assert_eq!(split.names(debug.path()), NONE);
    fs::remove_file(own.join("web.debug")).unwrap();
    symlink(&split.symbols, own.join("web.debug")).unwrap();
    assert_eq!(split.names(debug.path()), NONE, "a link beside the program was followed");
    assert!(begin.elapsed() < Duration::from_secs(20), "a FIFO was opened");
}

#[test]
fn compressed_debug_information_tells_inlined_functions() {
    let nowhere = Path::new("/nonexistent");
    let packings = packings("compressed_debug_information_tells_inlined_functions");
    for how in &packings {
        let directory = tempfile::tempdir().unwrap();
        let program = program::compile(directory.path(), "cc", &inlined(), &["-O1", "-g"]);
        let packed = format!("--compress-debug-sections={how}");
        run("objcopy", &[&packed, text(&program)]);
        let (symbols, whole) = (program.clone(), program.clone());
        let split = Split { directory, program, symbols, whole };
        assert_eq!(split.names(nowhere)[..2], ["innermost", "calls_at_its_end < main"], "{how}");
    }
    if !is_root("compressed_debug_information_tells_inlined_functions") {
        return;
    }
    let (split, debug) = (Split::of(&inlined(), &[]), tempfile::tempdir().unwrap());
    let place = split.place(debug.path());
    for how in &packings {
        let packed = format!("--compress-debug-sections={how}");
        run("objcopy", &[&packed, text(&split.symbols), text(&place)]);
        assert_eq!(split.names(debug.path())[..2], ["innermost", "calls_at_its_end < main"], "{how}");
    }
}

/// Puts the symbols of a split program into it as distributions do.
fn hide(split: &Split, damage: impl FnOnce(&mut Vec<u8>)) {
    let mini = split.directory.path().join("mini");
    run("objcopy", &["--strip-debug", text(&split.symbols), text(&mini)]);
    run("xz", &["--force", "--keep", text(&mini)]);
    let packed = split.directory.path().join("mini.xz");
    let mut bytes = fs::read(&packed).unwrap();
    damage(&mut bytes);
    fs::write(&packed, bytes).unwrap();
    run("objcopy", &["--add-section", &format!(".gnu_debugdata={}", text(&packed)), text(&split.program)]);
}

#[test]
fn hidden_symbols_are_found_and_damaged_ones_leave_the_exported() {
    if !has_xz("hidden_symbols_are_found_and_damaged_ones_leave_the_exported") {
        return;
    }
    let nowhere = Path::new("/nonexistent");
    for (flags, whole, damaged) in [(&[][..], NAMES, NONE), (&["-rdynamic"][..], NAMES, NAMES)] {
        let split = Split::new(flags);
        assert_eq!(split.names(nowhere), damaged, "{flags:?} without");
        hide(&split, |_| {});
        assert_eq!(split.names(nowhere), whole, "{flags:?} whole");
        let middle: fn(&mut Vec<u8>) = |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0xa5);
        };
        let cut: fn(&mut Vec<u8>) = |bytes| bytes.truncate(bytes.len() / 2);
        let empty: fn(&mut Vec<u8>) = Vec::clear;
        for (what, damage) in [("overwritten", middle), ("cut", cut), ("empty", empty)] {
            let split = Split::new(flags);
            hide(&split, damage);
            assert_eq!(split.names(nowhere), damaged, "{flags:?} {what}");
        }
    }
}
