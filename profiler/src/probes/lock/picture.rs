//! `lock`: waits as `container;comm (pid);user…;kernel…_[k];kind [lock]`, in ns.
//!
//! In: rows of lock waits. Out: paths; waits in interrupts stand under `interrupt (…)`, for
//! they are not the interrupted process's own.

use crate::profile::Profile;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::rows::{LockContext, LockKey};
use crate::render::clean;
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::locks::{self, LockName};
use crate::render::name::{kernel_functions, nameless};
use crate::render::syscalls::CallClass;

/// The picture.
pub const DRAWING: Drawing = Drawing {
    unit: "ns",
    title: |_| TITLE.to_owned(),
    events,
    event: "lock waits",
    of: &[Population::LockWaits],
    fold,
};

/// The picture's title.
pub const TITLE: &str = "lock waits";

/// Waits that ended.
pub fn events(profile: &Profile) -> u64 {
    profile.lock.rows.values().map(|row| row.wait.count()).fold(0, u64::saturating_add)
}

/// The root frame of a context; none for a task.
pub const fn root(context: LockContext) -> Option<&'static str> {
    match context {
        LockContext::Task => None,
        LockContext::Softirq => Some("interrupt (softirq)"),
        LockContext::Hardirq => Some("interrupt (hardirq)"),
        LockContext::Nmi => Some("interrupt (nmi)"),
    }
}

/// Names the lock of a row.
pub fn lock_name(profile: &Profile, key: &LockKey) -> LockName {
    let symbol = (key.lock != 0).then(|| profile.stacks.lock(key.lock)).flatten();
    let mut name = locks::name(key.kind, symbol, kernel_functions(&profile.stacks, key.kernel));
    if let Some(why) = nameless(&profile.stacks, key.kernel) {
        name.caller = format!("[{why}]");
    }
    name
}

/// Pushes the stacks of one kind of wait, and the lock.
pub fn push(profile: &Profile, key: &LockKey, folder: &mut Folder<'_>) {
    let name = lock_name(profile, key);
    let leaf = format!("{} [{}]", key.kind.name(), clean::frame(&name.lock));
    folder.stack(key.user, None).stack(key.kernel, Some("[kernel stack missing]")).frame(&leaf);
}

/// Folds all waits.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    let profile = folder.profile();
    for (key, row) in &measured.lock.rows {
        match root(key.context) {
            Some(root) => folder.frame(root),
            None => folder.process(key.pid),
        };
        push(profile, key, folder);
        folder.end(row.wait.total_ns, CallClass::Work);
    }
}
