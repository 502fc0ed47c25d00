//! The kernel's counters over the session.
//!
//! In: counters at the start and at the end, and what the rules found in them. Out: one table. Counters
//! that a finding rests on come first and are marked; counters that did not change are left out.

use std::io;

use super::page::{Page, number, text};
use super::rule::Finding;
use super::window::Window;
use super::{clean, humane};
use crate::profile::Profile;

/// Lines at most; all counters are in `summary.json`.
const LINES: usize = 16;

/// Counters that findings rest on, in the order of the findings.
fn evidence<'f>(window: &Window<'_>, found: &'f [Finding]) -> Vec<&'f str> {
    let numbers = found.iter().flat_map(|finding| finding.evidence.iter());
    let names = numbers.map(|(name, _)| *name);
    names.filter(|name| window.delta(name).is_some_and(|delta| delta > 0)).collect()
}

/// Writes the table.
pub fn write(page: &mut Page<'_>, profile: &Profile, found: &[Finding]) -> io::Result<()> {
    let window = Window::new(profile);
    let abnormal = evidence(&window, found);
    let mut moved: Vec<(&str, u64)> = window.deltas().filter(|(_, delta)| *delta > 0).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let place = |name: &str| abnormal.iter().position(|own| *own == name).unwrap_or(usize::MAX);
    moved.sort_by_key(|(name, _)| (place(name), !name.starts_with("cgroup"), *name));
    page.heading("COUNTERS of the kernel over this time (! a finding rests on it)")?;
    let columns = [text(""), text("counter"), number("in all"), number("per second")];
    let rows: Vec<Vec<String>> = moved
        .iter()
        .take(LINES.max(abnormal.len()))
        .map(|(name, delta)| {
            let mark = if abnormal.contains(name) { "!" } else { "" };
            vec![
                mark.to_owned(),
                clean::line(name, 48).into_owned(),
                value(name, *delta),
                rate(&window, name, *delta),
            ]
        })
        .collect();
    page.table(&columns, &rows)?;
    match moved.len() - rows.len() {
        0 => Ok(()),
        more => page.line(&format!("  … and {more} more that moved (in summary.json)")),
    }
}

/// Units are the end of the name.
fn value(name: &str, delta: u64) -> String {
    match name.rsplit_once('_') {
        Some((_, "us")) => humane::duration(delta.saturating_mul(1000)),
        Some((_, "ms")) => humane::duration(delta.saturating_mul(1_000_000)),
        _ => humane::count(delta),
    }
}

fn rate(window: &Window<'_>, name: &str, delta: u64) -> String {
    let each = window.per_second(delta);
    match name.rsplit_once('_') {
        Some((_, "us" | "ms")) => value(name, each.round() as u64),
        _ if each < 10.0 => format!("{each:.1}"),
        _ => humane::count(each.round() as u64),
    }
}
