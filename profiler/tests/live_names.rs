//! A stripped program that burns and dies, recorded without its symbols, and named afterwards.
//!
//! In: root, `cc`, `objcopy`, `strip`. Out: no name in the recording; all of them in its report with the symbols' directory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a test that cannot set up fails, and each file uses a part of what they share"
)]

#[path = "symbol/program.rs"]
mod program;
mod support;

use std::fs;
use std::process::Command;

use support::can_run;
use support::live::profiler;

const DYING: &str = r#"
#include <time.h>
__attribute__((noinline)) void shop_boom(volatile int *where) { *where = 1; }
__attribute__((noinline)) long shop_burn(volatile long *count) {
  struct timespec now, begin;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do {
    for (int round = 0; round < 100000; round++) ++*count;
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < 1500);
  return *count;
}
int main(int words, char **word) {
  volatile long count = 0;
  long burnt = shop_burn(&count);
  shop_boom((volatile int *)(long)(words - 1));
  return (int)burnt;
}
"#;

#[test]
fn a_stripped_program_is_named_after_it_was_recorded() {
    if !can_run("a_stripped_program_is_named_after_it_was_recorded", &["cc", "objcopy", "strip"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let flags = ["-O1", "-g", "-fomit-frame-pointer", "-Wl,--build-id"];
    let program = program::compile(directory.path(), "cc", DYING, &flags);
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("symbols")).unwrap();
    for (tool, words) in [
        ("objcopy", &["--only-keep-debug", program.to_str().unwrap(), &path("symbols/any")][..]),
        ("strip", &["--strip-all", program.to_str().unwrap()]),
    ] {
        assert!(Command::new(tool).args(words).status().unwrap().success(), "{tool}");
    }
    let run = |words: &[&str]| {
        let output = Command::new(profiler()).args(words).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {err}");
        (String::from_utf8(output.stdout).unwrap(), err)
    };
    let (out, symbols) = (path("out"), path("symbols"));
    run(&["record", "-o", &out, "--probe", "cpu,crash", "--", program.to_str().unwrap()]);
    for (picture, leaf) in [("cpu", "main;shop_burn"), ("crash", "main;shop_boom")] {
        let recorded = fs::read_to_string(path(&format!("out/{picture}.folded"))).unwrap();
        assert!(recorded.contains("[no symbol]") && !recorded.contains("shop_"), "{picture}: {recorded}");
        let (named, err) =
            run(&["report", &out, "--symbols", &symbols, "--format", "folded", "--probe", picture]);
        assert!(named.contains(leaf) && !named.contains("program+0x"), "{picture}: {named}{err}");
    }
    let (tables, _) = run(&["report", &out, "--symbols", &symbols]);
    assert!(tables.contains("shop_boom < main"), "{tables}");
}
