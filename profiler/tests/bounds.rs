//! Captures that multiply: a few bytes that would be gigabytes of names, rows or warnings.
//!
//! In: captures made here, and the tool under a limit of memory. Out: it ends well, every file keeps its size, and what is
//! left out is counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage up must fail")]

#[path = "capture/forge.rs"]
#[expect(dead_code, reason = "the tests of captures use all of it")]
mod forge;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use forge::{cbor, forge};
use profiler::profile::rows::{CpuKey, SlowKey, StackSource};
use profiler::profile::stack::{Stack, Symbols};
use profiler::profile::*;
use serde_json::Value;

/// Address space of the tool, KiB: a gigabyte.
const MEMORY: u64 = 1 << 20;

/// Rows of long stacks. Optimized, as the suite runs this, as many as a chunk may hold; few in a debug build, which is slow.
const ROWS: u64 = if cfg!(debug_assertions) { 1_000 } else { 60_000 };
/// More than a chunk may hold.
const TOO_MANY_ROWS: u64 = 100_000;

/// Slow calls of a tenant's program, each with a stack of its own: 1,722 were seen in three seconds.
const TENANT: u64 = if cfg!(debug_assertions) { 360 } else { 1_722 };

/// A capture whose stacks are in kernel or user space, with the same names for each frame.
struct Made {
    interval: Interval,
    symbols: Symbols,
}

impl Made {
    fn new(frames: u32, space: FrameSpace, names: impl Fn(u32) -> Vec<Arc<str>>) -> Self {
        let mut interval = Interval { end_ns: 1_000_000_000, ..Interval::default() };
        interval.processes.push(Process { pid: Pid(7), comm: "tenant".into(), ..Process::default() });
        interval.frames = (0..frames).map(|at| Frame { space, address: u64::from(at) }).collect();
        let named = (0..frames).map(|at| (FrameId(at), Resolution::Named(names(at))));
        Self { interval, symbols: Symbols { frames: named.collect(), locks: Vec::new() } }
    }

    /// A stack, and slow calls and samples that have it.
    fn stack(&mut self, id: u64, frames: Vec<u32>) {
        let frames = frames.into_iter().map(FrameId).collect();
        self.interval.stacks.push(Stack { id: StackId(id), frames, truncated: false });
        let (kernel, user) = (StackId::NONE, StackId(id));
        self.interval.cpu.rows.insert(CpuKey { pid: Pid(7), kernel, user }, CpuRow { samples: id });
        let key = SlowKey { pid: Pid(7), nr: 0, kernel, user, source: StackSource::Wait };
        let row = SlowRow { count: 1, total_ns: 20_000_000, max_ns: 20_000_000, ..SlowRow::default() };
        self.interval.syscall.slow.insert(key, row);
        self.interval.syscall.rows.entry((Pid(7), 0)).or_default().latency.record(20_000_000);
    }

    fn bytes(self) -> Vec<u8> {
        let plan = |probe: &str| ProbePlan { probe: probe.into(), active: true, ..ProbePlan::default() };
        let header = Header { probes: vec![plan("syscall"), plan("cpu")], ..Header::default() };
        forge(&[
            (b"HEAD", cbor(&Chunk::Header(Box::new(header))), None),
            (b"INTV", cbor(&Chunk::Interval(Box::new(self.interval))), None),
            (b"SYMS", cbor(&Chunk::Symbols(self.symbols)), None),
            (b"END ", cbor(&Chunk::End(Box::default())), None),
        ])
    }
}

/// `profiler report CAPTURE ARGUMENTS` with a gigabyte of address space.
fn report(capture: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &MEMORY.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_profiler")).arg("report").arg(capture).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// Renders a capture in every format, and holds the sizes of all files; gives `summary.json`.
fn rendered(bytes: &[u8]) -> (Value, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("capture.profiler");
    fs::write(&capture, bytes).unwrap();
    fs::write(dir.path().join("tables"), report(&capture, &[]).stdout).unwrap();
    report(&capture, &["-o", dir.path().join("out").to_str().unwrap()]);
    for entry in fs::read_dir(dir.path().join("out")).unwrap() {
        let path = entry.unwrap().path();
        let most = if path.extension().unwrap() == "svg" { 5_000_000 } else { 20_000_000 };
        let size = fs::metadata(&path).unwrap().len();
        assert!(size <= most, "{}: {size} bytes", path.display());
    }
    let summary = fs::read(dir.path().join("out/summary.json")).unwrap();
    (serde_json::from_slice(&summary).unwrap(), dir)
}

fn counted(summary: &Value, class: &str) -> u64 {
    let entry = summary["losses"].as_array().unwrap().iter().find(|loss| loss["class"] == class);
    entry.unwrap()["count"].as_u64().unwrap()
}

/// The names of a row's stack, the root first.
fn names<'s>(summary: &'s Value, row: &Value) -> Vec<&'s str> {
    let path = &summary["stacks"][row["stack"].as_u64().unwrap() as usize];
    let name = |at: &Value| summary["names"][at.as_u64().unwrap() as usize].as_str().unwrap();
    path.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_frame_of_sixty_five_thousand_inlined_names_is_cut_and_counted() {
    let mut made =
        Made::new(1, FrameSpace::Vdso, |_| (0..65_000).map(|at| format!("inlined_{at}").into()).collect());
    made.stack(1, vec![0]);
    let (summary, _dir) = rendered(&made.bytes());
    assert_eq!(counted(&summary, "inlined_cut"), 1);
    let names = names(&summary, &summary["probes"]["cpu"]["rows"][0]);
    assert_eq!((names.len(), names[0], *names.last().unwrap()), (64, "inlined_64999", "inlined_0_[i]"));
}

