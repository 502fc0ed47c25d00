//! Trace events: the slowest calls one by one on a time line, for Perfetto and Chrome.
//!
//! In: the slowest calls, rows of waits. Out: JSON in the trace event format: a slice for each call in its thread, its parts inside, its
//! stack and who ended its waits as arguments. What is kept of a call is the sum of each part, not their order: parts stand in a fixed
//! order, and their category says so. Notes are `otherData`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};

use serde_json::{Map, Value, json};

use super::notes::notes;
use crate::probe::Picture;
use crate::probes::syscall::picture::push;
use crate::probes::waits::ender::Ender;
use crate::profile::rows::{SlowKey, StackSource};
use crate::profile::slowest::SlowestCall;
use crate::profile::{Part, Profile, StackId, Tid};
use crate::render::fold::Folder;
use crate::render::{Rendering, clean, syscalls, who};

/// Those who ended waits of one call, at most.
const WAKERS: usize = 8;
/// The category of parts.
const SUMS: &str = "sum of this part; the order of parts is not recorded";

/// Writes the file.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, _: Option<Picture>, out: &mut dyn Write) -> anyhow::Result<()> {
    let profile = rendering.profile();
    let mut folder = Folder::new(profile);
    let mut events = names(profile);
    for call in &profile.slowest {
        events.push(slice(profile, call, &mut folder));
        events.extend(parts(call));
    }
    let mut other = Map::new();
    for note in notes(rendering) {
        let known = other.get(note.key).and_then(Value::as_str).map(str::to_owned);
        let text = known.map_or(note.text.clone(), |known| format!("{known}; {}", note.text));
        other.insert(note.key.to_owned(), Value::String(text));
    }
    let file = json!({ "traceEvents": events, "displayTimeUnit": "ns", "otherData": other });
    let mut buffered = BufWriter::new(out);
    serde_json::to_writer(&mut buffered, &file).map_err(std::io::Error::from)?;
    writeln!(buffered)?;
    Ok(buffered.flush()?)
}

/// Names of the processes and threads.
fn names(profile: &Profile) -> Vec<Value> {
    let name = |what: &str, pid: u32, tid: u32, name: String| json!({ "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name } });
    let pids: BTreeSet<_> = profile.slowest.iter().map(|call| call.pid).collect();
    let mut events: Vec<Value> =
        pids.into_iter().map(|pid| name("process_name", pid.0, pid.0, who::process(profile, pid))).collect();
    let mut threads: BTreeMap<Tid, &SlowestCall> = BTreeMap::new();
    for call in profile.slowest.iter().filter(|call| !call.thread.is_empty()) {
        threads.entry(call.tid).or_insert(call);
    }
    let thread = |(tid, call): (Tid, &SlowestCall)| {
        name("thread_name", call.pid.0, tid.0, clean::name(&call.thread).into_owned())
    };
    events.extend(threads.into_iter().map(thread));
    events
}

/// µs, which is the unit of the format; its fraction keeps the ns.
fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn slice(profile: &Profile, call: &SlowestCall, folder: &mut Folder<'_>) -> Value {
    let source = if call.kernel == StackId::NONE { StackSource::None } else { StackSource::Wait };
    push(&SlowKey { pid: call.pid, nr: call.nr, kernel: call.kernel, user: call.user, source }, folder);
    let stack = folder.take();
    let parts: BTreeMap<&str, u64> = measured(call).map(|(part, ns)| (part.name(), ns)).collect();
    json!({
        "ph": "X",
        "cat": if call.is_user_lock() { "futex wait" } else { "slow call" },
        "name": syscalls::name(call.nr),
        "pid": call.pid.0,
        "tid": call.tid.0,
        "ts": us(call.start_ns),
        "dur": us(call.wall_ns),
        "args": {
            "wall_ns": call.wall_ns,
            "returned": call.ret,
            "of": clean::name(&call.named()),
            "of_unknown": clean::name(call.unnamed()),
            "parts_ns": parts,
            "stack": stack,
            "waits_of_this_call_and_stack_ended_by": wakers(profile, call),
        },
    })
}

fn measured(call: &SlowestCall) -> impl Iterator<Item = (Part, u64)> + '_ {
    Part::ALL.iter().map(|part| (*part, call.parts.get(*part))).filter(|(_, ns)| *ns > 0)
}

/// A slice for each part, one behind the other from the call's begin.
fn parts(call: &SlowestCall) -> Vec<Value> {
    let mut begin = call.start_ns;
    let slice = |(part, ns): (Part, u64)| {
        let event = json!({
            "ph": "X", "cat": SUMS, "name": part.name(), "pid": call.pid.0, "tid": call.tid.0,
            "ts": us(begin), "dur": us(ns), "args": { "ns": ns },
        });
        begin = begin.saturating_add(ns);
        event
    };
    measured(call).map(slice).collect()
}

/// Who ended the waits of this process that had the call's stacks, longest first: of all such calls, since waits are kept as rows.
fn wakers(profile: &Profile, call: &SlowestCall) -> Vec<Value> {
    if call.kernel == StackId::NONE {
        return Vec::new();
    }
    let mut enders: BTreeMap<Ender, (u64, u64)> = BTreeMap::new();
    let of_call = |key: &&crate::profile::waits::WaitStackKey| {
        (key.row.pid, key.row.nr, key.kernel, key.user) == (call.pid, Some(call.nr), call.kernel, call.user)
    };
    for key in profile.waits.stacks.keys().filter(of_call) {
        let row = profile.waits.stacks.get(key).copied().unwrap_or_default();
        let sum = enders.entry(Ender::of(profile, key.waker)).or_default();
        *sum = (sum.0.saturating_add(row.waits), sum.1.saturating_add(row.total_ns));
    }
    let mut enders: Vec<_> = enders.into_iter().collect();
    enders.sort_by_key(|(_, (_, ns))| std::cmp::Reverse(*ns));
    let row = |(ender, (waits, ns)): (Ender, (u64, u64))| json!({ "by": ender.name(profile, call.pid), "waits": waits, "total_ns": ns });
    enders.into_iter().take(WAKERS).map(row).collect()
}
