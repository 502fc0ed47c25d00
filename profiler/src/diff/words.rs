//! Numbers and sides of a difference in words.
//!
//! In: values, sides. Out: text. The direction is always named: what is compared is after against before.

use super::change::Change;
use super::measure::Quantity;
use super::paths::Pairs;
use super::side::Side;
use crate::render::{clean, humane};

/// Whose widths a picture has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Those before: shows what vanished.
    Before,
    /// Those after.
    After,
}

/// The beginning of a picture's title.
pub const fn title(width: Width) -> &'static str {
    match width {
        Width::After => "after against before, widths of AFTER",
        Width::Before => "after against before, widths of BEFORE (shows what vanished)",
    }
}

/// What a picture's colours, numbers and sides are.
pub fn subtitle(pairs: &Pairs, unit: &str, (before, after): (&Side, &Side)) -> String {
    let (was, is) = pairs.totals();
    let scaled = if before.profile.duration_ns == after.profile.duration_ns {
        ""
    } else {
        ", scaled to the time of after"
    };
    let idle =
        if pairs.left_out.0 + pairs.left_out.1 > 0.0 { " · idle and user locks left out" } else { "" };
    format!(
        "red: more after, blue: less · before {}{scaled}, after {}{idle} · {} → {}",
        weight(was, unit),
        weight(is, unit),
        clean::line(&before.label, 40),
        clean::line(&after.label, 40)
    )
}

/// A weight in its unit.
pub fn weight(value: f64, unit: &str) -> String {
    match unit {
        "ns" => humane::duration(value.max(0.0) as u64),
        unit => format!("{} {unit}", amount(value)),
    }
}

/// A number of events with three digits.
fn amount(value: f64) -> String {
    match value {
        value if value >= 99.95 => humane::count(value.round() as u64),
        value if value >= 9.995 => format!("{value:.1}"),
        value if value >= 0.01 || value == 0.0 => format!("{value:.2}"),
        value => format!("{value:.1e}"),
    }
}

/// The value of a quantity, `unit` being the kind's events.
pub fn value(quantity: Quantity, value: Option<f64>) -> String {
    match (quantity, value) {
        (_, None) => "none".to_owned(),
        (Quantity::Rate | Quantity::SlowRate, Some(value)) => format!("{}/s", amount(value)),
        (Quantity::Time, Some(value)) => format!("{}/s", humane::duration(value.max(0.0) as u64)),
        (_, Some(value)) => humane::duration(value.max(0.0).round() as u64),
    }
}

/// What a quantity is, in a table.
pub const fn quantity(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Usual => "usual time",
        Quantity::Mean => "mean time",
        Quantity::P50 => "p50",
        Quantity::P99 => "p99",
        Quantity::Rate => "how often",
        Quantity::SlowRate => "slow ones",
        Quantity::Time => "time",
    }
}

/// A change in per cent, or that it is new or gone.
pub fn part(change: &Change) -> String {
    match (change.part(), change.after.unwrap_or(0.0) > 0.0) {
        (Some(part), true) if part >= 9.995 => format!("×{}", amount(part + 1.0)),
        (Some(part), true) => format!("{:+.1} %", part * 100.0),
        (Some(_) | None, false) => "gone".to_owned(),
        (None, true) => "new".to_owned(),
    }
}

/// The floor: what would have been seen.
pub fn floor(change: &Change) -> String {
    match change.floor {
        Some(floor) if floor < 0.001 => "0.1 %".to_owned(),
        Some(floor) if floor < 0.0995 => format!("{:.1} %", floor * 100.0),
        Some(floor) if floor < 9.995 => format!("{:.0} %", (floor * 100.0).ceil()),
        Some(floor) => format!("×{}", amount(floor + 1.0)),
        None => "unknown".to_owned(),
    }
}
