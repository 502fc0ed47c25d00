//! In: how often and how long. Out: kernel locks held for a known time. The holder copies to or from a page
//! that userfaultfd reports missing, and keeps the lock until the page is filled in. The waiter starts once
//! the holder is known to be in the page fault. Needs CAP_SYS_PTRACE or the sysctl
//! `vm.unprivileged_userfaultfd=1`.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::FileExt as _},
    ptr,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crate::{
    report::{Report, Timed},
    system::{self, now},
};

const PAGE: usize = 4096;
/// `_UFFDIO_API`, `_UFFDIO_REGISTER` and `_UFFDIO_ZEROPAGE` of linux/userfaultfd.h, x86-64.
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
const UFFD_API: u64 = 0xaa;
const REGISTER_MODE_MISSING: u64 = 1;
/// How often a thread's call is looked at, every millisecond.
const POLLS: u32 = 10_000;
/// Bytes of one message read from the descriptor.
const MESSAGE: usize = 32;

/// A page whose first touch blocks until `fill`.
struct StallingPage {
    uffd: i32,
    address: usize,
}

impl StallingPage {
    fn new() -> io::Result<Self> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, nothing replaced.
        let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, access, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: takes flags only.
        let uffd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) } as i32;
        if uffd < 0 {
            return Err(named("userfaultfd", &io::Error::last_os_error()));
        }
        let stalling = Self { uffd, address: page as usize };
        stalling.control(UFFDIO_API, &mut [UFFD_API, 0, 0, 0])?;
        stalling.control(UFFDIO_REGISTER, &mut [page as u64, PAGE as u64, REGISTER_MODE_MISSING, 0])?;
        Ok(stalling)
    }

    fn control(&self, request: u64, argument: &mut [u64; 4]) -> io::Result<()> {
        // SAFETY: every request used here reads and writes at most four words.
        match unsafe { libc::ioctl(self.uffd, request, argument.as_mut_ptr()) } {
            0 => Ok(()),
            _ => Err(named("userfaultfd ioctl", &io::Error::last_os_error())),
        }
    }

    /// Blocks until somebody stands in a fault on the page.
    fn await_fault(&self) -> io::Result<()> {
        let mut message = [0; MESSAGE];
        let vector = libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: MESSAGE };
        // Not by read: tests count those, and on a busy machine this one is long, too.
        // SAFETY: one vector over the message, both alive.
        match unsafe {
            system::call(libc::SYS_readv, [self.uffd as usize, &raw const vector as usize, 1, 0, 0, 0])
        } {
            got if got == MESSAGE as isize => Ok(()),
            got => Err(named("userfaultfd read", &io::Error::from_raw_os_error(-got as i32))),
        }
    }

    fn fill(&self) -> io::Result<()> {
        self.control(UFFDIO_ZEROPAGE, &mut [self.address as u64, PAGE as u64, 0, 0])
    }

    /// Makes the page missing again.
    fn empty(&self) {
        // SAFETY: our own private page, which nobody refers to between rounds.
        unsafe { libc::madvise(self.address as *mut libc::c_void, PAGE, libc::MADV_DONTNEED) };
    }
}

fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// The writer holds the pipe's mutex over the fault, the reader waits for it.
pub fn pipe(count: u64, ms: u64) -> io::Result<Report> {
    let [reading, writing] = system::pipe(0)?;
    let page = StallingPage::new()?;
    let address = page.address;
    let hold = move || write_stalled(writing, address);
    stall(&page, (count, ms), hold, (libc::SYS_read, move || read_behind_stall(reading)))
}

/// One `read` of a file holds its position's lock over the fault, another waits for it.
pub fn file_position(count: u64, ms: u64) -> io::Result<Report> {
    let zeros = shared_memory_file(2 * (count + 1))?;
    let file = zeros.as_raw_fd();
    let page = StallingPage::new()?;
    let address = page.address;
    let hold = move || read_stalled(file, address);
    stall(&page, (count, ms), hold, (libc::SYS_read, move || read_behind_stall(file)))
}

/// A write to a file holds its inode's rwsem over the fault, another waits for it.
pub fn inode(count: u64, ms: u64) -> io::Result<Report> {
    let zeros = shared_memory_file(1)?;
    let file = zeros.as_raw_fd();
    let page = StallingPage::new()?;
    let address = page.address;
    let hold = move || write_file_stalled(file, address);
    stall(&page, (count, ms), hold, (libc::SYS_pwrite64, move || write_behind_stall(file)))
}

/// First a pipe's mutex, then an inode's rwsem.
pub fn pipe_and_inode(count: u64, ms: u64) -> io::Result<Report> {
    Ok(pipe(count, ms)?.with_part("inode", &inode(count, ms)?))
}

