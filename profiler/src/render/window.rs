//! Counters over a session.
//!
//! In: their values at the start and at the end. Out: by how much each grew.

use crate::profile::Profile;

/// The counters' way from start to end.
pub struct Window<'p> {
    /// The session.
    pub profile: &'p Profile,
}

impl<'p> Window<'p> {
    /// Of a session.
    pub fn new(profile: &'p Profile) -> Self {
        Self { profile }
    }

    /// How far a counter went; none when it is not kept, or went back.
    pub fn delta(&self, name: &str) -> Option<u64> {
        let environment = &self.profile.header.environment;
        environment.at_end.get(name)?.checked_sub(*environment.at_start.get(name)?)
    }

    /// Names and ways of all counters.
    pub fn deltas(&self) -> impl Iterator<Item = (&'p str, u64)> {
        let environment = &self.profile.header.environment;
        environment.at_end.iter().filter_map(|(name, end)| {
            let start = environment.at_start.get(name)?;
            Some((name.as_str(), end.checked_sub(*start)?))
        })
    }

    /// The same, 0 for none.
    pub fn of(&self, name: &str) -> u64 {
        self.delta(name).unwrap_or(0)
    }

    /// The counters among these that this kernel keeps.
    pub fn evidence(&self, names: &[&'static str]) -> Vec<(&'static str, u64)> {
        names.iter().filter_map(|name| Some((*name, self.delta(name)?))).collect()
    }

    /// The session's length, µs.
    pub fn us(&self) -> u64 {
        self.profile.duration_ns / 1000
    }

    /// Events per second.
    pub fn per_second(&self, events: u64) -> f64 {
        events as f64 * 1e9 / self.profile.duration_ns.max(1) as f64
    }

    /// Time all CPUs had together, ms.
    pub fn cpu_ms(&self) -> u64 {
        let cpus = u64::from(self.profile.header.environment.cpus_online.max(1));
        (self.profile.duration_ns / 1_000_000).saturating_mul(cpus)
    }
}
