//! `summary.json`: the whole result for programs; `docs/summary.md` is its schema.
//!
//! In: the profile. Out: one JSON object, a row to a line. Strings are what was recorded, with
//! everything a terminal would obey escaped.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::findings::{self, Confidence, Finding, Ranked, Window};
use super::fold::Folder;
use super::layout::Layout;
use super::parts::{Breakdown, PartsRow};
use super::rows::{self, CpuLine, LockLine, SyscallLine};
use super::slowest::{self, SlowestRow};
use super::syscalls::{self, CallClass};
use super::{Probe, Rendering, errno, probe};
use crate::profile::ledger::Class;
use crate::profile::rows::{InFlightCall, LockContext};
use crate::profile::{Cost, Environment, LossKind, Pid, ProbePlan, Profile, SlowRow, StackId, TargetNote};

/// The schema's name and version.
pub const SCHEMA: &str = "profiler-summary/1";

#[derive(Serialize)]
struct Document<'p> {
    schema: &'static str,
    version: &'p str,
    arguments: &'p [String],
    started_unix_s: u64,
    duration_ns: u64,
    slow_ns: u64,
    frequency_hz: u64,
    cpus: &'p [u32],
    target: Target<'p>,
    missing_tail: Option<&'p str>,
    findings: Vec<String>,
    evidence: Vec<Evidence>,
    counters: BTreeMap<&'p str, u64>,
    environment: &'p Environment,
    backends: &'p [ProbePlan],
    losses: Vec<Loss>,
    classes: Vec<Loss>,
    elided: BTreeMap<&'static str, f64>,
    cost: CostRow<'p>,
    in_flight: Vec<InFlight<'p>>,
    probes: Probes<'p>,
}

/// What a finding rests on.
#[derive(Serialize)]
struct Evidence {
    rule: &'static str,
    finding: String,
    confidence: Confidence,
    threshold: &'static str,
    numbers: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Target<'p> {
    label: &'p str,
    way: &'p str,
    details: BTreeMap<&'p str, &'p str>,
}

#[derive(Serialize)]
struct Probes<'p> {
    syscall: SyscallProbe<'p>,
    lock: Rows<LockRow<'p>>,
    cpu: Rows<CpuRow<'p>>,
}

#[derive(Serialize)]
struct SyscallProbe<'p> {
    unit: &'static str,
    rows: Vec<SyscallRow<'p>>,
    slow: Slow<'p>,
    slowest: Vec<SlowestRow<'p>>,
}

#[derive(Serialize)]
struct Rows<Row> {
    unit: &'static str,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Loss {
    class: Class,
    kind: LossKind,
    text: &'static str,
    count: u64,
    share: Option<f64>,
}

#[derive(Serialize)]
struct CostRow<'p> {
    #[serde(flatten)]
    cost: &'p Cost,
    programs_share: Option<f64>,
    process_share: f64,
}

/// Who a row belongs to.
#[derive(Serialize)]
struct Owner<'p> {
    pid: Pid,
    comm: &'p str,
    container: &'p str,
}

#[derive(Serialize)]
struct SyscallRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: &'p str,
    nr: u32,
    class: &'static str,
    count: u64,
    errors: BTreeMap<String, u64>,
    total_ns: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
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

#[derive(Serialize)]
struct SlowStack<'p> {
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

#[derive(Serialize)]
struct LockRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    kind: &'static str,
    lock: &'p str,
    caller: &'p str,
    context: LockContext,
    count: u64,
    errors: BTreeMap<String, u64>,
    total_ns: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    stack: Vec<String>,
    stack_ns: u64,
}

#[derive(Serialize)]
struct CpuRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    function: &'p str,
    samples: u64,
    stack: Vec<String>,
    stack_samples: u64,
}

#[derive(Serialize)]
struct InFlight<'p> {
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

/// Slow calls by stacks: made and written one by one, there may be many.
struct Slow<'p>(&'p Profile);

impl Serialize for Slow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut folder = Folder::new(self.0);
        serializer.collect_seq(rows::slow(self.0).into_iter().map(|(key, row)| {
            probe::syscall::push(key, &mut folder);
            let stack = folder.take();
            SlowStack {
                owner: owner(self.0, key.pid),
                syscall: syscalls::name(key.nr),
                class: syscalls::class(key.nr).name(),
                sum: slow_sum(row),
                parts: PartsRow::new(&row.parts),
                stack,
            }
        }))
    }
}

/// Writes the document.
///
/// # Errors
/// What the writer returns.
pub fn write(rendering: &Rendering<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    let profile = rendering.profile();
    let mut folder = Folder::new(profile);
    let ranked = Ranked::new(profile, &mut folder);
    let document = document(rendering, &ranked, &mut folder);
    let mut buffered = io::BufWriter::new(out);
    let mut serializer = serde_json::Serializer::with_formatter(&mut buffered, Layout::default());
    document.serialize(&mut serializer).map_err(io::Error::from)?;
    writeln!(buffered)?;
    buffered.flush()?;
    Ok(())
}

