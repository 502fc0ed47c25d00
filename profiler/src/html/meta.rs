//! What the page knows beside its columns.
//!
//! In: a rendering and its ranked rows. Out: one JSON object, every name in it clean: header, findings with their evidence, slices, graphs,
//! tables, slowest calls, deaths and absences, and the terminal report's sections as they are.

use serde::Serialize;

use super::graph::{Coded, Graph};
use super::rows::Table;
use super::timed::Timed;
use crate::probes::syscall::picture::push;
use crate::probes::syscall::slowest;
use crate::profile::rows::{SlowKey, StackSource};
use crate::profile::slowest::SlowestCall;
use crate::profile::{Part, Profile, StackId};
use crate::render::fold::Folder;
use crate::render::name::{NameId, Names};
use crate::render::page::Block;
use crate::render::pictures::drawing;
use crate::render::ranked::Ranked;
use crate::render::rule::Confidence;
use crate::render::{Rendering, clean, deaths, findings, presence, syscalls, thread, who};

/// Deaths that are marked at most.
const MARKS: usize = 200;
/// Frames of a slowest call's stack at most.
const FRAMES: usize = 64;

/// The object.
#[derive(Serialize)]
pub struct Meta {
    target: String,
    host: String,
    kernel: String,
    started_unix_s: u64,
    duration_ns: u64,
    slow_ns: u64,
    findings: Vec<Told>,
    slices: Vec<(u64, u64)>,
    parts: Vec<&'static str>,
    graphs: Vec<GraphRow>,
    tables: Vec<TableRow>,
    slowest: Vec<SlowestRow>,
    marks: Vec<Mark>,
    /// The terminal report.
    pub sections: Vec<Block>,
    names: usize,
    /// Bytes of each column.
    pub columns: Vec<usize>,
}

/// A finding and what it rests on.
#[derive(Serialize)]
struct Told {
    sentence: String,
    rule: &'static str,
    confidence: Confidence,
    cost_ns: Option<u64>,
    threshold: &'static str,
    numbers: Vec<(&'static str, u64)>,
    probe: Option<&'static str>,
}

#[derive(Serialize)]
struct GraphRow {
    name: &'static str,
    probe: &'static str,
    title: String,
    unit: &'static str,
    nodes: u32,
    total: u64,
    timeless: u64,
    stacks: u64,
    folded: u64,
    narrowest: u64,
    columns: Vec<usize>,
}

#[derive(Serialize)]
struct TableRow {
    name: &'static str,
    title: &'static str,
    titles: &'static [&'static str],
    rows: Vec<(Vec<String>, &'static str)>,
    column: usize,
}

#[derive(Serialize)]
struct SlowestRow {
    call: String,
    process: String,
    pid: String,
    thread: String,
    start_ns: u64,
    wall_ns: u64,
    before_ns: u64,
    at_least: bool,
    user_lock: bool,
    returned: String,
    of: String,
    parts: Vec<u64>,
    /// Names; later their numbers on the page.
    stack: Vec<NameId>,
}

/// Something that happened at a time.
#[derive(Serialize)]
struct Mark {
    from_ns: u64,
    to_ns: u64,
    text: String,
}

impl Meta {
    /// Everything but graphs, tables and sections.
    pub fn new(rendering: &Rendering<'_>, ranked: &Ranked<'_>, timed: &Timed<'_>, names: &mut Names) -> Self {
        let profile = rendering.profile();
        let (header, machine) = (&profile.header, &profile.header.environment);
        let target = match header.target.label.as_str() {
            "" => "whole machine".to_owned(),
            label => clean::name(label).into_owned(),
        };
        Self {
            target,
            host: clean::name(&machine.hostname).into_owned(),
            kernel: clean::name(&machine.kernel_release).into_owned(),
            started_unix_s: header.started_unix_s,
            duration_ns: profile.duration_ns,
            slow_ns: header.slow_ns,
            findings: told(profile, ranked),
            slices: timed.slices.clone(),
            parts: Part::ALL.iter().map(|part| part.name()).collect(),
            graphs: Vec::new(),
            tables: Vec::new(),
            slowest: slowest_calls(profile, names),
            marks: marks(profile),
            sections: Vec::new(),
            names: 0,
            columns: Vec::new(),
        }
    }

