//! `summary.json`: the whole result for programs; `docs/summary.md` is its schema.
//!
//! In: the profile. Out: one JSON object, a row to a line. Strings are what was recorded, with
//! everything a terminal would obey escaped.

mod row;
mod waits;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::findings::{self, Confidence, Finding, Ranked, Window};
use super::fold::Folder;
use super::layout::Layout;
use super::rows;
use super::slowest::{self, SlowestRow};
use super::tracing::Tracing;
use super::{Probe, Rendering, probe, security};
use crate::profile::ledger::Class;
use crate::profile::{Cost, Environment, LossKind, ProbePlan, Profile, TargetNote};

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
    in_flight: Vec<row::InFlight<'p>>,
    lock_waits_of_tracing: Tracing,
    outside_calls: Vec<waits::OutsideRow<'p>>,
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
    lock: Rows<row::LockRow<'p>>,
    lsm: security::Probe<'p>,
    offcpu: waits::Offcpu<'p>,
    runq: waits::Runq<'p>,
    cpu: Rows<row::CpuRow<'p>>,
}

#[derive(Serialize)]
struct SyscallProbe<'p> {
    unit: &'static str,
    rows: Vec<row::SyscallRow<'p>>,
    slow: Slow<'p>,
    slowest: Vec<SlowestRow<'p>>,
    slowest_user_locks: Vec<SlowestRow<'p>>,
    time_axis: Axis,
}

/// How much the capture's time axis holds, and what it had to sum up.
#[derive(Serialize)]
struct Axis {
    columns: usize,
    calls: usize,
    other_calls: u64,
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

/// Slow calls by stacks: made and written one by one, there may be many.
struct Slow<'p>(&'p Profile);

impl Serialize for Slow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut folder = Folder::new(self.0);
        serializer.collect_seq(rows::slow(self.0).into_iter().map(|(key, row)| {
            probe::syscall::push(key, &mut folder);
            row::slow_stack(self.0, key, row, folder.take())
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
        in_flight: profile.in_flight.iter().map(|call| row::in_flight(profile, call, folder)).collect(),
        lock_waits_of_tracing: Tracing::of(profile),
        outside_calls: waits::outside(profile, &ranked.waits),
        probes: Probes {
            syscall: SyscallProbe {
                unit: Probe::Syscall.unit(),
                rows: ranked.syscalls.iter().map(|line| row::syscall_row(profile, line)).collect(),
                slow: Slow(profile),
                slowest: slowest::rows(profile, folder, false),
                slowest_user_locks: slowest::rows(profile, folder, true),
                time_axis: Axis {
                    columns: profile.axis.columns().len(),
                    calls: profile.axis.calls().count(),
                    other_calls: profile.axis.other().count(),
                },
            },
            lock: Rows {
                unit: Probe::Lock.unit(),
                rows: ranked.locks.iter().map(|line| row::lock_row(profile, line, folder)).collect(),
            },
            lsm: security::probe(profile, ranked, folder),
            offcpu: waits::offcpu(profile),
            runq: waits::runq(profile, &ranked.waits),
            cpu: Rows {
                unit: Probe::Cpu.unit(),
                rows: ranked.cpu.iter().map(|line| row::cpu_row(profile, line, folder)).collect(),
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
