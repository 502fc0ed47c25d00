//! The table of who held the locks of user space that were waited for.
//!
//! In: lines by process and holder. Out: the longest of them; nothing where nobody waited long.

use std::io;

use super::held::{self, Line};
use crate::profile::Profile;
use crate::render::humane;
use crate::render::page::{Page, decisive, number, text};
use crate::render::table::{FEW_ROWS, ranked_table};
use crate::render::who::process;

/// The table.
pub fn sections(page: &mut Page<'_>, profile: &Profile) -> io::Result<()> {
    let lines = held::lines(profile);
    if lines.is_empty() {
        return Ok(());
    }
    page.heading("USER LOCKS BY HOLDER: long futex waits, by who held the lock when they began")?;
    let columns = [
        text("process"),
        number("pid"),
        number("waits"),
        number("total"),
        number("max"),
        number("locks"),
        decisive("held by"),
        number("ended by it"),
    ];
    let row = |line: &Line| {
        let named = line.holder.process().is_some();
        vec![
            process(profile, line.pid),
            profile.processes.pid_text(line.pid),
            humane::count(line.row.waits),
            humane::duration(line.row.total_ns),
            humane::duration(line.row.max_ns),
            if named { humane::count(line.locks) } else { String::new() },
            held::words(profile, line.pid, &line.holder),
            if named { humane::part(line.row.ended_by_holder, line.row.waits) } else { String::new() },
        ]
    };
    let weights: Vec<_> = lines.iter().map(|line| line.row.total_ns).collect();
    let rows: Vec<_> = lines.iter().take(FEW_ROWS).map(row).collect();
    ranked_table(page, &columns, &rows, &weights)
}
