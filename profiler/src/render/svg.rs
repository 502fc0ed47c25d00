//! The flame graph.
//!
//! In: a probe's picture. Out: a searchable SVG whose title and subtitle say what was measured,
//! where, for how long, in which unit, and what is missing from it.

use std::io::Write;

use anyhow::Context;
use inferno::flamegraph::color::{BackgroundColor, Color};
use inferno::flamegraph::{self, Options};

use super::caption::{losses, place};
use super::drawing::Drawing;
use super::drawn::Drawn;
use super::pictures::{drawing, events};
use super::rendering::Rendering;
use super::syscalls::CallClass;
use super::{blank, clean, humane, palette};
use crate::probe::Picture;
use crate::profile::Profile;

/// Characters of a subtitle at most: what 1,200 pixels hold.
const SUBTITLE_CHARS: usize = 166;

/// Draws one picture. `script` embeds inferno's search and zoom.
///
/// # Errors
/// What the writer returns.
pub fn write(
    rendering: &Rendering<'_>,
    picture: Picture,
    script: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let profile = rendering.profile();
    let row = drawing(picture);
    let made = rendering.made(picture);
    let drawn = &made.drawn;
    let title = title(profile, row);
    if drawn.tree.total() == 0 || drawn.tree.is_empty() {
        return Ok(write_empty(rendering, (picture, drawn), &title, out)?);
    }
    // inferno sums in u64: a capture with absurd weights must not overflow it.
    let scale = (drawn.tree.total() >> 60) as u64 + 1;
    let mut lines = drawn.tree.lines(&made.folded, scale);
    let mut colors = palette::palette(&lines);
    lines.reverse(); // `flame_chart` keeps our order, reversed; sorting lines would split frames
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle(rendering, row, drawn));
    options.count_name = row.unit.to_owned();
    options.palette_map = Some(&mut colors);
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 250, g: 250, b: 248 }));
    options.factor = scale as f64;
    options.min_width = 0.0;
    options.flame_chart = true;
    options.no_javascript = !script;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
        .with_context(|| format!("cannot draw {}.svg", picture.name()))
}

fn title(profile: &Profile, row: &Drawing) -> String {
    let target = match profile.header.target.label.as_str() {
        "" => "whole machine",
        label => label,
    };
    format!("{}: {}", clean::name(target), (row.title)(&profile.header))
}

fn subtitle(rendering: &Rendering<'_>, row: &Drawing, drawn: &Drawn) -> String {
    let profile = rendering.profile();
    let mut parts =
        vec![place(profile), format!("unit {}, total {}", row.unit, weight(row, drawn.tree.total()))];
    parts.extend(drawn.left_out.iter().map(|(class, total)| left_out(row, *class, *total)));
    if profile.missing_tail.is_some() {
        parts.push("TAIL MISSING".to_owned());
    }
    parts.push(losses(rendering.ledger(), row));
    if drawn.tree.elided() > 0.0 {
        parts.push(format!("{} too narrow to draw", humane::share(drawn.tree.elided())));
    }
    let with_legend = format!("{} · {}", parts.join(" · "), palette::LEGEND);
    if with_legend.chars().count() <= SUBTITLE_CHARS {
        return with_legend;
    }
    clean::line(&parts.join(" · "), SUBTITLE_CHARS).into_owned()
}

fn left_out(row: &Drawing, class: CallClass, total: u128) -> String {
    format!("{} {} left out", class.name(), weight(row, total))
}

fn weight(row: &Drawing, total: u128) -> String {
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    match row.unit {
        "ns" => humane::duration(total),
        unit => format!("{} {unit}", humane::count(total)),
    }
}

/// A picture that says why there is none.
fn write_empty(
    rendering: &Rendering<'_>,
    (picture, drawn): (Picture, &Drawn),
    title: &str,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let profile = rendering.profile();
    let (row, (events, what)) = (drawing(picture), events(profile, picture));
    let plan = profile.header.probes.iter().find(|plan| plan.probe == picture.probe().name());
    let reason = match plan.filter(|plan| !plan.active) {
        Some(plan) => format!("nothing measured: {}", plan.misses.join("; ")),
        None if drawn.tree.total() > 0 => format!(
            "nothing drawn: too many frames, each too narrow for a picture of 5 MB; {}.folded has them",
            picture.name()
        ),
        None => format!("nothing measured: {} {what} seen, none for this picture", humane::count(events)),
    };
    let tail = if profile.missing_tail.is_some() { "TAIL MISSING · " } else { "" };
    let idle = rendering.idle_left_out().map_or_else(String::new, |idle| format!("left out: {idle} · "));
    let place = format!("{} · {tail}{idle}{}", place(profile), losses(rendering.ledger(), row));
    blank::write(title, &place, &clean::line(&reason, 140), out)
}
