//! User stacks of threads that sleep: nothing ran there whose stack a program could take.
//!
//! In: where their user code is, as the task iterator found it. Out: addresses as the kernel's own walk along frame pointers
//! has them, leaf first. Other people's memory is read on a thread of its own, up to a deadline: a page of it may be one that
//! never comes (`userfaultfd`).

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use profiler_common::stack::FRAMES;

use crate::profile::Pid;

/// Threads whose stacks are read at most.
pub const THREADS: usize = 512;

/// Where a thread's user code is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserCode {
    /// Instruction pointer.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer.
    pub bp: u64,
}

/// The stacks of these threads; none for those that could not be read in time, and for those behind the first
/// [`THREADS`].
pub fn stacks(threads: &[(Pid, UserCode)], limit: Duration) -> Vec<Vec<u64>> {
    let mut stacks = vec![Vec::new(); threads.len()];
    let (sender, answers) = channel();
    let asked: Vec<_> = threads.iter().take(THREADS).copied().enumerate().collect();
    let mut left = asked.len();
    // It may never end: then it ends with this process.
    let reader = std::thread::Builder::new().name("stacks".to_owned()).spawn(move || {
        for (at, (pid, code)) in asked {
            let stack = walk(code, |address| read(pid, address));
            if sender.send((at, stack)).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + limit;
    while reader.is_ok() && left > 0 {
        let Ok((at, stack)) = answers.recv_timeout(end.saturating_duration_since(Instant::now())) else {
            break;
        };
        if let Some(slot) = stacks.get_mut(at) {
            *slot = stack;
        }
        left -= 1;
    }
    stacks
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

/// Two words of a process's memory.
fn read(pid: Pid, address: u64) -> Option<[u64; 2]> {
    let mut words = [0u64; 2];
    let length = size_of_val(&words);
    let here = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: length };
    let there = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: length };
    let pid = libc::pid_t::try_from(pid.0).ok()?;
    // SAFETY: both vectors have one entry; the local one is `words`, the kernel checks the other process's.
    let copied = unsafe { libc::process_vm_readv(pid, &raw const here, 1, &raw const there, 1, 0) };
    (usize::try_from(copied) == Ok(length)).then_some(words)
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
        assert_eq!(stacks(&threads, Duration::from_secs(20)), [vec![5, 77], vec![5]]);
        assert_eq!(stacks(&threads, Duration::ZERO).len(), 2);
    }
}
