//! The `lock` probe against workloads that know how long they waited, and against bpftrace over the same
//! tracepoints in the same window.
//!
//! In: root, bpftrace, two CPUs. Out: the right callers, counts and sums; our own locks and interrupts apart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot set up fails")]

#[path = "support/measured.rs"]
mod measured;
mod support;

use measured::{Recorded, Recording, Waits, Witness, Workload, number, ready, text};
use profiler_common::lock::flag;
use serde_json::Value;
use support::skipped;

/// One workload, measured by the profiler and by bpftrace from before its first wait to after its last.
struct Both {
    recorded: Recorded,
    /// What the workload says.
    truth: Value,
    pid: u32,
    seen: std::collections::BTreeMap<u32, Waits>,
}

fn measure(test: &str, words: &[&str]) -> Option<Both> {
    if !ready(test, &["bpftrace", "unshare"]) {
        return None;
    }
    if std::thread::available_parallelism().unwrap().get() < 2 {
        skipped(test, "needs two CPUs: threads on one never wait for a lock of the other");
        return None;
    }
    let mut workload = Workload::start(words);
    let pid = workload.pid();
    let recording = Recording::start(&["--pid", &pid.to_string(), "--probe", "lock"]);
    let scripts = tempfile::tempdir().unwrap();
    let witness = Witness::start(pid, scripts.path());
    workload.go();
    let truth = workload.result();
    let seen = witness.stop();
    let recorded = recording.stop();
    Some(Both { recorded, truth, pid, seen })
}

/// Rows of a kind, in every context: what bpftrace keys by the running process has interrupts in it, too.
fn waits(recorded: &Recorded, kind: &str) -> Waits {
    let rows = recorded.rows("lock").iter().filter(|row| row["kind"] == kind);
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
    let rows = both.recorded.rows("lock").iter().filter(|row| {
        number(row, "pid") == u64::from(both.pid)
            && text(row, "lock") == lock
            && callers.contains(&text(row, "caller"))
    });
    rows.fold(Waits::default(), |sum, row| Waits {
        count: sum.count + number(row, "count"),
        total_ns: sum.total_ns + number(row, "total_ns"),
    })
}

