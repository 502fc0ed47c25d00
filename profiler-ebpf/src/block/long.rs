//! The longest requests one by one: a small table per CPU and epoch.
//!
//! In: a request of the target that is complete. Out: its place in `LONG_REQUESTS`, if it is longer than the shortest there.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use profiler_common::block::{LongRequest, LongRequests};

use crate::block::field::Request;
use crate::block::submitter::Submitter;
use crate::global;
use crate::row::longest::{self, Long};

/// The longest, by the epoch's parity.
#[map]
static LONG_REQUESTS: PerCpuArray<LongRequests> = PerCpuArray::with_max_entries(2, 0);

/// Keeps it if it is as long as a long wait, and one of the longest.
#[inline(always)]
pub fn keep(request: &Request, who: &Submitter, (now, bytes, kind): (u64, u32, u8)) {
    if now.saturating_sub(request.start_ns) < global::wait_min_ns() {
        return;
    }
    let one = LongRequest {
        start_ns: request.start_ns,
        issue_ns: request.issue_ns,
        end_ns: now,
        bytes: bytes.into(),
        device: request.device,
        tgid: who.tgid(),
        tid: who.tid(),
        kind: kind.into(),
    };
    put(&one);
}

#[inline(never)]
fn put(one: &LongRequest) -> u32 {
    let Some(kept) = LONG_REQUESTS.get_ptr_mut(global::epoch() & 1) else { return 0 };
    // SAFETY: this CPU's own value, of the epoch that user space does not read. A run on top of this one may take the same
    // place: one of the two is kept then.
    let kept = unsafe { &mut *kept };
    let kept = &mut kept[longest::shortest(kept)];
    if one.total_ns() > kept.total_ns() {
        *kept = *one;
    }
    0
}

impl Long for LongRequest {
    #[inline(always)]
    fn ns(&self) -> u64 {
        self.total_ns()
    }
}
