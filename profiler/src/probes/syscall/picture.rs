//! `syscall`: slow calls as `container;comm (pid);user…;call;kernel…_[k]`, in ns.
//!
//! In: rows of slow calls. Out: paths; idle calls and waits on user locks stand under roots of
//! their own, apart from work.

use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::rows::{SlowKey, StackSource};
use crate::profile::{Header, Profile};
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::humane;
use crate::render::syscalls::{self, CallClass};

/// The picture.
pub const DRAWING: Drawing =
    Drawing { unit: "ns", title, events, event: "system calls", of: &[Population::Calls], fold };

/// The picture's title.
pub fn title(header: &Header) -> String {
    match header.slow_ns {
        0 => "system calls".to_owned(),
        slow => format!("system calls ≥ {}", humane::setting(slow)),
    }
}

/// Calls that returned.
pub fn events(profile: &Profile) -> u64 {
    profile.syscall.rows.values().map(|row| row.latency.count()).fold(0, u64::saturating_add)
}

/// The root frame of a class; none for work.
pub const fn root(class: CallClass) -> Option<&'static str> {
    match class {
        CallClass::Work => None,
        CallClass::UserLock => Some("[user lock]"),
        CallClass::Idle => Some("[idle]"),
    }
}

/// Pushes the stacks of one kind of slow call, with the call between them.
pub fn push(key: &SlowKey, folder: &mut Folder<'_>) {
    let no_kernel = match key.source {
        StackSource::None => "[no kernel stack: no wait, spin or sample was seen in the call]",
        StackSource::Wait | StackSource::Sample | StackSource::Spin => "[kernel stack missing]",
    };
    folder.stack(key.user, Some("[user stack missing]"));
    folder.frame(&format!("{}()", syscalls::name(key.nr))).stack(key.kernel, Some(no_kernel));
}

/// Folds all slow calls.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let classes = folder.classes();
    for (key, row) in &measured.syscall.slow {
        let class = classes.borrow().of_slow(key);
        if let Some(root) = root(class) {
            folder.frame(root);
        }
        folder.process(key.pid);
        push(key, folder);
        folder.end(row.total_ns, class);
    }
}
