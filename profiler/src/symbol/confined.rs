//! What a child that reads foreign files may do.
//!
//! In: how much memory; how many files. Out: limits of this process, which is such a child.

use std::io;
use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes from the child what reading an ELF file does not need: memory, bytes, and files.
///
/// Only one more file can be opened, the ELF file itself: links in it to separate debug files
/// are chosen by who wrote it, and opening the wrong device as root can stop a machine.
pub fn confine(memory: u64) -> io::Result<()> {
    openable(1)?;
    lower(Resource::Data, memory)
}

/// From now on so many more files can be opened at once. More than one is for code of ours that chooses what it opens.
pub fn openable(more: u64) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    // To see which descriptor is free, one must be free.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let probe = std::fs::File::open("/dev/null")?;
    let free = probe.as_raw_fd() as u64;
    drop(probe);
    lower(Resource::Nofile, free + more)
}

fn lower(resource: Resource, value: u64) -> io::Result<()> {
    let hard = getrlimit(resource).maximum;
    let value = hard.map_or(value, |hard| hard.min(value));
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: hard })?)
}

/// Bytes of private writable memory this process has (what `RLIMIT_DATA` counts).
pub fn own_memory() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes << 10)
        .ok_or_else(|| io::Error::other("no VmData in /proc/self/status"))
}
