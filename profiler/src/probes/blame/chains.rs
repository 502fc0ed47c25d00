//! Wait chains: who waited for what while others waited for them.
//!
//! In: rows of links. Out: for each process and place of its waits, the chains that explain them, each with
//! its share; the part that no chain explains, and why.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use profiler_common::chain::{DEEPEST, NO_LINK};

use crate::probes::blame::rows::{How, LinkKey, LinkRow};
use crate::profile::call::CallNumber;
use crate::profile::{Pid, Profile, StackId, Wait};
use crate::render::clean;
use crate::render::syscalls::{self, NO_CALL};
use crate::render::telling::telling_function;
use crate::render::who::with_pid;

/// A process, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Process.
    pub pid: Pid,
    /// The call it is in.
    pub nr: Option<CallNumber>,
    /// What for.
    pub wait: Wait,
    /// Kernel stack.
    pub kernel: StackId,
}

/// Links by their ids.
pub struct Chains<'p> {
    profile: &'p Profile,
    rows: &'p BTreeMap<LinkKey, LinkRow>,
    links: HashMap<u64, Link>,
    /// Links that rows name as parents, but whose own rows never came.
    pub forgotten: u64,
}

struct Link {
    how: How,
    place: Place,
    parent: u64,
    total_ns: u64,
    explained_ns: u64,
}

/// A part of the waits in one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Who waited for what, from the thread that was waited for to the root; empty: nothing explains it.
    pub chain: Vec<Place>,
    /// Why no link explains more.
    pub rest: How,
    /// The chain continues with a link whose row never came.
    pub is_cut: bool,
}

/// Waits in one place.
#[derive(Default)]
pub struct Waits {
    /// How many.
    pub waits: u64,
    /// Their sum, ns.
    pub total_ns: u64,
    /// Their parts, ns.
    pub parts: BTreeMap<Part, u64>,
}

impl<'p> Chains<'p> {
    /// Of a profile.
    pub fn new(profile: &'p Profile) -> Self {
        Self::of(profile, &profile.waits.blame.links)
    }

    /// Of rows of a profile, such as those of a stretch of it.
    pub fn of(profile: &'p Profile, rows: &'p BTreeMap<LinkKey, LinkRow>) -> Self {
        let mut links: HashMap<u64, Link> = HashMap::new();
        for (key, row) in rows {
            let new =
                || Link { how: key.how, place: place(key), parent: key.parent, total_ns: 0, explained_ns: 0 };
            let link = links.entry(key.link).or_insert_with(new);
            link.total_ns = link.total_ns.saturating_add(row.total_ns);
            link.explained_ns = link.explained_ns.saturating_add(row.explained_ns);
        }
        let parents = rows.keys().map(|key| key.parent);
        let lost = parents.filter(|parent| *parent != NO_LINK && !links.contains_key(parent));
        let forgotten = lost.collect::<std::collections::BTreeSet<_>>().len() as u64;
        Self { profile, rows, links, forgotten }
    }

