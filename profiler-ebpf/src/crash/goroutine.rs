//! The goroutine's stack, on which the stack of a fault in C continues if Go called C.
//!
//! In: the running thread. Out: the stack of its goroutine, in a map by thread. C runs on the thread's own stack; Go's runtime keeps where
//! the goroutine stood. A thread that is not Go's has other words there, which do not point at each other.

use aya_ebpf::helpers::generated::{bpf_map_update_elem, bpf_probe_read_user};
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use core::ffi::c_void;
use profiler_common::crash::{GOROUTINE_BYTES, Goroutine};

use crate::crash::buffer::{self, VARIABLES};
use crate::global::offset;
use crate::outcome::busy;
use crate::task;
use crate::task::read::{read, read_user};

/// By thread.
#[map]
static GOROUTINES: LruHashMap<u32, Goroutine> = LruHashMap::with_max_entries(64, 0);

/// Lower addresses are none.
const LEAST: u64 = 0x1_0000;
/// `g.m` and `g.sched.sp` of Go's runtime (src/runtime/runtime2.go); a `g` begins with the bounds of its stack.
const MACHINE: u64 = 48;
const STACK_POINTER: u64 = 56;
/// `m.curg` and `g.sched.bp`; newer ones lack `gobuf.ret` before each.
const LAYOUTS: [(u64, u64); 2] = [(192, 104), (184, 96)];

/// Keeps the stack of the goroutine that called C, if there is one. The running `g` is among the thread's variables, below its thread
/// pointer: the linker chose where. A global function: the verifier walks it once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn fault_goroutine() -> u32 {
    let Some(buffer) = buffer::buffer() else { return 0 };
    if offset!(task_fs) == 0 {
        return 0;
    }
    let thread = read::<u64>(task::address(task::current()) + offset!(task_fs) as u64).unwrap_or(0);
    let known = below(&mut buffer.variables, thread);
    for at in 0..VARIABLES {
        if at < known && goroutine_of(buffer.variables[at]) != 0 {
            return 1;
        }
    }
    0
}

/// Reads the words below the thread pointer: as many as there are, of three lengths; how many.
#[inline(always)]
fn below(into: &mut [u64; VARIABLES], thread: u64) -> usize {
    macro_rules! lengths {
        ($($words:expr)*) => {$(
            let from = thread.wrapping_sub(8 * $words as u64) as *const c_void;
            // SAFETY: the helper writes no more than there is room for, and checks the address.
            if unsafe { bpf_probe_read_user(into.as_mut_ptr().cast(), 8 * $words as u32, from) } == 0 {
                return $words;
            }
        )*};
    }
    lengths!(VARIABLES 8 1);
    0
}

/// Whether a word is the `g` that runs C for a goroutine: then its stack is kept. A global function, as above.
#[unsafe(no_mangle)]
#[inline(never)]
fn goroutine_of(running: u64) -> u32 {
    let Some(buffer) = buffer::buffer() else { return 0 };
    let Some((sp, bp, high)) = caller(running) else { return 0 };
    let kept = &mut buffer.goroutine;
    let left = high.wrapping_sub(sp);
    let wanted =
        if left < u64::from(GOROUTINE_BYTES) { left as u32 } else { GOROUTINE_BYTES } & GOROUTINE_BYTES;
    (kept.time_ns, kept.sp, kept.bp, kept.bytes) = (buffer.head.time_ns, sp, bp, u64::from(wanted));
    // SAFETY: the mask bounds what is read by what the buffer holds.
    if unsafe { bpf_probe_read_user((&raw mut kept.stack).cast(), wanted, sp as *const c_void) } != 0 {
        return 0;
    }
    let (map, tid) = ((&raw const GOROUTINES).cast_mut().cast(), buffer.head.tid);
    // SAFETY: the value is one of the map's.
    busy(|| unsafe {
        bpf_map_update_elem(map, (&raw const tid).cast(), core::ptr::from_mut(kept).cast_const().cast(), 0)
    });
    1
}

/// Stack pointer, frame pointer and the upper bound of the stack of the goroutine that called C.
#[inline(always)]
fn caller(running: u64) -> Option<(u64, u64, u64)> {
    if running % 8 != 0 || running < LEAST {
        return None;
    }
    let machine = read_user::<u64>(running.wrapping_add(MACHINE))?;
    // C runs on the machine's own stack: that of its first `g`.
    if read_user::<u64>(machine)? != running {
        return None;
    }
    of(running, machine, LAYOUTS[0]).or_else(|| of(running, machine, LAYOUTS[1]))
}

#[inline(always)]
fn of(running: u64, machine: u64, (current, frame): (u64, u64)) -> Option<(u64, u64, u64)> {
    let goroutine = read_user::<u64>(machine.wrapping_add(current))?;
    if goroutine == running || read_user::<u64>(goroutine.wrapping_add(MACHINE))? != machine {
        return None;
    }
    let [low, high] = read_user::<[u64; 2]>(goroutine)?;
    let sp = read_user::<u64>(goroutine.wrapping_add(STACK_POINTER))?;
    let bp = read_user::<u64>(goroutine.wrapping_add(frame))?;
    let inside = |address: u64| low < address && address < high;
    (inside(sp) && inside(bp)).then_some((sp, bp, high))
}
