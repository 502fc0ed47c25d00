//! What is known of one process's address space.
//!
//! In: its maps, re-read when an address is not covered (dlopen, JIT) but not too often.
//! Out: the executable region that covers an address.

use std::io;
use std::time::{Duration, Instant};

use super::maps::Mapping;
use super::open;
use crate::profile::stack::{ModuleId, Reason};

/// The longest pause between two readings that found nothing new.
const PAUSE: Duration = Duration::from_secs(1);

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A file.
    Module(ModuleId),
    /// No file.
    Anonymous,
    /// The vDSO.
    Vdso,
}

/// An executable range of addresses.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    start: u64,
    end: u64,
    offset: u64,
    /// What it is.
    pub backing: Backing,
}

impl Region {
    /// A mapping and what is behind it.
    pub fn new(mapping: &Mapping, backing: Backing) -> Self {
        Self { start: mapping.start, end: mapping.end, offset: mapping.offset, backing }
    }

    /// Its first address.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The place of an address in what is behind the region: an offset, or itself.
    pub fn place(&self, address: u64) -> u64 {
        match self.backing {
            Backing::Module(_) => (address - self.start).wrapping_add(self.offset),
            Backing::Vdso => address - self.start,
            Backing::Anonymous => address,
        }
    }
}

/// The executable regions of a process, by address.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    regions: Box<[Region]>,
    /// Why `regions` is empty, when its maps could not be read.
    missing: Option<Reason>,
    read: Instant,
    fruitless: u32,
}

impl AddressSpace {
    /// From a first reading of the maps.
    pub fn new(regions: io::Result<Vec<Region>>) -> Self {
        let missing = regions.as_ref().err().map(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Reason::Unreadable,
            io::ErrorKind::TimedOut => Reason::NoAnswer,
            io::ErrorKind::NotFound => Reason::ProcessGone,
            _ if error.raw_os_error() == Some(libc::ESRCH) => Reason::ProcessGone,
            _ if open::is_full(error) => Reason::NoFileLeft,
            _ => Reason::Unreadable,
        });
        // A process that has died (and is not reaped yet) has maps, but they are empty.
        let regions = regions.unwrap_or_default().into_boxed_slice();
        let missing = missing.or(regions.is_empty().then_some(Reason::ProcessGone));
        Self { regions, missing, read: Instant::now(), fruitless: 0 }
    }

    /// The region that covers an address.
    pub fn find(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.start <= address);
        self.regions.get(after.checked_sub(1)?).filter(|region| address < region.end)
    }

    /// Whether the maps may be read again for an address that is not covered: the pause doubles
    /// with every reading that found nothing (broken frame pointers yield addresses without end).
    pub fn may_read_again(&self) -> bool {
        let pause = Duration::from_millis(10).saturating_mul(1 << self.fruitless.min(10)).min(PAUSE);
        self.fruitless == 0 || self.read.elapsed() >= pause
    }

    /// Adds a later reading, made for `address`. What it replaces is gone; what is unmapped by
    /// now stays known, since stacks arrive late.
    pub fn merge(&mut self, regions: io::Result<Vec<Region>>, address: u64) {
        self.refresh(regions);
        self.fruitless = if self.find(address).is_some() { 0 } else { self.fruitless + 1 };
    }

    /// The same for no address in particular.
    pub fn refresh(&mut self, regions: io::Result<Vec<Region>>) {
        self.read = Instant::now();
        if let Ok(mut new) = regions
            && !new.is_empty()
        {
            let kept = self.regions.iter().filter(|old| !overlaps(&new, old)).copied();
            let kept: Vec<_> = kept.collect();
            new.extend(kept);
            new.sort_by_key(|region| region.start);
            self.regions = new.into_boxed_slice();
            self.missing = None;
        }
    }

    /// The files that are mapped.
    pub fn modules(&self) -> impl Iterator<Item = ModuleId> + '_ {
        self.regions.iter().filter_map(|region| match region.backing {
            Backing::Module(module) => Some(module),
            Backing::Anonymous | Backing::Vdso => None,
        })
    }

    /// How many regions there are.
    pub fn count(&self) -> usize {
        self.regions.len()
    }

    /// The maps have not been read with success yet.
    pub fn is_missing(&self) -> bool {
        self.missing.is_some()
    }

    /// Why an address that no region covers has no name.
    pub fn reason(&self) -> Reason {
        self.missing.unwrap_or(Reason::Unmapped)
    }
}

/// Whether `old` overlaps one of `regions`, which are sorted and disjoint.
fn overlaps(regions: &[Region], old: &Region) -> bool {
    let at = regions.partition_point(|region| region.end <= old.start);
    regions.get(at).is_some_and(|region| region.start < old.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, end: u64) -> Region {
        Region { start, end, offset: 0, backing: Backing::Anonymous }
    }

    #[test]
    fn keeps_what_was_unmapped_and_replaces_what_overlaps() {
        let mut space = AddressSpace::new(Ok(vec![region(0x1000, 0x2000), region(0x3000, 0x5000)]));
        space.merge(Ok(vec![region(0x4000, 0x6000)]), 0x5000);
        let starts: Vec<_> = space.regions.iter().map(|region| region.start).collect();
        assert_eq!(starts, [0x1000, 0x4000]);
        assert!(space.find(0x1fff).is_some() && space.find(0x2000).is_none() && space.find(0).is_none());
    }

    #[test]
    fn fruitless_readings_pause() {
        let mut space = AddressSpace::new(Ok(vec![region(0x1000, 0x2000)]));
        assert!(space.may_read_again());
        for _ in 0..7 {
            space.merge(Ok(vec![region(0x1000, 0x2000)]), 0x9000);
        }
        assert!(!space.may_read_again());
        space.merge(Ok(vec![region(0x9000, 0xa000)]), 0x9000);
        assert!(space.may_read_again());
    }

    #[test]
    fn says_why_there_is_nothing() {
        assert_eq!(AddressSpace::new(Ok(Vec::new())).reason(), Reason::ProcessGone);
        assert_eq!(
            AddressSpace::new(Err(io::ErrorKind::PermissionDenied.into())).reason(),
            Reason::Unreadable
        );
        assert_eq!(AddressSpace::new(Ok(vec![region(1, 2)])).reason(), Reason::Unmapped);
    }
}
