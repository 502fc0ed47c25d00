//! The `lock` probe against workloads that know how long they waited, and against bpftrace over the same
//! tracepoints in the same window.
//!
//! In: root, bpftrace, two CPUs. Out: the right callers, counts and sums; our own locks and interrupts apart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot set up fails, and its figures are worth reading"
)]

use std::collections::BTreeMap;

use crate::support::host::call_ns;
use crate::support::live::{Recorded, Recording, Workload, assert_within, bucket, number, stack};
use crate::support::witness::{Waits, Witness};
use crate::support::{can_run, has_two_cpus};
use profiler_common::lock::flag;
use serde_json::Value;

/// One workload, measured by the profiler and by bpftrace from before its first wait to after its last.
struct Both {
    recorded: Recorded,
    /// What the workload says.
    truth: Value,
    pid: u32,
    seen: BTreeMap<u32, Waits>,
}

fn measure(test: &str, words: &[&str]) -> Option<Both> {
    if !can_run(test, &["bpftrace", "unshare"]) {
        return None;
    }
    // Threads on one never wait for a lock of the other.
    if !has_two_cpus(test) {
        return None;
    }
    for _ in 0..3 {
        let workload = Workload::start(words);
        let pid = workload.pid();
        let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "lock"]);
        let witness = Witness::start(pid);
        let truth = workload.finish();
        let seen = witness.stop();
        let recorded = recording.stop();
        if let Some(seen) = seen {
            return Some(Both { recorded, truth, pid, seen });
        }
        println!("{test}: the witness did not end; measured once more");
    }
    panic!("{test}: three witnesses did not end");
}

/// Rows of a kind, in every context: what bpftrace keys by the running process has interrupts in it, too.
fn waits(recorded: &Recorded, kind: &str) -> Waits {
    sum(rows(recorded, "lock").iter().filter(|row| row["kind"] == kind))
}

fn rows<'a>(recorded: &'a Recorded, probe: &str) -> &'a [Value] {
    recorded.summary["probes"][probe]["rows"].as_array().unwrap()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

fn sum<'a>(rows: impl Iterator<Item = &'a Value>) -> Waits {
    rows.fold(Waits::default(), |sum, row| Waits {
        count: sum.count + number(row, "count"),
        total_ns: sum.total_ns + number(row, "total_ns"),
    })
}

fn witnessed(both: &Both, matches: impl Fn(u32) -> bool) -> Waits {
    both.seen.iter().filter(|(flags, _)| matches(**flags)).fold(Waits::default(), |sum, (_, waits)| Waits {
        count: sum.count + waits.count,
        total_ns: sum.total_ns + waits.total_ns,
    })
}

/// The waits of the process for one lock, by caller.
fn of_caller(both: &Both, lock: &str, callers: &[&str]) -> Waits {
    let rows = both.recorded.rows("lock", both.pid).into_iter();
    sum(rows.filter(|row| text(row, "lock") == lock && callers.contains(&text(row, "caller"))))
}

/// Both counted the same waits, but for those that the profiler says it missed.
fn assert_same_count(both: &Both, found: Waits, witnessed: Waits) {
    let missed = both.recorded.counted("lock_recursion_miss") + both.recorded.counted("lock_nesting_full");
    // bpftrace skips a run when another of its programs is running on that CPU, and does not say so.
    let slack = 3 + witnessed.count / 1000;
    let (low, high) = (witnessed.count, witnessed.count + slack);
    assert!(
        found.count + missed >= low && found.count <= high,
        "{} waits and {missed} missed, bpftrace counted {}",
        found.count,
        witnessed.count
    );
}

fn assert_agree(found: u64, truth: u64) {
    println!("{found} ns, expected {truth} ns: {:+.2} %", (found as f64 / truth as f64 - 1.0) * 100.0);
    assert_within("total wait", found, truth, 0.05);
}

fn assert_possible(both: &Both, found: Waits) {
    let possible = number(&both.truth, "threads") * number(&both.truth, "wall_ns");
    assert!(found.total_ns <= possible, "{} ns of waits in {possible} ns of threads", found.total_ns);
}

