//! Programs that are compiled, run and asked where they are.
//!
//! In: C or C++ source. Out: a running program that printed addresses of itself; killed when dropped.

#![allow(clippy::unwrap_used, reason = "what a test's own functions cannot do fails the test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use profiler::profile::Pid;

/// Three functions deep; the middle one ends in a call that never returns.
pub const CALLS: &str = r#"
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) void innermost(void *outer) {
  printf("%p %p %p\n", (char *)innermost + 4, __builtin_return_address(0), outer);
  fflush(stdout);
  getchar();
  exit(0);
}
/* Ends in a call that never returns: its return address belongs to the next function. */
__attribute__((noinline, noreturn)) void calls_at_its_end(void *outer) { innermost(outer); __builtin_unreachable(); }
__attribute__((noinline)) void after_the_end(void) { puts("never"); }
int main(void) { calls_at_its_end((char *)main + 1); }
"#;

/// A running program that printed what it wants to be asked; killed when dropped.
pub struct Program {
    pub child: Child,
    /// What it printed.
    pub words: Vec<u64>,
}

impl Program {
    /// Starts it; returns when it has said its addresses.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let words = said(&mut child);
        assert!(!words.is_empty(), "the program said nothing");
        Self { child, words }
    }

    /// Its pid.
    pub fn pid(&self) -> Pid {
        Pid(self.child.id())
    }
}

/// The addresses in the next line a program prints.
pub fn said(child: &mut Child) -> Vec<u64> {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let word = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    line.split_whitespace().map(word).collect()
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compiles a program in a directory; its path.
pub fn compile(directory: &Path, compiler: &str, source: &str, flags: &[&str]) -> PathBuf {
    let extension = if compiler == "c++" { "cc" } else { "c" };
    let (from, to) = (directory.join(format!("program.{extension}")), directory.join("program"));
    fs::write(&from, source).unwrap();
    let status = Command::new(compiler).args(flags).arg("-o").arg(&to).arg(&from).status().unwrap();
    assert!(status.success(), "{compiler} failed");
    to
}
