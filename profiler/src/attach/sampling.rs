//! CPU samples of the CPUs that are online. The perf event of a CPU that goes offline stays dead when the CPU
//! comes back; so a new event is opened then.
//!
//! Hooks: one `cpu-clock` event on each CPU that is online. Out: the program runs at each event; the time,
//! ns, for which an online CPU was not sampled.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use aya::programs::ProgramFd;
use aya_obj::generated::perf_type_id;

use super::clock::now_ns;
use crate::sys::{self, Event};

const ONLINE: &str = "/sys/devices/system/cpu/online";
/// Longest list of CPUs that is read, bytes.
const LIST: usize = 4096;
/// Highest CPU of a list that makes sense.
const CPUS: u32 = 1 << 16;

/// The events of a session.
pub struct Sampling {
    program: ProgramFd,
    frequency_hz: u64,
    /// CPUs to sample; `None` = all.
    wanted: Option<Vec<u32>>,
    online: File,
    list: Vec<u8>,
    cpus: BTreeMap<u32, Sampled>,
    /// The reason of the last refusal that was told.
    told: Option<i32>,
}

/// One CPU.
struct Sampled {
    /// None while the CPU is offline, or if the kernel refuses the event.
    event: Option<File>,
    /// The event's clock when it was last read: the clock of a dead event stands still.
    clock: u64,
    /// Until then nothing is missing, monotonic ns.
    well_ns: u64,
}

impl Sampling {
    /// Opens the events of all CPUs that are wanted and online.
    ///
    /// # Errors
    /// The kernel refuses one, and which.
    pub fn start(program: ProgramFd, frequency_hz: u64, wanted: Option<Vec<u32>>) -> anyhow::Result<Self> {
        let online = File::open(ONLINE).context(ONLINE)?;
        let (list, cpus, told) = (Vec::new(), BTreeMap::new(), None);
        let mut sampling = Self { program, frequency_hz, wanted, online, list, cpus, told };
        for cpu in sampling.online_now().context(ONLINE)?.unwrap_or_default() {
            let event = sampling.open(cpu).with_context(|| format!("sampling CPU {cpu}"))?;
            sampling.cpus.insert(cpu, Sampled { event: Some(event), clock: 0, well_ns: now_ns() });
        }
        Ok(sampling)
    }

    /// Opens events for CPUs that have come, closes those of CPUs that are gone; with `thorough` also looks whether
    /// each event is alive, for a CPU may have been away and back meanwhile. Gives the time that was not sampled, ns.
    pub fn follow(&mut self, thorough: bool) -> u64 {
        let online = match self.online_now() {
            Ok(Some(online)) => online,
            Ok(None) if !thorough && self.cpus.values().all(|cpu| cpu.event.is_some()) => return 0,
            // As it was, or not to be read: the events themselves tell.
            Ok(None) | Err(_) => self.listed(),
        };
        let now = now_ns();
        let mut unsampled_ns = 0;
        for cpu in self.cpus.iter_mut().filter(|(cpu, _)| !online.contains(cpu)).map(|(_, cpu)| cpu) {
            (cpu.event, cpu.clock, cpu.well_ns) = (None, 0, now);
        }
        for cpu in online {
            let known = self.cpus.entry(cpu).or_insert(Sampled { event: None, clock: 0, well_ns: now });
            let Some(missing_ns) = known.missing_ns(now, thorough) else { continue };
            unsampled_ns += missing_ns;
            known.well_ns = now;
            self.open_anew(cpu);
        }
        unsampled_ns
    }

    fn open_anew(&mut self, cpu: u32) {
        let opened = self.open(cpu);
        if let Err(error) = &opened
            && self.told != error.raw_os_error()
        {
            self.told = error.raw_os_error();
            tracing::warn!("CPU {cpu} is not sampled: {error}");
        }
        if let Some(known) = self.cpus.get_mut(&cpu) {
            (known.event, known.clock) = (opened.ok(), 0);
        }
    }

    fn open(&self, cpu: u32) -> io::Result<File> {
        let kind = perf_type_id::PERF_TYPE_SOFTWARE as u32;
        let event: OwnedFd =
            sys::open_event(&Event { kind, frequency: Some(self.frequency_hz), ..Event::default() }, cpu)?;
        sys::run_at(event.as_fd(), self.program.as_fd())?;
        Ok(event.into())
    }

    /// The wanted CPUs that are online; `None` if the list has not changed.
    fn online_now(&mut self) -> io::Result<Option<Vec<u32>>> {
        let mut list = vec![0; LIST];
        let length = self.online.read_at(&mut list, 0)?;
        list.truncate(length);
        if list == self.list {
            return Ok(None);
        }
        self.list = list;
        Ok(Some(self.listed()))
    }

    fn listed(&self) -> Vec<u32> {
        let wanted = |cpu: &u32| self.wanted.as_ref().is_none_or(|wanted| wanted.contains(cpu));
        parse(&self.list).into_iter().filter(wanted).collect()
    }
}

/// A look at an event's clock that takes longer was interrupted.
const LOOK_NS: u64 = 2_000_000;
/// Looks until one is not.
const LOOKS: u32 = 5;
/// Of the time between two looks, an event that lives lacks less than one part of so many.
const LACKING: u64 = 20;

impl Sampled {
    /// How long the event did not run, ns; none if it lives. Only a look at its clock tells that: the clock is the CPU's,
    /// which never stands still, and stops for good when the CPU goes away.
    fn missing_ns(&mut self, now: u64, thorough: bool) -> Option<u64> {
        let Some(event) = &mut self.event else { return Some(now.saturating_sub(self.well_ns)) };
        if !thorough {
            return None;
        }
        let (clock, looked_ns) = look(event);
        let elapsed_ns = looked_ns.saturating_sub(self.well_ns);
        let missing_ns = elapsed_ns.saturating_sub(clock.saturating_sub(self.clock));
        if missing_ns > (elapsed_ns / LACKING).max(10 * LOOK_NS) {
            return Some(missing_ns);
        }
        (self.clock, self.well_ns) = (clock, looked_ns);
        None
    }
}

/// The event's clock, and the time of the look. An event that cannot be read stands still.
fn look(event: &mut File) -> (u64, u64) {
    let mut looked = (0, 0);
    for _ in 0..LOOKS {
        let (begin, mut clock) = (now_ns(), [0; 8]);
        looked = (event.read_exact(&mut clock).map_or(0, |()| u64::from_ne_bytes(clock)), begin);
        if now_ns().saturating_sub(begin) < LOOK_NS {
            break;
        }
    }
    looked
}

/// CPUs in a list like `0-3,8`.
fn parse(list: &[u8]) -> Vec<u32> {
    let text = String::from_utf8_lossy(list);
    let range = |range: &str| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (low, high) = (low.parse().ok()?, high.parse::<u32>().ok()?);
        Some(low..=high.min(CPUS))
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_is_bounded_and_nonsense_is_empty() {
        assert_eq!(parse(b"0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse(b"x,-,7-3,\n"), Vec::<u32>::new());
        assert_eq!(parse(b"0-4294967295").len(), CPUS as usize + 1);
    }
}
