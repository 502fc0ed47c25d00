//! The rows of `summary.json`: one layout for all that have latencies.
//!
//! In: ranked lines and the folder that spells their stacks. Out: what serde writes, a row to a line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::super::fold::Folder;
use super::super::holders::Held;
use super::super::parts::{Breakdown, PartsRow};
use super::super::rows::{CpuLine, LockLine, SyscallLine};
use super::super::syscalls::{self, CallClass};
use super::super::{errno, probe};
use crate::profile::rows::{Holder, InFlightCall, LockContext, SlowKey};
use crate::profile::{Histogram, Pid, Profile, SlowRow, StackId};

/// Who a row belongs to.
#[derive(Serialize)]
pub struct Owner<'p> {
    /// Process.
    pub pid: Pid,
    /// Its name.
    pub comm: &'p str,
    /// Its container.
    pub container: &'p str,
}

/// One (process, system call).
#[derive(Serialize)]
pub struct SyscallRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: &'p str,
    nr: u32,
    class: &'static str,
    #[serde(flatten)]
    events: Events,
    slow: SlowSum,
    #[serde(flatten)]
    parts: Breakdown,
}

/// What every row of latencies says of its events.
#[derive(Serialize)]
pub struct Events {
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<BTreeMap<String, u64>>,
    total_ns: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl Events {
    fn new(latency: &Histogram, errors: BTreeMap<String, u64>) -> Self {
        Self { errors: Some(errors), ..Self::of(latency) }
    }

    /// Of what cannot fail.
    pub fn of(latency: &Histogram) -> Self {
        Self {
            count: latency.count(),
            errors: None,
            total_ns: latency.total_ns,
            p50_ns: latency.percentile_ns(500),
            p99_ns: latency.percentile_ns(990),
            max_ns: latency.max_ns,
        }
    }
}

#[derive(Serialize)]
struct SlowSum {
    count: u64,
    total_ns: u64,
    off_cpu_ns: u64,
    max_ns: u64,
}

/// Slow calls of one pair of stacks.
#[derive(Serialize)]
pub struct SlowStack<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: Cow<'static, str>,
    class: &'static str,
    #[serde(flatten)]
    sum: SlowSum,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<PartsRow>,
    stack: Vec<String>,
}

/// Waits for one lock.
#[derive(Serialize)]
pub struct LockRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    kind: &'static str,
    lock: &'p str,
    caller: &'p str,
    context: LockContext,
    #[serde(flatten)]
    events: Events,
    stack: Vec<String>,
    stack_ns: u64,
    held_by: Vec<HeldBy<'p>>,
}

/// Who held the locks of a row; of the waits whose holder was known.
#[derive(Serialize)]
struct HeldBy<'p> {
    readers: bool,
    #[serde(flatten)]
    owner: Owner<'p>,
    waits: u64,
    total_ns: u64,
}

/// Samples of one function.
#[derive(Serialize)]
pub struct CpuRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    function: &'p str,
    samples: u64,
    stack: Vec<String>,
    stack_samples: u64,
}

/// A call that had not returned.
#[derive(Serialize)]
pub struct InFlight<'p> {
    pid: Pid,
    tid: u32,
    comm: &'p str,
    container: &'p str,
    syscall: String,
    class: &'static str,
    age_ns: u64,
    at_least: bool,
    stack: Vec<String>,
}

/// The owner of a row.
pub fn owner(profile: &Profile, pid: Pid) -> Owner<'_> {
    Owner { pid, comm: profile.processes.comm(pid), container: profile.processes.container(pid) }
}

const fn slow_sum(row: &SlowRow) -> SlowSum {
    SlowSum { count: row.count, total_ns: row.total_ns, off_cpu_ns: row.off_cpu_ns, max_ns: row.max_ns }
}

/// A row of slow calls with its stack, spelled already.
pub fn slow_stack<'p>(
    profile: &'p Profile,
    key: &SlowKey,
    row: &SlowRow,
    stack: Vec<String>,
) -> SlowStack<'p> {
    SlowStack {
        owner: owner(profile, key.pid),
        syscall: syscalls::name(key.nr),
        class: syscalls::class(key.nr).name(),
        sum: slow_sum(row),
        parts: PartsRow::new(&row.parts),
        stack,
    }
}

/// A row of system calls.
pub fn syscall_row<'p>(profile: &'p Profile, line: &'p SyscallLine<'_>) -> SyscallRow<'p> {
    let errors = line.row.errors.iter().map(|(errno, count)| (errno::name(*errno).into_owned(), *count));
    SyscallRow {
        owner: owner(profile, line.pid),
        syscall: &line.name,
        nr: line.nr,
        class: line.class.name(),
        events: Events::new(&line.row.latency, errors.collect()),
        slow: slow_sum(&line.slow),
        parts: Breakdown::new(profile, line),
    }
}

/// A row of lock waits, with its heaviest stack.
pub fn lock_row<'p>(profile: &'p Profile, line: &'p LockLine, folder: &mut Folder<'_>) -> LockRow<'p> {
    probe::lock::push(profile, &line.heaviest, folder);
    LockRow {
        owner: match line.context {
            LockContext::Task => owner(profile, line.pid),
            LockContext::Softirq | LockContext::Hardirq | LockContext::Nmi => {
                Owner { pid: line.pid, comm: "interrupt", container: "" }
            }
        },
        kind: line.kind.name(),
        lock: &line.name.lock,
        caller: &line.name.caller,
        context: line.context,
        events: Events::new(&line.wait, BTreeMap::new()),
        stack: folder.take(),
        stack_ns: line.heaviest_ns,
        held_by: line.holders.iter().map(|held| held_by(profile, held)).collect(),
    }
}

fn held_by<'p>(profile: &'p Profile, (holder, row): &Held) -> HeldBy<'p> {
    let owner = match holder {
        Holder::Process(pid) => owner(profile, *pid),
        Holder::Readers => Owner { pid: Pid(0), comm: "", container: "" },
    };
    HeldBy { readers: *holder == Holder::Readers, owner, waits: row.waits, total_ns: row.total_ns }
}

/// A row of samples, with its heaviest stack.
pub fn cpu_row<'p>(profile: &'p Profile, line: &'p CpuLine, folder: &mut Folder<'_>) -> CpuRow<'p> {
    probe::cpu::push(&line.heaviest, folder);
    CpuRow {
        owner: owner(profile, line.pid),
        function: &line.function,
        samples: line.samples,
        stack: folder.take(),
        stack_samples: line.heaviest_samples,
    }
}

/// A call in flight, with its kernel stack.
pub fn in_flight<'p>(profile: &'p Profile, call: &'p InFlightCall, folder: &mut Folder<'_>) -> InFlight<'p> {
    let missing = (call.kernel == StackId::NONE).then_some("[kernel stack missing]");
    folder.stack(call.kernel, missing);
    let class: CallClass = syscalls::class(call.nr);
    InFlight {
        pid: call.pid,
        tid: call.tid.0,
        comm: &call.comm,
        container: profile.processes.container(call.pid),
        syscall: syscalls::name(call.nr).into_owned(),
        class: class.name(),
        age_ns: call.age_ns,
        at_least: call.at_least,
        stack: folder.take(),
    }
}
