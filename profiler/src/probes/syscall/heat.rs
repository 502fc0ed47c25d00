//! Latency over time: one heat map for each of the few calls that matter most, and below them the time line.
//!
//! In: the time axis. Out: an SVG. X is time, Y is latency (logarithmic); a darker cell has more
//! calls (logarithmic, for each map on its own). It says what it leaves out.

use std::fmt::Write as _;
use std::io;

use profiler_common::histogram::{SLOTS, octave, range_ns, slot};

use super::picture::DRAWING;
use super::{tracks, worst};
use crate::probe::Probe;
use crate::profile::axis::Column;
use crate::profile::rows::CallNumber;
use crate::profile::{Histogram, Profile};
use crate::render::caption::{escape, losses, place};
use crate::render::time_line::TimeLine;
use crate::render::{clean, heat_marks, humane, syscalls};

/// Maps at most.
const MAPS: usize = 4;
/// Columns that are drawn at most: what is more is drawn in one, several pixels wide.
const DRAWN: usize = 256;
const WIDTH: f64 = 1200.0;
const LEFT: f64 = 78.0;
const PLOT_WIDTH: f64 = WIDTH - LEFT - 22.0;
const TOP: f64 = 66.0;
const PLOT_HEIGHT: f64 = 168.0;
/// A map with its heading and time axis.
const MAP_HEIGHT: f64 = PLOT_HEIGHT + 62.0;
/// From one call to the most, seven steps.
const COLORS: [&str; 7] = ["#fee8c8", "#fdd49e", "#fdbb84", "#fc8d59", "#ef6548", "#d7301f", "#7f0000"];

/// Draws the maps.
///
/// # Errors
/// What the writer returns.
pub fn write(profile: &Profile, out: &mut dyn io::Write) -> io::Result<()> {
    let calls = worst::calls(profile, MAPS);
    let line = TimeLine::new(profile);
    let below = TOP + MAP_HEIGHT * calls.len().max(1) as f64;
    let height = below + tracks::height(&line);
    let mut svg = head(profile, &calls, height);
    if calls.is_empty() {
        let reason = match profile.header.probes.iter().find(|plan| plan.probe == Probe::Syscall.name()) {
            Some(plan) if !plan.active => format!("nothing measured: {}", plan.misses.join("; ")),
            _ => "nothing measured: no call returned".to_owned(),
        };
        text(&mut svg, (WIDTH / 2.0, TOP + 60.0), "middle", &clean::line(&reason, 140));
    }
    for (at, nr) in calls.iter().enumerate() {
        map(&mut svg, profile, *nr, TOP + MAP_HEIGHT * at as f64);
    }
    tracks::draw(&mut svg, &line, below, (LEFT, PLOT_WIDTH));
    svg.push_str("</svg>\n");
    out.write_all(svg.as_bytes())
}

fn head(profile: &Profile, calls: &[CallNumber], height: f64) -> String {
    let target = match profile.header.target.label.as_str() {
        "" => "whole machine",
        label => label,
    };
    let mut parts = vec![place(profile), "darker: more calls".to_owned()];
    let drawn: u64 = calls.iter().map(|nr| profile.axis.call(*nr).count()).fold(0, u64::saturating_add);
    let all = (DRAWING.events)(profile);
    if all > drawn {
        parts.push(format!("{} of other calls not drawn", humane::count(all - drawn)));
    }
    if profile.missing_tail.is_some() {
        parts.push("TAIL MISSING".to_owned());
    }
    parts.extend(heat_marks::legend(profile));
    parts.push(losses(&profile.ledger, &DRAWING));
    let mut svg = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg version=\"1.1\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\" font-family=\"monospace\" \
         font-size=\"12\">\n<style>{}</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fafaf8\"/>\n",
        style(profile)
    );
    let title = format!("{}: latency of system calls over time", clean::name(target));
    let _ = writeln!(
        svg,
        r#"<text x="{}" y="24" font-size="17" text-anchor="middle">{}</text>"#,
        WIDTH / 2.0,
        escape(&title)
    );
    text(&mut svg, (WIDTH / 2.0, 46.0), "middle", &clean::line(&parts.join(" · "), 166));
    svg
}

