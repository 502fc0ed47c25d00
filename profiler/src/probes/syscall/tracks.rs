//! The time line below the heat maps.
//!
//! In: its tracks, where the plot is. Out: a strip of bars for each, as SVG.

use std::fmt::Write as _;

use crate::render::caption::escape;
use crate::render::humane;
use crate::render::time_line::{Kind, TimeLine, Track};

/// What the bars look like.
pub const STYLE: &str = ".b{fill:#3b6ea5}.k{fill:#c00}.b:hover,.k:hover{stroke:#000}";
/// A strip with its heading.
const HEIGHT: f64 = 44.0;
/// The highest bar.
const BAR: f64 = 20.0;
/// Width of a bar at least: a pixel.
const NARROWEST: f64 = 1.0;

/// How much room all strips take.
pub fn height(line: &TimeLine) -> f64 {
    drawn(line).count() as f64 * HEIGHT
}

/// Draws them from `top` on, in a plot that begins at `left` and is `width` wide.
pub fn draw(svg: &mut String, line: &TimeLine, top: f64, (left, width): (f64, f64)) {
    let end_ns = line.columns.iter().map(|(_, end_ns)| *end_ns).max().unwrap_or(0).max(1);
    let x = |ns: u64| left + width * ns as f64 / end_ns as f64;
    for (at, track) in drawn(line).enumerate() {
        let top = top + HEIGHT * at as f64;
        let bottom = top + HEIGHT - 8.0;
        let heading = escape(&format!("{}: {}", track.name, track.said()));
        let _ = writeln!(svg, r##"<text x="{left:.1}" y="{:.1}" fill="#444">{heading}</text>"##, top + 12.0);
        let _ = writeln!(svg, r#"<path class="g" d="M{left:.1} {bottom:.1}h{width:.1}"/>"#);
        bars(svg, line, track, bottom, x);
    }
}

/// Latency is what the maps above show.
fn drawn(line: &TimeLine) -> impl Iterator<Item = &Track> {
    line.tracks.iter().filter(|track| track.kind != Kind::P99Ns)
}

fn bars(svg: &mut String, line: &TimeLine, track: &Track, bottom: f64, x: impl Fn(u64) -> f64) {
    let highest = track.values.iter().copied().max().unwrap_or(0).max(1);
    let class = if track.kind == Kind::Deaths { "k" } else { "b" };
    for (value, (from, to)) in track.values.iter().zip(&line.columns).filter(|(value, _)| **value > 0) {
        let tall = (BAR * *value as f64 / highest as f64).max(1.0);
        let words =
            format!("{} to {}: {}", humane::duration(*from), humane::duration(*to), track.value(*value));
        let _ = writeln!(
            svg,
            r#"<rect class="{class}" x="{:.1}" y="{:.1}" width="{:.1}" height="{tall:.1}"><title>{}</title></rect>"#,
            x(*from),
            bottom - tall,
            (x(*to) - x(*from) - 0.5).max(NARROWEST),
            escape(&words)
        );
    }
}
