//! All rows of a profile in one shape, for formats that are tables.
//!
//! In: a rendering. Out: rows one by one, each with its `table`: `call`, `lock`, `hook`, `wait`, `cpu`,
//! `stack` (of each picture), `column` (calls over time), `counter`, `loss`, `note`. A column that a table
//! does not use is empty in its rows. Names are clean.

use std::borrow::Cow;
use std::io;

use serde::Serialize;

use super::graphs::graphs;
use super::notes::notes;
use crate::probe::Picture;
use crate::profile::{Histogram, Pid, Profile};
use crate::render::fold::Folder;
use crate::render::ranked::Ranked;
use crate::render::syscalls::{self, NO_CALL};
use crate::render::window::Window;
use crate::render::{Rendering, clean};

/// One row of any table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FlatRow<'r> {
    /// What it is a row of.
    pub table: &'static str,
    /// The container; empty: the host.
    pub container: Cow<'r, str>,
    /// The process's name.
    pub process: Cow<'r, str>,
    /// Its id.
    pub pid: Option<u32>,
    /// The call, lock, hook, function, picture, counter, class of losses.
    pub name: Cow<'r, str>,
    /// What narrows the name down: the caller of a lock, the module of a hook, the state of a wait.
    pub detail: Cow<'r, str>,
    /// `work`, `user-lock` or `idle`; empty where nothing is ranked.
    pub class: &'static str,
    /// Begin of a column, ns since the start.
    pub start_ns: Option<u64>,
    /// Its end.
    pub end_ns: Option<u64>,
    /// Events.
    pub count: Option<u64>,
    /// Their sum, in `unit`.
    pub total: Option<u64>,
    /// Unit of `total`.
    pub unit: &'static str,
    /// Half of the events took no longer, ns.
    pub p50_ns: Option<u64>,
    /// 99 of 100 took no longer, ns.
    pub p99_ns: Option<u64>,
    /// The longest, ns.
    pub max_ns: Option<u64>,
    /// Frames, the root first, with `;` between them.
    pub stack: String,
}

/// Names of the columns, in the order of the fields.
pub const COLUMNS: [&str; 16] = [
    "table",
    "container",
    "process",
    "pid",
    "name",
    "detail",
    "class",
    "start_ns",
    "end_ns",
    "count",
    "total",
    "unit",
    "p50_ns",
    "p99_ns",
    "max_ns",
    "stack",
];

/// Takes rows.
pub type Sink<'s> = &'s mut dyn FnMut(&FlatRow<'_>) -> io::Result<()>;

/// Gives all rows.
///
/// # Errors
/// What `sink` returns.
pub fn each(rendering: &Rendering<'_>, sink: Sink<'_>) -> io::Result<()> {
    let profile = rendering.profile();
    let mut folder = Folder::new(profile);
    let ranked = Ranked::new(profile, &mut folder);
    rows(profile, &ranked, sink)?;
    stacks(rendering, sink)?;
    columns(profile, sink)?;
    for (name, change) in Window::new(profile).deltas() {
        sink(&FlatRow { name: clean::name(name), total: Some(change), ..of("counter") })?;
    }
    for (class, events) in profile.ledger.occurred() {
        let kind = format!("{:?}", class.kind()).to_lowercase();
        sink(&FlatRow { name: class.text().into(), detail: kind.into(), count: Some(events), ..of("loss") })?;
    }
    for note in notes(rendering) {
        sink(&FlatRow { name: note.key.into(), detail: note.text.into(), ..of("note") })?;
    }
    Ok(())
}

fn of(table: &'static str) -> FlatRow<'static> {
    FlatRow { table, ..FlatRow::default() }
}

/// A row of a process; 0 is who waits in interrupts.
fn of_process<'p>(profile: &'p Profile, table: &'static str, pid: Pid) -> FlatRow<'p> {
    let process = match pid {
        Pid(0) => "interrupt".into(),
        pid => clean::name(profile.processes.comm(pid)),
    };
    let container = clean::name(profile.processes.container(pid));
    FlatRow { container, process, pid: Some(pid.0), ..of(table) }
}

impl<'r> FlatRow<'r> {
    fn times(self, times: &Histogram) -> Self {
        Self {
            count: Some(times.count()),
            total: Some(times.total_ns),
            unit: "ns",
            p50_ns: Some(times.percentile_ns(500)),
            p99_ns: Some(times.percentile_ns(990)),
            max_ns: Some(times.max_ns),
            ..self
        }
    }
}

fn rows(profile: &Profile, ranked: &Ranked<'_>, sink: Sink<'_>) -> io::Result<()> {
    for line in &ranked.syscalls {
        let row = of_process(profile, "call", line.pid);
        sink(&FlatRow { name: line.name.clone(), class: line.class.name(), ..row }.times(&line.row.latency))?;
    }
    for line in &ranked.locks {
        let row = of_process(profile, "lock", line.pid);
        let name = format!("{} [{}]", line.kind.name(), clean::name(&line.name.lock));
        let detail = clean::name(&line.name.caller);
        sink(&FlatRow { name: name.into(), detail, ..row }.times(&line.wait))?;
    }
    for line in &ranked.lsm {
        let row = of_process(profile, "hook", line.pid);
        let (name, detail) = (clean::name(&line.site.hook), clean::name(&line.site.module));
        sink(&FlatRow { name, detail, ..row }.times(&line.time))?;
    }
    for (key, waits) in &profile.waits.rows {
        let row = of_process(profile, "wait", key.pid);
        let name = key.nr.map_or(NO_CALL.into(), syscalls::name);
        sink(&FlatRow { name, detail: key.wait.name().into(), ..row }.times(waits))?;
    }
    for line in &ranked.cpu {
        let row = of_process(profile, "cpu", line.pid);
        let name = Cow::Borrowed(line.function.as_str());
        sink(&FlatRow { name, total: Some(line.samples), unit: "samples", ..row })?;
    }
    Ok(())
}

fn stacks(rendering: &Rendering<'_>, sink: Sink<'_>) -> io::Result<()> {
    let profile = rendering.profile();
    for graph in graphs(rendering, None as Option<Picture>) {
        for path in graph.folded().paths() {
            let row = path.pid.map_or_else(|| of("stack"), |pid| of_process(profile, "stack", pid));
            let frames: Vec<&str> =
                graph.folded().frames(path).iter().map(|frame| graph.folded().names.get(*frame)).collect();
            sink(&FlatRow {
                name: graph.picture.name().into(),
                class: path.class.name(),
                total: Some(path.weight),
                unit: graph.unit,
                stack: frames.join(";"),
                ..row
            })?;
        }
    }
    Ok(())
}

fn columns(profile: &Profile, sink: Sink<'_>) -> io::Result<()> {
    for column in profile.axis.columns() {
        let named = column.calls.iter().map(|(nr, times)| (syscalls::name(*nr), times));
        for (name, times) in named.chain([("(other calls)".into(), &column.other)]) {
            if times.count() > 0 {
                let (start_ns, end_ns) = (Some(column.start_ns), Some(column.end_ns));
                sink(&FlatRow { name, start_ns, end_ns, ..of("column") }.times(times))?;
            }
        }
    }
    Ok(())
}
