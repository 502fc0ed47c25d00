//! Tables of ranked rows.
//!
//! In: rows as text with their weights. Out: a table, or "none", and how much is not shown.

use std::io;

use super::humane;
use super::page::{Column, Page};

/// Rows of a table at most.
pub const ROWS: usize = 15;

/// Rows of a table that is not the answer.
pub const FEW_ROWS: usize = 5;

/// Writes rows, or "none", and counts what is not shown.
pub fn ranked_table(
    page: &mut Page<'_>,
    columns: &[Column],
    rows: &[Vec<String>],
    weights: &[u64],
) -> io::Result<()> {
    if rows.is_empty() {
        return page.line("  none");
    }
    page.table(columns, rows)?;
    rest(page, rows.len(), weights)
}

/// Says how much is not shown.
pub fn rest(page: &mut Page<'_>, shown: usize, weights: &[u64]) -> io::Result<()> {
    if weights.len() <= shown {
        return Ok(());
    }
    let sum = |weights: &[u64]| weights.iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
    let share = humane::part(sum(&weights[shown..]), sum(weights));
    page.line(&format!(
        "  … and {} more, {share} of the whole",
        humane::count((weights.len() - shown) as u64)
    ))
}
