//! The target's cgroups: of each the instance that counts, and the one that is being made.
//!
//! In: what the loader, `follow` and user space write while recording. Out: [`Followed`] by its index.

use profiler_common::follow::{Followed, NOBODY};
use profiler_common::global::CGROUPS;

/// Written while recording: a restart makes a new cgroup.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.follow")]
static mut FOLLOWED: [Followed; CGROUPS] = [NOBODY; CGROUPS];

/// A cgroup of the target; `index` is a constant below [`CGROUPS`].
#[inline(always)]
pub fn followed(index: usize) -> *mut Followed {
    // SAFETY: `index` is below CGROUPS by the caller's constant loop.
    unsafe { (&raw mut FOLLOWED).cast::<Followed>().add(index) }
}

/// Id and level of the instance that counts.
#[inline(always)]
pub fn counted(index: usize) -> (u64, u32) {
    let place = followed(index);
    // SAFETY: inside the array; others write its words whole.
    unsafe { ((&raw const (*place).id).read_volatile(), (&raw const (*place).level).read_volatile()) }
}