/// Both counted the same waits, but for those that the profiler says it missed.
fn assert_same_count(both: &Both, found: Waits, witnessed: Waits) {
    let missed = both.recorded.ledger("recursion_miss") + both.recorded.ledger("lock_nesting_full");
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

fn assert_within(percent: f64, found: u64, truth: u64) {
    let off = (found as f64 / truth as f64 - 1.0) * 100.0;
    println!("{found} ns, expected {truth} ns: {off:+.2} %");
    assert!(off.abs() <= percent, "{found} ns instead of {truth} ns: {off:+.2} %");
}

fn assert_possible(both: &Both, found: Waits) {
    let possible = number(&both.truth, "threads") * number(&both.truth, "wall_ns");
    assert!(found.total_ns <= possible, "{} ns of waits in {possible} ns of threads", found.total_ns);
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
    assert!(opening.count > 0 && closing.count > 0, "{:#?}", both.recorded.rows("lock"));
    let (found, witnessed) = (waits(&both.recorded, "spin"), witnessed(&both, SPIN));
    println!("profiler {found:?}, bpftrace {witnessed:?}");
    assert!(opening.count + closing.count >= found.count * 9 / 10, "other callers dominate");
    assert_possible(&both, found);
    assert_same_count(&both, found, witnessed);
    // These waits last about 0.5 µs; bpftrace's clock at the end is read after our program ran, which is
    // more than 5 % of that. Its run time is known, so the two must agree once it is allowed for.
    let ours = both.recorded.program_ns("contention_end").expect("contention_end was not timed");
    let between = (ours * witnessed.count as f64) as u64;
    println!("our program at the end takes {ours:.0} ns");
    assert!(found.total_ns <= witnessed.total_ns * 105 / 100, "more than bpftrace saw");
    assert!(found.total_ns + between >= witnessed.total_ns * 95 / 100, "less than bpftrace saw");
}

#[test]
fn spins_longer_than_the_distance_of_two_clock_reads_agree_with_bpftrace() {
    let Some(both) = measure("a copied table", &["dup-copied", "900", "3000"]) else { return };
    let (found, witnessed) = (waits(&both.recorded, "spin"), witnessed(&both, SPIN));
    println!("profiler {found:?}, bpftrace {witnessed:?}");
    assert!(of_caller(&both, "file_lock", &["alloc_fd"]).count > 0);
    assert!(of_caller(&both, "file_lock", CLOSING).count > 0);
    assert_possible(&both, found);
    assert_same_count(&both, found, witnessed);
    assert_within(5.0, found.total_ns, witnessed.total_ns);
}

#[test]
fn two_threads_on_one_pipe_wait_for_its_mutex() {
    let Some(both) = measure("one pipe", &["pipe-contend", "2", "3000"]) else { return };
    let reading = of_caller(&both, "pipe mutex", &["anon_pipe_read", "pipe_read"]);
    let writing = of_caller(&both, "pipe mutex", &["anon_pipe_write", "pipe_write"]);
    assert!(reading.count > 0 && writing.count > 0, "{:#?}", both.recorded.rows("lock"));
    let (found, witnessed) = (waits(&both.recorded, "mutex"), witnessed(&both, MUTEX));
    println!("profiler {found:?}, bpftrace {witnessed:?}");
    assert!(reading.count + writing.count >= found.count * 9 / 10, "other callers dominate");
    assert_possible(&both, found);
    assert_same_count(&both, found, witnessed);
    assert_within(5.0, found.total_ns, witnessed.total_ns);
}

/// Waits of 20 ms behind a holder that stands in a page fault, by the waiter's own clock.
fn stalled(workload: &str, lock: &str, callers: &[&str]) {
    const ROUNDS: u64 = 50;
    let Some(both) = measure(workload, &[workload, &ROUNDS.to_string(), "20"]) else { return };
    let found = of_caller(&both, lock, callers);
    assert_eq!(found.count, ROUNDS, "{:#?}", both.recorded.rows("lock"));
    assert_within(5.0, found.total_ns, number(&both.truth, "total_ns"));
    let row = both.recorded.rows("lock").iter().find(|row| text(row, "lock") == lock).unwrap();
    assert_eq!(text(row, "kind"), "mutex");
    assert!(row["stack"].to_string().contains("read_behind_stall"), "{row}");
    let (median, truth) = (number(row, "p50_ns"), number(&both.truth, "p50_ns"));
    assert!(median >= truth * 7 / 8 && median <= truth * 9 / 8, "median {median} ns instead of {truth} ns");
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
    ["handle_softirqs", "__do_softirq", "exc_nmi"].contains(&function)
        || function.starts_with("__sysvec_")
        || function.ends_with("common_interrupt")
}

/// The whole machine, every call slow, stacks without end: as much contention as there is.
fn busy_machine(test: &str) -> Option<Recorded> {
    if !ready(test, &[]) {
        return None;
    }
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
        workload.result();
    }
    Some(recording.stop())
}

#[test]
fn interrupts_and_our_own_locks_are_kept_apart() {
    let Some(recorded) = busy_machine("interrupts and own locks") else { return };
    let interrupts = recorded.ledger("interrupt_lock");
    println!("{interrupts} waits in interrupts, {} for our own locks", recorded.ledger("own_lock"));
    assert!(interrupts > 0, "no interrupt waited for a lock: this load shows nothing");
    assert!(recorded.ledger("own_lock") > 0, "nobody waited for a lock of ours: this load shows nothing");
    for row in recorded.rows("lock") {
        let in_task = text(row, "context") == "task";
        let owner = (number(row, "pid"), text(row, "comm"));
        assert!(in_task || owner == (0, "interrupt"), "an interrupt's wait is billed to a process: {row}");
    }
    for (frames, _) in recorded.folded("lock") {
        let (in_interrupt, by_root) =
            (frames.iter().any(|frame| is_interrupt(frame)), frames[0].starts_with("interrupt ("));
        assert_eq!(in_interrupt, by_root, "{frames:?}");
    }
    for probe in ["syscall", "lock", "cpu"] {
        let own = recorded.rows(probe).iter().find(|row| number(row, "pid") == u64::from(recorded.pid));
        assert!(own.is_none(), "{probe} has a row of the profiler itself: {own:?}");
    }
}
