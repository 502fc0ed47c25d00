//! The `lsm` probe in `summary.json`.
//!
//! In: ranked functions of the security layer. Out: one row per process and function, with the calls it
//! ran in; `docs/summary.md` is the schema.

use std::borrow::Cow;

use serde::Serialize;

use super::findings::Ranked;
use super::fold::Folder;
use super::rows::LsmLine;
use super::{Probe as Kind, probe, syscalls};
use crate::profile::{Pid, Profile};

/// All of it.
#[derive(Serialize)]
pub struct Probe<'p> {
    unit: &'static str,
    modules: &'p [String],
    other_bpf_lsm_programs: u32,
    rows: Vec<Row<'p>>,
}

#[derive(Serialize)]
struct Row<'p> {
    pid: Pid,
    comm: &'p str,
    container: &'p str,
    label: &'p str,
    context: &'static str,
    hook: &'p str,
    module: &'p str,
    function: &'p str,
    count: u64,
    total_ns: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    share_of_hook: Option<f64>,
    calls: Vec<Call>,
    stack: Vec<String>,
    stack_ns: u64,
}

#[derive(Serialize)]
struct Call {
    syscall: Cow<'static, str>,
    nr: u32,
    count: u64,
    total_ns: u64,
    share: Option<f64>,
}

/// The probe's part of the document.
pub fn probe<'p>(profile: &'p Profile, ranked: &'p Ranked<'_>, folder: &mut Folder<'_>) -> Probe<'p> {
    let environment = &profile.header.environment;
    Probe {
        unit: Kind::Lsm.unit(),
        modules: &environment.lsms,
        other_bpf_lsm_programs: environment.bpf_lsm_programs,
        rows: ranked.lsm.iter().map(|line| row(profile, line, folder)).collect(),
    }
}

fn row<'p>(profile: &'p Profile, line: &'p LsmLine<'_>, folder: &mut Folder<'_>) -> Row<'p> {
    let in_task = line.pid != Pid(0);
    if let Some((stack, _)) = &line.heaviest {
        probe::lsm::push(profile, stack, folder);
    }
    let call = |call: &super::rows::LsmCall| Call {
        syscall: syscalls::name(call.nr),
        nr: call.nr,
        count: call.count,
        total_ns: call.total_ns,
        share: call.share,
    };
    Row {
        pid: line.pid,
        comm: if in_task { profile.processes.comm(line.pid) } else { "interrupt" },
        container: profile.processes.container(line.pid),
        label: profile.processes.label(line.pid),
        context: if in_task { "task" } else { "interrupt" },
        hook: &line.site.hook,
        module: &line.site.module,
        function: &line.site.function,
        count: line.time.count(),
        total_ns: line.time.total_ns,
        p50_ns: line.time.percentile_ns(500),
        p99_ns: line.time.percentile_ns(990),
        max_ns: line.time.max_ns,
        share_of_hook: line.of_hook,
        calls: line.calls.iter().map(call).collect(),
        stack: folder.take(),
        stack_ns: line.heaviest.map_or(0, |(_, ns)| ns),
    }
}
