//! Wait chains in `summary.json`; `docs/summary.md` is the schema.
//!
//! In: waits by place with their chains. Out: what serde writes, heaviest first.

use std::borrow::Cow;

use serde::Serialize;

use super::chains::{Chains, Part, Place, Waits};
use super::rows::How;
use crate::profile::{Profile, Wait};
use crate::render::json_row::{Owner, owner};
use crate::render::syscalls;
use crate::render::telling::telling_function;

/// Who waited for what.
#[derive(Serialize)]
pub struct Step<'p> {
    #[serde(flatten)]
    owner: Owner<'p>,
    syscall: Option<Cow<'static, str>>,
    wait: Wait,
    on: &'p str,
}

/// A part of the waits in one place.
#[derive(Serialize)]
pub struct Chain<'p> {
    ns: u64,
    chain: Vec<Step<'p>>,
    rest: How,
    is_cut: bool,
}

/// Waits in one place, with the chains that explain them.
#[derive(Serialize)]
pub struct Row<'p> {
    #[serde(flatten)]
    step: Step<'p>,
    waits: u64,
    total_ns: u64,
    explained_ns: u64,
    parts: Vec<Chain<'p>>,
}

fn step<'p>(profile: &'p Profile, place: &Place) -> Step<'p> {
    Step {
        owner: owner(profile, place.pid),
        syscall: place.nr.map(syscalls::name),
        wait: place.wait,
        on: telling_function(profile, place.kernel).unwrap_or(""),
    }
}

/// The parts of waits, heaviest first.
pub fn parts<'p>(profile: &'p Profile, waits: &Waits) -> Vec<Chain<'p>> {
    let mut parts: Vec<(&Part, u64)> = waits.parts.iter().map(|(part, ns)| (part, *ns)).collect();
    parts.sort_by_key(|(part, ns)| (std::cmp::Reverse(*ns), *part));
    let chain = |(part, ns): (&Part, u64)| Chain {
        ns,
        chain: part.chain.iter().map(|place| step(profile, place)).collect(),
        rest: part.rest,
        is_cut: part.is_cut,
    };
    parts.into_iter().map(chain).collect()
}

/// All of them.
pub fn rows(profile: &Profile) -> Vec<Row<'_>> {
    let row = |(place, waits): (Place, Waits)| Row {
        step: step(profile, &place),
        waits: waits.waits,
        total_ns: waits.total_ns,
        explained_ns: waits.explained().iter().map(|(_, ns)| *ns).fold(0, u64::saturating_add),
        parts: parts(profile, &waits),
    };
    Chains::new(profile).waits().into_iter().map(row).collect()
}
