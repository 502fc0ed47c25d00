//! Symbols of real programs: compiled here, run, killed, deleted, stripped, hostile.
//!
//! In: `cc` and `c++`. Out: names through the public face of `symbol`.

#![expect(clippy::unwrap_used, reason = "what a test's own functions cannot do fails the test")]

#[path = "symbol/program.rs"]
mod program;
#[path = "symbol/stacks.rs"]
mod stacks;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use profiler::profile::Pid;
use profiler::profile::stack::{Frame, FrameSpace, Reason, Resolution, StackId, StackTable};
use profiler::symbol::{Interner, KernelSymbols, Limits};
use program::{CALLS, Program, compile, said};

/// All that an interner was given, with names.
fn table(interner: &mut Interner) -> StackTable {
    let mut table = StackTable::default();
    let (modules, frames, stacks) = interner.take_new();
    table.extend(modules, frames, stacks);
    table.resolve(interner.symbolize(&KernelSymbols::parse(b""), &Limits::default()));
    table
}

fn named(interner: &mut Interner, id: StackId) -> Vec<(Frame, Resolution)> {
    let table = table(interner);
    let frames = table.frames(id).unwrap();
    frames.iter().map(|frame| (table.frame(*frame).unwrap(), table.resolution(*frame).clone())).collect()
}

fn functions(stack: &[(Frame, Resolution)]) -> Vec<String> {
    let text = |resolution: &Resolution| match resolution {
        Resolution::Named(names) => names.join(" < "),
        Resolution::Unnamed(reason) => format!("{reason:?}"),
    };
    stack.iter().map(|(_, resolution)| text(resolution)).collect()
}

#[test]
fn names_outlive_the_process_and_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let flags = ["-O1", "-fno-omit-frame-pointer", "-fno-toplevel-reorder"];
    let path = compile(directory.path(), "cc", CALLS, &flags);
    let program = Program::start(&mut Command::new(&path));
    let mut interner = Interner::new();
    interner.pin(program.pid());
    let (pid, words) = (program.pid(), program.words.clone());
    drop(program);
    drop(directory);
    interner.user_stack(StackId(7), pid, &words, false);
    let stack = named(&mut interner, StackId(7));
    assert_eq!(functions(&stack), ["innermost", "calls_at_its_end", "main"]);
    assert!(matches!(stack[0].0.space, FrameSpace::Module(_)));
    assert_eq!(interner.unpinned(), 0);
}

#[test]
fn modules_know_their_path_and_build_id_and_come_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = compile(directory.path(), "cc", CALLS, &["-Wl,--build-id=0x0123456789abcdef"]);
    let program = Program::start(&mut Command::new(&path));
    let again = Program::start(&mut Command::new(&path));
    let mut interner = Interner::new();
    interner.pin(program.pid());
    let (modules, ..) = interner.take_new();
    let module = modules.iter().find(|module| Path::new(&module.path) == path).expect("no such module");
    assert_eq!(module.build_id, "0123456789abcdef");
    interner.forget(program.pid());
    interner.pin(program.pid());
    interner.pin(again.pid());
    assert!(interner.take_new().0.is_empty(), "a file was made a module twice");
}

#[test]
fn inlined_functions_come_first() {
    let source = CALLS.replace(
        "__attribute__((noinline, noreturn)) void calls_at_its_end",
        "static inline __attribute__((always_inline)) void calls_at_its_end",
    );
    let directory = tempfile::tempdir().unwrap();
    let path = compile(directory.path(), "cc", &source, &["-O1", "-g"]);
    let program = Program::start(&mut Command::new(&path));
    let mut interner = Interner::new();
    interner.user_stack(StackId(1), program.pid(), &program.words, true);
    let stack = named(&mut interner, StackId(1));
    assert_eq!(functions(&stack)[..2], ["innermost", "calls_at_its_end < main"]);
}

