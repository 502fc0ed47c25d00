//! What pictures say of themselves beside what they show.
//!
//! In: the profile. Out: the place and time of the recording, the worst loss.

use super::drawing::Drawing;
use super::{clean, humane, presence};
use crate::profile::{Ledger, Profile};

pub fn place(profile: &Profile) -> String {
    let environment = &profile.header.environment;
    let absent = presence::subtitle(profile).map(|absent| format!(" · {absent}"));
    format!(
        "{} · Linux {} · {}{}",
        clean::line(&environment.hostname, 24),
        clean::line(&environment.kernel_release, 24),
        humane::duration(profile.duration_ns),
        absent.unwrap_or_default()
    )
}

/// The worst loss with its share, and how many more there are.
pub fn losses(ledger: &Ledger, drawing: &Drawing) -> String {
    let mut losses: Vec<_> = ledger
        .losses()
        .filter(|(class, _)| drawing.concerns(class.population()))
        .map(|(class, events)| (ledger.share(class), class, events))
        .collect();
    losses.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal));
    let Some((share, class, events)) = losses.first() else { return "no losses".to_owned() };
    let share = share.map_or_else(String::new, |share| format!(" ({})", humane::share(share)));
    let more = if losses.len() > 1 { format!(" +{} more", losses.len() - 1) } else { String::new() };
    format!("{} {}{share}{more}", humane::count(*events), class.text())
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