fn style(profile: &Profile) -> String {
    let colors = COLORS.iter().enumerate().map(|(step, color)| format!(".c{step}{{fill:{color}}}"));
    let mut style: String = colors.collect();
    style
        .push_str(".g{stroke:#ccc;stroke-width:.5}.s{stroke:#36c;stroke-dasharray:4 3}.t:hover{stroke:#000}");
    style.push_str(heat_marks::style(profile));
    style.push_str(tracks::STYLE);
    style
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let text = escape(text);
    let _ =
        writeln!(svg, r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#444">{text}</text>"##);
}

/// The part of the plane that one map shows.
struct Plane {
    /// Where the plot begins, from the top.
    top: f64,
    /// Time the plot ends at, ns.
    end_ns: u64,
    /// The lowest octave, and how many there are.
    octaves: (u8, u8),
    /// Rows that one octave is cut into.
    cut: usize,
}

impl Plane {
    fn new(profile: &Profile, all: &Histogram, top: f64) -> Self {
        let octaves = || all.buckets().map(|(low, ..)| octave(low));
        let (first, last) = (octaves().min().unwrap_or(0), octaves().max().unwrap_or(0));
        let count = (last - first + 1).max(3);
        let ends = profile.axis.columns().iter().map(|column| column.end_ns);
        let whole = if heat_marks::any(profile) { profile.duration_ns } else { 0 };
        let end_ns = ends.max().unwrap_or(0).max(whole).max(1);
        Self { top, end_ns, octaves: (first, count), cut: if count <= 10 { 4 } else { 2 } }
    }

    fn x(&self, ns: u64) -> f64 {
        LEFT + PLOT_WIDTH * ns.min(self.end_ns) as f64 / self.end_ns as f64
    }

    /// The row of a latency, from the bottom.
    fn row(&self, ns: u64) -> usize {
        let above = usize::from(octave(ns).saturating_sub(self.octaves.0));
        above * self.cut + slot(ns) * self.cut / SLOTS
    }

    /// Where a row begins at its lower edge.
    fn y(&self, row: f64) -> f64 {
        let rows = f64::from(self.octaves.1) * self.cut as f64;
        self.top + PLOT_HEIGHT * (1.0 - row / rows)
    }

    /// Latencies of a row, ns: from, and to, exclusive.
    fn edges(&self, row: usize) -> (u64, u64) {
        let octave = self.octaves.0 + (row / self.cut) as u8;
        let slots = SLOTS / self.cut;
        let first = row % self.cut * slots;
        (range_ns(octave, first).0, range_ns(octave, first + slots - 1).1)
    }
}

fn map(svg: &mut String, profile: &Profile, nr: CallNumber, top: f64) {
    let all = profile.axis.call(nr);
    let plane = Plane::new(profile, &all, top + 26.0);
    let heading = format!(
        "{}: {} calls, p50 {}, p99 {}, longest {}",
        syscalls::name(nr),
        humane::count(all.count()),
        humane::duration(all.percentile_ns(500)),
        humane::duration(all.percentile_ns(990)),
        humane::duration(all.max_ns),
    );
    text(svg, (LEFT, top + 18.0), "start", &clean::line(&heading, 140));
    grid(svg, &plane);
    cells(svg, &plane, profile.axis.columns(), nr);
    heat_marks::draw(svg, profile, |ns| plane.x(ns), (plane.top, plane.y(0.0)));
    let slow = profile.header.slow_ns;
    let (first, count) = plane.octaves;
    if slow > 0 && (first..first + count).contains(&octave(slow)) {
        let y = plane.y(plane.row(slow) as f64);
        let (left, right) = (LEFT, LEFT + PLOT_WIDTH);
        let _ = writeln!(
            svg,
            r#"<path class="s" d="M{left:.1} {y:.1}H{right:.1}"><title>slow from here</title></path>"#
        );
    }
}

/// Lines at powers of ten, and a time axis.
fn grid(svg: &mut String, plane: &Plane) {
    let (first, count) = plane.octaves;
    let mut decade = 1u64;
    while let Some(next) = decade.checked_mul(10) {
        decade = next;
        if (first..first + count).contains(&octave(decade)) {
            let y = plane.y(plane.row(decade) as f64);
            let _ = writeln!(svg, r#"<path class="g" d="M{LEFT:.1} {y:.1}h{PLOT_WIDTH:.1}"/>"#);
            text(svg, (LEFT - 6.0, y + 4.0), "end", &humane::setting(decade));
        }
    }
    let bottom = plane.y(0.0);
    let _ = writeln!(svg, r#"<path class="g" d="M{LEFT:.1} {bottom:.1}h{PLOT_WIDTH:.1}"/>"#);
    for part in 0..=5u64 {
        let ns = (u128::from(plane.end_ns) * u128::from(part) / 5) as u64;
        let anchor = if part == 5 { "end" } else { "middle" };
        let label = if ns == 0 { "start".to_owned() } else { humane::setting(ns) };
        text(svg, (plane.x(ns), bottom + 16.0), anchor, &label);
    }
}

fn cells(svg: &mut String, plane: &Plane, columns: &[Column], nr: CallNumber) {
    let group = columns.len().div_ceil(DRAWN).max(1);
    let mut stretches = Vec::new();
    let mut most = 0;
    for columns in columns.chunks(group) {
        let mut rows = std::collections::BTreeMap::<usize, u64>::new();
        for (low, _, count) in
            columns.iter().filter_map(|column| column.calls.get(&nr)).flat_map(Histogram::buckets)
        {
            let cell = rows.entry(plane.row(low)).or_default();
            *cell = cell.saturating_add(count);
            most = most.max(*cell);
        }
        let start = columns.first().map_or(0, |column| column.start_ns);
        let end = columns.iter().map(|column| column.end_ns).max().unwrap_or(0);
        stretches.push((start, end, rows));
    }
    let height = plane.y(0.0) - plane.y(1.0);
    for (start, end, rows) in stretches {
        let (x, right) = (plane.x(start), plane.x(end));
        for (row, count) in rows {
            let (from, to) = plane.edges(row);
            let _ = writeln!(
                svg,
                r#"<rect class="t c{}" x="{x:.1}" y="{:.1}" width="{:.1}" height="{height:.1}"><title>{}</title></rect>"#,
                step(count, most),
                plane.y(row as f64 + 1.0),
                (right - x).max(0.5),
                escape(&format!(
                    "{} to {}: {} of {} to {}",
                    humane::duration(start),
                    humane::duration(end),
                    humane::count(count),
                    humane::duration(from),
                    humane::duration(to)
                )),
            );
        }
    }
}

/// The colour of a count: equal steps of its logarithm.
fn step(count: u64, most: u64) -> usize {
    let last = COLORS.len() - 1;
    if most <= 1 {
        return last / 2;
    }
    let share = (count.max(1) as f64).ln() / (most as f64).ln();
    ((share * last as f64).round() as usize).min(last)
}
