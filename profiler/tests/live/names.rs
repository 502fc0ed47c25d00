//! Stripped programs, recorded: one in C that burns and dies, and is named afterwards; a server in Go, which has its names in it.
//!
//! In: root, `cc`, `objcopy`, `strip`, `go`. Out: of C no name in the recording, and all of them in its report with the symbols'
//! directory; of Go its whole stack, from the goroutine's start to the function that is inlined where it burns.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a test that cannot set up fails, and each file uses a part of what they share"
)]

#[path = "../symbol/program.rs"]
mod program;

use std::fs;
use std::process::Command;

use crate::support::can_run;
use crate::support::live::profiler;

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

const SERVER: &str = r#"
package main

import (
	"net"
	"os"
	"time"
)

type shop struct {
	sold int
	till net.Conn
}

func coin(sold int) int { return sold*7 + 3 }

//go:noinline
func (s *shop) burn(long time.Duration) {
	for begin := time.Now(); time.Since(begin) < long; {
		for round := 0; round < 1_000_000; round++ {
			s.sold = coin(s.sold)
		}
	}
}

//go:noinline
func (s *shop) serve(long time.Duration) {
	var order [1]byte
	s.till.Read(order[:])
	s.burn(long)
	s.till.Write(order[:])
}

func main() {
	door, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	go func() {
		client, _ := net.Dial("unix", os.Args[1])
		client.Write([]byte{1})
		client.Read(make([]byte, 1))
	}()
	till, _ := door.Accept()
	(&shop{till: till}).serve(1500 * time.Millisecond)
}
"#;

#[test]
fn a_stripped_server_in_go_is_named_in_its_recording() {
    if !can_run("a_stripped_server_in_go_is_named_in_its_recording", &["go"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("main.go"), SERVER).unwrap();
    let mut go = Command::new("go");
    go.env("GOCACHE", path("cache")).env("GOFLAGS", "").current_dir(directory.path());
    let built = go.args(["build", "-ldflags", "-s -w", "-o", &path("server"), "main.go"]).status();
    assert!(built.unwrap().success());
    let out = path("out");
    let mut record = Command::new(profiler());
    record.args(["record", "-o", &out, "--probe", "cpu", "-F", "499", "--", &path("server"), &path("door")]);
    let output = record.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let recorded = fs::read_to_string(path("out/cpu.folded")).unwrap();
    let weight = |wanted: &dyn Fn(&str) -> bool| -> u64 {
        let lines = recorded.lines().filter_map(|line| line.rsplit_once(' '));
        lines.filter(|(stack, _)| wanted(stack)).map(|(_, weight)| weight.parse::<u64>().unwrap()).sum()
    };
    let burnt = weight(&|stack| stack.contains("main.(*shop).burn"));
    let whole = "runtime.goexit;runtime.main;main.main;main.(*shop).serve;main.(*shop).burn";
    let named = weight(&|stack| stack.contains(whole));
    let inlined = weight(&|stack| stack.contains("main.(*shop).burn;main.coin_[i]"));
    println!(
        "{burnt} samples in what burns, {named} with its whole stack, {inlined} in what is inlined there"
    );
    assert!(burnt > 50 && named * 100 >= burnt * 95 && inlined > 0, "{recorded}");
    assert!(!recorded.contains("server+0x"), "{recorded}");
}
