//! The stacks of both sides beside each other.
//!
//! In: the folded paths of one picture of each side. Out: one list of paths, each with its weight before and after, the former scaled to the
//! recorded time of the latter. Processes are named without their ids, which differ between any two recordings.

use std::collections::BTreeMap;

use super::side::Side;
use crate::probe::Picture;
use crate::render::clean;
use crate::render::fold::{Folded, Path};
use crate::render::pictures;
use crate::render::syscalls::CallClass;

/// A path with its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Frames, the root first.
    pub frames: Vec<u32>,
    /// Weight before, scaled to the recorded time after.
    pub before: f64,
    /// Weight after.
    pub after: f64,
}

/// The stacks of both sides.
#[derive(Debug, Default)]
pub struct Pairs {
    /// Names of frames.
    pub names: Vec<String>,
    /// Paths in the order of their frames' numbers.
    pub paths: Vec<Pair>,
    /// Weight of other classes that is left out, before (scaled) and after.
    pub left_out: (f64, f64),
}

impl Pairs {
    /// Of one picture; only work, as in pictures: idle threads wait all the time.
    pub fn new(before: &Side, after: &Side, picture: Picture) -> Self {
        let scale = if before.seconds() > 0.0 { after.seconds() / before.seconds() } else { 0.0 };
        let mut join = Join::default();
        join.add(before, picture, |pair, weight| pair.0 += weight * scale);
        let left_before = std::mem::take(&mut join.left_out) * scale;
        join.add(after, picture, |pair, weight| pair.1 += weight);
        let paths = join.paths.into_iter();
        Self {
            names: join.names,
            paths: paths.map(|(frames, (before, after))| Pair { frames, before, after }).collect(),
            left_out: (left_before, join.left_out),
        }
    }

    /// Sums before and after.
    pub fn totals(&self) -> (f64, f64) {
        self.paths.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.before, sum.1 + pair.after))
    }

    /// The name of a frame.
    pub fn name(&self, frame: u32) -> &str {
        self.names.get(frame as usize).map_or("?", String::as_str)
    }
}

#[derive(Default)]
struct Join {
    names: Vec<String>,
    index: BTreeMap<String, u32>,
    paths: BTreeMap<Vec<u32>, (f64, f64)>,
    left_out: f64,
}

impl Join {
    fn add(&mut self, side: &Side, picture: Picture, put: impl Fn(&mut (f64, f64), f64)) {
        let folded = pictures::fold(&side.profile, picture);
        let mut known: BTreeMap<u32, u32> = BTreeMap::new();
        for path in folded.paths() {
            if path.class != CallClass::Work {
                self.left_out += path.weight as f64;
                continue;
            }
            let process = process_frame(side, &folded, path);
            let mut frames = Vec::with_capacity(folded.frames(path).len());
            for (place, frame) in folded.frames(path).iter().enumerate() {
                frames.push(match &process {
                    Some((at, name)) if *at == place => self.name(name),
                    _ => *known.entry(*frame).or_insert_with(|| self.name(folded.names.get(*frame))),
                });
            }
            put(self.paths.entry(frames).or_default(), path.weight as f64);
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        if let Some(id) = self.index.get(name) {
            return *id;
        }
        let id = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), id);
        id
    }
}

/// Where the frame of the process stands, and its name without the id.
fn process_frame(side: &Side, folded: &Folded, path: &Path) -> Option<(usize, String)> {
    let pid = path.pid?;
    let name = clean::frame(side.profile.processes.comm(pid));
    let with_id = format!("{name} ({})", pid.0);
    let at = folded.frames(path).iter().position(|frame| folded.names.get(*frame) == with_id)?;
    Some((at, name))
}
