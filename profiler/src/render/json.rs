//! `summary.json`: the whole result for programs; `docs/summary.md` is its schema.
//!
//! In: the profile. Out: one JSON object, a row to a line. Strings are what was recorded, with
//! everything a terminal would obey escaped. Each stack stands in it once, and rows have its number. Where the rows take
//! more than its size, the lightest of the longest lists are left out.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::rc::Rc;

use super::findings;
use super::fold::Folder;
use super::layout::Layout;
use super::quota::{self, Bounded, TRIES};
use super::ranked::Ranked;
use super::rendering::Rendering;
use super::rule::{Confidence, Finding};
use super::scene::{Idle, Scene};
use super::sheet::{List, NameList, Sheet, StackList, Summary};
use super::time_line::TimeLine;
use super::window::Window;
use super::{deaths, presence};
use crate::probe::{Picture, each_probe};
use crate::probes::lock::tracing::Tracing;
use crate::probes::offcpu::json::{self as offcpu, OutsideRow};
use crate::probes::syscall::json::{self as syscall, InFlight};
use crate::profile::ledger::Class;
use crate::profile::{Absence, Cost, Environment, Ledger, LossKind, ProbePlan, TargetNote};
use serde::{Serialize, Serializer};

/// The schema's name and version. 2: `stack` is a number, and `pid` may be `null`.
pub const SCHEMA: &str = "profiler-summary/2";

#[derive(Serialize)]
struct Document<'p> {
    schema: &'static str,
    version: &'p str,
    arguments: List<'p, &'p String>,
    started_unix_s: u64,
    duration_ns: u64,
    slow_ns: u64,
    frequency_hz: u64,
    cpus: &'p [u32],
    limits: List<'p, &'p String>,
    pauses: Vec<Pause>,
    target: Target<'p>,
    missing_tail: Option<&'p str>,
    findings: Vec<String>,
    evidence: Vec<Evidence>,
    counters: BTreeMap<&'p str, u64>,
    environment: &'p Environment,
    backends: &'p [ProbePlan],
    elided: BTreeMap<&'static str, f64>,
    cost: CostRow<'p>,
    absences: Vec<Absence<'p>>,
    deaths: List<'p, deaths::Row<'p>>,
    time_line: TimeLine,
    in_flight: List<'p, InFlight<'p>>,
    lock_waits_of_tracing: Tracing,
    outside_calls: List<'p, OutsideRow<'p>>,
    probes: Probes<'p>,
    /// Known when the lists are written.
    left_out: LeftOut<'p>,
    losses: Losses<'p>,
    classes: Losses<'p>,
    stacks: StackList<'p>,
    names: NameList<'p>,
}

/// When the profiler read late.
#[derive(Serialize)]
struct Pause {
    start_ns: u64,
    end_ns: u64,
}

/// What a finding rests on.
#[derive(Serialize)]
struct Evidence {
    rule: &'static str,
    finding: String,
    confidence: Confidence,
    cost_ns: Option<u64>,
    threshold: &'static str,
    numbers: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Target<'p> {
    label: &'p str,
    way: &'p str,
    details: BTreeMap<&'p str, &'p str>,
}

macro_rules! probes {
    ($($probe:ident $name:ident [$($picture:tt)*],)*) => {
        /// What each probe has to say.
        #[derive(Serialize)]
        struct Probes<'p> { $($name: crate::probes::$name::json::Json<'p>,)* }

        impl<'p> Probes<'p> {
            fn new(scene: &Scene<'p>, sheet: &Sheet<'p>) -> Self {
                Self { $($name: crate::probes::$name::json::json(scene, sheet),)* }
            }
        }
    };
}

each_probe!(probes);

/// Rows that had no room, by list.
struct LeftOut<'p>(Sheet<'p>);

impl Serialize for LeftOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.quotas().cut())
    }
}

/// The ledger: losses, or what is none.
struct Losses<'p> {
    ledger: Rc<Ledger>,
    classes: bool,
    sheet: Sheet<'p>,
}

#[derive(Serialize)]
struct Loss {
    class: Class,
    kind: LossKind,
    text: &'static str,
    count: u64,
    share: Option<f64>,
}

impl Serialize for Losses<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut ledger = Ledger::clone(&self.ledger);
        ledger.count(Class::SummaryCut, self.sheet.quotas().left_out());
        let classes = Class::ALL.iter().filter(|class| (class.kind() == LossKind::Class) == self.classes);
        serializer.collect_seq(classes.map(|&class| Loss {
            class,
            kind: class.kind(),
            text: class.text(),
            count: ledger.get(class),
            share: ledger.share(class),
        }))
    }
}

