//! The ring buffer: events that are sent one by one, all of them rare.
//!
//! In: records that begin with a tag of `profiler_common::event`. Out: what user space reads.

use aya_ebpf::macros::map;
use aya_ebpf::maps::RingBuf;

/// New stacks and process events.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);
