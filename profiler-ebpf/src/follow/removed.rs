//! A cgroup that is removed.
//!
//! In: its address. Out: a cgroup event where it was the target's. Its id stays: nobody gets it again.

use profiler_common::follow::{NO_ID, change};
use profiler_common::global::CGROUPS;

use crate::follow::instance::tell;
use crate::global;
use crate::target::{cgroup, place};

/// A cgroup is removed.
#[inline(always)]
pub fn removed(at: u64) {
    if !cgroup::is_in_hierarchy(at) {
        return;
    }
    let Some(id) = cgroup::id_at(at) else { return };
    for index in 0..CGROUPS {
        if index as u32 >= global::cgroup_count() {
            return;
        }
        // SAFETY: inside the array; one cgroup is made or removed at a time.
        let place = unsafe { &mut *place::followed(index) };
        if place.awaited == id {
            place.awaited = NO_ID;
        }
        if place.id == id {
            tell(index as u32, change::REMOVED, place);
        }
    }
}
