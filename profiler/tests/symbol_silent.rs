//! Perf maps on a file system that does not answer.
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
use profiler::symbol::{Interner, KernelSymbols, Limits};
use program::{Program, compile};
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
    // Not below /tmp, which is another one there.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
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
