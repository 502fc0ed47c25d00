//! `probes.offcpu` and `outside_calls` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: rows of waits, ranked lines. Out: what serde writes, heaviest first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::merged::{self, Merged};
use super::outside::Outside;
use super::picture::{self, DRAWING};
use super::wakers;
use crate::probes::blame::by_place::ByPlace;
use crate::probes::blame::chain_json;
use crate::probes::blame::json::{self as blame, Held};
use crate::probes::waits::class::Classes;
use crate::probes::waits::ender::Ender;
use crate::probes::waits::json::{Row, rows};
use crate::probes::waits::stacks::Places;
use crate::profile::{Profile, Wait};
use crate::render::json_row::{Events, Owner, nobody, owner};
use crate::render::scene::Scene;
use crate::render::sheet::{List, Sheet, StackRef};
use crate::render::syscalls::{self, CallClass};
use serde::{Serialize, Serializer};

/// `probes.offcpu`.
#[derive(Serialize)]
pub struct Json<'p> {
    unit: &'static str,
    stacks_from_ns: u64,
    rows: List<'p, Row<'p>>,
    stacks: Stacks<'p>,
    user_lock_holders: List<'p, Held<'p>>,
    chains: List<'p, chain_json::Row<'p>>,
}

/// Long waits by stacks: made when they are written, there may be many.
struct Stacks<'p>(&'p Profile, Sheet<'p>);

#[derive(Serialize)]
struct Stack<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: Option<Cow<'static, str>>,
    class: &'static str,
    class_by: &'static str,
    wait: Wait,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    at_least: bool,
    count: u64,
    total_ns: u64,
    max_ns: u64,
    on: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_lock: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chain: Vec<chain_json::Chain<'p>>,
    stack: StackRef<'p>,
    waker: Option<Ended<'p>>,
}

/// Who ended a wait.
#[derive(Serialize)]
struct Ended<'p> {
    interrupt: bool,
    #[serde(flatten)]
    owner: Owner<'p>,
    stack: StackRef<'p>,
}

impl Serialize for Stacks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(profile, sheet) = self;
        let (mut classes, mut places) = (Classes::new(profile), Places::new(profile));
        let (rows, chains) = (merged::rows(profile, |_| true), ByPlace::new(profile));
        let all = ("probes.offcpu.stacks", rows.len());
        let row = |row: &Merged| Stack {
            chain: chains.rows(&(row.key.row.pid, row.key.row.nr, row.key.kernel)),
            ..stack((profile, sheet), row, &mut classes, &mut places)
        };
        sheet.rows(all, rows.iter().map(row), serializer)
    }
}

fn stack<'p>(
    (profile, sheet): (&'p Profile, &Sheet<'p>),
    merged: &Merged,
    classes: &mut Classes<'p>,
    places: &mut Places<'p>,
) -> Stack<'p> {
    let Merged { key, ender, row } = merged;
    let owner_of = match *ender {
        Ender::Unseen => None,
        Ender::Interrupt => Some(nobody("interrupt")),
        Ender::Process(pid) => Some(owner(profile, pid)),
    };
    let (class, by) = classes.verdict(key);
    Stack {
        owner: owner(profile, key.row.pid),
        syscall: key.row.nr.map(syscalls::name),
        class: class.name(),
        class_by: by.name(),
        wait: key.row.wait,
        at_least: key.row.nr.is_some_and(syscalls::began_before),
        count: row.waits,
        total_ns: row.total_ns,
        max_ns: row.max_ns,
        on: places.of(key),
        user_lock: (class == CallClass::UserLock).then(|| classes.user_lock(key).name()),
        chain: Vec::new(),
        stack: sheet.stack(|folder| picture::push(key, folder)),
        waker: owner_of.map(|owner| Ended {
            interrupt: *ender == Ender::Interrupt,
            owner,
            stack: sheet.stack(|folder| wakers::push_stacks(*ender, key.waker, folder)),
        }),
    }
}

/// `probes.offcpu` of a profile.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let profile = scene.profile;
    Json {
        unit: DRAWING.unit,
        stacks_from_ns: picture::stacks_from_ns(&profile.header),
        rows: sheet.list("probes.offcpu.rows", rows(profile, |wait| !wait.is_runnable())),
        stacks: Stacks(profile, sheet.clone()),
        user_lock_holders: sheet.list("probes.offcpu.user_lock_holders", blame::held(profile)),
        chains: sheet.list("probes.offcpu.chains", chain_json::rows(profile)),
    }
}

/// Stalls of one process outside of calls.
#[derive(Serialize)]
pub struct OutsideRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    #[serde(flatten)]
    events: Events,
    by: BTreeMap<Wait, u64>,
    blocked_on: BTreeMap<&'p str, u64>,
}

/// `outside_calls` of a profile.
pub fn outside<'p>(profile: &'p Profile, lines: &'p [Outside<'p>]) -> Vec<OutsideRow<'p>> {
    let row = |line: &'p Outside<'_>| OutsideRow {
        owner: owner(profile, line.pid),
        events: Events::of(&line.stalls),
        by: line.by.clone(),
        blocked_on: line.on.iter().filter(|(_, ns)| **ns > 0).map(|(on, ns)| (*on, *ns)).collect(),
    };
    lines.iter().map(row).collect()
}
