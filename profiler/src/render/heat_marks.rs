//! Deaths and absences as marks in a heat map.
//!
//! In: a profile, and where on the map a time lies. Out: lines and shades of SVG, each with a text; nothing
//! if nobody died or went.

use std::fmt::Write as _;

use super::caption::escape;
use super::{clean, deaths, humane, presence};
use crate::profile::Profile;

/// Lines that are drawn at most.
const DRAWN: usize = 200;

/// What the marks look like; nothing where there are none.
pub fn style(profile: &Profile) -> &'static str {
    if any(profile) { ".d{stroke:#c00;stroke-width:1.5}.a{fill:#999;opacity:.25}" } else { "" }
}

/// Whether there are marks: then the map ends with the recording, and not with its last call.
pub fn any(profile: &Profile) -> bool {
    !profile.deaths.told().is_empty() || !presence::rows(profile).is_empty()
}

/// For the subtitle: what the lines are, and how many are left out.
pub fn legend(profile: &Profile) -> Option<String> {
    let all = profile.deaths.told().len();
    let over = all.saturating_sub(DRAWN);
    match (all, over) {
        (0, _) => None,
        (_, 0) => Some(format!("red: {}", humane::plural(all as u64, "death"))),
        _ => Some(format!("red: {DRAWN} of {} deaths", humane::count(all as u64))),
    }
}

/// Draws them over the plot from `top` to `bottom`.
pub fn draw(svg: &mut String, profile: &Profile, x: impl Fn(u64) -> f64, (top, bottom): (f64, f64)) {
    let height = bottom - top;
    for absence in presence::rows(profile) {
        let to = absence.to_ns.unwrap_or(profile.duration_ns);
        let (left, right) = (x(absence.from_ns), x(to));
        let words = format!(
            "{} not there from {} to {}",
            clean::name(absence.name),
            humane::duration(absence.from_ns),
            humane::duration(to)
        );
        let _ = writeln!(
            svg,
            r#"<rect class="a" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{height:.1}"><title>{}</title></rect>"#,
            (right - left).max(0.5),
            escape(&words)
        );
    }
    let groups = deaths::groups(profile);
    let all = groups.iter().flat_map(|group| group.deaths.iter().map(move |death| (group, death)));
    for (group, death) in all.take(DRAWN) {
        let words = format!("{}: {} died by {}", humane::duration(death.at_ns), group.who(), group.how());
        let _ = writeln!(
            svg,
            r#"<path class="d" d="M{:.1} {top:.1}v{height:.1}"><title>{}</title></path>"#,
            x(death.at_ns),
            escape(&words)
        );
    }
}
