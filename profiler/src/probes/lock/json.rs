//! `probes.lock` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: ranked lines and the sheet that keeps their stacks. Out: what serde writes, a row to a line.

use std::collections::BTreeMap;

use serde::Serialize;

use super::holders::Held;
use super::lines::LockLine;
use super::picture::{self, DRAWING};
use crate::profile::Profile;
use crate::profile::rows::{Holder, LockContext};
use crate::render::json_row::{Events, Owner, Rows, nobody, owner};
use crate::render::scene::Scene;
use crate::render::sheet::{Sheet, StackRef};

/// `probes.lock`.
pub type Json<'a> = Rows<'a, LockRow<'a>>;

/// `probes.lock` of a profile.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let row = |line| lock_row(scene.profile, line, sheet);
    Rows {
        unit: DRAWING.unit,
        rows: sheet.list("probes.lock.rows", scene.ranked.locks.iter().map(row).collect()),
    }
}

/// Waits for one lock.
#[derive(Serialize)]
pub struct LockRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    kind: &'static str,
    lock: &'p str,
    caller: &'p str,
    context: LockContext,
    #[serde(flatten)]
    events: Events,
    stack: StackRef<'p>,
    stack_ns: u64,
    held_by: Vec<HeldBy<'p>>,
}

/// Who held the locks of a row, for waits whose holder is known.
#[derive(Serialize)]
struct HeldBy<'p> {
    readers: bool,
    #[serde(flatten)]
    owner: Owner<'p>,
    waits: u64,
    total_ns: u64,
}

/// A row of lock waits, with its heaviest stack.
fn lock_row<'p>(profile: &'p Profile, line: &'p LockLine, sheet: &Sheet<'p>) -> LockRow<'p> {
    LockRow {
        owner: match line.context {
            LockContext::Task => owner(profile, line.pid),
            LockContext::Softirq | LockContext::Hardirq | LockContext::Nmi => nobody("interrupt"),
        },
        kind: line.kind.name(),
        lock: &line.name.lock,
        caller: &line.name.caller,
        context: line.context,
        events: Events::new(&line.wait, BTreeMap::new()),
        stack: sheet.stack(|folder| picture::push(profile, &line.heaviest, folder)),
        stack_ns: line.heaviest_ns,
        held_by: line.holders.iter().map(|held| held_by(profile, held)).collect(),
    }
}

fn held_by<'p>(profile: &'p Profile, (holder, row): &Held) -> HeldBy<'p> {
    let owner = match holder {
        Holder::Process(pid) => owner(profile, *pid),
        Holder::Readers => nobody(""),
    };
    HeldBy { readers: *holder == Holder::Readers, owner, waits: row.waits, total_ns: row.total_ns }
}