#[derive(Serialize)]
struct CostRow<'p> {
    #[serde(flatten)]
    cost: &'p Cost,
    programs_share: Option<f64>,
    programs_share_interval: Option<[f64; 2]>,
    own_events: u64,
    process_share: f64,
}

/// The document, made once.
///
/// # Errors
/// What is known of the machine alone exceeds the document's size: a hostile capture.
pub fn summary<'r>(rendering: &'r Rendering<'_>) -> anyhow::Result<&'r Summary> {
    if let Some(summary) = rendering.summary.get() {
        return Ok(summary);
    }
    let profile = rendering.profile();
    let ranked = Ranked::new(profile, &mut Folder::new(profile));
    let scene = Scene { profile, ranked: &ranked, idle: Idle::Apart };
    let sheet = Sheet::new(profile);
    let document = document(rendering, &scene, &sheet);
    let written = fit(&document, &sheet)?;
    Ok(rendering.summary.get_or_init(|| written))
}

/// Writes the document, again with smaller quotas until it keeps its size.
fn fit(document: &Document<'_>, sheet: &Sheet<'_>) -> anyhow::Result<Summary> {
    for attempt in 0..TRIES {
        sheet.begin();
        let mut out = Bounded::new(sheet.quotas());
        document
            .serialize(&mut serde_json::Serializer::with_formatter(&mut out, Layout::default()))
            .map_err(io::Error::from)?;
        writeln!(out)?;
        if out.total() <= quota::BYTES {
            return Ok(Summary { bytes: out.bytes, left_out: sheet.quotas().left_out() });
        }
        sheet.quotas().shrink(out.total(), attempt);
    }
    anyhow::bail!("summary.json would exceed {} MB without any row", quota::BYTES / 1_000_000)
}

fn document<'a>(rendering: &'a Rendering<'_>, scene: &Scene<'a>, sheet: &Sheet<'a>) -> Document<'a> {
    let (profile, ranked) = (scene.profile, scene.ranked);
    let header = &profile.header;
    let events = profile.ledger.own_events();
    let estimated = profile.cost.programs_estimate(profile.duration_ns, events);
    let found = findings::all(profile, ranked);
    let ledger = Rc::new(rendering.ledger_of_files());
    let losses = |classes| Losses { ledger: Rc::clone(&ledger), classes, sheet: sheet.clone() };
    Document {
        schema: SCHEMA,
        version: &header.version,
        arguments: sheet.list("arguments", header.arguments.iter().collect()),
        started_unix_s: header.started_unix_s,
        duration_ns: profile.duration_ns,
        slow_ns: header.slow_ns,
        frequency_hz: header.frequency_hz,
        cpus: &header.cpus,
        limits: sheet.list("limits", header.limits.iter().collect()),
        pauses: profile
            .pauses
            .iter()
            .map(|(start_ns, end_ns)| Pause { start_ns: *start_ns, end_ns: *end_ns })
            .collect(),
        target: target(&header.target),
        missing_tail: profile.missing_tail.as_deref(),
        findings: findings::sentences(&found),
        counters: Window::new(profile).deltas().collect(),
        evidence: found.into_iter().map(evidence).collect(),
        environment: &header.environment,
        backends: &header.probes,
        elided: Picture::ALL.iter().map(|picture| (picture.name(), rendering.elided(*picture))).collect(),
        cost: CostRow {
            cost: &profile.cost,
            programs_share: estimated.map_or_else(|| profile.cost.programs_share(), |told| Some(told.value)),
            programs_share_interval: estimated.and_then(|told| told.interval).map(|(low, high)| [low, high]),
            own_events: events,
            process_share: profile.cost.process_share(profile.duration_ns),
        },
        absences: presence::rows(profile),
        deaths: sheet.list("deaths", deaths::rows(profile)),
        time_line: TimeLine::new(profile),
        in_flight: syscall::in_flight(profile, sheet),
        lock_waits_of_tracing: Tracing::of(profile),
        outside_calls: sheet.list("outside_calls", offcpu::outside(profile, &ranked.outside)),
        probes: Probes::new(scene, sheet),
        left_out: LeftOut(sheet.clone()),
        losses: losses(false),
        classes: losses(true),
        stacks: StackList(sheet.clone()),
        names: NameList(sheet.clone()),
    }
}

fn evidence(found: Finding) -> Evidence {
    Evidence {
        rule: found.rule,
        finding: found.sentence,
        confidence: found.confidence,
        cost_ns: found.cost_ns,
        threshold: found.threshold,
        numbers: found.evidence.into_iter().collect(),
    }
}

fn target(note: &TargetNote) -> Target<'_> {
    let details = note.details.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    Target { label: &note.label, way: &note.way, details }
}
