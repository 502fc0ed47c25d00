//! In: a disk or a file on one, by the environment's `WORKLOAD_DISK`; how many requests. Out: what each took by the
//! caller's own clock. Each read and write goes past the page cache, so that it is one request of the disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom},
    os::fd::AsRawFd,
    os::unix::fs::OpenOptionsExt,
    thread,
};

use crate::{
    report::{Report, Timed},
    system::{self, timed},
};

const MILLISECOND: u64 = 1_000_000;
/// The disk that a guest of the lab has.
const OF_GUEST: &str = "/dev/nullb0";

/// A disk, and a buffer that it takes.
struct Disk {
    file: File,
    buffer: *mut libc::c_void,
    length: usize,
    places: u64,
    at: u64,
}

impl Disk {
    /// With pieces of so many KiB, the first of them at that place.
    fn open(kib: u64, at: u64) -> io::Result<Self> {
        let path = std::env::var_os("WORKLOAD_DISK").unwrap_or_else(|| OF_GUEST.into());
        let options = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(path);
        let mut file = options?;
        let length = kib as usize * 1024;
        let places = (file.seek(SeekFrom::End(0))? / length as u64).max(1);
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, nothing replaced; pages are aligned as any disk wants.
        let buffer = unsafe { libc::mmap(std::ptr::null_mut(), length, access, flags, -1, 0) };
        if buffer == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { file, buffer, length, places, at })
    }

    fn read(&mut self) -> io::Result<Timed> {
        let (fd, buffer, length, offset) = (self.file.as_raw_fd(), self.buffer, self.length, self.next());
        // SAFETY: the buffer is ours, and as long as said.
        whole(length, || unsafe { libc::pread(fd, buffer, length, offset) })
    }

    fn write(&mut self) -> io::Result<Timed> {
        let (fd, buffer, length, offset) = (self.file.as_raw_fd(), self.buffer, self.length, self.next());
        // SAFETY: as above.
        whole(length, || unsafe { libc::pwrite(fd, buffer, length, offset) })
    }

    fn sync(&self) -> io::Result<Timed> {
        let fd = self.file.as_raw_fd();
        // SAFETY: the descriptor is open.
        whole(0, || unsafe { libc::fdatasync(fd) } as isize)
    }

    /// Where the next piece is: the disk once through, then again.
    fn next(&mut self) -> i64 {
        self.at = (self.at + 1) % self.places;
        (self.at * self.length as u64) as i64
    }
}

/// A call that must do all of it, or fail.
fn whole(length: usize, call: impl FnOnce() -> isize) -> io::Result<Timed> {
    let mut done = 0;
    let timed = timed(|| done = call());
    match usize::try_from(done) {
        Ok(done) if done == length => Ok(timed),
        Ok(done) => Err(io::Error::other(format!("{done} of {length} bytes"))),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// So many reads, then writes, then syncs, one after the other.
pub fn requests(reads: u64, writes: u64, syncs: u64, kib: u64) -> io::Result<Report> {
    let mut disk = Disk::open(kib, 0)?;
    let read = part(reads, || disk.read())?;
    let written = part(writes, || disk.write())?;
    let synced = part(syncs, || disk.sync())?;
    Ok(Report::new()
        .with("bytes", (reads + writes) * kib * 1024)
        .with_part("reads", &read)
        .with_part("writes", &written)
        .with_part("syncs", &synced))
}

/// So many calls: by the caller's clock, and for how long of that it neither ran nor waited for a CPU, as the scheduler says.
fn part(count: u64, mut call: impl FnMut() -> io::Result<Timed>) -> io::Result<Report> {
    let (begin, busy) = (system::now(), busy_ns()?);
    let calls = (0..count).map(|_| call()).collect::<io::Result<Vec<_>>>()?;
    let all = system::now() - begin;
    let asleep = all.saturating_sub(busy_ns()? - busy);
    Ok(Report::new().with_timed(&calls).with("asleep_ns", asleep))
}

/// How long this thread has run, and waited for a CPU.
fn busy_ns() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().take(2).filter_map(|number| number.parse::<u64>().ok()).sum())
}

/// Threads that write for so long, each one piece after the other.
pub fn storm(threads: u64, kib: u64, ms: u64) -> io::Result<Report> {
    let end = system::now() + ms * MILLISECOND;
    let writers: Vec<_> = (0..threads).map(|at| thread::spawn(move || write_until(end, kib, at))).collect();
    let mut written = 0;
    for writer in writers {
        written += writer.join().map_err(|_| io::Error::other("a writer broke off"))??;
    }
    Ok(Report::new().with("writes", written).with("bytes", written * kib * 1024))
}

fn write_until(end: u64, kib: u64, at: u64) -> io::Result<u64> {
    let mut disk = Disk::open(kib, at * 16)?;
    let mut written = 0;
    while system::now() < end {
        disk.write()?;
        written += 1;
    }
    Ok(written)
}
