//! `futex`: waits for other threads of user space, as `[contended];container;comm (pid);user…;futex();kernel…_[k];`
//! and who ended them, as `wakers` has it, in ns.
//!
//! In: rows of waits. Out: paths whose total is all time blocked on user locks: contended, parked, and either of
//! them, under roots of their own. It is no probe of its own: `offcpu` measures it.

use super::{picture, wakers};
use crate::probes::waits::stacks::stacks;
use crate::probes::waits::user_lock::UserLock;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::{Header, Profile};
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::syscalls::{self, CallClass};

/// The picture.
pub const DRAWING: Drawing =
    Drawing { unit: "ns", title, events, event: "waits for user locks", of: &[Population::Waits], fold };

/// The picture's title.
pub fn title(header: &Header) -> String {
    format!("waits for user locks (futex) and who ended them{}", picture::of_stacks(header))
}

/// Waits that ended.
pub fn events(profile: &Profile) -> u64 {
    let of = |nr: &Option<u32>| nr.is_some_and(|nr| syscalls::class(nr) == CallClass::UserLock);
    let rows = profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable() && of(&key.nr));
    rows.map(|(_, row)| row.count()).fold(0, u64::saturating_add)
}

/// Folds all of them.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let (profile, classes) = (folder.profile(), folder.classes());
    for (key, row) in measured.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable()) {
        if key.nr.is_none_or(|nr| syscalls::class(nr) != CallClass::UserLock) {
            continue;
        }
        let (long, rest) = stacks(measured.waits, key, row.total_ns);
        for (stack, ns) in long {
            begin(classes.borrow_mut().user_lock(stack), folder);
            folder.process(key.pid);
            picture::push(stack, folder);
            wakers::push(profile, stack, folder);
            folder.end(ns, CallClass::UserLock);
        }
        begin(UserLock::Untold, folder);
        folder.process(key.pid).frame(&picture::call(key)).frame("[no stacks: short, in flight or lost]");
        folder.end(rest, CallClass::UserLock);
    }
}

fn begin(kind: UserLock, folder: &mut Folder<'_>) {
    folder.frame(&format!("[{}]", kind.name()));
}
