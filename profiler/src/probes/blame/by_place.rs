//! The chains of waits in one place: the line below a call or a wait.
//!
//! In: waits by place with their chains. Out: the chains of one place in a line, or as rows of `summary.json`.

use std::collections::HashMap;

use super::chain_json::{Chain, parts};
use super::chains::{Chains, Part, Waits};
use crate::profile::call::CallNumber;
use crate::profile::{Pid, Profile, StackId};
use crate::render::humane;

/// Chains named in a line.
const NAMED: usize = 2;

/// The waits of a process in a call, by their kernel stack.
pub type Key = (Pid, Option<CallNumber>, StackId);

/// Chains by place.
pub struct ByPlace<'p> {
    profile: &'p Profile,
    chains: Chains<'p>,
    places: HashMap<Key, Waits>,
}

impl<'p> ByPlace<'p> {
    /// Of a profile.
    pub fn new(profile: &'p Profile) -> Self {
        let chains = Chains::new(profile);
        let mut places: HashMap<Key, Waits> = HashMap::new();
        for (place, waits) in chains.waits() {
            places.entry((place.pid, place.nr, place.kernel)).or_default().add(waits);
        }
        Self { profile, chains, places }
    }

    /// `96 % keeper[12] in read ← writer[13] in nanosleep; 4 % unknown (who ended it ran)`; empty where no chain explains anything.
    pub fn line(&self, key: &Key) -> String {
        let Some(waits) = self.places.get(key) else { return String::new() };
        let explained = waits.explained();
        let one = |(part, ns): &(&Part, u64)| {
            format!("{} {}", humane::part(*ns, waits.total_ns), self.chains.chain(part))
        };
        let mut words: Vec<_> = explained.iter().take(NAMED).map(one).collect();
        if words.is_empty() {
            return String::new();
        }
        let told = explained.iter().take(NAMED).map(|(_, ns)| *ns).fold(0, u64::saturating_add);
        if told < waits.total_ns {
            let unknown = waits.parts.iter().filter(|(part, _)| part.chain.is_empty());
            let why = unknown.max_by_key(|(_, ns)| **ns).map_or("other chains", |(part, _)| part.rest.text());
            words.push(format!("{} unknown ({why})", humane::part(waits.total_ns - told, waits.total_ns)));
        }
        words.join("; ")
    }

    /// The same as rows; none where no chain explains anything.
    pub fn rows(&self, key: &Key) -> Vec<Chain<'p>> {
        let waits = self.places.get(key).filter(|waits| !waits.explained().is_empty());
        waits.map_or_else(Vec::new, |waits| parts(self.profile, waits))
    }
}
