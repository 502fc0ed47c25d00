//! `offcpu`: waits that block, as `container;comm (pid);user…;call();kernel…_[k];state`, in ns.
//!
//! In: rows of waits, and stacks of the long ones. Out: paths whose total is all blocked time; waits that are too
//! short for a stack have a frame that says so. Idle waits and waits on user locks stand under roots of their own, as in `syscall`.

use std::borrow::Cow;

use crate::probes::syscall::picture::root;
use crate::probes::waits::class::Rest;
use crate::probes::waits::stacks::stacks;
use crate::profile::ledger::Population;
use crate::profile::measured::Measured;
use crate::profile::waits::{WaitKey, WaitStackKey};
use crate::profile::{Header, Profile, Wait};
use crate::render::drawing::Drawing;
use crate::render::fold::Folder;
use crate::render::humane;
use crate::render::syscalls::{self, CallClass, NO_CALL};

/// The picture.
pub const DRAWING: Drawing =
    Drawing { unit: "ns", title, events, event: "waits", of: &[Population::Waits], fold };

/// Blocked waits from this length on have stacks, ns; 0: all.
pub const fn stacks_from_ns(header: &Header) -> u64 {
    header.waits_have_stacks_from_ns()
}

/// The picture's title.
pub fn title(header: &Header) -> String {
    format!("waits off the CPU{}", of_stacks(header))
}

/// What a title says of stacks.
pub fn of_stacks(header: &Header) -> String {
    match stacks_from_ns(header) {
        0 => String::new(),
        from => format!(", stacks of those ≥ {}", humane::setting(from)),
    }
}

/// Waits that ended.
pub fn events(profile: &Profile) -> u64 {
    let blocked = profile.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable());
    blocked.map(|(_, row)| row.count()).fold(0, u64::saturating_add)
}

/// The frame of the call that waits were in.
pub fn call(key: &WaitKey) -> Cow<'static, str> {
    key.nr.map_or(Cow::Borrowed(NO_CALL), |nr| Cow::Owned(format!("{}()", syscalls::name(nr))))
}

/// Pushes the stacks of waits, with the call between them and their state where it is not plain sleep.
pub fn push(key: &WaitStackKey, folder: &mut Folder<'_>) {
    let in_call = key.row.nr.is_some();
    folder.stack(key.user, in_call.then_some("[user stack missing]")).frame(&call(&key.row));
    folder.stack(key.kernel, Some("[kernel stack missing]"));
    state(key.row.wait, folder);
}

fn state(wait: Wait, folder: &mut Folder<'_>) {
    if wait != Wait::Sleep {
        folder.frame(wait.name());
    }
}

/// Folds all waits.
pub fn fold(measured: Measured<'_>, folder: &mut Folder<'_>) {
    fold_with(measured, folder, |_, _| {});
}

/// Folds all waits; `above` pushes what stands above a long wait.
pub fn fold_with(
    measured: Measured<'_>,
    folder: &mut Folder<'_>,
    above: impl Fn(&WaitStackKey, &mut Folder<'_>),
) {
    let (profile, classes) = (folder.profile(), folder.classes());
    for (key, row) in measured.waits.rows.iter().filter(|(key, _)| !key.wait.is_runnable()) {
        let (stacks, rest) = stacks(measured.waits, key, row.total_ns);
        for (stack, ns) in stacks {
            let class = classes.borrow_mut().of_stack(stack);
            begin(key, class, folder);
            push(stack, folder);
            above(stack, folder);
            folder.end(ns, class);
        }
        let rest_of = classes.borrow_mut().rest(key, row);
        let class = rest_of.verdict.0;
        begin(key, class, folder);
        folder.frame(&call(key)).frame(&without_stack(&profile.header, &rest_of));
        state(key.wait, folder);
        folder.end(rest, class);
    }
}

fn begin(key: &WaitKey, class: CallClass, folder: &mut Folder<'_>) {
    if let Some(root) = root(class) {
        folder.frame(root);
    }
    folder.process(key.pid);
}

/// The frame of what has no stacks.
fn without_stack(header: &Header, rest: &Rest) -> String {
    // A call's waits get their stacks when it ends: what is in flight at the end has none.
    let why = if rest.has_long { "call in flight, or lost" } else { "" };
    match (stacks_from_ns(header), why) {
        (0, why) => format!("[no stacks: {why}]"),
        (from, "") => format!("[shorter than {}: no stacks]", humane::setting(from)),
        (from, why) => format!("[no stacks: shorter than {}, {why}]", humane::setting(from)),
    }
}
