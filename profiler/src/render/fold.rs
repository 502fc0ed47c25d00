//! Folding: rows with stacks become paths of names with a weight.
//!
//! In: what a probe pushes, row by row. Out: [`Folded`], sorted by name with equal paths
//! summed, as folded lines or as paths for [`super::tree`].

use std::io::Write;

use super::clean;
use super::name::{FrameNames, NameId, Names};
use super::syscalls::CallClass;
use crate::profile::{Pid, Profile, StackId};

/// One path with its weight.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    start: usize,
    length: u32,
    /// The class it is ranked in.
    pub class: CallClass,
    /// Weight, in the probe's unit.
    pub weight: u64,
}

/// Collects paths: frames are pushed from the root on, then the path is ended with its weight.
pub struct Folder<'p> {
    profile: &'p Profile,
    frames: FrameNames<'p>,
    flat: Vec<NameId>,
    paths: Vec<Path>,
    begin: usize,
}

impl<'p> Folder<'p> {
    /// Nothing folded yet.
    pub fn new(profile: &'p Profile) -> Self {
        let frames = FrameNames::new(&profile.stacks);
        Self { profile, frames, flat: Vec::new(), paths: Vec::new(), begin: 0 }
    }

    /// Pushes a frame of our own making; untrusted parts go through [`clean`] first.
    pub fn frame(&mut self, name: &str) -> &mut Self {
        let id = self.frames.names.intern(name);
        self.flat.push(id);
        self
    }

    /// Pushes container and process.
    pub fn process(&mut self, pid: Pid) -> &mut Self {
        let processes = &self.profile.processes;
        let container = processes.container(pid);
        if !container.is_empty() {
            self.frame(&format!("container {}", clean::frame(container)));
        }
        self.frame(&format!("{} ({})", clean::frame(processes.comm(pid)), pid.0))
    }

    /// Pushes a stack, or `instead` where there is none; `None` leaves nothing.
    pub fn stack(&mut self, id: StackId, instead: Option<&str>) -> &mut Self {
        if !self.frames.push(id, &mut self.flat) {
            let lost = (id != StackId::NONE).then_some("[stack lost]");
            if let Some(name) = lost.or(instead) {
                self.frame(name);
            }
        }
        self
    }

    /// Pushes the part of a stack from the last frame that is an entry on; all of it where none is.
    pub fn stack_from(&mut self, id: StackId, is_entry: impl Fn(&str) -> bool) -> &mut Self {
        let start = self.flat.len();
        self.stack(id, None);
        let entry = self.flat[start..].iter().rposition(|frame| is_entry(self.name(*frame)));
        self.flat.drain(start..start + entry.unwrap_or(0));
        self
    }

    /// Ends the path.
    pub fn end(&mut self, weight: u64, class: CallClass) {
        let length = (self.flat.len() - self.begin) as u32;
        if weight > 0 && length > 0 {
            self.paths.push(Path { start: self.begin, length, class, weight });
        } else {
            self.flat.truncate(self.begin);
        }
        self.begin = self.flat.len();
    }

    /// Takes the pushed frames back as text, root → leaf, instead of ending the path.
    pub fn take(&mut self) -> Vec<String> {
        let names = &self.frames.names;
        let path = self.flat[self.begin..].iter().map(|frame| names.get(*frame).to_owned()).collect();
        self.flat.truncate(self.begin);
        path
    }

    /// Whether the pushed frames end with these.
    pub fn ends_with(&self, frames: &[&str]) -> bool {
        let pushed = &self.flat[self.begin..];
        pushed.len() >= frames.len()
            && pushed[pushed.len() - frames.len()..]
                .iter()
                .zip(frames)
                .all(|(id, name)| self.name(*id) == *name)
    }

    /// Takes the pushed frames back, leaving only the last one.
    pub fn take_leaf(&mut self) -> Option<NameId> {
        let leaf = self.flat[self.begin..].last().copied();
        self.flat.truncate(self.begin);
        leaf
    }

    /// The text of a frame.
    pub fn name(&self, frame: NameId) -> &str {
        self.frames.names.get(frame)
    }

    /// Sorts by name and sums equal paths.
    pub fn finish(self) -> Folded {
        let Self { frames, mut flat, mut paths, .. } = self;
        let mut names = frames.names;
        let renamed = names.sort();
        for id in &mut flat {
            *id = renamed.get(*id as usize).copied().unwrap_or(*id);
        }
        let frames_of = |path: &Path| &flat[path.start..path.start + path.length as usize];
        paths.sort_unstable_by(|a, b| frames_of(a).cmp(frames_of(b)));
        paths.dedup_by(|next, kept| {
            let same = frames_of(next) == frames_of(kept);
            if same {
                kept.weight = kept.weight.saturating_add(next.weight);
            }
            same
        });
        Folded { names, flat, paths, without: Vec::new() }
    }
}

/// All paths of one probe, in name order.
#[derive(Debug, Default)]
pub struct Folded {
    /// Names of the frames.
    pub names: Names,
    flat: Vec<NameId>,
    paths: Vec<Path>,
    without: Vec<(CallClass, u128)>,
}

impl Folded {
    /// Leaves a class out, and keeps how much it was.
    pub fn leave_out(mut self, class: CallClass) -> Self {
        self.without.push((class, self.total(class)));
        self.paths.retain(|path| path.class != class);
        self
    }

    /// Classes that were left out, with their weight.
    pub fn without(&self) -> impl Iterator<Item = (CallClass, u128)> + '_ {
        self.without.iter().copied().filter(|(_, total)| *total > 0)
    }

    /// Distinct paths.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// The frames of a path, root → leaf.
    pub fn frames(&self, path: &Path) -> &[NameId] {
        &self.flat[path.start..path.start + path.length as usize]
    }

    /// Sum of the weights of a class.
    pub fn total(&self, class: CallClass) -> u128 {
        self.paths.iter().filter(|path| path.class == class).map(|path| u128::from(path.weight)).sum()
    }

    /// Writes one line per path: `frame;frame;frame weight`.
    ///
    /// # Errors
    /// What the writer returns.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for path in &self.paths {
            for (index, &frame) in self.frames(path).iter().enumerate() {
                if index > 0 {
                    out.write_all(b";")?;
                }
                out.write_all(self.names.get(frame).as_bytes())?;
            }
            writeln!(out, " {}", path.weight)?;
        }
        Ok(())
    }
}