/// Short waits: bpftrace's clock at the end is read after our program ran, which is more than 5 % of them. Its run
/// time is known, so the two must agree once it is allowed for. Few runs in the window, and each interrupt among them
/// shows in the mean: never more than so many times what a `getppid` takes here.
fn assert_agree_but_for_us(both: &Both, found: Waits, witnessed: Waits, calls: f64) {
    let (told, call) = (program_ns(&both.recorded, "contention_end"), call_ns());
    let ours = told.min(calls * call);
    let between = (ours * witnessed.count as f64) as u64;
    println!(
        "our program at the end takes {told:.0} ns, of which {ours:.0} are allowed; a call takes {call:.0}"
    );
    assert!(found.total_ns <= witnessed.total_ns * 105 / 100, "more than bpftrace saw");
    assert!(found.total_ns + between >= witnessed.total_ns * 95 / 100, "less than bpftrace saw");
}

/// Mean run of a program in the windows in which the kernel timed it, ns.
fn program_ns(recorded: &Recorded, program: &str) -> f64 {
    let programs = recorded.summary["cost"]["programs"].as_array().unwrap();
    let cost = programs.iter().find(|cost| cost["program"] == program).unwrap();
    let runs = number(cost, "runs");
    assert!(runs > 0, "{program} was not timed");
    number(cost, "run_ns") as f64 / runs as f64
}

const SPIN: fn(u32) -> bool = |flags| flags == flag::SPIN;
const MUTEX: fn(u32) -> bool = |flags| flags & flag::MUTEX != 0;
/// `file_close_fd` since 6.8 or so, before that `close_fd` and `pick_file`.
const CLOSING: &[&str] = &["file_close_fd", "close_fd", "pick_file"];

#[test]
fn two_threads_on_one_descriptor_table_spin_in_dup_and_close() {
    // Long enough for a window in which the kernel times our programs (the second after four seconds).
    let Some(both) = measure("dup and close", &["dup-close", "2", "6000"]) else { return };
    let (opening, closing) =
        (of_caller(&both, "file_lock", &["alloc_fd"]), of_caller(&both, "file_lock", CLOSING));
    assert!(opening.count > 0 && closing.count > 0, "{:#?}", rows(&both.recorded, "lock"));
    let (found, witnessed) = (waits(&both.recorded, "spin"), witnessed(&both, SPIN));
    println!("profiler {found:?}, bpftrace {witnessed:?}");
    assert!(opening.count + closing.count >= found.count * 9 / 10, "other callers dominate");
    assert_possible(&both, found);
    assert_same_count(&both, found, witnessed);
    assert_agree_but_for_us(&both, found, witnessed, 2.5);
}

#[test]
fn spins_longer_than_the_distance_of_two_clock_reads_agree_with_bpftrace() {
    let Some(both) = measure("a copied table", &["dup-copied", "200", "3000"]) else { return };
    let (found, witnessed) = (waits(&both.recorded, "spin"), witnessed(&both, SPIN));
    println!("profiler {found:?}, bpftrace {witnessed:?}");
    assert!(of_caller(&both, "file_lock", &["alloc_fd"]).count > 0);
    assert!(of_caller(&both, "file_lock", CLOSING).count > 0);
    assert_possible(&both, found);
    assert_same_count(&both, found, witnessed);
    assert_agree(found.total_ns, witnessed.total_ns);
}

#[test]
fn two_threads_on_one_pipe_wait_for_its_mutex() {
    let Some(both) = measure("one pipe", &["pipe-contend", "2", "6000"]) else { return };
    let reading = of_caller(&both, "pipe mutex", &["anon_pipe_read", "pipe_read"]);
    let writing = of_caller(&both, "pipe mutex", &["anon_pipe_write", "pipe_write"]);
    assert!(reading.count > 0 && writing.count > 0, "{:#?}", rows(&both.recorded, "lock"));
    let (found, witnessed) = (waits(&both.recorded, "mutex"), witnessed(&both, MUTEX));
    println!("profiler {found:?}, bpftrace {witnessed:?}");
    assert!(reading.count + writing.count >= found.count * 9 / 10, "other callers dominate");
    assert_possible(&both, found);
    assert_same_count(&both, found, witnessed);
    assert_agree_but_for_us(&both, found, witnessed, 5.0);
}

