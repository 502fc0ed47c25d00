//! Faults come through a ring of their own, and not in row maps: `collect::faults` takes them.
//!
//! In: nothing. Out: no rows.

use aya::Ebpf;

use super::rows::CrashRows;
use crate::collect::source::{Contexts, Drained, Source};
use crate::profile::Ledger;

/// No map.
pub struct Maps;

/// No row.
#[derive(Default)]
pub struct Nothing;

impl Source for Maps {
    type Drained = Nothing;

    fn new(_: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self)
    }

    fn take(&mut self, _: u32) -> anyhow::Result<Nothing> {
        Ok(Nothing)
    }
}

impl Drained for Nothing {
    type Rows = CrashRows;

    fn add_to(&self, _: &mut CrashRows, _: &mut Ledger, _: &Contexts) {}
}
