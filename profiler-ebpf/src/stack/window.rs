//! The part of a user stack that is copied.
//!
//! In: a thread, its stack pointer. Out: the bytes from there on.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use profiler_common::copy::STACK_BYTES;

use crate::global;

/// Where the stack of a thread begins, by thread: user space has learned it.
#[map]
static STACK_TOPS: LruHashMap<u32, u64> = LruHashMap::with_max_entries(16_384, 0);

/// What a copy holds at most.
pub type Bytes = [u8; STACK_BYTES as usize + 8];

/// Bytes that are read at least.
const LEAST: u64 = 64;

/// How much of the stack is wanted: up to where it begins, if that is known.
#[inline(always)]
pub fn wanted(tid: u32, sp: u64) -> u32 {
    let most = global::copy_bytes();
    // SAFETY: one word, which is copied.
    if let Some(top) = unsafe { STACK_TOPS.get(&tid) } {
        let left = (*top).wrapping_sub(sp);
        if left < u64::from(most) {
            // Where nothing is left, a little is read to have a copy at all.
            return if left < LEAST { LEAST as u32 } else { left as u32 };
        }
    }
    most
}

/// Reads the stack: all that is wanted at once, else as much as there is, found in halves. `got` lies in a map: the verifier
/// does not know a number that comes from there, else it would walk the rest once for each of the 256 lengths.
#[inline(always)]
pub fn read(stack: &mut Bytes, got: &mut u32, sp: u64, wanted: u32) -> u32 {
    let wanted = wanted & STACK_BYTES;
    if wanted == 0 {
        return 0;
    }
    let (stack, got) = ((&raw mut *stack).cast::<u8>(), &raw mut *got);
    // SAFETY: `wanted` is masked to what the buffer holds.
    if unsafe { bpf_probe_read_user(stack.cast(), wanted, sp as *const c_void) } == 0 {
        return wanted;
    }
    // SAFETY: here and below, `got` is the reference that was given.
    unsafe { got.write_volatile(0) };
    macro_rules! halves {
        ($($step:literal)*) => {$(
            // What is read so far is a multiple of twice the step: the mask changes nothing, and tells the verifier.
            // SAFETY: as above.
            let at = unsafe { got.read_volatile() } & (0x8000 - 2 * $step);
            if at + $step <= wanted {
                // SAFETY: `at` plus the step is at most what the buffer holds.
                let failed = unsafe {
                    bpf_probe_read_user(stack.add(at as usize).cast(), $step, (sp + u64::from(at)) as *const c_void)
                };
                if failed == 0 {
                    // SAFETY: as above.
                    unsafe { got.write_volatile(at + $step) };
                }
            }
        )*};
    }
    halves!(0x4000 0x2000 0x1000 0x800 0x400 0x200 0x100 0x80);
    // SAFETY: as above.
    unsafe { got.read_volatile() }
}
