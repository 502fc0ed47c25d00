//! Perf maps and debug files on a file system that does not answer.
//!
//! In: root, `cc`, a FUSE file system over `/tmp` in the mount namespace of a process with JIT code. Out: an answer in time.

#![allow(clippy::unwrap_used, dead_code, reason = "a test that cannot set up fails")]

#[path = "symbol/program.rs"]
mod program;
mod support;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use profiler::profile::stack::{Reason, Resolution, StackId, StackTable};
use profiler::symbol::given::supply;
use profiler::symbol::{Interner, KernelSymbols, Limits};
use program::{CALLS, Program, compile};
use support::fuse::{Fuse, mount};
use support::{can_run, skipped};

const JIT: &str = r#"
#include <stdio.h>
#include <sys/mman.h>
int main(void) {
  printf("%p\n", mmap(0, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  fflush(stdout);
  getchar();
}
"#;

#[test]
fn a_tmp_that_does_not_answer_costs_its_names_and_no_time() {
    let test = "a_tmp_that_does_not_answer_costs_its_names_and_no_time";
    if !can_run(test, &["cc"]) {
        return;
    }
    let Some(server) = Fuse::serve(Vec::new()) else { return skipped(test, "this kernel has no FUSE") };
    let options = server.options();
    // Not below /tmp, which is another one there; the checkout may be.
    let target = env!("CARGO_TARGET_TMPDIR");
    let place = if target.starts_with("/tmp/") { "/var/tmp" } else { target };
    let directory = tempfile::tempdir_in(place).unwrap();
    let mut command = Command::new(compile(directory.path(), "cc", JIT, &[]));
    // SAFETY: what runs in the child calls the kernel only.
    unsafe {
        command.pre_exec(move || {
            let root = c"/".as_ptr();
            let private = libc::MS_REC | libc::MS_PRIVATE;
            let alone = libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(root, root, root, private, std::ptr::null()) == 0;
            let mounted = alone && mount(Path::new("/tmp"), &options);
            if mounted { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    let program = Program::start(&mut command);
    server.be_silent();
    let mut interner = Interner::new();
    let begin = Instant::now();
    interner.user_stack(StackId(1), program.pid(), &program.words[..1], false);
    let mut table = StackTable::default();
    let (modules, frames, stacks) = interner.take_new();
    table.extend(modules, frames, stacks);
    table.resolve(interner.symbolize(&KernelSymbols::parse(b""), &Limits::default()));
    // The child hangs for good; how long it is waited for does not depend on this machine.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let frame = table.frames(StackId(1)).unwrap()[0];
    assert_eq!(*table.resolution(frame), Resolution::Unnamed(Reason::Jit));
    let begin = Instant::now();
    interner.user_stack(StackId(2), program.pid(), &program.words[..1], false);
    assert!(begin.elapsed() < Duration::from_millis(100), "it is asked once more: {:?}", begin.elapsed());
}

#[test]
fn debug_files_that_do_not_answer_change_no_reason_and_no_other_name() {
    let test = "debug_files_that_do_not_answer_change_no_reason_and_no_other_name";
    if !can_run(test, &["cc"]) {
        return;
    }
    // Removed after the server is gone.
    let directory = tempfile::tempdir().unwrap();
    let Some(mut server) = Fuse::serve(Vec::new()) else { return skipped(test, "this kernel has no FUSE") };
    let debug = directory.path().join("debug");
    std::fs::create_dir(&debug).unwrap();
    let program = |name: &str, flags: &[&str]| {
        let own = directory.path().join(name);
        std::fs::create_dir(&own).unwrap();
        let flags = [flags, &["-O1", "-fno-toplevel-reorder", "-Wl,--build-id"]].concat();
        Program::start(&mut Command::new(compile(&own, "cc", CALLS, &flags)))
    };
    let (stripped, whole) = (program("stripped", &["-s"]), program("whole", &[]));
    if !server.mount(&debug) {
        return skipped(test, "FUSE cannot be mounted here");
    }
    server.be_silent();
    let mut interner = Interner::new();
    for (id, program) in [(1, &stripped), (2, &whole)] {
        interner.user_stack(StackId(id), program.pid(), &program.words, false);
    }
    let mut table = StackTable::default();
    let (modules, frames, stacks) = interner.take_new();
    table.extend(modules, frames, stacks);
    let begin = Instant::now();
    let limits = Limits { debug_dir: debug.clone(), ..Limits::default() };
    table.resolve(interner.symbolize(&KernelSymbols::parse(b""), &limits));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let leaf = |id| table.resolution(table.frames(StackId(id)).unwrap()[0]).clone();
    assert_eq!(leaf(1), Resolution::Unnamed(Reason::NoSymbol));
    assert_eq!(leaf(2), Resolution::Named(vec!["innermost".into()]));

    let begin = Instant::now();
    let error = supply(&debug, &table, &Limits::default()).unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(error.to_string().contains("does not answer"), "{error}");
}
