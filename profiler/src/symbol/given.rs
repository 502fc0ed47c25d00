//! Names for an old capture, from files that the user gives.
//!
//! In: a directory; stacks whose frames have no name. Out: names of frames in files of the same build-id, whatever the files
//! there are called; what was of no use; what is still asked for. The directory is foreign: children walk and read it, with
//! bounds and a deadline, and follow no link out of it. A wrong build-id names nothing.

mod walk;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::headers::CODE;
use super::job::{Job, Source};
use super::limits::Limits;
use super::names::{Pool, clean};
use super::open;
use super::worker;
use crate::profile::stack::{FrameId, Reason, Resolution, Segment, StackTable, Symbols};
use walk::Walk;

/// Bytes of what is told of a path.
const LINE_BYTES: usize = 512;

/// What came of it.
#[derive(Debug, Default)]
pub struct Supply {
    /// The names.
    pub symbols: Symbols,
    /// Files that named something.
    pub used: usize,
    /// What was of no use, one line each, to be put behind the directory's path.
    pub warnings: Vec<String>,
    /// Symbolic links, which were not followed.
    pub links: usize,
    /// What still has no name.
    pub lacking: Vec<Lacking>,
}

/// A build of a file, frames of which have no name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Its path; of several the first.
    pub path: String,
    /// Its build-id; empty: none is known, and nothing can be matched.
    pub build_id: String,
    /// How many frames.
    pub frames: usize,
}

/// A build that is looked for.
#[derive(Debug, Default)]
struct Build {
    path: String,
    segments: Vec<Segment>,
    frames: Vec<(FrameId, u64)>,
}

/// Names frames of files that have no name.
///
/// # Errors
/// There is no such directory, or no child can be started.
pub fn supply(directory: &Path, stacks: &StackTable, limits: &Limits) -> io::Result<Supply> {
    let mut builds = builds(stacks);
    let place = open::directory(directory)?;
    let deadline = Instant::now() + limits.total;
    let unknown = builds.remove("").unwrap_or_default();
    let walk = if builds.is_empty() {
        Walk::default()
    } else {
        let segments: Vec<_> =
            builds.iter().map(|(id, build)| (id.clone(), build.segments.clone())).collect();
        walk::walk(place.as_raw_fd(), &segments, limits, deadline)?
    };
    let ids: Vec<&String> = builds.keys().collect();
    let (mut jobs, mut names) = (Vec::new(), Vec::new());
    for found in walk.found {
        let Some((id, build)) = ids.get(found.build).and_then(|id| Some((id, builds.get(*id)?))) else {
            continue;
        };
        let path = PathBuf::from(&found.path);
        let source = Source::Given { path, build_id: (*id).clone(), segments: found.segments };
        let offsets = build.frames.iter().map(|(_, offset)| *offset).collect();
        jobs.push(Job { file: place.as_raw_fd(), offsets, dwarf: true, golang: true, source });
        names.push((found.path, build));
    }
    let answers = worker::rounds(&mut jobs, limits, deadline, &mut Pool::default());
    let mut supply = Supply { warnings: walk.warnings, ..Supply::default() };
    let mut named: BTreeMap<FrameId, Resolution> = BTreeMap::new();
    for ((path, build), answers) in names.iter().zip(answers) {
        if let Some(why) = useless(&answers) {
            supply.warnings.push(format!("/{path}: {why}"));
        }
        let before = named.len();
        for ((frame, _), resolution) in build.frames.iter().zip(answers) {
            // Two files of one build: the one that knows inlined functions says more.
            if functions(&resolution) > named.get(frame).map_or(0, functions) {
                named.insert(*frame, resolution);
            }
        }
        supply.used += usize::from(named.len() > before);
    }
    let lacks = |(id, build): (&str, &Build)| Lacking {
        path: clean(&build.path, LINE_BYTES),
        build_id: clean(id, LINE_BYTES),
        frames: build.frames.iter().filter(|(frame, _)| !named.contains_key(frame)).count(),
    };
    let known = builds.iter().map(|(id, build)| (id.as_str(), build));
    supply.lacking = known.chain([("", &unknown)]).map(lacks).filter(|lacking| lacking.frames > 0).collect();
    supply.lacking.sort_by(|a, b| (b.frames, &a.path).cmp(&(a.frames, &b.path)));
    supply.links = walk.links;
    supply.warnings.iter_mut().for_each(|line| *line = clean(line, LINE_BYTES));
    supply.symbols.frames = named.into_iter().collect();
    Ok(supply)
}

/// What has frames without a name, by build-id.
fn builds(stacks: &StackTable) -> BTreeMap<String, Build> {
    let mut builds: BTreeMap<String, Build> = BTreeMap::new();
    for (frame, module, offset) in stacks.nameless_in_files() {
        let Some(module) = stacks.module(module) else { continue };
        let build = builds.entry(module.build_id.clone()).or_default();
        if build.frames.is_empty() {
            build.path.clone_from(&module.path);
        }
        if build.segments.is_empty() {
            // The capture is foreign, too.
            build.segments = module.segments.iter().take(CODE).copied().collect();
        }
        build.frames.push((frame, offset));
    }
    for build in builds.values_mut() {
        // Neighbours share what the reader has parsed for one of them.
        build.frames.sort_by_key(|(_, offset)| *offset);
    }
    builds
}

fn functions(resolution: &Resolution) -> usize {
    match resolution {
        Resolution::Named(functions) => functions.len(),
        Resolution::Unnamed(_) => 0,
    }
}

/// Why a file that was found names nothing.
fn useless(answers: &[Resolution]) -> Option<&'static str> {
    let all = |reason| answers.iter().all(|answer| *answer == Resolution::Unnamed(reason));
    if all(Reason::Unreadable) {
        Some("its symbols cannot be read")
    } else if all(Reason::NoAnswer) {
        Some("its file system does not answer")
    } else if all(Reason::NoSymbol) {
        Some("it is of the build that is looked for, and has no symbols of it")
    } else if all(Reason::NotReached) {
        Some("there was no time to read it")
    } else {
        None
    }
}