#[test]
fn a_stack_of_many_frames_of_many_names_is_cut_and_counted() {
    let mut made = Made::new(512, FrameSpace::Kernel, |frame| {
        (0..3_000).map(|at| format!("f{}", (frame + at) % 4_000).into()).collect()
    });
    made.stack(1, (0..512).collect());
    let (summary, _dir) = rendered(&made.bytes());
    assert_eq!((counted(&summary, "inlined_cut"), counted(&summary, "stack_names_cut")), (512, 1));
    let row = &summary["probes"]["cpu"]["rows"][0];
    let names = names(&summary, row);
    assert_eq!(
        (names.len(), names[0]),
        (257, "[deeper frames cut]"),
        "256 names and what says that there are more"
    );
}

#[test]
fn a_tenants_deep_inlining_keeps_every_file_small_and_says_what_is_missing() {
    let long = "x".repeat(220);
    let mut made = Made::new(2_000, FrameSpace::Vdso, |frame| {
        (0..31).map(|at| format!("{long}{:05}", frame * 31 + at).into()).collect()
    });
    for id in 1..=TENANT {
        let path = (0..127u64).map(|depth| (id.wrapping_mul(2_654_435_761) >> (depth % 30)) % 2_000 + depth);
        made.stack(id, path.map(|frame| (frame % 2_000) as u32).collect());
    }
    let (summary, dir) = rendered(&made.bytes());
    assert_eq!(counted(&summary, "stack_names_cut"), TENANT);
    assert!(counted(&summary, "folded_cut") > 0);
    let text = fs::read_to_string(dir.path().join("tables")).unwrap();
    assert!(text.contains("left out of folded files") && text.contains("stacks cut at 256 names"), "{text}");
    for probe in ["cpu", "syscall"] {
        let folded = fs::read_to_string(dir.path().join(format!("out/{probe}.folded"))).unwrap();
        let weight = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
        let whole = if probe == "cpu" { TENANT * (TENANT + 1) / 2 } else { TENANT * 20_000_000 };
        assert_eq!(folded.lines().map(weight).sum::<u64>(), whole, "{probe}: the weights add up");
        assert!(
            folded.lines().last().unwrap().starts_with("[work];["),
            "{probe}: the last line sums the rest"
        );
    }
}

#[test]
fn rows_without_room_are_counted_by_list_and_the_heaviest_stay() {
    let mut made = Made::new(1, FrameSpace::Kernel, |_| vec!["f".into()]);
    for pid in 1..=100_000u32 {
        made.interval.processes.push(Process { pid: Pid(pid), comm: "many".into(), ..Process::default() });
        made.interval.syscall.rows.entry((Pid(pid), 0)).or_default().latency.record(u64::from(pid) * 1_000);
    }
    let (summary, _dir) = rendered(&made.bytes());
    let rows = summary["probes"]["syscall"]["rows"].as_array().unwrap();
    let left_out = summary["left_out"]["probes.syscall.rows"].as_u64().unwrap();
    assert_eq!((rows.len() as u64 + left_out, counted(&summary, "summary_cut")), (100_000, left_out));
    assert!(left_out > 0 && rows.len() > 20_000, "{left_out}");
    assert_eq!(rows[0]["pid"], 100_000);
    let lightest = rows.iter().map(|row| row["total_ns"].as_u64().unwrap()).min().unwrap();
    assert_eq!(lightest, (left_out + 1) * 1_000, "the lightest are left out");
}

