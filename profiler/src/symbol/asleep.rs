//! Memory of threads that sleep. No kernel-side program runs in such a thread, so none can take its stack.
//!
//! In: the registers of their user code, as the task iterator found them. Out: addresses as the kernel's own
//! walk along frame pointers has them, leaf first; the top of the stack, to be unwound by tables; texts. Another
//! process's memory is read on a thread of its own, up to a deadline, because a page may never arrive
//! (`userfaultfd`).

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use profiler_common::stack::FRAMES;

use crate::profile::Pid;

/// Threads whose stacks are read at most.
pub const THREADS: usize = 512;
/// A part of a stack that is there or not.
const PAGE: u64 = 4096;

/// Where a thread's user code is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserCode {
    /// Instruction pointer; 0: unknown.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer.
    pub bp: u64,
}

/// What was read of a thread's stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Its frames along frame pointers, leaf first.
    pub addresses: Vec<u64>,
    /// Bytes from the stack pointer on, as far as they are in memory.
    pub bytes: Box<[u8]>,
}

/// The stacks of these threads, `bytes` of each at most; nothing of those that could not be read in time, and of those behind the first
/// [`THREADS`].
pub fn stacks(threads: &[(Pid, UserCode)], bytes: usize, limit: Duration) -> Vec<Read> {
    within(threads, limit, move |(pid, code)| {
        let addresses = walk(code, |address| words(pid, address));
        Read { addresses, bytes: top(pid, code, bytes) }
    })
}

/// What stands at addresses of processes, up to the first NUL, `bytes` at most; nothing of what could not be read in time, and
/// of what is behind the first [`THREADS`].
pub fn texts(places: &[(Pid, u64)], bytes: usize, limit: Duration) -> Vec<Vec<u8>> {
    let mut texts = memory(places, bytes, limit);
    for text in &mut texts {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        text.truncate(end);
    }
    texts
}

/// What stands at addresses of processes, up to the first page that is not there, `bytes` at most; nothing of what could not be
/// read in time, and of what is behind the first [`THREADS`].
pub fn memory(places: &[(Pid, u64)], bytes: usize, limit: Duration) -> Vec<Vec<u8>> {
    within(places, limit, move |(pid, address)| {
        let mut memory = vec![0; bytes];
        let length = read(pid, address, &mut memory);
        memory.truncate(length);
        memory
    })
}