/// Waits of 20 ms behind a holder that stands in a page fault, by the waiter's own clock.
fn stalled(workload: &str, lock: &str, callers: &[&str]) {
    const ROUNDS: u64 = 50;
    let Some(both) = measure(workload, &[workload, &ROUNDS.to_string(), "20"]) else { return };
    let found = of_caller(&both, lock, callers);
    assert_eq!(found.count, ROUNDS, "{:#?}", rows(&both.recorded, "lock"));
    let (least, most) = (number(&both.truth, "least_total_ns"), number(&both.truth, "total_ns"));
    assert_agree(found.total_ns, found.total_ns.clamp(least, most));
    let row = both.recorded.rows("lock", both.pid).into_iter().find(|row| text(row, "lock") == lock).unwrap();
    assert_eq!(text(row, "kind"), "mutex");
    assert!(stack(row).iter().any(|frame| frame.ends_with("read_behind_stall")), "{row}");
    // The holder is another thread of the same process, and nobody else had the lock.
    let held = row["held_by"].as_array().unwrap();
    assert_eq!(held.len(), 1, "{row}");
    assert_eq!((number(&held[0], "pid"), text(&held[0], "comm")), (u64::from(both.pid), "workload"), "{row}");
    assert_eq!(number(&held[0], "total_ns"), number(row, "total_ns"), "{row}");
    let (median, truth) = (number(row, "p50_ns"), number(&both.truth, "p50_ns"));
    let least = bucket(number(&both.truth, "least_p50_ns"));
    let (low, high) = (least - 1, bucket(truth) + 1);
    assert!((low..=high).contains(&bucket(median)), "median {median} ns instead of {truth} ns");
    let mutexes = waits(&both.recorded, "mutex");
    assert_same_count(&both, mutexes, witnessed(&both, MUTEX));
}

#[test]
fn a_pipe_mutex_held_over_a_page_fault_is_waited_for_as_long_as_the_reader_says() {
    stalled("stalled-pipe", "pipe mutex", &["anon_pipe_read", "pipe_read"]);
}

#[test]
fn a_position_lock_held_over_a_page_fault_is_waited_for_as_long_as_the_reader_says() {
    stalled("stalled-fpos", "f_pos_lock", &["fdget_pos", "__fdget_pos"]);
}

/// Kernel functions that only run in an interrupt, as the folded file spells them.
fn is_interrupt(frame: &str) -> bool {
    let function = frame.strip_suffix("_[k]").unwrap_or_default();
    ["handle_softirqs", "__do_softirq", "exc_nmi", "tick_irq_enter"].contains(&function)
        || function.starts_with("__sysvec_")
        || function.ends_with("common_interrupt")
}

/// The whole machine, every call slow, stacks without end: as much contention as there is.
fn busy_machine() -> (Recorded, u32) {
    let mut workloads = [
        Workload::start(&["many-stacks", "30000", "12", "100"]),
        Workload::start(&["many-stacks", "30000", "13", "100"]),
        Workload::start(&["pipe-reads", "2000", "1"]),
        Workload::start(&["dup-close", "4", "3000"]),
        Workload::start(&["spawn", "500"]),
    ];
    let recording = Recording::start(&["--slow", "0", "-F", "4999"]);
    workloads.iter_mut().for_each(Workload::go);
    for workload in &mut workloads {
        workload.report();
    }
    let own = recording.pid();
    (recording.stop(), own)
}

/// Such a recording, made until somebody waited in an interrupt and somebody for a lock of ours: both are luck.
fn contended(test: &str) -> Option<(Recorded, u32)> {
    const TRIES: usize = 4;
    if !can_run(test, &[]) || !has_two_cpus(test) {
        return None;
    }
    let tries = (0..TRIES).find_map(|_| {
        let (recorded, own) = busy_machine();
        let (interrupts, ours) = (recorded.counted("interrupt_lock"), recorded.counted("own_lock"));
        println!("{interrupts} waits in interrupts, {ours} for our own locks; {:?}", recorded.losses());
        if interrupts > 0 && ours > 0 {
            return Some((recorded, own));
        }
        None
    });
    Some(tries.expect("no interrupt waited for a lock, or nobody for one of ours, under four such loads"))
}

#[test]
fn interrupts_and_our_own_locks_are_kept_apart() {
    let Some((recorded, own)) = contended("interrupts_and_our_own_locks_are_kept_apart") else { return };
    for row in rows(&recorded, "lock") {
        let in_task = text(row, "context") == "task";
        let owner = (number(row, "pid"), text(row, "comm"));
        assert!(in_task || owner == (0, "interrupt"), "an interrupt's wait is billed to a process: {row}");
    }
    for line in recorded.file("lock.folded").lines() {
        let path = line.rsplit_once(' ').unwrap().0;
        let in_interrupt = path.split(';').any(is_interrupt);
        assert_eq!(in_interrupt, path.starts_with("interrupt ("), "{line}");
    }
    for probe in ["syscall", "lock", "cpu"] {
        assert!(recorded.rows(probe, own).is_empty(), "{probe} has rows of the profiler itself");
    }
}