fn document<'a>(
    rendering: &'a Rendering<'_>,
    ranked: &'a Ranked<'_>,
    folder: &mut Folder<'_>,
) -> Document<'a> {
    let profile = rendering.profile();
    let header = &profile.header;
    let found = findings::all(profile, ranked);
    let (classes, losses) = ledger(profile).partition(|loss| loss.kind == LossKind::Class);
    Document {
        schema: SCHEMA,
        version: &header.version,
        arguments: &header.arguments,
        started_unix_s: header.started_unix_s,
        duration_ns: profile.duration_ns,
        slow_ns: header.slow_ns,
        frequency_hz: header.frequency_hz,
        cpus: &header.cpus,
        target: target(&header.target),
        missing_tail: profile.missing_tail.as_deref(),
        findings: findings::sentences(&found),
        counters: Window::new(profile).deltas().collect(),
        evidence: found.into_iter().map(evidence).collect(),
        environment: &header.environment,
        backends: &header.probes,
        losses,
        classes,
        elided: Probe::ALL.iter().map(|probe| (probe.name(), rendering.elided(*probe))).collect(),
        cost: CostRow {
            cost: &profile.cost,
            programs_share: profile.cost.programs_share(),
            process_share: profile.cost.process_share(profile.duration_ns),
        },
        in_flight: profile.in_flight.iter().map(|call| in_flight(profile, call, folder)).collect(),
        probes: Probes {
            syscall: SyscallProbe {
                unit: Probe::Syscall.unit(),
                rows: ranked.syscalls.iter().map(|line| syscall_row(profile, line)).collect(),
                slow: Slow(profile),
                slowest: slowest::rows(profile, folder),
            },
            lock: Rows {
                unit: Probe::Lock.unit(),
                rows: ranked.locks.iter().map(|line| lock_row(profile, line, folder)).collect(),
            },
            cpu: Rows {
                unit: Probe::Cpu.unit(),
                rows: ranked.cpu.iter().map(|line| cpu_row(profile, line, folder)).collect(),
            },
        },
    }
}

fn evidence(found: Finding) -> Evidence {
    Evidence {
        rule: found.rule,
        finding: found.sentence,
        confidence: found.confidence,
        threshold: found.threshold,
        numbers: found.evidence.into_iter().collect(),
    }
}

fn target(note: &TargetNote) -> Target<'_> {
    let details = note.details.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    Target { label: &note.label, way: &note.way, details }
}

fn ledger(profile: &Profile) -> impl Iterator<Item = Loss> {
    let ledger = &profile.ledger;
    Class::ALL.iter().map(|&class| Loss {
        class,
        kind: class.kind(),
        text: class.text(),
        count: ledger.get(class),
        share: ledger.share(class),
    })
}

fn owner(profile: &Profile, pid: Pid) -> Owner<'_> {
    Owner { pid, comm: profile.processes.comm(pid), container: profile.processes.container(pid) }
}

const fn slow_sum(row: &SlowRow) -> SlowSum {
    SlowSum { count: row.count, total_ns: row.total_ns, off_cpu_ns: row.off_cpu_ns, max_ns: row.max_ns }
}

fn syscall_row<'p>(profile: &'p Profile, line: &'p SyscallLine<'_>) -> SyscallRow<'p> {
    let latency = &line.row.latency;
    SyscallRow {
        owner: owner(profile, line.pid),
        syscall: &line.name,
        nr: line.nr,
        class: line.class.name(),
        count: latency.count(),
        errors: line
            .row
            .errors
            .iter()
            .map(|(errno, count)| (errno::name(*errno).into_owned(), *count))
            .collect(),
        total_ns: latency.total_ns,
        p50_ns: latency.percentile_ns(500),
        p99_ns: latency.percentile_ns(990),
        max_ns: latency.max_ns,
        slow: slow_sum(&line.slow),
        parts: Breakdown::new(profile, line),
    }
}

fn lock_row<'p>(profile: &'p Profile, line: &'p LockLine, folder: &mut Folder<'_>) -> LockRow<'p> {
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
        count: line.wait.count(),
        errors: BTreeMap::new(),
        total_ns: line.wait.total_ns,
        p50_ns: line.wait.percentile_ns(500),
        p99_ns: line.wait.percentile_ns(990),
        max_ns: line.wait.max_ns,
        stack: folder.take(),
        stack_ns: line.heaviest_ns,
    }
}

fn cpu_row<'p>(profile: &'p Profile, line: &'p CpuLine, folder: &mut Folder<'_>) -> CpuRow<'p> {
    probe::cpu::push(&line.heaviest, folder);
    CpuRow {
        owner: owner(profile, line.pid),
        function: &line.function,
        samples: line.samples,
        stack: folder.take(),
        stack_samples: line.heaviest_samples,
    }
}

fn in_flight<'p>(profile: &'p Profile, call: &'p InFlightCall, folder: &mut Folder<'_>) -> InFlight<'p> {
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
