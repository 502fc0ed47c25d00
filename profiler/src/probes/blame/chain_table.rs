//! The table of wait chains.
//!
//! In: waits by place with their chains. Out: the heaviest chains, each with its share; what is not explained.

use std::io;

use super::chains::{Chains, Part, Place, Waits};
use crate::profile::Profile;
use crate::render::humane;
use crate::render::page::{Page, decisive, number};
use crate::render::table::{FEW_ROWS, ranked_table};

/// The table; nothing where no chain explains anything.
pub fn sections(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    let chains = Chains::new(profile);
    let waits = chains.waits();
    let mut lines: Vec<_> = waits
        .iter()
        .flat_map(|(place, waits)| {
            waits.explained().into_iter().map(move |(part, ns)| (place, waits, part, ns))
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    lines.sort_by_key(|(.., ns)| std::cmp::Reverse(*ns));
    page.heading("WAIT CHAINS: long waits, and what who ended them had waited for meanwhile")?;
    let columns = [number("time"), number("of"), number("waits"), decisive("who waited ← for whom ← …")];
    let weights: Vec<_> = lines.iter().map(|(.., ns)| *ns).collect();
    let row = |(place, waits, part, ns): &(&Place, &Waits, &Part, u64)| {
        vec![
            humane::duration(*ns),
            humane::part(*ns, waits.total_ns),
            humane::count(waits.waits),
            format!("{} ← {}", chains.words(place), chains.chain(part)),
        ]
    };
    let rows: Vec<_> = lines.iter().take(FEW_ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)?;
    match chains.forgotten {
        0 => Ok(()),
        lost => page.line(&format!("  {} were lost", humane::plural(lost, "link"))),
    }
}
