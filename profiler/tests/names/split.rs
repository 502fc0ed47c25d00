//! Programs whose symbols are elsewhere.
//!
//! In: `cc`, `objcopy`, `strip`, `xz`. Out: a stripped program and the file that has its symbols; stacks of it, named or not; captures.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    dead_code,
    reason = "what a test's own functions cannot do fails the test, and what is skipped is said"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use profiler::capture::Writer;
use profiler::profile::rows::CpuKey;
use profiler::profile::stack::{Resolution, StackId, StackTable, Symbols};
use profiler::profile::{Chunk, Class, CpuRow, End, Header, Interval, Pid, ProbePlan, Process};
use profiler::symbol::{Interner, KernelSymbols, Limits};

use super::program::{CALLS, Program, compile};

/// All functions of [`CALLS`] that are on its stack, leaf first.
pub const NAMES: [&str; 3] = ["innermost", "calls_at_its_end", "main"];
pub const NONE: [&str; 3] = ["NoSymbol"; 3];

/// A stripped program and the symbols that were in it.
pub struct Split {
    pub directory: tempfile::TempDir,
    pub program: PathBuf,
    /// What `objcopy --only-keep-debug` made of it.
    pub symbols: PathBuf,
    /// The program before it was stripped.
    pub whole: PathBuf,
}

impl Split {
    /// Compiles it with these flags, and splits it.
    pub fn new(flags: &[&str]) -> Self {
        Self::of(CALLS, flags)
    }

    /// The same of another source.
    pub fn of(source: &str, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let flags = [&["-O1", "-g", "-fno-toplevel-reorder", "-Wl,--build-id"], flags].concat();
        let program = compile(directory.path(), "cc", source, &flags);
        let symbols = directory.path().join("symbols");
        let whole = directory.path().join("whole");
        fs::copy(&program, &whole).unwrap();
        run("objcopy", &["--only-keep-debug", text(&program), text(&symbols)]);
        run("strip", &["--strip-all", text(&program)]);
        Self { directory, program, symbols, whole }
    }

    /// Lets the program name its symbols' file.
    pub fn link(&self, name: &str) {
        let linked = self.directory.path().join(name);
        fs::copy(&self.symbols, &linked).unwrap();
        run("objcopy", &[&format!("--add-gnu-debuglink={}", text(&linked)), text(&self.program)]);
        fs::remove_file(linked).unwrap();
    }

    /// Its build-id.
    pub fn build_id(&self) -> String {
        let file = fs::File::open(&self.program).unwrap();
        profiler::symbol::build_id::read_build_id(&file).unwrap()
    }

    /// The place of its symbols below a debug directory, which is made.
    pub fn place(&self, debug: &Path) -> PathBuf {
        let id = self.build_id();
        let directory = debug.join(".build-id").join(&id[..2]);
        fs::create_dir_all(&directory).unwrap();
        directory.join(format!("{}.debug", &id[2..]))
    }

    /// Runs it; the names of its stack, or why it has none.
    pub fn names(&self, debug: &Path) -> Vec<String> {
        functions(&self.table(debug))
    }

    /// Runs it; its stack.
    pub fn table(&self, debug: &Path) -> StackTable {
        let (interval, symbols) = self.recorded(debug);
        let mut table = StackTable::default();
        table.extend(interval.modules, interval.frames, interval.stacks);
        table.resolve(symbols);
        table
    }

    /// Runs it; what is recorded of its stack.
    fn recorded(&self, debug: &Path) -> (Interval, Symbols) {
        let program = Program::start(&mut Command::new(&self.program));
        let mut interner = Interner::new();
        interner.user_stack(StackId(1), program.pid(), &program.words, false);
        let limits = Limits { debug_dir: debug.to_owned(), ..Limits::default() };
        let (modules, frames, stacks) = interner.take_new();
        let symbols = interner.symbolize(&KernelSymbols::parse(b""), &limits);
        (Interval { end_ns: 1_000_000_000, modules, frames, stacks, ..Interval::default() }, symbols)
    }

    /// Records one sample of it into a capture without names of debug files.
    pub fn capture(&self, change: impl FnOnce(&mut Interval)) -> PathBuf {
        let (mut interval, symbols) = self.recorded(Path::new("/nonexistent"));
        interval.processes = vec![Process { pid: Pid(7), comm: "web".into(), ..Process::default() }];
        let key = CpuKey { pid: Pid(7), kernel: StackId::NONE, user: StackId(1) };
        interval.cpu.rows.insert(key, CpuRow { samples: 7 });
        change(&mut interval);
        let plan =
            ProbePlan { probe: "cpu".into(), backend: "perf".into(), active: true, ..ProbePlan::default() };
        let header = Header { probes: vec![plan], frequency_hz: 99, ..Header::default() };
        let directory = self.directory.path().join("capture");
        let mut writer = Writer::create(&directory).unwrap();
        writer.append(&Chunk::Header(Box::new(header))).unwrap();
        writer.append(&Chunk::Interval(Box::new(interval))).unwrap();
        writer.append(&Chunk::Symbols(symbols)).unwrap();
        let mut end = End { duration_ns: 1_000_000_000, ..End::default() };
        end.ledger.count(Class::UserFrameUnnamed, 3);
        writer.append(&Chunk::End(Box::new(end))).unwrap();
        writer.finish().unwrap();
        directory
    }
}

/// The names of stack 1, leaf first; inlined functions before the function that they are in.
pub fn functions(table: &StackTable) -> Vec<String> {
    let text = |resolution: &Resolution| match resolution {
        Resolution::Named(names) => names.join(" < "),
        Resolution::Unnamed(reason) => format!("{reason:?}"),
    };
    table.frames(StackId(1)).unwrap().iter().map(|frame| text(table.resolution(*frame))).collect()
}

pub fn run(tool: &str, arguments: &[&str]) {
    let status = Command::new(tool).args(arguments).status().unwrap();
    assert!(status.success(), "{tool} {arguments:?}");
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether this user is root; if not, says that a test is skipped.
pub fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: {test} needs root: debug files are believed only if root owns them");
    }
    root
}

/// How this machine's `objcopy` can compress debug information.
pub fn packings(test: &str) -> Vec<&'static str> {
    let help = Command::new("objcopy").arg("--help").output().unwrap().stdout;
    if String::from_utf8_lossy(&help).contains("zstd") {
        return vec!["zlib", "zstd"];
    }
    eprintln!("SKIPPED: {test} by zstd: this objcopy knows only zlib");
    vec!["zlib"]
}

/// Whether there is a packer for hidden symbols; if not, says that a test is skipped.
pub fn has_xz(test: &str) -> bool {
    let has = Command::new("xz").arg("--version").output().is_ok();
    if !has {
        eprintln!("SKIPPED: {test} needs xz (package xz-utils)");
    }
    has
}
