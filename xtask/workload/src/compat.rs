//! In: how many calls and how long each should last. Out: calls of the i386 table, made by `int 0x80` from this 64-bit
//! program, between calls of its own table; both timed by the caller's own clock.

use std::io;

use crate::{
    report::Report,
    system::{self, now},
    timed::Answerer,
};

/// In the i386 table.
const EXIT: usize = 1;
const READ: usize = 3;
const GETPPID: usize = 64;
const NANOSLEEP: usize = 162;

/// What the kernel reads and writes lies here, below 4 GiB: the i386 table's pointers have 32 bits.
#[repr(C)]
struct Low {
    time: [i32; 2],
    byte: u8,
}

/// One call by `int 0x80`; negative results are `-errno`.
///
/// # Safety
/// As `system::call`, by the i386 table.
#[inline(always)]
unsafe fn call(number: usize, [first, second, third]: [usize; 3]) -> isize {
    let result: i32;
    // SAFETY: the kernel's calling convention of the i386 table; rbx is the compiler's, so it is put back. What the
    // call itself does with its arguments is the caller's promise.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}", "int 0x80", "xchg rbx, {first}",
            first = inout(reg) first => _,
            inlateout("eax") number as i32 => result,
            in("rcx") second, in("rdx") third,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    result as isize
}

/// Whether this kernel answers `int 0x80`: where it does not, that kills.
fn is_answered() -> io::Result<bool> {
    let pid = system::fork(|| {
        // SAFETY: ends the child.
        unsafe { call(EXIT, [7, 0, 0]) };
    })?;
    let mut status = 0;
    // SAFETY: the kernel writes one status.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    Ok(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7)
}

fn low() -> io::Result<&'static mut Low> {
    let (rights, how) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
    // SAFETY: a new mapping, zeroed and larger than the record, which nobody else has.
    unsafe {
        let place = libc::mmap(std::ptr::null_mut(), size_of::<Low>(), rights, how, -1, 0);
        if place == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(&mut *place.cast()) }
    }
}

/// N times in turns: a nap of MS and a read answered after MS by the i386 table, a read answered after MS by the own one;
/// and as many `getppid` of both as there is no time to measure.
pub fn calls(count: u64, ms: u64) -> io::Result<Report> {
    if !is_answered()? {
        return Ok(Report::new().with("answered", 0));
    }
    let low = low()?;
    low.time = [(ms / 1000) as i32, (ms % 1000 * 1_000_000) as i32];
    let [answers, answering] = system::pipe(0)?;
    let answerer = Answerer::start(ms, || {
        system::write(answering, b"!");
    })?;
    let (mut naps_ns, mut reads_ns, mut own_ns) = (0, 0, 0);
    for _ in 0..count {
        naps_ns += timed(|| nap(low));
        answerer.ask();
        reads_ns += timed(|| read_by_table_of_i386(answers, low));
        answerer.ask();
        own_ns += timed(|| system::read(answers, &mut [0]));
        system::getppid();
        // SAFETY: takes no arguments.
        unsafe { call(GETPPID, [0; 3]) };
    }
    answerer.end();
    Ok(Report::new()
        .with("answered", 1)
        .with("naps_ns", naps_ns)
        .with("reads_ns", reads_ns)
        .with("own_ns", own_ns))
}

fn timed(work: impl FnOnce() -> isize) -> u64 {
    let begin = now();
    work();
    now() - begin
}

#[inline(never)]
fn nap(low: &Low) -> isize {
    // SAFETY: the kernel reads one time of 32-bit fields.
    unsafe { call(NANOSLEEP, [&raw const low.time as usize, 0, 0]) }
}

#[inline(never)]
fn read_by_table_of_i386(fd: i32, low: &mut Low) -> isize {
    // SAFETY: the kernel writes one byte.
    unsafe { call(READ, [fd as usize, &raw mut low.byte as usize, 1]) }
}

/// Never returns: blocks in a read of the i386 table on a pipe nobody writes to.
pub fn hang() -> io::Result<Report> {
    let (low, ends) = (low()?, system::pipe(0)?);
    crate::report::line("ready")?;
    read_by_table_of_i386(ends[0], low);
    Ok(Report::new())
}
