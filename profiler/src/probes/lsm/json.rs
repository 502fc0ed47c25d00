//! The `lsm` probe in `summary.json`.
//!
//! In: ranked functions of the security layer. Out: one row per process and function, with the calls it
//! ran in; `docs/summary.md` is the schema.

use std::borrow::Cow;

use serde::Serialize;

use super::lines::{LsmCall, LsmLine};
use super::picture::{self, DRAWING};
use crate::profile::{Pid, Profile};
use crate::render::json_row::{Owner, nobody, owner};
use crate::render::scene::Scene;
use crate::render::sheet::{List, Sheet, StackRef};
use crate::render::syscalls;

/// All of it.
#[derive(Serialize)]
pub struct Json<'p> {
    unit: &'static str,
    modules: &'p [String],
    other_bpf_lsm_programs: u32,
    rows: List<'p, Row<'p>>,
}

#[derive(Serialize)]
struct Row<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
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
    stack: StackRef<'p>,
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
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let profile = scene.profile;
    let environment = &profile.header.environment;
    Json {
        unit: DRAWING.unit,
        modules: &environment.lsms,
        other_bpf_lsm_programs: environment.bpf_lsm_programs,
        rows: sheet
            .list("probes.lsm.rows", scene.ranked.lsm.iter().map(|line| row(profile, line, sheet)).collect()),
    }
}

fn row<'p>(profile: &'p Profile, line: &'p LsmLine<'_>, sheet: &Sheet<'p>) -> Row<'p> {
    let in_task = line.pid != Pid(0);
    let call = |call: &LsmCall| Call {
        syscall: syscalls::name(call.nr),
        nr: syscalls::place(call.nr),
        count: call.count,
        total_ns: call.total_ns,
        share: call.share,
    };
    Row {
        owner: if in_task { owner(profile, line.pid) } else { nobody("interrupt") },
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
        stack: sheet.stack(|folder| {
            if let Some((stack, _)) = &line.heaviest {
                picture::push(profile, stack, folder);
            }
        }),
        stack_ns: line.heaviest.map_or(0, |(_, ns)| ns),
    }
}
