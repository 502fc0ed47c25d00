//! The slowest calls one by one, as a table and in `summary.json`.
//!
//! In: the longest calls of the session. Out: a line for each, the longest first.

use std::borrow::Cow;
use std::io;

use serde::Serialize;

use super::findings::process;
use super::fold::Folder;
use super::page::{Page, number, text};
use super::parts::{PartsRow, shares};
use super::{clean, errno, humane, probe, syscalls};
use crate::profile::rows::{SlowKey, StackSource};
use crate::profile::slowest::SlowestCall;
use crate::profile::{Pid, Profile, StackId};

/// Lines of a table at most.
const LINES: usize = 5;

/// One call in `summary.json`.
#[derive(Serialize)]
pub struct SlowestRow<'p> {
    pid: Pid,
    tid: u32,
    comm: &'p str,
    container: &'p str,
    syscall: Cow<'static, str>,
    start_ns: u64,
    wall_ns: u64,
    ret: i64,
    error: Option<String>,
    arguments: [u64; 3],
    object: Cow<'p, str>,
    object_unknown: &'p str,
    parts: Option<PartsRow>,
    stack: Vec<String>,
}

/// All that are kept, of one kind.
pub fn rows<'p>(profile: &'p Profile, folder: &mut Folder<'_>, user_locks: bool) -> Vec<SlowestRow<'p>> {
    of_kind(profile, user_locks).map(|call| row(profile, call, folder)).collect()
}

fn row<'p>(profile: &'p Profile, call: &'p SlowestCall, folder: &mut Folder<'_>) -> SlowestRow<'p> {
    let source = if call.kernel == StackId::NONE { StackSource::None } else { StackSource::Wait };
    let key = SlowKey { pid: call.pid, nr: call.nr, kernel: call.kernel, user: call.user, source };
    probe::syscall::push(&key, folder);
    SlowestRow {
        pid: call.pid,
        tid: call.tid.0,
        comm: profile.processes.comm(call.pid),
        container: profile.processes.container(call.pid),
        syscall: syscalls::name(call.nr),
        start_ns: call.start_ns,
        wall_ns: call.wall_ns,
        ret: call.ret,
        error: error(call),
        arguments: call.arguments,
        object: object(call),
        object_unknown: &call.object_unknown,
        parts: PartsRow::new(&call.parts),
        stack: folder.take(),
    }
}

/// The name of the errno a call returned.
fn error(call: &SlowestCall) -> Option<String> {
    let errno = u16::try_from(call.ret.checked_neg()?).ok().filter(|errno| (1..=4095).contains(errno))?;
    Some(errno::name(errno).into_owned())
}

/// What it was about, uncleaned: the kernel tells a descriptor's name, a futex is its address.
fn object(call: &SlowestCall) -> Cow<'_, str> {
    match syscalls::name(call.nr).as_ref() {
        "futex_waitv" => format!("futexes listed at {:#x}", call.arguments[0]).into(),
        _ if call.is_user_lock() => format!("futex {:#x}", call.arguments[0]).into(),
        _ => Cow::Borrowed(&call.object),
    }
}

/// The first of them, of each kind.
pub fn table(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    lines(page, profile, "SLOWEST CALLS one by one, idle and futex left out", false)?;
    lines(page, profile, "SLOWEST FUTEX WAITS one by one", true)
}

fn lines(page: &mut Page<'_>, profile: &Profile, heading: &str, user_locks: bool) -> io::Result<()> {
    let calls: Vec<_> = of_kind(profile, user_locks).collect();
    if calls.is_empty() {
        return Ok(());
    }
    page.heading(heading)?;
    let columns = [
        number("at"),
        number("wall"),
        text("call"),
        text("process"),
        number("tid"),
        number("returned"),
        text("of"),
        text("parts"),
    ];
    let line = |call: &&SlowestCall| {
        vec![
            humane::duration(call.start_ns),
            humane::duration(call.wall_ns),
            syscalls::name(call.nr).into_owned(),
            process(profile, call.pid),
            call.tid.0.to_string(),
            error(call).unwrap_or_else(|| call.ret.to_string()),
            of(call),
            shares(&call.parts),
        ]
    };
    let lines: Vec<_> = calls.iter().take(LINES).map(line).collect();
    page.table(&columns, &lines)?;
    if calls.len() > LINES {
        page.line(&format!("  … and {} more in summary.json", calls.len() - LINES))?;
    }
    Ok(())
}

fn of_kind(profile: &Profile, user_locks: bool) -> impl Iterator<Item = &SlowestCall> {
    profile.slowest.iter().filter(move |call| call.is_user_lock() == user_locks)
}

/// A table's cell: what it was about, or in brackets why nobody knows.
fn of(call: &SlowestCall) -> String {
    match object(call) {
        object if !object.is_empty() => clean::name(&object).into_owned(),
        _ if call.object_unknown.is_empty() => String::new(),
        _ => format!("({})", clean::name(&call.object_unknown)),
    }
}