    /// Adds a graph.
    pub fn graph(&mut self, rendering: &Rendering<'_>, graph: &Graph, coded: &Coded, columns: Vec<usize>) {
        let row = drawing(graph.picture);
        self.graphs.push(GraphRow {
            name: graph.picture.name(),
            probe: graph.picture.probe().name(),
            title: (row.title)(&rendering.profile().header),
            unit: row.unit,
            nodes: coded.nodes,
            total: coded.total,
            timeless: coded.timeless,
            stacks: coded.stacks,
            folded: coded.folded,
            narrowest: graph.narrowest,
            columns,
        });
    }

    /// Adds a table; one without rows is left out.
    pub fn table(&mut self, table: &Table, column: usize) {
        if !table.rows.is_empty() {
            let rows = table.rows.clone();
            let (name, title, titles) = (table.name, table.title, table.columns);
            self.tables.push(TableRow { name, title, titles, rows, column });
        }
    }

    /// Names that stacks outside of graphs have.
    pub fn stack_names(&self) -> impl Iterator<Item = NameId> + '_ {
        self.slowest.iter().flat_map(|call| call.stack.iter().copied())
    }

    /// Says which column has the names, and gives stacks the names' numbers there.
    pub fn names(&mut self, column: usize, number: &[NameId]) {
        self.names = column;
        for call in &mut self.slowest {
            for name in &mut call.stack {
                *name = number.get(*name as usize).copied().unwrap_or(0);
            }
        }
    }
}

fn told(profile: &Profile, ranked: &Ranked<'_>) -> Vec<Told> {
    let probes = findings::probes(profile, ranked);
    let found = findings::all(profile, ranked).into_iter();
    let told = found.map(|finding| Told {
        probe: probes.get(finding.rule).map(|probe| probe.name()),
        sentence: finding.sentence,
        rule: finding.rule,
        confidence: finding.confidence,
        cost_ns: finding.cost_ns,
        threshold: finding.threshold,
        numbers: finding.evidence,
    });
    told.collect()
}

fn slowest_calls(profile: &Profile, names: &mut Names) -> Vec<SlowestRow> {
    let mut folder = Folder::new(profile);
    let row = |call: &SlowestCall| {
        let source = if call.kernel == StackId::NONE { StackSource::None } else { StackSource::Wait };
        let key = SlowKey { pid: call.pid, nr: call.nr, kernel: call.kernel, user: call.user, source };
        push(&key, &mut folder);
        let frames = folder.take();
        let deep = frames.len().saturating_sub(FRAMES);
        SlowestRow {
            call: syscalls::name_only(call.nr).into_owned(),
            process: who::process(profile, call.pid),
            pid: profile.processes.pid_text(call.pid),
            thread: thread::cell(profile, call.pid, (call.tid, &call.thread)),
            start_ns: call.start_ns,
            wall_ns: call.wall_ns,
            before_ns: call.before_ns,
            at_least: call.is_older(),
            user_lock: call.is_user_lock(),
            returned: slowest::error(call).unwrap_or_else(|| call.ret.to_string()),
            of: slowest::of(profile, call),
            parts: Part::ALL.iter().map(|part| call.parts.get(*part)).collect(),
            stack: frames[deep..].iter().map(|frame| names.intern(frame)).collect(),
        }
    };
    profile.slowest.iter().map(row).collect()
}

fn marks(profile: &Profile) -> Vec<Mark> {
    let absences = presence::rows(profile).into_iter().take(MARKS).map(|absence| Mark {
        from_ns: absence.from_ns,
        to_ns: absence.to_ns.unwrap_or(profile.duration_ns),
        text: format!("{} not there", clean::name(absence.name)),
    });
    let groups = deaths::groups(profile);
    let all = groups.iter().flat_map(|group| group.deaths.iter().map(move |death| (group, death)));
    let deaths = all.take(MARKS).map(|(group, death)| Mark {
        from_ns: death.at_ns,
        to_ns: death.at_ns,
        text: format!("{} died by {}", group.who(), group.how()),
    });
    absences.chain(deaths).collect()
}
