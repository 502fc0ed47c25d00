//! The slowest calls one by one, as a table and in `summary.json`.
//!
//! In: the longest calls of the session. Out: a line for each, the longest first.

use std::borrow::Cow;
use std::io;

use serde::Serialize;

use super::parts::{PartsRow, shares};
use super::picture;
use crate::probes::blame::held;
use crate::probes::blame::json::{self as blame, Holder};
use crate::probes::block::call as disk;
use crate::probes::block::json::{CallDisk, of_call};
use crate::profile::rows::{SlowKey, StackSource};
use crate::profile::slowest::SlowestCall;
use crate::profile::{Pid, Profile, StackId};
use crate::render::page::{Page, decisive, number, text};
use crate::render::sheet::{Sheet, StackRef};
use crate::render::who::process;
use crate::render::{clean, errno, humane, syscalls, thread};

/// What a path in quotes is.
const QUOTED: &str =
    "  \"…\": the path in the program's memory as the call ended; it may have been another before";
/// What a file or socket is that the kernel named for a descriptor. A connection that lives for one request may have given its
/// number to the next one by then.
const LOOKED_UP: &str =
    "  files, sockets: what the descriptor named up to a second later; it may have named another before";
/// Characters of a path at most: all that was read of it, if none of them acts.
const PATH_CHARS: usize = 128;
/// Lines of a table at most.
const LINES: usize = 5;

/// One call in `summary.json`.
#[derive(Serialize)]
pub struct SlowestRow<'p> {
    pid: Pid,
    tid: u32,
    thread: &'p str,
    comm: &'p str,
    container: &'p str,
    syscall: Cow<'static, str>,
    start_ns: u64,
    wall_ns: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
    #[serde(skip_serializing_if = "unknown")]
    before_ns: u64,
    ret: i64,
    error: Option<String>,
    arguments: [u64; 3],
    object: Cow<'p, str>,
    object_unknown: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<Holder<'p>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    holder_unknown: &'static str,
    path: &'p str,
    path_is_cut: bool,
    path_unknown: &'p str,
    file_kind: &'p str,
    parts: Option<PartsRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<CallDisk>,
    stack: StackRef<'p>,
}

fn unknown(ns: &u64) -> bool {
    *ns == 0
}

/// All that are kept, of one kind.
pub fn rows<'p>(profile: &'p Profile, sheet: &Sheet<'p>, user_locks: bool) -> Vec<SlowestRow<'p>> {
    of_kind(profile, user_locks).map(|call| row(profile, call, sheet)).collect()
}

fn row<'p>(profile: &'p Profile, call: &'p SlowestCall, sheet: &Sheet<'p>) -> SlowestRow<'p> {
    let source = if call.kernel == StackId::NONE { StackSource::None } else { StackSource::Wait };
    let key = SlowKey { pid: call.pid, nr: call.nr, kernel: call.kernel, user: call.user, source };
    let (holder, holder_unknown) = match call.is_user_lock() {
        true => blame::holder(profile, &call.holder),
        false => (None, ""),
    };
    SlowestRow {
        pid: call.pid,
        tid: call.tid.0,
        thread: &call.thread,
        comm: profile.processes.comm(call.pid),
        container: profile.processes.container(call.pid),
        syscall: syscalls::name(call.nr),
        start_ns: call.start_ns,
        wall_ns: call.wall_ns,
        at_least: call.is_older(),
        before_ns: call.before_ns,
        ret: call.ret,
        error: error(call),
        arguments: call.arguments,
        object: object(call),
        object_unknown: call.unnamed(),
        peer: call.peer.map(|peer| peer.to_string()),
        holder,
        holder_unknown,
        path: &call.path,
        path_is_cut: call.path_is_cut,
        path_unknown: &call.path_unknown,
        file_kind: &call.file_kind,
        parts: PartsRow::new(&call.parts),
        disk: of_call(profile, call),
        stack: sheet.stack(|folder| picture::push(&key, folder)),
    }
}

/// The name of the errno a call returned.
pub fn error(call: &SlowestCall) -> Option<String> {
    let errno = u16::try_from(call.ret.checked_neg()?).ok().filter(|errno| (1..=4095).contains(errno))?;
    Some(errno::name(errno).into_owned())
}

/// What it was about, uncleaned: the kernel tells a descriptor's name, a futex is its address.
fn object(call: &SlowestCall) -> Cow<'_, str> {
    match call.nr {
        nr if syscalls::waits_for_futexes(nr) => format!("futexes listed at {:#x}", call.arguments[0]).into(),
        _ if call.is_user_lock() => format!("futex {:#x}", call.arguments[0]).into(),
        _ => call.named(),
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
        decisive("call"),
        text("process"),
        text("thread"),
        number("returned"),
        decisive("of"),
        text("parts"),
    ];
    let line = |call: &&SlowestCall| {
        vec![
            if call.is_older() { "before".to_owned() } else { humane::duration(call.start_ns) },
            humane::least(call.duration_ns(), call.is_older()),
            syscalls::name_only(call.nr).into_owned(),
            process(profile, call.pid),
            thread::cell(profile, call.pid, (call.tid, &call.thread)),
            error(call).unwrap_or_else(|| call.ret.to_string()),
            [of(profile, call), disk::phrase(profile, call)]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
            shares(&call.parts),
        ]
    };
    let lines: Vec<_> = calls.iter().take(LINES).map(line).collect();
    page.table(&columns, &lines)?;
    if calls.iter().take(LINES).any(|call| !call.path.is_empty()) {
        page.line(QUOTED)?;
    }
    if !user_locks && calls.iter().take(LINES).any(|call| call.path.is_empty() && call.is_looked_up()) {
        page.line(LOOKED_UP)?;
    }
    if calls.len() > LINES {
        page.line(&format!("  … and {} more in summary.json", calls.len() - LINES))?;
    }
    Ok(())
}

fn of_kind(profile: &Profile, user_locks: bool) -> impl Iterator<Item = &SlowestCall> {
    profile.slowest.iter().filter(move |call| call.is_user_lock() == user_locks)
}

/// A table's cell: the path of the call, else its object, else the kind of that, else `unknown (reason)`.
pub fn of(profile: &Profile, call: &SlowestCall) -> String {
    if call.is_user_lock() {
        let holder = held::words(profile, call.pid, &call.holder);
        return format!("{}, held by {holder}", clean::name(&object(call)));
    }
    let object = object(call);
    let named = |why: &str| match (&*call.file_kind, why) {
        (kind, "") => clean::name(kind).into_owned(),
        ("", why) => format!("unknown ({})", clean::name(why)),
        (kind, why) => format!("{} ({})", clean::name(kind), clean::name(why)),
    };
    if call.path.is_empty() && object.is_empty() {
        return named(if call.path_unknown.is_empty() { call.unnamed() } else { &call.path_unknown });
    }
    if call.path.is_empty() {
        return clean::name(&object).into_owned();
    }
    let cut = if call.path_is_cut { "…" } else { "" };
    let place = if object.is_empty() { String::new() } else { format!(" in {}", clean::name(&object)) };
    format!("\"{}\"{cut}{place}", clean::line(&call.path, PATH_CHARS).replace('"', "\\\""))
}
