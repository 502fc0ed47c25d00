//! The clock of all times here: monotonic, ns, the one user space reads.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;

/// Now.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}
