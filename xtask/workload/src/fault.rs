//! In: how many MiB. Out: how often an access to a mapped file made the kernel read a page from the disk, by
//! the process's own count.

use std::{
    ffi::CString,
    io::{self, Write},
    os::fd::AsRawFd,
};

use crate::{parts::Witness, report::Report, steady, unit};

const PAGE: usize = 4096;

/// Writes a file of `mebibytes` in the directory for lasting temporary files, has the kernel forget it, and
/// touches each of its pages once, without read-ahead.
pub fn disk_faults(mebibytes: u64) -> io::Result<Report> {
    let mut file = nameless()?;
    let mebibytes = unit::scaled(mebibytes);
    let length = (mebibytes as usize) << 20;
    for _ in 0..mebibytes {
        file.write_all(&[7; 1 << 20])?;
    }
    file.sync_all()?;
    // SAFETY: the descriptor is open; the call only gives advice.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    let before = usage();
    // SAFETY: a fresh read-only mapping of a file that stays open and as long as this.
    let map = unsafe {
        libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
    };
    if map == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is ours and as long as said; the call only gives advice.
    unsafe { libc::madvise(map, length, libc::MADV_RANDOM) };
    let (mut sum, mut witness) = (0_u64, Witness::new()?);
    for page in 0..length / PAGE {
        // A disk that answers while it is asked stops this CPU, and no clock of the thread's: that is no sleep.
        witness.watch_if(0, || {
            let switches = usage().ru_nvcsw;
            // SAFETY: inside the mapping.
            sum += u64::from(unsafe { map.cast::<u8>().add(page * PAGE).read_volatile() });
            usage().ru_nvcsw != switches
        });
    }
    // SAFETY: the mapping is ours, nothing refers to it any more.
    unsafe { libc::munmap(map, length) };
    let after = usage();
    let faults = (after.ru_majflt - before.ru_majflt) as u64;
    // A page that is there by the time it is waited for makes nobody leave the CPU.
    let waits = (after.ru_nvcsw - before.ru_nvcsw) as u64;
    let switch_ns = steady::switch_ns()?;
    Ok(witness
        .report()
        .with("switch_ns", switch_ns)
        .with("major_faults", faults)
        .with("waits", waits)
        .with("sum", sum))
}

/// A file without a name: gone with its descriptor.
fn nameless() -> io::Result<std::fs::File> {
    use std::os::fd::FromRawFd;
    let directory = CString::new("/var/tmp").map_err(io::Error::other)?;
    // SAFETY: the path is a C string; the flags ask for a file of our own.
    let fd =
        unsafe { libc::open(directory.as_ptr(), libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC, 0o600) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, owned by nobody else.
    Ok(unsafe { std::fs::File::from_raw_fd(fd) })
}

/// What the kernel counted of this process.
fn usage() -> libc::rusage {
    // SAFETY: all zero is a value of this struct, which the kernel fills.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one rusage.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    usage
}
