//! Where a fault's record is made, and the ring that it goes through.
//!
//! In: nothing. Out: a buffer for each CPU, the ring.

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, RingBuf};
use profiler_common::crash::{FaultHead, Goroutine};

use crate::stack::window;

/// Words below a thread pointer that are looked through.
pub const VARIABLES: usize = 32;

/// Faults on their way.
#[map]
pub static FAULTS: RingBuf = RingBuf::with_byte_size(2 << 20, 0);

/// A buffer for each CPU. Not a per-CPU map: that would take memory for every possible CPU, and holds no more than 32 KiB.
#[map]
static FAULT_BUFFERS: Array<Buffer> = Array::with_max_entries(1, 0);

/// A record in the making.
#[repr(C)]
pub struct Buffer {
    /// What precedes the stack.
    pub head: FaultHead,
    /// The stack's bytes.
    pub stack: window::Bytes,
    /// The stack of the goroutine that called C.
    pub goroutine: Goroutine,
    /// The thread's variables: the words below its thread pointer.
    pub variables: [u64; VARIABLES],
}

/// This CPU's buffer.
#[inline(always)]
pub fn buffer() -> Option<&'static mut Buffer> {
    // SAFETY: the helper has no preconditions; the buffer is this CPU's and this program's alone.
    unsafe { FAULT_BUFFERS.get_ptr_mut(bpf_get_smp_processor_id()).map(|buffer| &mut *buffer) }
}
