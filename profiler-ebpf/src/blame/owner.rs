//! Who owns the lock of user space that a thread is about to sleep for.
//!
//! In: a thread that leaves the CPU inside `futex`. Out: the owner in its record, by the number that the lock keeps. Nothing else is
//! done here: most of these waits are short.

use profiler_common::abi::{BEGAN_BEFORE, I386, X32};
use profiler_common::calls::waits_for_thread;
use profiler_common::processor::{ARGUMENT_WORDS, FOUR_ARGUMENTS, FUTEX};
use profiler_common::user_lock::{Asked, Told, WORDS, needs_word_before, owner, pack};
use profiler_state::thread::Thread;

use crate::blame::number;
use crate::global;
use crate::task::read::{read, read_user};
use crate::task::{Task, registers};

/// Notes the owner of the lock that `task`, which runs here, waits for.
#[inline(always)]
pub fn note(thread: &Thread, task: Task, preempted: bool) {
    if preempted || global::offcpu_rows() == 0 {
        return;
    }
    let nr = thread.nr.get() & !BEGAN_BEFORE;
    if !thread.in_call() || !waits_for_thread(nr) {
        thread.slice.owner.set(0);
        return;
    }
    thread.slice.owner.set(if !number::is_known() {
        pack(Told::Unread as u32, 0)
    } else if nr == FUTEX {
        of_futex(registers::of(task))
    } else {
        // Lists of futexes, and tables of calls whose programs have locks of other layouts.
        pack(if nr & (I386 | X32) != 0 { Told::Narrow } else { Told::NoOwner } as u32, 0)
    });
}

/// The address of the lock that a sleeping thread waits for; 0: it cannot be read.
#[inline(always)]
pub fn lock_of(task: Task) -> u64 {
    let (begin, _) = ARGUMENT_WORDS;
    read(registers::of(task) + begin + 8 * FOUR_ARGUMENTS[0] as u64).unwrap_or(0)
}

#[inline(never)]
fn of_futex(saved: u64) -> u32 {
    let (begin, words) = (ARGUMENT_WORDS.0, const { ARGUMENT_WORDS.1 });
    let Some(arguments) = read::<[u64; ARGUMENT_WORDS.1]>(saved + begin) else {
        return pack(Told::Unreadable as u32, 0);
    };
    let argument = |index: usize| arguments[FOUR_ARGUMENTS[index] % words];
    let address = argument(0);
    let asked = Asked {
        operation: argument(1) as u32,
        value: argument(2) as u32,
        timed: u32::from(argument(3) != 0),
    };
    let Some(lock) = read_user::<[u32; WORDS]>(address) else {
        return pack(Told::Unreadable as u32, 0);
    };
    // At the begin of a page there may be no word before: then it is no such lock.
    let before = if needs_word_before(&asked) { read_user(address.wrapping_sub(4)).unwrap_or(0) } else { 0 };
    owner(&asked, &lock, before)
}
