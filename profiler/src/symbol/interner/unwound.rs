//! User stacks that are unwound from copies.
//!
//! In: copies of threads' stacks, and the kernel's walks of the same stacks. Out: interned stacks; for each copy the id of
//! its stack, which rows get instead of the copy's. Equal stacks have one id.
//! A walk by frame pointers becomes a stack only if a row has nothing better.

use std::collections::HashMap;

use profiler_common::stack::{USER, finish, mix, seed};

use super::{Interner, positions};
use crate::profile::Pid;
use crate::profile::stack::{Cut, Stack, StackId};
use crate::profile::stack_copy::StackCopy;
use crate::symbol::unwind::{Batch, Unwinder, Unwound};
use crate::symbol::walks::{Found, LISTS, List};

impl Interner {
    /// Keeps the kernel's walk of a user stack whose thread may have been copied, too. Pins the process, as
    /// [`Self::user_stack`] does.
    pub fn list(&mut self, id: StackId, pid: Pid, addresses: &[u64], truncated: bool) {
        if self.seen.contains(&id) || self.lists.known.contains_key(&id) {
            return;
        }
        if self.lists.awaited.remove(&id) || self.lists.known.len() >= LISTS {
            return self.user_stack(id, pid, addresses, truncated);
        }
        self.cover(pid, positions(addresses));
        self.lists.known.insert(id, List { pid, addresses: addresses.into(), truncated });
        self.lists.by_process.entry(pid).or_default().push(id);
    }

    /// A row has this stack: if it is a walk by frame pointers, it becomes a stack, now or when it comes.
    pub fn used(&mut self, id: StackId) {
        if id == StackId::NONE || self.seen.contains(&id) {
            return;
        }
        match self.lists.known.get(&id).cloned() {
            Some(List { pid, addresses, truncated }) => self.user_stack(id, pid, &addresses, truncated),
            None if self.lists.awaited.len() < LISTS => {
                self.lists.awaited.insert(id);
            }
            None => {}
        }
    }

    /// The process becomes another program: rows of the one before may have any of its walks.
    pub(super) fn keep_lists(&mut self, pid: Pid) {
        for id in self.lists.by_process.remove(&pid).unwrap_or_default() {
            self.used(id);
            self.lists.known.remove(&id);
        }
    }

    /// The process has ended: its walks are nobody's any more.
    pub(super) fn drop_lists(&mut self, pid: Pid) {
        for id in self.lists.by_process.remove(&pid).unwrap_or_default() {
            self.lists.known.remove(&id);
        }
    }

    /// Unwinds copies.
    pub fn unwind(&mut self, copies: &[StackCopy]) -> Vec<Found> {
        if copies.is_empty() {
            return Vec::new();
        }
        for copy in copies {
            self.cover(copy.pid, std::iter::once(copy.ip()));
        }
        let mut answers = self.run(copies);
        self.again(copies, &mut answers);
        copies.iter().zip(answers).map(|(copy, answer)| self.keep(copy, answer)).collect()
    }

    fn run(&mut self, copies: &[StackCopy]) -> Vec<Unwound> {
        let mut unwinder = self.unwinder.take().unwrap_or_else(Unwinder::new);
        let addresses =
            |copy: &StackCopy| Some((copy.list, self.lists.known.get(&copy.list)?.addresses.clone()));
        let lists: HashMap<_, _> = copies.iter().filter_map(addresses).collect();
        let batch = Batch { copies, lists: &lists, spaces: &self.spaces, executables: &self.executables };
        let answers = unwinder.run(&batch);
        self.unwinder = Some(unwinder);
        answers
    }

    /// Code may have been mapped since the maps were read: those that led into none are tried once more.
    fn again(&mut self, copies: &[StackCopy], answers: &mut [Unwound]) {
        let mut read = HashMap::new();
        let mut failed = Vec::new();
        for (index, (copy, answer)) in copies.iter().zip(answers.iter()).enumerate() {
            if answer.cut == Some(Cut::Unmapped) {
                failed.push((index, copy.clone()));
                read.entry(copy.pid).or_insert(false);
            }
        }
        for (pid, news) in &mut read {
            *news = self.read_again(*pid);
        }
        failed.retain(|(_, copy)| read.get(&copy.pid).copied().unwrap_or(false));
        if failed.is_empty() {
            return;
        }
        let (places, copies): (Vec<_>, Vec<_>) = failed.into_iter().unzip();
        for (place, better) in places.into_iter().zip(self.run(&copies)) {
            if let Some(slot) = answers.get_mut(place) {
                *slot = better;
            }
        }
    }

    fn keep(&mut self, copy: &StackCopy, unwound: Unwound) -> Found {
        let mut hash = seed(copy.pid.0, USER);
        // Apart from the kernel's walks, and from the same frames that end for another reason.
        hash = mix(hash, unwound.cut.map_or(u64::MAX, |cut| cut as u64));
        let id = StackId(finish(unwound.positions.iter().fold(hash, |hash, position| mix(hash, *position))));
        let Unwound { positions, cut, top, words } = unwound;
        let found = Found { copy: copy.id, stack: id, cut, top, words };
        if !self.is_new(id) {
            return found;
        }
        self.stacks_of.entry(copy.pid).or_default().push(id);
        if let Some(space) = self.spaces.remove(&copy.pid) {
            let frames = self.user_frames(&space, copy.pid, positions.iter().copied());
            self.spaces.insert(copy.pid, space);
            self.cuts.extend(cut.map(|cut| (id, cut)));
            self.stacks.push(Stack { id, frames, truncated: false });
        }
        found
    }

    /// Reasons of the stacks that came since the last call.
    pub fn take_cuts(&mut self) -> Vec<(StackId, Cut)> {
        std::mem::take(&mut self.cuts)
    }
}
