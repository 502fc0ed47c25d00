//! Folding: rows with stacks become paths of names with a weight.
//!
//! In: what a probe pushes, row by row. Out: [`Folded`], sorted by name with equal paths
//! summed, as paths for [`super::tree`] and [`super::folded_lines`]. Where the paths take more than their memory,
//! the lightest are summed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use super::clean;
use super::name::{FrameNames, NameId, Names};
use super::syscalls::CallClass;
use crate::probes::waits::class::Classes;
use crate::profile::{Pid, Profile, StackId};

/// Frames of all paths at most, 64 MB: a million stacks of some dozen names.
const FRAMES: usize = 16 << 20;

/// One path with its weight.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    start: usize,
    length: u32,
    /// The class it is ranked in.
    pub class: CallClass,
    /// The process whose it is; none for interrupts.
    pub pid: Option<Pid>,
    /// Weight, in the probe's unit.
    pub weight: u64,
}

/// Collects paths: frames are pushed from the root on, then the path is ended with its weight.
pub struct Folder<'p> {
    profile: &'p Profile,
    frames: FrameNames<'p>,
    flat: Vec<NameId>,
    paths: Vec<Path>,
    light: Light,
    begin: usize,
    pid: Option<Pid>,
    classes: Option<Rc<RefCell<Classes<'p>>>>,
}

impl<'p> Folder<'p> {
    /// Nothing folded yet.
    pub fn new(profile: &'p Profile) -> Self {
        let frames = FrameNames::new(&profile.stacks);
        Self {
            profile,
            frames,
            flat: Vec::new(),
            paths: Vec::new(),
            light: Light::default(),
            begin: 0,
            pid: None,
            classes: None,
        }
    }

