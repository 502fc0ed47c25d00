//! Reads that compute in the kernel for as long as they are asked to.
//!
//! In: how long one lasts. Out: such a read, sized on this machine.

use std::{fs::File, hint::black_box, io, os::fd::AsRawFd};

use crate::{
    system,
    unit::{self, Unit},
};

/// A read that computes in the kernel, and lasts: nothing but the kernel's own work, and waiting for the CPU.
pub struct LongRead {
    source: File,
    block: Vec<u8>,
    unit: Unit,
}

impl LongRead {
    /// Sizes it to last `ms` alone.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn lasting(ms: u64) -> io::Result<Self> {
        let (source, mut block) = (File::open("/dev/urandom")?, Vec::new());
        let unit = unit::lasting(ms * 1000, (4096, 1 << 30), |bytes| {
            block.resize(bytes as usize, 1);
            Ok(unit::spent(|| take(&source, &mut block)))
        })?;
        Ok(Self { source, block, unit })
    }

    /// How long one takes alone, ns.
    pub fn ns(&self) -> u64 {
        self.unit.ns
    }

    /// The descriptor it reads.
    pub fn descriptor(&self) -> u64 {
        self.source.as_raw_fd() as u64
    }

    /// Makes it.
    #[inline(always)]
    pub fn make(&mut self) {
        take(&self.source, &mut self.block);
    }

    /// Makes some by `once`: `count` and more, until `count` times `ms` were spent in them, so that where one is short there
    /// are more of them.
    ///
    /// # Errors
    /// What `once` says.
    pub fn make_some(
        &mut self,
        (count, ms): (u64, u64),
        mut once: impl FnMut(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let calls = count.max((count * ms * 1_000_000).div_ceil(self.unit.ns.max(1)));
        (0..calls).try_for_each(|_| once(self))
    }
}

#[inline(always)]
fn take(source: &File, block: &mut [u8]) {
    black_box(system::read(source.as_raw_fd(), block));
}