/// A tmpfs file of zeros. It is opened a second time by its name, because only a file that went through
/// `open` has a position that the kernel locks.
fn shared_memory_file(bytes: u64) -> io::Result<File> {
    // SAFETY: the name is a C string.
    let unnamed = unsafe { libc::memfd_create(c"stalled".as_ptr(), 0) };
    if unnamed < 0 {
        return Err(named("memfd", &io::Error::last_os_error()));
    }
    let file = OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{unnamed}"))?;
    system::close(unnamed);
    file.set_len(bytes)?;
    Ok(file)
}

#[inline(never)]
fn write_stalled(fd: i32, address: usize) -> u64 {
    let begin = now();
    // SAFETY: the page is mapped; the kernel reads one byte of it.
    unsafe { system::call(libc::SYS_write, [fd as usize, address, 1, 0, 0, 0]) };
    now() - begin
}

/// At a position of its own: the file's is not locked.
#[inline(never)]
fn write_file_stalled(fd: i32, address: usize) -> u64 {
    let begin = now();
    // SAFETY: the page is mapped; the kernel reads one byte of it.
    unsafe { system::call(libc::SYS_pwrite64, [fd as usize, address, 1, 0, 0, 0]) };
    now() - begin
}

#[inline(never)]
fn read_stalled(fd: i32, address: usize) -> u64 {
    let begin = now();
    // SAFETY: the page is mapped; the kernel writes one byte of it.
    unsafe { system::call(libc::SYS_read, [fd as usize, address, 1, 0, 0, 0]) };
    now() - begin
}

#[inline(never)]
fn read_behind_stall(fd: i32) -> u64 {
    let mut byte = [0];
    let begin = now();
    system::read(fd, &mut byte);
    now() - begin
}

#[inline(never)]
fn write_behind_stall(fd: i32) -> u64 {
    let byte = [0_u8];
    let begin = now();
    // SAFETY: the kernel reads one byte, alive here.
    unsafe { system::call(libc::SYS_pwrite64, [fd as usize, byte.as_ptr() as usize, 1, 0, 0, 0]) };
    now() - begin
}

fn stall(
    page: &StallingPage,
    (count, ms): (u64, u64),
    hold: impl Fn() -> u64 + Send + 'static,
    (call, wait): (i64, impl Fn() -> u64 + Send + 'static),
) -> io::Result<Report> {
    let gone = |_| io::Error::other("a thread died");
    let (holder, held) = worker(hold);
    let (waiter, waited) = worker(wait);
    let (_, waiting) = (held.recv().map_err(gone)?, waited.recv().map_err(gone)?);
    let (mut held_ns, mut waits) = (0, Vec::new());
    for _ in 0..count {
        page.empty();
        holder.send(()).map_err(|_| io::Error::other("a thread died"))?;
        page.await_fault()?;
        waiter.send(()).map_err(|_| io::Error::other("a thread died"))?;
        await_call(waiting, call)?;
        let seen = now();
        system::nanosleep(ms * 1_000_000);
        // From now on the holder goes on as soon as it has a CPU: until here the other one certainly waited.
        let least_ns = now() - seen;
        page.fill()?;
        held_ns += held.recv().map_err(gone)?;
        waits.push(Timed { ns: waited.recv().map_err(gone)?, least_ns });
    }
    Ok(Report::new().with("held_ns", held_ns).with_timed(&waits))
}

/// Until a thread is blocked in that call: on a busy machine it may get a CPU late.
fn await_call(tid: u64, call: i64) -> io::Result<()> {
    let (file, number) = (File::open(format!("/proc/self/task/{tid}/syscall"))?, format!("{call} "));
    for _ in 0..POLLS {
        // Not by read, as above.
        let mut text = [0; 64];
        let length = file.read_at(&mut text, 0)?;
        if text[..length].starts_with(number.as_bytes()) {
            return Ok(());
        }
        // Not by nanosleep: tests count those.
        // SAFETY: no descriptors, a time-out of a millisecond.
        unsafe { libc::poll(ptr::null_mut(), 0, 1) };
    }
    Err(io::Error::other("the waiter does not wait"))
}

/// A thread that tells its tid, then runs `work` once for every order and reports how long it took.
fn worker(work: impl Fn() -> u64 + Send + 'static) -> (Sender<()>, Receiver<u64>) {
    let (order, orders) = channel::<()>();
    let (result, results) = channel();
    thread::spawn(move || {
        // SAFETY: takes nothing and cannot fail.
        let _ = result.send(unsafe { libc::gettid() } as u64);
        while orders.recv().is_ok() {
            if result.send(work()).is_err() {
                return;
            }
        }
    });
    (order, results)
}
