//! `probes.syscall` and `in_flight` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: ranked lines and the sheet that keeps their stacks. Out: what serde writes, a row to a line.

use std::borrow::Cow;

use super::in_flight::InFlightClasses;
use super::lines::{self, SyscallLine};
use super::parts::{Breakdown, PartsRow};
use super::picture::{self, DRAWING};
use super::slowest::{self, SlowestRow};
use super::subject;
use crate::probes::blame::by_place::ByPlace;
use crate::probes::blame::chain_json::Chain;
use crate::profile::in_flight;
use crate::profile::rows::{InFlightCall, SlowKey};
use crate::profile::{Pid, Profile, SlowRow, StackId, Wait};
use crate::render::errno;
use crate::render::json_row::{Events, Owner, owner};
use crate::render::scene::Scene;
use crate::render::sheet::{List, Sheet, StackRef};
use crate::render::syscalls::{self, CallClass};
use serde::{Serialize, Serializer};

/// `probes.syscall`.
#[derive(Serialize)]
pub struct Json<'p> {
    unit: &'static str,
    rows: List<'p, SyscallRow<'p>>,
    slow: Slow<'p>,
    slowest: List<'p, SlowestRow<'p>>,
    slowest_user_locks: List<'p, SlowestRow<'p>>,
    time_axis: Axis,
}

/// How much the capture's time axis holds, and what it had to sum up.
#[derive(Serialize)]
struct Axis {
    columns: usize,
    calls: usize,
    other_calls: u64,
}

/// Slow calls by stacks: made and written one by one, there may be many.
struct Slow<'p>(&'p Profile, Sheet<'p>);

impl Serialize for Slow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(profile, sheet) = self;
        let (lines, chains) = (lines::slow(profile), ByPlace::new(profile));
        let rows = lines.iter().map(|(class, key, row)| {
            let stack = sheet.stack(|folder| picture::push(key, folder));
            let chain = chains.rows(&(key.pid, Some(key.nr), key.kernel));
            SlowStack { chain, ..slow_stack(profile, (*class, key), row, stack) }
        });
        sheet.rows(("probes.syscall.slow", lines.len()), rows, serializer)
    }
}

/// One (process, system call).
#[derive(Serialize)]
pub struct SyscallRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: &'p str,
    nr: u32,
    class: &'static str,
    class_by: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
    #[serde(flatten)]
    events: Events,
    slow: SlowSum,
    #[serde(flatten)]
    parts: Breakdown,
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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
    #[serde(flatten)]
    sum: SlowSum,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<PartsRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chain: Vec<Chain<'p>>,
    stack: StackRef<'p>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Wait>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_by: Option<Owner<'p>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    object: &'p str,
    #[serde(skip_serializing_if = "str::is_empty")]
    object_unknown: &'p str,
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'p str,
    #[serde(skip_serializing_if = "str::is_empty")]
    mount: &'p str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_ends: Vec<OtherEnd<'p>>,
    #[serde(skip_serializing_if = "is_zero")]
    more_ends: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    other_end_unknown: &'p str,
    stack: StackRef<'p>,
    user_stack: StackRef<'p>,
}

/// Who has the other end of a pipe or connection.
#[derive(Serialize)]
struct OtherEnd<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    state: &'static str,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

const fn slow_sum(row: &SlowRow) -> SlowSum {
    SlowSum { count: row.count, total_ns: row.total_ns, off_cpu_ns: row.off_cpu_ns, max_ns: row.max_ns }
}

/// A row of slow calls with its stack, spelled already.
pub fn slow_stack<'p>(
    profile: &'p Profile,
    (class, key): (CallClass, &SlowKey),
    row: &SlowRow,
    stack: StackRef<'p>,
) -> SlowStack<'p> {
    SlowStack {
        owner: owner(profile, key.pid),
        syscall: syscalls::name(key.nr),
        class: class.name(),
        at_least: syscalls::began_before(key.nr),
        sum: slow_sum(row),
        parts: PartsRow::new(&row.parts),
        chain: Vec::new(),
        stack,
    }
}

/// A row of system calls.
pub fn syscall_row<'p>(profile: &'p Profile, line: &'p SyscallLine<'_>) -> SyscallRow<'p> {
    let errors = line.row.errors.iter().map(|(errno, count)| (errno::name(*errno).into_owned(), *count));
    SyscallRow {
        owner: owner(profile, line.pid),
        syscall: &line.name,
        nr: syscalls::place(line.nr),
        class: line.class.name(),
        class_by: line.by.name(),
        at_least: syscalls::began_before(line.nr),
        events: Events::new(&line.row.latency, errors.collect()),
        slow: slow_sum(&line.slow),
        parts: Breakdown::new(profile, line),
    }
}

/// Calls in flight, each with its kernel stack.
pub fn in_flight<'p>(profile: &'p Profile, sheet: &Sheet<'p>) -> List<'p, InFlight<'p>> {
    if profile.in_flight.is_empty() {
        return sheet.list("in_flight", Vec::new());
    }
    let mut classes = InFlightClasses::new(profile);
    let rows = profile.in_flight.iter().map(|call| one_in_flight(profile, (call, classes.of(call)), sheet));
    sheet.list("in_flight", rows.collect())
}

fn one_in_flight<'p>(
    profile: &'p Profile,
    (call, class): (&'p InFlightCall, CallClass),
    sheet: &Sheet<'p>,
) -> InFlight<'p> {
    let missing = (call.kernel == StackId::NONE).then_some("[kernel stack missing]");
    InFlight {
        pid: call.pid,
        tid: call.tid.0,
        comm: &call.comm,
        container: profile.processes.container(call.pid),
        syscall: syscalls::name(call.nr).into_owned(),
        class: class.name(),
        age_ns: call.age_ns,
        at_least: call.at_least,
        wait: call.wait,
        locked_by: call.held_by.filter(|pid| *pid != Pid(0)).map(|pid| owner(profile, pid)),
        object: &call.subject().object,
        object_unknown: &call.subject().object_unknown,
        path: &call.subject().path,
        mount: &call.subject().mount,
        other_ends: call.subject().other_ends.iter().map(|end| other_end(profile, end)).collect(),
        more_ends: call.subject().more_ends,
        other_end_unknown: &call.subject().other_end_unknown,
        stack: sheet.stack(|folder| {
            folder.stack(call.kernel, missing);
        }),
        user_stack: sheet.stack(|folder| {
            folder.stack(call.user, None);
        }),
    }
}

fn other_end<'p>(profile: &'p Profile, end: &in_flight::OtherEnd) -> OtherEnd<'p> {
    OtherEnd { owner: owner(profile, end.pid), state: subject::state(end.state).unwrap_or("unknown") }
}

/// `probes.syscall` of a profile.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let profile = scene.profile;
    Json {
        unit: DRAWING.unit,
        rows: sheet.list(
            "probes.syscall.rows",
            scene.ranked.syscalls.iter().map(|line| syscall_row(profile, line)).collect(),
        ),
        slow: Slow(profile, sheet.clone()),
        slowest: sheet.list("probes.syscall.slowest", slowest::rows(profile, sheet, false)),
        slowest_user_locks: sheet
            .list("probes.syscall.slowest_user_locks", slowest::rows(profile, sheet, true)),
        time_axis: Axis {
            columns: profile.axis.columns().len(),
            calls: profile.axis.calls().count(),
            other_calls: profile.axis.other().count(),
        },
    }
}
