//! When the target was not there.
//!
//! In: its absences. Out: one sentence for each name, the rows of `summary.json`, a part of a picture's subtitle.

use super::{clean, humane};
use crate::profile::{Absence, Profile};

/// Gaps that are spelled out for a name.
const SPELLED: usize = 3;

/// One sentence for each: `web: gone from 5.10 s to 7.30 s; ended at 12.1 s, 33.0 s without it`.
pub fn sentences(profile: &Profile) -> Vec<String> {
    let names = profile.presence.names();
    let told = names.iter().filter_map(|name| sentence(profile, name));
    let mut told: Vec<String> = told.collect();
    if profile.presence.dropped > 0 {
        told.push(format!("{} more comings and goings not kept", humane::count(profile.presence.dropped)));
    }
    told
}

fn sentence(profile: &Profile, name: &str) -> Option<String> {
    let absences = profile.presence.absences(name);
    let mut parts: Vec<String> =
        absences.iter().take(SPELLED).map(|absence| part(profile, absence)).collect();
    if absences.len() > SPELLED {
        let without = absences.iter().map(|absence| length(profile, absence)).fold(0, u64::saturating_add);
        let more = humane::count((absences.len() - SPELLED) as u64);
        parts.push(format!("{more} more gaps, {} without it in all", humane::duration(without)));
    }
    (!parts.is_empty()).then(|| format!("{}: {}", clean::name(name), parts.join("; ")))
}

fn part(profile: &Profile, absence: &Absence<'_>) -> String {
    let without = humane::duration(length(profile, absence));
    match (absence.from_ns, absence.to_ns) {
        (0, None) => "never there".to_owned(),
        (0, Some(to)) => format!("not there before {}", humane::duration(to)),
        (from, Some(to)) => format!("gone from {} to {}", humane::duration(from), humane::duration(to)),
        (from, None) => format!("ended at {}, {without} without it", humane::duration(from)),
    }
}

fn length(profile: &Profile, absence: &Absence<'_>) -> u64 {
    absence.to_ns.unwrap_or(profile.duration_ns).saturating_sub(absence.from_ns)
}

/// All gaps.
pub fn rows(profile: &Profile) -> Vec<Absence<'_>> {
    profile.presence.names().iter().flat_map(|name| profile.presence.absences(name)).collect()
}

/// How long it was not there, for a subtitle; none when it always was.
pub fn subtitle(profile: &Profile) -> Option<String> {
    let rows = rows(profile);
    let names = profile.presence.names();
    let without = rows.iter().map(|absence| length(profile, absence)).fold(0, u64::saturating_add);
    let who = if let [name] = names.as_slice() { clean::line(name, 24).into_owned() } else { "parts".into() };
    (!rows.is_empty()).then(|| format!("{who} not there for {}", humane::duration(without)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::PresenceChange;

    fn told(changes: &[(u64, bool)]) -> Vec<String> {
        let change = |(at, present): &(u64, bool)| PresenceChange {
            name: "web\u{1b}".into(),
            at_ns: at * 100_000_000,
            present: *present,
        };
        let mut profile = Profile { duration_ns: 45_000_000_000, ..Profile::default() };
        profile.presence.extend(changes.iter().map(change).collect());
        sentences(&profile)
    }

    #[test]
    fn gaps_are_told_in_one_sentence() {
        assert_eq!(told(&[]), [""; 0]);
        let web = "web␛";
        for (changes, expected) in [
            (&[(51, false), (73, true)][..], "gone from 5.10 s to 7.30 s"),
            (&[(120, false)], "ended at 12.0 s, 33.0 s without it"),
            (
                &[(51, false), (71, true), (120, false)],
                "gone from 5.10 s to 7.10 s; ended at 12.0 s, 33.0 s without it",
            ),
            (&[(0, false), (20, true)], "not there before 2.00 s"),
            (&[(0, false)], "never there"),
        ] {
            assert_eq!(told(changes), [format!("{web}: {expected}")]);
        }
    }

    #[test]
    fn many_gaps_are_counted() {
        let changes: Vec<(u64, bool)> =
            (1..=5).flat_map(|at| [(at * 10, false), (at * 10 + 5, true)]).collect();
        let all = told(&changes);
        assert!(all[0].ends_with("; 2 more gaps, 2.50 s without it in all"), "{all:?}");
    }
}
