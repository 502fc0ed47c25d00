//! Stacks that user space has unwound before: recognized by their return addresses, they need no copy.
//!
//! In: the kernel's walk, a stack pointer. Out: the stack's id, if all its return addresses are where they were.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use profiler_common::copy::{KnownStack, known_hash, known_key};
use profiler_common::stack::mix;

/// What user space has unwound.
#[map]
static KNOWN_STACKS: LruHashMap<u64, KnownStack> = LruHashMap::with_max_entries(16_384, 0);

/// The id of the stack, if it is known. A global function: the verifier walks its loop once.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn known_stack(list: u64, sp: u64) -> u64 {
    let Some(known) = KNOWN_STACKS.get_ptr(&known_key(list, sp)) else { return 0 };
    // SAFETY: what changes meanwhile is told by the hash.
    let known = unsafe { &*known };
    let (id, slots, mut hash) = (known.id, known.slots, 0);
    for (index, at) in known.words.iter().enumerate() {
        if index as u32 >= slots {
            break;
        }
        let mut word = 0_u64;
        let address = sp + 8 * u64::from(*at);
        // SAFETY: one word on the stack; the helper checks the address.
        if unsafe { bpf_probe_read_user((&raw mut word).cast(), 8, address as *const c_void) } != 0 {
            return 0;
        }
        hash = mix(hash, word);
    }
    if known_hash(hash, id) == known.hash { id } else { 0 }
}
