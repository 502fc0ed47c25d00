//! Differential flame graphs.
//!
//! In: the stacks of both sides. Out: an SVG. Its widths are those of one side: stacks that vanished have none after, so there are two
//! pictures, and each says in its title whose widths it has. Colours mean the same in both: red is more after, blue is less.

use std::io::Write;

use anyhow::Context as _;
use inferno::flamegraph::color::{BackgroundColor, Color};
use inferno::flamegraph::{self, Options};

use super::paths::Pairs;
use super::side::Side;
use super::words::Width;
use super::{tree, words};
use crate::probe::Picture;
use crate::render::pictures::drawing;
use crate::render::{blank, clean};

/// Pictures of a difference: those whose stacks do not name processes by their ids.
pub const PICTURES: [Picture; 7] = [
    Picture::Syscall,
    Picture::Latency,
    Picture::Lock,
    Picture::Lsm,
    Picture::Offcpu,
    Picture::Runq,
    Picture::Cpu,
];

/// Characters of a subtitle at most: what 1,200 pixels hold.
const SUBTITLE_CHARS: usize = 166;

/// Draws one picture.
///
/// # Errors
/// What the writer returns.
pub fn write(
    (before, after): (&Side, &Side),
    picture: Picture,
    width: Width,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let pairs = Pairs::new(before, after, picture);
    let row = drawing(picture);
    let title = format!("{} · {}", words::title(width), (row.title)(&after.profile.header));
    let subtitle =
        clean::line(&words::subtitle(&pairs, row.unit, (before, after)), SUBTITLE_CHARS).into_owned();
    let lines = drawn(&pairs, width);
    if lines.is_empty() {
        let side = if width == Width::After { "after" } else { "before" };
        return Ok(blank::write(&title, &subtitle, &format!("nothing measured {side}"), out)?);
    }
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    options.count_name = row.unit.to_owned();
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 250, g: 250, b: 248 }));
    options.negate_differentials = width == Width::Before;
    options.min_width = 0.0;
    options.flame_chart = true;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
        .with_context(|| format!("cannot draw the difference of {}", picture.name()))
}

/// Lines as inferno takes them: the second number is the width, and the colour is the second less the first.
fn drawn(pairs: &Pairs, width: Width) -> Vec<String> {
    let line = |line: tree::Line| match width {
        Width::After if line.after > 0 => Some(format!("{} {} {}", line.stack, line.before, line.after)),
        Width::Before if line.before > 0 => Some(format!("{} {} {}", line.stack, line.after, line.before)),
        _ => None,
    };
    let mut lines: Vec<String> = tree::lines(pairs).into_iter().filter_map(line).collect();
    lines.reverse(); // `flame_chart` keeps our order, reversed
    lines
}
