//! Where processes died is told with their deaths: `render::findings::deaths`.
//!
//! In: groups of deaths. Out: a phrase for their sentence, no finding of its own.

use super::place;
use crate::profile::Profile;
use crate::profile::deaths::Death;
use crate::render::rule::Rule;

/// None.
pub const RULES: &[Rule] = &[];

/// `, in memcpy < deflate < compress_body (null pointer)`; empty where no place is known.
pub fn phrase(profile: &Profile, deaths: &[&Death]) -> String {
    let Some((line, kind, count, _)) = place::most(profile, deaths) else { return String::new() };
    let kind = if kind.is_empty() { String::new() } else { format!(" ({kind})") };
    let of = if count < deaths.len() { format!(" in {count} of {}", deaths.len()) } else { String::new() };
    format!(", in {line}{kind}{of}")
}
