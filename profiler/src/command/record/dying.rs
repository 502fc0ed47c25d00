//! Processes that may die, and those that did.
//!
//! In: the ring of faults; processes that came into view. Out: faults; processes whose mappings must be read
//! again, because they have loaded their libraries by now.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use aya::Ebpf;

use super::ahead::Ahead;
use crate::cli::settings::RecordSettings;
use crate::collect::{Faults, ToldFault};
use crate::failure::Failure;
use crate::probe::Probe;
use crate::profile::Pid;

/// A program has loaded its libraries by then.
const LOADED: Duration = Duration::from_millis(20);
/// Processes that wait for that, at most; of more, the first ones are not looked at again.
const WAITING: usize = 1_024;
/// Processes that are looked at between two calls of [`Dying::take_new`], and in one go: at most.
const AT_ONCE: usize = 64;

/// Processes that may die, and those that did.
pub struct Dying {
    ring: Faults,
    asked: bool,
    /// Whether registers, addresses and mappings are kept.
    pub with_memory: bool,
    /// Whether each death is printed as it happens.
    pub tells: bool,
    /// Deaths that are printed.
    pub told: usize,
    /// Processes that were there before the recording, and were not looked at yet.
    pub ahead: Ahead,
    new: VecDeque<(Pid, Instant)>,
    /// How many may still be looked at before [`Self::take_new`] is called again.
    room: usize,
}

impl Dying {
    /// None yet; `members` may be the first.
    ///
    /// # Errors
    /// An object without the ring.
    pub fn new(ebpf: &mut Ebpf, settings: &RecordSettings, members: &[u32]) -> Result<Self, Failure> {
        let (asked, with_memory) = (settings.probes.has(Probe::Crash), !settings.no_memory);
        let (ring, tells, new) = (Faults::new(ebpf)?, settings.tells_deaths, VecDeque::new());
        let ahead = Ahead::new(members);
        Ok(Self { ring, asked, with_memory, tells, told: 0, ahead, new, room: AT_ONCE })
    }

    /// Whether the probe was asked for.
    pub const fn is_asked(&self) -> bool {
        self.asked
    }

    /// Waits for a fault.
    ///
    /// # Errors
    /// The ring cannot be watched.
    pub async fn any(&self) -> io::Result<()> {
        self.ring.any().await
    }

    /// Takes some faults; none when there is none. Beside them, how many records made no sense.
    pub fn take(&mut self) -> (Vec<ToldFault>, u64) {
        self.ring.take()
    }

    /// A process came into view, or became another program; whether there is time to look at it now.
    pub fn note_new(&mut self, pid: Pid) -> bool {
        if self.new.len() >= WAITING {
            self.new.pop_front();
        }
        self.new.push_back((pid, Instant::now() + LOADED));
        let room = self.room.checked_sub(1);
        self.room = room.unwrap_or(0);
        room.is_some()
    }

    /// Processes that have loaded their libraries by now.
    pub fn take_new(&mut self) -> Vec<Pid> {
        let now = Instant::now();
        self.room = AT_ONCE;
        let due = self.new.iter().take(AT_ONCE).take_while(|(_, at)| *at <= now).count();
        self.new.drain(..due).map(|(pid, _)| pid).collect()
    }
}
