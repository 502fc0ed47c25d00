//! In: a process and a frequency. Out: how often the kernel's own `cpu-clock` sampled it, without any BPF
//! program: an emulated or busy guest skips ticks, which no sampler can see.

use std::{
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result};

const PAGE: usize = 4096;
const PAGES: usize = 64;
/// Offset of `data_head` in the first page.
const HEAD: usize = 1024;
const SAMPLE: u16 = 9;

/// A sampling event of one single-threaded process, with the ring its records go to.
pub struct Clock {
    ring: *mut u8,
    /// Keeps the event alive.
    _event: OwnedFd,
}

impl Clock {
    /// Samples from now on.
    ///
    /// # Errors
    /// When the kernel refuses the event or its ring.
    pub fn start(pid: u32, hertz: u64) -> Result<Self> {
        const SOFTWARE: u64 = 1;
        const SIZE: u64 = 64;
        const FREQUENCY: u64 = 1 << 10;
        // perf_event_attr as of its first version; a record is nothing but its header.
        let mut attributes = [SOFTWARE | SIZE << 32, 0, hertz, 0, 0, FREQUENCY, 0, 0];
        // SAFETY: the kernel reads as many bytes as the size in it says.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_mut_ptr(), pid, -1, -1, 0) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error()).context("opening cpu-clock");
        }
        // SAFETY: just opened, and owned by nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) };
        let (access, size) = (libc::PROT_READ | libc::PROT_WRITE, (1 + PAGES) * PAGE);
        // SAFETY: a new mapping, nothing replaced.
        let ring =
            unsafe { libc::mmap(ptr::null_mut(), size, access, libc::MAP_SHARED, event.as_raw_fd(), 0) };
        if ring == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error()).context("mapping the ring of cpu-clock");
        }
        Ok(Self { ring: ring.cast(), _event: event })
    }

    /// Samples so far.
    pub fn count(&self) -> u64 {
        // SAFETY: the first page is mapped and its head is aligned; the kernel writes it atomically.
        let head = unsafe { AtomicU64::from_ptr(self.ring.add(HEAD).cast()) }.load(Ordering::Acquire);
        let end = usize::try_from(head).unwrap_or(0).min(PAGES * PAGE);
        let (mut at, mut samples) = (0, 0);
        while at + 8 <= end {
            // SAFETY: a header lies within the mapped pages: type (4 bytes), misc, size (2 each).
            let [kind, size] =
                [0, 6].map(|field| unsafe { self.ring.add(PAGE + at + field).cast::<u16>().read() });
            samples += u64::from(kind == SAMPLE);
            at += usize::from(size).max(8);
        }
        samples
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // SAFETY: unmaps what `start` mapped; nothing points into it any more.
        unsafe { libc::munmap(self.ring.cast(), (1 + PAGES) * PAGE) };
    }
}