    /// The whole recording.
    pub fn profile(&self) -> &'p Profile {
        self.profile
    }

    /// The classes of its waits, told once.
    pub fn classes(&mut self) -> Rc<RefCell<Classes<'p>>> {
        let profile = self.profile;
        Rc::clone(self.classes.get_or_insert_with(|| Rc::new(RefCell::new(Classes::new(profile)))))
    }

    /// Pushes a frame of our own making; untrusted parts go through [`clean`] first.
    pub fn frame(&mut self, name: &str) -> &mut Self {
        let id = self.frames.names.intern(name);
        self.flat.push(id);
        self
    }

    /// Pushes container and process.
    pub fn process(&mut self, pid: Pid) -> &mut Self {
        self.pid = Some(pid);
        let processes = &self.profile.processes;
        let container = processes.container(pid);
        if !container.is_empty() {
            self.frame(&format!("container {}", clean::frame(container)));
        }
        self.frame(&format!("{} ({})", clean::frame(processes.comm(pid)), processes.pid_text(pid)))
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

    /// Pushes the names next to a stack's leaf, at least `count` if it has so many; nothing without a stack.
    pub fn stack_end(&mut self, id: StackId, count: usize) -> &mut Self {
        if !self.frames.push_last(id, count, &mut self.flat) && id != StackId::NONE {
            self.frame("[stack lost]");
        }
        self
    }

    /// The name next to a stack's leaf.
    pub fn leaf(&mut self, id: StackId) -> Option<NameId> {
        self.frames.leaf(id)
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
            self.paths.push(Path { start: self.begin, length, class, pid: self.pid, weight });
        } else {
            self.flat.truncate(self.begin);
        }
        if self.flat.len() > FRAMES {
            self.make_room();
        }
        self.begin = self.flat.len();
        self.pid = None;
    }

    /// Sums equal paths; if that leaves more than half of the room taken, the lightest ones of each class become one.
    fn make_room(&mut self) {
        merge(&self.flat, &mut self.paths);
        self.paths.sort_by_key(|path| std::cmp::Reverse(path.weight));
        let mut room = FRAMES / 2;
        let kept = self.paths.iter().take_while(|path| {
            let fits = path.length as usize <= room;
            room = room.saturating_sub(path.length as usize);
            fits
        });
        let kept = kept.count();
        for path in self.paths.drain(kept..) {
            self.light.add(&path);
        }
        let mut flat = Vec::with_capacity(FRAMES / 2);
        for path in &mut self.paths {
            let start = flat.len();
            flat.extend_from_slice(&self.flat[path.start..path.start + path.length as usize]);
            path.start = start;
        }
        self.flat = flat;
    }

    /// The pushed frames, root → leaf.
    pub fn pushed(&self) -> &[NameId] {
        &self.flat[self.begin..]
    }

    /// Takes the pushed frames back.
    pub fn discard(&mut self) {
        self.flat.truncate(self.begin);
    }

    /// Takes the pushed frames back, and returns their hash; equal hashes of different frames are one chance
    /// in billions.
    pub fn take_hash(&mut self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.pushed().hash(&mut hasher);
        self.discard();
        hasher.finish()
    }

    /// Takes the pushed frames back as text, root → leaf, instead of ending the path.
    pub fn take(&mut self) -> Vec<String> {
        let names = &self.frames.names;
        let path = self.flat[self.begin..].iter().map(|frame| names.get(*frame).to_owned()).collect();
        self.discard();
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

    /// Gives the paths that were ended so far, with their frames, and forgets them. Names stay.
    pub fn drain(&mut self, each: &mut dyn FnMut(&FrameNames<'p>, &[NameId], &Path)) {
        for path in &self.paths {
            each(&self.frames, &self.flat[path.start..path.start + path.length as usize], path);
        }
        self.flat.clear();
        self.paths.clear();
        (self.light, self.begin, self.pid) = (Light::default(), 0, None);
    }

    /// Sorts by name and sums equal paths.
    pub fn finish(mut self) -> Folded {
        let light = std::mem::take(&mut self.light);
        self.begin = self.flat.len();
        for (class, paths, weight) in light.of_class() {
            self.frame(&left_out(paths)).end(weight, class);
        }
        let Self { frames, mut flat, mut paths, .. } = self;
        let mut names = frames.names;
        let renamed = names.sort();
        for id in &mut flat {
            *id = renamed.get(*id as usize).copied().unwrap_or(*id);
        }
        merge(&flat, &mut paths);
        Folded { names, flat, paths, without: Vec::new(), light: light.paths() }
    }
}

/// The frame of what has no room.
pub fn left_out(paths: u64) -> String {
    format!("[{paths} lighter stacks: no room]")
}

/// Sorts paths by their frames and sums equal ones.
fn merge(flat: &[NameId], paths: &mut Vec<Path>) {
    let frames_of = |path: &Path| &flat[path.start..path.start + path.length as usize];
    paths.sort_unstable_by(|a, b| frames_of(a).cmp(frames_of(b)).then(a.class.cmp(&b.class)));
    paths.dedup_by(|next, kept| {
        let same = frames_of(next) == frames_of(kept) && next.class == kept.class;
        if same {
            kept.weight = kept.weight.saturating_add(next.weight);
        }
        same
    });
}

/// Paths that are summed for want of room, by class.
#[derive(Debug, Default)]
pub struct Light(BTreeMap<CallClass, (u64, u64)>);

impl Light {
    /// Adds one.
    pub fn add(&mut self, path: &Path) {
        let (paths, weight) = self.0.entry(path.class).or_default();
        *paths += 1;
        *weight = weight.saturating_add(path.weight);
    }

    /// How many there are.
    pub fn paths(&self) -> u64 {
        self.0.values().map(|(paths, _)| paths).sum()
    }

    /// Paths and weight of each class.
    pub fn of_class(&self) -> impl Iterator<Item = (CallClass, u64, u64)> + '_ {
        self.0.iter().map(|(class, (paths, weight))| (*class, *paths, *weight))
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
    light: u64,
}

impl Folded {
    /// Paths that had no room in memory, and are summed.
    pub fn light(&self) -> u64 {
        self.light
    }

    /// Frames of all paths: what it takes of memory, in words of four bytes.
    pub fn size(&self) -> usize {
        self.flat.len()
    }

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
}