    /// The target's waits by place, heaviest first.
    pub fn waits(&self) -> Vec<(Place, Waits)> {
        let mut places: BTreeMap<Place, Waits> = BTreeMap::new();
        for (key, row) in self.rows.iter().filter(|(key, _)| !key.outside) {
            let waits = places.entry(place(key)).or_default();
            waits.waits = waits.waits.saturating_add(row.waits);
            waits.total_ns = waits.total_ns.saturating_add(row.total_ns);
            let explained = row.explained_ns.saturating_add(row.also_ns);
            if key.parent != NO_LINK {
                self.follow(key.parent, explained, &mut |part, ns| add(&mut waits.parts, part, ns));
            }
            let rest = row.total_ns.saturating_sub(explained);
            add(&mut waits.parts, Part { chain: Vec::new(), rest: key.how, is_cut: false }, rest);
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.iter_mut().for_each(|(_, waits)| waits.settle());
        places.sort_by_key(|(place, waits)| (Reverse(waits.total_ns), *place));
        places
    }

    /// The chains from a link on, each with its part of `ns`. A parent explains only a part of its link's
    /// waits.
    fn follow(&self, from: u64, ns: u64, give: &mut dyn FnMut(Part, u64)) {
        let (mut id, mut ns, mut chain) = (from, ns, Vec::new());
        while let Some(link) = self.links.get(&id).filter(|_| chain.len() < DEEPEST as usize) {
            chain.push(link.place);
            let deeper = if link.parent == NO_LINK { 0 } else { share(ns, link.explained_ns, link.total_ns) };
            let rest = link.how;
            give(Part { chain: chain.clone(), rest, is_cut: false }, ns - deeper);
            (id, ns) = (link.parent, deeper);
            if ns == 0 {
                return;
            }
        }
        give(Part { chain, rest: How::Ran, is_cut: true }, ns);
    }

    /// `keeper[12] in read (anon_pipe_read)`.
    pub fn words(&self, place: &Place) -> String {
        let call = place.nr.map_or(NO_CALL.into(), syscalls::name_only);
        let on = telling_function(self.profile, place.kernel);
        let on = on.map_or_else(String::new, |function| format!(" ({})", clean::name(function)));
        format!("{} in {call}{on}", with_pid(self.profile, place.pid))
    }

    /// `keeper[12] in read (anon_pipe_read) ← writer[13] in nanosleep`; why there is none where it is empty.
    pub fn chain(&self, part: &Part) -> String {
        if part.chain.is_empty() {
            let why = if part.is_cut { "its link was lost" } else { part.rest.text() };
            return format!("unknown ({why})");
        }
        let mut words: Vec<_> = part.chain.iter().map(|place| self.words(place)).collect();
        if part.is_cut {
            words.push("unknown (its link was lost)".to_owned());
        }
        words.join(" ← ")
    }
}

impl Waits {
    /// Adds other waits.
    pub fn add(&mut self, other: Self) {
        self.waits = self.waits.saturating_add(other.waits);
        self.total_ns = self.total_ns.saturating_add(other.total_ns);
        other.parts.into_iter().for_each(|(part, ns)| add(&mut self.parts, part, ns));
    }

    /// Makes the parts the whole: other links may explain what a wait's own rest is made of.
    fn settle(&mut self) {
        let sum = self.parts.values().fold(0u64, |sum, ns| sum.saturating_add(*ns));
        let mut over = sum.saturating_sub(self.total_ns);
        let rests = self.parts.iter_mut().filter(|(part, _)| part.chain.is_empty());
        for (_, ns) in rests {
            let less = over.min(*ns);
            *ns -= less;
            over -= less;
        }
        self.parts.retain(|_, ns| *ns > 0);
    }

    /// The parts that a chain explains, heaviest first.
    pub fn explained(&self) -> Vec<(&Part, u64)> {
        let mut parts: Vec<_> = self
            .parts
            .iter()
            .filter(|(part, _)| !part.chain.is_empty())
            .map(|(part, ns)| (part, *ns))
            .collect();
        parts.sort_by_key(|(part, ns)| (Reverse(*ns), *part));
        parts
    }
}

fn place(key: &LinkKey) -> Place {
    Place { pid: key.pid, nr: key.nr, wait: key.wait, kernel: key.kernel }
}

/// `ns` times `of` by `whole`, at most `ns`.
fn share(ns: u64, of: u64, whole: u64) -> u64 {
    let part = u128::from(ns) * u128::from(of.min(whole)) / u128::from(whole.max(1));
    u64::try_from(part).unwrap_or(ns)
}

fn add(parts: &mut BTreeMap<Part, u64>, part: Part, ns: u64) {
    if ns > 0 {
        let sum = parts.entry(part).or_default();
        *sum = sum.saturating_add(ns);
    }
}
