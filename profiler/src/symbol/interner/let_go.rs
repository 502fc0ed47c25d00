//! Files that no process maps any more are named and let go, where somebody may want to unmount their file system.
//!
//! In: files that are pinned, some times a second. Out: names of their frames, a moment later. Naming runs
//! beside the recording and takes half of a CPU at most. It is so short that a person at `umount` does not
//! notice; a frame that is not named in that time has no name.

use std::collections::HashMap;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use super::{Interner, State};
use crate::profile::Pid;
use crate::profile::stack::{FrameId, FrameSpace, Resolution};
use crate::symbol::holders::lives;
use crate::symbol::job::{Job, Source};
use crate::symbol::limits::Limits;
use crate::symbol::names::Pool;
use crate::symbol::pin::Pin;
use crate::symbol::worker::run;

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(250);
/// Larger files are named from their symbol table alone: their debug information takes too long.
const DWARF_BYTES: u64 = 32 << 20;
/// All files of one round together.
const TOTAL: Duration = Duration::from_millis(700);
/// Processes with JIT code that are looked at in a round, at most.
const LOOKED_AT: usize = 256;

impl Interner {
    /// Begins to name what nobody maps any more, unless the round before is not over.
    pub fn let_go(&mut self) {
        self.take_named(false);
        if self.naming.is_some() || self.let_go.is_some_and(|next| Instant::now() < next) {
            return;
        }
        self.let_go = Some(Instant::now() + PAUSE);
        self.let_go_of_perf_maps();
        let mut unmapped: HashMap<_, Pin> = self.executables.unmapped().into_iter().collect();
        if unmapped.is_empty() {
            return;
        }
        let mut asked: HashMap<_, Vec<(u64, FrameId)>> = HashMap::new();
        for (frame, offset) in self.unnamed(|space| matches!(space, FrameSpace::Module(_))) {
            let space = self.frames.as_slice().get(frame.0 as usize).map(|frame| frame.space);
            if let Some(FrameSpace::Module(module)) = space
                && unmapped.contains_key(&module)
            {
                asked.entry(module).or_default().push((offset, frame));
            }
        }
        // What nobody asks about goes at once.
        unmapped.retain(|module, _| asked.contains_key(module));
        if asked.is_empty() {
            return;
        }
        let work: Vec<_> = asked
            .into_iter()
            .filter_map(|(module, mut frames)| {
                // Neighbours share what the reader has parsed for one of them.
                frames.sort_unstable();
                Some(Work {
                    path: self.path(FrameSpace::Module(module)),
                    pin: unmapped.remove(&module)?,
                    frames,
                })
            })
            .collect();
        for work in &work {
            work.frames.iter().for_each(|(_, frame)| self.set(*frame, State::Named));
        }
        self.naming = Some(std::thread::spawn(move || name(&work)));
    }

    /// Takes the names of the round before, if it is over; `wait`: until it is.
    pub(super) fn take_named(&mut self, wait: bool) {
        let Some(naming) = self.naming.take_if(|naming| wait || naming.is_finished()) else { return };
        // A round that took long rests as long: half of a CPU at most, however many programs come and go.
        let begun = self.let_go.and_then(|next| next.checked_sub(PAUSE));
        self.let_go = begun.map(|begun| Instant::now() + begun.elapsed().max(PAUSE));
        // A thread that panicked has named nothing: its frames say that they were not looked up.
        for (frame, resolution) in naming.join().unwrap_or_default() {
            let resolution = match resolution {
                Resolution::Named(names) => {
                    Resolution::Named(names.iter().map(|name| self.pool.share(name)).collect())
                }
                unnamed @ Resolution::Unnamed(_) => unnamed,
            };
            self.told.frames.push((frame, resolution));
        }
    }

    /// A process's root directory is held for its perf map.
    fn let_go_of_perf_maps(&mut self) {
        let held: Vec<Pid> =
            self.perf_maps.iter().filter(|(_, held)| **held).map(|(pid, _)| *pid).take(LOOKED_AT).collect();
        for pid in held {
            let elsewhere =
                self.executables.looker().hold(pid).is_some_and(|device| !self.executables.stays(device));
            if elsewhere && !lives(pid) {
                self.name_jit_early(pid);
            }
        }
    }
}

/// A file that is let go, and what is asked of it.
struct Work {
    pin: Pin,
    path: String,
    frames: Vec<(u64, FrameId)>,
}

/// Names frames by files that this alone holds.
fn name(work: &[Work]) -> Vec<(FrameId, Resolution)> {
    let job = |work: &Work| Job {
        file: work.pin.place.as_raw_fd(),
        offsets: work.frames.iter().map(|(offset, _)| *offset).collect(),
        dwarf: work.pin.seen.bytes <= DWARF_BYTES,
        golang: true,
        source: Source::Itself(work.path.clone()),
    };
    let mut jobs: Vec<Job> = work.iter().map(job).collect();
    // The recorder runs before others; this is not urgent.
    let _ = rustix::process::setpriority_process(None, 0);
    let limits = Limits {
        dwarf_bytes: DWARF_BYTES,
        stall: TOTAL,
        total: TOTAL,
        silence: Duration::from_millis(300),
        ..Limits::default()
    };
    let answers = run(&mut jobs, &limits, &mut Pool::default());
    let frames = work.iter().flat_map(|work| work.frames.iter().map(|(_, frame)| *frame));
    frames.zip(answers.into_iter().flatten()).collect()
}
