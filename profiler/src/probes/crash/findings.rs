//! Where processes died is told with their deaths: `render::findings::deaths`.
//!
//! In: groups of deaths. Out: a phrase for their sentence, no finding of its own.

use std::collections::BTreeMap;

use super::place;
use crate::probes::peer::gate::Gate;
use crate::profile::Profile;
use crate::profile::deaths::Death;
use crate::profile::peer::Host;
use crate::render::humane;
use crate::render::rule::Rule;

/// None.
pub const RULES: &[Rule] = &[];

/// `, in memcpy < deflate < compress_body (null pointer), each within 3.10 ms of a receive from 10.0.0.7`; empty where neither a
/// place nor a peer is known.
pub fn phrase(profile: &Profile, deaths: &[&Death]) -> String {
    place(profile, deaths) + &peer(profile, deaths)
}

fn place(profile: &Profile, deaths: &[&Death]) -> String {
    let Some((line, kind, count, _)) = place::most(profile, deaths) else { return String::new() };
    let kind = if kind.is_empty() { String::new() } else { format!(" ({kind})") };
    let of = if count < deaths.len() { format!(" in {count} of {}", deaths.len()) } else { String::new() };
    format!(", in {line}{kind}{of}")
}

/// The peer that most of them received from last, shortly before; none where no peer has most of them.
fn peer(profile: &Profile, deaths: &[&Death]) -> String {
    let mut hosts: BTreeMap<Host, Vec<u64>> = BTreeMap::new();
    let gate = Gate::of(profile);
    for received in deaths.iter().filter_map(|death| place::received(profile, &gate, death)) {
        hosts.entry(received.peer.host).or_default().push(received.ago_ns);
    }
    let most = hosts.into_iter().max_by_key(|(_, times)| times.len());
    let Some((host, times)) = most.filter(|(_, times)| times.len() * 2 > deaths.len()) else {
        return String::new();
    };
    let within = humane::duration(times.iter().copied().max().unwrap_or(0));
    let which = match (times.len(), deaths.len()) {
        (_, 1) => String::new(),
        (near, all) if near == all => "each ".to_owned(),
        (near, all) => format!("{near} of {all} "),
    };
    format!(", {which}within {within} of a receive from {host}")
}