#[test]
fn cpp_names_are_demangled() {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <cstdio>\n\
        namespace shop { struct Till { __attribute__((noinline)) static int ring(int coins); }; }\n\
        int shop::Till::ring(int coins) { printf(\"%p\\n\", (void *)&ring); fflush(stdout); getchar(); return coins; }\n\
        int main() { return shop::Till::ring(3); }\n";
    let path = compile(directory.path(), "c++", source, &["-O1"]);
    let program = Program::start(&mut Command::new(path));
    let mut interner = Interner::new();
    interner.user_stack(StackId(1), program.pid(), &program.words, false);
    assert_eq!(functions(&named(&mut interner, StackId(1))), ["shop::Till::ring(int)"]);
}

/// Such names are types in the mangling of C++.
#[test]
fn names_of_c_stay_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <stdio.h>\n\
        __attribute__((noinline)) int Pc(int n) { printf(\"%p\\n\", (void *)&Pc); fflush(stdout); return getchar() + n; }\n\
        int main() { return Pc(3) + 1; }\n";
    for flags in [["-O1", "-g"], ["-O1", "-g0"]] {
        let path = compile(directory.path(), "cc", source, &flags);
        let program = Program::start(&mut Command::new(path));
        let mut interner = Interner::new();
        interner.user_stack(StackId(1), program.pid(), &program.words, false);
        assert_eq!(functions(&named(&mut interner, StackId(1))), ["Pc"]);
    }
}

#[test]
fn stripped_static_programs_keep_module_and_offset() {
    let directory = tempfile::tempdir().unwrap();
    let path = compile(directory.path(), "cc", CALLS, &["-static", "-s"]);
    let program = Program::start(&mut Command::new(&path));
    let mut interner = Interner::new();
    interner.user_stack(StackId(1), program.pid(), &program.words, false);
    let stack = named(&mut interner, StackId(1));
    assert_eq!(functions(&stack)[0], "NoSymbol");
    let FrameSpace::Module(module) = stack[0].0.space else { panic!("no module: {stack:?}") };
    assert_eq!(Path::new(&interner.module(module).unwrap().path), path);
    assert!(stack[0].0.address > 0 && stack[0].0.address < fs::metadata(&path).unwrap().len());
}

#[test]
fn files_of_another_mount_namespace_are_found() {
    if !fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t0\t") {
        eprintln!("SKIPPED: files_of_another_mount_namespace_are_found needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = compile(directory.path(), "cc", CALLS, &["-O1", "-fno-toplevel-reorder"]);
    let script = "mount -t tmpfs none /mnt && cp \"$1\" /mnt/hidden && rm \"$1\" && exec /mnt/hidden";
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]).arg(&path);
    let program = Program::start(&mut command);
    let mut interner = Interner::new();
    interner.pin(program.pid());
    let (pid, words) = (program.pid(), program.words.clone());
    drop(program);
    interner.user_stack(StackId(1), pid, &words, false);
    let stack = named(&mut interner, StackId(1));
    assert_eq!(functions(&stack), ["innermost", "calls_at_its_end", "main"]);
    let FrameSpace::Module(module) = stack[0].0.space else { panic!("no module: {stack:?}") };
    assert_eq!(interner.module(module).unwrap().path, "/mnt/hidden");
}

#[test]
fn the_dead_and_the_unmapped_say_so() {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = Pid(child.id());
    child.wait().unwrap();
    let mut interner = Interner::new();
    interner.user_stack(StackId(1), pid, &[0x1000], false);
    interner.user_stack(StackId(2), Pid(std::process::id()), &[0x10], false);
    let table = table(&mut interner);
    let reason = |id| table.resolution(table.frames(StackId(id)).unwrap()[0]).clone();
    assert_eq!(reason(1), Resolution::Unnamed(Reason::ProcessGone));
    assert_eq!(reason(2), Resolution::Unnamed(Reason::Unmapped));
}

const JIT: &str = r#"
#include <stdio.h>
#include <sys/mman.h>
static void say(int length) {
  printf("%p\n", mmap(0, length, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  fflush(stdout);
  getchar();
}
int main(void) { say(8192); say(1 << 22); }
"#;

/// A program with JIT code and the perf map it would write; both gone when dropped.
struct Jit {
    program: Program,
    map: PathBuf,
    interner: Interner,
}

impl Jit {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::start(&mut Command::new(compile(directory.path(), "cc", JIT, &[])));
        let map = format!("/tmp/perf-{}.map", program.child.id()).into();
        Self { program, map, interner: Interner::new() }
    }

    /// What the code is called, `offset` bytes from its start.
    fn name(mut self, offset: u64) -> String {
        let address = self.program.words[0] + offset;
        self.interner.user_stack(StackId(1), self.program.pid(), &[address], false);
        let start = Instant::now();
        let names = functions(&named(&mut self.interner, StackId(1)));
        assert!(start.elapsed() < Duration::from_secs(20), "reading a perf map hung");
        names[0].clone()
    }

    fn line(&self, name: &str) -> String {
        format!("{:x} 40 {name}\n", self.program.words[0])
    }
}

impl Drop for Jit {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.map);
    }
}

#[test]
fn perf_maps_name_jit_code() {
    let jit = Jit::start();
    fs::write(&jit.map, jit.line("Lfoo;::bar")).unwrap();
    assert_eq!(jit.name(8), "Lfoo;::bar");
    let jit = Jit::start();
    fs::write(&jit.map, format!("garbage\n\0\n0x{}", jit.line("with 0x"))).unwrap();
    assert_eq!(jit.name(8), "with 0x");
    let jit = Jit::start();
    fs::write(&jit.map, jit.line("too short")).unwrap();
    assert_eq!(jit.name(0x40), "Jit");
    assert_eq!(Jit::start().name(0), "Jit");
}

#[test]
fn hostile_perf_maps_are_refused() {
    let jit = Jit::start();
    assert!(Command::new("mkfifo").arg(&jit.map).status().unwrap().success());
    assert_eq!(jit.name(0), "Jit");
    let jit = Jit::start();
    std::os::unix::fs::symlink("/etc/shadow", &jit.map).unwrap();
    assert_eq!(jit.name(0), "Jit");

    let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
    let target = elsewhere.path().join("target");
    let jit = Jit::start();
    fs::write(&target, jit.line("through_a_link")).unwrap();
    std::os::unix::fs::symlink(&target, &jit.map).unwrap();
    assert_eq!(jit.name(0), "Jit");
    let jit = Jit::start();
    fs::write(&target, jit.line("a_second_name")).unwrap();
    fs::hard_link(&target, &jit.map).unwrap();
    assert_eq!(jit.name(0), "Jit");

    let jit = Jit::start();
    fs::write(&jit.map, jit.line("before_the_hole")).unwrap();
    fs::OpenOptions::new().write(true).open(&jit.map).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(jit.name(0), "before_the_hole");
}

#[test]
fn memory_mapped_later_is_found() {
    let mut jit = Jit::start();
    jit.interner.pin(jit.program.pid());
    jit.program.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    jit.program.words = said(&mut jit.program.child);
    assert_eq!(jit.name(0x10_0000), "Jit");
}

const LATER: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
static void say(void *place) { printf("%p\n", place); fflush(stdout); getchar(); }
int main(void) { say((void *)main); say(dlsym(dlopen("libm.so.6", RTLD_NOW), "tgamma")); }
"#;

#[test]
fn code_mapped_after_readings_in_vain_is_found_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = compile(directory.path(), "cc", LATER, &["-ldl"]);
    let mut program = Program::start(&mut Command::new(&path));
    let (pid, mut interner, mut table) = (program.pid(), Interner::new(), StackTable::default());
    // Addresses that nothing covers: the maps are not read again for a while.
    (0..12).for_each(|id| interner.user_stack(StackId(id), pid, &[0x10 + id], false));
    program.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    interner.user_stack(StackId(99), pid, &said(&mut program.child), false);
    for last in [false, true] {
        interner.settle(last);
        let (modules, frames, stacks) = interner.take_new();
        table.extend(modules, frames, stacks);
    }
    table.resolve(interner.symbolize(&KernelSymbols::parse(b""), &Limits::default()));
    let frame = table.frames(StackId(99)).unwrap()[0];
    let FrameSpace::Module(module) = table.frame(frame).unwrap().space else { panic!("not found") };
    assert!(table.module(module).unwrap().path.contains("libm"));
    let unmapped =
        table.iter_frames().filter(|(id, _)| *table.resolution(*id) == Resolution::Unnamed(Reason::Unmapped));
    assert_eq!(unmapped.count(), 12, "what was found is not counted as unnamed");
}

