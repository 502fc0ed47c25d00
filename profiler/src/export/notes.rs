//! What every export says of itself: whose profile it is, where it was taken, and what is missing from it.
//!
//! In: a rendering. Out: short keys with one clean line each; losses with their number and share.

use crate::profile::Profile;
use crate::render::{Rendering, clean, humane};

/// One line about an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is about.
    pub key: &'static str,
    /// One clean line.
    pub text: String,
}

/// Characters of a note at most.
const CHARS: usize = 400;

/// All notes.
pub fn notes(rendering: &Rendering<'_>) -> Vec<Note> {
    let profile = rendering.profile();
    let (header, machine) = (&profile.header, &profile.header.environment);
    let mut notes = vec![
        note("target", &target(profile)),
        note("host", &machine.hostname),
        note("kernel", &machine.kernel_release),
        note("recorded by", &format!("profiler {}", header.version)),
        note("duration", &humane::duration(profile.duration_ns)),
    ];
    notes.extend(profile.missing_tail.iter().map(|tail| note("missing tail", tail)));
    notes.extend(rendering.idle_left_out().map(|idle| note("left out", &idle)));
    notes.extend(header.limits.iter().map(|limit| note("limit", limit)));
    let losses = losses(profile);
    if losses.is_empty() {
        notes.push(note("losses", "none"));
    }
    notes.extend(losses);
    notes
}

/// Losses alone, one note each.
pub fn losses(profile: &Profile) -> Vec<Note> {
    let one = |(class, events): (crate::profile::Class, u64)| {
        let share = profile.ledger.share(class).map(|share| format!(" ({})", humane::share(share)));
        let text = format!("{} {}{}", humane::count(events), class.text(), share.unwrap_or_default());
        note("lost", &text)
    };
    profile.ledger.losses().map(one).collect()
}

/// Who was measured.
pub fn target(profile: &Profile) -> String {
    match profile.header.target.label.as_str() {
        "" => "whole machine".to_owned(),
        label => clean::name(label).into_owned(),
    }
}

/// All losses in one line, for formats that have room for a title only.
pub fn loss_line(profile: &Profile) -> String {
    let losses: Vec<String> = losses(profile).into_iter().map(|note| note.text).collect();
    let tail = if profile.missing_tail.is_some() { "TAIL MISSING; " } else { "" };
    match losses.as_slice() {
        [] => format!("{tail}no losses"),
        losses => clean::line(&format!("{tail}lost: {}", losses.join("; ")), CHARS).into_owned(),
    }
}

/// The pod of the target, where it is one.
pub fn pod(profile: &Profile) -> Option<String> {
    let mut pods = profile.header.target.details.iter().filter(|(key, _)| key == "pod");
    let (_, pod) = pods.next()?;
    pods.all(|(_, other)| other == pod).then(|| clean::name(pod).into_owned())
}

fn note(key: &'static str, text: &str) -> Note {
    Note { key, text: clean::line(text, CHARS).into_owned() }
}
