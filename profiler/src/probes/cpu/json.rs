//! `probes.cpu` in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: ranked lines and the sheet that keeps their stacks. Out: what serde writes, a row to a line.

use serde::Serialize;

use super::lines::CpuLine;
use super::picture::{self, DRAWING};
use crate::profile::Profile;
use crate::render::json_row::{Owner, Rows, owner};
use crate::render::scene::Scene;
use crate::render::sheet::{Sheet, StackRef};

/// `probes.cpu`.
pub type Json<'a> = Rows<'a, CpuRow<'a>>;

/// `probes.cpu` of a profile.
pub fn json<'a>(scene: &Scene<'a>, sheet: &Sheet<'a>) -> Json<'a> {
    let row = |line| cpu_row(scene.profile, line, sheet);
    Rows {
        unit: DRAWING.unit,
        rows: sheet.list("probes.cpu.rows", scene.ranked.cpu.iter().map(row).collect()),
    }
}

/// Samples of one function.
#[derive(Serialize)]
pub struct CpuRow<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    function: &'p str,
    samples: u64,
    stack: StackRef<'p>,
    stack_samples: u64,
}

/// A row of samples, with its heaviest stack.
fn cpu_row<'p>(profile: &'p Profile, line: &'p CpuLine, sheet: &Sheet<'p>) -> CpuRow<'p> {
    CpuRow {
        owner: owner(profile, line.pid),
        function: &line.function,
        samples: line.samples,
        stack: sheet.stack(|folder| picture::push(&line.heaviest, folder)),
        stack_samples: line.heaviest_samples,
    }
}