#[test]
fn forgetting_keeps_the_names_of_the_program_before() {
    let mut jit = Jit::start();
    fs::write(&jit.map, jit.line("before_exec")).unwrap();
    jit.interner.user_stack(StackId(1), jit.program.pid(), &jit.program.words, false);
    jit.interner.forget(jit.program.pid());
    fs::write(&jit.map, jit.line("after_exec")).unwrap();
    assert_eq!(functions(&named(&mut jit.interner, StackId(1))), ["before_exec"]);
}

#[test]
fn the_vdso_has_names() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let start = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    let mut interner = Interner::new();
    let addresses: Vec<_> = (0..100).map(|step| start + 0x400 + step * 0x20).collect();
    interner.user_stack(StackId(1), Pid(std::process::id()), &addresses, false);
    let stack = named(&mut interner, StackId(1));
    assert!(stack.iter().all(|(frame, _)| frame.space == FrameSpace::Vdso));
    let names = functions(&stack);
    assert!(names.iter().any(|name| name.contains("gettime")), "{names:?}");
}

#[test]
fn links_to_debug_files_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = compile(directory.path(), "cc", CALLS, &["-O1", "-fno-toplevel-reorder"]);
    let (fifo, link) = (directory.path().join("fifo"), directory.path().join("link"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut section = fifo.to_str().unwrap().as_bytes().to_vec();
    section.resize((section.len() + 1).next_multiple_of(4) + 4, 0);
    fs::write(&link, section).unwrap();
    let added = format!(".gnu_debuglink={}", link.display());
    assert!(Command::new("objcopy").arg("--add-section").arg(added).arg(&path).status().unwrap().success());
    let program = Program::start(&mut Command::new(&path));
    let mut interner = Interner::new();
    interner.user_stack(StackId(1), program.pid(), &program.words, false);
    let start = Instant::now();
    assert_eq!(functions(&named(&mut interner, StackId(1))), ["innermost", "calls_at_its_end", "main"]);
    assert!(start.elapsed() < Limits::default().stall, "a link to a FIFO was opened");
}

#[test]
fn this_kernel_names_its_functions() {
    let kernel = KernelSymbols::read().unwrap();
    if kernel.hidden() {
        eprintln!("SKIPPED: this_kernel_names_its_functions: /proc/kallsyms hides its addresses");
        return;
    }
    let address = kernel.lookup("__x64_sys_read").or_else(|| kernel.lookup("ksys_read")).unwrap();
    let symbol = kernel.resolve(address + 5).unwrap();
    assert!(symbol.name.ends_with("sys_read") && symbol.module.is_none() && symbol.offset == 5, "{symbol:?}");
    let mut interner = Interner::new();
    interner.kernel_stack(StackId(1), &[address, address + 5, 0x1000], false);
    let first = interner.symbolize_kernel_new(&kernel);
    assert_eq!(first.frames.len(), 2);
    assert!(interner.symbolize_kernel_new(&kernel).frames.is_empty(), "named twice");
    let last = interner.symbolize(&kernel, &Limits::default());
    assert_eq!(last.frames.len(), 1);
    assert_eq!(last.frames[0].1, Resolution::Unnamed(Reason::NoSymbol));
}

#[test]
fn a_hidden_kernel_says_so() {
    let kernel = KernelSymbols::parse(b"0000000000000000 T __x64_sys_read\n");
    let mut interner = Interner::new();
    interner.kernel_stack(StackId(1), &[0xffff_ffff_8100_0000], false);
    let symbols = interner.symbolize(&kernel, &Limits::default());
    assert_eq!(symbols.frames[0].1, Resolution::Unnamed(Reason::KernelHidden));
}