/// Slow calls and samples, each with a stack of 512 frames of its own.
fn long_stacks(rows: u64) -> Vec<u8> {
    let mut made = Made::new(600, FrameSpace::Kernel, |frame| vec![format!("function_{frame}").into()]);
    for id in 1..=rows {
        let frames = (0..512u32).map(|depth| if depth < 8 { (id >> depth) as u32 % 600 } else { depth });
        made.stack(id, frames.collect());
    }
    made.bytes()
}

#[test]
fn rows_of_long_stacks_fit_into_memory() {
    let (summary, _dir) = rendered(&long_stacks(ROWS));
    assert_eq!(counted(&summary, "stack_names_cut"), ROWS);
}

#[test]
fn rows_that_take_more_memory_than_a_chunk_may_are_refused_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("capture.profiler");
    fs::write(&capture, long_stacks(TOO_MANY_ROWS)).unwrap();
    let said = String::from_utf8(report(&capture, &[]).stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("a chunk needs more memory than any this version reads"), "{said}");
}

#[test]
fn a_million_unknown_chunks_are_one_warning() {
    let mut chunks = vec![(b"HEAD", cbor(&Chunk::Header(Box::default())), None)];
    chunks.push((b"XTRA", Vec::new(), None));
    let one = forge(&chunks[1..]);
    let head = "profiler-capture 1\n".len();
    let mut bytes = forge(&chunks[..1]);
    bytes.extend(one[head..].repeat(1_000_000));
    bytes.extend(&forge(&[(b"END ", cbor(&Chunk::End(Box::default())), None)])[head..]);
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("capture.profiler");
    fs::write(&capture, bytes).unwrap();
    let told = String::from_utf8(report(&capture, &[]).stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{}", &told[..told.len().min(1_000)]);
    assert!(told.contains("1000000 chunks") && told.contains("\"XTRA\""), "{told}");
}

/// Shell loops: 3,000 processes that each made two calls from the same code, and one that lives.
fn loops(ended: bool) -> (Profile, Value) {
    let mut made = Made::new(2, FrameSpace::Vdso, |at| vec![format!("f{at}").into()]);
    for pid in 100..3_100u32 {
        let container = if pid % 2 == 0 { "web" } else { "" };
        let process =
            Process { pid: Pid(pid), comm: "sh".into(), container: container.into(), ..Process::default() };
        made.interval.processes.push(process);
        let user = StackId(u64::from(pid));
        made.interval.stacks.push(Stack { id: user, frames: vec![FrameId(0), FrameId(1)], truncated: false });
        let row = made.interval.syscall.rows.entry((Pid(pid), 1)).or_default();
        row.latency.record(1_000);
        row.latency.record(2_000);
        let key = CpuKey { pid: Pid(pid), kernel: StackId::NONE, user };
        made.interval.cpu.rows.insert(key, CpuRow { samples: 1 });
    }
    made.stack(1, vec![0]);
    made.interval.ended = if ended { (100..3_100).map(Pid).collect() } else { Vec::new() };
    let bytes = made.bytes();
    let profile = profiler::capture::read_from(bytes.as_slice(), bytes.len() as u64).unwrap();
    (profile, rendered(&bytes).0)
}

#[test]
fn ended_processes_are_summed_up_by_name_and_container_and_their_counts_stay() {
    let ((one_by_one, before), (summed, after)) = (loops(false), loops(true));
    let calls = |profile: &Profile| profile.syscall.rows.values().map(|row| row.latency.count()).sum::<u64>();
    assert_eq!((calls(&one_by_one), calls(&summed)), (6_001, 6_001));
    assert_eq!((one_by_one.syscall.rows.len(), summed.syscall.rows.len()), (3_001, 3));
    assert_eq!(
        (one_by_one.stacks.len(), summed.stacks.len()),
        (3_001, 2),
        "stacks with the same frames are one"
    );
    assert_eq!((one_by_one.cpu.rows.len(), summed.cpu.rows.len()), (3_001, 3));
    assert_eq!(summed.ledger.get(Class::ProcessFolded), 3_000);
    assert!(
        (100..3_100).all(|id| summed.stacks.frames(StackId(id)).is_some()),
        "an id may come again with its pid"
    );
    let rows = |summary: &Value| summary["probes"]["syscall"]["rows"].as_array().unwrap().clone();
    assert_eq!(rows(&before).len(), 3_001);
    let folded: Vec<_> = rows(&after).into_iter().filter(|row| row["pid"].is_null()).collect();
    let told: Vec<_> = folded
        .iter()
        .map(|row| (row["container"].as_str().unwrap(), &row["ended_processes"], &row["count"]))
        .collect();
    for container in ["web", ""] {
        assert!(told.contains(&(container, &1_500.into(), &3_000.into())), "{told:?}");
    }
    assert!(rows(&after).iter().any(|row| row["pid"] == 7), "who lives keeps its row");
}