/// Asks for each, on a thread that is left behind when time is over.
fn within<A: Copy + Send + 'static, R: Clone + Default + Send + 'static>(
    asked: &[A],
    limit: Duration,
    read: impl Fn(A) -> R + Send + 'static,
) -> Vec<R> {
    let mut found = vec![R::default(); asked.len()];
    let (sender, answers) = channel();
    let asked: Vec<_> = asked.iter().take(THREADS).copied().enumerate().collect();
    let mut left = asked.len();
    // It may never end: then it ends with this process.
    let reader = std::thread::Builder::new().name("memory".to_owned()).spawn(move || {
        for (at, one) in asked {
            if sender.send((at, read(one))).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + limit;
    while reader.is_ok() && left > 0 {
        let Ok((at, one)) = answers.recv_timeout(end.saturating_duration_since(Instant::now())) else {
            break;
        };
        if let Some(slot) = found.get_mut(at) {
            *slot = one;
        }
        left -= 1;
    }
    found
}

/// Follows frame pointers; each is above the one before, so that it ends. `read` gives two words: the next frame pointer and
/// the return address.
fn walk(code: UserCode, read: impl Fn(u64) -> Option<[u64; 2]>) -> Vec<u64> {
    let (mut stack, mut frame, mut least) = (Vec::new(), code.bp, code.sp);
    if code.ip == 0 {
        return stack;
    }
    stack.push(code.ip);
    while stack.len() < FRAMES && frame >= least && frame % 8 == 0 && frame != 0 {
        let Some([next, returns_to]) = read(frame) else { break };
        if returns_to == 0 {
            break;
        }
        stack.push(returns_to);
        (least, frame) = (frame.saturating_add(16), next);
    }
    stack
}

/// The top of a thread's stack.
fn top(pid: Pid, code: UserCode, bytes: usize) -> Box<[u8]> {
    if code.ip == 0 {
        return Box::default();
    }
    let mut stack = vec![0; bytes];
    let length = read(pid, code.sp, &mut stack);
    // Words only, as the kernel side copies them.
    stack.truncate(length & !7);
    stack.into()
}

/// Two words of a process's memory.
fn words(pid: Pid, address: u64) -> Option<[u64; 2]> {
    let mut bytes = [0; 16];
    (read(pid, address, &mut bytes) == bytes.len()).then(|| {
        let [first, second] = [0, 8].map(|at| bytes[at..at + 8].try_into().unwrap_or_default());
        [u64::from_ne_bytes(first), u64::from_ne_bytes(second)]
    })
}

/// Reads a process's memory up to the first page that is not there; how many bytes that were.
fn read(pid: Pid, address: u64, into: &mut [u8]) -> usize {
    let Ok(pid) = libc::pid_t::try_from(pid.0) else { return 0 };
    let here = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let there: Vec<libc::iovec> = pages(address, into.len() as u64)
        .map(|(at, length)| libc::iovec { iov_base: at as *mut libc::c_void, iov_len: length as usize })
        .collect();
    // SAFETY: the local vector is `into`; as many remote ones as said; the kernel checks the other process's memory.
    let copied = unsafe {
        libc::process_vm_readv(pid, &raw const here, 1, there.as_ptr(), there.len() as libc::c_ulong, 0)
    };
    usize::try_from(copied).unwrap_or(0)
}

/// The pieces of a range that lie in one page each: a piece is read as a whole or not at all.
fn pages(address: u64, length: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = address.saturating_add(length);
    let mut at = address;
    std::iter::from_fn(move || {
        let next = (at | (PAGE - 1)).saturating_add(1).min(end);
        let piece = (at < next).then_some((at, next.saturating_sub(at)));
        at = next;
        piece
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory as words at multiples of eight.
    fn words(memory: &'static [(u64, [u64; 2])]) -> impl Fn(u64) -> Option<[u64; 2]> {
        move |address| memory.iter().find(|(at, _)| *at == address).map(|(_, words)| *words)
    }

    #[test]
    fn frames_are_followed_upwards_only() {
        let code = UserCode { ip: 1, sp: 64, bp: 80 };
        assert_eq!(walk(code, words(&[(80, [112, 2]), (112, [0, 3])])), [1, 2, 3]);
        assert_eq!(walk(code, words(&[(80, [80, 2])])), [1, 2], "a frame that is its own caller's");
        assert_eq!(walk(code, words(&[(80, [88, 2]), (88, [96, 3])])), [1, 2], "frames do not overlap");
        assert_eq!(walk(UserCode { bp: 48, ..code }, words(&[(48, [80, 2])])), [1], "below the stack");
        assert_eq!(walk(UserCode { bp: 81, ..code }, words(&[(81, [97, 2])])), [1], "not aligned");
        assert_eq!(walk(UserCode { ip: 0, ..code }, words(&[])), [0; 0]);
        let endless = |address: u64| Some([address + 16, 9]);
        assert_eq!(walk(code, endless).len(), FRAMES);
    }

    #[test]
    fn own_memory_is_read_and_none_of_a_process_that_is_not_there() {
        let chain = Box::leak(Box::new([0u64, 77, 0]));
        let at = std::ptr::from_ref(chain) as u64;
        let code = UserCode { ip: 5, sp: at, bp: at };
        let threads = [(Pid(std::process::id()), code), (Pid(u32::MAX >> 1), code)];
        let read = stacks(&threads, 16, Duration::from_secs(20));
        assert_eq!([&read[0].addresses, &read[1].addresses], [&vec![5, 77], &vec![5]]);
        assert_eq!(*read[0].bytes, [0u64.to_ne_bytes(), 77u64.to_ne_bytes()].concat());
        assert!(read[1].bytes.is_empty());
        assert_eq!(stacks(&threads, 16, Duration::ZERO).len(), 2);
        let text = b"/srv/x\0behind".as_ptr() as u64;
        let places = [(Pid(std::process::id()), text), (Pid(u32::MAX >> 1), text)];
        assert_eq!(texts(&places, 13, Duration::from_secs(20)), [b"/srv/x".to_vec(), Vec::new()]);
    }

    #[test]
    fn a_stack_is_read_up_to_the_first_page_that_is_not_there() {
        let length = 2 * PAGE as usize;
        // SAFETY: a new mapping, whose second page goes again.
        let first = unsafe {
            let (access, kind) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let first = libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0);
            assert_ne!(first, libc::MAP_FAILED);
            libc::mprotect(first.byte_add(PAGE as usize), PAGE as usize, libc::PROT_NONE);
            first as u64
        };
        let code = UserCode { ip: 5, sp: first + 96, bp: 0 };
        assert_eq!(top(Pid(std::process::id()), code, length).len() as u64, PAGE - 96);
        let code = UserCode { sp: first + PAGE, ..code };
        assert!(top(Pid(std::process::id()), code, length).is_empty());
        // SAFETY: the mapping from above, which nobody uses any more.
        unsafe { libc::munmap(first as *mut libc::c_void, length) };
    }

    #[test]
    fn a_range_is_read_page_by_page() {
        let all = |address, length| pages(address, length).collect::<Vec<_>>();
        assert_eq!(all(4000, 200), [(4000, 96), (4096, 104)]);
        assert_eq!(all(4096, 4096), [(4096, 4096)]);
        assert_eq!(all(u64::MAX - 4, 100), [(u64::MAX - 4, 4)]);
        assert_eq!(all(7, 0), []);
    }
}
