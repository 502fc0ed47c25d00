//! The attach plan: which backend each probe gets on this machine; a leaf.
//!
//! In: [`Facts`], what the user forces, and the rows in [`table`]. Out: one [`Assessment`] per probe:
//! the candidates of each part in order, what the first of them misses, and what stands in the way of the
//! others, with its fix. Pure, but for [`Facts::read`].

pub mod backend;
pub mod capability;
pub mod facts;
mod forced;
pub mod hooks;
pub mod misses;
pub mod needs;
mod obstacle;
pub mod spinlock;
pub mod table;
pub mod trial;

use serde::Serialize;

use crate::probe::{Probe, Probes};
use crate::profile::ProbePlan;
use backend::{Backend, Extra, Miss, ProbePart, ProbeRow};
pub use capability::Capability;
pub use facts::Facts;
pub use forced::Forced;
pub use needs::Need;
pub use obstacle::Obstacle;
pub use spinlock::SpinLocks;

/// The backends of one part of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which part.
    pub part: ProbePart,
    /// Backends whose needs this machine meets, in the order in which they are tried.
    pub candidates: Vec<&'static Backend>,
    /// Backends whose needs it does not meet, each with the first reason.
    pub refused: Vec<(&'static Backend, Obstacle)>,
}

/// What one probe gets on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// The probe.
    pub probe: Probe,
    /// Its backends, part by part.
    #[serde(skip)]
    pub choices: Vec<Choice>,
    /// Additions to the backends that will run too.
    #[serde(skip)]
    pub extras: Vec<&'static Extra>,
    /// What the backends do not see here, one sentence each.
    pub misses: Vec<String>,
    /// Why the probe, or a part of it, cannot run.
    pub obstacles: Vec<Obstacle>,
}

impl Assessment {
    /// The backend of each part that has one.
    pub fn backends(&self) -> impl Iterator<Item = &'static Backend> + '_ {
        self.choices.iter().filter_map(|choice| choice.candidates.first().copied())
    }

    /// Whether any part of the probe can run.
    pub fn runs(&self) -> bool {
        self.backends().next().is_some()
    }

    /// The backends and their additions by name; empty when the probe cannot run.
    pub fn backend_name(&self) -> String {
        let backends: Vec<_> = self.backends().collect();
        let parts = self.choices.len();
        let alike = backends.len() == parts && backends.windows(2).all(|pair| pair[0].name == pair[1].name);
        let extras = self.extras.iter().map(|extra| extra.name.to_owned());
        let name = |backend: &&Backend| match backend.part.name {
            "" => backend.name.to_owned(),
            part => format!("{part} {}", backend.name),
        };
        let names: Vec<String> = match backends.first() {
            Some(first) if alike => vec![first.name.to_owned()],
            _ => backends.iter().map(name).collect(),
        };
        names.into_iter().chain(extras).collect::<Vec<_>>().join(" + ")
    }

    /// What the capture's header keeps.
    pub fn note(&self) -> ProbePlan {
        let obstacles = self.obstacles.iter().map(Obstacle::to_string);
        ProbePlan {
            probe: self.probe.name().to_owned(),
            backend: self.backend_name(),
            misses: self.misses.iter().cloned().chain(obstacles).collect(),
            active: self.runs(),
        }
    }

    /// The same probe without the parts that nobody needs beside these probes.
    pub fn beside(self, facts: &Facts, probes: Probes) -> Self {
        let is_needed = |choice: &Choice| choice.part.with.is_none_or(|with| probes.has(with));
        describe(facts, self.probe, self.choices.into_iter().filter(is_needed).collect())
    }

    /// The same probe with the backends that in fact run.
    pub fn settled(&self, facts: &Facts, runs: &[&'static Backend]) -> Self {
        let settle = |choice: &Choice| {
            let candidates = choice.candidates.iter().copied().filter(|backend| runs.contains(backend));
            Choice { candidates: candidates.collect(), ..choice.clone() }
        };
        describe(facts, self.probe, self.choices.iter().map(settle).collect())
    }
}

/// The candidates of a probe, those that the user forces first, and what they miss.
pub fn assess(facts: &Facts, probe: Probe, forced: &Forced) -> Assessment {
    let row = table::row(probe);
    describe(facts, probe, row.parts.iter().map(|part| choose(facts, row, *part, forced)).collect())
}

fn choose(facts: &Facts, row: &'static ProbeRow, part: ProbePart, forced: &Forced) -> Choice {
    let mut choice = Choice { part, candidates: Vec::new(), refused: Vec::new() };
    for backend in row.backends.iter().filter(|backend| backend.part == part && backend.built) {
        match unmet(facts, backend.needs).into_iter().next() {
            None => choice.candidates.push(backend),
            Some(obstacle) => choice.refused.push((backend, obstacle)),
        }
    }
    let wanted = forced.name(row.probe, part);
    choice.candidates.sort_by_key(|backend| (Some(backend.name) != wanted, (backend.blind)(facts)));
    choice
}

fn describe(facts: &Facts, probe: Probe, choices: Vec<Choice>) -> Assessment {
    let mut found =
        Assessment { probe, choices, extras: Vec::new(), misses: Vec::new(), obstacles: Vec::new() };
    for choice in &found.choices {
        match choice.candidates.first() {
            Some(backend) => {
                found.misses.extend(sentences(facts, backend.misses));
                for extra in backend.extras {
                    let unmet = unmet(facts, extra.needs);
                    if unmet.is_empty() {
                        found.extras.push(extra);
                        found.misses.extend(sentences(facts, extra.misses));
                    } else {
                        found.misses.push(extra.without.to_owned());
                        found.obstacles.extend(unmet);
                    }
                }
            }
            None => {
                if !choice.part.without.is_empty() {
                    found.misses.push(choice.part.without.to_owned());
                }
                found.obstacles.extend(choice.refused.iter().map(|(_, obstacle)| obstacle.clone()));
            }
        }
    }
    once(&mut found.misses);
    once(&mut found.obstacles);
    if !found.runs() {
        found.misses.clear();
    }
    found
}

/// Keeps the first of equals.
fn once<T: PartialEq + Clone>(list: &mut Vec<T>) {
    let mut kept: Vec<T> = Vec::with_capacity(list.len());
    list.retain(|entry| {
        let new = !kept.contains(entry);
        if new {
            kept.push(entry.clone());
        }
        new
    });
}

fn unmet(facts: &Facts, needs: &[Need]) -> Vec<Obstacle> {
    needs.iter().filter_map(|need| need.obstacle(facts)).collect()
}

fn sentences(facts: &Facts, misses: &[Miss]) -> Vec<String> {
    misses.iter().filter(|miss| (miss.applies)(facts)).map(|miss| miss.text.to_owned()).collect()
}

#[cfg(test)]
pub(crate) mod tests;
