//! The flame graph.
//!
//! In: a probe's picture. Out: a searchable SVG whose title and subtitle say what was measured,
//! where, for how long, in which unit, and what is missing from it.

use std::io::Write;

use anyhow::Context;
use inferno::flamegraph::color::{BackgroundColor, Color};
use inferno::flamegraph::{self, Options};

use super::picture::Picture;
use super::probe::Probe;
use super::syscalls::CallClass;
use super::{Rendering, clean, humane, palette};
use crate::profile::Profile;

/// Characters of a subtitle at most: what 1,200 pixels hold.
const SUBTITLE_CHARS: usize = 166;

/// Draws one probe. `script` embeds inferno's search and zoom.
///
/// # Errors
/// What the writer returns.
pub fn write(
    rendering: &Rendering<'_>,
    probe: Probe,
    script: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let profile = rendering.profile();
    let folded = rendering.folded(probe);
    let picture = rendering.picture(probe);
    let title = title(profile, probe);
    if picture.tree.total() == 0 {
        return Ok(write_empty(rendering, probe, &title, out)?);
    }
    // inferno sums in u64: a capture with absurd weights must not overflow it.
    let scale = (picture.tree.total() >> 60) as u64 + 1;
    let mut lines = picture.tree.lines(folded, scale);
    let mut colors = palette::palette(&lines);
    lines.reverse(); // `flame_chart` keeps our order, reversed; sorting lines would split frames
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle(profile, probe, picture));
    options.count_name = probe.unit().to_owned();
    options.palette_map = Some(&mut colors);
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 250, g: 250, b: 248 }));
    options.factor = scale as f64;
    options.min_width = 0.0;
    options.flame_chart = true;
    options.no_javascript = !script;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
        .with_context(|| format!("cannot draw {}.svg", probe.name()))
}

fn title(profile: &Profile, probe: Probe) -> String {
    let target = match profile.header.target.label.as_str() {
        "" => "whole machine",
        label => label,
    };
    format!("{}: {}", clean::name(target), probe.title(&profile.header))
}

fn subtitle(profile: &Profile, probe: Probe, picture: &Picture) -> String {
    let mut parts =
        vec![place(profile), format!("unit {}, total {}", probe.unit(), weight(probe, picture.tree.total()))];
    parts.extend(picture.left_out.iter().map(|(class, total)| left_out(probe, *class, *total)));
    if profile.missing_tail.is_some() {
        parts.push("TAIL MISSING".to_owned());
    }
    parts.push(losses(profile, probe));
    if picture.tree.elided() > 0.0 {
        parts.push(format!("{} too narrow to draw", humane::share(picture.tree.elided())));
    }
    let with_legend = format!("{} · {}", parts.join(" · "), palette::LEGEND);
    if with_legend.chars().count() <= SUBTITLE_CHARS {
        return with_legend;
    }
    clean::line(&parts.join(" · "), SUBTITLE_CHARS).into_owned()
}

pub(super) fn place(profile: &Profile) -> String {
    let environment = &profile.header.environment;
    format!(
        "{} · Linux {} · {}",
        clean::line(&environment.hostname, 24),
        clean::line(&environment.kernel_release, 24),
        humane::duration(profile.duration_ns)
    )
}

fn left_out(probe: Probe, class: CallClass, total: u128) -> String {
    format!("{} {} left out", class.name(), weight(probe, total))
}

fn weight(probe: Probe, total: u128) -> String {
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    match probe.unit() {
        "ns" => humane::duration(total),
        unit => format!("{} {unit}", humane::count(total)),
    }
}

/// The worst loss with its share, and how many more there are.
pub(super) fn losses(profile: &Profile, probe: Probe) -> String {
    let ledger = &profile.ledger;
    let mut losses: Vec<_> = ledger
        .losses()
        .filter(|(class, _)| probe.concerns(class.population()))
        .map(|(class, events)| (ledger.share(class), class, events))
        .collect();
    losses.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal));
    let Some((share, class, events)) = losses.first() else { return "no losses".to_owned() };
    let share = share.map_or_else(String::new, |share| format!(" ({})", humane::share(share)));
    let more = if losses.len() > 1 { format!(" +{} more", losses.len() - 1) } else { String::new() };
    format!("{} {}{share}{more}", humane::count(*events), class.text())
}

/// A picture that says why there is none: inferno refuses empty input.
fn write_empty(
    rendering: &Rendering<'_>,
    probe: Probe,
    title: &str,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let profile = rendering.profile();
    let (events, what) = probe.events(profile);
    let plan = profile.header.probes.iter().find(|plan| plan.probe == probe.measured_by());
    let reason = match plan.filter(|plan| !plan.active) {
        Some(plan) => format!("nothing measured: {}", plan.misses.join("; ")),
        None => format!("nothing measured: {} {what} seen, none for this picture", humane::count(events)),
    };
    let tail = if profile.missing_tail.is_some() { "TAIL MISSING · " } else { "" };
    let idle = rendering.idle_left_out().map_or_else(String::new, |idle| format!("left out: {idle} · "));
    let place = format!("{} · {tail}{idle}{}", place(profile), losses(profile, probe));
    writeln!(
        out,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<svg version="1.1" width="1200" height="110" viewBox="0 0 1200 110" xmlns="http://www.w3.org/2000/svg" font-family="monospace" text-anchor="middle">
<rect width="1200" height="110" fill="whitesmoke"/>
<text x="600" y="28" font-size="17">{}</text>
<text x="600" y="54" font-size="12" fill="dimgray">{}</text>
<text x="600" y="84" font-size="14">{}</text>
</svg>"#,
        escape(title),
        escape(&place),
        escape(&clean::line(&reason, 140))
    )
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
